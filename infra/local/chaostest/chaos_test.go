package chaostest

import (
	"bytes"
	"context"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"bullion/infra/local/harness"
	"bullion/internal/diskimage"
	"bullion/internal/dynamostore/dynamotest"
	"bullion/internal/images"
	"bullion/internal/scrub"
	"bullion/internal/validation"
)

// storms has the storm last longer: go test ./chaostest -lives 60.
var storms = flag.Int("lives", 6, "images that live in the storm")

// chaosCall is one request of a function to DynamoDB, S3, Lambda or EventBridge.
type chaosCall struct {
	function, service, operation string
	n                            int // of the function, counted from 1
}

func (c chaosCall) String() string {
	return fmt.Sprintf("call %d of %s, %s %s", c.n, c.function, c.service, c.operation)
}

// reads says whether the call changes nothing.
func (c chaosCall) reads() bool {
	return slices.Contains([]string{"GET", "HEAD", "GetItem", "Query"}, c.operation)
}

// fate is what becomes of a call.
type fate struct {
	kill   bool              // the function dies before it
	table  dynamotest.Action // of a call to DynamoDB
	refuse bool              // the service answers 503
	wait   time.Duration     // before it goes on
}

// chaos stands between the functions and what they call.
type chaos struct {
	*cloud
	tb testing.TB // cloud has it too, but only when it is deployed

	mu      sync.Mutex
	counts  map[string]int
	decide  func(chaosCall) fate      // nil lets everything pass
	dead    map[string]bool           // functions that are not processes and were killed: nothing of theirs gets through
	events  []func() error            // each handles one event of the bucket; those since the last reset
	bucket  func(handle func() error) // what becomes of an event of the bucket; nil: it is handled at once
	history []chaosCall               // since begin or next
}

// deployChaos is deploy with chaos in between, and parameters of the template.
func deployChaos(t *testing.T, parameters map[string]string) *chaos {
	t.Helper()
	c := &chaos{tb: t, counts: map[string]int{}, dead: map[string]bool{}}
	c.cloud = deploy(t, func(config *harness.Config) {
		config.Between, config.Parameters = c.between, parameters
		config.Deliver = func(handle func() error) {
			c.mu.Lock()
			c.events = append(c.events, handle)
			deliver := c.bucket
			c.mu.Unlock()
			if deliver == nil {
				_ = handle() // it comes again when everything settles
				return
			}
			deliver(handle)
		}
		config.GivenUp = func(string, error) {} // on AWS it waits in a queue; here settle brings it again
	})
	return c
}

// begin forgets what was and lets decide choose the fate of each call from now on; nil lets everything pass.
func (c *chaos) begin(decide func(chaosCall) fate) {
	c.next(decide)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.events = nil
}

// next is begin, but what the bucket told is still to come again.
func (c *chaos) next(decide func(chaosCall) fate) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts, c.decide, c.history, c.dead = map[string]int{}, decide, nil, map[string]bool{}
}

// calm lets everything pass from now on.
func (c *chaos) calm() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.decide, c.bucket, c.dead = nil, nil, map[string]bool{}
}

// killing kills the function once, before the call of that number.
func killing(at chaosCall) func(chaosCall) fate {
	done := false
	return func(c chaosCall) fate {
		if done || c.function != at.function || c.n != at.n {
			return fate{}
		}
		done = true
		return fate{kill: true}
	}
}

// made are the calls since begin.
func (c *chaos) made() []chaosCall {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.history)
}

func (c *chaos) between(function, to string) string {
	u, err := url.Parse(to)
	ok(c.tb, err)
	forward := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		host := r.In.Host // stays as it was signed
		r.SetURL(u)
		r.Out.Host = host
	}, FlushInterval: -1, ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) }}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { c.pass(function, to, forward, w, r) }))
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	c.tb.Cleanup(s.Close)
	return s.URL
}

