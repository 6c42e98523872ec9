package storetest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bullion/internal/images"
)

func (s *suite) quotas(t *testing.T) {
	t.Run("a quota is what was set last, until it is taken back", func(t *testing.T) {
		store := s.fresh(t)
		is := func(project string, want *images.Usage) {
			t.Helper()
			got, err := store.Quota(t.Context(), project)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("of %s (-want +got):\n%s", project, diff)
			}
		}
		set := func(project string, limit *images.Usage) {
			t.Helper()
			if err := store.SetQuota(t.Context(), project, limit); err != nil {
				t.Fatal(err)
			}
		}
		is("alpha", nil)
		set("alpha", nil)
		set("alpha", &images.Usage{Images: 1, Bytes: 1 << 60, InFlight: images.Unlimited, Uploads: 0})
		set("beta", &images.Usage{})
		is("alpha", &images.Usage{Images: 1, Bytes: 1 << 60, InFlight: images.Unlimited, Uploads: 0})
		set("alpha", &images.Usage{Images: 2, Bytes: 3, InFlight: 4, Uploads: 5})
		is("alpha", &images.Usage{Images: 2, Bytes: 3, InFlight: 4, Uploads: 5})
		create(t, store, Generator{random(t)}.Plain("alpha", 0))
		is("alpha", &images.Usage{Images: 2, Bytes: 3, InFlight: 4, Uploads: 5})
		is("beta", &images.Usage{})
		usageIs(t, store, "alpha", images.Usage{Images: 1})
		set("alpha", nil)
		is("alpha", nil)
		is("beta", &images.Usage{})
	})

	t.Run("egress is the sum of a project's month, however many count at once", func(t *testing.T) {
		store := s.fresh(t)
		handles := s.handles(t, store, s.Writers)
		err := together(s.Writers, func(w int) error {
			for range 5 {
				if err := handles[w].AddEgress(t.Context(), "alpha", "2026-01", 1<<40); err != nil {
					return err
				}
			}
			return handles[w].AddEgress(t.Context(), "alpha", "2026-02", 1)
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []struct {
			project, month string
			bytes          int64
		}{{"alpha", "2026-01", int64(s.Writers) * 5 << 40}, {"alpha", "2026-02", int64(s.Writers)}, {"alpha", "2026-03", 0}, {"beta", "2026-01", 0}} {
			if got, err := store.Egress(t.Context(), want.project, want.month); err != nil || got != want.bytes {
				t.Errorf("%s in %s: got %d and error %v, want %d", want.project, want.month, got, err, want.bytes)
			}
		}
		usageIs(t, store, "alpha", images.Usage{})
	})

	t.Run("a hundred racing uploads never pass the quota by a byte, and fill it", func(t *testing.T) {
		store := s.fresh(t)
		const uploads, size, quota = 100, 1_000_003, 40*1_000_003 + 17
		if err := store.SetQuota(t.Context(), "alpha", &images.Usage{Images: uploads + 1, Bytes: quota, InFlight: images.Unlimited, Uploads: images.Unlimited}); err != nil {
			t.Fatal(err)
		}
		caller := images.Caller{UserID: "user", ProjectID: "alpha"}
		handles := s.handles(t, store, uploads)
		services, ids := make([]*images.Service, uploads), make([]string, uploads)
		for n := range services {
			services[n] = &images.Service{Store: handles[n], Blobs: signer{}, Policy: everything{}, Log: slog.New(slog.DiscardHandler), Now: time.Now, NewID: images.NewID,
				Limits: images.ServiceLimits{Quota: &images.Usage{}}.WithDefaults()}
		}
		attributes := []images.PatchOp{{Op: "add", Name: "disk_format", Value: "raw"}, {Op: "add", Name: "container_format", Value: "bare"}}
		for n := range ids {
			i, err := services[n].Create(t.Context(), caller, "", attributes)
			if err != nil {
				t.Fatal(err)
			}
			ids[n] = i.ID
		}
		var opened atomic.Int64
		stop := make(chan struct{})
		var watch sync.WaitGroup
		var watched error
		watch.Go(func() {
			for watched == nil {
				select {
				case <-stop:
					return
				default:
				}
				u, err := store.Usage(t.Context(), "alpha")
				if err != nil || u.Bytes+u.InFlight > quota {
					watched = errors.Join(err, fmt.Errorf("usage is %+v under a quota of %d bytes", u, quota))
				}
			}
		})
		err := together(uploads, func(n int) error {
			_, err := services[n].OpenUpload(t.Context(), caller, ids[n], images.UploadRequest{Size: size})
			if err == nil {
				opened.Add(1)
			} else if images.KindOf(err) == images.OverQuota {
				err = nil
			}
			return err
		})
		close(stop)
		watch.Wait()
		if err := errors.Join(err, watched); err != nil {
			t.Fatal(err)
		}
		if opened.Load() != quota/size {
			t.Errorf("uploads opened: got %d, want %d", opened.Load(), int64(quota/size))
		}
		last, err := services[0].Create(t.Context(), caller, "", attributes)
		if err != nil {
			t.Fatal(err)
		}
		_, err = services[0].OpenUpload(t.Context(), caller, last.ID, images.UploadRequest{Size: quota%size + 1})
		wantKind(t, "a byte too many", err, images.OverQuota)
		if _, err = services[0].OpenUpload(t.Context(), caller, last.ID, images.UploadRequest{Size: quota % size}); err != nil {
			t.Errorf("the last bytes of the quota: %v", err)
		}
		usageIs(t, store, "alpha", images.Usage{Images: uploads + 1, InFlight: quota, Uploads: quota/size + 1})
	})
}

// everything is allowed in a policy for tests of stores.
type everything struct{}

func (everything) Allows(string, images.Caller, *images.Image) bool { return true }
func (everything) SeesAll(images.Caller) bool                       { return false }

// signer signs, which is all that opening an upload of one request needs.
type signer struct{ images.Blobs }

func (signer) PresignPut(context.Context, string, int64, time.Duration) (images.SignedRequest, error) {
	return images.SignedRequest{}, nil
}
