package images

import "context"

// AddMember shares an image with a project. Only shared images have members.
func (s *Service) AddMember(ctx context.Context, c Caller, imageID, projectID string) (*Member, error) {
	if projectID == "" || len(projectID) > MaxName {
		return nil, Errorf(Invalid, "member must be a project id of 1 to %d characters.", MaxName)
	}
	if err := plainText("member", projectID); err != nil {
		return nil, err
	}
	i, err := s.allowed(ctx, c, imageID, "add_member")
	if err != nil {
		return nil, err
	}
	if i.Visibility != Shared {
		return nil, Errorf(Forbidden, "Image %s is %s; only an image whose visibility is shared has members.", imageID, i.Visibility)
	}
	now := s.now()
	m := Member{ImageID: imageID, ProjectID: projectID, Status: Pending, CreatedAt: now, UpdatedAt: now}
	if err := s.Store.CreateMember(ctx, m); err != nil {
		return nil, err
	}
	return &m, nil
}

// Members lists with whom an image is shared. The owner sees all members, a member sees itself.
func (s *Service) Members(ctx context.Context, c Caller, imageID string) ([]Member, error) {
	i, err := s.allowed(ctx, c, imageID, "get_members")
	if err != nil {
		return nil, err
	}
	if i.Visibility != Shared {
		return nil, Errorf(Forbidden, "Image %s is %s; only an image whose visibility is shared has members.", imageID, i.Visibility)
	}
	if i.Owner == c.ProjectID || s.Policy.SeesAll(c) {
		return s.Store.Members(ctx, imageID)
	}
	m, err := s.Store.Member(ctx, imageID, c.ProjectID)
	if err != nil {
		return nil, err
	}
	return []Member{*m}, nil
}

// Member returns one entry: any to the owner, its own to a member.
func (s *Service) Member(ctx context.Context, c Caller, imageID, projectID string) (*Member, error) {
	i, err := s.allowed(ctx, c, imageID, "get_member")
	if err != nil {
		return nil, err
	}
	if i.Owner != c.ProjectID && projectID != c.ProjectID && !s.Policy.SeesAll(c) {
		return nil, errNoMember(imageID, projectID)
	}
	return s.Store.Member(ctx, imageID, projectID)
}

// SetMemberStatus is the member's answer to being shared with. The owner cannot give it.
func (s *Service) SetMemberStatus(ctx context.Context, c Caller, imageID, projectID string, status MemberStatus) (*Member, error) {
	if !status.Valid() {
		return nil, Errorf(Invalid, "status must be pending, accepted or rejected, not %.40q.", status)
	}
	if _, err := s.allowed(ctx, c, imageID, "modify_member"); err != nil {
		return nil, err
	}
	m, err := s.Store.Member(ctx, imageID, projectID)
	if err != nil {
		return nil, err
	}
	if projectID != c.ProjectID && !s.Policy.SeesAll(c) {
		return nil, Errorf(Forbidden, "Only the member itself may accept or reject; your token is for another project.")
	}
	m.Status, m.UpdatedAt = status, s.now()
	if err := s.Store.UpdateMember(ctx, *m); err != nil {
		return nil, err
	}
	return m, nil
}

// RemoveMember ends the sharing with a project.
func (s *Service) RemoveMember(ctx context.Context, c Caller, imageID, projectID string) error {
	i, err := s.allowed(ctx, c, imageID, "delete_member")
	if err != nil {
		return err
	}
	if i.Visibility != Shared {
		return Errorf(Forbidden, "Image %s is %s; only an image whose visibility is shared has members.", imageID, i.Visibility)
	}
	return s.Store.DeleteMember(ctx, imageID, projectID)
}

func errNoMember(imageID, projectID string) error {
	return Errorf(NotFound, "Image %s is not shared with project %.64q.", imageID, projectID)
}
