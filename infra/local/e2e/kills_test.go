package e2e

import (
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math"
	mathrand "math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"bullion/internal/images"
)

// killsVariable is how often TestKillsLoseNothing kills; a dozen times when it is not set.
const killsVariable = "BULLION_KILLS"

// caller makes requests of the API as the member whom the first start made.
type caller struct {
	s     *server
	token string
	http  *http.Client
}

func newCaller(t *testing.T, s *server) *caller {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(s.data, "clouds.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	field := func(name string) string {
		_, rest, _ := strings.Cut(string(text), name+": ")
		line, _, _ := strings.Cut(rest, "\n")
		return strings.Trim(line, `"`)
	}
	c := &caller{s: s, http: &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}}
	r, err := c.http.Post("http://"+s.addr+"/v3/auth/tokens", "application/json", strings.NewReader(fmt.Sprintf(
		`{"auth":{"identity":{"methods":["password"],"password":{"user":{"name":%q,"domain":{"id":"default"},"password":%q}}},"scope":{"project":{"name":%q,"domain":{"id":"default"}}}}}`,
		field("username"), field("password"), field("project_name"))))
	if err != nil {
		t.Fatal(err)
	}
	r.Body.Close()
	if c.token = r.Header.Get("X-Subject-Token"); c.token == "" {
		t.Fatalf("sign in: %s", r.Status)
	}
	return c
}

// try makes one request; status 0 is a connection that broke, or was refused.
func (c *caller) try(method, path, contentType string, body io.Reader) (status int, answer []byte) {
	r, err := http.NewRequest(method, "http://"+c.s.addr+path, body)
	if err != nil {
		c.s.t.Error(err)
		return 0, nil
	}
	r.Header.Set("X-Auth-Token", c.token)
	r.Header.Set("Content-Type", contentType)
	return c.send(r)
}

func (c *caller) send(r *http.Request) (status int, answer []byte) {
	a, err := c.http.Do(r)
	if err != nil {
		return 0, nil
	}
	defer a.Body.Close()
	if answer, err = io.ReadAll(a.Body); err != nil {
		return 0, nil
	}
	return a.StatusCode, answer
}

// content is a file with its SHA-512.
type content struct {
	body []byte
	hash string
}

// disk makes a raw disk of n bytes.
func disk(n int) content {
	body := make([]byte, n)
	rand.Read(body[4096:])
	sum := sha512.Sum512(body)
	return content{body, hex.EncodeToString(sum[:])}
}

// kept is what a client was told about one image.
type kept struct {
	id, hash string
	made     bool // the record was acknowledged
	whole    bool // all bytes were acknowledged, or their import
	deleting bool // a delete was sent
	deleted  bool // and acknowledged
}

// use makes one image by one of the ways there are, and perhaps deletes it. A request that breaks is what the client makes of it: it is not sent again.
func (c *caller) use(k *kept, f, long content, source string) {
	at := "/v2/images/" + k.id
	status, _ := c.try("POST", "/v2/images", "application/json", strings.NewReader(fmt.Sprintf(`{"id":%q,"name":"k","disk_format":"raw","container_format":"bare"}`, k.id)))
	if k.made = status == http.StatusCreated; !k.made {
		return
	}
	way := mathrand.IntN(5)
	if k.hash = f.hash; mathrand.IntN(12) == 0 {
		way = 4
		k.hash = long.hash
		f = long
	}
	switch way {
	case 0:
		status, _ = c.try("PUT", at+"/file", "application/octet-stream", bytes.NewReader(f.body))
		k.whole = status == http.StatusNoContent
	case 1:
		if status, _ = c.try("PUT", at+"/stage", "application/octet-stream", bytes.NewReader(f.body)); status == http.StatusNoContent {
			status, _ = c.try("POST", at+"/import", "application/json", strings.NewReader(`{"method":{"name":"glance-direct"}}`))
			k.whole = status == http.StatusAccepted
		}
	case 2:
		from := []string{"/short", "/long", "/packed"}[mathrand.IntN(3)]
		if from == "/long" {
			k.hash = long.hash
		}
		status, _ = c.try("POST", at+"/import", "application/json", strings.NewReader(fmt.Sprintf(`{"method":{"name":"web-download","uri":%q}}`, source+from)))
		k.whole = status == http.StatusAccepted // the bytes are there, so no kill may end it
	default:
		k.whole = c.upload(at, f.body)
	}
	if mathrand.IntN(3) == 0 {
		k.deleting = true
		status, _ := c.try("DELETE", at, "", nil)
		k.deleted = status == http.StatusNoContent
	}
}

