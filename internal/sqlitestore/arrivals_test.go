package sqlitestore

import (
	"testing"
	"time"
)

func TestArrivalsWaitUntilTheyAreDone(t *testing.T) {
	s := openNew(t)
	ctx := t.Context()
	for _, key := range []string{"a", "b", "c"} {
		if err := s.AddArrival(ctx, key, []byte("payload of "+key)); err != nil {
			t.Fatal(err)
		}
	}
	next := func(want ...string) []Arrival {
		t.Helper()
		list, err := s.NextArrivals(ctx, 10)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, a := range list {
			got = append(got, a.Key)
			if string(a.Payload) != "payload of "+a.Key || a.AddedAt.IsZero() {
				t.Errorf("arrival %s: got %+v", a.Key, a)
			}
		}
		if len(got) != len(want) {
			t.Fatalf("got %v, want %v", got, want)
		}
		for n := range want {
			if got[n] != want[n] {
				t.Fatalf("got %v, want %v", got, want)
			}
		}
		return list
	}
	list := next("a", "b", "c")
	if few, err := s.NextArrivals(ctx, 2); err != nil || len(few) != 2 {
		t.Errorf("with limit 2: got %d and error %v", len(few), err)
	}
	for range 2 {
		if err := s.DoneArrival(ctx, list[1].ID); err != nil {
			t.Fatal(err)
		}
	}
	next("a", "c")
	if err := s.RetryArrival(ctx, list[0].ID, time.Now().Add(time.Hour), "S3 answered 503"); err != nil {
		t.Fatal(err)
	}
	next("c")
	if err := s.RetryArrival(ctx, list[0].ID, time.Now().Add(-time.Second), "S3 answered 500"); err != nil {
		t.Fatal(err)
	}
	list = next("a", "c") // the one that is due longest first
	if got := list[0]; got.Attempts != 2 || got.Reason != "S3 answered 500" {
		t.Errorf("after two attempts: got %+v", got)
	}
	path := s.path
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = closeAtEnd(t, openAt(t, path))
	next("a", "c")
}

func TestSettingsAreKeptAndRemoved(t *testing.T) {
	s := closeAtEnd(t, openNew(t))
	for _, value := range []string{"", "one", "two", ""} {
		if err := s.SetSetting(t.Context(), "key", value); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Setting(t.Context(), "key"); err != nil || got != value {
			t.Errorf("got %q and error %v, want %q", got, err, value)
		}
	}
}
