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
	if q := s.quota(projectID); q != nil {
		limit = *q
	}
	used, err = s.Store.Usage(ctx, projectID)
	return used, limit, err
}
