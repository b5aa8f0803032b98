package replication

import (
	"context"
	"fmt"
	"time"

	"github.com/galleon-net/galleon/replication/object"
)

// How much may be asked for and not have come, in bytes. It is what is in the way of a more urgent flow that
// begins to want, so it follows the link: it grows while answers take less than askAge, and shrinks while they
// take longer.
const (
	firstAsked = 8 << 20
	minAsked   = 4 << 20  // 20 MB/s over 200 ms, also from a source that is busy with others
	maxAsked   = 64 << 20 // fills 1 Gbit/s over 500 ms
	askAge     = 2 * time.Second
	// askPart is how much is asked for in one frame, heldPart in one that the gate let pass out of turn.
	askPart  = 1 << 20
	heldPart = 128 << 10
)

// ask asks for what is missing, oldest batch first, in parts. It also tells the source that we are here, of itself
// and not in answer to a ping: on a slow link that may lie behind minutes of chunks.
func (i *intake) ask(ctx context.Context) error {
	ping := time.NewTicker(pingPeriod)
	defer ping.Stop()
	for {
		if !i.toAsk() {
			select {
			case <-i.wakeAsk:
			case <-ping.C:
				if err := i.send(framePing, []byte("{}")); err != nil {
					return fmt.Errorf("ping %s: %w", i.f.flow.source, err)
				}
			case <-ctx.Done():
				return nil
			}
			continue
		}
		held, err := i.f.e.gate.wait(ctx, i.f.rule.priority)
		if err != nil {
			return nil // the stream has ended
		}
		part := int64(askPart)
		if held {
			part = heldPart
		}
		if ids := i.nextPart(part); len(ids) > 0 {
			if err := i.send(frameWant, packIDs(ids)); err != nil {
				return fmt.Errorf("ask %s for chunks: %w", i.f.flow.source, err)
			}
		}
	}
}

// toAsk says whether there is something to ask for now.
func (i *intake) toAsk() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.asked < i.window && i.open > len(i.expected)
}

// nextPart moves about so many bytes of what is missing to what is expected.
func (i *intake) nextPart(part int64) (ids []object.ChunkID) {
	i.mu.Lock()
	defer i.mu.Unlock()
	end := min(i.window, i.asked+part)
	now := time.Now()
	for _, in := range i.queue {
		for len(in.ask) > 0 && len(ids) < wantPart && i.asked < end {
			c := in.ask[0]
			in.ask = in.ask[1:]
			i.expected = append(i.expected, wanted{c, in, now})
			i.asked += int64(c.Size)
			ids = append(ids, c.ID)
		}
	}
	return ids
}

// came ends the wait for a chunk, also of batches that came later and rely on the one that asked.
func (i *intake) came(w wanted, why string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.expected = i.expected[1:]
	i.asked -= int64(w.ref.Size)
	if time.Since(w.at) < askAge {
		i.window = min(i.window+int64(w.ref.Size), maxAsked)
	} else {
		i.window = max(i.window-int64(w.ref.Size), minAsked)
	}
	i.open--
	w.in.open--
	delete(i.under, w.ref.ID)
	if why != "" {
		for _, in := range i.queue {
			// What apply has already is whole without this chunk: it came before the batch that asked.
			if !in.taken {
				in.lost[w.ref.ID] = why
			}
		}
	}
	if w.in.open == 0 {
		poke(i.wakeDo)
	}
	if i.open > len(i.expected) && i.asked < i.window {
		poke(i.wakeAsk)
	}
	i.f.e.gate.set(i.f, i.f.rule.priority, i.open > 0)
}
