package identity

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"bullion/internal/images"

	"github.com/google/go-cmp/cmp"
)

// nothingRevoked is a list that is empty.
type nothingRevoked struct{}

func (nothingRevoked) Revoked(context.Context, Claims) (bool, error) { return false, nil }

var errBroken = errors.New("the list cannot be read")

// brokenList cannot be read.
type brokenList struct{}

func (brokenList) Revoked(context.Context, Claims) (bool, error) { return false, errBroken }

func testClaims(now time.Time) Claims {
	return Claims{Issuer: "bullion", Audience: "bullion", ID: newID(), IssuedAt: At(now), Expires: At(now.Add(time.Hour)), UserID: "u1", UserName: "bob",
		ProjectID: "p1", ProjectName: "acme", Roles: []string{"member", "reader"}, Methods: []string{"password"}}
}

func mustSign(t testing.TB, c Claims, k Keyring) string {
	t.Helper()
	last := k.Keys[len(k.Keys)-1]
	token, err := sign(c, last.ID, ed25519.NewKeyFromSeed(last.Seed))
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// raw makes a JWS by hand.
func raw(header string, c Claims, signature func(input string) []byte) string {
	payload, _ := json.Marshal(c)
	input := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString(payload)
	return input + "." + base64.RawURLEncoding.EncodeToString(signature(input))
}

func TestAGoodTokenGivesItsCaller(t *testing.T) {
	now := newClock()
	ring := NewKeyring(now.Now())
	v := NewVerifier(StaticKeys{ring.PublicOnly(), now.Now}, "bullion", "bullion", nothingRevoked{}, now.Now)
	token := mustSign(t, testClaims(now.Now()), ring)
	want := images.Caller{UserID: "u1", UserName: "bob", ProjectID: "p1", ProjectName: "acme", Roles: []string{"member", "reader"}}
	for range 3 { // the second time from memory
		got, err := v.Verify(t.Context(), token)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("caller (-want +got):\n%s", diff)
		}
	}
}

