package images

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Service is what a caller can do. It holds every rule of access, state and value, so that a host only has to carry requests to it.
// Set the exported fields before the first call; none may change afterwards.
type Service struct {
	Store  Store
	Blobs  Blobs
	Policy Policy
	Log    *slog.Logger

	// Examine validates a received upload to its end; known are its digests when the host has them. It is package validation's.
	Examine func(ctx context.Context, imageID, uploadID string, known *Digests) error
	// CheckSource says as a sentence why an import may not fetch from an address, as far as its text tells. It is package fetch's; nil when there are no
	// imports from addresses.
	CheckSource func(uri string) error
	// FromRegions says whether images may be fetched from the Images APIs of other regions, which the importer knows.
	FromRegions bool
	// Wake tells the host that a record is due now; nil leaves it to the next round of scrub.
	Wake func(ctx context.Context, i *Image)

	Now   func() time.Time
	NewID func() string // a random UUID

	Limits ServiceLimits
}

// ServiceLimits are the operator's choices.
type ServiceLimits struct {
	// Quota is what a project may use for which nothing else was set; nil does not bound it.
	Quota *Usage
	// MaxSize bounds the size of one image in bytes.
	MaxSize int64
	// PutUpTo is the size in bytes up to which an upload is one PUT, above which it is multipart.
	PutUpTo int64
	// MaxParts bounds the parts of an upload; PlanParts chooses their size by it.
	MaxParts int
	// URLLife is how long a signed URL is good for. It is the time to begin a request, not to end it.
	URLLife time.Duration
	// UploadLife is how long an upload may stay open without being touched.
	UploadLife time.Duration
}

// Defaults of ServiceLimits.
const (
	DefaultPutUpTo    = 64 << 20
	DefaultMaxParts   = 500
	DefaultURLLife    = 15 * time.Minute
	DefaultUploadLife = 7 * 24 * time.Hour
)

// WithDefaults fills in what is zero.
func (l ServiceLimits) WithDefaults() ServiceLimits {
	l.MaxSize = cmp.Or(l.MaxSize, MaxImageSize)
	l.PutUpTo = cmp.Or(l.PutUpTo, DefaultPutUpTo)
	l.MaxParts = cmp.Or(l.MaxParts, DefaultMaxParts)
	l.URLLife = cmp.Or(l.URLLife, DefaultURLLife)
	l.UploadLife = cmp.Or(l.UploadLife, DefaultUploadLife)
	return l
}

// now is the time that goes into records: what every store can keep.
func (s *Service) now() time.Time { return s.Now().UTC().Truncate(time.Microsecond) }

// retries bounds how often a change is tried again when others change the same record.
const retries = 12

// change reads a record, lets edit change a copy and writes it if nobody else did meanwhile, else it begins again. When edit returns
// errUnchanged the record stays as it is and is returned. A change of state becomes an event.
func (s *Service) change(ctx context.Context, id string, actor Actor, edit func(*Image) error) (*Image, error) {
	return Change(ctx, s.Store, id, actor, s.quota, edit)
}

// quota is what a project may use; nil when nothing bounds it.
func (s *Service) quota(ctx context.Context, projectID string) (*Usage, error) {
	if set, err := s.Store.Quota(ctx, projectID); set != nil || err != nil {
		return set, err
	}
	return s.Limits.Quota, nil
}

// limited puts the owner's quota into a write that needs it: one that raises a figure.
func limited(ctx context.Context, w *Write, quota func(context.Context, string) (*Usage, error)) (err error) {
	if d := UsageDeltas(*w)[w.Is.Owner]; quota != nil && max(d.Images, d.Bytes+d.InFlight, d.InFlight, d.Uploads) > 0 {
		w.Limit, err = quota(ctx, w.Is.Owner)
	}
	return err
}

// ErrUnchanged is returned by an edit that finds nothing to do.
var ErrUnchanged = errors.New("unchanged")

