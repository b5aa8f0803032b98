package consensus

import (
	"fmt"
	"io"
	"sync"

	"github.com/hashicorp/raft"

	"github.com/galleon-net/galleon/consensus/state"
)

// tierMark is the first byte of an entry that sets the voters' timeouts; the tier follows. State
// commands begin with their format, which is below 128. The timeouts are the house's own business and
// so not part of the catalog, but they must be agreed on like it.
const tierMark = 0x80

// machine is the state machine that Raft drives on a voter. Its methods are called by Raft from one
// goroutine; tier and conf may be read by others.
type machine struct {
	cluster string
	hub     *hub
	audit   *auditTrail
	fatal   func(error)
	cur     *state.State

	// mu guards what follows.
	mu   sync.Mutex
	tier int
	// conf is the index of the last configuration that was committed.
	conf uint64
}

var _ raft.ConfigurationStore = (*machine)(nil)

// Apply carries one entry out. It gives a state.Result, or an error when this version cannot.
func (m *machine) Apply(l *raft.Log) any {
	if len(l.Data) == 2 && l.Data[0] == tierMark {
		if int(l.Data[1]) < len(tiers) {
			m.mu.Lock()
			m.tier = int(l.Data[1])
			m.mu.Unlock()
		}
		return state.Result{Index: l.Index}
	}
	c, err := state.DecodeCommand(l.Data)
	if err != nil {
		// Leaving it out would be a state of our own.
		err = fmt.Errorf("entry %d cannot be read by this version of galleond; upgrade this router: %w", l.Index, err)
		m.fatal(err)
		return err
	}
	prev := m.cur.Index
	next, result, entry := m.cur.Apply(l.Index, c)
	if entry != nil {
		if err := m.audit.add(*entry); err != nil {
			m.fatal(err)
			return err
		}
	}
	m.cur = next
	m.hub.publish(next, prev, l.Data)
	return result
}

// StoreConfiguration notes where the configuration stands, because changes to it name the one before.
func (m *machine) StoreConfiguration(index uint64, _ raft.Configuration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.conf = max(m.conf, index)
}

func (m *machine) timeouts() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.tier
}

func (m *machine) configured() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.conf
}

// Snapshot takes hold of the state, which never changes.
func (m *machine) Snapshot() (raft.FSMSnapshot, error) {
	return persister{image{m.cluster, m.timeouts(), m.cur}, m.audit}, nil
}

type persister struct {
	image image
	audit *auditTrail
}

func (p persister) Persist(sink raft.SnapshotSink) error {
	b, err := p.image.encode()
	if err == nil {
		// The log that could make lost audit entries again goes when the snapshot is there.
		err = p.audit.sync()
	}
	if err == nil {
		_, err = sink.Write(b)
	}
	if err != nil {
		_ = sink.Cancel()
		return fmt.Errorf("take a snapshot at %d: %w", p.image.State.Index, err)
	}
	return sink.Close()
}

func (persister) Release() {}

// Restore replaces the state by a snapshot's.
func (m *machine) Restore(r io.ReadCloser) error {
	b, err := io.ReadAll(io.LimitReader(r, maxImage+1))
	if err != nil {
		return fmt.Errorf("read snapshot: %w", err)
	}
	i, err := decodeImage(b, m.cluster)
	if err != nil {
		return err
	}
	m.cur = i.State
	m.mu.Lock()
	m.tier = i.Tier
	m.mu.Unlock()
	m.hub.publish(i.State, 0, nil)
	return nil
}