func TestBadTokensAreRefusedBlandly(t *testing.T) {
	now := newClock()
	start := now.Now()
	ring, stranger := NewKeyring(start), NewKeyring(start)
	key := ring.Keys[0]
	private := ed25519.NewKeyFromSeed(key.Seed)
	good := testClaims(start)
	with := func(f func(*Claims)) string {
		c := good
		f(&c)
		return mustSign(t, c, ring)
	}
	token := mustSign(t, good, ring)
	parts := strings.Split(token, ".")
	edit := func(old, new string) string {
		payload, _ := base64.RawURLEncoding.DecodeString(parts[1])
		if !bytes.Contains(payload, []byte(old)) {
			t.Fatalf("the payload has no %s: %s", old, payload)
		}
		return parts[0] + "." + base64.RawURLEncoding.EncodeToString(bytes.Replace(payload, []byte(old), []byte(new), 1)) + "." + parts[2]
	}
	foreign := stranger
	foreign.Keys[0].ID = key.ID
	eddsa := func(input string) []byte { return ed25519.Sign(private, []byte(input)) }
	for name, bad := range map[string]string{
		"empty":                            "",
		"rubbish":                          "rubbish",
		"three dots":                       "...",
		"another role written in":          edit(`"member"`, `"admin"`),
		"another project written in":       edit(`"p1"`, `"p2"`),
		"a signature with one bit turned":  token[:len(token)-10] + flip(token[len(token)-10:]),
		"a signature cut short":            token[:len(token)-4],
		"no signature":                     parts[0] + "." + parts[1] + ".",
		"signed by another's key":          mustSign(t, good, foreign),
		"a key id that nobody knows":       mustSign(t, good, Keyring{Keys: []Key{{ID: "nobody", Seed: key.Seed}}}),
		"alg none":                         raw(`{"alg":"none","kid":"`+key.ID+`"}`, good, func(string) []byte { return nil }),
		"alg none with the good signature": raw(`{"alg":"none","kid":"`+key.ID+`"}`, good, eddsa),
		"HMAC with the public key":         raw(`{"alg":"HS256","kid":"`+key.ID+`"}`, good, func(in string) []byte { m := hmac.New(sha256.New, key.Public); m.Write([]byte(in)); return m.Sum(nil) }),
		"a key in the header":              raw(`{"alg":"EdDSA","jwk":{"kty":"OKP","crv":"Ed25519","x":"`+base64.RawURLEncoding.EncodeToString(stranger.Keys[0].Public)+`"}}`, good, func(in string) []byte { return ed25519.Sign(ed25519.NewKeyFromSeed(stranger.Keys[0].Seed), []byte(in)) }),
		"an unknown critical header":       raw(`{"alg":"EdDSA","crit":["x"],"x":1,"kid":"`+key.ID+`"}`, good, eddsa),
		"JSON serialization":               `{"payload":"` + parts[1] + `","protected":"` + parts[0] + `","signature":"` + parts[2] + `"}`,
		"another audience":                 with(func(c *Claims) { c.Audience = "other" }),
		"another issuer":                   with(func(c *Claims) { c.Issuer = "other" }),
		"expired":                          with(func(c *Claims) { c.Expires = At(start.Add(-time.Second)) }),
		"without an end":                   with(func(c *Claims) { c.Expires = NumericDate{} }),
		"without a user":                   with(func(c *Claims) { c.UserID = "" }),
		"without an id":                    with(func(c *Claims) { c.ID = "" }),
		"from the future":                  with(func(c *Claims) { c.IssuedAt = At(start.Add(time.Hour)) }),
		"oversized":                        raw(`{"alg":"EdDSA","kid":"`+key.ID+`"}`, func() Claims { c := good; c.UserName = strings.Repeat("x", MaxToken); return c }(), eddsa),
		"a good one with a space":          token + " ",
		"a good one in another spelling":   token[:40] + "\n" + token[40:],
		"two good ones":                    token + token,
	} {
		t.Run(name, func(t *testing.T) {
			v := NewVerifier(StaticKeys{ring.PublicOnly(), now.Now}, "bullion", "bullion", nothingRevoked{}, now.Now)
			c, err := v.Verify(t.Context(), bad)
			if images.KindOf(err) != images.Unauthenticated {
				t.Fatalf("got %v, want Unauthenticated", err)
			}
			e, _ := errors.AsType[*images.Error](err)
			if e.Message != "The request you have made requires authentication." {
				t.Errorf("got the text %q, want one that says nothing", e.Message)
			}
			if bad != "" && len(bad) > 12 && strings.Contains(err.Error(), bad) {
				t.Errorf("the error repeats the token: %v", err)
			}
			if diff := cmp.Diff(images.Caller{}, c); diff != "" {
				t.Errorf("got a caller: %s", diff)
			}
		})
	}
}

func flip(s string) string {
	b := []byte(s)
	if b[0] == 'A' {
		b[0] = 'B'
	} else {
		b[0] = 'A'
	}
	return string(b)
}