func (c *chaos) pass(function, to string, forward http.Handler, w http.ResponseWriter, r *http.Request) {
	call := chaosCall{function: function, service: "s3", operation: r.Method}
	target, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	switch {
	case strings.HasPrefix(target, "DynamoDB"):
		call.service, call.operation = "dynamodb", operation
	case target == "AWSEvents":
		call.service, call.operation = "events", operation
	case target != "":
		forward.ServeHTTP(w, r) // keys, users
		return
	case strings.HasPrefix(r.URL.Path, "/2015-03-31/"):
		call.service, call.operation = "lambda", "Invoke"
	}
	c.mu.Lock()
	if call.operation != "BatchGetItem" { // of revoked tokens, by each new process and now and then: it would count differently in each life
		c.counts[function]++
		call.n = c.counts[function]
		c.history = append(c.history, call)
	}
	f := fate{}
	if c.decide != nil {
		f = c.decide(call)
	}
	if f.kill {
		c.dead[function] = true
	}
	isDead := c.dead[function] && c.Functions[function] == nil
	c.mu.Unlock()
	switch {
	case isDead:
		http.Error(w, `{"__type":"AccessDeniedException"}`, http.StatusForbidden) // what nobody tries again
	case f.kill:
		c.Functions[function].Kill()
		panic(http.ErrAbortHandler)
	case f.refuse:
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprint(w, `<?xml version="1.0" encoding="UTF-8"?><Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>`)
	default:
		select {
		case <-time.After(f.wait):
		case <-r.Context().Done():
		}
		if call.service == "dynamodb" && f.table != dynamotest.Forward {
			(&dynamotest.Faults{Endpoint: to, Choose: func(string, int) dynamotest.Action { return f.table }}).ServeHTTP(w, r)
			return
		}
		forward.ServeHTTP(w, r)
	}
}

// client is a stubborn user: it does again what was answered with 5xx, and goes on from what is there.
type client struct {
	*chaos
	t     *testing.T
	token string
}

