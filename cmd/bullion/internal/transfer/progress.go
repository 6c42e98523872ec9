package transfer

import "sync"

// Progress is how far a transfer is. It may be read while the transfer runs.
type Progress struct {
	mu     sync.Mutex
	total  int64
	before int64 // there already when the transfer began
	done   int64
	flying map[interface{ position() int64 }]struct{}
}

func (p *Progress) begin(total, before int64) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.total, p.before, p.done = total, before, before
}

func (p *Progress) add(n int64) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done += n
}

// fly counts the position of something under way until land, which adds what arrived.
func (p *Progress) fly(f interface{ position() int64 }) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.flying == nil {
		p.flying = map[interface{ position() int64 }]struct{}{}
	}
	p.flying[f] = struct{}{}
}

func (p *Progress) land(f interface{ position() int64 }, arrived int64) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.flying, f)
	p.done += arrived
}

// Now is the number of bytes that have arrived or are on their way, of how many, and how many were there before.
func (p *Progress) Now() (bytes, total, before int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	bytes = p.done
	for f := range p.flying {
		bytes += f.position()
	}
	return min(bytes, p.total), p.total, p.before
}

// Arrived is the number of bytes that are safe.
func (p *Progress) Arrived() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.done
}