// upload sends a file in signed parts.
func (c *caller) upload(at string, file []byte) bool {
	status, answer := c.try("POST", at+"/uploads", "application/json", strings.NewReader(fmt.Sprintf(`{"size":%d}`, len(file))))
	type signed struct {
		Number, Size int
		Method, URL  string
		Headers      map[string]string
	}
	var up struct {
		ID       string
		PartSize int `json:"part_size"`
		Signed   []signed
	}
	if status != http.StatusCreated || json.Unmarshal(answer, &up) != nil {
		return false
	}
	for _, part := range up.Signed {
		body := file[(part.Number-1)*up.PartSize:][:part.Size]
		r, err := http.NewRequest(part.Method, part.URL, bytes.NewReader(body))
		if err != nil {
			c.s.t.Errorf("a signed request is none: %v", err)
			return false
		}
		for name, value := range part.Headers {
			r.Header.Set(name, value)
		}
		if status, _ := c.send(r); status != http.StatusOK {
			return false
		}
	}
	status, _ = c.try("POST", at+"/uploads/"+up.ID+"/complete", "", nil)
	return status == http.StatusAccepted
}

// slowSource serves /short and /long, of which parts can be fetched, and /packed, which unpacks to the short one and is fetched as a stream. It is so slow that imports are under way when the server dies.
func slowSource(t *testing.T, short, long content) (address string) {
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	z.Write(short.body)
	z.Close()
	serve := func(body []byte) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("ETag", `"1"`)
			http.ServeContent(w, r, "", time.Time{}, slow{bytes.NewReader(body)})
		}
	}
	mux := http.NewServeMux()
	mux.Handle("/short", serve(short.body))
	mux.Handle("/long", serve(long.body))
	mux.Handle("/packed", serve(packed.Bytes()))
	web := httptest.NewServer(mux)
	t.Cleanup(web.Close)
	return web.URL
}

// slow takes about 10 milliseconds for each 256 KiB.
type slow struct{ *bytes.Reader }

func (s slow) Read(p []byte) (int, error) {
	time.Sleep(time.Duration(mathrand.IntN(20)) * time.Millisecond)
	return s.Reader.Read(p[:min(len(p), 256<<10)])
}

// WriteTo hides the Reader's, which does not wait.
func (s slow) WriteTo(w io.Writer) (int64, error) { return io.Copy(w, struct{ io.Reader }{s}) }

func TestKillsLoseNothing(t *testing.T) {
	kills := 12
	if text := os.Getenv(killsVariable); text != "" {
		var err error
		if kills, err = strconv.Atoi(text); err != nil {
			t.Fatalf("%s: %v", killsVariable, err)
		}
	}
	file, long := disk(3<<20), disk(17<<20) // the long one goes in two parts
	web := slowSource(t, file, long)
	s := newServer(t, "--put-up-to", strconv.Itoa(1<<20), "--import-allow", hostOf(t, web))
	c := newCaller(t, s)

	var mu sync.Mutex
	var all []*kept
	var busy sync.WaitGroup
	var stop, rest atomic.Bool
	for range 6 {
		busy.Go(func() {
			for !stop.Load() {
				if rest.Load() {
					time.Sleep(10 * time.Millisecond)
					continue
				}
				k := &kept{id: images.NewID()}
				c.use(k, file, long, web)
				mu.Lock()
				all = append(all, k)
				mu.Unlock()
			}
		})
	}
	done := func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(all)
	}
	for range kills {
		// Somebody gets something done in each life, however slow the machine is.
		before := done()
		s.eventually("clients get something done", time.Minute, func() bool { return done() >= before+4 })
		time.Sleep(time.Duration(mathrand.IntN(500)) * time.Millisecond)
		rest.Store(true) // nobody hammers on a closed door
		s.kill()
		s.start()
		rest.Store(false)
	}
	stop.Store(true)
	busy.Wait()
	s.kill()
	time.Sleep(1100 * time.Millisecond) // the storage tells times in seconds, and what is as old as the host gets a grace
	s.start()

	count := map[string]int{}
	for _, k := range all {
		c.settled(t, k, count)
	}
	t.Logf("%d kills, %d images: %v", kills, len(all), count)

	// The books: a project without images uses nothing, and the disk holds nothing.
	for _, k := range all {
		if status, answer := c.try("DELETE", "/v2/images/"+k.id, "", nil); status != http.StatusNoContent && status != http.StatusNotFound {
			t.Errorf("DELETE of image %s: %d %s", k.id, status, answer)
		}
	}
	defer func() {
		if t.Failed() {
			t.Logf("the project uses %d, the disk holds %v", c.uses(), s.objects())
		}
	}()
	s.eventually("nothing is left", 2*time.Minute, func() bool { return c.uses() == 0 && len(s.objects()) == 0 })
}