// do makes a request until it is answered by something other than 5xx. The status must be one of want.
func (c *client) do(method, path string, body any, want ...int) (int, map[string]any) {
	c.t.Helper()
	text, err := json.Marshal(body)
	ok(c.t, err)
	var status int
	var said []byte
	for range 20 {
		r, err := http.NewRequest(method, c.URL+path, bytes.NewReader(text))
		ok(c.t, err)
		r.Header.Set("X-Auth-Token", c.token)
		r.Header.Set("Content-Type", "application/json")
		res, err := http.DefaultClient.Do(r)
		ok(c.t, err)
		said, err = io.ReadAll(res.Body)
		ok(c.t, err)
		res.Body.Close()
		if status = res.StatusCode; status < 500 {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if !slices.Contains(want, status) {
		c.t.Errorf("%s %s: got %d, want %v\n%s", method, path, status, want, said)
	}
	var doc map[string]any
	_ = json.Unmarshal(said, &doc) // not every answer is JSON
	return status, doc
}

// create makes an image and uploads its bytes to the end.
func (c *client) create(id string, content []byte) {
	c.t.Helper()
	c.do("POST", "/v2/images", map[string]any{"id": id, "name": "chaos", "disk_format": "raw", "container_format": "bare"}, 201, 409)
	c.do("POST", "/v2/images/"+id+"/members", map[string]string{"member": "0123456789abcdef0123456789abcdef"}, 200, 409)
	c.do("PUT", "/v2/images/"+id+"/tags/tried", nil, 204)
	sum := sha512.Sum512(content)
	status, upload := c.do("POST", "/v2/images/"+id+"/uploads", map[string]any{"size": len(content), "sha512": hex.EncodeToString(sum[:])}, 201, 409)
	path := "/v2/images/" + id + "/uploads/"
	if status == http.StatusConflict { // the answer was lost
		_, image := c.do("GET", "/v2/images/"+id, nil, 200)
		path += fmt.Sprint(image["bullion_upload"])
		_, upload = c.do("POST", path+"/parts", map[string]any{"numbers": []int{1}}, 200)
	} else {
		path += fmt.Sprint(upload["id"])
	}
	parts, _ := upload["parts"].(float64)
	size, _ := upload["part_size"].(float64)
	for n := range int(parts) {
		_, signed := c.do("POST", path+"/parts", map[string]any{"numbers": []int{n + 1}}, 200)
		list, _ := signed["signed"].([]any)
		if len(list) != 1 {
			c.t.Fatalf("part %d of %s is not signed: %v", n+1, path, signed)
		}
		request, _ := list[0].(map[string]any)
		from := n * int(size)
		c.send(request, content[from:min(from+int(size), len(content))])
	}
	c.do("POST", path+"/complete", nil, 202)
}

// send makes a signed request to S3.
func (c *client) send(signed map[string]any, body []byte) {
	c.t.Helper()
	r, err := http.NewRequest(fmt.Sprint(signed["method"]), c.direct(fmt.Sprint(signed["url"])), bytes.NewReader(body))
	ok(c.t, err)
	headers, _ := signed["headers"].(map[string]any)
	for name, value := range headers {
		r.Header.Set(name, fmt.Sprint(value))
	}
	u, err := url.Parse(fmt.Sprint(signed["url"]))
	ok(c.t, err)
	r.Host = u.Host
	res, err := http.DefaultClient.Do(r)
	ok(c.t, err)
	defer res.Body.Close()
	if text, _ := io.ReadAll(res.Body); res.StatusCode != http.StatusOK && res.StatusCode != http.StatusPreconditionFailed {
		c.t.Errorf("PUT to S3: %s %s", res.Status, text)
	}
}

// fetch makes an image and has its bytes fetched. Where the importer died, its lease ends, and scrub would start another.
func (c *client) fetch(id, uri string) {
	c.t.Helper()
	c.do("POST", "/v2/images", map[string]any{"id": id, "name": "chaos", "disk_format": "raw", "container_format": "bare"}, 201, 409)
	c.do("POST", "/v2/images/"+id+"/import", map[string]any{"method": map[string]string{"name": "web-download", "uri": uri}}, 202, 409)
	store := c.service(c.engines.DynamoDB, c.S3.Endpoint(), time.Now).Store
	for range 3 {
		c.Wait()
		again := false
		_, err := images.Change(c.t.Context(), store, id, images.Actor{}, nil, func(i *images.Image) error {
			if again = i.Fetching(); !again {
				return images.ErrUnchanged
			}
			i.Import.LeaseUntil = time.Now().UTC().Truncate(time.Microsecond)
			return nil
		})
		ok(c.t, err)
		if !again {
			return
		}
		ok(c.t, c.Event("importer", fmt.Appendf(nil, `{"image":%q}`, id)))
	}
}

// direct is a signed URL by which the request does not count as one of the function that signed it.
func (c *client) direct(signed string) string {
	u, err := url.Parse(signed)
	ok(c.t, err)
	s3, err := url.Parse(c.S3.Endpoint())
	ok(c.t, err)
	u.Host = s3.Host
	return u.String()
}

// settle brings everything to rest: every event of the bucket comes again, twice and the last ones first, and scrub has time to do all that it will ever do, and
// to tell of it.
func (c *chaos) settle(ctx context.Context) error {
	c.calm()
	c.Wait()
	c.mu.Lock()
	events := c.events
	c.events = nil
	c.mu.Unlock()
	slices.Reverse(events)
	for range 2 {
		for _, handle := range events {
			if err := handle(); err != nil {
				return err
			}
		}
	}
	// Leases end, then the grace of what has no record, then open uploads, then what that began.
	for _, later := range []time.Duration{3 * time.Minute, 3 * time.Hour, 8 * 24 * time.Hour, 9 * 24 * time.Hour} {
		if err := c.rounds(ctx, c.engines.DynamoDB, c.S3.Endpoint(), later); err != nil {
			return err
		}
	}
	return c.Event("scrub", []byte(`{}`))
}

// rounds is what scrub does that much later.
func (c *chaos) rounds(ctx context.Context, dynamoDB, s3 string, later time.Duration) error {
	now := func() time.Time { return time.Now().Add(later) }
	service := c.service(dynamoDB, s3, now)
	validator := &validation.Validator{Images: service, Log: service.Log, Inspection: diskimage.Options{Mode: diskimage.Lenient}, NewID: images.NewID, Now: now}
	s := &scrub.Scrubber{Images: service, Validator: validator, Log: service.Log, Now: now}
	for more := true; more; {
		var err error
		if _, more, err = s.Due(ctx); err != nil {
			return err
		}
	}
	if _, err := s.Adopt(ctx); err != nil {
		return err
	}
	_, err := s.Parts(ctx)
	return err
}

// balanced settles and compares; it says whether all is well.
func (c *chaos) balanced(t *testing.T, after string) bool {
	t.Helper()
	if err := c.settle(t.Context()); err != nil {
		t.Errorf("after %s: %v", after, err)
		return false
	}
	wrong := c.books(t.Context())
	for _, w := range wrong {
		t.Errorf("after %s: %s", after, w)
	}
	return len(wrong) == 0
}

// isActive says whether the image is active with that content.
func (c *client) isActive(id string, content []byte, after string) {
	c.t.Helper()
	_, image := c.do("GET", "/v2/images/"+id, nil, 200)
	sum := sha512.Sum512(content)
	if image["status"] != "active" || image["os_hash_value"] != hex.EncodeToString(sum[:]) || image["size"] != float64(len(content)) {
		c.t.Errorf("after %s: image %s is %v with %v bytes, want active with %d", after, id, image["status"], image["size"], len(content))
	}
}

// content is that of an image, another one for each n.
func content(size, n int) []byte {
	b := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{byte(n), byte(n >> 8), 1}).Read(b) // it does not fail
	return b
}

const small, large = 300 << 10, 64<<20 + 1 // bytes of an upload that is one PUT, and of one in parts

// life is an image that a test brings up and what happened meanwhile.
type life struct {
	id, after string
	body      []byte
}

// atOnce bounds how many lives come to rest together, since their bytes stay until then.
const atOnce = 16

// TestFunctionsKilledBeforeAnyCallLeaveEveryImageRight has a function die before each call that it makes to table, bucket, bus or another function, and looks at the
// books when everything has come to rest. Where a life is dear, only the deaths before a call that changes something are tried: what other functions find after a death
// is the same from one such call to the next.
func TestFunctionsKilledBeforeAnyCallLeaveEveryImageRight(t *testing.T) {
	bodies := func(size int) func(n int) []byte {
		if size < large {
			return func(n int) []byte { return content(size, n) }
		}
		same := content(size, 0)
		return func(int) []byte { return same }
	}
	for _, test := range []struct {
		name   string
		body   func(n int) []byte
		source string   // "" for an upload, else whether the source has "ranges" or "none"
		but    []string // functions whose calls another row has
		dear   bool
	}{
		{"a file that is one PUT", bodies(small), "", nil, false},
		{"a file in parts", bodies(large), "", []string{"images"}, true},
		{"an import in parts", bodies(17 << 20), "ranges", []string{"images"}, true},
		{"an import as a stream", bodies(small), "none", []string{"images", "uploads"}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			source := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				n, err := strconv.Atoi(strings.Trim(r.URL.Path, "/"))
				switch body := test.body(n); {
				case err != nil:
					http.NotFound(w, r)
				case test.source == "ranges":
					w.Header().Set("ETag", fmt.Sprintf(`"%d"`, n))
					http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
				default:
					_, _ = w.Write(body) // the importer may be gone
				}
			}))
			defer source.Close()
			c := deployChaos(t, map[string]string{"ImportAllow": strings.TrimPrefix(source.URL, "http://")})
			user := &client{chaos: c, t: t, token: c.signIn("bob", "default")}
			killed, wanted := 0, 0
			bring := func(n int, decide func(chaosCall) fate, after string) (life, []chaosCall) {
				l := life{images.NewID(), after, test.body(n)}
				c.next(decide)
				if test.source == "" {
					user.create(l.id, l.body)
				} else {
					user.fetch(l.id, fmt.Sprintf("%s/%d", source.URL, n))
				}
				c.Wait()
				return l, c.made()
			}
			remove := func(l life, decide func(chaosCall) fate) []chaosCall {
				c.next(decide)
				user.do("DELETE", "/v2/images/"+l.id, nil, 204, 404)
				return c.made()
			}
			rest := func(lives []life) bool {
				was := ""
				for _, l := range lives {
					was += "\n" + l.id + ": " + l.after
				}
				return c.balanced(t, "these lives:"+was+"\n")
			}
			// A life without accidents shows which calls there are.
			first, making := bring(0, nil, "a life without accidents")
			user.isActive(first.id, first.body, first.after)
			deleting := remove(first, nil)
			if !rest([]life{first}) {
				return
			}
			t.Logf("%d calls to bring an image up, %d to delete it: %v", len(making), len(deleting), making)
			making = slices.DeleteFunc(making, func(at chaosCall) bool { return slices.Contains(test.but, at.function) || test.dear && at.reads() })
			if len(test.but) > 0 {
				deleting = nil
			}
			for begin := 0; begin < len(making); begin += atOnce {
				var lives []life
				for n, at := range making[begin:min(begin+atOnce, len(making))] {
					l, made := bring(begin+n+1, killing(at), "a death before "+at.String())
					killed, wanted = killed+count(made, at), wanted+1
					lives = append(lives, l)
				}
				if !rest(lives) {
					return
				}
				for _, l := range lives {
					user.isActive(l.id, l.body, l.after)
					if len(deleting) == 0 {
						remove(l, nil)
						continue
					}
					at := deleting[0]
					deleting = deleting[1:]
					killed, wanted = killed+count(remove(l, killing(at)), at), wanted+1
				}
				if !rest(lives) {
					return
				}
				for _, l := range lives {
					user.do("GET", "/v2/images/"+l.id, nil, 404)
				}
			}
			if len(deleting) > 0 || killed < wanted*3/4 {
				t.Errorf("%d functions were killed, want %d; before %v none was", killed, wanted, deleting)
			}
			t.Logf("%d functions were killed in %d lives", killed, len(making))
		})
	}
}

