package identity

import (
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"bullion/internal/images"
)

// Limits holds back password guessing. The zero value of a field means its default.
//
// A lock-out must not be a weapon, so nothing is ever counted against a user alone: failures count against the user
// at one address, and against the address. Someone who guesses at your password from elsewhere
// does not keep you out. Counters live in the process. On AWS each instance has its own, and
// Cognito's own back-off and API Gateway's throttling stand before them.
type Limits struct {
	FreeFailures    int           // failures of one user at one address that cost nothing; default 5
	FirstWait       time.Duration // wait after the next failure, doubled by each one more; default 1 s
	LongestWait     time.Duration // default 5 min
	AddressFailures int           // failures from one address in AddressWindow before it must wait; default 50
	AddressWindow   time.Duration // default 5 min
}

func (l Limits) withDefaults() Limits {
	set := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	if l.FreeFailures <= 0 {
		l.FreeFailures = 5
	}
	if l.AddressFailures <= 0 {
		l.AddressFailures = 50
	}
	set(&l.FirstWait, time.Second)
	set(&l.LongestWait, 5*time.Minute)
	set(&l.AddressWindow, 5*time.Minute)
	return l
}

// guard counts failed sign-ins.
type guard struct {
	limits Limits
	now    func() time.Time
	mu     sync.Mutex
	users  map[userAt]*failures
	places map[netip.Prefix]*failures
}

type userAt struct {
	user  string
	place netip.Prefix
}

type failures struct {
	count int
	last  time.Time // of the latest failure
	until time.Time // no attempt before
}

// maxTracked bounds the memory of each counter; the oldest are forgotten first.
const maxTracked = 10_000

func newGuard(l Limits, now func() time.Time) *guard {
	return &guard{limits: l.withDefaults(), now: now, users: map[userAt]*failures{}, places: map[netip.Prefix]*failures{}}
}

// place is the part of an address that one customer can be assumed to have: an IPv4 address, or the
// /64 network of an IPv6 address.
func place(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := a.BitLen()
	if bits == 128 {
		bits = 64
	}
	p, _ := a.Prefix(bits)
	return p
}

// admit says how long the user at this address must wait before another attempt: images.TooMany, or nil.
func (g *guard) admit(user string, from netip.Addr) (wait time.Duration, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now, p := g.now(), place(from)
	if f := g.users[userAt{user, p}]; f != nil && f.until.After(now) {
		wait = f.until.Sub(now)
	}
	if f := g.places[p]; f != nil && f.until.After(now) {
		wait = max(wait, f.until.Sub(now))
	}
	if wait <= 0 {
		return 0, nil
	}
	seconds := int((wait + time.Second - 1) / time.Second)
	return wait, images.Errorf(images.TooMany, "Too many failed sign-ins. Try again in %d s.", seconds)
}

// failed counts a failure.
func (g *guard) failed(user string, from netip.Addr) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now, p, l := g.now(), place(from), g.limits

	u := entry(g.users, userAt{user, p}, now, 2*l.LongestWait)
	u.count, u.last = u.count+1, now
	if over := u.count - l.FreeFailures; over > 0 {
		wait := l.LongestWait
		if over < 20 {
			wait = min(wait, l.FirstWait<<(over-1))
		}
		u.until = now.Add(wait)
	}

	a := entry(g.places, p, now, l.AddressWindow)
	a.count, a.last = a.count+1, now
	if a.count >= l.AddressFailures {
		a.until = now.Add(l.AddressWindow)
	}
}

// succeeded forgets the failures of this user at this address. Those of the address stay: with one
// account of their own nobody buys more guesses at others'.
func (g *guard) succeeded(user string, from netip.Addr) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.users, userAt{user, place(from)})
}

// entry finds or makes a counter. One that was quiet for long starts anew.
func entry[K comparable](m map[K]*failures, k K, now time.Time, quiet time.Duration) *failures {
	if f := m[k]; f != nil {
		if now.Sub(f.last) > quiet {
			*f = failures{}
		}
		return f
	}
	if len(m) >= maxTracked {
		evict(m)
	}
	f := &failures{}
	m[k] = f
	return f
}

// evict removes the oldest tenth, roughly: those older than the mean.
func evict[K comparable](m map[K]*failures) {
	var sum, first int64
	for _, f := range m {
		if first == 0 {
			first = f.last.UnixNano()
		}
		sum += f.last.UnixNano() - first
	}
	mean := first + sum/int64(len(m))
	for k, f := range m {
		if f.last.UnixNano() <= mean {
			delete(m, k)
		}
	}
}

// PeerAddress is the address at the other end of the connection.
func PeerAddress(r *http.Request) netip.Addr {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	a, err := netip.ParseAddr(host)
	if err != nil {
		return netip.IPv4Unspecified()
	}
	return a
}

// ForwardedAddress is for a service behind proxies: the last address in X-Forwarded-For that is not a
// trusted proxy's. A header from a peer that is not trusted is ignored, since anyone can write one.
func ForwardedAddress(trusted []netip.Prefix) func(*http.Request) netip.Addr {
	trusts := func(a netip.Addr) bool {
		for _, p := range trusted {
			if p.Contains(a.Unmap()) {
				return true
			}
		}
		return false
	}
	return func(r *http.Request) netip.Addr {
		from := PeerAddress(r)
		hops := splitList(r.Header.Values("X-Forwarded-For"))
		for i := len(hops) - 1; i >= 0 && trusts(from); i-- {
			a, err := netip.ParseAddr(hops[i])
			if err != nil {
				break
			}
			from = a
		}
		return from
	}
}
