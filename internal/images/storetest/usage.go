package storetest

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"bullion/internal/images"
)

func (s *suite) usage(t *testing.T) {
	t.Run("the usage of a project is the sum over its records, whatever is written", func(t *testing.T) {
		store, g := s.fresh(t), Generator{random(t)}
		live := map[string]*images.Image{}
		var ids []string
		for range 400 {
			if len(ids) == 0 || g.chance(40) {
				i := create(t, store, g.Image())
				live[i.ID] = i
				ids = append(ids, i.ID)
				continue
			}
			n := g.IntN(len(ids))
			was := live[ids[n]]
			if g.chance(30) {
				remove(t, store, was)
				delete(live, was.ID)
				ids = append(ids[:n], ids[n+1:]...)
				continue
			}
			next := g.Image() // of any owner
			live[was.ID] = replace(t, store, was, func(i *images.Image) { v := i.Version; *i = *next; i.ID, i.Version = was.ID, v })
		}
		want := map[string]images.Usage{}
		for _, i := range live {
			want[i.Owner] = want[i.Owner].Add(images.UsageOf(i))
		}
		for _, p := range append([]string{"nobody", ""}, projects...) {
			usageIs(t, store, p, want[p])
		}
	})

	open := func(g Generator, project string, n int, size int64) *images.Image {
		i := g.Plain(project, n)
		i.Upload = &images.Upload{ID: g.ID(), State: images.UploadOpen, Mode: images.ModePut, Size: size, CreatedAt: epoch, UpdatedAt: epoch, ExpiresAt: epoch}
		return i
	}
	unlimited := images.Usage{Images: images.Unlimited, Bytes: images.Unlimited, InFlight: images.Unlimited, Uploads: images.Unlimited}

	t.Run("a limit refuses the write that would exceed it and nothing else", func(t *testing.T) {
		store, g := s.fresh(t), Generator{random(t)}
		limited := func(figure func(*images.Usage)) *images.Usage {
			l := unlimited
			figure(&l)
			return &l
		}
		apply := func(what string, was, is *images.Image, limit *images.Usage, want images.Kind) bool {
			t.Helper()
			before, err := store.Usage(t.Context(), "alpha")
			if err != nil {
				t.Fatal(err)
			}
			err = store.Apply(t.Context(), images.Write{Was: was, Is: is, Limit: limit})
			if want == 0 && err != nil {
				t.Errorf("%s: got error %v, want none", what, err)
			} else if want != 0 {
				wantKind(t, what, err, want)
				usageIs(t, store, "alpha", before)
			}
			return err == nil
		}
		a, b := open(g, "alpha", 1, 60), open(g, "alpha", 2, 40)
		bytes := limited(func(u *images.Usage) { u.Bytes = 100 })
		apply("60 of 100 bytes", nil, a, bytes, 0)
		apply("41 more of 100 bytes", nil, open(g, "alpha", 3, 41), bytes, images.OverQuota)
		apply("40 more of 100 bytes", nil, b, bytes, 0)
		apply("no bytes at the limit", nil, g.Plain("alpha", 4), bytes, 0)
		apply("bytes in flight", nil, open(g, "alpha", 5, 1), limited(func(u *images.Usage) { u.InFlight = 100 }), images.OverQuota)
		apply("a third upload of two", nil, open(g, "alpha", 6, 0), limited(func(u *images.Usage) { u.Uploads = 2 }), images.OverQuota)
		apply("a fourth image of three", nil, g.Plain("alpha", 7), limited(func(u *images.Usage) { u.Images = 3 }), images.OverQuota)
		apply("another project is not concerned", nil, g.Plain("beta", 8), limited(func(u *images.Usage) { u.Images = 1 }), 0)

		renamed := a.Clone()
		renamed.Name = "renamed"
		apply("a rename of a project that is over its limit", a, renamed, limited(func(u *images.Usage) { *u = images.Usage{} }), 0)
		stored := renamed.Clone()
		stored.Upload.State, stored.Blob = images.UploadAccepted, &images.Blob{Key: "k", Size: 60}
		apply("bytes that were in flight are stored", renamed, stored, bytes, 0)
		usageIs(t, store, "alpha", images.Usage{Images: 3, Bytes: 60, InFlight: 40, Uploads: 1})
		moved := stored.Clone()
		moved.Owner = "beta"
		apply("a change of owner over the new owner's limit", stored, moved, limited(func(u *images.Usage) { u.Bytes = 59 }), images.OverQuota)
		usageIs(t, store, "beta", images.Usage{Images: 1})
		apply("a change of owner within the new owner's limit", stored, moved, limited(func(u *images.Usage) { u.Bytes = 60 }), 0)
		usageIs(t, store, "alpha", images.Usage{Images: 2, InFlight: 40, Uploads: 1})
		usageIs(t, store, "beta", images.Usage{Images: 2, Bytes: 60})
		gone := moved.Clone()
		gone.Status = images.StatusDeleted
		apply("a delete in a project that is over its limit", moved, gone, limited(func(u *images.Usage) { *u = images.Usage{} }), 0)
		usageIs(t, store, "beta", images.Usage{Images: 1})
	})

	t.Run("a limit is exact while many write", func(t *testing.T) {
		store, g := s.fresh(t), Generator{random(t)}
		handles := s.handles(t, store, s.Writers)
		limit := unlimited
		limit.Images, limit.Bytes = 25, 25*7+3
		records := make([][]*images.Image, s.Writers)
		for w := range records {
			for n := range 2*int(limit.Images)/s.Writers + 1 {
				records[w] = append(records[w], open(g, "alpha", n, 7))
			}
		}
		var made atomic.Int64
		stop := make(chan struct{})
		var watch sync.WaitGroup
		var watched error
		watch.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				u, err := store.Usage(t.Context(), "alpha")
				if watched = errors.Join(watched, err); err != nil || u.Images > limit.Images || u.Bytes+u.InFlight > limit.Bytes {
					watched = errors.Join(watched, fmt.Errorf("usage is %+v under the limit %+v", u, limit))
					return
				}
			}
		})
		err := together(s.Writers, func(w int) error {
			for _, i := range records[w] {
				err := handles[w].Apply(t.Context(), images.Write{Is: i, Limit: &limit})
				switch {
				case err == nil:
					made.Add(1)
				case images.KindOf(err) != images.OverQuota:
					return err
				}
			}
			return nil
		})
		close(stop)
		watch.Wait()
		if err := errors.Join(err, watched); err != nil {
			t.Fatal(err)
		}
		if made.Load() != limit.Images {
			t.Errorf("records made: got %d, want %d", made.Load(), limit.Images)
		}
		usageIs(t, store, "alpha", images.Usage{Images: 25, InFlight: 25 * 7, Uploads: 25})
	})
}