// count is 1 when the call was made.
func count(made []chaosCall, at chaosCall) int {
	if slices.ContainsFunc(made, func(c chaosCall) bool { return c.function == at.function && c.n == at.n }) {
		return 1
	}
	return 0
}

// TestScrubKilledBeforeAnyCallIsFinishedByTheNext lets scrub find what others left half done, and die over it. It runs in this process, since its clock goes
// ahead; what it sends after its death is refused, which for table and bucket is the same as an end of the process.
func TestScrubKilledBeforeAnyCallIsFinishedByTheNext(t *testing.T) {
	c := deployChaos(t, nil)
	user := &client{chaos: c, t: t, token: c.signIn("bob", "default")}
	const here = "scrub in this process"
	dynamoDB, s3 := c.between(here, c.engines.DynamoDB), c.between(here, c.S3.Endpoint())
	neverDelivered := func(func() error) {}
	for _, test := range []struct {
		name  string
		leave func(n int) (id string, body []byte)
		later time.Duration
		ends  string
	}{
		{"an event that never came", func(n int) (string, []byte) {
			id, body := images.NewID(), content(small, n)
			c.bucket = neverDelivered
			user.create(id, body)
			return id, body
		}, 3 * time.Hour, "active"},
		{"a validation that died", func(n int) (string, []byte) {
			id, body := images.NewID(), content(small, n)
			c.begin(killing(chaosCall{function: "validate", n: 5}))
			user.create(id, body)
			return id, body
		}, 3 * time.Hour, "active"},
		{"a delete that died", func(n int) (string, []byte) {
			id, body := images.NewID(), content(small, n)
			user.create(id, body)
			c.Wait()
			c.begin(func(call chaosCall) fate { return fate{kill: call.function == "uploads" && call.service == "s3"} })
			r, err := http.NewRequest("DELETE", c.URL+"/v2/images/"+id, nil)
			ok(t, err)
			r.Header.Set("X-Auth-Token", user.token)
			res, err := http.DefaultClient.Do(r)
			ok(t, err)
			res.Body.Close()
			return id, body
		}, 3 * time.Hour, ""},
		{"an upload that nobody went on with", func(n int) (string, []byte) {
			id, body := images.NewID(), content(small, n)
			user.do("POST", "/v2/images", map[string]any{"id": id, "name": "chaos", "disk_format": "raw", "container_format": "bare"}, 201)
			user.do("POST", "/v2/images/"+id+"/uploads", map[string]any{"size": large}, 201)
			return id, body
		}, 8 * 24 * time.Hour, "queued"},
	} {
		t.Run(test.name, func(t *testing.T) {
			user.t = t
			round := func(n int, decide func(chaosCall) fate) []chaosCall {
				c.begin(nil)
				id, body := test.leave(n)
				c.Wait()
				c.begin(decide)
				ctx, die := context.WithCancel(t.Context())
				defer die()
				err := c.rounds(ctx, dynamoDB, s3, test.later)
				made := c.made()
				if decide == nil && err != nil {
					t.Errorf("scrub: %v", err)
				}
				what := "scrub that lives"
				if decide != nil {
					what = fmt.Sprintf("scrub that died before call %d", n)
				}
				if !c.balanced(t, what) {
					return nil
				}
				switch test.ends {
				case "active":
					user.isActive(id, body, what)
				case "":
					user.do("GET", "/v2/images/"+id, nil, 404)
				default:
					if _, image := user.do("GET", "/v2/images/"+id, nil, 200); image["status"] != test.ends {
						t.Errorf("after %s the image is %v, want %s", what, image["status"], test.ends)
					}
				}
				user.do("DELETE", "/v2/images/"+id, nil, 204, 404)
				return made
			}
			calls := round(0, nil)
			if len(calls) < 5 {
				t.Fatalf("scrub made only the calls %v", calls)
			}
			for _, at := range calls {
				if round(at.n, killing(at)) == nil {
					return
				}
			}
		})
	}
}

