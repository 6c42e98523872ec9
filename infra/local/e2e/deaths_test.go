package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"bullion/internal/images"
	"bullion/internal/sqlitestore"
)

// imported begins the import of a raw disk from an address, and returns the image's id.
func (c *caller) imported(source string) string {
	c.s.t.Helper()
	id := images.NewID()
	if status, said := c.try("POST", "/v2/images", "application/json", strings.NewReader(fmt.Sprintf(`{"id":%q,"name":"k","disk_format":"raw","container_format":"bare"}`, id))); status != http.StatusCreated {
		c.s.t.Fatalf("create: %d %s", status, said)
	}
	if status, said := c.try("POST", "/v2/images/"+id+"/import", "application/json", strings.NewReader(fmt.Sprintf(`{"method":{"name":"web-download","uri":%q}}`, source))); status != http.StatusAccepted {
		c.s.t.Fatalf("import: %d %s", status, said)
	}
	return id
}

// image is what the API says of one.
func (c *caller) image(id string) (doc struct {
	Status string
	Hash   string `json:"os_hash_value"`
}) {
	c.s.t.Helper()
	status, said := c.try("GET", "/v2/images/"+id, "", nil)
	if err := json.Unmarshal(said, &doc); status != http.StatusOK || err != nil {
		c.s.t.Fatalf("image %s: %d %s", id, status, said)
	}
	return doc
}

// record changes the record of an image of a server that is not running, and returns it.
func (s *server) record(id string, edit func(*images.Image) error) *images.Image {
	s.t.Helper()
	ctx := context.Background()
	store, err := sqlitestore.Open(ctx, filepath.Join(s.data, "bullion.db"))
	if err != nil {
		s.t.Fatal(err)
	}
	defer store.Close()
	i, err := images.Change(ctx, store, id, images.Actor{}, nil, edit)
	if err != nil {
		s.t.Fatal(err)
	}
	return i
}

func hostOf(t *testing.T, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return u.Host
}

func TestAnImportOutlivesAnyNumberOfKills(t *testing.T) {
	const kills = 4 // as many deaths of its own would end it
	file := disk(3 << 20)
	begun := make(chan struct{}, 100)
	alone := make(chan struct{}) // closed when nobody kills any more
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(len(file.body))) // without ranges, so that each life begins anew
		w.Write(file.body[:len(file.body)/2])
		w.(http.Flusher).Flush()
		begun <- struct{}{}
		select {
		case <-alone:
			w.Write(file.body[len(file.body)/2:])
		case <-r.Context().Done():
		}
	}))
	defer web.Close()
	s := newServer(t, "--import-allow", hostOf(t, web.URL))
	c := newCaller(t, s)
	id := c.imported(web.URL)
	for range kills {
		select {
		case <-begun:
		case <-time.After(time.Minute):
			t.Fatalf("the import is not tried:\n%s", s.out)
		}
		s.kill()
		s.start()
	}
	close(alone)
	s.eventually("the import ends", time.Minute, func() bool { return c.image(id).Status != "importing" })
	if i := c.image(id); i.Status != "active" || i.Hash != file.hash {
		t.Errorf("the image is %+v, want active with hash %s", i, file.hash)
	}
}

// The unpacker of this file asks for more memory than the server gets, each time anew.
func TestAnImportThatKillsItsServerEnds(t *testing.T) {
	pack := exec.Command("xz", "-c", "--lzma2=dict=128MiB")
	pack.Stdin = bytes.NewReader(disk(1 << 20).body)
	packed, err := pack.Output()
	if err != nil {
		t.Fatalf("xz: %v; make deps installs it", err)
	}
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(packed))
	}))
	defer web.Close()
	s := newServer(t, "--import-allow", hostOf(t, web.URL))
	c := newCaller(t, s)
	s.memory = s.takes() + 64<<20
	s.kill()
	s.start()

	id := c.imported(web.URL)
	const deaths = 4
	for n := 1; n <= deaths; n++ {
		select {
		case <-s.exited:
		case <-time.After(time.Minute):
			t.Fatalf("after %d deaths the server lives", n-1)
		}
		if !strings.Contains(s.out.String(), "\ngoroutine ") { // out of memory is met in many places, also in Go's own
			t.Fatalf("it died of something else:\n%s", s.out)
		}
		if n > 1 { // from here on the import pauses
			s.start()
			if got := c.image(id).Status; got != "importing" {
				t.Errorf("after %d deaths the image is %s, want importing", n, got)
			}
			s.kill()
		}
		i := s.record(id, func(i *images.Image) error { // time passes
			i.Import.LeaseUntil = i.Import.LeaseUntil.Add(-time.Minute)
			i.Import.CreatedAt = i.Import.CreatedAt.Add(-time.Minute)
			return nil
		})
		if got := i.Import.Attempts; got != n {
			t.Errorf("after %d deaths %d count", n, got)
		}
		s.launch()
	}
	s.eventually("it answers again", time.Minute, func() bool { status, _ := c.try("GET", "/healthcheck", "", nil); return status == http.StatusOK })
	s.eventually("the import ends", time.Minute, func() bool { return c.image(id).Status != "importing" })
	if _, said := c.try("GET", "/v2/images/"+id+"/tasks", "", nil); c.image(id).Status != "queued" || !strings.Contains(string(said), "every attempt ended before its time") {
		t.Errorf("the image is %s and its tasks %s, want queued and the reason", c.image(id).Status, said)
	}
	said, err := os.ReadFile(filepath.Join(s.data, "last-crash.txt"))
	if err != nil || !strings.Contains(string(said), "\ngoroutine ") {
		t.Errorf("what it said at its death is not kept: %v %.200q", err, said)
	}
}

// takes is the memory that the server has, in bytes.
func (s *server) takes() int {
	s.t.Helper()
	about, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		s.t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(about), "VmData:")
	text, _, _ := strings.Cut(rest, "kB")
	n, err := strconv.Atoi(strings.TrimSpace(text))
	if err != nil {
		s.t.Fatal(err)
	}
	return n << 10
}
