package identity

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"

	"bullion/internal/images"
)

// maxBody is the longest request body, in bytes. No request of Keystone's comes near.
const maxBody = 64 << 10

// decode reads a JSON body. Fields that are not known are passed over, as Keystone does.
func decode(w http.ResponseWriter, r *http.Request, into any) error {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		if _, tooLong := errors.AsType[*http.MaxBytesError](err); tooLong {
			return images.Errorf(images.TooLarge, "The request body is longer than %d bytes.", maxBody)
		}
		return images.Wrap(images.Invalid, err, "The request body did not arrive whole.")
	}
	return parseBody(body, into)
}

func parseBody(body []byte, into any) error {
	if len(bytes.TrimSpace(body)) == 0 {
		return images.Errorf(images.Invalid, "Expecting to find a JSON body. The server could not comply with the request since it is either malformed or otherwise incorrect.")
	}
	if err := json.Unmarshal(body, into); err != nil {
		if images.KindOf(err) == images.Invalid {
			return err // from scope.UnmarshalJSON
		}
		if t, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && t.Field != "" {
			return images.Errorf(images.Invalid, "Invalid input for field %q: a JSON %s does not fit there.", t.Field, t.Value)
		}
		return images.Wrap(images.Invalid, err, "Malformed JSON in the request body.")
	}
	return nil
}

// named is how Keystone's requests refer to users, projects and domains.
type named struct {
	ID     string  `json:"id"`
	Name   string  `json:"name"`
	Domain *domain `json:"domain"`
}

type domain struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// ours says whether a domain is the one that exists. Clients that name things by id send none.
func (d *domain) ours() bool {
	if d == nil {
		return false
	}
	if d.ID != "" {
		return d.ID == DomainID
	}
	return strings.EqualFold(d.Name, DomainName)
}

// authRequest is the body of POST /v3/auth/tokens.
type authRequest struct {
	Auth *struct {
		Identity *struct {
			Methods  []string `json:"methods"`
			Password *struct {
				User *passwordUser `json:"user"`
			} `json:"password"`
			Token *struct {
				ID string `json:"id"`
			} `json:"token"`
			AppCredential *appCredentialAuth `json:"application_credential"`
		} `json:"identity"`
		Scope *scope `json:"scope"`
	} `json:"auth"`
}

type passwordUser struct {
	named
	Password string `json:"password"`
}

type appCredentialAuth struct {
	ID     string `json:"id"`
	Name   string `json:"name"`
	User   *named `json:"user"`
	Secret string `json:"secret"`
}

// scope is what the token shall be good for. The text "unscoped" is one too.
type scope struct {
	Unscoped bool
	Project  *named
	Other    string // domain, system or OS-TRUST:trust: known, but nobody has roles there
}

func (s *scope) UnmarshalJSON(b []byte) error {
	var text string
	if json.Unmarshal(b, &text) == nil {
		if text != "unscoped" {
			return images.Errorf(images.Invalid, "Invalid input for field 'scope': the only text that it may be is \"unscoped\".")
		}
		s.Unscoped = true
		return nil
	}
	var parts map[string]json.RawMessage
	if err := json.Unmarshal(b, &parts); err != nil {
		return images.Errorf(images.Invalid, "Invalid input for field 'scope': it must be an object or \"unscoped\".")
	}
	for key, value := range parts {
		switch key {
		case "unscoped":
			s.Unscoped = true
		case "project":
			if err := json.Unmarshal(value, &s.Project); err != nil {
				return images.Errorf(images.Invalid, "Invalid input for field 'scope.project': it must have an id, or a name and a domain.")
			}
		case "domain", "system", "OS-TRUST:trust":
			s.Other = key
		}
	}
	return nil
}

// login is an authRequest whose form was checked.
type login struct {
	methods  []string
	password *passwordUser
	token    string
	app      *appCredentialAuth
	scope    *scope // nil: the client left it open
}

// parseLogin checks the form of an authRequest: what is not well formed is images.Invalid, and a
// method that does not exist here images.Unauthenticated.
func parseLogin(body []byte) (login, error) {
	var r authRequest
	if err := parseBody(body, &r); err != nil {
		return login{}, err
	}
	missing := func(field string) (login, error) {
		return login{}, images.Errorf(images.Invalid, "%q is a required property of the request to authenticate.", field)
	}
	if r.Auth == nil {
		return missing("auth")
	}
	if r.Auth.Identity == nil {
		return missing("auth.identity")
	}
	id := r.Auth.Identity
	if len(id.Methods) == 0 {
		return missing("auth.identity.methods")
	}
	out := login{scope: r.Auth.Scope}
	for _, m := range id.Methods {
		if slices.Contains(out.methods, m) {
			continue
		}
		out.methods = append(out.methods, m)
		switch m {
		case "password":
			if id.Password == nil || id.Password.User == nil {
				return missing("auth.identity.password.user")
			}
			if id.Password.User.ID == "" && id.Password.User.Name == "" {
				return missing("auth.identity.password.user.id or name")
			}
			out.password = id.Password.User
		case "token":
			if id.Token == nil || id.Token.ID == "" {
				return missing("auth.identity.token.id")
			}
			out.token = id.Token.ID
		case "application_credential":
			a := id.AppCredential
			if a == nil {
				return missing("auth.identity.application_credential")
			}
			if a.ID == "" && (a.Name == "" || a.User == nil || a.User.ID == "" && a.User.Name == "") {
				return missing("auth.identity.application_credential.id, or name and user")
			}
			out.app = a
		default:
			return login{}, images.Errorf(images.Unauthenticated, "Attempted to authenticate with an unsupported method.")
		}
	}
	if len(out.methods) > 1 {
		return login{}, images.Errorf(images.Unauthenticated, "Attempted to authenticate with several methods at once, which is not supported.")
	}
	if s := out.scope; s != nil {
		if s.Project != nil && s.Project.ID == "" && s.Project.Name == "" {
			return missing("auth.scope.project.id or name")
		}
	}
	return out, nil
}

// splitList splits header values that are lists.
func splitList(values []string) []string {
	var out []string
	for _, v := range values {
		for part := range strings.SplitSeq(v, ",") {
			if part = strings.TrimSpace(part); part != "" {
				out = append(out, part)
			}
		}
	}
	return out
}
