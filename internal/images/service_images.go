package images

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"strings"
)

// Create makes the record of an image that has no bytes yet. ops set its attributes; id is the caller's choice or "".
func (s *Service) Create(ctx context.Context, c Caller, id string, ops []PatchOp) (*Image, error) {
	if err := s.permit(ctx, c, "add_image", nil); err != nil {
		return nil, err
	}
	if id == "" {
		id = s.NewID()
	} else if !validUUID(id) {
		return nil, Errorf(Invalid, "id must be a UUID in lower case with dashes, not %.64q.", id)
	}
	now := s.now()
	i := &Image{ID: id, Visibility: Shared, Owner: c.ProjectID, CreatedAt: now, UpdatedAt: now}
	if err := i.apply(ops); err != nil {
		return nil, err
	}
	if err := s.permitAttributes(ctx, c, &Image{Visibility: Shared, Owner: c.ProjectID}, i); err != nil {
		return nil, err
	}
	if err := i.move(StatusQueued, now); err != nil {
		return nil, err
	}
	w := Write{Is: i, Event: eventOf(nil, i, c.actor())}
	if err := limited(ctx, &w, s.quota); err != nil {
		return nil, err
	}
	if err := s.Store.Apply(ctx, w); err != nil {
		return nil, err
	}
	return i, nil
}

// Get returns one image.
func (s *Service) Get(ctx context.Context, c Caller, id string) (*Image, error) {
	return s.allowed(ctx, c, id, "get_image")
}

// List returns one page. The caller of List fills in the filters; whose list it is comes from c. marker is the id of
// the image behind which the page begins, or "".
func (s *Service) List(ctx context.Context, c Caller, q Query, marker string) (Page, error) {
	if err := s.permit(ctx, c, "get_images", nil); err != nil {
		return Page{}, err
	}
	q.ProjectID, q.SeesAll = c.ProjectID, s.Policy.SeesAll(c)
	if marker != "" {
		at, err := s.position(ctx, c, marker)
		if err != nil {
			return Page{}, err
		}
		q.After = at
	}
	if q.Limit == 0 {
		return Page{}, nil
	}
	return s.Store.List(ctx, &q)
}

func (s *Service) position(ctx context.Context, c Caller, marker string) (*Image, error) {
	bad := Errorf(Invalid, "marker %.64q is not the id of an image that you can see; begin again without a marker.", marker)
	if !validUUID(marker) {
		return nil, bad
	}
	at, err := s.Store.Position(ctx, marker)
	if KindOf(err) == NotFound && err != nil {
		return nil, bad
	} else if err != nil {
		return nil, err
	}
	var membership *Member
	if !Visible(at, c, s.Policy.SeesAll(c), nil) {
		if at.Status == StatusDeleted && at.Visibility == Shared {
			return at, nil // the member list went with the image; a position in a list tells nothing
		}
		if membership, err = s.Store.Member(ctx, marker, c.ProjectID); err != nil && KindOf(err) != NotFound {
			return nil, err
		}
	}
	if !Visible(at, c, s.Policy.SeesAll(c), membership) {
		return nil, bad
	}
	return at, nil
}

// Patch changes attributes, all or none. ifVersion is the version that the record must have, 0 for any.
func (s *Service) Patch(ctx context.Context, c Caller, id string, ifVersion int64, ops []PatchOp) (*Image, error) {
	if _, err := s.allowed(ctx, c, id, "modify_image"); err != nil {
		return nil, err
	}
	return s.change(ctx, id, c.actor(), func(i *Image) error {
		was := i.Clone()
		if ifVersion != 0 && i.Version != ifVersion {
			return Errorf(PreconditionFailed, "Image %s has changed since you read it; read it again and repeat the change.", id)
		}
		if err := s.permit(ctx, c, "modify_image", i); err != nil {
			return err
		}
		if i.Status == StatusPendingDelete {
			return errNoImage(id)
		}
		if err := i.apply(ops); err != nil {
			return err
		}
		if err := s.permitAttributes(ctx, c, was, i); err != nil {
			return err
		}
		if len(ops) == 0 {
			return ErrUnchanged
		}
		i.UpdatedAt = s.now()
		return nil
	})
}

// permitAttributes asks the rules that guard single attributes.
func (s *Service) permitAttributes(ctx context.Context, c Caller, was, is *Image) error {
	if is.Owner != was.Owner && !s.Policy.SeesAll(c) {
		return Errorf(Forbidden, "Only an administrator may set owner to another project than the token's.")
	}
	if is.Visibility == was.Visibility {
		return nil
	}
	switch is.Visibility {
	case Public:
		return s.permit(ctx, c, "publicize_image", is)
	case Community:
		return s.permit(ctx, c, "communitize_image", is)
	}
	return nil
}

// Delete removes an image for good: the record is pending_delete when Delete returns, or gone. Scrub finishes what a crash interrupts.
func (s *Service) Delete(ctx context.Context, c Caller, id string) error {
	if _, err := s.allowed(ctx, c, id, "delete_image"); err != nil {
		return err
	}
	i, err := s.change(ctx, id, c.actor(), func(i *Image) error {
		if i.Status == StatusPendingDelete {
			return errNoImage(id)
		}
		if err := s.permit(ctx, c, "delete_image", i); err != nil {
			return err
		}
		return i.move(StatusPendingDelete, s.now())
	})
	if err != nil {
		return err
	}
	if err := s.FinishDelete(ctx, i); err != nil {
		// The promise is kept by scrub; to the caller the image is gone.
		s.Log.LogAttrs(ctx, slog.LevelWarn, "delete will be finished by scrub", slog.String("image", id), slog.String("error", err.Error()))
	}
	return nil
}

