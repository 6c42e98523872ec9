package identity

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"bullion/internal/images"
)

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

func waits(t *testing.T, g *guard, user, from string) time.Duration {
	t.Helper()
	wait, err := g.admit(user, addr(from))
	if wait > 0 != (images.KindOf(err) == images.TooMany && err != nil) {
		t.Fatalf("got a wait of %v with the error %v", wait, err)
	}
	return wait.Round(time.Second)
}

func TestWaitsDoubleForTheUserAtTheAddress(t *testing.T) {
	now := newClock()
	g := newGuard(Limits{FreeFailures: 3, FirstWait: time.Second, LongestWait: 10 * time.Second}, now.Now)
	var got []time.Duration
	for range 9 {
		g.failed("bob", addr("192.0.2.1"))
		got = append(got, waits(t, g, "bob", "192.0.2.1"))
		now.Add(11 * time.Second)
	}
	want := []time.Duration{0, 0, 0, 1, 2, 4, 8, 10, 10}
	for i := range want {
		if got[i] != want[i]*time.Second {
			t.Fatalf("got %v, want %v seconds", got, want)
		}
	}
}

func TestNobodyLocksOutAnother(t *testing.T) {
	now := newClock()
	g := newGuard(Limits{}, now.Now)
	for range 200 {
		g.failed("bob", addr("192.0.2.66"))
	}
	if waits(t, g, "bob", "192.0.2.66") == 0 {
		t.Error("the attacker does not wait")
	}
	if w := waits(t, g, "bob", "192.0.2.1"); w != 0 {
		t.Errorf("bob waits %v at his own address", w)
	}
}

func TestAnAddressThatTriesManyUsersWaits(t *testing.T) {
	now := newClock()
	g := newGuard(Limits{AddressFailures: 10, AddressWindow: time.Minute}, now.Now)
	for i := range 10 {
		g.succeeded("mallory", addr("192.0.2.66")) // an account of one's own buys nothing
		g.failed(fmt.Sprint("user", i), addr("192.0.2.66"))
	}
	if w := waits(t, g, "someone else", "192.0.2.66"); w != time.Minute {
		t.Errorf("got %v, want a minute", w)
	}
	now.Add(61 * time.Second)
	if w := waits(t, g, "someone else", "192.0.2.66"); w != 0 {
		t.Errorf("after the window: got %v", w)
	}
}

func TestASuccessForgetsTheFailuresOfTheUser(t *testing.T) {
	g := newGuard(Limits{FreeFailures: 2}, newClock().Now)
	for range 5 {
		g.failed("bob", addr("192.0.2.1"))
		g.succeeded("bob", addr("192.0.2.1"))
	}
	if w := waits(t, g, "bob", "192.0.2.1"); w != 0 {
		t.Errorf("got %v", w)
	}
}

func TestOneIPv6CustomerIsOneAddress(t *testing.T) {
	g := newGuard(Limits{AddressFailures: 5}, newClock().Now)
	for i := range 5 {
		g.failed("bob", addr(fmt.Sprintf("2001:db8:0:1::%x", i+1)))
	}
	if waits(t, g, "x", "2001:db8:0:1:ffff::1") == 0 {
		t.Error("the same /64 does not wait")
	}
	if waits(t, g, "x", "2001:db8:0:2::1") != 0 {
		t.Error("another /64 waits")
	}
	if place(addr("::ffff:192.0.2.1")) != place(addr("192.0.2.1")) {
		t.Error("an IPv4 address written as IPv6 is another")
	}
}

func TestTheMemoryOfFailuresIsBounded(t *testing.T) {
	now := newClock()
	g := newGuard(Limits{}, now.Now)
	for i := range 3 * maxTracked {
		g.failed("bob", netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}))
	}
	if len(g.users) > maxTracked || len(g.places) > maxTracked {
		t.Errorf("got %d and %d entries, want at most %d", len(g.users), len(g.places), maxTracked)
	}
}

func TestGuessingIsHeldBackOverHTTP(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Limits = Limits{FreeFailures: 2, FirstWait: 8 * time.Second} })
	for range 3 {
		w.want(w.do("POST", "/v3/auth/tokens", byPassword("bob", "wrong password", nil)), 401)
	}
	a := w.want(w.do("POST", "/v3/auth/tokens", byPassword("bob", passwordOf("bob"), nil)), 429)
	if got := a.header.Get("Retry-After"); got != "8" {
		t.Errorf("got Retry-After %q, want 8", got)
	}
	if !strings.Contains(a.body, "Try again in 8 s") || !strings.Contains(w.log.String(), "sign-in held back") {
		t.Errorf("got %s; log %s", a.body, w.log)
	}
	w.token("carol", "acme") // others at the address are not concerned
	change := w.do("POST", "/v3/users/"+w.users["bob"].ID+"/password", `{"user":{"original_password":"guess","password":"a new password"}}`)
	w.want(change, 401) // by id: counted apart, but counted
	w.clock.Add(9 * time.Second)
	w.token("bob", "acme")
}

func TestForwardedAddressesAreBelievedFromProxiesOnly(t *testing.T) {
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	for name, c := range map[string]struct {
		peer, want string
		forwarded  []string
	}{
		"no proxy":                         {"192.0.2.1:99", "192.0.2.1", nil},
		"a proxy":                          {"10.0.0.1:99", "192.0.2.1", []string{"192.0.2.1"}},
		"two proxies":                      {"10.0.0.1:99", "192.0.2.1", []string{"192.0.2.1, 10.0.0.2"}},
		"two headers":                      {"10.0.0.1:99", "192.0.2.1", []string{"192.0.2.1", "10.0.0.2"}},
		"a client that made up a hop":      {"10.0.0.1:99", "192.0.2.1", []string{"198.51.100.7, 192.0.2.1"}},
		"a client that is not a proxy":     {"192.0.2.1:99", "192.0.2.1", []string{"198.51.100.7"}},
		"rubbish":                          {"10.0.0.1:99", "10.0.0.1", []string{"unknown"}},
		"a proxy that says nothing":        {"10.0.0.1:99", "10.0.0.1", nil},
		"an address that cannot be parsed": {"pipe", "0.0.0.0", nil},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "/", nil)
			r.RemoteAddr = c.peer
			r.Header[http.CanonicalHeaderKey("X-Forwarded-For")] = c.forwarded
			if got := ForwardedAddress(trusted)(r).String(); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}
