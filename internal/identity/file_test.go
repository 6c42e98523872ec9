package identity

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"bullion/internal/images"

	"github.com/google/go-cmp/cmp"
)

func openDir(t testing.TB, path string) *FileDirectory {
	t.Helper()
	d, err := OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestBootstrapFillsAnEmptyDirectoryOnce(t *testing.T) {
	d := openDir(t, filepath.Join(t.TempDir(), "users.json"))
	c, done, err := Bootstrap(t.Context(), d)
	if err != nil || !done {
		t.Fatalf("got %v %v, want it done", done, err)
	}
	for name, p := range map[string]struct{ password, role string }{c.AdminName: {c.AdminPassword, "admin"}, c.MemberName: {c.MemberPassword, "member"}} {
		u, err := d.Authenticate(t.Context(), UserRef{Name: name}, p.password)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		grants, err := d.Grants(t.Context(), u)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]Grant{{Project: c.Project, Roles: []string{p.role}}}, grants); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	again, done, err := Bootstrap(t.Context(), d)
	if err != nil || done || again != (Credentials{}) {
		t.Errorf("the second time: got %+v %v %v, want nothing", again, done, err)
	}
}

func TestTheFileHoldsNoPasswordAndIsPrivate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users.json")
	d := openDir(t, path)
	if _, err := d.AddUser(t.Context(), "bob", "", "a long password"); err != nil {
		t.Fatal(err)
	}
	doc, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(doc), "a long password") || !strings.Contains(string(doc), "$argon2id$v=19$m=12288,t=3,p=1$") {
		t.Errorf("got %s", doc)
	}
	for _, name := range []string{path, path + ".revoked", path + ".lock"} {
		info, err := os.Stat(name)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: got mode %v (%v), want 0600", name, info.Mode(), err)
		}
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenFile(path); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("a file that others may read: got %v, want an error with the fix", err)
	}
}

func TestCommandsOnUsersAndProjects(t *testing.T) {
	ctx := t.Context()
	d := openDir(t, filepath.Join(t.TempDir(), "users.json"))
	bob, err := d.AddUser(ctx, "bob", "bob@example.org", "a long password")
	if err != nil {
		t.Fatal(err)
	}
	acme, err := d.AddProject(ctx, "acme", "Rockets")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		do   func() error
		kind images.Kind
		says string
	}{
		"a user twice":                   {func() error { _, err := d.AddUser(ctx, "Bob", "", "a long password"); return err }, images.Conflict, `"Bob" already`},
		"a user without a name":          {func() error { _, err := d.AddUser(ctx, "", "", "a long password"); return err }, images.Invalid, "is empty"},
		"a name with a control":          {func() error { _, err := d.AddUser(ctx, "a\x1bb", "", "a long password"); return err }, images.Invalid, "cannot be printed"},
		"a name that is too long":        {func() error { _, err := d.AddUser(ctx, strings.Repeat("é", 65), "", "a long password"); return err }, images.Invalid, "64 characters"},
		"a name that ends with a space":  {func() error { _, err := d.AddUser(ctx, "bob ", "", "a long password"); return err }, images.Invalid, "space"},
		"a name that looks like an id":   {func() error { _, err := d.AddUser(ctx, bob.ID, "", "a long password"); return err }, images.Invalid, "looks like an id"},
		"a short password":               {func() error { _, err := d.AddUser(ctx, "eve", "", "short"); return err }, images.Invalid, "at least 8"},
		"an enormous password":           {func() error { return d.SetPassword(ctx, "bob", strings.Repeat("x", 513)) }, images.Invalid, "at most 512"},
		"a password for nobody":          {func() error { return d.SetPassword(ctx, "eve", "a long password") }, images.NotFound, `"eve"`},
		"a project twice":                {func() error { _, err := d.AddProject(ctx, "ACME", ""); return err }, images.Conflict, `"ACME" already`},
		"a role that is not":             {func() error { return d.Grant(ctx, "bob", "acme", "owner") }, images.Invalid, "admin, member, reader, service"},
		"a role for nobody":              {func() error { return d.Grant(ctx, "eve", "acme", "member") }, images.NotFound, `"eve"`},
		"a role in nothing":              {func() error { return d.Grant(ctx, "bob", "lab", "member") }, images.NotFound, `"lab"`},
		"taking a role that is not held": {func() error { return d.Ungrant(ctx, "bob", "acme", "admin") }, images.NotFound, "does not have the role"},
		"removing nobody":                {func() error { return d.RemoveUser(ctx, "eve") }, images.NotFound, `"eve"`},
	} {
		t.Run(name, func(t *testing.T) {
			err := c.do()
			if images.KindOf(err) != c.kind || err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want kind %d with %q", err, c.kind, c.says)
			}
		})
	}
	grants := func() []Grant {
		t.Helper()
		g, err := d.Grants(ctx, bob)
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	for _, step := range []struct {
		name string
		do   func() error
		want []Grant
	}{
		{"grant", func() error { return d.Grant(ctx, "bob", "acme", "member") }, []Grant{{acme, []string{"member"}}}},
		{"grant again", func() error { return d.Grant(ctx, bob.ID, acme.ID, "member") }, []Grant{{acme, []string{"member"}}}},
		{"grant another", func() error { return d.Grant(ctx, "bob", "acme", "service") }, []Grant{{acme, []string{"member", "service"}}}},
		{"take one", func() error { return d.Ungrant(ctx, "bob", "acme", "member") }, []Grant{{acme, []string{"service"}}}},
		{"take the last", func() error { return d.Ungrant(ctx, "bob", "acme", "service") }, []Grant{}},
		{"remove the user", func() error { return d.RemoveUser(ctx, "bob") }, []Grant{}},
	} {
		if err := step.do(); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if diff := cmp.Diff(step.want, grants()); diff != "" {
			t.Errorf("after %s (-want +got):\n%s", step.name, diff)
		}
	}
	if users, err := d.Users(ctx); err != nil || len(users) != 0 {
		t.Errorf("got %v %v, want no users", users, err)
	}
}

