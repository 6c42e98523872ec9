package identity

import (
	"cmp"
	"net/http"
	"slices"
	"strings"

	"bullion/internal/images"
)

func sortGrants(g []Grant) {
	slices.SortFunc(g, func(a, b Grant) int { return cmp.Compare(a.Project.Name, b.Project.Name) })
}

func (s *Service) projectBody(r *http.Request, p Project) object {
	return object{
		"id": p.ID, "name": p.Name, "description": p.Description, "enabled": !p.Disabled, "domain_id": DomainID, "parent_id": DomainID,
		"is_domain": false, "tags": []string{}, "options": object{}, "links": object{"self": s.base(r) + "/v3/projects/" + p.ID},
	}
}

func (s *Service) userBody(r *http.Request, u User) object {
	body := object{
		"id": u.ID, "name": u.Name, "enabled": !u.Disabled, "domain_id": DomainID, "password_expires_at": nil, "options": object{},
		"links": object{"self": s.base(r) + "/v3/users/" + u.ID},
	}
	if u.Email != "" {
		body["email"] = u.Email
	}
	return body
}

// list writes a list in Keystone's form.
func (s *Service) list(w http.ResponseWriter, r *http.Request, name string, items []object) error {
	if items == nil {
		items = []object{}
	}
	return writeJSON(w, http.StatusOK, object{name: items, "links": links(s.base(r) + r.URL.Path)})
}

func (s *Service) writeProjects(w http.ResponseWriter, r *http.Request, grants []Grant) error {
	var items []object
	name := r.URL.Query().Get("name")
	for _, g := range grants {
		if name == "" || g.Project.Name == name {
			items = append(items, s.projectBody(r, g.Project))
		}
	}
	return s.list(w, r, "projects", items)
}

// authProjects lists the projects that the caller can get a token for.
func (s *Service) authProjects(w http.ResponseWriter, r *http.Request) error {
	c, err := s.caller(r)
	if err != nil {
		return err
	}
	grants, err := s.reachable(r, c)
	if err != nil {
		return err
	}
	return s.writeProjects(w, r, grants)
}

// reachable are the caller's grants; those of an application credential are in its own project only.
func (s *Service) reachable(r *http.Request, c Claims) ([]Grant, error) {
	grants, err := s.grants(r.Context(), c)
	if c.AppCredential != "" {
		grants = slices.DeleteFunc(grants, func(g Grant) bool { return g.Project.ID != c.ProjectID })
	}
	return grants, err
}

// Nobody has a role in a domain or in the system: what Keystone keeps for those, an
// administrator of any project may do here.
func (s *Service) authDomains(w http.ResponseWriter, r *http.Request) error {
	if _, err := s.caller(r); err != nil {
		return err
	}
	return s.list(w, r, "domains", nil)
}

func (s *Service) authSystem(w http.ResponseWriter, r *http.Request) error {
	if _, err := s.caller(r); err != nil {
		return err
	}
	return s.list(w, r, "system", nil)
}

func (s *Service) userProjects(w http.ResponseWriter, r *http.Request) error {
	c, err := s.caller(r)
	if err != nil {
		return err
	}
	id := r.PathValue("user")
	if id == c.UserID {
		grants, err := s.reachable(r, c)
		if err != nil {
			return err
		}
		return s.writeProjects(w, r, grants)
	}
	if !c.isAdmin() {
		return forbidden("list_user_projects")
	}
	u, err := s.Directory.User(r.Context(), UserRef{ID: id})
	if err != nil {
		return missing(err, "user", id)
	}
	grants, err := s.Directory.Grants(r.Context(), u)
	if err != nil {
		return err
	}
	return s.writeProjects(w, r, grants)
}

// missing gives a NotFound error Keystone's text, and passes on others.
func missing(err error, what, id string) error {
	if images.KindOf(err) == images.NotFound {
		return notFound(what, id)
	}
	return err
}

