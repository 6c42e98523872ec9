package dynamostore

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"bullion/internal/dynamostore/dynamotest"
	"bullion/internal/images"
	"bullion/internal/images/storetest"
)

// behind is a store whose requests pass the faults, on the quick engine.
func behind(t *testing.T, f *dynamotest.Faults) *Store {
	t.Helper()
	f.Endpoint = dynamotest.Dynoxide(t)
	table := dynamotest.Table(t, dynamotest.Client(f.Endpoint), TableInput)
	return New(dynamotest.Client(f.Serve(t)), table, Options{})
}

// list reads a list to its end.
func list(t *testing.T, s images.Store, q images.Query) []*images.Image {
	t.Helper()
	var all []*images.Image
	for {
		page, err := s.List(t.Context(), &q)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, page.Images...)
		if page.Next == nil {
			return all
		}
		q.After = page.Next
	}
}

func ids(list []*images.Image) string {
	var text strings.Builder
	for _, i := range list {
		text.WriteString(i.ID + "\n")
	}
	return text.String()
}

func TestBooksBalanceWhen(t *testing.T) {
	every := func(n int, a dynamotest.Action, operations ...string) func(string, int) dynamotest.Action {
		return func(operation string, before int) dynamotest.Action {
			for _, o := range operations {
				if o == operation && before%n == n-1 {
					return a
				}
			}
			if len(operations) == 0 && before%n == n-1 {
				return a
			}
			return dynamotest.Forward
		}
	}
	for name, choose := range map[string]func(string, int) dynamotest.Action{
		"every ninth request is over the throughput":            every(9, dynamotest.Throttle),
		"every ninth request is throttled":                      every(9, dynamotest.Throttling),
		"every ninth request meets an error of the service":     every(9, dynamotest.InternalError),
		"the answer to every ninth request is lost":             every(9, dynamotest.LoseAnswer),
		"every ninth connection breaks":                         every(9, dynamotest.Disconnect),
		"every ninth connection breaks before the answer":       every(9, dynamotest.DisconnectLate),
		"every second write conflicts with a transaction":       every(2, dynamotest.Conflict),
		"every second batch of reads or writes is done by half": every(2, dynamotest.Partial, "BatchGetItem", "BatchWriteItem"),
	} {
		t.Run(name, func(t *testing.T) {
			store := behind(t, &dynamotest.Faults{Choose: choose})
			g := storetest.Generator{Rand: rand.New(rand.NewPCG(1, 2))}
			m, err := g.Populate(t.Context(), store, 20)
			if err != nil {
				t.Fatal(err)
			}
			want := map[string]images.Usage{}
			for id, i := range m.Images {
				want[i.Owner] = want[i.Owner].Add(images.UsageOf(i))
				got, err := store.Image(t.Context(), id)
				if err != nil {
					t.Fatal(err)
				}
				if got.Version != i.Version {
					t.Errorf("version of %s: got %d, want %d", id, got.Version, i.Version)
				}
			}
			for project, usage := range want {
				got, err := store.Usage(t.Context(), project)
				if err != nil {
					t.Fatal(err)
				}
				if got != usage {
					t.Errorf("usage of %s: got %+v, want %+v", project, got, usage)
				}
				for _, sort := range []string{"created_at", "name", "status", "size"} {
					q := images.Query{ProjectID: project, Visibility: images.VisibilityAll, MemberStatus: images.MemberStatusAll, Limit: 9, Sort: []images.SortKey{{Key: sort}}}
					if got, want := ids(list(t, store, q)), ids(m.List(&q)); got != want {
						t.Errorf("list of %s by %s: got\n%swant\n%s", project, sort, got, want)
					}
				}
			}
			var events []images.Event
			for n := range 60 {
				i := g.Plain("events", n)
				e := &images.Event{ImageID: i.ID, Owner: i.Owner, To: i.Status, At: i.CreatedAt}
				if err := store.Apply(t.Context(), images.Write{Is: i, Event: e}); err != nil {
					t.Fatal(err)
				}
			}
			if events, err = store.Undelivered(t.Context(), 100); err != nil || len(events) != 60 {
				t.Fatalf("got %d undelivered events and error %v, want 60", len(events), err)
			}
			if err := store.Delivered(t.Context(), events); err != nil {
				t.Fatal(err)
			}
			if events, err = store.Undelivered(t.Context(), 100); err != nil || len(events) != 0 {
				t.Errorf("got %d undelivered events and error %v, want none", len(events), err)
			}
		})
	}
}

