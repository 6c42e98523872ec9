// Package keystone lets a real Keystone vouch for callers, so that Bullion can stand in an existing
// OpenStack as its image service.
//
// A token is validated with GET /v3/auth/tokens by a user of Bullion's own, who needs the role service or admin there (Keystone's rule
// identity:validate_token). The answer is kept for a short while: a token that is revoked in Keystone is refused here
// after at most Config.Keep. Roles count only for a project; a token for a domain or for the system opens nothing that a
// token without a scope does not.
package keystone

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack"

	"bullion/internal/images"
)

// Config says where Keystone is and who asks it.
type Config struct {
	URL string // of Keystone, with or without /v3

	// The user of Bullion's own: by password in a project, or by application credential.
	Username, Password, UserDomain, Project, ProjectDomain string
	AppCredentialID, AppCredentialSecret                   string

	Keep    time.Duration // how long an answer is kept; default 30 s, at most 5 min
	Timeout time.Duration // of one request; default 10 s
	Now     func() time.Time
}

// Bounds of what is kept and looked at.
const (
	maxToken  = 8 << 10
	maxAnswer = 1 << 20
	maxKept   = 4096
	keepBad   = 5 * time.Second // a token that Keystone does not know
)

// Verifier asks Keystone about tokens. It is safe for concurrent use.
type Verifier struct {
	config Config
	base   string
	client *gophercloud.ProviderClient

	signIn   sync.Mutex
	signedIn bool

	mu   sync.Mutex
	kept map[[32]byte]*answer
}

// answer is what Keystone said, or will say once done is closed.
type answer struct {
	done   chan struct{}
	caller images.Caller
	err    error
	until  time.Time
}

// New checks the configuration. It makes no call: Keystone may be down when Bullion starts.
func New(c Config) (*Verifier, error) {
	var wrong []error
	need := func(ok bool, text string) {
		if !ok {
			wrong = append(wrong, errors.New("keystone: "+text))
		}
	}
	base := strings.TrimSuffix(strings.TrimRight(c.URL, "/"), "/v3") + "/v3"
	need(strings.HasPrefix(base, "https://") || strings.HasPrefix(base, "http://"), "its URL must begin with https:// or http://")
	if c.AppCredentialID == "" {
		need(c.Username != "" && c.Password != "", "a user and a password are needed, or an application credential")
		need(c.Project != "", "a project is needed for the user")
	} else {
		need(c.AppCredentialSecret != "", "the secret of the application credential is missing")
	}
	if c.Keep == 0 {
		c.Keep = 30 * time.Second
	}
	need(c.Keep > 0 && c.Keep <= 5*time.Minute, "answers may be kept for at most 5m")
	if c.Timeout == 0 {
		c.Timeout = 10 * time.Second
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.UserDomain == "" {
		c.UserDomain = "Default"
	}
	if c.ProjectDomain == "" {
		c.ProjectDomain = "Default"
	}
	client, err := openstack.NewClient(base)
	if err != nil {
		wrong = append(wrong, fmt.Errorf("keystone: %w", err))
	}
	if len(wrong) > 0 {
		return nil, errors.Join(wrong...)
	}
	client.HTTPClient = http.Client{Timeout: c.Timeout}
	client.UseTokenLock()
	return &Verifier{config: c, base: base, client: client, kept: map[[32]byte]*answer{}}, nil
}

// Verify returns who holds the token: images.Unauthenticated when Keystone does not know it, images.Unavailable when
// Keystone does not say.
func (v *Verifier) Verify(ctx context.Context, token string) (images.Caller, error) {
	if token == "" || len(token) > maxToken || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return images.Caller{}, refused(errors.New("no token, or not one of Keystone"))
	}
	mark := sha256.Sum256([]byte(token))
	for {
		a, mine := v.find(mark)
		if mine {
			v.ask(ctx, token, mark, a)
			return a.caller, a.err
		}
		select {
		case <-a.done:
			// Another request's being cancelled says nothing about the token.
			if errors.Is(a.err, context.Canceled) && ctx.Err() == nil {
				continue
			}
			return a.caller, a.err
		case <-ctx.Done():
			return images.Caller{}, images.Wrap(images.Unavailable, ctx.Err(), unavailableText)
		}
	}
}

const (
	refusedText     = "The request you have made requires authentication."
	unavailableText = "tokens cannot be checked at the moment: try again"
)

func refused(cause error) error { return images.Wrap(images.Unauthenticated, cause, refusedText) }

