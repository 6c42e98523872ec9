package identity

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bullion/internal/images"
)

func TestRotationIsNeverNoticed(t *testing.T) {
	now := newClock()
	const delay, lifetime = 10 * time.Minute, time.Hour
	ring := NewKeyring(now.Now())
	old := ring.Keys[0].ID
	before := mustSign(t, testClaims(now.Now()), ring)

	stale := ring.PublicOnly() // a verifier that has not read the ring again
	ring = ring.Rotate(now.Now(), delay, lifetime)
	for _, c := range []struct {
		after  time.Duration
		signer string
	}{{0, old}, {9 * time.Minute, old}, {11 * time.Minute, ring.Keys[1].ID}} {
		id, key, err := ring.Signer(now.Now().Add(c.after))
		if err != nil || id != c.signer {
			t.Errorf("%v after: got signer %s (%v), want %s", c.after, id, err, c.signer)
		}
		if id == old {
			token, err := sign(testClaims(now.Now()), id, key)
			if err != nil {
				t.Fatal(err)
			}
			v := NewVerifier(StaticKeys{stale, now.Now}, "bullion", "bullion", nothingRevoked{}, now.Now)
			if _, err := v.Verify(t.Context(), token); err != nil {
				t.Errorf("%v after: a stale verifier refuses: %v", c.after, err)
			}
		}
	}
	v := NewVerifier(StaticKeys{ring.PublicOnly(), now.Now}, "bullion", "bullion", nothingRevoked{}, now.Now)
	if _, err := v.Verify(t.Context(), before); err != nil {
		t.Errorf("a token from before the rotation: %v", err)
	}
	late := now.Now().Add(delay + lifetime + time.Second)
	if _, err := ring.Public(old, late); images.KindOf(err) != images.NotFound {
		t.Errorf("the old key at its end: got %v, want NotFound", err)
	}
	if got := ring.Rotate(late, delay, lifetime); len(got.Keys) != 2 || got.Keys[0].ID != ring.Keys[1].ID {
		t.Errorf("the next rotation keeps the old key: %+v", got.Keys)
	}
}

func TestAKeyTakenOutOfTheRingEndsItsTokensEvenIfRemembered(t *testing.T) {
	w := newWorld(t)
	token := w.token("bob", "acme")
	v := w.service.Verifier()
	if _, err := v.Verify(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	w.ok(w.keys.write(NewKeyring(w.clock.Now())))
	if _, err := v.Verify(t.Context(), token); images.KindOf(err) != images.Unauthenticated {
		t.Errorf("got %v, want Unauthenticated", err)
	}
}

func TestKeyFileIsPrivateAndSharedByProcesses(t *testing.T) {
	now := newClock()
	path := filepath.Join(t.TempDir(), "keys.json")
	a, err := OpenKeyFile(path, now.Now)
	if err != nil {
		t.Fatal(err)
	}
	b, err := OpenKeyFile(path, now.Now)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("got mode %v (%v), want 0600", info.Mode(), err)
	}
	first, _, err := a.Signer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	now.Add(time.Second)
	if err := a.Rotate(time.Hour); err != nil {
		t.Fatal(err)
	}
	now.Add(time.Second)
	second, _, err := b.Signer(t.Context())
	if err != nil || second == first {
		t.Errorf("got signer %s (%v) in the other process, want a new one", second, err)
	}
	if _, err := b.PublicKey(t.Context(), first); err != nil {
		t.Errorf("the first key after the rotation: %v", err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenKeyFile(path, now.Now); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("a file that others may read: got %v, want an error with the fix", err)
	}
}

func TestPublicKeysHoldNoSecret(t *testing.T) {
	ring := NewKeyring(newClock().Now())
	public := ring.PublicOnly()
	if public.Keys[0].Seed != nil || ring.Keys[0].Seed == nil {
		t.Error("the seed is in the wrong one")
	}
	if _, _, err := public.Signer(newClock().Now().Add(time.Hour)); err == nil {
		t.Error("a public ring signs")
	}
}

func TestRingsThatAreBroken(t *testing.T) {
	good := NewKeyring(newClock().Now())
	other := NewKeyring(newClock().Now())
	mixed := good
	mixed.Keys = []Key{{ID: "x", Public: good.Keys[0].Public, Seed: other.Keys[0].Seed}}
	for name, c := range map[string]struct{ doc, want string }{
		"no JSON":             {"{", "JSON"},
		"no key":              {`{"keys":[]}`, "no key"},
		"a key without an id": {`{"keys":[{"public":"AAAA"}]}`, "no id"},
		"halves of two keys":  {jsonText(mixed), "does not belong"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := ParseKeyring([]byte(c.doc)); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
		})
	}
	if _, err := ParseKeyring([]byte(jsonText(good))); err != nil {
		t.Errorf("a good ring: %v", err)
	}
}
