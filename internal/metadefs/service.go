package metadefs

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"bullion/internal/images"
)

// Service is what a caller can do with definitions.
type Service struct {
	Store  Store // nil: there is only the catalogue
	Policy images.Policy
	Now    func() time.Time
}

// Query is a request for one page of namespaces. The zero value of a filter does not filter.
type Query struct {
	Visibility    images.Visibility
	ResourceTypes []string // any of them
	Descending    bool     // by name; else ascending
	After         string   // a name
	Limit         int
}

// maxNamespaces bounds the namespaces that administrators may add, so that a list can be made of all.
const maxNamespaces = 1000

// List returns one page in the order of names, and whether there is more.
func (s *Service) List(ctx context.Context, c images.Caller, q Query) (list []*Namespace, more bool, err error) {
	if err := s.permit(c, "get_metadef_namespaces", nil); err != nil {
		return nil, false, err
	}
	all := slices.Clone(catalogue)
	if s.Store != nil {
		documents, err := s.Store.Namespaces(ctx, "", maxNamespaces)
		if err != nil {
			return nil, false, err
		}
		for _, d := range documents {
			var n Namespace
			if err := json.Unmarshal(d, &n); err != nil {
				return nil, false, err
			}
			all = append(all, &n)
		}
	}
	slices.SortFunc(all, func(a, b *Namespace) int {
		if q.Descending {
			a, b = b, a
		}
		return strings.Compare(a.Name, b.Name)
	})
	behind := q.After == ""
	for _, n := range all {
		if !s.visible(c, n) {
			continue
		}
		if !behind {
			behind = n.Name == q.After
			continue
		}
		if q.Visibility != "" && n.Visibility != q.Visibility {
			continue
		}
		if len(q.ResourceTypes) > 0 && !slices.ContainsFunc(q.ResourceTypes, func(t string) bool { _, ok := n.TypeOf(t); return ok }) {
			continue
		}
		if len(list) == q.Limit {
			return list, true, nil
		}
		list = append(list, n)
	}
	if !behind {
		return nil, false, images.Errorf(images.Invalid, "marker %.80q is not the name of a namespace that you can see.", q.After)
	}
	return list, false, nil
}

// Get returns one namespace if the rule lets the caller see it.
func (s *Service) Get(ctx context.Context, c images.Caller, rule, name string) (*Namespace, error) {
	n, _, err := s.read(ctx, c, name)
	if err != nil {
		return nil, err
	}
	return n, s.permit(c, rule, n)
}

// Create adds a namespace that belongs to the caller's project.
func (s *Service) Create(ctx context.Context, c images.Caller, n *Namespace) error {
	if err := s.permit(c, "add_metadef_namespace", nil); err != nil {
		return err
	}
	if n.Owner == "" {
		n.Owner = c.ProjectID
	}
	now := s.now()
	n.CreatedAt = now
	if s.Store == nil {
		return errCatalogueOnly
	}
	if inCatalogue(n.Name) != nil {
		return images.Errorf(images.Conflict, "The namespace %q is part of the catalogue; choose another name.", n.Name)
	}
	have, err := s.Store.Namespaces(ctx, "", maxNamespaces)
	if err == nil && len(have) == maxNamespaces {
		err = images.Errorf(images.TooLarge, "There are %d namespaces, and more are not kept; delete some.", maxNamespaces)
	}
	if err != nil {
		return err
	}
	return s.put(ctx, n, 0)
}

// Change lets edit change a namespace, all or nothing. It begins again when others change it meanwhile.
func (s *Service) Change(ctx context.Context, c images.Caller, rule, name string, edit func(n *Namespace, now time.Time) error) (*Namespace, error) {
	for try := 0; ; try++ {
		n, version, err := s.writable(ctx, c, rule, name)
		if err != nil {
			return nil, err
		}
		if err := edit(n, s.now()); err != nil {
			return nil, err
		}
		switch err := s.put(ctx, n, version); {
		case err == nil:
			return n, nil
		case !errors.Is(err, images.ErrStale) || try == 10:
			return nil, err
		}
	}
}

// Delete removes a namespace with everything in it.
func (s *Service) Delete(ctx context.Context, c images.Caller, name string) error {
	n, version, err := s.writable(ctx, c, "delete_metadef_namespace", name)
	if err != nil {
		return err
	}
	if n.Protected {
		return images.Errorf(images.Forbidden, "The namespace %q is protected and cannot be deleted; set protected to false first.", name)
	}
	err = s.Store.DeleteNamespace(ctx, name, version)
	if errors.Is(err, images.ErrStale) {
		return images.Wrap(images.Conflict, err, "The namespace %q was changed meanwhile; try again.", name)
	}
	return err
}

// writable is a namespace that the rule lets the caller change.
func (s *Service) writable(ctx context.Context, c images.Caller, rule, name string) (*Namespace, int64, error) {
	n, version, err := s.read(ctx, c, name)
	if err != nil {
		return nil, 0, err
	}
	if err := s.permit(c, rule, n); err != nil {
		return nil, 0, err
	}
	if inCatalogue(name) != nil {
		return nil, 0, images.Errorf(images.Forbidden, "The namespace %q is part of the catalogue and does not change; make one of your own.", name)
	}
	return n, version, nil
}

func (s *Service) put(ctx context.Context, n *Namespace, version int64) error {
	n.UpdatedAt = s.now()
	if err := n.check(); err != nil {
		return err
	}
	document, err := json.Marshal(n)
	if err != nil {
		return err
	}
	if len(document) > MaxSize {
		return images.Errorf(images.TooLarge, "The namespace %q has %d bytes with everything in it; at most %d are kept.", n.Name, len(document), MaxSize)
	}
	return s.Store.PutNamespace(ctx, n.Name, version, document)
}

func (s *Service) read(ctx context.Context, c images.Caller, name string) (*Namespace, int64, error) {
	missing := images.Errorf(images.NotFound, "No namespace %.80q was found.", name)
	if n := inCatalogue(name); n != nil {
		return n, 0, nil
	}
	if s.Store == nil {
		return nil, 0, missing
	}
	document, version, err := s.Store.Namespace(ctx, name)
	if err != nil {
		if images.KindOf(err) == images.NotFound {
			return nil, 0, missing
		}
		return nil, 0, err
	}
	n := &Namespace{}
	if err := json.Unmarshal(document, n); err != nil {
		return nil, 0, err
	}
	if !s.visible(c, n) {
		return nil, 0, missing
	}
	return n, version, nil
}

func (s *Service) visible(c images.Caller, n *Namespace) bool {
	return n.Visibility == images.Public || n.Owner == c.ProjectID && c.ProjectID != "" || s.Policy.SeesAll(c)
}

// permit asks the policy, which knows images alone: a namespace has the two attributes of one that rules speak of.
func (s *Service) permit(c images.Caller, rule string, n *Namespace) error {
	var target *images.Image
	if n != nil {
		target = &images.Image{Owner: n.Owner, Visibility: n.Visibility}
	}
	if s.Policy.Allows(rule, c, target) {
		return nil
	}
	return images.Errorf(images.Forbidden, "Policy rule %s does not allow this to your role in the project; ask its administrator.", rule)
}

var errCatalogueOnly = images.Errorf(images.Forbidden, "This deployment keeps the catalogue alone; namespaces cannot be added.")

func (s *Service) now() time.Time { return s.Now().UTC().Truncate(time.Second) }