// find returns the answer for a token. When it is the asker's own, they must get it.
func (v *Verifier) find(mark [32]byte) (a *answer, mine bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	now := v.config.Now()
	if a := v.kept[mark]; a != nil && (a.until.IsZero() || now.Before(a.until)) {
		return a, false
	}
	if len(v.kept) >= maxKept {
		for k, a := range v.kept {
			if !a.until.IsZero() && (!now.Before(a.until) || len(v.kept) >= maxKept) {
				delete(v.kept, k)
			}
		}
	}
	a = &answer{done: make(chan struct{})}
	v.kept[mark] = a
	return a, true
}

// ask gets the answer and decides how long it counts.
func (v *Verifier) ask(ctx context.Context, token string, mark [32]byte, a *answer) {
	var expires time.Time
	a.caller, expires, a.err = v.validate(ctx, token)
	v.mu.Lock()
	now := v.config.Now()
	switch {
	case a.err == nil:
		if a.until = now.Add(v.config.Keep); expires.Before(a.until) {
			a.until = expires
		}
	case images.KindOf(a.err) == images.Unauthenticated:
		a.until = now.Add(keepBad)
	default: // ask again at once
		a.until = now
		delete(v.kept, mark)
	}
	v.mu.Unlock()
	close(a.done)
}

// validate asks Keystone.
func (v *Verifier) validate(ctx context.Context, token string) (images.Caller, time.Time, error) {
	unavailable := func(err error) (images.Caller, time.Time, error) {
		return images.Caller{}, time.Time{}, images.Wrap(images.Unavailable, fmt.Errorf("keystone: %w", err), unavailableText)
	}
	if err := v.authenticate(ctx); err != nil {
		return unavailable(fmt.Errorf("sign in: %w", err))
	}
	res, err := v.client.Request(ctx, http.MethodGet, v.base+"/auth/tokens?nocatalog", &gophercloud.RequestOpts{
		MoreHeaders: map[string]string{"X-Subject-Token": token}, OkCodes: []int{http.StatusOK}, KeepResponseBody: true,
	})
	if gophercloud.ResponseCodeIs(err, http.StatusNotFound) {
		return images.Caller{}, time.Time{}, refused(errors.New("keystone does not know the token"))
	}
	if err != nil {
		return unavailable(describe(err))
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return unavailable(err)
	}
	c, expires, err := read(body)
	if err != nil {
		return unavailable(err)
	}
	if !v.config.Now().Before(expires) {
		return images.Caller{}, time.Time{}, refused(errors.New("token expired"))
	}
	return c, expires, nil
}

// describe keeps the status of an unexpected answer and drops its text and headers, which may show a token.
func describe(err error) error {
	if code, ok := errors.AsType[gophercloud.ErrUnexpectedResponseCode](err); ok {
		return fmt.Errorf("it answered %d", code.Actual)
	}
	return err
}

// authenticate signs the service's own user in, once; gophercloud does it again when the token ends.
func (v *Verifier) authenticate(ctx context.Context) error {
	v.signIn.Lock()
	defer v.signIn.Unlock()
	if v.signedIn {
		return nil
	}
	c := v.config
	o := gophercloud.AuthOptions{IdentityEndpoint: v.base, AllowReauth: true}
	if c.AppCredentialID != "" {
		o.ApplicationCredentialID, o.ApplicationCredentialSecret = c.AppCredentialID, c.AppCredentialSecret
	} else {
		o.Username, o.Password, o.DomainName = c.Username, c.Password, c.UserDomain
		o.Scope = &gophercloud.AuthScope{ProjectName: c.Project, DomainName: c.ProjectDomain}
	}
	if err := openstack.Authenticate(ctx, v.client, o); err != nil {
		return describe(err)
	}
	v.signedIn = true
	return nil
}

// read takes out of Keystone's answer what a Caller is made of.
func read(body []byte) (images.Caller, time.Time, error) {
	var doc struct {
		Token struct {
			User    struct{ ID, Name string }  `json:"user"`
			Project *struct{ ID, Name string } `json:"project"`
			Roles   []struct{ Name string }    `json:"roles"`
			Expires time.Time                  `json:"expires_at"`
		} `json:"token"`
	}
	if err := json.Unmarshal(body, &doc); err != nil {
		return images.Caller{}, time.Time{}, fmt.Errorf("its answer is not readable: %w", err)
	}
	t := doc.Token
	if t.User.ID == "" || t.Expires.IsZero() {
		return images.Caller{}, time.Time{}, errors.New("its answer has no user or no end")
	}
	c := images.Caller{UserID: t.User.ID, UserName: t.User.Name}
	if t.Project != nil && t.Project.ID != "" {
		c.ProjectID, c.ProjectName = t.Project.ID, t.Project.Name
		for _, r := range t.Roles {
			if role := strings.ToLower(r.Name); !slices.Contains(c.Roles, role) {
				c.Roles = append(c.Roles, role)
			}
		}
		slices.Sort(c.Roles) // Keystone's order changes from answer to answer
	}
	return c, t.Expires, nil
}