func (s *Service) user(w http.ResponseWriter, r *http.Request) error {
	c, err := s.caller(r)
	if err != nil {
		return err
	}
	id := r.PathValue("user")
	if id == c.UserID && c.Provider != "" {
		return writeJSON(w, http.StatusOK, object{"user": s.userBody(r, User{ID: c.UserID, Name: c.UserName})})
	}
	if id != c.UserID && !c.isAdmin() {
		return forbidden("get_user")
	}
	u, err := s.Directory.User(r.Context(), UserRef{ID: id})
	if err != nil {
		return missing(err, "user", id)
	}
	return writeJSON(w, http.StatusOK, object{"user": s.userBody(r, u)})
}

// users lists users for administrators. A member may look up nobody but themself.
func (s *Service) users(w http.ResponseWriter, r *http.Request) error {
	c, err := s.caller(r)
	if err != nil {
		return err
	}
	q := r.URL.Query()
	name := q.Get("name")
	if !c.isAdmin() && name != c.UserName {
		return forbidden("list_users")
	}
	var found []User
	switch {
	case q.Has("domain_id") && q.Get("domain_id") != DomainID:
	case !c.isAdmin():
		found = []User{{ID: c.UserID, Name: c.UserName}}
	case name != "":
		u, err := s.Directory.User(r.Context(), UserRef{Name: name})
		if err == nil {
			found = []User{u}
		} else if images.KindOf(err) != images.NotFound {
			return err
		}
	default:
		if found, err = s.Directory.Users(r.Context()); err != nil {
			return err
		}
	}
	var items []object
	for _, u := range found {
		items = append(items, s.userBody(r, u))
	}
	return s.list(w, r, "users", items)
}

// project answers a look-up by id. To a member every project but their own is 403, whether it
// exists or not: clients then take the text for an id and go on, where a 404 would stop them.
func (s *Service) project(w http.ResponseWriter, r *http.Request) error {
	c, err := s.caller(r)
	if err != nil {
		return err
	}
	id := r.PathValue("project")
	if !c.isAdmin() {
		grants, err := s.reachable(r, c)
		if err != nil {
			return err
		}
		for _, g := range grants {
			if g.Project.ID == id {
				return writeJSON(w, http.StatusOK, object{"project": s.projectBody(r, g.Project)})
			}
		}
		return forbidden("get_project")
	}
	p, err := s.Directory.ProjectByID(r.Context(), id)
	if err != nil {
		return missing(err, "project", id)
	}
	return writeJSON(w, http.StatusOK, object{"project": s.projectBody(r, p)})
}

// projects lists all projects for administrators. A member may look up their own by name.
func (s *Service) projects(w http.ResponseWriter, r *http.Request) error {
	c, err := s.caller(r)
	if err != nil {
		return err
	}
	q := r.URL.Query()
	name := q.Get("name")
	var found []Project
	switch {
	case !c.isAdmin():
		grants, err := s.reachable(r, c)
		if err != nil {
			return err
		}
		for _, g := range grants {
			if name != "" && g.Project.Name == name {
				found = append(found, g.Project)
			}
		}
		if len(found) == 0 {
			return forbidden("list_projects")
		}
	case name != "":
		p, err := s.Directory.ProjectByName(r.Context(), name)
		if err == nil {
			found = []Project{p}
		} else if images.KindOf(err) != images.NotFound {
			return err
		}
	default:
		if found, err = s.Directory.Projects(r.Context()); err != nil {
			return err
		}
	}
	var items []object
	for _, p := range found {
		switch {
		case q.Has("domain_id") && q.Get("domain_id") != DomainID,
			q.Has("parent_id") && q.Get("parent_id") != DomainID,
			q.Has("is_domain") && truthy(q.Get("is_domain")),
			q.Has("enabled") && truthy(q.Get("enabled")) == p.Disabled:
			continue
		}
		items = append(items, s.projectBody(r, p))
	}
	return s.list(w, r, "projects", items)
}

// truthy reads a boolean of a query as Keystone does.
func truthy(v string) bool { return v == "" || strings.EqualFold(v, "true") || v == "1" }

