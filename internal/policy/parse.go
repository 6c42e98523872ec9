package policy

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// An expr is the parsed text of a rule.
type expr interface {
	holds(*request) bool
	String() string
}

type (
	constant  bool
	allOf     []expr
	anyOf     []expr
	negation  struct{ of expr }
	roleIs    string
	ruleIs    string
	attribute struct{ of, is, target string } // the caller's attribute equals a text, or the target's attribute
	literal   struct{ text, target string }   // the target's attribute equals a text
)

// What a rule may speak of.
var (
	callerAttributes = []string{"user_id", "project_id"}
	targetAttributes = []string{"project_id", "owner", "member_id", "visibility", "status", "protected", "id"}
)

// Bounds on what is parsed.
const (
	maxCheck = 4 << 10 // bytes of one rule
	maxDepth = 32      // of parentheses and nots
)

// parseCheck reads the text of one rule.
func parseCheck(text string) (expr, error) {
	if len(text) > maxCheck {
		return nil, fmt.Errorf("the text is longer than %d bytes", maxCheck)
	}
	if !utf8.ValidString(text) {
		return nil, fmt.Errorf("the text is not UTF-8")
	}
	words, err := split(text)
	if err != nil {
		return nil, err
	}
	if len(words) == 0 {
		return constant(true), nil
	}
	p := &parser{words: words}
	e, err := p.any(0)
	if err != nil {
		return nil, err
	}
	if w, more := p.peek(); more {
		return nil, fmt.Errorf("%q is not expected here: join checks with and, or", w)
	}
	return e, nil
}

// split makes words: parentheses by themselves, and whatever is between them and white space. The
// parentheses of %(name)s belong to their word.
func split(text string) ([]string, error) {
	var words []string
	start := -1
	end := func(i int) {
		if start >= 0 {
			words = append(words, text[start:i])
			start = -1
		}
	}
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case strings.HasPrefix(text[i:], "%("):
			if start < 0 {
				start = i
			}
			n := strings.Index(text[i:], ")s")
			if n < 0 {
				return nil, fmt.Errorf("%q is not closed: write %%(name)s", text[i:])
			}
			i += n + 1
		case c == '\'' || c == '"':
			if start < 0 {
				start = i
			}
			n := strings.IndexByte(text[i+1:], c)
			if n < 0 {
				return nil, fmt.Errorf("the quotation mark before %q is not closed", text[i+1:])
			}
			i += n + 1
		case c == '(' || c == ')':
			end(i)
			words = append(words, text[i:i+1])
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			end(i)
		case start < 0:
			start = i
		}
	}
	end(len(text))
	return words, nil
}

type parser struct {
	words []string
	at    int
}

func (p *parser) peek() (string, bool) {
	if p.at == len(p.words) {
		return "", false
	}
	return p.words[p.at], true
}

func (p *parser) take(word string) bool {
	if w, ok := p.peek(); ok && strings.EqualFold(w, word) {
		p.at++
		return true
	}
	return false
}

func (p *parser) any(depth int) (expr, error) {
	var out anyOf
	for {
		e, err := p.all(depth)
		if err != nil {
			return nil, err
		}
		out = append(out, e)
		if !p.take("or") {
			if len(out) == 1 {
				return e, nil
			}
			return out, nil
		}
	}
}

func (p *parser) all(depth int) (expr, error) {
	var out allOf
	for {
		e, err := p.one(depth)
		if err != nil {
			return nil, err
		}
		out = append(out, e)
		if !p.take("and") {
			if len(out) == 1 {
				return e, nil
			}
			return out, nil
		}
	}
}

func (p *parser) one(depth int) (expr, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("it is nested more than %d deep", maxDepth)
	}
	if p.take("not") {
		e, err := p.one(depth + 1)
		return negation{e}, err
	}
	if p.take("(") {
		e, err := p.any(depth + 1)
		if err != nil {
			return nil, err
		}
		if !p.take(")") {
			return nil, fmt.Errorf("a parenthesis is not closed")
		}
		return e, nil
	}
	w, ok := p.peek()
	if !ok {
		return nil, fmt.Errorf("it ends where a check is expected")
	}
	p.at++
	return check(w)
}

// check reads one word that is no operator.
func check(w string) (expr, error) {
	switch w {
	case "@":
		return constant(true), nil
	case "!":
		return constant(false), nil
	}
	kind, match, ok := strings.Cut(w, ":")
	if !ok || kind == "" || match == "" {
		return nil, fmt.Errorf("%q is not a check: write role:NAME, rule:NAME, project_id:%%(project_id)s, 'public':%%(visibility)s, @ or !", w)
	}
	target, isTarget := strings.CutPrefix(match, "%(")
	if isTarget {
		if target, isTarget = strings.CutSuffix(target, ")s"); !isTarget {
			return nil, fmt.Errorf("%q has something after %%(name)s", w)
		}
		if !slices.Contains(targetAttributes, target) {
			return nil, fmt.Errorf("an image has no %q to check: use one of %s", target, strings.Join(targetAttributes, ", "))
		}
	}
	if strings.ContainsAny(match, "'\"%") && !isTarget {
		return nil, fmt.Errorf("%q has a text after the colon that is neither plain nor %%(name)s", w)
	}
	quoted := kind[0] == '\'' || kind[0] == '"'
	switch {
	case kind == "role" && !isTarget:
		return roleIs(strings.ToLower(match)), nil
	case kind == "rule" && !isTarget:
		return ruleIs(match), nil
	case quoted && isTarget && len(kind) > 2 && kind[len(kind)-1] == kind[0]:
		return literal{kind[1 : len(kind)-1], target}, nil
	case (kind == "True" || kind == "False") && isTarget:
		return literal{strings.ToLower(kind), target}, nil
	case slices.Contains(callerAttributes, kind) && isTarget:
		return attribute{of: kind, target: target}, nil
	case slices.Contains(callerAttributes, kind):
		return attribute{of: kind, is: match}, nil
	case kind == "is_admin":
		return nil, fmt.Errorf("%q is not known here: write rule:context_is_admin", w)
	}
	return nil, fmt.Errorf("%q is not a check: what stands before the colon must be role, rule, %s or a text in quotation marks", w, strings.Join(callerAttributes, ", "))
}

func (c constant) String() string {
	if c {
		return "@"
	}
	return "!"
}

func (r roleIs) String() string   { return "role:" + string(r) }
func (r ruleIs) String() string   { return "rule:" + string(r) }
func (n negation) String() string { return "not " + group(n.of) }
func (e allOf) String() string    { return join(e, " and ") }
func (e anyOf) String() string    { return join(e, " or ") }

func (a attribute) String() string {
	if a.target != "" {
		return a.of + ":%(" + a.target + ")s"
	}
	return a.of + ":" + a.is
}

func (l literal) String() string {
	quote := "'"
	if strings.Contains(l.text, quote) {
		quote = `"`
	}
	return quote + l.text + quote + ":%(" + l.target + ")s"
}

func join(parts []expr, with string) string {
	texts := make([]string, len(parts))
	for i, p := range parts {
		texts[i] = group(p)
	}
	return strings.Join(texts, with)
}

func group(e expr) string {
	switch e.(type) {
	case allOf, anyOf:
		return "(" + e.String() + ")"
	}
	return e.String()
}