func TestAChangeOfAUserEndsTheirTokensAtOnce(t *testing.T) {
	for name, change := range map[string]func(*world) error{
		"a new password":          func(w *world) error { return w.dir.SetPassword(w.Context(), "bob", "another password") },
		"a role taken":            func(w *world) error { return w.dir.Ungrant(w.Context(), "bob", "acme", "member") },
		"the user disabled":       func(w *world) error { return w.dir.SetDisabled(w.Context(), "bob", true) },
		"the user removed":        func(w *world) error { return w.dir.RemoveUser(w.Context(), "bob") },
		"a password by a command": func(w *world) error { return openDirClock(w).SetPassword(w.Context(), "bob", "another password") },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			bob, carol := w.token("bob", "acme"), w.token("carol", "acme")
			w.ok(change(w))
			if _, err := w.service.Verifier().Verify(t.Context(), bob); images.KindOf(err) != images.Unauthenticated {
				t.Errorf("bob's token: got %v, want Unauthenticated", err)
			}
			if _, err := w.service.Verifier().Verify(t.Context(), carol); err != nil {
				t.Errorf("carol's token: %v", err)
			}
		})
	}
}

// openDirClock opens the directory of a world a second time, as another process would.
func openDirClock(w *world) *FileDirectory {
	w.Helper()
	d, err := OpenFile(w.dir.path, WithClock(w.clock.Now))
	w.ok(err)
	return d
}

