package seal

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/galleon-net/galleon/fabric/wire"
)

// TestKeyringStories runs the stories in testdata/keyring between alice (r1) and bob (r2):
//
//	install WHO epoch=N [secret=N] [lanes=N] [suite=N]     the hello of a new session is done at this end
//	confirm WHO epoch=N                                     this end knows that the other has the keys
//	send WHO [lane=N] [name=NAME]                           seal a packet, and open it at the other end
//	late NAME                                               open, now, a packet that was sent with "lost"
//	lost WHO name=NAME                                      seal a packet that arrives later
//	advance DURATION                                        and retire at both ends
//	use WHO share=F                                         pretend that so much of a key is used
//	due WHO, clear WHO, show                      what the keyrings say
func TestKeyringStories(t *testing.T) {
	datadriven.Walk(t, "testdata/keyring", func(t *testing.T, path string) {
		w := newKeyringWorld()
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			out, err := w.run(d)
			if err != nil {
				out += "error: " + err.Error() + "\n"
			}
			if out == "" {
				out = "ok\n"
			}
			return out
		})
	})
}

type keyringWorld struct {
	now     time.Time
	rings   map[string]*Keyring
	pending map[string]pendingPacket
}

type pendingPacket struct {
	to  string
	pkt []byte
}

func newKeyringWorld() *keyringWorld {
	return &keyringWorld{
		now:     time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC),
		rings:   map[string]*Keyring{"alice": NewKeyring(alice, bob), "bob": NewKeyring(bob, alice)},
		pending: map[string]pendingPacket{},
	}
}

func (w *keyringWorld) run(d *datadriven.TestData) (string, error) {
	who := ""
	if len(d.CmdArgs) > 0 && len(d.CmdArgs[0].Vals) == 0 {
		who = d.CmdArgs[0].Key
	}
	k := w.rings[who]
	epoch := uint16(arg(d, "epoch"))
	switch d.Cmd {
	case "install":
		o := Offer{Epoch: epoch, Suite: AES128GCM, Lanes: 1, Secret: Secret{byte(arg(d, "secret")), byte(epoch), byte(epoch >> 8)}}
		if n := arg(d, "lanes"); n > 0 {
			o.Lanes = int(n)
		}
		if n := arg(d, "suite"); n > 0 {
			o.Suite = Suite(n)
		}
		return "", k.Install(o, w.now)
	case "confirm":
		return "", k.Confirm(epoch, w.now)
	case "send", "lost":
		s, ok := k.SenderFor(uint8(arg(d, "lane")))
		if !ok {
			return "no current epoch\n", nil
		}
		pkt, err := s.Seal(nil, wire.Header{Type: wire.Data, HopLimit: 8}, []byte("hello from "+who))
		if err != nil {
			return "", err
		}
		to := map[string]string{"alice": "bob", "bob": "alice"}[who]
		if d.Cmd == "lost" {
			w.pending[text(d, "name")] = pendingPacket{to, pkt}
			return "", nil
		}
		return w.deliver(to, pkt), nil
	case "late":
		p := w.pending[who]
		return w.deliver(p.to, p.pkt), nil
	case "advance":
		by, err := time.ParseDuration(who)
		if err != nil {
			return "", err
		}
		w.now = w.now.Add(by)
		var out strings.Builder
		for _, name := range []string{"alice", "bob"} {
			if gone := w.rings[name].Retire(w.now); gone != nil {
				fmt.Fprintf(&out, "%s forgets %d\n", name, gone)
			}
		}
		return out.String(), nil
	case "use":
		s, _ := k.SenderFor(0)
		share, err := strconv.ParseFloat(text(d, "share"), 64)
		if err != nil {
			return "", err
		}
		s.next = uint64(share * MaxPackets)
		return "", nil
	case "due":
		return fmt.Sprintln(k.Due(w.now)), nil
	case "clear":
		k.Clear()
		return "", nil
	case "show":
		return w.show(), nil
	}
	return "", fmt.Errorf("unknown command %q", d.Cmd)
}

func text(d *datadriven.TestData, key string) string {
	for _, a := range d.CmdArgs {
		if a.Key == key {
			return a.Vals[0]
		}
	}
	return ""
}