// calls are one call of every method.
func calls(store *Store, i *images.Image) map[string]func(context.Context) error {
	g := storetest.Generator{Rand: rand.New(rand.NewPCG(3, 4))}
	return map[string]func(context.Context) error{
		"create":  func(ctx context.Context) error { return store.Apply(ctx, images.Write{Is: g.Plain("alpha", 1)}) },
		"replace": func(ctx context.Context) error { return store.Apply(ctx, images.Write{Was: i, Is: i.Clone()}) },
		"image":   func(ctx context.Context) error { _, err := store.Image(ctx, i.ID); return err },
		"list": func(ctx context.Context) error {
			_, err := store.List(ctx, &images.Query{ProjectID: "alpha", Limit: 5})
			return err
		},
		"due":     func(ctx context.Context) error { _, err := store.Due(ctx, i.CreatedAt, 5); return err },
		"members": func(ctx context.Context) error { _, err := store.Members(ctx, i.ID); return err },
		"add member": func(ctx context.Context) error {
			return store.CreateMember(ctx, images.Member{ImageID: i.ID, ProjectID: "beta"})
		},
		"usage":     func(ctx context.Context) error { _, err := store.Usage(ctx, "alpha"); return err },
		"delivered": func(ctx context.Context) error { return store.Delivered(ctx, []images.Event{{ImageID: i.ID, Seq: 1}}) },
	}
}

func TestAFaultThatLastsIsUnavailable(t *testing.T) {
	f := &dynamotest.Faults{}
	store := behind(t, f)
	g := storetest.Generator{Rand: rand.New(rand.NewPCG(5, 6))}
	i := g.Plain("alpha", 0)
	if err := store.Apply(t.Context(), images.Write{Is: i}); err != nil {
		t.Fatal(err)
	}
	f.Choose = func(string, int) dynamotest.Action { return dynamotest.Throttle }
	var wait sync.WaitGroup
	for name, call := range calls(store, i) {
		wait.Go(func() {
			if err := call(t.Context()); images.KindOf(err) != images.Unavailable {
				t.Errorf("%s: got error %v of kind %d, want kind %d", name, err, images.KindOf(err), images.Unavailable)
			}
		})
	}
	wait.Wait()
}

func TestACallEndsWithItsContext(t *testing.T) {
	for name, action := range map[string]dynamotest.Action{"no answer comes": dynamotest.Hang, "all is throttled": dynamotest.Throttle, "every write conflicts": dynamotest.Conflict} {
		t.Run("while "+name, func(t *testing.T) {
			f := &dynamotest.Faults{}
			store := behind(t, f)
			i := storetest.Generator{Rand: rand.New(rand.NewPCG(7, 8))}.Plain("alpha", 0)
			if err := store.Apply(t.Context(), images.Write{Is: i}); err != nil {
				t.Fatal(err)
			}
			f.Choose = func(string, int) dynamotest.Action { return action }
			for name, call := range calls(store, i) {
				if action == dynamotest.Conflict && name != "create" && name != "replace" && name != "add member" {
					continue
				}
				ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
				if err := call(ctx); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("%s: got error %v, want context.DeadlineExceeded", name, err)
				}
				cancel()
			}
		})
	}
}

func TestAnErrorThatStaysNamesTheTableAndTheAction(t *testing.T) {
	f := &dynamotest.Faults{}
	store := behind(t, f)
	i := storetest.Generator{Rand: rand.New(rand.NewPCG(9, 10))}.Plain("alpha", 0)
	if err := store.Apply(t.Context(), images.Write{Is: i}); err != nil {
		t.Fatal(err)
	}
	f.Choose = func(string, int) dynamotest.Action { return dynamotest.Deny }
	_, err := store.Image(t.Context(), i.ID)
	for _, want := range []string{store.table, "GetItem", "AccessDeniedException"} {
		if !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("the error %q does not name %s", err, want)
		}
	}
	if got := images.KindOf(err); got != images.Internal {
		t.Errorf("kind: got %d, want %d", got, images.Internal)
	}

	f.Choose = nil
	lost := New(store.db, "no-such-table", Options{})
	if _, err := lost.Image(t.Context(), i.ID); !strings.Contains(fmt.Sprint(err), "no-such-table") || !strings.Contains(fmt.Sprint(err), "ResourceNotFoundException") {
		t.Errorf("the error %q does not name the table that is missing", err)
	}
}