// FinishDelete deletes the bytes of an image that is pending_delete and then its record, leaving a tombstone. It can be repeated.
func (s *Service) FinishDelete(ctx context.Context, i *Image) error {
	if i.Status != StatusPendingDelete {
		return Errorf(Conflict, "Image %s is %s, not %s.", i.ID, i.Status, StatusPendingDelete)
	}
	if err := s.dropBytes(ctx, i); err != nil {
		return err
	}
	is := i.Clone()
	if err := is.move(StatusDeleted, s.now()); err != nil {
		return err
	}
	return s.Store.Apply(ctx, Write{Was: i, Is: is, Event: eventOf(i, is, Actor{})})
}

// dropBytes deletes everything that the uploads of an image left in the bucket. An image that never had an upload costs nothing.
func (s *Service) dropBytes(ctx context.Context, i *Image) error {
	keys := map[string]bool{}
	if u := i.Upload; u != nil {
		if u.S3Upload != "" && u.State != UploadAccepted {
			if err := s.Blobs.AbortMultipart(ctx, u.Key(i.ID), u.S3Upload); err != nil {
				return err
			}
		}
		keys[u.Key(i.ID)] = true
	}
	if i.Blob != nil {
		keys[i.Blob.Key] = true
	}
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		if err := s.Blobs.Delete(ctx, key); err != nil {
			return err
		}
	}
	return nil
}

// Deactivate takes an image out of circulation: its record stays, only an administrator can download it. No change when it is so already.
func (s *Service) Deactivate(ctx context.Context, c Caller, id string) error {
	return s.action(ctx, c, id, "deactivate", StatusDeactivated)
}

// Reactivate undoes Deactivate.
func (s *Service) Reactivate(ctx context.Context, c Caller, id string) error {
	return s.action(ctx, c, id, "reactivate", StatusActive)
}

func (s *Service) action(ctx context.Context, c Caller, id, rule string, to Status) error {
	if _, err := s.allowed(ctx, c, id, rule); err != nil {
		return err
	}
	_, err := s.change(ctx, id, c.actor(), func(i *Image) error {
		switch i.Status {
		case to:
			return ErrUnchanged
		case StatusActive, StatusDeactivated:
			return i.move(to, s.now())
		}
		return Errorf(Forbidden, "Image %s is %s; only an image that is active or deactivated can be %sd.", id, i.Status, rule)
	})
	return err
}

// AddTag adds one tag; no change when it is there.
func (s *Service) AddTag(ctx context.Context, c Caller, id, tag string) error {
	if err := checkTag(tag); err != nil {
		return err
	}
	return s.editTags(ctx, c, id, func(i *Image) error {
		if slices.Contains(i.Tags, tag) {
			return ErrUnchanged
		}
		i.Tags = append(i.Tags, tag)
		return i.checkSize()
	})
}

// RemoveTag removes one tag; NotFound when it is not there.
func (s *Service) RemoveTag(ctx context.Context, c Caller, id, tag string) error {
	return s.editTags(ctx, c, id, func(i *Image) error {
		n := slices.Index(i.Tags, tag)
		if n < 0 {
			return Errorf(NotFound, "Image %s has no tag %.64q.", id, tag)
		}
		i.Tags = slices.Delete(i.Tags, n, n+1)
		return nil
	})
}

func (s *Service) editTags(ctx context.Context, c Caller, id string, edit func(*Image) error) error {
	if _, err := s.allowed(ctx, c, id, "modify_image"); err != nil {
		return err
	}
	_, err := s.change(ctx, id, c.actor(), func(i *Image) error {
		if err := edit(i); err != nil {
			return err
		}
		i.UpdatedAt = s.now()
		return nil
	})
	return err
}

// History returns up to limit events of an image that the caller can change, those with a Seq above after. Of an image that is deleted they stay
// readable for the project that had it last, as long as there is a record of the id.
func (s *Service) History(ctx context.Context, c Caller, id string, after int64, limit int) ([]Event, error) {
	i, err := s.Store.Position(ctx, id)
	if err != nil && KindOf(err) == NotFound {
		return nil, errNoImage(id)
	} else if err != nil {
		return nil, err
	}
	if i.Status != StatusDeleted && i.Status != StatusPendingDelete {
		if _, err := s.allowed(ctx, c, id, "get_image", "modify_image"); err != nil {
			return nil, err
		}
	} else if !s.Policy.SeesAll(c) {
		if c.ProjectID == "" || i.Owner != c.ProjectID {
			return nil, errNoImage(id)
		}
		if err := s.permit(ctx, c, "modify_image", i); err != nil {
			return nil, err
		}
	}
	return s.Store.Events(ctx, id, after, limit)
}

// validUUID says whether id is a UUID in the one spelling that records have.
func validUUID(id string) bool {
	if len(id) != 36 || strings.ToLower(id) != id {
		return false
	}
	for n, r := range id {
		dash := n == 8 || n == 13 || n == 18 || n == 23
		if dash != (r == '-') || !dash && !strings.ContainsRune("0123456789abcdef", r) {
			return false
		}
	}
	return true
}
