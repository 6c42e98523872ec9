package policy

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"bullion/internal/images"

	"go.yaml.in/yaml/v3"
)

// Policy answers whether a rule lets a caller act. It never changes and is safe for concurrent use.
type Policy struct {
	rules map[string]rule
	names []string // in the order in which they are shown
}

type rule struct {
	Rule
	expr expr
}

// Rule is one rule as it is in force.
type Rule struct {
	Name   string
	Check  string // its text
	Source string // "default", "preset admin-only" or "line 7"
	About  string // what it allows; empty for an operator's own
}

const maxDocument = 64 << 10 // bytes

// Default is the policy without a document.
func Default() *Policy {
	p, err := Parse(nil)
	if err != nil {
		panic(err) // the defaults of this package; a test parses them
	}
	return p
}

// Parse reads an operator's document, YAML or JSON, and lays it over the defaults. An empty document is
// no change. All mistakes are reported together; each error names the rule and the line.
func Parse(doc []byte) (*Policy, error) {
	overrides, preset, err := read(doc)
	if err != nil {
		return nil, err
	}
	p := &Policy{rules: map[string]rule{}}
	for _, d := range definitions {
		r := Rule{Name: d.name, Check: d.check, Source: "default", About: d.about}
		if preset == AdminOnly && d.adminOnly != "" {
			r.Check, r.Source = d.adminOnly, "preset "+AdminOnly
		}
		e, err := parseCheck(r.Check)
		if err != nil {
			return nil, fmt.Errorf("policy: rule %s: %w", r.Name, err)
		}
		p.rules[r.Name] = rule{r, e}
		p.names = append(p.names, r.Name)
	}
	var wrong []error
	lines := map[string]int{}
	for _, o := range overrides {
		e, err := parseCheck(o.check)
		if err != nil {
			wrong = append(wrong, fmt.Errorf("policy: line %d: rule %s: %w", o.line, o.name, err))
			continue
		}
		old, known := p.rules[o.name]
		if !known {
			p.names = append(p.names, o.name)
		}
		lines[o.name] = o.line
		p.rules[o.name] = rule{Rule{Name: o.name, Check: o.check, Source: fmt.Sprintf("line %d", o.line), About: old.About}, e}
	}
	if len(wrong) == 0 {
		wrong = p.checkReferences(lines)
	}
	if len(wrong) > 0 {
		return nil, errors.Join(wrong...)
	}
	return p, nil
}

type override struct {
	name, check string
	line        int
}

// read takes the document apart and keeps the lines.
func read(doc []byte) (rules []override, preset string, err error) {
	if len(doc) > maxDocument {
		return nil, "", fmt.Errorf("policy: the document is longer than %d bytes", maxDocument)
	}
	if len(bytes.TrimSpace(doc)) == 0 {
		return nil, "", nil
	}
	decoder := yaml.NewDecoder(bytes.NewReader(doc))
	var root yaml.Node
	if err := decoder.Decode(&root); err != nil {
		if root.Kind == 0 && strings.Contains(err.Error(), "EOF") { // comments only
			return nil, "", nil
		}
		return nil, "", fmt.Errorf("policy: the document is neither YAML nor JSON: %s", strings.TrimPrefix(err.Error(), "yaml: "))
	}
	var more yaml.Node
	if decoder.Decode(&more) == nil {
		return nil, "", fmt.Errorf("policy: line %d: a second document begins; write one", more.Line)
	}
	if root.Kind != yaml.DocumentNode || len(root.Content) != 1 {
		return nil, "", errors.New("policy: the document must map the names of rules to their texts")
	}
	top := root.Content[0]
	if top.Kind == yaml.ScalarNode && top.Tag == "!!null" {
		return nil, "", nil
	}
	if top.Kind != yaml.MappingNode {
		return nil, "", fmt.Errorf("policy: line %d: the document must map the names of rules to their texts", top.Line)
	}
	var wrong []error
	seen := map[string]int{}
	for i := 0; i+1 < len(top.Content); i += 2 {
		key, value := top.Content[i], top.Content[i+1]
		fail := func(format string, args ...any) {
			wrong = append(wrong, fmt.Errorf("policy: line %d: rule %s: %s", key.Line, shown(key.Value), fmt.Sprintf(format, args...)))
		}
		if key.Kind != yaml.ScalarNode || key.Value == "" || strings.ContainsAny(key.Value, " \t\r\n()%:'\"") {
			fail("this is not the name of a rule")
			continue
		}
		if first, twice := seen[key.Value]; twice {
			fail("it is given twice, first on line %d", first)
			continue
		}
		seen[key.Value] = key.Line
		if value.Kind != yaml.ScalarNode || value.Tag != "!!str" {
			fail("its text must be a string in quotation marks, like \"role:admin\"")
			continue
		}
		if key.Value == "preset" {
			if !slices.Contains(Presets, value.Value) {
				wrong = append(wrong, fmt.Errorf("policy: line %d: preset %s does not exist: use %s, or leave it out", key.Line, shown(value.Value), strings.Join(Presets, ", ")))
			}
			preset = value.Value
			continue
		}
		rules = append(rules, override{key.Value, value.Value, key.Line})
	}
	return rules, preset, errors.Join(wrong...)
}

