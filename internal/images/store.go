package images

import (
	"context"
	"time"
)

// Store keeps records. Package storetest is its contract as a test; every implementation passes it.
//
// A Store holds no rules of access: it answers the query that it is given. All methods may be called at once from
// many goroutines and processes. Images that it returns belong to the caller.
type Store interface {
	// Apply makes one write, whole or not at all. See Write for what it checks.
	Apply(ctx context.Context, w Write) error

	// Image returns a live record, pending_delete included. The error's kind is NotFound when there is none,
	// or only a tombstone.
	Image(ctx context.Context, id string) (*Image, error)

	// Position returns what a list's marker points at: a live record or the tombstone of one that was deleted, so that
	// paging goes on where it was. A tombstone has StatusDeleted and the fields that sort and that say who could see it. NotFound
	// when the id was never used.
	Position(ctx context.Context, id string) (*Image, error)

	// List returns the page of images for which q.Lists holds, in q.Order, behind q.After. A page that begins behind a
	// position neither skips nor repeats an image that exists throughout, whatever is written meanwhile.
	List(ctx context.Context, q *Query) (Page, error)

	// Due returns up to limit live records whose DueAt is set and not after the time, the longest due first.
	Due(ctx context.Context, at time.Time, limit int) ([]*Image, error)

	// Members returns the member list of an image, the oldest first, then by project; empty when there is none.
	Members(ctx context.Context, imageID string) ([]Member, error)
	// Member returns one entry. NotFound when there is none.
	Member(ctx context.Context, imageID, projectID string) (*Member, error)
	// CreateMember adds an entry, and leaves the image's version alone as all of these do. Conflict when there is one; NotFound when
	// the image is not there; TooLarge when the image has MaxMembers.
	CreateMember(ctx context.Context, m Member) error
	// UpdateMember changes the status of an entry and its UpdatedAt. NotFound when there is none.
	UpdateMember(ctx context.Context, m Member) error
	// DeleteMember removes an entry. NotFound when there is none.
	DeleteMember(ctx context.Context, imageID, projectID string) error

	// Usage is what the images of a project use now: exactly the sum of UsageOf over them.
	Usage(ctx context.Context, projectID string) (Usage, error)

	// Quota is what an operator lets a project use; nil when nothing was set.
	Quota(ctx context.Context, projectID string) (*Usage, error)
	// SetQuota sets it; nil takes it back.
	SetQuota(ctx context.Context, projectID string, limit *Usage) error

	// AddEgress counts bytes that a project took out in a month, which is written as 2006-01.
	AddEgress(ctx context.Context, projectID, month string, bytes int64) error
	// Egress is the sum.
	Egress(ctx context.Context, projectID, month string) (int64, error)

	// Events returns up to limit events of one image in the order of their writes, those with a Seq above after. They
	// outlive the image.
	Events(ctx context.Context, imageID string, after int64, limit int) ([]Event, error)
	// Undelivered returns up to limit events that nobody has acknowledged, for each image in the order of their writes.
	Undelivered(ctx context.Context, limit int) ([]Event, error)
	// Delivered acknowledges events; they stay readable by Events.
	Delivered(ctx context.Context, events []Event) error

	Close() error
}

// Write is one change of a record, with everything that must be true together with it.
//
//	Was nil           the record is new: Conflict when the id is or was in use
//	Is.Status deleted the record goes for good, with its members; a tombstone stays
//	otherwise         the record is replaced
//
// The store compares Was.Version with what it has: ErrStale when they differ or the record is gone. It writes Is with the version
// Was.Version+1 (1 when new) and sets Is.Version when it succeeded, and only then; nothing else of the Write is changed. Usage of the
// owners changes by UsageDeltas in the same transaction.
type Write struct {
	Was, Is *Image
	// Limit bounds the usage of Is.Owner after the write; nil does not. A write that would exceed it fails with kind
	// OverQuota, unless it does not raise the figure that is over.
	Limit *Usage
	// Event tells of the change; nil when nothing that concerns others changed. The store keeps it in the same transaction,
	// with Seq = the new version, whatever Event.Seq says.
	Event *Event
}

// Event is one change of state, for the image's history and for whoever subscribes.
type Event struct {
	ImageID string    `json:"image_id"`
	Seq     int64     `json:"seq"` // the record's version; grows with every event of one image
	At      time.Time `json:"at"`
	Owner   string    `json:"owner"`           // project of the image
	Actor   string    `json:"actor,omitempty"` // user id; "" for the service itself
	// ActorProject is the project of the actor's token: an administrator's may be another than the owner.
	ActorProject string `json:"actor_project,omitempty"`
	From         Status `json:"from,omitempty"` // as To when the visibility or the owner changed
	To           Status `json:"to"`
	Reason       string `json:"reason,omitempty"` // a sentence
}