// patience is how long no image at all comes to rest before something is stuck.
const patience = 90 * time.Second

// settled waits until an image has come to rest, and says whether it is as its client was told. Kills leave many imports, which are fetched one after the other, so it waits for as long
// as there are fewer and fewer.
func (c *caller) settled(t *testing.T, k *kept, count map[string]int) {
	t.Helper()
	var doc struct {
		Status string
		Hash   string `json:"os_hash_value"`
	}
	status, end, left := 0, time.Now().Add(patience), math.MaxInt
	var answer []byte
	for {
		if status, answer = c.try("GET", "/v2/images/"+k.id, "", nil); status == http.StatusOK {
			if err := json.Unmarshal(answer, &doc); err != nil {
				t.Fatal(err)
			}
		}
		if status == http.StatusNotFound || status == http.StatusOK && (doc.Status == "active" || doc.Status == "queued" || doc.Status == "uploading") {
			break
		}
		if time.Now().After(end) {
			n := c.underWay()
			if n >= left {
				break
			}
			left, end = n, time.Now().Add(patience)
		}
		time.Sleep(50 * time.Millisecond)
	}
	switch {
	case status == http.StatusNotFound && (k.deleting || !k.made):
		count["gone"]++
	case status == http.StatusNotFound:
		t.Errorf("LOST: image %s was acknowledged, and is not there", k.id)
	case status != http.StatusOK:
		t.Errorf("image %s: status %d", k.id, status)
	case k.deleted:
		t.Errorf("BACK: image %s was deleted, and is %s", k.id, doc.Status)
	case doc.Status == "active" && doc.Hash != k.hash:
		t.Errorf("WRONG: image %s has other bytes", k.id)
	case doc.Status == "active":
		count["active"]++
	case k.whole:
		t.Errorf("LOST: the bytes of image %s were acknowledged, and it is %s: %s", k.id, doc.Status, answer)
	case doc.Status == "queued", doc.Status == "uploading":
		count["never finished"]++
	default:
		t.Errorf("STUCK: image %s is %s", k.id, doc.Status)
	}
}

// underWay is how many images are importing.
func (c *caller) underWay() int {
	status, answer := c.try("GET", "/v2/images?status=importing&limit=1000", "", nil)
	var doc struct{ Images []struct{ ID string } }
	if err := json.Unmarshal(answer, &doc); status != http.StatusOK || err != nil {
		c.s.t.Fatalf("the images that are importing: %d %s", status, answer)
	}
	return len(doc.Images)
}

// uses is the sum of the figures of what the project uses.
func (c *caller) uses() (sum int) {
	_, answer := c.try("GET", "/v2/info/usage", "", nil)
	var doc struct {
		Usage map[string]struct{ Usage int }
	}
	if err := json.Unmarshal(answer, &doc); err != nil {
		c.s.t.Fatalf("the usage: %v: %s", err, answer)
	}
	for _, figure := range doc.Usage {
		sum += figure.Usage
	}
	return sum
}
