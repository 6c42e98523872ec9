package simulation

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing/synctest"
	"time"
)

// schedule decides what happens next. Everything that a process does to the world outside it (a record, an object, an answer) is an effect, which waits at a gate
// until the schedule lets it pass, refuses it, or loses its answer. Between two effects only one process runs, so a seed is a run: the same one again.
//
// Time is that of a bubble of package testing/synctest: it stands still while anything works, and the schedule moves it.
type schedule struct {
	rnd    *rand.Rand
	faults profile
	step   int
	skew   time.Duration // of the service's clock against that of its timers and of the storage

	mu      sync.Mutex
	pending []*gate
	alive   int // processes
	count   int // processes so far
	trace   []string
}

// profile is how much goes wrong in a run, each in per mille of the effects.
type profile struct {
	refuse, lose, cut, crash int
	dropEvents, again        int // of events
}

func (f profile) none() bool { return f == profile{} }

// machine is what dies at once: a function that serves one request, or a host that serves them all.
type machine struct {
	user bool // that of a user, which does not crash
	dead atomic.Bool
	ctx  context.Context
	end  context.CancelFunc
}

func newMachine() *machine {
	ctx, end := context.WithCancel(context.Background())
	return &machine{ctx: ctx, end: end}
}

// kill ends a machine: no effect of its processes happens any more, and nobody gets their answers.
func (m *machine) kill() {
	m.dead.Store(true)
	m.end()
}

type process struct {
	name string
	on   *machine
	rnd  *rand.Rand
}

type processKey struct{}

func processOf(ctx context.Context) *process {
	p, ok := ctx.Value(processKey{}).(*process)
	if !ok {
		panic("an effect without a process")
	}
	return p
}

// start runs f as a process of the machine.
func (s *schedule) start(m *machine, name string, f func(ctx context.Context, p *process)) *process {
	s.mu.Lock()
	s.alive++
	s.count++
	p := &process{name: fmt.Sprintf("%03d %s", s.count, name), on: m, rnd: rand.New(rand.NewPCG(s.rnd.Uint64(), 0))}
	s.mu.Unlock()
	go func() {
		defer func() {
			s.mu.Lock()
			s.alive--
			s.mu.Unlock()
		}()
		f(context.WithValue(m.ctx, processKey{}, p), p)
	}()
	return p
}

// fate is what becomes of an effect.
type fate int

const (
	pass    fate = iota
	refused      // it does not happen
	lose         // it happens, and nobody learns of it
	cut          // it happens, and half of the answer arrives
	dead         // the process is no more
)

type gate struct {
	p    *process
	what string
	may  []fate
	open chan fate
}

var (
	errRefused = errors.New("refused by the simulation")
	errLost    = errors.New("the answer was lost by the simulation")
	errDead    = errors.New("the process is dead")
)

// effect waits until it may happen, and does it. may are the fates besides pass that make sense.
func (s *schedule) effect(ctx context.Context, what string, may []fate, do func() error) (fate, error) {
	p := processOf(ctx)
	if p.on.dead.Load() {
		return dead, errDead
	}
	g := &gate{p: p, what: what, may: may, open: make(chan fate)}
	s.mu.Lock()
	s.pending = append(s.pending, g)
	s.mu.Unlock()
	f := <-g.open
	switch {
	case f == dead:
		return dead, errDead
	case ctx.Err() != nil:
		return dead, ctx.Err()
	case f == refused:
		return refused, errRefused
	}
	err := do()
	if f == lose && err == nil {
		err = errLost
	}
	return f, err
}

// settle waits until every process waits: for its gate, for another process, or for the time.
func (s *schedule) settle() {
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	// Goroutines of one process may come to their gates in any order.
	slices.SortStableFunc(s.pending, func(a, b *gate) int { return strings.Compare(a.p.name+a.what, b.p.name+b.what) })
}

// let opens one gate.
func (s *schedule) let(n int, f fate) {
	s.mu.Lock()
	g := s.pending[n]
	s.pending = slices.Delete(s.pending, n, n+1)
	s.mu.Unlock()
	s.note("%s: %s%s", g.p.name, g.what, [...]string{"", " REFUSED", " LOST", " CUT", " dead"}[f])
	g.open <- f
	s.settle()
}

func (s *schedule) note(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trace = append(s.trace, fmt.Sprintf("%5d ", s.step)+fmt.Sprintf(format, args...))
}

// Write takes what the service logs.
func (s *schedule) Write(line []byte) (int, error) {
	s.note("        %s", bytes.TrimSpace(line))
	return len(line), nil
}

// bury lets what waits of dead machines go.
func (s *schedule) bury() {
	for {
		n := slices.IndexFunc(s.pending, func(g *gate) bool { return g.p.on.dead.Load() })
		if n < 0 {
			return
		}
		s.let(n, dead)
	}
}

// one lets one effect happen, or not; false when none waits.
func (s *schedule) one() bool {
	s.bury()
	if len(s.pending) == 0 {
		return false
	}
	n := s.rnd.IntN(len(s.pending))
	g, f := s.pending[n], pass
	if !s.faults.none() {
		throw := s.rnd.IntN(1000)
		for _, c := range []struct {
			f    fate
			rate int
		}{{refused, s.faults.refuse}, {lose, s.faults.lose}, {cut, s.faults.cut}} {
			if throw < c.rate && slices.Contains(g.may, c.f) {
				f = c.f
				break
			}
			throw -= c.rate
		}
	}
	s.let(n, f)
	return true
}

// wait moves the time.
func (s *schedule) wait(d time.Duration) {
	s.note("time goes on by %v", d)
	time.Sleep(d)
	s.settle()
}

// finish lets everything that is under way come to its end.
func (s *schedule) finish(bound int) error {
	for n := 0; ; n++ {
		s.settle()
		s.mu.Lock()
		alive := s.alive
		s.mu.Unlock()
		if alive == 0 {
			return nil
		}
		if n > bound {
			return fmt.Errorf("%d processes do not come to an end; %d effects wait", alive, len(s.pending))
		}
		if s.step++; !s.one() {
			s.wait(time.Second)
		}
	}
}
