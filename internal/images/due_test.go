package images

import (
	"testing"
	"time"
)

func TestDueAtIsWhenTheServiceMustLookAtARecord(t *testing.T) {
	at := func(n int) time.Time { return time.Date(2026, 1, 2, 3, n, 0, 0, time.UTC) }
	never := time.Time{}
	open := &Upload{State: UploadOpen, UpdatedAt: at(2), ExpiresAt: at(10)}
	received := &Upload{State: UploadReceived, UpdatedAt: at(2), ExpiresAt: at(10), Validation: &Validation{Lease: Lease{LeaseUntil: at(20)}}}
	staged := &Upload{State: UploadReceived, UpdatedAt: at(2), ExpiresAt: at(10), Staged: true}
	ending := &Upload{State: UploadEnding, UpdatedAt: at(2), ExpiresAt: at(10)}
	for _, c := range []struct {
		name  string
		image Image
		want  time.Time
	}{
		{"queued without an upload: never", Image{Status: StatusQueued}, never},
		{"active: never", Image{Status: StatusActive, Upload: &Upload{State: UploadAccepted, UpdatedAt: at(2), ExpiresAt: at(10)}}, never},
		{"deleted: never", Image{Status: StatusDeleted, UpdatedAt: at(1), Upload: open}, never},
		{"a delete that was begun: after its grace", Image{Status: StatusPendingDelete, UpdatedAt: at(1), Upload: open}, at(1).Add(cleanupGrace)},
		{"an open upload: when it expires", Image{Status: StatusQueued, Upload: open}, at(10)},
		{"a stream: when its lease ends", Image{Status: StatusSaving, Upload: open}, at(10)},
		{"a validation: when its lease ends", Image{Status: StatusImporting, Upload: received}, at(20)},
		{"staged bytes: when they expire", Image{Status: StatusUploading, Upload: staged}, at(10)},
		{"an upload that ends: after its grace", Image{Status: StatusQueued, Upload: ending}, at(2).Add(cleanupGrace)},
		{"an upload that was rejected: never", Image{Status: StatusQueued, Upload: &Upload{State: UploadRejected, ExpiresAt: at(10)}}, never},
		{"an import that waits: when its lease ends", Image{Status: StatusQueued, Import: &Import{State: TaskPending, Lease: Lease{LeaseUntil: at(30)}}}, at(30)},
		{"an import that fetches: when its lease ends", Image{Status: StatusImporting, Import: &Import{State: TaskProcessing, Lease: Lease{LeaseUntil: at(30)}}, Upload: open}, at(30)},
		{"an import whose bytes are validated: when the lease of the validation ends",
			Image{Status: StatusImporting, Import: &Import{State: TaskProcessing}, Upload: received}, at(20)},
		{"an import that ended: never", Image{Status: StatusActive, Import: &Import{State: TaskSuccess, Lease: Lease{LeaseUntil: at(30)}}}, never},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := c.image.DueAt(); !got.Equal(c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}
