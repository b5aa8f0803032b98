package tunnel

import "time"

const (
	// silence is after how long without a packet a pool looks for another way to a peer. A live session hears at least
	// the answer to its keep-alive, keepAlive and a round trip after the last packet; the rest allows for one loss.
	silence = keepAlive + 2*time.Second
	// watchPeriod is how often the pool looks.
	watchPeriod = time.Second
)

// watch dials peers anew whose sessions have fallen silent. The old session serves until the new one is there, and ends
// then, so that whoever waits on its streams learns at once to open others.
func (p *Pool) watch() {
	tick := time.NewTicker(watchPeriod)
	defer tick.Stop()
	for {
		select {
		case <-p.stopped.Done():
			return
		case now := <-tick.C:
			for _, e := range p.silent(now) {
				p.emit(e)
			}
		}
	}
}

// silent begins a dial for every session that has been silent for too long, and returns what there is to tell.
func (p *Pool) silent(now time.Time) (told []Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped.Err() != nil {
		return nil
	}
	for k, e := range p.entries {
		if !e.alive() || e.dial != nil {
			continue
		}
		if n := e.session.Stats().PacketsReceived; n != e.heard {
			e.heard, e.heardAt = n, now
			continue
		}
		if since := now.Sub(e.heardAt); since >= silence && !now.Before(e.retryAt) {
			told = append(told, Silent{Peer: k.peer, ALPN: k.alpn, Addr: e.session.RemoteAddr(), Since: since})
			p.begin(k, e)
		}
	}
	return told
}
