package sqlitestore

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"bullion/internal/images"
)

func TestDeliveriesWaitInOrderForEachDestination(t *testing.T) {
	s, ctx := closeAtEnd(t, openNew(t)), t.Context()
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	event := func(id string, seq int64) images.Event {
		return images.Event{ImageID: id, Seq: seq, At: time.Unix(seq, 0).UTC(), To: images.StatusActive, Reason: "why"}
	}
	ok(s.QueueDeliveries(ctx, []string{"x", "y"}, []images.Event{event("a", 1), event("b", 1), event("a", 2)}))
	ok(s.QueueDeliveries(ctx, []string{"x", "y"}, []images.Event{event("a", 2), event("a", 3), event("c", 7)})) // the relay died before its mark
	heads := func(destination string, want ...string) []int64 {
		t.Helper()
		list, err := s.NextDeliveries(ctx, destination, 10)
		ok(err)
		var got []string
		var ns []int64
		for _, d := range list {
			got, ns = append(got, fmt.Sprintf("%s%d", d.Event.ImageID, d.Event.Seq)), append(ns, d.N)
			if d.Event.Reason != "why" || d.AddedAt.IsZero() {
				t.Errorf("got %+v", d)
			}
		}
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", destination, got, want)
		}
		return ns
	}
	ns := heads("x", "a1", "b1", "c7")
	ok(s.DoneDelivery(ctx, ns[0]))
	ok(s.DoneDelivery(ctx, ns[0]))
	ns = heads("x", "a2", "b1", "c7")
	heads("y", "a1", "b1", "c7")
	for _, n := range ns {
		ok(s.PostponeDelivery(ctx, n, time.Now().Add(time.Hour)))
	}
	heads("x")
	ok(s.QueueDeliveries(ctx, []string{"x"}, []images.Event{event("a", 4), event("d", 1)}))
	heads("x", "d1") // a4 does not overtake a2
	ok(s.PostponeDelivery(ctx, ns[0], time.Now().Add(-time.Second)))
	ok(s.KeepDestinations(ctx, []string{"x"}))
	heads("y")
	if list, err := s.NextDeliveries(ctx, "x", 10); err != nil || len(list) != 2 || max(list[0].Attempts, list[1].Attempts) != 2 {
		t.Errorf("after two failures: got %+v and error %v", list, err)
	}
	ok(s.KeepDestinations(ctx, nil))
	heads("x")
}