// Usage is what a project uses, or may use.
type Usage struct {
	Images   int64 `json:"images"`    // records, those being deleted included
	Bytes    int64 `json:"bytes"`     // of images that have data
	InFlight int64 `json:"in_flight"` // bytes declared by uploads that are open, received or ending
	Uploads  int64 `json:"uploads"`   // open, received or ending
}

// UsageOf is what one record uses. It ends only with the deletion of the bytes, which comes before the change of the record.
func UsageOf(i *Image) Usage {
	if i == nil || i.Status == StatusDeleted {
		return Usage{}
	}
	u := Usage{Images: 1}
	if i.Blob != nil {
		u.Bytes = i.Blob.Size
	}
	if i.Upload.holds() {
		u.Uploads = 1
		u.InFlight = max(i.Upload.Size, 0)
	}
	return u
}

// Add adds the figures.
func (u Usage) Add(v Usage) Usage {
	return Usage{u.Images + v.Images, u.Bytes + v.Bytes, u.InFlight + v.InFlight, u.Uploads + v.Uploads}
}

// Sub subtracts the figures.
func (u Usage) Sub(v Usage) Usage {
	return Usage{u.Images - v.Images, u.Bytes - v.Bytes, u.InFlight - v.InFlight, u.Uploads - v.Uploads}
}

// UsageDeltas says by how much a write changes the usage of each owner; owners with no change are left out.
func UsageDeltas(w Write) map[string]Usage {
	deltas := map[string]Usage{}
	if w.Was != nil {
		deltas[w.Was.Owner] = deltas[w.Was.Owner].Sub(UsageOf(w.Was))
	}
	deltas[w.Is.Owner] = deltas[w.Is.Owner].Add(UsageOf(w.Is))
	for owner, d := range deltas {
		if d == (Usage{}) {
			delete(deltas, owner)
		}
	}
	return deltas
}

// Unlimited is the value of a figure in a Limit that does not bound it.
const Unlimited = -1

// Check says whether after exceeds the limit in a figure that delta raises; nil when not. Bytes bounds stored bytes and bytes in flight
// together, since every byte in flight may be stored.
func (limit Usage) Check(after, delta Usage) error {
	over := func(name string, limit, after, delta int64) error {
		if limit == Unlimited || delta <= 0 || after <= limit {
			return nil
		}
		return Errorf(OverQuota, "The project's quota of %s is %d; it uses %d and this request needs %d more. Delete images or ask an operator to raise the quota.",
			name, limit, after-delta, delta)
	}
	for _, err := range []error{
		over("images", limit.Images, after.Images, delta.Images),
		over("bytes", limit.Bytes, after.Bytes+after.InFlight, delta.Bytes+delta.InFlight),
		over("bytes in flight", limit.InFlight, after.InFlight, delta.InFlight),
		over("open uploads", limit.Uploads, after.Uploads, delta.Uploads),
	} {
		if err != nil {
			return err
		}
	}
	return nil
}

// cleanupGrace is how long whoever began to delete bytes may take before scrub goes on with it.
const cleanupGrace = time.Minute

// DueAt is when the service must look at the record if nothing happens to it before: an upload ends, a lease runs out, a delete is
// unfinished. The zero time means never. A Store keeps it as a sparse index for Due.
func (i *Image) DueAt() time.Time {
	switch {
	case i.Status == StatusDeleted:
		return time.Time{}
	case i.Status == StatusPendingDelete:
		return i.UpdatedAt.Add(cleanupGrace)
	case i.Upload != nil && i.Upload.State == UploadReceived && i.Upload.Validation != nil:
		return i.Upload.Validation.LeaseUntil // also of an import: the bytes are there, so the examination is what can stop
	case i.Import != nil && (i.Import.State == TaskPending || i.Import.State == TaskProcessing):
		return i.Import.LeaseUntil
	case i.Upload == nil:
		return time.Time{}
	case i.Upload.State == UploadOpen:
		return i.Upload.ExpiresAt
	case i.Upload.State == UploadEnding:
		return i.Upload.UpdatedAt.Add(cleanupGrace)
	case i.Upload.State == UploadReceived && i.Upload.Staged && i.Status == StatusUploading:
		return i.Upload.ExpiresAt
	}
	return time.Time{}
}