// TestAStormOfFaultsAndLostEventsLeavesEveryImageRight has DynamoDB throttle, fail, lose answers and refuse transactions, S3 answer 503 and slowly, and events
// come twice, late, out of order or never, while several images live at once.
func TestAStormOfFaultsAndLostEventsLeavesEveryImageRight(t *testing.T) {
	c := deployChaos(t, nil)
	token := c.signIn("bob", "default")
	random := rand.New(rand.NewPCG(1, 2))
	faults := []dynamotest.Action{dynamotest.Throttle, dynamotest.Throttling, dynamotest.InternalError, dynamotest.LoseAnswer, dynamotest.Disconnect,
		dynamotest.DisconnectLate, dynamotest.Conflict, dynamotest.Partial}
	met := map[string]int{}
	c.begin(func(call chaosCall) (f fate) { // with the lock held
		switch {
		case random.IntN(5) > 0:
		case call.service == "dynamodb":
			f.table = faults[random.IntN(len(faults))]
			met[fmt.Sprint("dynamodb fault ", int(f.table))]++
		case random.IntN(2) == 0:
			f.refuse = true
			met[call.service+" refuses"]++
		default:
			f.wait = time.Duration(random.IntN(800)) * time.Millisecond
			met[call.service+" is slow"]++
		}
		return f
	})
	var late []func() error
	c.bucket = func(handle func() error) {
		c.mu.Lock()
		n := random.IntN(4)
		met[fmt.Sprint("event ", n)]++
		if n == 2 {
			late = append(late, handle)
		}
		c.mu.Unlock()
		switch n {
		case 0: // as it should
			_ = handle() // an event that is given up comes again when everything settles
		case 1: // twice at once
			second := make(chan error)
			go func() { second <- handle() }()
			_, _ = handle(), <-second
		} // 2: late; 3: never
	}
	ids := make([]string, *storms)
	t.Run("lives", func(t *testing.T) {
		for n := range ids {
			t.Run(fmt.Sprint(n), func(t *testing.T) {
				t.Parallel()
				user := &client{chaos: c, t: t, token: token}
				ids[n] = images.NewID()
				user.create(ids[n], content(small, n))
				if n%3 == 2 {
					user.do("DELETE", "/v2/images/"+ids[n], nil, 204, 404)
				}
			})
		}
	})
	c.Wait()
	for _, handle := range slices.Backward(late) {
		_ = handle() // it comes again when everything settles
	}
	t.Logf("what was met: %v", met)
	if !c.balanced(t, "the storm") {
		return
	}
	user := &client{chaos: c, t: t, token: token}
	for n, id := range ids {
		if n%3 == 2 {
			user.do("GET", "/v2/images/"+id, nil, 404)
		} else {
			user.isActive(id, content(small, n), "the storm")
		}
	}
}
