package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// client makes requests as one user.
type client struct {
	base, token string
	http        *http.Client
}

// answer is what a request got; status 0 is a connection that broke.
type answer struct {
	status int
	header http.Header
	body   []byte
	err    error
}

// do makes one request and counts it.
func (c *client) do(what, method, url, contentType string, body []byte, seen *seen) answer {
	r, err := http.NewRequest(method, url, bytes.NewReader(body))
	if err != nil {
		return answer{err: err}
	}
	if strings.HasPrefix(url, c.base) {
		r.Header.Set("X-Auth-Token", c.token)
	}
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	return c.send(what, r, seen)
}

func (c *client) send(what string, r *http.Request, seen *seen) (a answer) {
	began := time.Now()
	res, err := c.http.Do(r)
	if err == nil {
		a.status, a.header = res.StatusCode, res.Header
		a.body, err = io.ReadAll(res.Body)
		res.Body.Close()
	}
	if a.err = err; err != nil {
		a.status = 0
	}
	if seen != nil {
		seen.add(what, a, time.Since(began))
	}
	return a
}

// limited says whether a stated limit refused the request, and for how long to wait.
func (a answer) limited() (time.Duration, bool) {
	if a.status == http.StatusServiceUnavailable && bytes.Contains(a.body, []byte("<Code>SlowDown</Code>")) {
		return time.Second, true // S3's way to say it
	}
	seconds, err := strconv.Atoi(a.header.Get("Retry-After"))
	return time.Duration(seconds) * time.Second, err == nil && (a.status == http.StatusTooManyRequests || a.status == http.StatusServiceUnavailable)
}

// patient asks until it is not a stated limit that answers.
func patient(ask func() answer) answer {
	for {
		a := ask()
		wait, limited := a.limited()
		if !limited {
			return a
		}
		time.Sleep(wait + time.Duration(mathrand.IntN(500))*time.Millisecond)
	}
}

// seen counts what the clients saw.
type seen struct {
	mu    sync.Mutex
	took  map[string][]float32 // ms of each request that was served, by what it was
	codes map[string]int       // answers that were none of the service's limits nor what was wanted
	lives int
	limit int // requests that a stated limit refused
	odd   []string
}

func newSeen() *seen { return &seen{took: map[string][]float32{}, codes: map[string]int{}} }

func (s *seen) add(what string, a answer, took time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, limited := a.limited(); limited {
		s.limit++
		return
	}
	s.took[what] = append(s.took[what], float32(took.Seconds()*1000))
}

func (s *seen) failed(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.odd) < 20 {
		s.odd = append(s.odd, fmt.Sprintf(format, args...))
	}
	s.codes["failed"]++
}

// String is a table of how long requests took.
func (s *seen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var b strings.Builder
	n := 0
	fmt.Fprintf(&b, "%-12s %9s %9s %9s %9s\n", "request", "number", "p50 ms", "p99 ms", "most ms")
	whats := []string{}
	for what := range s.took {
		whats = append(whats, what)
	}
	slices.Sort(whats)
	for _, what := range whats {
		took := s.took[what]
		n += len(took)
		slices.Sort(took)
		fmt.Fprintf(&b, "%-12s %9d %9.1f %9.1f %9.1f\n", what, len(took), took[len(took)/2], took[len(took)*99/100], took[len(took)-1])
	}
	fmt.Fprintf(&b, "%d lives of images, %d requests, %d of them refused by a stated limit, %d failures\n", s.lives, n+s.limit, s.limit, s.codes["failed"])
	return b.String()
}

func (s *seen) wrong() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var err error
	if s.lives == 0 {
		err = errors.New("no image lived to its end")
	}
	if n := s.codes["failed"]; n > 0 {
		err = errors.Join(err, fmt.Errorf("%d failures that are no stated limit, the first of them:\n%s", n, strings.Join(s.odd, "\n")))
	}
	return err
}

// curve is what bulliond took while the clients were there.
type curve []measure

// String tells the middle of the first, the second and the last third, and the most.
func (c curve) String() string {
	var b strings.Builder
	for n, third := range c.thirds() {
		fmt.Fprintf(&b, "in third %d:     %v\n", n+1, middle(third))
	}
	most := measure{}
	for _, m := range c {
		most.memory, most.goroutines, most.files = max(most.memory, m.memory), max(most.goroutines, m.goroutines), max(most.files, m.files)
	}
	fmt.Fprintf(&b, "at most:        %v\n", most)
	return b.String()
}

func (c curve) thirds() []curve {
	if len(c) < 3 {
		return nil
	}
	n := len(c) / 3
	return []curve{c[:n], c[n : 2*n], c[2*n:]}
}

func middle(c curve) (m measure) {
	pick := func(of func(measure) float64) float64 {
		values := []float64{}
		for _, m := range c {
			values = append(values, of(m))
		}
		slices.Sort(values)
		return values[len(values)/2]
	}
	m.memory = pick(func(m measure) float64 { return m.memory })
	m.goroutines = int(pick(func(m measure) float64 { return float64(m.goroutines) }))
	m.files = int(pick(func(m measure) float64 { return float64(m.files) }))
	return m
}

// grows says whether the last third took more than the one before, by more than a third and what chance may add.
func (c curve) grows() error {
	thirds := c.thirds()
	if thirds == nil {
		return errors.New("it was too short to see whether anything grows")
	}
	was, is := middle(thirds[1]), middle(thirds[2])
	if is.memory > was.memory*1.33+48 || is.goroutines > was.goroutines*4/3+100 || is.files > was.files*4/3+100 {
		return fmt.Errorf("bulliond grows: first %v, then %v", was, is)
	}
	return nil
}

