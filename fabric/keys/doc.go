// Package keys says who a router is: its private key, the certificate that the cluster gave it, and
// the rules by which another router is believed or refused.
//
// Every key is Ed25519. A cluster has one root, whose key the operator keeps offline; the root signs
// an intermediate, whose key the voters hold; the intermediate signs a leaf for each router. A leaf
// carries its router's identity as one SPIFFE-style URI and nothing else that is believed:
//
//	spiffe://<cluster>/inc/<incarnation>/region/<region>/zone/<zone>/router/<number>
//
// An incarnation counts how often the cluster was restored from a backup after its quorum was lost;
// a certificate of an earlier one is refused, because the catalog that it was issued under is gone.
//
// Being signed is necessary and never sufficient. On every connection the Verifier that the caller
// hands in compares router and public key with the catalog, so a router is revoked by its number and
// its key. A list of revoked certificates is refused as a design: a certificate's bytes can be
// changed without changing what it proves (signatures can be re-encoded), a key cannot.
//
// Certificates are valid from Backdate before they are issued, so that a router whose clock is
// somewhat slow can use one at once; every error that a wrong clock can cause says so.
//
// A new router is born from a Token, which carries whatever it needs to find and believe the cluster.
// The room is pure but for two things: private keys read and write their own files, so that mode
// 0600 is decided in one place; and a handshake reads the clock unless Credential.Now is set.
package keys
