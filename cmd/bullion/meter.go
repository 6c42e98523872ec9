package main

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/vbauerster/cupwriter"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"bullion/cmd/bullion/internal/transfer"
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
		screen := cupwriter.New(lineStart{a.err}, false)
		screen.SetTermFd(int(fileOf(a.err).Fd()))
		m.screen = mpb.New(mpb.WithConsoleWriter(screen), mpb.WithRefreshRate(100*time.Millisecond))
	}
	return m
}

// lineStart begins each write in the first column. The terminal's echo of Ctrl-C would push the next frame two columns to the right, and so onto a second line.
type lineStart struct{ io.Writer }

func (l lineStart) Write(p []byte) (int, error) {
	n, err := l.Writer.Write(append([]byte{'\r'}, p...))
	return max(n-1, 0), err
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

// phase is one line.
type phase struct {
	bar  *mpb.Bar // nil when there is no terminal
	stop chan struct{}
	done sync.WaitGroup
}

// reading is how far a phase is.
type reading struct {
	done, total int64  // bytes; total is 0 while it is not known
	before      int64  // of done, what was there when the phase began
	doing       string // what is done when that is not moving bytes
}

// bytesMoved reads a transfer.
func bytesMoved(p *transfer.Progress) func() reading {
	return func() reading {
		done, total, before := p.Now()
		return reading{done: done, total: total, before: before}
	}
}

// phase begins a line that reads its numbers from now ten times a second.
func (m *meter) phase(title string, now func() reading) *phase {
	p := &phase{stop: make(chan struct{})}
	if m.screen == nil {
		return p
	}
	var mu sync.Mutex
	began, rate, text := time.Now(), speed{}, ""
	p.bar = m.screen.New(0,
		mpb.BarStyle().Lbound("").Rbound("").Filler("█").Tip("▌").Padding("░").Refiller("▓"),
		mpb.PrependDecorators(decor.Name(fmt.Sprintf("%-9s ", title))),
		mpb.AppendDecorators(decor.Any(func(decor.Statistics) string {
			mu.Lock()
			defer mu.Unlock()
			return " " + text
		})),
	)
	update := func(last bool) {
		r, took := now(), time.Since(began)
		p.bar.SetTotal(r.total, false)
		p.bar.SetRefill(r.before)
		p.bar.SetCurrent(r.done)
		mu.Lock()
		defer mu.Unlock()
		rate.sample(r.done-r.before, took)
		if last && r.done == r.total {
			text = finished(r, took)
		} else {
			text = describe(r, rate.perSecond(), m.waiting())
		}
	}
	p.done.Go(func() {
		ticker := time.NewTicker(100 * time.Millisecond)
		defer ticker.Stop()
		for {
			select {
			case <-p.stop:
				update(true)
				return
			case <-ticker.C:
				update(false)
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

// describe is the text behind a bar that grows.
func describe(r reading, rate float64, trouble string) string {
	switch {
	case r.total <= 0:
		return trouble
	case r.doing != "" && trouble == "":
		return r.doing
	}
	line := fmt.Sprintf("%3d%%  %s of %s", 100*r.done/r.total, humanBytes(r.done), humanBytes(r.total))
	switch {
	case trouble != "":
		return line + "  " + trouble
	case rate > 0:
		left := time.Duration(float64(r.total-r.done) / rate * float64(time.Second))
		return line + fmt.Sprintf("  %s/s  %s left", humanBytes(int64(rate)), humanTime(left))
	}
	return line
}

// finished is the text behind a full bar. A rate is said only where bytes moved.
func finished(r reading, took time.Duration) string {
	if r.doing != "" {
		return fmt.Sprintf("done in %s", humanTime(took))
	}
	average := float64(r.done-r.before) / max(took.Seconds(), 1e-3)
	return fmt.Sprintf("%s in %s, %s/s", humanBytes(r.done-r.before), humanTime(took), humanBytes(int64(average)))
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
type speed struct{ samples []sample }

type sample struct {
	bytes int64
	at    time.Duration
}

const speedWindow = 8 * time.Second

func (s *speed) sample(bytes int64, at time.Duration) {
	s.samples = append(s.samples, sample{bytes, at})
	for len(s.samples) > 2 && at-s.samples[1].at >= speedWindow {
		s.samples = s.samples[1:]
	}
}

func (s *speed) perSecond() float64 {
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