// deliver does what a router does with a packet from its peer, a link tag included.
func (w *keyringWorld) deliver(to string, pkt []byte) string {
	k := w.rings[to]
	h, err := wire.Parse(pkt)
	if err != nil {
		return err.Error() + "\n"
	}
	o, ok := k.OpenerFor(h.Epoch, h.Lane)
	if !ok {
		return fmt.Sprintf("%s drops it: no keys for epoch %d lane %d\n", to, h.Epoch, h.Lane)
	}
	if _, err := o.Open(nil, pkt); err != nil {
		return fmt.Sprintf("%s drops it: %v\n", to, err)
	}
	out := fmt.Sprintf("%s opens it: epoch %d lane %d counter %d\n", to, h.Epoch, h.Lane, h.Counter)
	for _, e := range k.Epochs() {
		if e.Epoch == h.Epoch && e.Stage == Offered {
			out += fmt.Sprintf("%s confirms %d\n", to, h.Epoch)
			if err := k.Confirm(h.Epoch, w.now); err != nil {
				out += err.Error() + "\n"
			}
		}
	}
	return out
}

func (w *keyringWorld) show() string {
	var out strings.Builder
	for _, name := range []string{"alice", "bob"} {
		fmt.Fprintf(&out, "%s:", name)
		for _, e := range w.rings[name].Epochs() {
			fmt.Fprintf(&out, " %d %s", e.Epoch, e.Stage)
		}
		out.WriteString("\n")
	}
	return out.String()
}

// TestLinkTagsAcrossEpochs: a tag made under the epoch before is still taken, one of a forgotten
// epoch is not.
func TestLinkTagsAcrossEpochs(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	a, b := NewKeyring(alice, bob), NewKeyring(bob, alice)
	both := func(epoch uint16) {
		for _, k := range []*Keyring{a, b} {
			if err := k.Install(Offer{Epoch: epoch, Secret: Secret{byte(epoch)}, Suite: AES128GCM, Lanes: 2}, now); err != nil {
				t.Fatal(err)
			}
		}
	}
	pkt := func() []byte {
		return append(wire.Header{Type: wire.Data, Source: 9, Dest: 8}.Append(nil), make([]byte, 16)...)
	}
	if _, ok := a.AppendTag(pkt()); ok {
		t.Fatal("a tag without keys")
	}
	both(1)
	a.Confirm(1, now)
	early, ok := a.AppendTag(pkt())
	if !ok {
		t.Fatal("no tag under epoch 1")
	}
	both(2)
	a.Confirm(2, now)
	b.Confirm(1, now)
	b.Confirm(2, now)
	if _, ok := b.CheckTag(append([]byte(nil), early...)); !ok {
		t.Error("a tag of the epoch before is refused")
	}
	b.Retire(now.Add(OldFor))
	if _, ok := b.CheckTag(append([]byte(nil), early...)); ok {
		t.Error("a tag of a forgotten epoch is taken")
	}
}

func TestKeyringIsBounded(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	k := NewKeyring(alice, bob)
	install := func(epoch uint16) error {
		return k.Install(Offer{Epoch: epoch, Secret: Secret{byte(epoch), byte(epoch >> 8)}, Suite: AES128GCM, Lanes: 1}, now)
	}
	if err := errors.Join(install(1), k.Confirm(1, now)); err != nil {
		t.Fatal(err)
	}
	for e := uint16(2); e < 300; e++ { // a peer that shakes hands and never confirms
		if err := install(e); err != nil {
			t.Fatal(err)
		}
	}
	held := k.Epochs()
	if len(held) != maxEpochs || held[len(held)-1].Epoch != 1 || held[len(held)-1].Stage != Current {
		t.Fatalf("holds %+v: want %d epochs, the current one among them", held, maxEpochs)
	}
	if err := k.Install(Offer{Epoch: 9, Suite: 9, Lanes: 1}, now); err == nil {
		t.Error("installed an unknown suite")
	}
	if err := k.Install(Offer{Epoch: 9, Suite: AES128GCM, Lanes: wire.MaxLanes + 1}, now); err == nil {
		t.Error("installed too many lanes")
	}
}

func TestKeyringHotPathDoesNotAllocate(t *testing.T) {
	k := NewKeyring(alice, bob)
	if err := errors.Join(
		k.Install(Offer{Epoch: 1, Suite: AES128GCM, Lanes: 4}, time.Time{}), k.Confirm(1, time.Time{})); err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(100, func() {
		k.SenderFor(3)
		k.OpenerFor(1, 2)
	}); n != 0 {
		t.Errorf("allocates %v times", n)
	}
}
