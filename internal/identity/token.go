package identity

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"time"

	"bullion/internal/images"

	jose "github.com/go-jose/go-jose/v4"
)

// MaxToken is the longest token, in bytes, that is looked at. Tokens are about 500 bytes; those that
// carry the projects of a federated user are longer. All fit into a request header.
const MaxToken = 3 << 10

// Claims is what a token says: a compact JWS (RFC 7515) signed with Ed25519, whose payload is this
// as JSON. Nothing else is accepted: no other algorithm, no key from the token itself.
type Claims struct {
	Issuer   string      `json:"iss"`
	Audience string      `json:"aud"`
	ID       string      `json:"jti"`
	Root     string      `json:"root,omitempty"` // id of the token that this one was derived from, at any distance
	IssuedAt NumericDate `json:"iat"`
	Expires  NumericDate `json:"exp"`

	UserID      string   `json:"sub"`
	UserName    string   `json:"name"`
	ProjectID   string   `json:"project,omitempty"` // empty: unscoped
	ProjectName string   `json:"project_name,omitempty"`
	Roles       []string `json:"roles,omitempty"` // in the project, implied ones included
	Methods     []string `json:"methods"`

	AppCredential     string `json:"app_credential,omitempty"` // id
	AppCredentialName string `json:"app_credential_name,omitempty"`
	Unrestricted      bool   `json:"unrestricted,omitempty"` // the application credential may manage others

	// Of a user who came from an identity provider, and is in no directory.
	Provider string              `json:"idp,omitempty"`
	Grants   map[string][]string `json:"grants,omitempty"` // project id to roles; only in unscoped tokens and those derived
}

// Caller is what the other packages need to know.
func (c Claims) Caller() images.Caller {
	return images.Caller{UserID: c.UserID, UserName: c.UserName, ProjectID: c.ProjectID, ProjectName: c.ProjectName, Roles: c.Roles}
}

// NumericDate is that of RFC 7519, with microseconds: revocation by time must tell a token that was
// issued just before a password change from one issued just after.
type NumericDate struct{ time.Time }

// At is a time as a token holds it.
func At(t time.Time) NumericDate { return NumericDate{t.UTC().Truncate(time.Microsecond)} }

func (s NumericDate) MarshalJSON() ([]byte, error) {
	us := s.UnixMicro()
	if us%1e6 == 0 {
		return fmt.Appendf(nil, "%d", us/1e6), nil
	}
	return fmt.Appendf(nil, "%d.%06d", us/1e6, us%1e6), nil
}

func (s *NumericDate) UnmarshalJSON(b []byte) error {
	var f float64
	if err := json.Unmarshal(b, &f); err != nil {
		return err
	}
	if !(f > 0 && f < 1<<36) { // 1<<36 s is the year 4147
		return errors.New("a time is out of range")
	}
	s.Time = time.UnixMicro(int64(math.Round(f * 1e6))).UTC()
	return nil
}

// sign makes the token.
func sign(c Claims, keyID string, key ed25519.PrivateKey) (string, error) {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.EdDSA, Key: jose.JSONWebKey{Key: key, KeyID: keyID}}, nil)
	if err != nil {
		return "", fmt.Errorf("sign a token: %w", err)
	}
	payload, err := json.Marshal(c)
	if err != nil {
		return "", fmt.Errorf("sign a token: %w", err)
	}
	jws, err := signer.Sign(payload)
	if err != nil {
		return "", fmt.Errorf("sign a token: %w", err)
	}
	token, err := jws.CompactSerialize()
	if err != nil {
		return "", fmt.Errorf("sign a token: %w", err)
	}
	if len(token) > MaxToken {
		return "", images.Errorf(images.Forbidden, "the token would be longer than %d bytes: you are in too many projects for one token", MaxToken)
	}
	return token, nil
}

// Verifier checks tokens where they are used, without a call to the identity function. It is safe
// for concurrent use.
//
// A verified signature is remembered, because the same token comes with every request of a client
// and the check of an Ed25519 signature is by far the dearest part. Expiry, revocation, and that the
// key is still in the set, are looked at every time.
type Verifier struct {
	keys             KeySet
	issuer, audience string
	revoked          Revocations
	now              func() time.Time

	mu       sync.Mutex
	new, old map[[32]byte]opened // by SHA-256 of the token; when new is full it becomes old
}

// opened is a token whose signature was found good, and the key that it was good with.
type opened struct {
	Claims
	keyID string
}

const rememberTokens = 2048

// NewVerifier makes a verifier of tokens that this issuer made for this audience.
func NewVerifier(keys KeySet, issuer, audience string, revoked Revocations, now func() time.Time) *Verifier {
	return &Verifier{keys: keys, issuer: issuer, audience: audience, revoked: revoked, now: now, new: map[[32]byte]opened{}}
}

