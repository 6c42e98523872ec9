package policy

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bullion/internal/images"

	"flag"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew")

func parse(t testing.TB, doc string) *Policy {
	t.Helper()
	p, err := Parse([]byte(doc))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// The relations of an image to the caller's project, which is "mine".
var relations = []struct {
	name  string
	image *images.Image
}{
	{"none yet", nil},
	{"own", &images.Image{ID: "i", Owner: "mine", Visibility: images.Private}},
	{"shared with us", &images.Image{ID: "i", Owner: "theirs", Visibility: images.Shared}},
	{"community", &images.Image{ID: "i", Owner: "theirs", Visibility: images.Community}},
	{"public", &images.Image{ID: "i", Owner: "theirs", Visibility: images.Public}},
	{"their private", &images.Image{ID: "i", Owner: "theirs", Visibility: images.Private}},
}

// TestEveryRuleForEveryRoleAndRelation compares the whole matrix with testdata/matrix.txt, where a person can read it. A
// letter stands for each role that is allowed: a(dmin), m(ember), r(eader), s(ervice), n(o role), u(nscoped reader).
func TestEveryRuleForEveryRoleAndRelation(t *testing.T) {
	callers := []struct {
		letter string
		caller images.Caller
	}{
		{"a", images.Caller{UserID: "x", ProjectID: "mine", Roles: []string{"admin"}}},
		{"m", images.Caller{UserID: "x", ProjectID: "mine", Roles: []string{"member"}}},
		{"r", images.Caller{UserID: "x", ProjectID: "mine", Roles: []string{"reader"}}},
		{"s", images.Caller{UserID: "x", ProjectID: "mine", Roles: []string{"service"}}},
		{"n", images.Caller{UserID: "x", ProjectID: "mine"}},
		{"u", images.Caller{UserID: "x", Roles: []string{"reader"}}},
	}
	var b strings.Builder
	for _, preset := range []string{"", AdminOnly} {
		doc := ""
		if preset != "" {
			doc = "preset: " + preset
		}
		p := parse(t, doc)
		fmt.Fprintf(&b, "preset %q\n%-42s", preset, "")
		for _, r := range relations {
			fmt.Fprintf(&b, " %-14s", r.name)
		}
		b.WriteString("\n")
		for _, rule := range p.Rules() {
			fmt.Fprintf(&b, "%-42s", rule.Name)
			for _, r := range relations {
				cell := ""
				for _, c := range callers {
					if p.Allows(rule.Name, c.caller, r.image) {
						cell += c.letter
					} else {
						cell += "-"
					}
				}
				fmt.Fprintf(&b, " %-14s", cell)
			}
			b.WriteString("\n")
		}
	}
	golden(t, "matrix.txt", b.String())
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	lines := strings.Split(got, "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	got = strings.Join(lines, "\n")
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got; -update writes it anew):\n%s", name, diff)
	}
}

