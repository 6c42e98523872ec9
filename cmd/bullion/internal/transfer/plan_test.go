package transfer

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bullion/cmd/bullion/internal/glance"
)

func TestJudge(t *testing.T) {
	tests := []struct {
		name   string
		status int
		code   string
		want   verdict
	}{
		{"success is sent", 200, "", sent},
		{"an error of the server passes", 500, "InternalError", again},
		{"a gateway that waits too long passes", 504, "", again},
		{"too many requests pass", 429, "SlowDown", again},
		{"a body that came too slowly passes", 400, "RequestTimeout", again},
		{"a race for the same key passes", 409, "ConditionalRequestConflict", again},
		{"a refused signature is signed again", 403, "AccessDenied", resign},
		{"credentials that expired are signed again", 400, "ExpiredToken", resign},
		{"an upload that is gone is looked at", 404, "NoSuchUpload", look},
		{"an object that is there is looked at", 412, "PreconditionFailed", look},
		{"a redirect is refused", 307, "TemporaryRedirect", refuse},
		{"a body that is too large is refused", 413, "EntityTooLarge", refuse},
		{"what is not implemented stays so", 501, "NotImplemented", refuse},
		{"a full disk stays so", 507, "NoSpaceLeftOnDevice", refuse},
		{"a missing length is refused", 411, "MissingContentLength", refuse},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := judge(test.status, test.code); got != test.want {
				t.Errorf("judge(%d, %q) = %d, want %d", test.status, test.code, got, test.want)
			}
		})
	}
}

func TestBackoff(t *testing.T) {
	tests := []struct {
		name   string
		try    int
		asked  time.Duration
		random float64
		want   time.Duration
	}{
		{"begins with a fifth of a second", 1, 0, 0, 200 * time.Millisecond},
		{"doubles", 3, 0, 0, 800 * time.Millisecond},
		{"takes off up to half by random", 3, 0, 1, 400 * time.Millisecond},
		{"ends at five seconds", 10, 0, 0, 5 * time.Second},
		{"ends there after any number of tries", math.MaxInt, 0, 0, 5 * time.Second},
		{"waits as long as it is asked to", 1, 20 * time.Second, 0, 20 * time.Second},
		{"waits no longer than a minute", 1, time.Hour, 0, time.Minute},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := backoff(test.try, test.asked, test.random); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

func TestNextPoll(t *testing.T) {
	tests := []struct {
		name        string
		last        time.Duration
		done, total int64
		since       time.Duration
		want        time.Duration
	}{
		{"begins soon", 0, 0, 0, 0, 50 * time.Millisecond},
		{"grows while nothing is known", time.Second, 0, 100, time.Second, 1500 * time.Millisecond},
		{"ends at two seconds", 2 * time.Second, 0, 100, time.Second, 2 * time.Second},
		{"is half of what is left", time.Second, 50, 100, time.Second, 500 * time.Millisecond},
		{"does not spin near the end", time.Second, 99, 100, time.Second, 50 * time.Millisecond},
		{"is at most two seconds when much is left", time.Second, 1, math.MaxInt64, time.Hour, 2 * time.Second},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := nextPoll(test.last, test.done, test.total, test.since); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

func TestAPlanRefusesDocumentsThatContradictThemselves(t *testing.T) {
	signed := func(change func(*glance.SignedPart)) glance.Upload {
		s := glance.SignedPart{Number: 3, Size: 50, Method: "PUT", URL: "http://s3/x", Headers: map[string]string{"Content-Length": "50"}}
		change(&s)
		return glance.Upload{Size: 250, PartSize: 100, Parts: 3, Signed: []glance.SignedPart{s}}
	}
	tests := []struct {
		name string
		doc  glance.Upload
		ok   bool
	}{
		{"a right one is taken", signed(func(*glance.SignedPart) {}), true},
		{"too few parts", glance.Upload{Size: 250, PartSize: 100, Parts: 2}, false},
		{"too many parts", glance.Upload{Size: 250, PartSize: 100, Parts: 4}, false},
		{"no parts", glance.Upload{Size: 250}, false},
		{"parts of nothing", glance.Upload{Size: 250, Parts: 3}, false},
		{"parts whose sum overflows", glance.Upload{Size: 250, PartSize: math.MaxInt64, Parts: 3}, false},
		{"another size than the file", glance.Upload{Size: 249, PartSize: 100, Parts: 3}, false},
		{"a signature of a part that is not", signed(func(s *glance.SignedPart) { s.Number = 4 }), false},
		{"a signature of another length", signed(func(s *glance.SignedPart) { s.Size = 100 }), false},
		{"a signed header of another length", signed(func(s *glance.SignedPart) { s.Headers = map[string]string{"content-length": "100"} }), false},
		{"a signature that does not send", signed(func(s *glance.SignedPart) { s.Method = "GET" }), false},
		{"an address without a host", signed(func(s *glance.SignedPart) { s.URL = "/x" }), false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if _, err := newPlan(&test.doc, 250); (err == nil) != test.ok {
				t.Errorf("error %v, want success %v", err, test.ok)
			}
		})
	}
}

func TestAPlanSignsAheadInBatches(t *testing.T) {
	p, err := newPlan(&glance.Upload{Size: 1000, PartSize: 1, Parts: 1000}, 1000)
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		p.take()
	}
	p.signed[8] = glance.SignedPart{}
	numbers := p.unsigned(3)
	if got, want := len(numbers), glance.MaxSignings; got != want {
		t.Errorf("%d parts are signed at once, want %d", got, want)
	}
	if diff := cmp.Diff([]int{3, 6, 7, 9, 10}, numbers[:5]); diff != "" {
		t.Errorf("the first of them (-want +got):\n%s", diff)
	}
}

// FuzzPlan proves that every plan of a document that was taken covers the file once, in order.
func FuzzPlan(f *testing.F) {
	f.Add(int64(250), int64(100), 3)
	f.Add(int64(1), int64(1), 1)
	f.Add(int64(math.MaxInt64), int64(math.MaxInt64), 1)
	f.Add(int64(1<<40), int64(104857600), 10000)
	f.Fuzz(func(t *testing.T, size, partSize int64, parts int) {
		if parts > 20_000 {
			return
		}
		p, err := newPlan(&glance.Upload{Size: size, PartSize: partSize, Parts: parts}, size)
		if err != nil {
			return
		}
		at := int64(0)
		for n, ok := p.take(); ok; n, ok = p.take() {
			off, length := p.span(n)
			if off != at || length < 1 || length > partSize {
				t.Fatalf("part %d is %d bytes from %d, want from %d", n, length, off, at)
			}
			at += length
		}
		if at != size {
			t.Fatalf("the parts are %d bytes, want %d", at, size)
		}
	})
}