// Verify returns who holds the token. Whatever is wrong with it, the answer is
// images.Unauthenticated with one text; the cause is for the log and does not show the token.
// images.Unavailable means that revocation could not be checked.
func (v *Verifier) Verify(ctx context.Context, token string) (images.Caller, error) {
	c, err := v.Claims(ctx, token)
	return c.Caller(), err
}

// Claims verifies like Verify and returns all that the token says.
func (v *Verifier) Claims(ctx context.Context, token string) (Claims, error) {
	if token == "" {
		return Claims{}, refused(errors.New("no token"))
	}
	if len(token) > MaxToken {
		return Claims{}, refused(errors.New("token too long"))
	}
	mark := sha256.Sum256([]byte(token))
	c, known := v.recall(mark)
	var err error
	if known {
		_, err = v.key(ctx, c.keyID)
	} else {
		c, err = v.open(ctx, token)
	}
	if err != nil {
		return Claims{}, err
	}
	if !v.now().Before(c.Expires.Time) {
		return Claims{}, refused(errors.New("token expired"))
	}
	revoked, err := v.revoked.Revoked(ctx, c.Claims)
	if err != nil {
		return Claims{}, images.Wrap(images.Unavailable, err, "tokens cannot be checked at the moment: try again")
	}
	if revoked {
		return Claims{}, refused(errors.New("token revoked"))
	}
	if !known {
		v.keep(mark, c)
	}
	return c.Claims, nil
}

// open checks everything about a token that does not change with time.
func (v *Verifier) open(ctx context.Context, token string) (opened, error) {
	var c opened
	if !canonical(token) {
		return c, refused(errors.New("not a token of this service"))
	}
	jws, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.EdDSA})
	if err != nil || len(jws.Signatures) != 1 {
		return c, refused(errors.New("not a token of this service"))
	}
	c.keyID = jws.Signatures[0].Header.KeyID
	key, err := v.key(ctx, c.keyID)
	if err != nil {
		return c, err
	}
	payload, err := jws.Verify(key)
	if err != nil {
		return c, refused(errors.New("token signature wrong"))
	}
	if err := json.Unmarshal(payload, &c.Claims); err != nil {
		return c, refused(errors.New("token payload unreadable"))
	}
	switch {
	case c.Issuer != v.issuer:
		return c, refused(errors.New("token of another issuer"))
	case c.Audience != v.audience:
		return c, refused(errors.New("token for another audience"))
	case c.UserID == "" || c.ID == "" || c.IssuedAt.IsZero() || c.Expires.IsZero():
		return c, refused(errors.New("token incomplete"))
	case c.IssuedAt.After(v.now().Add(time.Minute)):
		return c, refused(errors.New("token from the future"))
	}
	return c, nil
}

// canonical says whether the text is the one spelling of a compact JWS. Decoders pass over line ends and
// spare bits, which would give one token many spellings.
func canonical(token string) bool {
	for part := range strings.SplitSeq(token, ".") {
		raw, err := base64.RawURLEncoding.DecodeString(part)
		if err != nil || base64.RawURLEncoding.EncodeToString(raw) != part {
			return false
		}
	}
	return true
}

// key finds a public key, and sorts out why not.
func (v *Verifier) key(ctx context.Context, id string) (ed25519.PublicKey, error) {
	key, err := v.keys.PublicKey(ctx, id)
	switch {
	case err == nil:
		return key, nil
	case images.KindOf(err) == images.NotFound:
		return nil, refused(errors.New("token signed with an unknown key"))
	default:
		return nil, images.Wrap(images.Unavailable, err, "tokens cannot be checked at the moment: try again")
	}
}

func (v *Verifier) recall(mark [32]byte) (opened, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if c, ok := v.new[mark]; ok {
		return c, true
	}
	c, ok := v.old[mark]
	if ok {
		v.put(mark, c)
	}
	return c, ok
}

func (v *Verifier) keep(mark [32]byte, c opened) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.put(mark, c)
}

func (v *Verifier) put(mark [32]byte, c opened) {
	if len(v.new) >= rememberTokens {
		v.old, v.new = v.new, make(map[[32]byte]opened, rememberTokens)
	}
	v.new[mark] = c
}

// refused is an Unauthenticated error with the one text that a caller sees.
func refused(cause error) error {
	return images.Wrap(images.Unauthenticated, cause, "%s", unauthorizedText)
}

// TokenFrom takes the token out of a request header value: X-Auth-Token, or Authorization
// with the Bearer scheme.
func TokenFrom(header func(string) string) string {
	if t := header("X-Auth-Token"); t != "" {
		return t
	}
	if scheme, t, ok := strings.Cut(header("Authorization"), " "); ok && strings.EqualFold(scheme, "Bearer") {
		return strings.TrimSpace(t)
	}
	return ""
}
