package images

import (
	"maps"
	"math/rand/v2"
	"testing"
)

func TestUsageOf(t *testing.T) {
	blob := &Blob{Size: 7}
	up := func(s UploadState, size int64) *Upload { return &Upload{State: s, Size: size} }
	for _, c := range []struct {
		name  string
		image *Image
		want  Usage
	}{
		{"no image", nil, Usage{}},
		{"a tombstone", &Image{Status: StatusDeleted, Blob: blob, Upload: up(UploadOpen, 5)}, Usage{}},
		{"a record", &Image{Status: StatusQueued}, Usage{Images: 1}},
		{"an open upload", &Image{Status: StatusQueued, Upload: up(UploadOpen, 5)}, Usage{Images: 1, InFlight: 5, Uploads: 1}},
		{"a received upload", &Image{Status: StatusImporting, Upload: up(UploadReceived, 5)}, Usage{Images: 1, InFlight: 5, Uploads: 1}},
		{"an upload whose bytes are being deleted", &Image{Status: StatusQueued, Upload: up(UploadEnding, 5)}, Usage{Images: 1, InFlight: 5, Uploads: 1}},
		{"an upload of unknown size", &Image{Status: StatusSaving, Upload: up(UploadOpen, -1)}, Usage{Images: 1, Uploads: 1}},
		{"an accepted upload counts as the image", &Image{Status: StatusActive, Blob: blob, Upload: up(UploadAccepted, 7)}, Usage{Images: 1, Bytes: 7}},
		{"a rejected upload", &Image{Status: StatusQueued, Upload: up(UploadRejected, 5)}, Usage{Images: 1}},
		{"an image whose bytes are being deleted", &Image{Status: StatusPendingDelete, Blob: blob}, Usage{Images: 1, Bytes: 7}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := UsageOf(c.image); got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

// randomRecord makes any record, those of which the life of an image knows nothing too.
func randomRecord(r *rand.Rand) *Image {
	statuses := []Status{StatusQueued, StatusSaving, StatusImporting, StatusActive, StatusPendingDelete, StatusDeleted}
	states := []UploadState{UploadOpen, UploadReceived, UploadEnding, UploadAccepted, UploadRejected, UploadAborted, UploadExpired}
	i := &Image{ID: "i", Status: statuses[r.IntN(len(statuses))], Owner: []string{"p", "q"}[r.IntN(2)]}
	if r.IntN(2) == 0 {
		i.Blob = &Blob{Size: r.Int64N(1000)}
	}
	if r.IntN(2) == 0 {
		i.Upload = &Upload{State: states[r.IntN(len(states))], Size: r.Int64N(1000) - 1}
	}
	return i
}

func TestUsageDeltasAddUpToTheUsage(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	total := map[string]Usage{}
	var now *Image
	for range 10_000 {
		next := randomRecord(r)
		for owner, d := range UsageDeltas(Write{Was: now, Is: next}) {
			if d == (Usage{}) {
				t.Fatalf("%s has a delta of nothing", owner)
			}
			total[owner] = total[owner].Add(d)
		}
		now = next
		want := map[string]Usage{now.Owner: UsageOf(now)}
		maps.DeleteFunc(total, func(_ string, u Usage) bool { return u == Usage{} })
		maps.DeleteFunc(want, func(_ string, u Usage) bool { return u == Usage{} })
		if !maps.Equal(total, want) {
			t.Fatalf("after a write of %+v (upload %+v): got %v, want %v", now, now.Upload, total, want)
		}
	}
}

func TestALimitBoundsWhatGrows(t *testing.T) {
	unlimited := Usage{Unlimited, Unlimited, Unlimited, Unlimited}
	with := func(edit func(*Usage)) Usage { u := unlimited; edit(&u); return u }
	for _, c := range []struct {
		name         string
		limit        Usage
		after, delta Usage
		over         bool
	}{
		{"no limit", unlimited, Usage{1 << 60, 1 << 60, 1 << 60, 1 << 60}, Usage{1, 1, 1, 1}, false},
		{"up to the limit", with(func(u *Usage) { u.Images = 3 }), Usage{Images: 3}, Usage{Images: 1}, false},
		{"beyond the limit", with(func(u *Usage) { u.Images = 3 }), Usage{Images: 4}, Usage{Images: 1}, true},
		{"a limit of nothing", with(func(u *Usage) { u.Uploads = 0 }), Usage{Uploads: 1}, Usage{Uploads: 1}, true},
		{"beyond the limit already, and not growing", with(func(u *Usage) { u.Images = 3 }), Usage{Images: 9}, Usage{}, false},
		{"beyond the limit already, and shrinking", with(func(u *Usage) { u.Images = 3 }), Usage{Images: 8}, Usage{Images: -1}, false},
		{"beyond the limit already in another figure", with(func(u *Usage) { u.Images = 3 }), Usage{Images: 9, Bytes: 5}, Usage{Bytes: 5}, false},
		{"bytes in flight count as bytes", with(func(u *Usage) { u.Bytes = 10 }), Usage{Bytes: 5, InFlight: 6}, Usage{InFlight: 6}, true},
		{"bytes that land were counted in flight", with(func(u *Usage) { u.Bytes = 10 }), Usage{Bytes: 20}, Usage{Bytes: 6, InFlight: -6}, false},
		{"bytes that land and are more than were declared", with(func(u *Usage) { u.Bytes = 10 }), Usage{Bytes: 11}, Usage{Bytes: 7, InFlight: -6}, true},
		{"bytes in flight have a limit of their own", with(func(u *Usage) { u.InFlight = 5 }), Usage{InFlight: 6}, Usage{InFlight: 1}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := c.limit.Check(c.after, c.delta)
			if c.over != (err != nil) || err != nil && KindOf(err) != OverQuota {
				t.Errorf("got error %v, want one of kind OverQuota: %v", err, c.over)
			}
		})
	}
}