func TestARememberedTokenStillExpiresAndIsRevoked(t *testing.T) {
	w := newWorld(t)
	v := w.service.Verifier()
	token := w.token("bob", "acme")
	if _, err := v.Verify(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	c, err := v.Claims(t.Context(), token)
	w.ok(err)
	w.clock.Add(59 * time.Minute)
	if _, err := v.Verify(t.Context(), token); err != nil {
		t.Errorf("after 59 minutes: %v", err)
	}
	w.clock.Add(2 * time.Minute)
	if _, err := v.Verify(t.Context(), token); images.KindOf(err) != images.Unauthenticated {
		t.Errorf("after 61 minutes: got %v, want Unauthenticated", err)
	}
	again := w.token("bob", "acme")
	if c, err = v.Claims(t.Context(), again); err != nil {
		t.Fatal(err)
	}
	w.ok(w.dir.Revoke(t.Context(), Revocation{Subject: TokenSubject(c.ID), Before: w.clock.Now(), Until: c.Expires.Time, User: c.UserID}))
	if _, err := v.Verify(t.Context(), again); images.KindOf(err) != images.Unauthenticated {
		t.Errorf("after its revocation: got %v, want Unauthenticated", err)
	}
}

func TestVerificationFailsClosedWhenTheListCannotBeRead(t *testing.T) {
	now := newClock()
	ring := NewKeyring(now.Now())
	v := NewVerifier(StaticKeys{ring, now.Now}, "bullion", "bullion", brokenList{}, now.Now)
	_, err := v.Verify(t.Context(), mustSign(t, testClaims(now.Now()), ring))
	if images.KindOf(err) != images.Unavailable || !errors.Is(err, errBroken) {
		t.Errorf("got %v, want Unavailable with its cause", err)
	}
}

func TestVerifierMemoryIsBounded(t *testing.T) {
	now := newClock()
	ring := NewKeyring(now.Now())
	v := NewVerifier(StaticKeys{ring, now.Now}, "bullion", "bullion", nothingRevoked{}, now.Now)
	for range 2*rememberTokens + 10 {
		v.put(sha256.Sum256([]byte(newID())), opened{})
	}
	if n := len(v.new) + len(v.old); n > 2*rememberTokens {
		t.Errorf("got %d remembered tokens, want at most %d", n, 2*rememberTokens)
	}
}

func TestTokenFromHeaders(t *testing.T) {
	for name, c := range map[string]struct{ x, authorization, want string }{
		"OpenStack's header":     {"abc", "", "abc"},
		"a bearer token":         {"", "Bearer abc", "abc"},
		"a bearer token, lower":  {"", "bearer  abc ", "abc"},
		"OpenStack's goes first": {"abc", "Bearer def", "abc"},
		"another scheme":         {"", "Basic abc", ""},
		"none":                   {"", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := TokenFrom(func(h string) string {
				return map[string]string{"X-Auth-Token": c.x, "Authorization": c.authorization}[h]
			})
			if got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestTimesKeepTheirMicroseconds(t *testing.T) {
	for _, us := range []int64{1, 999_999, 1_000_000, 1_893_456_000_000_001, 1_893_456_000_999_999} {
		want := At(time.UnixMicro(us))
		doc, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		var got NumericDate
		if err := json.Unmarshal(doc, &got); err != nil {
			t.Fatal(err)
		}
		if !got.Equal(want.Time) {
			t.Errorf("%s: got %v, want %v", doc, got, want)
		}
	}
}

func FuzzVerify(f *testing.F) {
	now := newClock()
	ring := NewKeyring(now.Now())
	good := mustSign(f, testClaims(now.Now()), ring)
	for _, seed := range []string{good, "", "a.b.c", good + "x", strings.Replace(good, ".", "..", 1), strings.ToUpper(good), "eyJhbGciOiJub25lIn0.e30."} {
		f.Add(seed)
	}
	v := NewVerifier(StaticKeys{ring, now.Now}, "bullion", "bullion", nothingRevoked{}, now.Now)
	f.Fuzz(func(t *testing.T, token string) {
		c, err := v.Verify(context.Background(), token)
		if token == good != (err == nil) {
			t.Errorf("got %+v %v for %q", c, err, token)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	ring := NewKeyring(time.Now())
	token := mustSign(b, testClaims(time.Now()), ring)
	b.Run("remembered", func(b *testing.B) {
		v := NewVerifier(StaticKeys{ring, time.Now}, "bullion", "bullion", nothingRevoked{}, time.Now)
		for b.Loop() {
			if _, err := v.Verify(b.Context(), token); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("first time", func(b *testing.B) {
		v := NewVerifier(StaticKeys{ring, time.Now}, "bullion", "bullion", nothingRevoked{}, time.Now)
		for b.Loop() {
			clear(v.new)
			if _, err := v.Verify(b.Context(), token); err != nil {
				b.Fatal(err)
			}
		}
	})
}
