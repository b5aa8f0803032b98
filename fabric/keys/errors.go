package keys

import "errors"

// Why a peer is refused. Errors from this package wrap one of these, say what was found, and name the next
// step; callers that must choose use errors.Is.
var (
	// ErrStranger: no chain of signatures leads to this cluster's root.
	ErrStranger = errors.New("certificate was not issued by this cluster")
	// ErrWrongCluster: the certificate names another cluster.
	ErrWrongCluster = errors.New("certificate is of another cluster")
	// ErrWrongIncarnation: the certificate was issued before the cluster was restored, or after a
	// restore that this router has not heard of.
	ErrWrongIncarnation = errors.New("certificate is of another incarnation of the cluster")
	// ErrExpired: the certificate is past its time, by this machine's clock.
	ErrExpired = errors.New("certificate has expired")
	// ErrNotYetValid: the certificate begins in the future, by this machine's clock.
	ErrNotYetValid = errors.New("certificate is not valid yet")
	// ErrUnknownRouter: the catalog has no such router.
	ErrUnknownRouter = errors.New("router is not in the catalog")
	// ErrRevoked: the catalog says that this router must not be believed any more.
	ErrRevoked = errors.New("router is revoked")
	// ErrWrongKey: the catalog has another public key for this router.
	ErrWrongKey = errors.New("public key is not the one in the catalog")
)

// Known says whether err refuses a peer whose certificate this cluster's authority did sign. Such a peer may
// be told why it is refused; a stranger is told nothing.
func Known(err error) bool {
	for _, e := range []error{ErrWrongIncarnation, ErrExpired, ErrNotYetValid, ErrUnknownRouter, ErrRevoked, ErrWrongKey} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
