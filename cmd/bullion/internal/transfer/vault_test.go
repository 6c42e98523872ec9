package transfer

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gophercloud/gophercloud/v2"

	"bullion/cmd/bullion/internal/glance"
)

const (
	imageID  = "11111111-2222-4333-8444-555555555555"
	uploadID = "66666666-7777-4888-9999-000000000000"
	token    = "a-secret-token"
)

// vault is an image service and its storage, on real sockets, that can fail in the ways that real ones do.
type vault struct {
	t       *testing.T
	size    int64
	part    int64
	mode    string
	api, s3 *httptest.Server

	// What goes wrong, asked for before each request; nil is nothing. It returns true when it answered by itself.
	onPart func(w http.ResponseWriter, r *http.Request, n, attempt int) bool
	onAPI  func(w http.ResponseWriter, r *http.Request) bool

	mu        sync.Mutex
	state     string
	parts     map[int][]byte
	attempts  map[int]int
	signed    map[int]int // how often
	revoked   map[string]bool
	completes int
	stages    []glance.Upload // what an upload that is received shows, one after another
	tokens    []string        // that reached the storage
}

func newVault(t *testing.T, size, part int64) *vault {
	v := &vault{t: t, size: size, part: part, mode: "multipart", state: "open",
		parts: map[int][]byte{}, attempts: map[int]int{}, signed: map[int]int{}, revoked: map[string]bool{}}
	if part >= size {
		v.mode, v.part = "put", size
	}
	mux := http.NewServeMux()
	base := "/v2/images/" + imageID + "/uploads/" + uploadID
	mux.HandleFunc("GET "+base, func(w http.ResponseWriter, r *http.Request) { v.answer(w, 200, nil) })
	mux.HandleFunc("DELETE "+base, func(w http.ResponseWriter, r *http.Request) {
		v.mu.Lock()
		defer v.mu.Unlock()
		v.state, v.parts = "aborted", map[int][]byte{}
		w.WriteHeader(204)
	})
	mux.HandleFunc("POST "+base+"/parts", func(w http.ResponseWriter, r *http.Request) {
		var body struct{ Numbers []int }
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil || len(body.Numbers) > 100 {
			t.Errorf("signing asks for %d parts: %v", len(body.Numbers), err)
		}
		v.answer(w, 200, body.Numbers)
	})
	mux.HandleFunc("POST "+base+"/complete", func(w http.ResponseWriter, r *http.Request) {
		v.mu.Lock()
		v.completes++
		missing := 0
		for n := 1; n <= v.count(); n++ {
			if int64(len(v.parts[n])) != v.length(n) {
				missing++
			}
		}
		if missing == 0 && v.state == "open" {
			v.state = "received"
		}
		v.mu.Unlock()
		if missing > 0 {
			deny(w, 409, fmt.Sprintf("Upload %s lacks %d parts.", uploadID, missing))
			return
		}
		v.answer(w, 202, nil)
	})
	v.api = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Auth-Token") != token {
			t.Errorf("%s %s has token %q", r.Method, r.URL.Path, r.Header.Get("X-Auth-Token"))
		}
		if v.onAPI == nil || !v.onAPI(w, r) {
			mux.ServeHTTP(w, r)
		}
	}))
	v.s3 = httptest.NewServer(http.HandlerFunc(v.store))
	t.Cleanup(v.api.Close)
	t.Cleanup(v.s3.Close)
	return v
}

func deny(w http.ResponseWriter, status int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"message": message, "code": fmt.Sprint(status), "title": http.StatusText(status)})
}

func (v *vault) count() int { return int((v.size + v.part - 1) / v.part) }

func (v *vault) length(n int) int64 { return min(v.part, v.size-int64(n-1)*v.part) }

