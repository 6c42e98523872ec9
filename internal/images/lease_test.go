package images

import (
	"testing"
	"time"
)

func TestWhatDiesWithItsHostPausesAndEndsOnlyIfItMayBeTheCause(t *testing.T) {
	began := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, test := range []struct {
		name    string
		kills   int // in a row, from outside
		crashes int // in a row, after them
		pause   time.Duration
		deadly  bool
	}{
		{"one kill", 1, 0, 0, false},
		{"four kills", 4, 0, 0, false},
		{"five kills", 5, 0, 20 * time.Second, false},
		{"a hundred kills", 100, 0, time.Minute, false},
		{"one crash", 0, 1, 0, false},
		{"two crashes", 0, 2, 20 * time.Second, false},
		{"three crashes", 0, 3, 40 * time.Second, false},
		{"four crashes", 0, 4, time.Minute, true},
		{"a hundred kills and three crashes", 100, 3, time.Minute, false},
		{"a hundred kills and four crashes", 100, 4, time.Minute, true},
		{"nine crashes", 0, 9, time.Minute, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			l, now := Lease{LeaseUntil: began}, began
			for n := range test.kills + test.crashes {
				if l.taken("next", now) {
					t.Fatalf("after %d ends it is not to be had when its pause is over", n)
				}
				l.take("next", now.Add(time.Minute))
				if !l.taken("another", now) {
					t.Fatal("another may take what is held")
				}
				crashed := n >= test.kills
				if !l.orphaned(now, crashed) {
					t.Fatal("the death of the holder changed nothing")
				}
				if l.LeaseUntil.After(now) && (!l.taken("next", now) || l.orphaned(now, crashed)) {
					t.Fatal("it may be taken during its pause, or another start changes that")
				}
				if n < test.kills+test.crashes-1 {
					now = l.LeaseUntil
				}
			}
			if got := l.LeaseUntil.Sub(now); got != test.pause {
				t.Errorf("it pauses for %v, want %v", got, test.pause)
			}
			if got := l.deadly(began, began.Add(deadlyAfter)); got != test.deadly {
				t.Errorf("deadly is %v, want %v", got, test.deadly)
			}
			if l.deadly(began, began.Add(deadlyAfter-1)) {
				t.Error("a few minutes of a machine that fails condemn it")
			}
			l.take("next", now)
			l.further()
			if l.orphaned(now, false); l.LeaseUntil.After(now) || l.deadly(began, began.Add(deadlyAfter)) {
				t.Error("what got further is not as new")
			}
		})
	}
}