// Change reads a record, lets edit change a copy and writes it if nobody else did meanwhile, else it begins again. It is the one
// way in which records change. When edit returns ErrUnchanged nothing is written and the record is returned as it is. actor is who
// did it, the zero Actor for the service itself. quota gives the limit of the owner; nil does not bound.
func Change(ctx context.Context, store Store, id string, actor Actor, quota func(context.Context, string) (*Usage, error), edit func(*Image) error) (*Image, error) {
	for try := 0; ; try++ {
		was, err := store.Image(ctx, id)
		if err != nil {
			return nil, err
		}
		is := was.Clone()
		if err := edit(is); errors.Is(err, ErrUnchanged) {
			return was, nil
		} else if err != nil {
			return nil, err
		}
		w := Write{Was: was, Is: is, Event: eventOf(was, is, actor)}
		if err := limited(ctx, &w, quota); err != nil {
			return nil, err
		}
		switch err := store.Apply(ctx, w); {
		case err == nil:
			return is, nil
		case !errors.Is(err, ErrStale):
			return nil, err
		case try == retries:
			return nil, Wrap(Conflict, err, "Image %s is being changed by others; try again.", id)
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
}

// eventOf tells of a change of status, of who may see the image, or of whose it is; other changes concern nobody else.
func eventOf(was, is *Image, actor Actor) *Event {
	e := &Event{ImageID: is.ID, At: is.UpdatedAt, Owner: is.Owner, Actor: actor.UserID, ActorProject: actor.ProjectID, To: is.Status}
	if was != nil {
		e.From = was.Status
		switch {
		case was.Status != is.Status:
		case was.Owner != is.Owner:
			e.Reason = fmt.Sprintf("The owner is project %s; it was %s.", is.Owner, was.Owner)
			return e
		case was.Visibility != is.Visibility:
			e.Reason = fmt.Sprintf("The visibility is %s; it was %s.", is.Visibility, was.Visibility)
			return e
		default:
			return nil
		}
	}
	if was != nil && was.Import.running() && is.Import != nil && is.Import.State == TaskFailure {
		e.Reason = is.Import.Message
	} else if is.Status == StatusQueued && is.Upload != nil {
		switch is.Upload.Shown() {
		case UploadRejected:
			e.Reason = is.Upload.Rejection.Message
		case UploadExpired:
			e.Reason = "The upload was not finished in time."
		case UploadAborted:
			e.Reason = "The upload was given up."
		}
	}
	return e
}

// visible returns the image if the caller may know that it exists, NotFound otherwise. It is the only way in which
// operations of a caller reach a record.
func (s *Service) visible(ctx context.Context, c Caller, id string) (*Image, error) {
	i, err := s.Store.Image(ctx, id)
	if err != nil {
		return nil, err
	}
	if i.Status == StatusPendingDelete {
		return nil, errNoImage(id)
	}
	seesAll := s.Policy.SeesAll(c)
	var membership *Member
	if !Visible(i, c, seesAll, nil) && i.Visibility == Shared && c.ProjectID != "" {
		if membership, err = s.Store.Member(ctx, id, c.ProjectID); err != nil && KindOf(err) != NotFound {
			return nil, err
		}
	}
	if !Visible(i, c, seesAll, membership) {
		return nil, errNoImage(id)
	}
	return i, nil
}

// allowed returns the image if the caller sees it and the rules let the caller act on it.
func (s *Service) allowed(ctx context.Context, c Caller, id string, rules ...string) (*Image, error) {
	i, err := s.visible(ctx, c, id)
	if err != nil {
		return nil, err
	}
	for _, rule := range rules {
		if err := s.permit(ctx, c, rule, i); err != nil {
			return nil, err
		}
	}
	return i, nil
}

// permit asks the policy about one rule. A refusal is logged: it is part of the audit trail.
func (s *Service) permit(ctx context.Context, c Caller, rule string, target *Image) error {
	if s.Policy.Allows(rule, c, target) {
		return nil
	}
	id := ""
	if target != nil {
		id = target.ID
	}
	s.Log.LogAttrs(ctx, slog.LevelInfo, "refused", slog.String("rule", rule), slog.String("image", id),
		slog.String("user", c.UserID), slog.String("project", c.ProjectID))
	switch {
	case target != nil && target.Owner != c.ProjectID:
		return Errorf(Forbidden, "Image %s belongs to another project; policy rule %s does not allow this to you.", id, rule)
	case c.ProjectID == "":
		return Errorf(Forbidden, "Your token is not for a project; choose one (OS_PROJECT_NAME) and sign in again.")
	}
	return Errorf(Forbidden, "Policy rule %s does not allow this to your role in the project; ask its administrator.", rule)
}

func errNoImage(id string) error {
	return Errorf(NotFound, "No image %.64q was found.", id)
}