func TestWhoMayDoWhatInWords(t *testing.T) {
	caller := func(role string) images.Caller {
		return images.Caller{UserID: "x", ProjectID: "mine", Roles: []string{role}}
	}
	own, public := relations[1].image, relations[4].image
	for name, c := range map[string]struct {
		preset, rule, role string
		image              *images.Image
		want               bool
	}{
		"a reader sees":                                      {"", "get_image", "reader", own, true},
		"a reader does not download":                         {"", "download_image", "reader", own, false},
		"a reader does not write":                            {"", "modify_image", "reader", own, false},
		"a member downloads":                                 {"", "download_image", "member", own, true},
		"a member downloads what is public":                  {"", "download_image", "member", public, true},
		"a member does not change what is public":            {"", "modify_image", "member", public, false},
		"a member does not publish":                          {"", "publicize_image", "member", own, false},
		"an administrator changes another's":                 {"", "modify_image", "admin", public, true},
		"a member shares":                                    {"", "add_member", "member", own, true},
		"a member creates":                                   {"", "add_image", "member", nil, true},
		"a role in capitals counts":                          {"", "add_image", "Member", nil, true},
		"an unknown role counts for nothing":                 {"", "get_images", "guest", nil, false},
		"a rule that is not there allows nobody":             {"", "launch_image", "admin", own, false},
		"admin-only: a member does not create":               {AdminOnly, "add_image", "member", nil, false},
		"admin-only: a member does not upload":               {AdminOnly, "upload_image", "member", own, false},
		"admin-only: an administrator uploads":               {AdminOnly, "upload_image", "admin", own, true},
		"admin-only: a reader downloads":                     {AdminOnly, "download_image", "reader", own, true},
		"admin-only: a member still answers to being shared": {AdminOnly, "modify_member", "member", relations[2].image, true},
	} {
		t.Run(name, func(t *testing.T) {
			doc := ""
			if c.preset != "" {
				doc = `{"preset": "` + c.preset + `"}`
			}
			if got := parse(t, doc).Allows(c.rule, caller(c.role), c.image); got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func TestTheLanguage(t *testing.T) {
	image := &images.Image{ID: "img", Owner: "mine", Visibility: images.Public, Status: images.StatusActive, Protected: true}
	c := images.Caller{UserID: "u1", ProjectID: "mine", Roles: []string{"member", "builder"}}
	for text, want := range map[string]bool{
		``:                                      true,
		`@`:                                     true,
		`!`:                                     false,
		`role:member`:                           true,
		`role:reader`:                           true,
		`role:admin`:                            false,
		`role:Builder`:                          true,
		`not role:admin`:                        true,
		`NOT role:admin AND role:member`:        true,
		`not not role:member`:                   true,
		`not (role:member or role:admin)`:       false,
		`role:admin and role:member or @`:       true,
		`@ or role:admin and !`:                 true,
		`(@ or role:admin) and !`:               false,
		`not ! and !`:                           false,
		`((role:member))`:                       true,
		`( role:member)and(role:reader )`:       true,
		`user_id:u1`:                            true,
		`user_id:u2`:                            false,
		`project_id:mine`:                       true,
		`project_id:%(owner)s`:                  true,
		`project_id:%(project_id)s`:             true,
		`project_id:%(member_id)s`:              false,
		`project_id:%(id)s`:                     false,
		`'public':%(visibility)s`:               true,
		`"public":%(visibility)s`:               true,
		`'private':%(visibility)s`:              false,
		`'active':%(status)s`:                   true,
		`True:%(protected)s`:                    true,
		`False:%(protected)s`:                   false,
		`'img':%(id)s`:                          true,
		`rule:context_is_admin`:                 false,
		"role:admin\n  or\trole:member":         true,
		`rule:default and not rule:service_api`: true,
	} {
		t.Run(text, func(t *testing.T) {
			p := parse(t, "get_image: "+quote(text))
			if got := p.Allows("get_image", c, image); got != want {
				t.Errorf("got %v, want %v", got, want)
			}
		})
	}
}

func TestNothingEqualsNothing(t *testing.T) {
	p := parse(t, `get_image: "project_id:%(owner)s or user_id:%(owner)s or project_id:%(member_id)s"`)
	if p.Allows("get_image", images.Caller{}, &images.Image{Visibility: images.Shared}) {
		t.Error("a caller without a project owns an image without an owner")
	}
	if p.Allows("get_image", images.Caller{}, nil) {
		t.Error("a caller without a project owns an image that is not there")
	}
}

func TestMistakesNameTheRuleTheLineAndTheFix(t *testing.T) {
	for name, c := range map[string]struct{ doc, want string }{
		"a misspelt rule":               {"\nadd_imag: \"!\"", "policy: line 2: rule add_imag: no such rule, and no other rule refers to it: did you mean add_image?"},
		"a rule like no other":          {`zzz: "!"`, "policy: line 1: rule zzz: no such rule, and no other rule refers to it"},
		"a reference to nothing":        {`add_image: "rule:builders"`, "policy: line 1: rule add_image: it refers to rule:builders, which does not exist"},
		"a circle":                      {"a: \"rule:b\"\nb: \"rule:a\"", "policy: line 2: rule b: it refers to itself, by way of rule:a"},
		"a rule that is its own reason": {`get_image: "rule:get_image"`, "policy: line 1: rule get_image: it refers to itself, by way of rule:get_image"},
		"an operator missing":           {`get_image: "role:a role:b"`, `policy: line 1: rule get_image: "role:b" is not expected here: join checks with and, or`},
		"an end too early":              {`get_image: "role:a and"`, "policy: line 1: rule get_image: it ends where a check is expected"},
		"a parenthesis open":            {`get_image: "(role:a"`, "policy: line 1: rule get_image: a parenthesis is not closed"},
		"a parenthesis too many":        {`get_image: "role:a)"`, `policy: line 1: rule get_image: ")" is not expected here: join checks with and, or`},
		"an unknown check":              {`get_image: "tenant:x"`, `policy: line 1: rule get_image: "tenant:x" is not a check: what stands before the colon must be role, rule, user_id, project_id or a text in quotation marks`},
		"the old way to say admin":      {`get_image: "is_admin:True"`, `policy: line 1: rule get_image: "is_admin:True" is not known here: write rule:context_is_admin`},
		"no check at all":               {`get_image: "admin"`, `policy: line 1: rule get_image: "admin" is not a check: write role:NAME, rule:NAME, project_id:%(project_id)s, 'public':%(visibility)s, @ or !`},
		"an unknown attribute":          {`get_image: "user_id:%(user_id)s"`, `policy: line 1: rule get_image: an image has no "user_id" to check: use one of project_id, owner, member_id, visibility, status, protected, id`},
		"an attribute not closed":       {`get_image: "project_id:%(owner"`, `policy: line 1: rule get_image: "%(owner" is not closed: write %(name)s`},
		"something after an attribute":  {`get_image: "project_id:%(owner)sx"`, `policy: line 1: rule get_image: "project_id:%(owner)sx" has something after %(name)s`},
		"a quotation mark open":         {`get_image: "'public:%(visibility)s"`, `policy: line 1: rule get_image: the quotation mark before "public:%(visibility)s" is not closed`},
		"too deep":                      {`get_image: "` + strings.Repeat("(", 50) + `@"`, "policy: line 1: rule get_image: it is nested more than 32 deep"},
		"given twice":                   {"get_image: \"@\"\nget_image: \"!\"", "policy: line 2: rule get_image: it is given twice, first on line 1"},
		"a list for a text":             {"get_image: [\"role:admin\"]", `policy: line 1: rule get_image: its text must be a string in quotation marks, like "role:admin"`},
		"a number for a text":           {"get_image: 7", `policy: line 1: rule get_image: its text must be a string in quotation marks, like "role:admin"`},
		"a bare exclamation mark":       {"get_image: !", `policy: line 1: rule get_image: its text must be a string in quotation marks, like "role:admin"`},
		"an unknown preset":             {"preset: everybody", "policy: line 1: preset everybody does not exist: use admin-only, or leave it out"},
		"a list for a document":         {"- a", "policy: line 1: the document must map the names of rules to their texts"},
		"a text for a document":         {"hello", "policy: line 1: the document must map the names of rules to their texts"},
		"two documents":                 {"get_image: \"@\"\n---\nget_image: \"!\"", "policy: line 2: a second document begins; write one"},
		"no name of a rule":             {`"get image": "@"`, `policy: line 1: rule "get image": this is not the name of a rule`},
		"several at once":               {"a b: \"@\"\nget_image: 7", "policy: line 1: rule \"a b\": this is not the name of a rule\npolicy: line 2: rule get_image: its text must be a string in quotation marks, like \"role:admin\""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse([]byte(c.doc))
			if err == nil {
				t.Fatal("got no error")
			}
			if diff := cmp.Diff(c.want, err.Error()); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
		})
	}
	for name, doc := range map[string]string{"broken YAML": "a: [", "tabs": "\ta: b", "too long": strings.Repeat("#", maxDocument+1), "an alias of nothing": "a: *b"} {
		t.Run(name, func(t *testing.T) {
			if _, err := Parse([]byte(doc)); err == nil || !strings.HasPrefix(err.Error(), "policy: the document is ") {
				t.Errorf("got %v, want an error about the document", err)
			}
		})
	}
}

func TestDocumentsThatChangeNothing(t *testing.T) {
	want := Default().Rules()
	for name, doc := range map[string]string{"empty": "", "blank": " \n\t ", "comments": "# get_image: \"!\"\n", "null": "~", "empty map": "{}"} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(want, parse(t, doc).Rules()); diff != "" {
				t.Errorf("rules (-want +got):\n%s", diff)
			}
		})
	}
}

