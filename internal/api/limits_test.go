package api

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"bullion/internal/images"
)

func TestALimiterLetsThroughItsRateAndRemembersABoundedNumber(t *testing.T) {
	now := time.Unix(1000, 0)
	l := &limiter{Rate: Rate{PerSecond: 2, Burst: 3}, now: func() time.Time { return now }, buckets: map[images.Actor]bucket{}}
	who, other := images.Actor{UserID: "a", ProjectID: "p"}, images.Actor{UserID: "b", ProjectID: "p"}
	through := func(who images.Actor, n int) (passed int) {
		for range n {
			if l.take(who) == 0 {
				passed++
			}
		}
		return passed
	}
	if got := through(who, 10); got != 3 {
		t.Errorf("at once: got %d through, want the burst of 3", got)
	}
	if wait := l.take(who); wait <= 0 || wait > 500*time.Millisecond {
		t.Errorf("the wait: got %v, want up to half a second", wait)
	}
	if got := through(other, 10); got != 3 {
		t.Errorf("another user: got %d through, want 3", got)
	}
	now = now.Add(time.Second)
	if got := through(who, 10); got != 2 {
		t.Errorf("after a second: got %d through, want 2", got)
	}
	now = now.Add(-time.Hour) // a clock that was set back
	if got := through(who, 10); got != 0 {
		t.Errorf("after the clock went back: got %d through, want none", got)
	}
	for n := range 3 * maxBuckets {
		l.take(images.Actor{UserID: fmt.Sprint(n)})
	}
	if len(l.buckets) > maxBuckets {
		t.Errorf("the limiter remembers %d users, want at most %d", len(l.buckets), maxBuckets)
	}
}

// anyone takes every token for a user of its name.
type anyone struct{}

func (anyone) Verify(_ context.Context, token string) (images.Caller, error) {
	return images.Caller{UserID: token, ProjectID: "p"}, nil
}

func limited(t *testing.T, rate *Rate) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(New(Config{Images: &images.Service{}, Auth: anyone{}, Log: slog.New(slog.DiscardHandler), Rate: rate}))
	t.Cleanup(s.Close)
	return s
}

func TestAUserWhoAsksTooOftenIsToldWhenToComeBack(t *testing.T) {
	s := limited(t, &Rate{PerSecond: 0.01, Burst: 5})
	ask := func(token string) *http.Response {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/v2/schemas/image", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-Auth-Token", token)
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		return res
	}
	for n := range 5 {
		if res := ask("a"); res.StatusCode != 200 {
			t.Fatalf("request %d: got %s", n, res.Status)
		}
	}
	if res := ask("a"); res.StatusCode != 429 || res.Header.Get("Retry-After") != "100" {
		t.Errorf("the sixth request: got %s, Retry-After %q; want 429 and 100", res.Status, res.Header.Get("Retry-After"))
	}
	if res := ask("b"); res.StatusCode != 200 {
		t.Errorf("another user: got %s", res.Status)
	}
}

// A client that sends its document, or its file, too slowly is cut off.
func TestAClientThatStopsSendingIsCutOff(t *testing.T) {
	defer func(d, p time.Duration) { documentWithin, pieceWithin = d, p }(documentWithin, pieceWithin)
	documentWithin, pieceWithin = 100*time.Millisecond, 100*time.Millisecond
	s := limited(t, nil)
	for _, head := range []string{
		"POST /v2/images HTTP/1.1\r\nHost: x\r\nX-Auth-Token: a\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{",
		"POST /v2/images HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{", // no token
	} {
		c, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := io.WriteString(c, head); err != nil {
			t.Fatal(err)
		}
		if err := c.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
			t.Fatal(err)
		}
		answer := bufio.NewReader(c)
		for {
			if _, err := answer.ReadByte(); err == io.EOF {
				break
			} else if err != nil {
				t.Fatalf("%.60q: the connection stays: %v", head, err)
			}
		}
	}
	w := httptest.NewRecorder()
	if _, err := io.ReadAll(unhurried(w, strings.NewReader("a file"))); err != nil {
		t.Errorf("a host without connections: %v", err)
	}
}