// answer writes the upload's document with those parts signed.
func (v *vault) answer(w http.ResponseWriter, status int, sign []int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	doc := v.document(sign)
	if v.state == "received" && len(v.stages) > 0 {
		next := v.stages[0]
		v.stages = v.stages[1:]
		doc.State, doc.Validation, doc.Rejection = next.State, next.Validation, next.Rejection
		v.state = next.State
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(doc)
}

func (v *vault) document(sign []int) glance.Upload {
	doc := glance.Upload{ID: uploadID, ImageID: imageID, State: v.state, Mode: v.mode, Size: v.size, PartSize: v.part, Parts: v.count()}
	for n := range v.parts {
		doc.Have = append(doc.Have, glance.Part{Number: n, Size: int64(len(v.parts[n]))})
	}
	for _, n := range sign {
		v.signed[n]++
		doc.Signed = append(doc.Signed, glance.SignedPart{Number: n, Size: v.length(n), Method: "PUT",
			URL:       fmt.Sprintf("%s/bucket/key?partNumber=%d&X-Amz-Signature=%d.%d", v.s3.URL, n, n, v.signed[n]),
			Headers:   map[string]string{"Content-Length": fmt.Sprint(v.length(n)), "X-Test": "kept"},
			ExpiresAt: time.Now().Add(time.Hour)})
	}
	return doc
}

// opened is the upload as its opening showed it: with the first parts signed.
func (v *vault) opened(signed int) *glance.Upload {
	v.mu.Lock()
	defer v.mu.Unlock()
	var numbers []int
	for n := 1; n <= min(signed, v.count()); n++ {
		numbers = append(numbers, n)
	}
	doc := v.document(numbers)
	return &doc
}

// store is the storage.
func (v *vault) store(w http.ResponseWriter, r *http.Request) {
	n, _ := strconv.Atoi(r.URL.Query().Get("partNumber"))
	v.mu.Lock()
	v.attempts[n]++
	attempt := v.attempts[n]
	if t := r.Header.Get("X-Auth-Token"); t != "" {
		v.tokens = append(v.tokens, t)
	}
	revoked := v.revoked[r.URL.Query().Get("X-Amz-Signature")]
	v.mu.Unlock()
	if v.onPart != nil && v.onPart(w, r, n, attempt) {
		return
	}
	switch {
	case revoked:
		xmlError(w, 403, "AccessDenied", "Request has expired")
		return
	case r.ContentLength != v.length(n) || r.Header.Get("X-Test") != "kept":
		xmlError(w, 403, "SignatureDoesNotMatch", fmt.Sprintf("Content-Length is %d.", r.ContentLength))
		return
	}
	v.mu.Lock()
	taken := v.mode == "put" && len(v.parts[n]) > 0
	v.mu.Unlock()
	if taken {
		xmlError(w, 412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold")
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // a cut connection stores nothing
	}
	v.keep(n, body)
}

func (v *vault) keep(n int, body []byte) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.parts[n] = body
}

func xmlError(w http.ResponseWriter, status int, code, message string) {
	w.WriteHeader(status)
	fmt.Fprintf(w, `<?xml version="1.0" encoding="UTF-8"?><Error><Code>%s</Code><Message>%s</Message></Error>`, code, message)
}

// cut ends the connection without an answer.
func cut(w http.ResponseWriter) bool {
	conn, _, err := w.(http.Hijacker).Hijack()
	if err == nil {
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		conn.Close()
	}
	return true
}

func (v *vault) bytes() []byte {
	v.mu.Lock()
	defer v.mu.Unlock()
	var all []byte
	for n := 1; n <= v.count(); n++ {
		all = append(all, v.parts[n]...)
	}
	return all
}

// tried is how often part n was sent, signings how often it was signed, completed how often the upload was completed. Workers that were called off
// may still be at it, so all are read under the lock.
func (v *vault) tried(n int) int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.attempts[n]
}

func (v *vault) signings(n int) int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.signed[n]
}

func (v *vault) completed() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.completes
}

func (v *vault) attempted() []int {
	v.mu.Lock()
	defer v.mu.Unlock()
	var numbers []int
	for n := range v.attempts {
		numbers = append(numbers, n)
	}
	slices.Sort(numbers)
	return numbers
}

func (v *vault) client() *glance.Client {
	return client(v.t, v.api.URL)
}

func client(t *testing.T, api string) *glance.Client {
	t.Helper()
	provider := &gophercloud.ProviderClient{HTTPClient: http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	provider.SetToken(token)
	data := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 8}}
	t.Cleanup(data.CloseIdleConnections)
	return glance.New(&gophercloud.ServiceClient{ProviderClient: provider, Endpoint: api + "/", ResourceBase: api + "/v2/"}, data)
}

// sender sends a new file of random bytes to the vault. Patience is long enough for every failure that should be waited out.
func (v *vault) sender(path string) *Sender {
	v.t.Helper()
	source, err := OpenSource(path)
	if err != nil {
		v.t.Fatalf("open the source: %v", err)
	}
	v.t.Cleanup(func() { source.Close() })
	return &Sender{API: v.client(), Source: source, Patience: Patience{For: time.Minute}, Progress: new(Progress)}
}

// file makes a file of size random bytes.
func file(t *testing.T, size int64) (path string, content []byte) {
	t.Helper()
	content = make([]byte, size)
	chacha := rand.NewChaCha8([32]byte{byte(size), byte(size >> 8), byte(size >> 16)})
	if _, err := chacha.Read(content); err != nil {
		t.Fatalf("make random bytes: %v", err)
	}
	path = filepath.Join(t.TempDir(), "disk.raw")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatalf("write the file: %v", err)
	}
	return path, content
}

func (v *vault) mustHold(content []byte) {
	v.t.Helper()
	if got := v.bytes(); !bytes.Equal(got, content) {
		v.t.Errorf("the vault holds %d bytes that differ from the %d of the file", len(got), len(content))
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.tokens) > 0 {
		v.t.Errorf("the storage was sent the token %q", v.tokens[0])
	}
}

func contains(s, part string) bool { return strings.Contains(s, part) }