func TestJSONIsReadTooWithTabs(t *testing.T) {
	p := parse(t, "{\n\t\"get_image\": \"!\",\n\t\"preset\": \"admin-only\"\n}")
	for _, r := range p.Rules() {
		if r.Name == "get_image" && (r.Check != "!" || r.Source != "line 2") {
			t.Errorf("got %+v", r)
		}
		if r.Name == "add_image" && r.Source != "preset admin-only" {
			t.Errorf("got %+v", r)
		}
	}
}

func TestTheEffectivePolicyReadsBackTheSame(t *testing.T) {
	p := parse(t, "preset: admin-only\nget_image: \"rule:mine or 'it''s':%(status)s\"\nmine: \"user_id:x\"\n")
	again := parse(t, string(p.Document()))
	got, want := map[string]string{}, map[string]string{}
	for _, r := range p.Rules() {
		want[r.Name] = r.Check
	}
	for _, r := range again.Rules() {
		got[r.Name] = r.Check
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("checks (-want +got):\n%s", diff)
	}
}

func TestExplainSaysWhy(t *testing.T) {
	p := parse(t, "\ndownload_image: \"rule:context_is_admin or (role:member and not 'public':%(visibility)s and project_id:%(owner)s)\"")
	x, err := p.Explain("download_image", images.Caller{ProjectID: "p1", Roles: []string{"member"}}, &images.Image{Owner: "p2", Visibility: images.Private})
	if err != nil {
		t.Fatal(err)
	}
	want := `download_image: refused (line 2)
no  rule:context_is_admin or (role:member and not 'public':%(visibility)s and project_id:%(owner)s)   (any of)
no    rule:context_is_admin   (that is default)
no      role:admin   (the caller has member)
no    role:member and not 'public':%(visibility)s and project_id:%(owner)s   (all of)
yes     role:member   (the caller has member)
yes     not 'public':%(visibility)s   (not)
no        'public':%(visibility)s   (the image's is private)
no      project_id:%(owner)s   (the caller's is p1, the image's is p2)
`
	if diff := cmp.Diff(want, x.String()); diff != "" {
		t.Errorf("explanation (-want +got):\n%s", diff)
	}
	if _, err := p.Explain("downlod_image", images.Caller{}, nil); err == nil || !strings.Contains(err.Error(), "did you mean download_image?") {
		t.Errorf("got %v", err)
	}
}