func TestPublicListsAreReadOnceForAll(t *testing.T) {
	f := &dynamotest.Faults{}
	plain := behind(t, f)
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	store := New(plain.db, plain.table, Options{PublicFor: 2 * time.Second, Now: func() time.Time { return now }})
	g := storetest.Generator{Rand: rand.New(rand.NewPCG(11, 12))}
	var public []*images.Image
	for n := range 30 {
		i := g.Plain("publisher", n)
		i.Visibility = images.Public
		if err := plain.Apply(t.Context(), images.Write{Is: i}); err != nil {
			t.Fatal(err)
		}
		public = append(public, i)
	}
	q := images.Query{Visibility: images.Public, Limit: 100}
	ask := func(project string) []*images.Image {
		t.Helper()
		q := q
		q.ProjectID = project
		return list(t, store, q)
	}
	for n := range 50 {
		if got := ask(fmt.Sprint("project ", n)); len(got) != len(public) {
			t.Fatalf("got %d images, want %d", len(got), len(public))
		}
	}
	if got := f.Requests("BatchGetItem"); got != 1 {
		t.Errorf("reads of records for 50 lists of the same: got %d, want 1", got)
	}
	// What a list gave belongs to whoever asked.
	ask("one")[0].Name = "spoiled"
	if got := ask("another")[0].Name; got == "spoiled" {
		t.Error("the record of one list is shown in another")
	}

	is := public[0].Clone()
	is.Status = images.StatusDeleted
	if err := plain.Apply(t.Context(), images.Write{Was: public[0], Is: is}); err != nil {
		t.Fatal(err)
	}
	now = now.Add(3 * time.Second)
	if got := len(ask("later")); got != len(public)-1 {
		t.Errorf("after the time is over: got %d images, want %d", got, len(public)-1)
	}

	// Whoever reads its own list sees what it wrote at once.
	mine := g.Plain("me", 0)
	if err := store.Apply(t.Context(), images.Write{Is: mine}); err != nil {
		t.Fatal(err)
	}
	if got := list(t, store, images.Query{ProjectID: "me", Limit: 1}); len(got) != len(public) || got[len(got)-1].ID == "" {
		t.Errorf("got %d images, want mine and %d public ones", len(got), len(public)-1)
	}

	// A read that fails is not kept.
	now = now.Add(3 * time.Second)
	f.Choose = func(string, int) dynamotest.Action { return dynamotest.Deny }
	if _, err := store.List(t.Context(), &q); err == nil {
		t.Error("a list without permission: got no error")
	}
	f.Choose = nil
	if got := len(ask("after the fault")); got != len(public)-1 {
		t.Errorf("after a read that failed: got %d images, want %d", got, len(public)-1)
	}
}

func TestEphemeralValues(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	plain := behind(t, &dynamotest.Faults{})
	store := New(plain.db, plain.table, Options{Now: func() time.Time { return now }})
	if _, ok, err := store.GetEphemeral(t.Context(), "token"); ok || err != nil {
		t.Errorf("before it is there: got %v and error %v", ok, err)
	}
	for _, value := range []string{"first", "second", ""} {
		if err := store.PutEphemeral(t.Context(), "token", []byte(value), time.Minute); err != nil {
			t.Fatal(err)
		}
		got, ok, err := store.GetEphemeral(t.Context(), "token")
		if !ok || err != nil || string(got) != value {
			t.Errorf("got %q, %v and error %v, want %q", got, ok, err, value)
		}
	}
	now = now.Add(time.Minute)
	if _, ok, err := store.GetEphemeral(t.Context(), "token"); ok || err != nil {
		t.Errorf("when its time is over: got %v and error %v", ok, err)
	}
	it, err := store.get(t.Context(), pkEphemeral("token"), skValue)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := it.int(TTLAttribute); err != nil || got != now.Unix()+1 {
		t.Errorf("time to live: got %d and error %v, want %d", got, err, now.Unix()+1)
	}
	if err := store.PutEphemeral(t.Context(), "", nil, time.Minute); err == nil {
		t.Error("an empty key: got no error")
	}
}
