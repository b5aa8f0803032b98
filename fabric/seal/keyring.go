package seal

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/galleon-net/galleon/fabric/topo"
)

// Stage is where in its life an epoch is.
type Stage uint8

// The stages.
const (
	Offered Stage = iota + 1
	Current
	Old
)

func (s Stage) String() string { return [...]string{"gone", "offered", "current", "old"}[s&3] }

// Offer is what two routers agreed on in the hello, and the secret of their session.
type Offer struct {
	Epoch  uint16
	Secret Secret
	Suite  Suite
	Lanes  int // 1 to wire.MaxLanes
}

// Keyring holds the keys shared with one peer. SenderFor, OpenerFor, AppendTag and CheckTag take no
// lock and may be called for every packet; the others change what those see, at once and whole.
type Keyring struct {
	self, peer topo.RouterID

	keys atomic.Pointer[[]*keys] // newest first, at most maxEpochs; the slice is never changed

	mu   sync.Mutex           // one change at a time; guards what follows
	past [pastSecrets][8]byte // fingerprints of the secrets installed lately, a ring
	made int                  // secrets installed in all
}

// keys are those of one epoch. Only a copy of it is ever changed.
type keys struct {
	epoch   uint16
	suite   Suite
	stage   Stage
	born    time.Time // Install
	until   time.Time // when the stage ends without further word
	senders []*Sender // by lane
	openers []*Opener // by lane
	tagOut  *Tagger
	tagIn   *Tagger
}

// NewKeyring makes the empty keyring of one peer.
func NewKeyring(self, peer topo.RouterID) *Keyring {
	k := &Keyring{self: self, peer: peer}
	k.keys.Store(new([]*keys))
	return k
}

// SenderFor returns the sealing end of a lane in the current epoch. Lanes that the epoch does not
// have are folded onto those that it has.
func (k *Keyring) SenderFor(lane uint8) (*Sender, bool) {
	e := k.current()
	if e == nil {
		return nil, false
	}
	return e.senders[int(lane)%len(e.senders)], true
}

// OpenerFor returns the opening end of a lane in an epoch, whatever its stage.
func (k *Keyring) OpenerFor(epoch uint16, lane uint8) (*Opener, bool) {
	for _, e := range *k.keys.Load() {
		if e.epoch == epoch && int(lane) < len(e.openers) {
			return e.openers[lane], true
		}
	}
	return nil, false
}

// AppendTag appends the link tag for the hop to the peer. Without a current epoch it returns false.
func (k *Keyring) AppendTag(pkt []byte) ([]byte, bool) {
	e := k.current()
	if e == nil {
		return pkt, false
	}
	return e.tagOut.AppendTag(pkt), true
}

// CheckTag is Tagger.CheckTag for a packet from the peer. The tag does not say its epoch (the one in
// the header is that of the ends), so all are tried: one in the steady state, rarely two.
func (k *Keyring) CheckTag(pkt []byte) ([]byte, bool) {
	for _, e := range *k.keys.Load() {
		if rest, ok := e.tagIn.CheckTag(pkt); ok {
			return rest, true
		}
	}
	return pkt, false
}

func (k *Keyring) current() *keys {
	for _, e := range *k.keys.Load() {
		if e.stage == Current {
			return e
		}
	}
	return nil
}

// Due tells whether a new epoch should be agreed on now: there is none, it is old, or half used.
func (k *Keyring) Due(now time.Time) bool {
	e := k.current()
	if e == nil || !now.Before(e.born.Add(RekeyAfter)) {
		return true
	}
	return slices.ContainsFunc(e.senders, func(s *Sender) bool { return s.Used() >= rekeyAt })
}

// EpochState is one epoch as a status page shows it.
type EpochState struct {
	Epoch uint16
	Suite Suite
	Stage Stage
	Lanes int
	Born  time.Time
	Used  float64 // largest share of a lane's key that this end used, 0 to 1
}

// Epochs lists what the keyring holds, the newest first.
func (k *Keyring) Epochs() []EpochState {
	var out []EpochState
	for _, e := range *k.keys.Load() {
		s := EpochState{Epoch: e.epoch, Suite: e.suite, Stage: e.stage, Lanes: len(e.senders), Born: e.born}
		for _, l := range e.senders {
			s.Used = max(s.Used, l.Used())
		}
		out = append(out, s)
	}
	return out
}