func TestRulesThatReferToOneAnotherManyTimesAreWorkedOutOnce(t *testing.T) {
	var b strings.Builder
	fmt.Fprintln(&b, `get_image: "rule:r0 or rule:r0"`)
	for i := range 60 { // 2^60 checks without memory
		fmt.Fprintf(&b, "r%d: \"rule:r%d or rule:r%d\"\n", i, i+1, i+1)
	}
	fmt.Fprintln(&b, `r60: "role:nobody"`)
	p := parse(t, b.String())
	if p.Allows("get_image", images.Caller{Roles: []string{"member"}}, nil) {
		t.Error("got true, want false")
	}
	x, err := p.Explain("get_image", images.Caller{Roles: []string{"member"}}, nil)
	if err != nil || x.Allowed || len(x.Steps) > 200 {
		t.Errorf("got %v allowed %v with %d steps", err, x.Allowed, len(x.Steps))
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"", "preset: admin-only", `get_image: "role:a and (not 'x':%(status)s or user_id:y)"`, `{"get_image": "@"}`, "a: &b \"rule:a\"\nc: *b", "get_image: \"rule:x\"\nx: \"!\"", string(Default().Document())} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		p, err := Parse(doc)
		if err != nil {
			return
		}
		c := images.Caller{UserID: "u", ProjectID: "p", Roles: []string{"member"}}
		again, err := Parse(p.Document())
		if err != nil {
			t.Fatalf("the effective policy does not read back: %v\n%s", err, p.Document())
		}
		for _, r := range p.Rules() {
			if got, want := again.Allows(r.Name, c, relations[1].image), p.Allows(r.Name, c, relations[1].image); got != want {
				t.Errorf("rule %s: got %v after reading back, want %v", r.Name, got, want)
			}
		}
	})
}

func FuzzCheck(f *testing.F) {
	for _, d := range definitions {
		f.Add(d.check)
	}
	f.Add(`not ("x":%(id)s and !)`)
	f.Fuzz(func(t *testing.T, text string) {
		e, err := parseCheck(text)
		if err != nil {
			return
		}
		// What it prints is read back as the same.
		again, err := parseCheck(e.String())
		if err != nil || again.String() != e.String() {
			t.Errorf("%q prints as %q, which reads as %v (%v)", text, e, again, err)
		}
	})
}

func BenchmarkAllows(b *testing.B) {
	p := Default()
	c := images.Caller{UserID: "x", ProjectID: "mine", Roles: []string{"member", "reader"}}
	b.ReportAllocs()
	for b.Loop() {
		if !p.Allows("modify_image", c, relations[1].image) {
			b.Fatal("refused")
		}
	}
}
