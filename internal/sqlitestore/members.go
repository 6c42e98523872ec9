package sqlitestore

import (
	"context"
	"time"

	"bullion/internal/images"
)

const selectMember = "SELECT m.project, m.status, m.created_at, m.updated_at FROM images i JOIN members m ON m.image = i.n WHERE i.id = ?"

// Members returns the member list of an image.
func (s *Store) Members(ctx context.Context, imageID string) (list []images.Member, err error) {
	err = s.read(ctx, func(c *conn) error {
		return c.all(func(r *rows) error {
			list = append(list, member(imageID, r))
			return nil
		}, selectMember+" ORDER BY m.created_at, m.project", imageID)
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// Member returns one entry.
func (s *Store) Member(ctx context.Context, imageID, projectID string) (*images.Member, error) {
	var m images.Member
	err := s.read(ctx, func(c *conn) error {
		there, err := c.one(func(r *rows) { m = member(imageID, r) }, selectMember+" AND m.project = ?", imageID, projectID)
		if err == nil && !there {
			return noMember(imageID, projectID)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return &m, nil
}

func member(imageID string, r *rows) images.Member {
	return images.Member{ImageID: imageID, ProjectID: r.ColumnText(0), Status: images.MemberStatus(r.ColumnText(1)),
		CreatedAt: time.UnixMicro(r.ColumnInt64(2)).UTC(), UpdatedAt: time.UnixMicro(r.ColumnInt64(3)).UTC()}
}

func noMember(imageID, projectID string) error {
	return images.Errorf(images.NotFound, "Image %s is not shared with project %.64q.", imageID, projectID)
}

// CreateMember adds an entry.
func (s *Store) CreateMember(ctx context.Context, m images.Member) error {
	return s.apply(ctx, func(c *conn) error {
		var n, at, created, members int64
		var visibility string
		var there bool
		found, err := c.one(func(r *rows) {
			n, visibility, at, created, members, there = r.ColumnInt64(0), r.ColumnText(1), r.ColumnInt64(2), r.ColumnInt64(3), r.ColumnInt64(4), r.ColumnBool(5)
		}, `SELECT n, visibility, shelf, created_at, (SELECT count(*) FROM members WHERE image = n),
			EXISTS (SELECT 1 FROM members WHERE image = n AND project = ?) FROM images WHERE id = ?`, m.ProjectID, m.ImageID)
		switch {
		case err != nil:
			return err
		case !found:
			return noImage(m.ImageID)
		case there:
			return images.Errorf(images.Conflict, "Image %s is shared with project %.64q already.", m.ImageID, m.ProjectID)
		case members >= images.MaxMembers:
			return images.Errorf(images.TooLarge, "Image %s has %d members; more are not possible. Remove one, or make the image community or public.", m.ImageID, members)
		}
		return c.exec("INSERT INTO members (image, project, status, created_at, updated_at, shelf, image_created_at, image_id) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
			n, m.ProjectID, string(m.Status), m.CreatedAt.UnixMicro(), m.UpdatedAt.UnixMicro(), memberShelf(visibility, at), created, m.ImageID)
	})
}

// UpdateMember changes the status of an entry.
func (s *Store) UpdateMember(ctx context.Context, m images.Member) error {
	return s.changeMember(ctx, m.ImageID, m.ProjectID, "UPDATE members SET status = ?3, updated_at = ?4 WHERE image = (SELECT n FROM images WHERE id = ?1) AND project = ?2",
		string(m.Status), m.UpdatedAt.UnixMicro())
}

// DeleteMember removes an entry.
func (s *Store) DeleteMember(ctx context.Context, imageID, projectID string) error {
	return s.changeMember(ctx, imageID, projectID, "DELETE FROM members WHERE image = (SELECT n FROM images WHERE id = ?1) AND project = ?2")
}

func (s *Store) changeMember(ctx context.Context, imageID, projectID, text string, args ...any) error {
	return s.apply(ctx, func(c *conn) error {
		if err := c.exec(text, append([]any{imageID, projectID}, args...)...); err != nil {
			return err
		}
		if c.Changes() == 0 {
			return noMember(imageID, projectID)
		}
		return nil
	})
}
