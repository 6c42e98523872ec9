package images

import (
	"fmt"
	"slices"
	"testing"
)

// situation is one caller, one image, and what is between them.
type situation struct {
	project    string // of the caller; "" for none
	seesAll    bool
	owner      string
	visibility Visibility
	member     MemberStatus // of the caller's project; "" for no entry
}

func (s situation) String() string {
	return fmt.Sprintf("project %q, sees all %v, a %s image of %q, member %q", s.project, s.seesAll, s.visibility, s.owner, s.member)
}

func (s situation) image() *Image {
	return &Image{ID: "i", Status: StatusActive, Owner: s.owner, Visibility: s.visibility}
}

func (s situation) membership() *Member {
	if s.member == "" {
		return nil
	}
	return &Member{ImageID: "i", ProjectID: s.project, Status: s.member}
}

func (s situation) visible() bool {
	return Visible(s.image(), Caller{ProjectID: s.project}, s.seesAll, s.membership())
}

func (s situation) query(v Visibility, m MemberStatus) *Query {
	return &Query{ProjectID: s.project, SeesAll: s.seesAll, Visibility: v, MemberStatus: m}
}

// situations are all there are.
func situations() (all []situation) {
	for _, project := range []string{"", "mine"} {
		for _, seesAll := range []bool{false, true} {
			for _, owner := range []string{"mine", "theirs", ""} {
				for _, v := range []Visibility{Private, Shared, Community, Public} {
					for _, m := range []MemberStatus{"", Pending, Accepted, Rejected} {
						if m == "" || project != "" {
							all = append(all, situation{project, seesAll, owner, v, m})
						}
					}
				}
			}
		}
	}
	return all
}

var (
	askedVisibilities = []Visibility{"", VisibilityAll, Private, Shared, Community, Public}
	askedStatuses     = []MemberStatus{"", MemberStatusAll, Pending, Accepted, Rejected}
)

func TestWhoSeesAnImageByItsID(t *testing.T) {
	for _, s := range situations() {
		own := s.project == "mine" && s.owner == "mine"
		want := s.seesAll || own || s.visibility == Public || s.visibility == Community || s.visibility == Shared && s.member != ""
		if got := s.visible(); got != want {
			t.Errorf("%v: got visible %v, want %v", s, got, want)
		}
	}
	i := &Image{Visibility: Shared, Owner: "theirs"}
	if Visible(i, Caller{ProjectID: "mine"}, false, &Member{ProjectID: "another", Status: Accepted}) {
		t.Error("an image that is shared with another project is visible")
	}
}

func TestAListHoldsNothingThatCannotBeSeen(t *testing.T) {
	for _, s := range situations() {
		for _, v := range askedVisibilities {
			for _, m := range askedStatuses {
				if s.query(v, m).Lists(s.image(), s.membership()) && !s.visible() {
					t.Errorf("%v: in the list of visibility %q and member status %q", s, v, m)
				}
			}
		}
	}
}

func TestTheScopesOfAListAreDisjoint(t *testing.T) {
	for _, s := range situations() {
		for _, v := range askedVisibilities {
			for _, m := range askedStatuses {
				q := s.query(v, m)
				var in []Scope
				for _, scope := range q.Scopes() {
					if q.In(scope, s.image(), s.membership()) {
						in = append(in, scope)
					}
				}
				if len(in) > 1 {
					t.Errorf("%v: in the scopes %v of visibility %q and member status %q", s, in, v, m)
				}
				if sorted := slices.Sorted(slices.Values(q.Scopes())); len(slices.Compact(sorted)) != len(q.Scopes()) {
					t.Errorf("%v: the scopes %v repeat", s, q.Scopes())
				}
			}
		}
	}
}

func TestWhatBelongsInAList(t *testing.T) {
	for _, s := range situations() {
		if s.seesAll {
			continue
		}
		own := s.project != "" && s.owner == s.project
		for _, v := range askedVisibilities {
			for _, m := range askedStatuses {
				shared := !own && s.visibility == Shared && s.member != "" &&
					(m == MemberStatusAll || s.member == m || m == "" && s.member == Accepted)
				var want bool
				switch v {
				case "":
					want = own || s.visibility == Public || shared
				case VisibilityAll:
					want = own || s.visibility == Public || s.visibility == Community || shared
				case Public, Community:
					want = s.visibility == v
				case Private:
					want = own && s.visibility == Private
				case Shared:
					want = own && s.visibility == Shared || shared
				}
				if got := s.query(v, m).Lists(s.image(), s.membership()); got != want {
					t.Errorf("%v: in the list of visibility %q and member status %q: %v, want %v", s, v, m, got, want)
				}
			}
		}
	}
}

func TestAnAdministratorsListIsOverAllProjects(t *testing.T) {
	for _, s := range situations() {
		if !s.seesAll {
			continue
		}
		for _, v := range askedVisibilities {
			if want := v == "" || v == VisibilityAll || v == s.visibility; s.query(v, "").Lists(s.image(), s.membership()) != want {
				t.Errorf("%v: in the list of visibility %q: %v, want %v", s, v, !want, want)
			}
		}
		// Who asks for a member status asks as a member.
		got := s.query(Shared, Pending).Lists(s.image(), s.membership())
		own := s.project != "" && s.owner == s.project
		if want := s.visibility == Shared && (own || s.member == Pending); got != want {
			t.Errorf("%v: in the list of shared images that are pending: %v, want %v", s, got, want)
		}
	}
}

func TestWhatIsBeingDeletedIsInNoList(t *testing.T) {
	for _, status := range []Status{StatusPendingDelete, StatusDeleted} {
		i := &Image{ID: "i", Status: status, Owner: "mine", Visibility: Public}
		for _, seesAll := range []bool{false, true} {
			if (&Query{ProjectID: "mine", SeesAll: seesAll}).Lists(i, nil) {
				t.Errorf("%s is in a list (sees all: %v)", status, seesAll)
			}
		}
	}
}
