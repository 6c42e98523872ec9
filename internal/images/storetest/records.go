package storetest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"bullion/internal/images"
)

// whole compares records; an empty list of tags and none are the same.
var whole = cmpopts.EquateEmpty()

func (s *suite) records(t *testing.T) {
	t.Run("a record that was created reads back whole, and so does its replacement", func(t *testing.T) {
		store, g := s.fresh(t), Generator{random(t)}
		for range 200 {
			i := g.Image()
			create(t, store, i)
			if i.Version != 1 {
				t.Fatalf("version of a new record: got %d, want 1", i.Version)
			}
			if diff := cmp.Diff(i, get(t, store, i.ID), whole); diff != "" {
				t.Fatalf("created (-want +got):\n%s", diff)
			}
			next := g.Image()
			next.ID = i.ID
			is := replace(t, store, i, func(is *images.Image) { v := is.Version; *is = *next; is.Version = v })
			if is.Version != 2 {
				t.Fatalf("version after a replacement: got %d, want 2", is.Version)
			}
			if diff := cmp.Diff(is, get(t, store, i.ID), whole); diff != "" {
				t.Fatalf("replaced (-want +got):\n%s", diff)
			}
		}
	})

	t.Run("times come back in UTC with their microseconds", func(t *testing.T) {
		store, g := s.fresh(t), Generator{random(t)}
		for _, at := range []time.Time{epoch, time.Date(2026, 12, 31, 23, 59, 59, 999999000, time.UTC), time.Date(2031, 1, 1, 0, 0, 0, 1000, time.UTC)} {
			i := g.Plain("alpha", 0)
			i.CreatedAt, i.UpdatedAt = at, at.Add(time.Microsecond)
			create(t, store, i)
			got := get(t, store, i.ID)
			if got.CreatedAt != i.CreatedAt || got.UpdatedAt != i.UpdatedAt {
				t.Errorf("got %v and %v, want %v and %v", got.CreatedAt, got.UpdatedAt, i.CreatedAt, i.UpdatedAt)
			}
		}
	})

	t.Run("the largest record fits", func(t *testing.T) {
		store, g := s.fresh(t), Generator{random(t)}
		i := g.Plain("alpha", 0)
		i.Properties = map[string]string{}
		for n := range images.MaxProperties {
			i.Properties[fmt.Sprintf("property %d", n)] = fmt.Sprintf("%0*d", (images.MaxRecord-images.MaxTags*10)/images.MaxProperties-14, n)
		}
		for n := range images.MaxTags {
			i.Tags = append(i.Tags, fmt.Sprintf("tag %d", n))
		}
		create(t, store, i)
		if diff := cmp.Diff(i, get(t, store, i.ID), whole); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		page, err := store.List(t.Context(), &images.Query{ProjectID: "alpha", Limit: 1, Tags: i.Tags, Properties: i.Properties})
		if err != nil || len(page.Images) != 1 {
			t.Errorf("listing it by all its tags and properties: got %d images and error %v, want 1", len(page.Images), err)
		}
	})

	t.Run("an id that is in use or was in use is never used again", func(t *testing.T) {
		store, g := s.fresh(t), Generator{random(t)}
		i := create(t, store, g.Plain("alpha", 0))
		again := g.Plain("beta", 1)
		again.ID = i.ID
		wantKind(t, "creating over a record", store.Apply(t.Context(), images.Write{Is: again}), images.Conflict)
		remove(t, store, i)
		wantKind(t, "creating over a tombstone", store.Apply(t.Context(), images.Write{Is: again}), images.Conflict)
		if again.Version != 0 {
			t.Errorf("version of a record that was not written: got %d, want 0", again.Version)
		}
		usageIs(t, store, "beta", images.Usage{})
	})

	t.Run("a write over another version, or over a record that is gone, is stale and changes nothing", func(t *testing.T) {
		store, g := s.fresh(t), Generator{random(t)}
		first := create(t, store, g.Plain("alpha", 0))
		second := replace(t, store, first, func(i *images.Image) { i.Name = "second" })
		stale := func(what string, was *images.Image, status images.Status) {
			t.Helper()
			is := was.Clone()
			is.Name, is.Owner, is.Status = "lost update", "beta", status
			err := store.Apply(t.Context(), images.Write{Was: was, Is: is, Event: &images.Event{ImageID: is.ID, At: epoch, Owner: "beta", To: status}})
			if !errors.Is(err, images.ErrStale) {
				t.Errorf("%s: got error %v, want ErrStale", what, err)
			}
			if is.Version != was.Version {
				t.Errorf("%s: version of a record that was not written: got %d, want %d", what, is.Version, was.Version)
			}
		}
		stale("replacing an old version", first, images.StatusQueued)
		stale("deleting an old version", first, images.StatusDeleted)
		future := second.Clone()
		future.Version = 9
		stale("replacing a version that does not exist yet", future, images.StatusQueued)
		if diff := cmp.Diff(second, get(t, store, first.ID), whole); diff != "" {
			t.Errorf("the record (-want +got):\n%s", diff)
		}
		remove(t, store, second)
		stale("replacing a deleted record", second, images.StatusQueued)
		stale("deleting a deleted record", second, images.StatusDeleted)
		never := g.Plain("alpha", 0)
		never.Version = 1
		stale("replacing a record that never was", never, images.StatusQueued)
		usageIs(t, store, "beta", images.Usage{})
		if events, err := store.Events(t.Context(), first.ID, 0, 10); err != nil || len(events) != 0 {
			t.Errorf("events of writes that failed: got %v and error %v, want none", events, err)
		}
	})

	t.Run("a record that never was, or is deleted, is not found; a deleted one keeps its position", func(t *testing.T) {
		store, g := s.fresh(t), Generator{random(t)}
		_, err := store.Image(t.Context(), g.ID())
		wantKind(t, "Image of an unknown id", err, images.NotFound)
		_, err = store.Position(t.Context(), g.ID())
		wantKind(t, "Position of an unknown id", err, images.NotFound)

		for range 20 {
			i := create(t, store, g.Image())
			at, err := store.Position(t.Context(), i.ID)
			if err != nil {
				t.Fatalf("Position of a record: %v", err)
			}
			if diff := cmp.Diff(i, at, whole); diff != "" {
				t.Errorf("position of a record (-want +got):\n%s", diff)
			}
			is := replace(t, store, i, func(i *images.Image) { i.Status, i.UpdatedAt = images.StatusDeleted, i.UpdatedAt.Add(time.Hour) })
			if is.Version != 2 {
				t.Errorf("version of a tombstone: got %d, want 2", is.Version)
			}
			_, err = store.Image(t.Context(), i.ID)
			wantKind(t, "Image of a deleted record", err, images.NotFound)
			if at, err = store.Position(t.Context(), i.ID); err != nil {
				t.Fatalf("Position of a deleted record: %v", err)
			}
			sorts := func(i *images.Image) *images.Image {
				return &images.Image{ID: i.ID, Name: i.Name, Status: i.Status, Visibility: i.Visibility, Owner: i.Owner, DiskFormat: i.DiskFormat,
					ContainerFormat: i.ContainerFormat, Size: i.Size, CreatedAt: i.CreatedAt, UpdatedAt: i.UpdatedAt}
			}
			if diff := cmp.Diff(sorts(is), sorts(at), whole); diff != "" {
				t.Errorf("position of a deleted record (-want +got):\n%s", diff)
			}
		}
	})

	t.Run("a record that is being deleted can be read by id and is in no list", func(t *testing.T) {
		store, g := s.fresh(t), Generator{random(t)}
		i := create(t, store, g.Plain("alpha", 0))
		replace(t, store, i, func(i *images.Image) { i.Status = images.StatusPendingDelete })
		if got := get(t, store, i.ID).Status; got != images.StatusPendingDelete {
			t.Errorf("status: got %s, want %s", got, images.StatusPendingDelete)
		}
		for _, q := range []images.Query{{ProjectID: "alpha"}, {SeesAll: true}, {SeesAll: true, Statuses: []string{"pending_delete"}}} {
			q.Limit = 10
			if page, err := store.List(t.Context(), &q); err != nil || len(page.Images) != 0 {
				t.Errorf("list: got %d images and error %v, want none", len(page.Images), err)
			}
		}
	})

	t.Run("nothing is shared with the memory of the caller", func(t *testing.T) {
		store, g := s.fresh(t), Generator{random(t)}
		i := g.Image()
		for i.Blob == nil || i.Upload == nil || i.Upload.Validation == nil || i.Import == nil || i.Size == nil || len(i.Tags) == 0 || len(i.Properties) == 0 ||
			i.Status == images.StatusPendingDelete {
			i = g.Image()
		}
		i.Owner, i.Hidden = "alpha", false
		create(t, store, i)
		want := i.Clone()
		spoil := func(i *images.Image) {
			i.Name, i.Tags[0], *i.Size, i.Blob.Key, i.Upload.ID, i.Upload.Validation.HashState[0], i.Import.TaskID = "spoiled", "spoiled", -7, "spoiled", "spoiled", 99, "spoiled"
			for k := range i.Properties {
				i.Properties[k] = "spoiled"
			}
		}
		check := func(what string) {
			t.Helper()
			if diff := cmp.Diff(want, get(t, store, want.ID), whole); diff != "" {
				t.Errorf("after %s (-want +got):\n%s", what, diff)
			}
		}
		spoil(i)
		check("the record that was written was changed")
		spoil(get(t, store, want.ID))
		check("the record from Image was changed")
		at, err := store.Position(t.Context(), want.ID)
		if err != nil {
			t.Fatal(err)
		}
		spoil(at)
		check("the record from Position was changed")
		for range 2 {
			page, err := store.List(t.Context(), &images.Query{ProjectID: "alpha", Limit: 5})
			if err != nil || len(page.Images) != 1 {
				t.Fatalf("list: got %d images and error %v, want 1", len(page.Images), err)
			}
			if diff := cmp.Diff(want, page.Images[0], whole); diff != "" {
				t.Errorf("in a list (-want +got):\n%s", diff)
			}
			spoil(page.Images[0])
		}
		check("the record from List was changed")
	})
}
