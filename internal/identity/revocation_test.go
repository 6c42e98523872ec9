package identity

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func openList(t *testing.T, path string, now *clock) *FileRevocations {
	t.Helper()
	l, err := OpenRevocations(path, now.Now)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func isRevoked(t *testing.T, l *FileRevocations, c Claims) bool {
	t.Helper()
	got, err := l.Revoked(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestRevocationsSurviveARestartAndReachOtherProcesses(t *testing.T) {
	now := newClock()
	path := filepath.Join(t.TempDir(), "revoked")
	a, b := openList(t, path, now), openList(t, path, now)
	c := testClaims(now.Now())
	if isRevoked(t, b, c) {
		t.Fatal("revoked before it was")
	}
	if err := a.Revoke(t.Context(), Revocation{Subject: TokenSubject(c.ID), Before: now.Now(), Until: c.Expires.Time, User: c.UserID}); err != nil {
		t.Fatal(err)
	}
	if !isRevoked(t, b, c) {
		t.Error("the other process has not seen it")
	}
	if !isRevoked(t, openList(t, path, now), c) {
		t.Error("a restart has forgotten it")
	}
}

func TestHalfALineFromACrashLosesNothingElse(t *testing.T) {
	now := newClock()
	path := filepath.Join(t.TempDir(), "revoked")
	l := openList(t, path, now)
	one, two := testClaims(now.Now()), testClaims(now.Now())
	revoke := func(c Claims) {
		t.Helper()
		if err := l.Revoke(t.Context(), Revocation{Subject: TokenSubject(c.ID), Before: now.Now(), Until: c.Expires.Time, User: "u"}); err != nil {
			t.Fatal(err)
		}
	}
	revoke(one)
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(f, "19999999 12")
	f.Close()
	revoke(two)
	fresh := openList(t, path, now)
	for _, c := range []Claims{one, two} {
		if !isRevoked(t, l, c) || !isRevoked(t, fresh, c) {
			t.Errorf("a revocation around the half line is lost")
		}
	}
}

func TestTheListForgetsWhatExpiredAndStaysSmall(t *testing.T) {
	now := newClock()
	path := filepath.Join(t.TempDir(), "revoked")
	l := openList(t, path, now)
	for round := range 4 {
		for i := range 600 {
			user := fmt.Sprintf("user%d", i%3)
			if err := l.Revoke(t.Context(), Revocation{Subject: TokenSubject(newID()), Before: now.Now(), Until: now.Now().Add(time.Minute), User: user}); err != nil {
				t.Fatalf("round %d: %v", round, err)
			}
		}
		now.Add(2 * time.Minute)
	}
	doc, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(doc), "\n"); n > 1700 {
		t.Errorf("got %d lines after 2400 revocations of which none counts any more, want fewer than 1700", n)
	}
}

func TestWhoeverRevokesWithoutEndLosesAllTheirTokensAndNobodyElses(t *testing.T) {
	now := newClock()
	l := openList(t, filepath.Join(t.TempDir(), "revoked"), now)
	until := now.Now().Add(time.Hour)
	for range maxRevokedTokens + 50 {
		if err := l.Revoke(t.Context(), Revocation{Subject: TokenSubject(newID()), Before: now.Now(), Until: until, User: "mallory"}); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(l.before); n > maxRevokedTokens+1 {
		t.Errorf("got %d entries, want at most %d", n, maxRevokedTokens+1)
	}
	early := now.Now().Add(-time.Hour)
	if !isRevoked(t, l, Claims{ID: newID(), UserID: "mallory", IssuedAt: At(early)}) {
		t.Error("an old token of theirs is still good")
	}
	if isRevoked(t, l, Claims{ID: newID(), UserID: "alice", IssuedAt: At(early)}) {
		t.Error("another's token is not good any more")
	}
}

func TestSubjectsThatWouldBreakTheFileAreRefused(t *testing.T) {
	now := newClock()
	l := openList(t, filepath.Join(t.TempDir(), "revoked"), now)
	for _, subject := range []string{"", "token:a b", "token:a\n99999999999 99999999999999999 - user:victim"} {
		if err := l.Revoke(t.Context(), Revocation{Subject: subject, Before: now.Now(), Until: now.Now().Add(time.Hour)}); err == nil {
			t.Errorf("%q was taken", subject)
		}
	}
}
