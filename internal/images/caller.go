package images

import "slices"

// Caller is who asks: a user in one project, with the roles that the user has there.
// It comes from a verified token and is trusted.
type Caller struct {
	UserID      string
	UserName    string
	ProjectID   string // empty for a token without a project: such a caller owns nothing
	ProjectName string
	Roles       []string // reader, member, admin, service; in lower case
}

// Has says whether the caller holds the role by name.
func (c Caller) Has(role string) bool { return slices.Contains(c.Roles, role) }

// Actor is who made a change, as events tell it; the zero value is the service itself.
type Actor struct{ UserID, ProjectID string }

func (c Caller) actor() Actor { return Actor{c.UserID, c.ProjectID} }

// Policy says what a caller may do. Rules have the names of Glance's policy file
// (add_image, get_image, publicize_image …). Target is the image concerned, nil where there is
// none yet. Policy is asked only about images that the caller can see: what a caller may
// not see is NotFound before any rule is asked.
type Policy interface {
	// Allows reports whether the rule lets the caller act on the target.
	Allows(rule string, c Caller, target *Image) bool
	// SeesAll reports whether every image of every project is visible to the caller
	// (Glance: context.is_admin).
	SeesAll(c Caller) bool
}