func TestManyProcessesChangeTheFileAtOnceAndLoseNothing(t *testing.T) {
	ctx := t.Context()
	path := filepath.Join(t.TempDir(), "users.json")
	const writers, each = 4, 15
	var wg sync.WaitGroup
	errs := make(chan error, writers*each+1)
	stop := make(chan struct{})
	reader := openDir(t, path)
	wg.Go(func() { // a server that reads all the while
		for {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := reader.Projects(ctx); err != nil {
				errs <- err
				return
			}
		}
	})
	var writing sync.WaitGroup
	for i := range writers {
		d := openDir(t, path)
		writing.Go(func() {
			for j := range each {
				if _, err := d.AddProject(ctx, fmt.Sprintf("p-%d-%d", i, j), ""); err != nil {
					errs <- err
				}
			}
		})
	}
	writing.Wait()
	close(stop)
	wg.Wait()
	close(errs)
	for err := range errs {
		t.Error(err)
	}
	all, err := reader.Projects(ctx)
	if err != nil || len(all) != writers*each {
		t.Errorf("got %d projects (%v), want %d", len(all), err, writers*each)
	}
	left, err := filepath.Glob(filepath.Join(filepath.Dir(path), "*.new-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

func TestFilesThatAreBrokenSayWhat(t *testing.T) {
	for name, c := range map[string]struct{ doc, want string }{
		"no JSON":           {"{", "not readable as JSON"},
		"another version":   {`{"version": 2}`, "has version 2"},
		"no version at all": {`{}`, "has version 0"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "users.json")
			if err := os.WriteFile(path, []byte(c.doc), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := OpenFile(path); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
		})
	}
}

func TestStoredHashesThatAreBrokenAreErrorsAndNotRefusals(t *testing.T) {
	h := newHasher(newClock().Now)
	for _, stored := range []string{"", "plain", "$argon2i$v=19$m=8,t=1,p=1$AAAA$AAAA", "$argon2id$v=19$m=99999999,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
		"$argon2id$v=19$m=x$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "$argon2id$v=19$m=64,t=1,p=1$!$AAAA"} {
		if ok, err := h.check(t.Context(), stored, "x"); ok || err == nil {
			t.Errorf("%q: got %v %v, want an error", stored, ok, err)
		}
	}
}

func TestRightPasswordsAreRememberedAndForgottenWithTheHash(t *testing.T) {
	now := newClock()
	h := newHasher(now.Now)
	stored, err := h.hash(t.Context(), "right")
	if err != nil {
		t.Fatal(err)
	}
	check := func(stored, password string) bool {
		t.Helper()
		ok, err := h.check(t.Context(), stored, password)
		if err != nil {
			t.Fatal(err)
		}
		return ok
	}
	if !check(stored, "right") || check(stored, "wrong") {
		t.Fatal("the check is wrong")
	}
	if !h.remembers(h.mark(stored, "right")) || h.remembers(h.mark(stored, "wrong")) {
		t.Error("the wrong one is remembered")
	}
	other, err := h.hash(t.Context(), "other")
	if err != nil {
		t.Fatal(err)
	}
	if check(other, "right") {
		t.Error("a remembered password opens another hash")
	}
	now.Add(rememberFor + 1)
	if h.remembers(h.mark(stored, "right")) {
		t.Error("it is remembered for too long")
	}
}

func TestHashingRefusesMoreThanCanWait(t *testing.T) {
	for range hashSlots {
		slots <- struct{}{}
	}
	for range hashWaiters {
		waiting <- struct{}{}
	}
	t.Cleanup(func() {
		for range hashSlots {
			<-slots
		}
		for range hashWaiters {
			<-waiting
		}
	})
	_, err := newHasher(newClock().Now).hash(t.Context(), "x")
	if images.KindOf(err) != images.Unavailable {
		t.Errorf("got %v, want Unavailable", err)
	}
}

func TestGeneratedSecretsDiffer(t *testing.T) {
	var all []string
	for range 50 {
		p := NewPassword()
		if len(p) != 20 || slices.Contains(all, p) {
			t.Fatalf("got %q", p)
		}
		all = append(all, p)
	}
	secret, stored := newSecret()
	if !checkSecret(stored, secret) || checkSecret(stored, secret+"x") || strings.Contains(stored, secret) {
		t.Errorf("secret %q, stored %q", secret, stored)
	}
}

func TestErrRefusedIsUnauthenticated(t *testing.T) {
	d := openDir(t, filepath.Join(t.TempDir(), "users.json"))
	if _, err := d.Authenticate(t.Context(), UserRef{Name: "nobody"}, "x"); !errors.Is(err, ErrRefused) || images.KindOf(err) != images.Unauthenticated {
		t.Errorf("got %v, want ErrRefused", err)
	}
}

// BenchmarkSignIn shows the cost of argon2id and what remembering saves.
func BenchmarkSignIn(b *testing.B) {
	d := openDir(b, filepath.Join(b.TempDir(), "users.json"))
	if _, err := d.AddUser(b.Context(), "bob", "", "a long password"); err != nil {
		b.Fatal(err)
	}
	who := UserRef{Name: "bob"}
	b.Run("full hash", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			clear(d.hash.known)
			if _, err := d.Authenticate(b.Context(), who, "a long password"); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("remembered", func(b *testing.B) {
		for b.Loop() {
			if _, err := d.Authenticate(b.Context(), who, "a long password"); err != nil {
				b.Fatal(err)
			}
		}
	})
}
