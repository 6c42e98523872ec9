package main

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

// meter shows how far the phases of a command are, one line each, on a terminal. Elsewhere it says nothing but when something goes wrong for a while.
type meter struct {
	a       *app
	screen  *mpb.Progress // nil when there is no terminal
	mu      sync.Mutex
	trouble string // what is being waited out
	until   time.Time
	told    bool
}

func (a *app) meter() *meter {
	m := &meter{a: a}
	if terminal(a.err) && !a.quiet && !a.noProgress {
		m.screen = mpb.New(mpb.WithOutput(a.err), mpb.WithRefreshRate(100*time.Millisecond))
	}
	return m
}

// close leaves the finished lines on the screen.
func (m *meter) close() {
	if m.screen != nil {
		m.screen.Wait()
	}
}

// wait shows a failure that is being waited out, for as long as it takes to be tried again.
func (m *meter) wait(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.trouble, m.until = clean(strings.TrimSuffix(err.Error(), ".")), time.Now().Add(6*time.Second)
	if m.screen == nil && !m.told {
		m.told = true
		m.a.note("%s; trying again.", sentence(m.trouble)[:len(sentence(m.trouble))-1])
	}
}

func (m *meter) waiting() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if time.Now().After(m.until) {
		return ""
	}
	return m.trouble
}

// phase is one line. total may be 0 while it is not known.
type phase struct {
	meter *meter
	bar   *mpb.Bar
	stop  chan struct{}
	done  sync.WaitGroup
}

// phase begins a line that reads its numbers from now ten times a second: bytes done, of how many, and how many were there before it began.
func (m *meter) phase(title string, now func() (done, total, before int64)) *phase {
	p := &phase{meter: m, stop: make(chan struct{})}
	if m.screen == nil {
		return p
	}
	began := time.Now()
	rate := new(speed)
	p.bar = m.screen.New(0,
		mpb.BarStyle().Lbound("").Rbound("").Filler("█").Tip("▌").Padding("░").Refiller("▓"),
		mpb.PrependDecorators(decor.Name(fmt.Sprintf("%-9s ", title))),
		mpb.AppendDecorators(decor.Any(func(s decor.Statistics) string {
			return " " + describe(s.Current, s.Total, rate.perSecond(), s.Completed, time.Since(began), m.waiting())
		})),
	)
	update := func() {
		done, total, before := now()
		p.bar.SetTotal(total, false)
		p.bar.SetRefill(before)
		p.bar.SetCurrent(done)
		rate.sample(done-before, time.Since(began))
	}
	p.done.Go(func() {
		ticker := time.NewTicker(100 * time.Millisecond)
		defer ticker.Stop()
		for {
			select {
			case <-p.stop:
				update()
				return
			case <-ticker.C:
				update()
			}
		}
	})
	return p
}

// end finishes the line; failed leaves it where it is.
func (p *phase) end(failed bool) {
	close(p.stop)
	p.done.Wait()
	if p.bar == nil {
		return
	}
	if failed {
		p.bar.Abort(false)
	} else {
		p.bar.SetTotal(-1, true)
	}
	p.bar.Wait()
}

// describe is the text behind a bar.
func describe(done, total int64, rate float64, complete bool, took time.Duration, trouble string) string {
	switch {
	case complete:
		average := float64(done) / max(took.Seconds(), 1e-3)
		return fmt.Sprintf("%s in %s, %s/s", humanBytes(done), humanTime(took), humanBytes(int64(average)))
	case total <= 0:
		return trouble
	}
	line := fmt.Sprintf("%3d%%  %s of %s", 100*done/total, humanBytes(done), humanBytes(total))
	switch {
	case trouble != "":
		return line + "  " + trouble
	case rate > 0:
		left := time.Duration(float64(total-done) / rate * float64(time.Second))
		return line + fmt.Sprintf("  %s/s  %s left", humanBytes(int64(rate)), humanTime(left))
	}
	return line
}

// humanTime is a duration in at most two units.
func humanTime(d time.Duration) string {
	s := int64(d.Round(time.Second) / time.Second)
	switch {
	case d < 10*time.Second && d >= 0:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case s < 60:
		return fmt.Sprintf("%d s", s)
	case s < 3600:
		return fmt.Sprintf("%d min %02d s", s/60, s%60)
	case s < 100*3600:
		return fmt.Sprintf("%d h %02d min", s/3600, s%3600/60)
	}
	return fmt.Sprintf("%d days", s/86400)
}

// speed is bytes per second over the last seconds: long enough to be calm, short enough to follow a change.
type speed struct {
	mu      sync.Mutex
	samples []sample
}

type sample struct {
	bytes int64
	at    time.Duration
}

const speedWindow = 8 * time.Second

func (s *speed) sample(bytes int64, at time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.samples = append(s.samples, sample{bytes, at})
	for len(s.samples) > 2 && at-s.samples[1].at >= speedWindow {
		s.samples = s.samples[1:]
	}
}

func (s *speed) perSecond() float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.samples) == 0 {
		return 0
	}
	first, last := s.samples[0], s.samples[len(s.samples)-1]
	if last.at-first.at < 500*time.Millisecond {
		first = sample{} // from the very beginning
	}
	if last.at <= first.at || last.bytes <= first.bytes {
		return 0
	}
	return float64(last.bytes-first.bytes) / (last.at - first.at).Seconds()
}
