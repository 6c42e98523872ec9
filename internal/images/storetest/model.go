package storetest

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"bullion/internal/images"
)

// Model is the reference: every record and member in memory.
type Model struct {
	Images  map[string]*images.Image
	Members map[string][]images.Member // by image
}

// Populate writes random records and members to the store and returns what is there then.
func (g Generator) Populate(ctx context.Context, store images.Store, records int) (*Model, error) {
	m := &Model{Images: map[string]*images.Image{}, Members: map[string][]images.Member{}}
	for range records {
		i := g.Image()
		if err := store.Apply(ctx, images.Write{Is: i}); err != nil {
			return nil, fmt.Errorf("creating %s: %w", i.ID, err)
		}
		// Some were something else before, so that whatever a store keeps beside the record has to follow.
		if g.chance(30) {
			is := g.Image()
			is.ID, is.CreatedAt = i.ID, i.CreatedAt
			if err := store.Apply(ctx, images.Write{Was: i, Is: is}); err != nil {
				return nil, fmt.Errorf("replacing %s: %w", i.ID, err)
			}
			i = is
		}
		for _, p := range projects {
			if !g.chance(35) {
				continue
			}
			at := g.time()
			member := images.Member{ImageID: i.ID, ProjectID: p, Status: images.Pending, CreatedAt: at, UpdatedAt: at}
			if err := store.CreateMember(ctx, member); err != nil {
				return nil, fmt.Errorf("sharing %s with %s: %w", i.ID, p, err)
			}
			if member.Status = pick(g, memberStatuses); member.Status != images.Pending {
				if err := store.UpdateMember(ctx, member); err != nil {
					return nil, fmt.Errorf("answering for %s: %w", p, err)
				}
			}
			m.Members[i.ID] = append(m.Members[i.ID], member)
		}
		// Some change after they were shared, for the same reason.
		if g.chance(30) {
			is := i.Clone()
			is.Name, is.Status, is.Visibility, is.Hidden, is.UpdatedAt, is.Size = pick(g, names), pick(g, statuses), pick(g, visibilities), g.chance(20), g.time(), g.size()
			if err := store.Apply(ctx, images.Write{Was: i, Is: is}); err != nil {
				return nil, fmt.Errorf("changing %s: %w", i.ID, err)
			}
			i = is
		}
		if g.chance(5) {
			is := i.Clone()
			is.Status = images.StatusDeleted
			if err := store.Apply(ctx, images.Write{Was: i, Is: is}); err != nil {
				return nil, fmt.Errorf("deleting %s: %w", i.ID, err)
			}
			delete(m.Members, i.ID)
			continue
		}
		m.Images[i.ID] = i
	}
	return m, nil
}

// membership is the entry of the project in the member list of the image, nil when there is none.
func (m *Model) membership(imageID, project string) *images.Member {
	for _, member := range m.Members[imageID] {
		if member.ProjectID == project {
			return &member
		}
	}
	return nil
}

// List is the whole list behind q.After, without pages.
func (m *Model) List(q *images.Query) []*images.Image {
	var list []*images.Image
	for _, i := range m.Images {
		if q.Lists(i, m.membership(i.ID, q.ProjectID)) && (q.After == nil || q.Compare(i, q.After) > 0) {
			list = append(list, i)
		}
	}
	q.Sorted(list)
	return list
}

// follow reads the list from q.After to its end, page by page, and checks what every page must keep.
// limit is the greatest number of images that it reads, 0 for all.
func (m *Model) follow(ctx context.Context, store images.Store, q images.Query, limit int) ([]*images.Image, error) {
	var list []*images.Image
	for empty := 0; ; {
		page, err := store.List(ctx, &q)
		if err != nil {
			return nil, err
		}
		if len(page.Images) > q.Limit {
			return nil, fmt.Errorf("a page of %d has %d images", q.Limit, len(page.Images))
		}
		before := q.After
		for _, i := range page.Images {
			if before != nil && q.Compare(before, i) >= 0 {
				return nil, fmt.Errorf("image %s does not come behind %s", i.ID, before.ID)
			}
			before = i
		}
		list = append(list, page.Images...)
		if page.Next == nil || limit > 0 && len(list) >= limit {
			return list, nil
		}
		if q.After != nil && q.Compare(q.After, page.Next) >= 0 || before != nil && q.Compare(before, page.Next) > 0 {
			return nil, fmt.Errorf("Next %s does not lead on", page.Next.ID)
		}
		if !images.Visible(page.Next, images.Caller{ProjectID: q.ProjectID}, q.SeesAll, m.membership(page.Next.ID, q.ProjectID)) {
			return nil, fmt.Errorf("Next %s is an image that project %q cannot see", page.Next.ID, q.ProjectID)
		}
		if empty++; len(page.Images) > 0 {
			empty = 0
		}
		if empty > 1000 {
			return nil, fmt.Errorf("%d pages one after the other are empty", empty)
		}
		q.After = page.Next
	}
}

// same checks that two lists hold the same images in the same order.
func same(t *testing.T, got, want []*images.Image) bool {
	t.Helper()
	if slices.EqualFunc(got, want, func(a, b *images.Image) bool { return a.ID == b.ID }) {
		return true
	}
	for n := range max(len(got), len(want)) {
		switch {
		case n >= len(got):
			t.Errorf("place %d: got nothing, want %s (%d of %d images)", n, want[n].ID, len(got), len(want))
		case n >= len(want):
			t.Errorf("place %d: got %s, want nothing (%d instead of %d images)", n, got[n].ID, len(got), len(want))
		case got[n].ID != want[n].ID:
			t.Errorf("place %d: got %s, want %s", n, got[n].ID, want[n].ID)
		default:
			continue
		}
		return false
	}
	return false
}
