package images

// Visible is the one predicate of who may see an image by its id. membership is the caller's
// project's entry in the member list, nil when there is none.
//
// As in Glance, a member may see a shared image whatever the member's status; a private image has
// no members that count.
func Visible(i *Image, c Caller, seesAll bool, membership *Member) bool {
	switch {
	case seesAll, i.Visibility == Public, i.Visibility == Community:
		return true
	case c.ProjectID == "":
		return false
	case i.Owner == c.ProjectID:
		return true
	}
	return i.Visibility == Shared && membership != nil && membership.ProjectID == c.ProjectID
}

// Scope is one part of a list. The scopes of a list are disjoint, so a store may read each from its
// own index and merge.
type Scope uint8

// The scopes, seen from the project that asks.
const (
	ScopeOwn          Scope = iota // owned by the project
	ScopePublic                    // public, of other projects
	ScopeCommunity                 // community, of other projects
	ScopeSharedWithMe              // shared, of other projects, with a member entry of the wanted status
	ScopeAll                       // every image: only for callers that see all
)

// Scopes says of which parts the list consists. It is the one place that decides what belongs in a list:
//
//   - without a visibility: the project's own, public ones, and those shared with it and accepted;
//     community images of others are left out;
//   - visibility=all: the same with community images of others;
//   - visibility=shared: the project's own shared images, and those shared with it with the wanted member status;
//   - otherwise: images of that visibility that the caller may list.
//
// An administrator's list is over all projects.
func (q *Query) Scopes() []Scope {
	if q.SeesAll {
		// As in Glance, an administrator who asks for shared images by member status asks as a member.
		if q.Visibility == Shared && q.MemberStatus != "" {
			return []Scope{ScopeOwn, ScopeSharedWithMe}
		}
		return []Scope{ScopeAll}
	}
	var scopes []Scope
	if q.ProjectID != "" {
		scopes = append(scopes, ScopeOwn)
	}
	switch q.Visibility {
	case "", VisibilityAll:
		scopes = append(scopes, ScopePublic)
		if q.Visibility == VisibilityAll {
			scopes = append(scopes, ScopeCommunity)
		}
		if q.ProjectID != "" {
			scopes = append(scopes, ScopeSharedWithMe)
		}
	case Public:
		scopes = append(scopes, ScopePublic)
	case Community:
		scopes = append(scopes, ScopeCommunity)
	case Shared:
		if q.ProjectID != "" {
			scopes = append(scopes, ScopeSharedWithMe)
		}
	}
	return scopes
}

// In says whether the image belongs to the scope. membership is the entry of q.ProjectID in the image's
// member list, nil when there is none.
func (q *Query) In(s Scope, i *Image, membership *Member) bool {
	own := q.ProjectID != "" && i.Owner == q.ProjectID
	switch s {
	case ScopeAll:
		return true
	case ScopeOwn:
		return own
	case ScopePublic:
		return !own && i.Visibility == Public
	case ScopeCommunity:
		return !own && i.Visibility == Community
	case ScopeSharedWithMe:
		return !own && i.Visibility == Shared && membership != nil &&
			(q.MemberStatus == MemberStatusAll || membership.Status == q.memberStatus())
	}
	return false
}

// Lists says whether the image belongs in the list: it is in one of its scopes and passes its filters.
// Stores may narrow what they read in any way that agrees with it.
func (q *Query) Lists(i *Image, membership *Member) bool {
	if !q.Matches(i) {
		return false
	}
	for _, s := range q.Scopes() {
		if q.In(s, i, membership) {
			return true
		}
	}
	return false
}
