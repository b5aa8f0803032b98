package seal

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/galleon-net/galleon/fabric/wire"
)

// The life of an epoch. It is installed at both ends while the one before still carries the packets;
// it is confirmed when this end knows that the other has it; the one before is then opened, but not
// sealed with, for OldFor.
//
//	          Install              Confirm               Confirm of a newer          OldFor later
//	(nothing) -------> offered ------------> current -----------------------> old --------------> (nothing)
//	                      |                     |
//	                      | OfferFor            | MaxAge
//	                      +-> (nothing)         +-> (nothing)
const (
	// OldFor is how long packets of the epoch before are still opened: longer than any path holds one.
	OldFor = 30 * time.Second
	// OfferFor is how long an epoch may wait for its confirmation.
	OfferFor = time.Minute
	// RekeyAfter is the age at which Due asks for a new epoch.
	RekeyAfter = 10 * time.Minute
	// MaxAge ends an epoch for which no successor could be agreed, so that a peer whose certificate
	// has ended, and who can therefore shake hands no more, is not carried for ever.
	MaxAge = 40 * time.Minute
	// maxEpochs bounds the epochs held for one peer; the oldest that is not current makes room.
	maxEpochs = 4
	// rekeyAt is the share of a lane's key at which Due asks for a new epoch.
	rekeyAt = 0.5
)

// pastSecrets is how many secrets a keyring remembers so as not to take one twice.
const pastSecrets = 64

// ErrSecretUsed says that a secret was installed before. Its counters would start again at 0 under the
// same key, which gives AES-GCM away: export anew, from a new session.
var ErrSecretUsed = errors.New("seal: secret was installed before")

// ErrEpochInUse says that an epoch number already has keys. Agree on another.
var ErrEpochInUse = errors.New("seal: epoch is in use")

// Install derives the keys of an epoch and begins to open packets with them.
func (k *Keyring) Install(o Offer, now time.Time) error {
	if o.Lanes < 1 || o.Lanes > wire.MaxLanes {
		return fmt.Errorf("install epoch %d with %s: %d lanes, want 1 to %d", o.Epoch, k.peer, o.Lanes, wire.MaxLanes)
	}
	e := &keys{epoch: o.Epoch, suite: o.Suite, stage: Offered, born: now, until: now.Add(OfferFor)}
	for lane := range uint8(o.Lanes) {
		s, err := NewSender(o.Secret, o.Suite, k.self, k.peer, o.Epoch, lane)
		if err != nil {
			return fmt.Errorf("install epoch %d with %s: %w", o.Epoch, k.peer, err)
		}
		r, err := NewOpener(o.Secret, o.Suite, k.peer, k.self, o.Epoch, lane)
		if err != nil {
			return fmt.Errorf("install epoch %d with %s: %w", o.Epoch, k.peer, err)
		}
		e.senders, e.openers = append(e.senders, s), append(e.openers, r)
	}
	var err error
	if e.tagOut, err = NewTagger(o.Secret, k.self, k.peer); err != nil {
		return fmt.Errorf("install epoch %d with %s: %w", o.Epoch, k.peer, err)
	}
	if e.tagIn, err = NewTagger(o.Secret, k.peer, k.self); err != nil {
		return fmt.Errorf("install epoch %d with %s: %w", o.Epoch, k.peer, err)
	}

	k.mu.Lock()
	defer k.mu.Unlock()
	held := *k.keys.Load()
	if slices.ContainsFunc(held, func(h *keys) bool { return h.epoch == o.Epoch }) {
		return fmt.Errorf("install epoch %d with %s: %w", o.Epoch, k.peer, ErrEpochInUse)
	}
	sum := sha256.Sum256(o.Secret[:])
	print := [8]byte(sum[:8])
	if slices.Contains(k.past[:min(k.made, pastSecrets)], print) {
		return fmt.Errorf("install epoch %d with %s: %w", o.Epoch, k.peer, ErrSecretUsed)
	}
	k.past[k.made%pastSecrets] = print
	k.made++
	next := append([]*keys{e}, held...)
	for i := len(next) - 1; len(next) > maxEpochs; i-- {
		if next[i].stage != Current {
			next = slices.Delete(next, i, i+1)
		}
	}
	k.keys.Store(&next)
	return nil
}

// Confirm makes an offered epoch the current one. Call it when the peer has shown that it holds the
// keys: by its hello answer, or by a packet of that epoch that opened. For the current epoch, and
// for one that is already old, it does nothing.
//
// An epoch that is not newer than the current one (as a serial number, RFC 1982, so that the number
// may wrap) becomes old at once. When both routers dial at the same time each may confirm the other's
// session first; would each then follow the other, they would pass each other and both forget, 30 s
// later, what the other one seals with. So both go up only, to the greatest that they share.
func (k *Keyring) Confirm(epoch uint16, now time.Time) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	held := *k.keys.Load()
	i := slices.IndexFunc(held, func(e *keys) bool { return e.epoch == epoch })
	if i < 0 {
		return fmt.Errorf("confirm epoch %d with %s: it was never installed, or is gone", epoch, k.peer)
	}
	if held[i].stage != Offered {
		return nil
	}
	current := slices.IndexFunc(held, func(e *keys) bool { return e.stage == Current })
	next := slices.Clone(held)
	become := func(i int, stage Stage, until time.Time) {
		c := *held[i]
		c.stage, c.until = stage, until
		next[i] = &c
	}
	switch {
	case current >= 0 && int16(epoch-held[current].epoch) < 0:
		become(i, Old, now.Add(OldFor))
	case current >= 0:
		become(current, Old, now.Add(OldFor))
		fallthrough
	default:
		become(i, Current, held[i].born.Add(MaxAge))
	}
	k.keys.Store(&next)
	return nil
}

// Retire forgets the epochs whose time is over and returns their numbers. Call it every few seconds.
func (k *Keyring) Retire(now time.Time) []uint16 {
	k.mu.Lock()
	defer k.mu.Unlock()
	held := *k.keys.Load()
	var next []*keys
	var gone []uint16
	for _, e := range held {
		if now.Before(e.until) {
			next = append(next, e)
		} else {
			gone = append(gone, e.epoch)
		}
	}
	if gone != nil {
		k.keys.Store(&next)
	}
	return gone
}

// Clear forgets everything: the peer was revoked.
func (k *Keyring) Clear() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.keys.Store(new([]*keys))
}
