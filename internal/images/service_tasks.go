package images

import (
	"cmp"
	"context"
)

// An image has one import at a time, and keeps the last one. So a task has the id of its image, and finding it costs one read.

// ImportOf returns an image with its last import to those who may give it bytes: its project, and administrators.
func (s *Service) ImportOf(ctx context.Context, c Caller, id string) (*Image, error) {
	i, err := s.allowed(ctx, c, id, "get_image")
	if err != nil {
		return nil, err
	}
	if i.Owner != c.ProjectID && !s.Policy.SeesAll(c) {
		return nil, errNoImage(id)
	}
	return i, nil
}

// Task returns the image whose import has the id.
func (s *Service) Task(ctx context.Context, c Caller, taskID string) (*Image, error) {
	if err := s.permit(ctx, c, "tasks_api_access", nil); err != nil {
		return nil, err
	}
	if err := s.permit(ctx, c, "get_task", nil); err != nil {
		return nil, err
	}
	i, err := s.ImportOf(ctx, c, taskID)
	if err == nil && i.Import == nil || KindOf(err) == NotFound && err != nil {
		return nil, Errorf(NotFound, "No task %.64q was found.", taskID)
	}
	return i, err
}

// Tasks returns one page of the images that the caller may list, those that changed last first; the tasks are the imports among them.
func (s *Service) Tasks(ctx context.Context, c Caller, marker string, limit int) (Page, error) {
	for _, rule := range []string{"tasks_api_access", "get_tasks"} {
		if err := s.permit(ctx, c, rule, nil); err != nil {
			return Page{}, err
		}
	}
	return s.List(ctx, c, Query{Limit: limit, Sort: []SortKey{{Key: "updated_at", Desc: true}}}, marker)
}

// Permit asks the policy about a rule that concerns no image.
func (s *Service) Permit(ctx context.Context, c Caller, rule string) error {
	return s.permit(ctx, c, rule, nil)
}

// SetQuota sets what a project may use, and nil gives it what every project may use again. What the project uses already stays, and it takes no more
// until it is below.
func (s *Service) SetQuota(ctx context.Context, c Caller, projectID string, limit *Usage) error {
	if err := s.permit(ctx, c, "context_is_admin", nil); err != nil {
		return err
	}
	if projectID == "" || len(projectID) > MaxName {
		return Errorf(Invalid, "The id of a project has 1 to %d bytes.", MaxName)
	}
	if limit != nil && min(limit.Images, limit.Bytes, limit.InFlight, limit.Uploads) < Unlimited {
		return Errorf(Invalid, "A quota is a number of bytes, images or uploads, or %d for any number.", Unlimited)
	}
	return s.Store.SetQuota(ctx, projectID, limit)
}

// Egress is how many bytes a project took out in the month that now is, which it names: those of downloads that were signed or carried, whole though a client may
// have read less. Only those who see every image may ask.
func (s *Service) Egress(ctx context.Context, c Caller, projectID string) (month string, bytes int64, err error) {
	if err := s.permit(ctx, c, "context_is_admin", nil); err != nil {
		return "", 0, err
	}
	month = s.month()
	bytes, err = s.Store.Egress(ctx, cmp.Or(projectID, c.ProjectID), month)
	return month, bytes, err
}

func (s *Service) month() string { return s.now().Format("2006-01") }

// Usage is what a project uses and may use; a figure without a limit is Unlimited. "" is the caller's project; only those who see every image may
// ask about others.
func (s *Service) Usage(ctx context.Context, c Caller, projectID string) (used, limit Usage, err error) {
	limit = Usage{Unlimited, Unlimited, Unlimited, Unlimited}
	if projectID = cmp.Or(projectID, c.ProjectID); projectID != c.ProjectID {
		if err := s.permit(ctx, c, "context_is_admin", nil); err != nil {
			return used, limit, err
		}
	}
	if projectID == "" {
		return used, limit, Errorf(Forbidden, "Your token is not for a project; choose one (OS_PROJECT_NAME) and sign in again.")
	}
	q, err := s.quota(ctx, projectID)
	if err != nil {
		return used, limit, err
	} else if q != nil {
		limit = *q
	}
	used, err = s.Store.Usage(ctx, projectID)
	return used, limit, err
}