// shown keeps a text that was read short and on one line.
func shown(text string) string {
	if len(text) > 60 {
		text = text[:60] + "…"
	}
	if strings.Trim(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") != "" || text == "" {
		return fmt.Sprintf("%q", text)
	}
	return text
}

// checkReferences finds rules that refer to what is not there or to themselves, and names that
// look like misspelt ones. lines are those of the document.
func (p *Policy) checkReferences(lines map[string]int) (wrong []error) {
	fail := func(name, format string, args ...any) {
		where := "default"
		if n := lines[name]; n > 0 {
			where = fmt.Sprintf("line %d", n)
		}
		wrong = append(wrong, fmt.Errorf("policy: %s: rule %s: %s", where, name, fmt.Sprintf(format, args...)))
	}
	used := map[string]bool{}
	for _, name := range p.names {
		for _, ref := range references(p.rules[name].expr, nil) {
			used[ref] = true
			if _, ok := p.rules[ref]; !ok {
				fail(name, "it refers to rule:%s, which does not exist%s", ref, p.suggest(ref))
			}
		}
	}
	for _, name := range p.names {
		if lines[name] > 0 && p.rules[name].About == "" && !used[name] {
			fail(name, "no such rule, and no other rule refers to it%s", p.suggest(name))
		}
	}
	// Depth-first, with the colours white, grey and black.
	const grey, black = 1, 2
	colour := map[string]int{}
	var visit func(name string) bool
	visit = func(name string) bool {
		switch colour[name] {
		case grey:
			return false
		case black:
			return true
		}
		colour[name] = grey
		defer func() { colour[name] = black }()
		for _, ref := range references(p.rules[name].expr, nil) {
			if !visit(ref) {
				fail(name, "it refers to itself, by way of rule:%s", ref)
				return true
			}
		}
		return true
	}
	for _, name := range p.names {
		visit(name)
	}
	return wrong
}

// references collects the rules that an expression refers to.
func references(e expr, into []string) []string {
	switch e := e.(type) {
	case ruleIs:
		into = append(into, string(e))
	case negation:
		into = references(e.of, into)
	case allOf:
		for _, part := range e {
			into = references(part, into)
		}
	case anyOf:
		for _, part := range e {
			into = references(part, into)
		}
	}
	return into
}

// suggest names the known rule that is most like a misspelt one.
func (p *Policy) suggest(name string) string {
	best, least := "", 4
	for _, d := range definitions {
		if n := distance(name, d.name); n < least {
			best, least = d.name, n
		}
	}
	if best == "" {
		return ""
	}
	return ": did you mean " + best + "?"
}

// distance is Levenshtein's.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		last := row[0]
		row[0] = i + 1
		for j := range len(b) {
			here := row[j+1]
			cost := last
			if a[i] != b[j] {
				cost++
			}
			row[j+1] = min(cost, here+1, row[j]+1)
			last = here
		}
	}
	return row[len(b)]
}

// Rules lists all rules as they are in force.
func (p *Policy) Rules() []Rule {
	out := make([]Rule, 0, len(p.names))
	for _, n := range p.names {
		out = append(out, p.rules[n].Rule)
	}
	return out
}

// Document writes the effective policy as YAML that Parse reads back to the same policy.
func (p *Policy) Document() []byte {
	var b bytes.Buffer
	for i, r := range p.Rules() {
		if i > 0 {
			b.WriteByte('\n')
		}
		about := r.About
		if about == "" {
			about = "a rule of your own"
		}
		fmt.Fprintf(&b, "# %s (%s)\n%s: %s\n", about, r.Source, r.Name, quote(r.Check))
	}
	return b.Bytes()
}

