package api

import (
	"fmt"
	"io"
	"math"
	"net/http"
	"sync"
	"time"

	"bullion/internal/images"
)

// Rate bounds how many requests one user makes in one project. Burst is how many may come at once after a pause.
type Rate struct {
	PerSecond float64
	Burst     int
}

// maxBuckets bounds the memory of a limiter. Who is forgotten may begin with a full burst.
const maxBuckets = 10_000

// limiter has a bucket for each user: it fills by the rate, and a request takes one out.
type limiter struct {
	Rate
	now     func() time.Time
	mu      sync.Mutex
	buckets map[images.Actor]bucket
}

type bucket struct {
	left float64
	at   time.Time
}

// take returns how long the user must wait; 0 lets the request through.
func (l *limiter) take(who images.Actor) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	b, known := l.buckets[who]
	if !known {
		if len(l.buckets) >= maxBuckets {
			l.forget(now)
		}
		b = bucket{float64(l.Burst), now}
	}
	b.left, b.at = l.filled(b, now), now
	wait := time.Duration(0)
	if b.left < 1 {
		wait = time.Duration((1 - b.left) / l.PerSecond * float64(time.Second))
	} else {
		b.left--
	}
	l.buckets[who] = b
	return wait
}

func (l *limiter) filled(b bucket, now time.Time) float64 {
	return min(float64(l.Burst), b.left+max(now.Sub(b.at).Seconds(), 0)*l.PerSecond)
}

// forget drops those whose bucket is full again, and all when there are none.
func (l *limiter) forget(now time.Time) {
	for who, b := range l.buckets {
		if l.filled(b, now) >= float64(l.Burst) {
			delete(l.buckets, who)
		}
	}
	if len(l.buckets) >= maxBuckets {
		clear(l.buckets)
	}
}

// admit answers 429 with Retry-After to a user who asks too often.
func (a *api) admit(w http.ResponseWriter, c images.Caller) error {
	if a.limiter == nil {
		return nil
	}
	wait := a.limiter.take(images.Actor{UserID: c.UserID, ProjectID: c.ProjectID})
	if wait == 0 {
		return nil
	}
	seconds := int(math.Ceil(wait.Seconds()))
	w.Header().Set("Retry-After", fmt.Sprint(seconds))
	return images.Errorf(images.TooMany, "You made more than %g requests a second; try again in %d s.", a.limiter.PerSecond, seconds)
}

// Time that a client has, where the connection is one: to send a document, and between two pieces of a file. The time to send headers, and to take an answer, is the
// server's matter.
var (
	documentWithin = 30 * time.Second
	pieceWithin    = 2 * time.Minute
)

// timed bounds how long the body of a request takes. A deadline that is over ends the connection, so it goes with the body.
func timed(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength != 0 {
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(documentWithin)) // not on a host without connections
		}
		next.ServeHTTP(w, r)
	})
}

// unhurried lets a file take as long as its pieces come, and its answer as long as the examination takes.
func unhurried(w http.ResponseWriter, r io.Reader) io.Reader {
	c := http.NewResponseController(w)
	_ = c.SetWriteDeadline(time.Time{})
	return &pieces{r, c}
}

type pieces struct {
	r io.Reader
	c *http.ResponseController
}

func (p *pieces) Read(b []byte) (int, error) {
	_ = p.c.SetReadDeadline(time.Now().Add(pieceWithin))
	n, err := p.r.Read(b)
	if err != nil {
		_ = p.c.SetReadDeadline(time.Time{})
	}
	return n, err
}
