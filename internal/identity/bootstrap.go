package identity

import (
	"context"
	"fmt"
	"strings"
)

// Credentials are what a first start prints once.
type Credentials struct {
	Project                    Project
	AdminName, AdminPassword   string
	MemberName, MemberPassword string
}

// Bootstrap fills an empty directory with a project, an administrator and a member with random
// passwords. It does nothing, and returns false, when there is a user or a project already.
func Bootstrap(ctx context.Context, d *FileDirectory) (c Credentials, done bool, err error) {
	c = Credentials{AdminName: "admin", AdminPassword: NewPassword(), MemberName: "member", MemberPassword: NewPassword()}
	if l, err := d.load(); err != nil || len(l.Users)+len(l.Projects) > 0 {
		return Credentials{}, false, err
	}
	adminHash, err := d.hash.hash(ctx, c.AdminPassword)
	if err != nil {
		return Credentials{}, false, err
	}
	memberHash, err := d.hash.hash(ctx, c.MemberPassword)
	if err != nil {
		return Credentials{}, false, err
	}
	err = d.change(func(l *loadedDirectory) error {
		if done = len(l.Users)+len(l.Projects) == 0; !done {
			return nil // another process was first
		}
		p := fileProject{ID: newID(), Name: "main", Description: "The first project"}
		l.Projects = append(l.Projects, p)
		l.Users = append(l.Users,
			fileUser{ID: newID(), Name: c.AdminName, Password: adminHash, Roles: map[string][]string{p.ID: {RoleAdmin}}},
			fileUser{ID: newID(), Name: c.MemberName, Password: memberHash, Roles: map[string][]string{p.ID: {RoleMember}}})
		c.Project = p.project()
		return nil
	})
	if err != nil || !done {
		return Credentials{}, false, err
	}
	return c, true, nil
}

// CloudsYAML is the text of a clouds.yaml that OpenStack's clients read, for one user of a project.
// The URL is the identity service's, without /v3.
func CloudsYAML(cloud, url, user, password, project string) string {
	return fmt.Sprintf(`clouds:
  %s:
    auth:
      auth_url: %s/v3
      username: %q
      password: %q
      project_name: %q
      user_domain_name: %s
      project_domain_name: %s
    region_name: RegionOne
    identity_api_version: 3
`, cloud, strings.TrimRight(url, "/"), user, password, project, DomainName, DomainName)
}