func (s *Service) domainBody(r *http.Request) object {
	return object{"id": DomainID, "name": DomainName, "description": "The default domain", "enabled": true, "tags": []string{}, "options": object{},
		"links": object{"self": s.base(r) + "/v3/domains/" + DomainID}}
}

func (s *Service) domains(w http.ResponseWriter, r *http.Request) error {
	if _, err := s.caller(r); err != nil {
		return err
	}
	q := r.URL.Query()
	if q.Has("name") && !strings.EqualFold(q.Get("name"), DomainName) || q.Has("enabled") && !truthy(q.Get("enabled")) {
		return s.list(w, r, "domains", nil)
	}
	return s.list(w, r, "domains", []object{s.domainBody(r)})
}

func (s *Service) domain(w http.ResponseWriter, r *http.Request) error {
	if _, err := s.caller(r); err != nil {
		return err
	}
	if id := r.PathValue("domain"); id != DomainID {
		return notFound("domain", id)
	}
	return writeJSON(w, http.StatusOK, object{"domain": s.domainBody(r)})
}

// A role's id is its name: there are four, and they never change.
func (s *Service) roleBody(r *http.Request, role string) object {
	return object{"id": role, "name": role, "domain_id": nil, "description": nil, "options": object{}, "links": object{"self": s.base(r) + "/v3/roles/" + role}}
}

func (s *Service) roles(w http.ResponseWriter, r *http.Request) error {
	if _, err := s.caller(r); err != nil {
		return err
	}
	var items []object
	name := r.URL.Query().Get("name")
	for _, role := range Roles {
		if name == "" || strings.EqualFold(role, name) {
			items = append(items, s.roleBody(r, role))
		}
	}
	return s.list(w, r, "roles", items)
}

func (s *Service) role(w http.ResponseWriter, r *http.Request) error {
	if _, err := s.caller(r); err != nil {
		return err
	}
	id := r.PathValue("role")
	if !slices.Contains(Roles, id) {
		return notFound("role", id)
	}
	return writeJSON(w, http.StatusOK, object{"role": s.roleBody(r, id)})
}

// roleAssignments lists who has which role where: to administrators all, to others their own.
func (s *Service) roleAssignments(w http.ResponseWriter, r *http.Request) error {
	c, err := s.caller(r)
	if err != nil {
		return err
	}
	q := r.URL.Query()
	user, project, role := q.Get("user.id"), q.Get("scope.project.id"), q.Get("role.id")
	if !c.isAdmin() && user != c.UserID {
		return forbidden("list_role_assignments")
	}
	var users []User
	switch {
	case !c.isAdmin():
		users = []User{{ID: c.UserID, Name: c.UserName}}
	case user != "":
		u, err := s.Directory.User(r.Context(), UserRef{ID: user})
		if err == nil {
			users = []User{u}
		} else if images.KindOf(err) != images.NotFound {
			return err
		}
	default:
		if users, err = s.Directory.Users(r.Context()); err != nil {
			return err
		}
	}
	var items []object
	for _, u := range users {
		var grants []Grant
		if u.ID == c.UserID {
			grants, err = s.reachable(r, c)
		} else {
			grants, err = s.Directory.Grants(r.Context(), u)
		}
		if err != nil {
			return err
		}
		for _, g := range grants {
			for _, has := range g.Roles {
				if project != "" && g.Project.ID != project || role != "" && has != role {
					continue
				}
				link := s.base(r) + "/v3/projects/" + g.Project.ID + "/users/" + u.ID + "/roles/" + has
				item := object{"role": object{"id": has}, "user": object{"id": u.ID}, "scope": object{"project": object{"id": g.Project.ID}}, "links": object{"assignment": link}}
				if q.Has("include_names") {
					item["role"] = object{"id": has, "name": has}
					item["user"] = object{"id": u.ID, "name": u.Name, "domain": theDomain}
					item["scope"] = object{"project": object{"id": g.Project.ID, "name": g.Project.Name, "domain": theDomain}}
				}
				items = append(items, item)
			}
		}
	}
	return s.list(w, r, "role_assignments", items)
}
