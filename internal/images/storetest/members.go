package storetest

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bullion/internal/images"
)

func (s *suite) members(t *testing.T) {
	entry := func(imageID, project string, n int) images.Member {
		at := epoch.Add(time.Duration(n) * time.Microsecond)
		return images.Member{ImageID: imageID, ProjectID: project, Status: images.Pending, CreatedAt: at, UpdatedAt: at}
	}
	list := func(t *testing.T, store images.Store, id string) []images.Member {
		t.Helper()
		got, err := store.Members(t.Context(), id)
		if err != nil {
			t.Fatalf("Members(%s): %v", id, err)
		}
		return got
	}

	t.Run("entries are added, answered and removed, and leave the record alone", func(t *testing.T) {
		store, g := s.fresh(t), Generator{random(t)}
		ctx := t.Context()
		i, other := create(t, store, g.Plain("alpha", 0)), create(t, store, g.Plain("alpha", 1))
		if got := list(t, store, i.ID); len(got) != 0 {
			t.Errorf("members of a new image: got %v, want none", got)
		}
		want := []images.Member{entry(i.ID, "zeta", 0), entry(i.ID, "naïve o'project", 1), entry(i.ID, "beta", 2), entry(i.ID, "eta", 2)}
		for _, n := range []int{3, 0, 2, 1} {
			if err := store.CreateMember(ctx, want[n]); err != nil {
				t.Fatal(err)
			}
		}
		if err := store.CreateMember(ctx, entry(other.ID, "beta", 0)); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, list(t, store, i.ID)); diff != "" {
			t.Errorf("the oldest first, then by project (-want +got):\n%s", diff)
		}
		wantKind(t, "adding an entry that is there", store.CreateMember(ctx, entry(i.ID, "beta", 9)), images.Conflict)

		answer := want[1]
		answer.Status, answer.UpdatedAt, answer.CreatedAt = images.Accepted, epoch.Add(time.Hour), epoch.Add(time.Minute)
		if err := store.UpdateMember(ctx, answer); err != nil {
			t.Fatal(err)
		}
		want[1].Status, want[1].UpdatedAt = answer.Status, answer.UpdatedAt
		got, err := store.Member(ctx, i.ID, answer.ProjectID)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(&want[1], got); diff != "" {
			t.Errorf("after the answer (-want +got):\n%s", diff)
		}
		if err := store.DeleteMember(ctx, i.ID, "zeta"); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want[1:], list(t, store, i.ID)); diff != "" {
			t.Errorf("after the removal (-want +got):\n%s", diff)
		}
		if err := store.CreateMember(ctx, entry(i.ID, "zeta", 7)); err != nil {
			t.Errorf("adding an entry again: %v", err)
		}
		if diff := cmp.Diff(i, get(t, store, i.ID), whole); diff != "" {
			t.Errorf("the record (-want +got):\n%s", diff)
		}
	})

	t.Run("what is not there is not found", func(t *testing.T) {
		store, g := s.fresh(t), Generator{random(t)}
		ctx := t.Context()
		i := create(t, store, g.Plain("alpha", 0))
		gone := create(t, store, g.Plain("alpha", 1))
		if err := store.CreateMember(ctx, entry(gone.ID, "beta", 0)); err != nil {
			t.Fatal(err)
		}
		remove(t, store, gone)
		for name, id := range map[string]string{"no entry": i.ID, "a deleted image": gone.ID, "an unknown image": g.ID()} {
			_, err := store.Member(ctx, id, "beta")
			wantKind(t, "Member of "+name, err, images.NotFound)
			wantKind(t, "UpdateMember of "+name, store.UpdateMember(ctx, entry(id, "beta", 0)), images.NotFound)
			wantKind(t, "DeleteMember of "+name, store.DeleteMember(ctx, id, "beta"), images.NotFound)
			if got := list(t, store, id); len(got) != 0 {
				t.Errorf("Members of %s: got %v, want none", name, got)
			}
		}
		wantKind(t, "CreateMember of a deleted image", store.CreateMember(ctx, entry(gone.ID, "beta", 0)), images.NotFound)
		wantKind(t, "CreateMember of an unknown image", store.CreateMember(ctx, entry(g.ID(), "beta", 0)), images.NotFound)
	})

	t.Run("of many who add the same entry one succeeds and the others conflict", func(t *testing.T) {
		store, g := s.fresh(t), Generator{random(t)}
		handles := s.handles(t, store, s.Writers)
		i := create(t, store, g.Plain("alpha", 0))
		var won atomic.Int64
		err := together(s.Writers, func(w int) error {
			err := handles[w].CreateMember(t.Context(), entry(i.ID, "beta", w))
			switch {
			case err == nil:
				won.Add(1)
			case images.KindOf(err) != images.Conflict:
				return err
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if won.Load() != 1 || len(list(t, store, i.ID)) != 1 {
			t.Errorf("%d succeeded and %d entries are there, want 1", won.Load(), len(list(t, store, i.ID)))
		}
	})

	t.Run("an image has at most MaxMembers, while many add", func(t *testing.T) {
		store, g := s.fresh(t), Generator{random(t)}
		handles := s.handles(t, store, s.Writers)
		i := create(t, store, g.Plain("alpha", 0))
		var made, next atomic.Int64
		err := together(s.Writers, func(w int) error {
			for {
				n := int(next.Add(1)) - 1
				if n >= images.MaxMembers+2*s.Writers {
					return nil
				}
				err := handles[w].CreateMember(t.Context(), entry(i.ID, fmt.Sprintf("project %d", n), n))
				switch {
				case err == nil:
					made.Add(1)
				case images.KindOf(err) != images.TooLarge:
					return err
				}
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		all := list(t, store, i.ID)
		if made.Load() != images.MaxMembers || len(all) != images.MaxMembers {
			t.Errorf("%d succeeded and %d entries are there, want %d", made.Load(), len(all), images.MaxMembers)
		}
		if err := store.DeleteMember(t.Context(), i.ID, all[0].ProjectID); err != nil {
			t.Fatal(err)
		}
		if err := store.CreateMember(t.Context(), entry(i.ID, "in the place that was freed", 0)); err != nil {
			t.Errorf("after a removal: %v", err)
		}
		wantKind(t, "adding one more", store.CreateMember(t.Context(), entry(i.ID, "one more", 0)), images.TooLarge)
	})

	t.Run("no entry outlives its image, whichever comes first", func(t *testing.T) {
		store, g := s.fresh(t), Generator{random(t)}
		handles := s.handles(t, store, 2)
		for n := range 20 {
			i := create(t, store, g.Plain("alpha", n))
			err := together(2, func(w int) error {
				if w == 0 {
					is := i.Clone()
					is.Status = images.StatusDeleted
					return handles[0].Apply(t.Context(), images.Write{Was: i, Is: is})
				}
				err := handles[1].CreateMember(t.Context(), entry(i.ID, "beta", n))
				if images.KindOf(err) == images.NotFound {
					return nil
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			if got := list(t, store, i.ID); len(got) != 0 {
				t.Fatalf("members of a deleted image: got %v, want none", got)
			}
		}
	})

	t.Run("lists follow entries and records as both change", func(t *testing.T) {
		store, g := s.fresh(t), Generator{random(t)}
		ctx := t.Context()
		i := create(t, store, g.Plain("alpha", 0))
		listed := func(what string, want bool, q images.Query) {
			t.Helper()
			q.ProjectID, q.Limit = "beta", 10
			page, err := store.List(ctx, &q)
			if err != nil {
				t.Fatal(err)
			}
			if got := len(page.Images) == 1; got != want {
				t.Errorf("%s: listed: got %v, want %v", what, got, want)
			}
		}
		accepted, pending := images.Query{Visibility: images.Shared}, images.Query{Visibility: images.Shared, MemberStatus: images.Pending}
		listed("not shared", false, accepted)
		m := entry(i.ID, "beta", 0)
		if err := store.CreateMember(ctx, m); err != nil {
			t.Fatal(err)
		}
		listed("pending", false, accepted)
		listed("pending, asked for", true, pending)
		m.Status = images.Accepted
		if err := store.UpdateMember(ctx, m); err != nil {
			t.Fatal(err)
		}
		listed("accepted", true, accepted)
		listed("accepted, pending asked for", false, pending)
		listed("accepted, in the list without a visibility", true, images.Query{})
		i = replace(t, store, i, func(i *images.Image) { i.Name = "renamed" })
		listed("by its new name", true, images.Query{Names: []string{"renamed"}, Sort: []images.SortKey{{Key: "name"}}})
		i = replace(t, store, i, func(i *images.Image) { i.Visibility = images.Private })
		listed("made private", false, accepted)
		i = replace(t, store, i, func(i *images.Image) { i.Visibility = images.Shared })
		listed("shared again", true, accepted)
		i = replace(t, store, i, func(i *images.Image) { i.Hidden = true })
		listed("hidden", false, accepted)
		listed("hidden, asked for", true, images.Query{Hidden: true})
		i = replace(t, store, i, func(i *images.Image) { i.Hidden, i.Owner = false, "beta" })
		listed("owned", true, pending)
		i = replace(t, store, i, func(i *images.Image) { i.Owner = "gamma" })
		listed("of another owner", true, accepted)
		if err := store.DeleteMember(ctx, i.ID, "beta"); err != nil {
			t.Fatal(err)
		}
		listed("no longer shared", false, accepted)
	})
}