// crowd lets clients live, and looks at the server meanwhile.
func (c *client) crowd(ctx context.Context, clients int, duration time.Duration, s *server, seen *seen) (during curve) {
	end := time.Now().Add(duration)
	began := time.Now()
	var all sync.WaitGroup
	for n := range clients {
		all.Go(func() {
			file := newFile(16<<10 + n%64<<12)
			for time.Now().Before(end) && ctx.Err() == nil {
				if c.life(file, n, seen) {
					seen.mu.Lock()
					seen.lives++
					seen.mu.Unlock()
				}
			}
		})
	}
	for time.Now().Before(end) && ctx.Err() == nil {
		time.Sleep(min(max(duration/120, 50*time.Millisecond), 5*time.Second))
		m, err := s.measure()
		if err != nil {
			seen.failed("%v", err)
			break
		}
		m.at = time.Since(began)
		during = append(during, m)
	}
	all.Wait()
	return during
}

// file is a small disk.
type file struct {
	body []byte
	hash string
}

func newFile(size int) file {
	f := file{body: make([]byte, size)}
	rand.Read(f.body[4096:])
	sum := sha512.Sum512(f.body)
	f.hash = hex.EncodeToString(sum[:])
	return f
}

// life is that of one image, from its record to its end, and says whether all of it was as it should.
func (c *client) life(f file, n int, seen *seen) bool {
	ok := true
	// must asks patiently, and holds that the answer is the one that is wanted.
	must := func(what, method, url, contentType string, body []byte, want int) answer {
		if !ok {
			return answer{}
		}
		a := patient(func() answer { return c.do(what, method, url, contentType, body, seen) })
		if ok = a.status == want; !ok {
			seen.failed("%s: %d (%v), want %d: %.300s", what, a.status, a.err, want, a.body)
		}
		return a
	}
	var image struct {
		ID     string `json:"id"`
		Status string `json:"status"`
		Hash   string `json:"os_hash_value"`
		Name   string `json:"name"`
	}
	read := func(a answer) {
		if err := json.Unmarshal(a.body, &image); ok && err != nil {
			ok = false
			seen.failed("no JSON: %v: %.300s", err, a.body)
		}
	}
	read(must("create", "POST", c.base+"/v2/images", "application/json", []byte(`{"name":"soak","disk_format":"raw","container_format":"bare"}`), 201))
	at := c.base + "/v2/images/" + image.ID
	if n%2 == 0 {
		must("put file", "PUT", at+"/file", "application/octet-stream", f.body, 204)
	} else {
		c.upload(at, f, must, &ok, seen)
	}
	for began, pause := time.Now(), 20*time.Millisecond; ok; time.Sleep(pause) {
		if read(must("show", "GET", at, "", nil, 200)); image.Status == "active" {
			break
		}
		if pause = min(pause*3/2, 2*time.Second); time.Since(began) > 5*time.Minute {
			ok = false
			seen.failed("image %s is still %s", image.ID, image.Status)
		}
	}
	if ok && image.Hash != f.hash {
		ok = false
		seen.failed("image %s has another hash than its file", image.ID)
	}
	must("rename", "PATCH", at, "application/openstack-images-v2.1-json-patch", []byte(`[{"op":"replace","path":"/name","value":"soaked"}]`), 200)
	must("list", "GET", c.base+"/v2/images?limit=20&name=soaked", "", nil, 200)
	if a := must("download", "GET", at+"/file", "", nil, 200); ok && !bytes.Equal(a.body, f.body) {
		ok = false
		seen.failed("the download of image %s is not its file", image.ID)
	}
	if image.ID != "" {
		alive := ok
		ok = true
		must("delete", "DELETE", at, "", nil, 204)
		ok = ok && alive
	}
	return ok
}

// upload sends a file to a signed address.
func (c *client) upload(at string, f file, must func(what, method, url, contentType string, body []byte, want int) answer, ok *bool, seen *seen) {
	a := must("open upload", "POST", at+"/uploads", "application/json", fmt.Appendf(nil, `{"size":%d,"sha512":%q}`, len(f.body), f.hash), 201)
	var up struct {
		ID     string
		Signed []struct {
			Method, URL string
			Headers     map[string]string
		}
	}
	if err := json.Unmarshal(a.body, &up); *ok && (err != nil || len(up.Signed) != 1) {
		*ok = false
		seen.failed("an upload without its address: %v: %.300s", err, a.body)
	}
	if !*ok {
		return
	}
	r, err := http.NewRequest(up.Signed[0].Method, up.Signed[0].URL, bytes.NewReader(f.body))
	if err != nil {
		*ok = false
		seen.failed("a signed address: %v", err)
		return
	}
	for name, value := range up.Signed[0].Headers {
		r.Header.Set(name, value)
	}
	a = patient(func() answer {
		r.Body, _ = r.GetBody() // it is in memory: it does not fail
		return c.send("put to S3", r, seen)
	})
	if a.status != http.StatusOK {
		*ok = false
		seen.failed("put to S3: %d (%v): %.300s", a.status, a.err, a.body)
	}
	must("complete", "POST", at+"/uploads/"+up.ID+"/complete", "", nil, 202)
}