// quote writes a YAML string in double quotation marks.
func quote(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", " ", "\r", " ", "\t", " ").Replace(text) + `"`
}

// request is one question.
type request struct {
	policy  *Policy
	caller  images.Caller
	image   *images.Image   // nil where there is none yet
	answers map[string]bool // of the rules that were referred to, so that each is worked out once
}

// has says whether the caller has a role, itself or by a greater one.
func (r *request) has(role string) bool {
	return slices.ContainsFunc(r.caller.Roles, func(have string) bool {
		have = strings.ToLower(have)
		return have == role || have == "admin" && (role == "member" || role == "reader") || have == "member" && role == "reader"
	})
}

// of is an attribute of the image, or of the one that the caller would make.
func (r *request) of(attribute string) string {
	i := r.image
	if i == nil {
		if attribute == "owner" || attribute == "project_id" {
			return r.caller.ProjectID
		}
		return ""
	}
	switch attribute {
	case "owner", "project_id":
		return i.Owner
	case "member_id":
		// Rules are asked only about images that the caller can see. A shared image of another project is
		// one that is shared with the caller's.
		if i.Visibility == images.Shared && i.Owner != r.caller.ProjectID {
			return r.caller.ProjectID
		}
	case "visibility":
		return string(i.Visibility)
	case "status":
		return string(i.Status)
	case "protected":
		return strconv.FormatBool(i.Protected)
	case "id":
		return i.ID
	}
	return ""
}

// Allows implements images.Policy.
func (p *Policy) Allows(name string, c images.Caller, target *images.Image) bool {
	rule, ok := p.rules[name]
	return ok && rule.expr.holds(&request{policy: p, caller: c, image: target})
}

// SeesAll implements images.Policy.
func (p *Policy) SeesAll(c images.Caller) bool { return p.Allows("context_is_admin", c, nil) }

func (c constant) holds(*request) bool   { return bool(c) }
func (n negation) holds(r *request) bool { return !n.of.holds(r) }
func (e roleIs) holds(r *request) bool   { return r.has(string(e)) }

func (e ruleIs) holds(r *request) bool {
	answer, known := r.answers[string(e)]
	if !known {
		answer = r.policy.rules[string(e)].expr.holds(r)
		if r.answers == nil {
			r.answers = map[string]bool{}
		}
		r.answers[string(e)] = answer
	}
	return answer
}

func (e allOf) holds(r *request) bool {
	return !slices.ContainsFunc(e, func(part expr) bool { return !part.holds(r) })
}

func (e anyOf) holds(r *request) bool {
	return slices.ContainsFunc(e, func(part expr) bool { return part.holds(r) })
}

func (l literal) holds(r *request) bool { return l.text == r.of(l.target) }

func (a attribute) holds(r *request) bool {
	have, want := r.callerValue(a.of), a.is
	if a.target != "" {
		want = r.of(a.target)
	}
	return have != "" && have == want
}

func (r *request) callerValue(name string) string {
	if name == "user_id" {
		return r.caller.UserID
	}
	return r.caller.ProjectID
}

// Explanation is why a rule allows or refuses.
type Explanation struct {
	Rule    Rule
	Allowed bool
	Steps   []Step // the checks, outermost first
}

// Step is one check of a rule. Depth is how far it is nested.
type Step struct {
	Depth int
	Check string
	Holds bool
	Why   string // what was compared
}

// Explain answers like Allows, and says why. A rule that does not exist is an error.
func (p *Policy) Explain(name string, c images.Caller, target *images.Image) (Explanation, error) {
	found, ok := p.rules[name]
	if !ok {
		return Explanation{}, images.Errorf(images.Invalid, "There is no policy rule %s%s", shown(name), p.suggest(name))
	}
	r := &request{policy: p, caller: c, image: target}
	x := Explanation{Rule: found.Rule, Allowed: found.expr.holds(r)}
	x.explain(r, found.expr, 0)
	return x, nil
}

func (x *Explanation) explain(r *request, e expr, depth int) {
	s := Step{Depth: depth, Check: e.String(), Holds: e.holds(r)}
	if len(x.Steps) >= 200 { // an operator's rules may refer to one another many times
		return
	}
	var parts []expr
	switch e := e.(type) {
	case constant:
		s.Why = "always"
		if !e {
			s.Why = "never"
		}
	case allOf:
		s.Why, parts = "all of", e
	case anyOf:
		s.Why, parts = "any of", e
	case negation:
		s.Why, parts = "not", []expr{e.of}
	case ruleIs:
		s.Why, parts = "that is "+r.policy.rules[string(e)].Source, []expr{r.policy.rules[string(e)].expr}
	case roleIs:
		s.Why = "the caller has " + list(r.caller.Roles)
	case attribute:
		s.Why = "the caller's is " + value(r.callerValue(e.of))
		if e.target != "" {
			s.Why += ", the image's is " + value(r.of(e.target))
		}
	case literal:
		s.Why = "the image's is " + value(r.of(e.target))
	}
	x.Steps = append(x.Steps, s)
	for _, part := range parts {
		x.explain(r, part, depth+1)
	}
}

func list(words []string) string {
	if len(words) == 0 {
		return "no role"
	}
	return strings.Join(words, ", ")
}

func value(v string) string {
	if v == "" {
		return "not set"
	}
	return v
}

// String is the explanation for a terminal.
func (x Explanation) String() string {
	var b strings.Builder
	verdict := "refused"
	if x.Allowed {
		verdict = "allowed"
	}
	fmt.Fprintf(&b, "%s: %s (%s)\n", x.Rule.Name, verdict, x.Rule.Source)
	for _, s := range x.Steps {
		mark := "no "
		if s.Holds {
			mark = "yes"
		}
		fmt.Fprintf(&b, "%s %s%s   (%s)\n", mark, strings.Repeat("  ", s.Depth), s.Check, s.Why)
	}
	return b.String()
}
