// Package importertest runs package importer against the embedded S3 engine, SQLite and sources that do what the worst of them do: they are slow, reset,
// lie, change, redirect, and hide what they unpack to.
package importertest

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"bullion/infra/local/enginetest"
	"bullion/internal/fetch"
	"bullion/internal/fetch/fetchtest"
	"bullion/internal/images"
	"bullion/internal/importer"
	"bullion/internal/policy"
	"bullion/internal/s3store"
	"bullion/internal/scrub"
	"bullion/internal/sqlitestore"
	"bullion/internal/validation"
)

var blobs *s3store.Store

func TestMain(m *testing.M) { os.Exit(enginetest.Main(m, func(s *s3store.Store) { blobs = s })) }

var alice = images.Caller{UserID: "alice", ProjectID: "p", Roles: []string{"member", "reader"}}

// world is the service with one source that its importer may reach.
type world struct {
	*testing.T
	service *images.Service
	m       *importer.Importer
	options fetch.Options
	source  string // address of a file at the source
	asked   atomic.Int32
	at      atomic.Int64 // how far the clock was set forward
}

// newWorld starts a source; n counts its requests from 0.
func newWorld(t *testing.T, h func(n int, w http.ResponseWriter, r *http.Request)) *world {
	t.Helper()
	store, err := sqlitestore.Open(t.Context(), filepath.Join(t.TempDir(), "records.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	w := &world{T: t}
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { h(int(w.asked.Add(1))-1, rw, r) }))
	t.Cleanup(server.Close)
	w.source = server.URL + "/disk.raw"
	u, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	e, err := fetch.ParseException(u.Host)
	if err != nil {
		t.Fatal(err)
	}
	rules := fetch.Rules{Except: []fetch.Exception{e}}
	log := slog.New(slog.DiscardHandler)
	now := func() time.Time { return time.Now().Add(time.Duration(w.at.Load())) }
	s := &images.Service{Store: store, Blobs: blobs, Policy: policy.Default(), Log: log, Now: now, NewID: images.NewID, Limits: images.ServiceLimits{}.WithDefaults()}
	s.CheckSource = func(uri string) error { _, err := rules.CheckURL(uri); return err }
	s.Examine = (&validation.Validator{Images: s, Log: log, NewID: images.NewID, Now: now}).Run
	w.options = fetch.Options{Pause: time.Millisecond, Tries: 3, Stall: 3 * time.Second}
	client := fetch.New(rules, w.options)
	w.service, w.m = s, &importer.Importer{Images: s, Client: client, Log: log, NewID: images.NewID, Now: now, Beat: 20 * time.Millisecond}
	return w
}

// started makes an image and asks for its import.
func (w *world) started(checksum string, properties ...images.PatchOp) string {
	w.Helper()
	i, err := w.service.Create(w.Context(), alice, "", append([]images.PatchOp{
		{Op: "add", Name: "disk_format", Value: "raw"}, {Op: "add", Name: "container_format", Value: "bare"}}, properties...))
	if err != nil {
		w.Fatal(err)
	}
	if _, err := w.service.StartImport(w.Context(), alice, i.ID, images.ImportRequest{Method: "web-download", URI: w.source, Checksum: checksum, Body: "{}"}); err != nil {
		w.Fatal(err)
	}
	return i.ID
}

func (w *world) run(id string) {
	w.Helper()
	if err := w.m.Run(w.Context(), id); err != nil {
		w.Fatal(err)
	}
}

func (w *world) image(id string) *images.Image {
	w.Helper()
	i, err := w.service.Store.Image(w.Context(), id)
	if err != nil {
		w.Fatal(err)
	}
	return i
}

func (w *world) isActive(id string, data []byte) {
	w.Helper()
	i := w.image(id)
	m, s := md5.Sum(data), sha512.Sum512(data)
	if i.Status != images.StatusActive || i.Checksum != hex.EncodeToString(m[:]) || i.HashValue != hex.EncodeToString(s[:]) || *i.Size != int64(len(data)) {
		w.Fatalf("status %s, import %+v, upload %+v; want active with the hashes of the bytes", i.Status, i.Import, i.Upload)
	}
	if i.Import.State != images.TaskSuccess {
		w.Errorf("the task is %s", i.Import.State)
	}
}

// isFailed says whether the image is queued with that sentence, and nothing of it is left.
func (w *world) isFailed(id, sentence string) {
	w.Helper()
	i := w.image(id)
	if i.Status != images.StatusQueued || i.Import.State != images.TaskFailure || !strings.Contains(i.Import.Message, sentence) {
		w.Fatalf("status %s, import %+v; want queued and failed with %q", i.Status, i.Import, sentence)
	}
	if u, err := w.service.Store.Usage(w.Context(), "p"); err != nil || u.InFlight != 0 || u.Uploads != 0 || u.Bytes != 0 {
		w.Errorf("the quota is not free: %+v, %v", u, err)
	}
	prefix := "images/" + id + "/"
	err := errors.Join(
		blobs.List(w.Context(), prefix, "", func(o images.Stored) bool { w.Errorf("object %s is left", o.Key); return true }),
		blobs.ListMultipart(w.Context(), prefix, "", func(o images.OpenMultipart) bool { w.Errorf("upload of %s is left", o.Key); return true }))
	if err != nil {
		w.Error(err)
	}
	events, err := w.service.Store.Events(w.Context(), id, 0, 10)
	if err != nil || !strings.Contains(events[len(events)-1].Reason, sentence) {
		w.Errorf("the last event is %+v, %v; want it to say %q", events[len(events)-1], err, sentence)
	}
}

// noise is data that is no known format: a raw disk.
func noise(n int) []byte {
	data := make([]byte, n)
	source := rand.NewChaCha8([32]byte{byte(n)})
	source.Read(data[min(n, 4096):])
	return data
}

// file serves data with an ETag, as good sources do.
func file(w http.ResponseWriter, r *http.Request, data []byte) {
	w.Header().Set("ETag", `"1"`)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
}

func TestTheEndStateAndTheSentenceOfEverySource(t *testing.T) {
	data := noise(17 << 20) // two parts
	small := noise(300 << 10)
	for _, c := range []struct {
		name  string
		want  string // "" for an active image
		data  []byte
		serve func(n int, w http.ResponseWriter, r *http.Request)
	}{
		{"a good source, in parts", "", data, func(_ int, w http.ResponseWriter, r *http.Request) { file(w, r, data) }},
		{"a source without ranges", "", small, func(_ int, w http.ResponseWriter, _ *http.Request) { w.Write(small) }},
		{"a slow source", "", small, func(_ int, w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(len(small)))
			for part := range slices.Chunk(small, 20<<10) {
				w.Write(part)
				w.(http.Flusher).Flush()
				time.Sleep(20 * time.Millisecond)
			}
		}},
		{"a source that resets at random", "", data, func(n int, w http.ResponseWriter, r *http.Request) {
			if n == 1 || n == 2 {
				w = fetchtest.Cut(w, 1+rand.IntN(1<<20))
			}
			file(w, r, data)
		}},
		{"a source that always resets", "broke off", data, func(n int, w http.ResponseWriter, r *http.Request) {
			if n > 0 {
				w = fetchtest.Cut(w, 1<<19)
			}
			file(w, r, data)
		}},
		{"a source that stops sending", "stopped sending", data, func(n int, w http.ResponseWriter, r *http.Request) {
			if n > 0 {
				w.Header().Set("ETag", `"1"`)
				w.Header().Set("Content-Range", "bytes "+strings.TrimPrefix(r.Header.Get("Range"), "bytes=")+fmt.Sprintf("/%d", len(data)))
				w.WriteHeader(http.StatusPartialContent)
				w.(http.Flusher).Flush()
				<-r.Context().Done()
				return
			}
			file(w, r, data)
		}},
		{"a file that changes between ranges", "changed while it was fetched", data, func(n int, w http.ResponseWriter, r *http.Request) {
			w.Header().Set("ETag", fmt.Sprintf(`"%d"`, min(n, 2)/2))
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
		}},
		{"a length that is a lie", "broke off", small, func(_ int, w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(len(small)+1))
			w.Write(small)
		}},
		{"a total that is a lie", "sent something else", small, func(_ int, w http.ResponseWriter, r *http.Request) {
			w.Header().Set("ETag", `"1"`)
			w.Header().Set("Content-Range", fmt.Sprintf("bytes 0-15/%d", len(data)))
			w.WriteHeader(http.StatusPartialContent)
			w.Write(small[:16])
		}},
		{"a size above what an image may have", "an image has at most", small, func(_ int, w http.ResponseWriter, r *http.Request) {
			w.Header().Set("ETag", `"1"`)
			w.Header().Set("Content-Range", "bytes 0-15/9000000000000000")
			w.WriteHeader(http.StatusPartialContent)
			w.Write(small[:16])
		}},
		{"redirects in a circle", "redirects too often", nil, func(_ int, w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/", http.StatusFound) }},
		{"a redirect to the metadata service", "cannot be reached, or may not be", nil, func(_ int, w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://169.254.169.254/latest/meta-data/", http.StatusFound)
		}},
		{"a file that is not there", "status 404", nil, func(_ int, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) }},
		{"a file that is another format", "qcow2", nil, func(_ int, w http.ResponseWriter, r *http.Request) {
			file(w, r, append([]byte("QFI\xfb\x00\x00\x00\x03"), make([]byte, 1<<20)...))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, c.serve)
			id := w.started("")
			w.run(id)
			if c.want == "" {
				w.isActive(id, c.data)
			} else {
				w.isFailed(id, c.want)
			}
		})
	}
}

func TestAnAddressThatCannotBeResolvedIsTakenAndFails(t *testing.T) {
	w := newWorld(t, func(int, http.ResponseWriter, *http.Request) {})
	w.source = "http://bullion.invalid/disk.raw"
	id := w.started("")
	if i := w.image(id); i.Status != images.StatusImporting || i.Import.State != images.TaskPending {
		t.Fatalf("status %s, import %+v; want importing and pending", i.Status, i.Import)
	}
	w.run(id)
	w.isFailed(id, "cannot be reached, or may not be")
}

func TestAChecksumDecides(t *testing.T) {
	data := noise(1 << 20)
	m, s256, s512 := md5.Sum(data), sha256.Sum256(data), sha512.Sum512(data)
	for _, c := range []struct{ algo, good, sentence string }{
		{"md5", hex.EncodeToString(m[:]), "MD5"},
		{"sha256", hex.EncodeToString(s256[:]), "SHA256"},
		{"sha512", hex.EncodeToString(s512[:]), "SHA-512"},
	} {
		t.Run(c.algo, func(t *testing.T) {
			w := newWorld(t, func(_ int, w http.ResponseWriter, r *http.Request) { file(w, r, data) })
			id := w.started(c.algo + ":" + strings.ToUpper(c.good))
			w.run(id)
			w.isActive(id, data)
			if err := w.service.Delete(t.Context(), alice, id); err != nil {
				t.Fatal(err)
			}
			id = w.started(c.algo + ":" + strings.Repeat("0", len(c.good)))
			w.run(id)
			w.isFailed(id, c.sentence)
		})
	}
}

func TestALocationIsFetchedAsItIs(t *testing.T) {
	data := noise(1 << 20)
	m, s1, s256, s512 := md5.Sum(data), sha1.Sum(data), sha256.Sum256(data), sha512.Sum512(data)
	packed := pack(t, "gzip", data)
	s512Packed := sha512.Sum512(packed)
	for _, c := range []struct {
		name, checksum string
		served         []byte
		want           string // "" for an active image
	}{
		{"without a hash", "", data, ""},
		{"with its MD5", "md5:" + hex.EncodeToString(m[:]), data, ""},
		{"with its SHA-1", "sha1:" + hex.EncodeToString(s1[:]), data, ""},
		{"with its SHA-256", "sha256:" + hex.EncodeToString(s256[:]), data, ""},
		{"with its SHA-512", "sha512:" + hex.EncodeToString(s512[:]), data, ""},
		{"with another SHA-1", "sha1:" + strings.Repeat("0", 40), data, "SHA1"},
		{"with another SHA-512", "sha512:" + strings.Repeat("0", 128), data, "SHA-512"},
		{"packed: these bytes are the image, and gzip is no disk", "sha512:" + hex.EncodeToString(s512Packed[:]), packed, "gzip"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, func(_ int, w http.ResponseWriter, r *http.Request) { file(w, r, c.served) })
			i, err := w.service.Create(t.Context(), alice, "", []images.PatchOp{
				{Op: "add", Name: "disk_format", Value: "raw"}, {Op: "add", Name: "container_format", Value: "bare"}})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := w.service.AddLocation(t.Context(), alice, i.ID, images.ImportRequest{URI: w.source, Checksum: c.checksum, Body: "{}"}); err != nil {
				t.Fatal(err)
			}
			w.run(i.ID)
			if c.want != "" {
				w.isFailed(i.ID, c.want)
				return
			}
			w.isActive(i.ID, data)
			if _, err := w.service.Location(t.Context(), alice, i.ID); images.KindOf(err) != images.Forbidden {
				t.Errorf("a member who asks where the bytes are: %v, want Forbidden", err)
			}
			nova := images.Caller{UserID: "nova", ProjectID: "p", Roles: []string{"service"}}
			signed, err := w.service.Location(t.Context(), nova, i.ID)
			if err != nil {
				t.Fatal(err)
			}
			res, err := http.Get(signed.URL)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			if got, err := io.ReadAll(res.Body); err != nil || !bytes.Equal(got, data) {
				t.Errorf("the address gave %d bytes, %v; want those of the image", len(got), err)
			}
		})
	}
}

func pack(t *testing.T, program string, data []byte) []byte {
	t.Helper()
	cmd := exec.Command(program, "-c")
	cmd.Stdin = bytes.NewReader(data)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v; install it with apt-get install gzip bzip2 xz-utils zstd", program, err)
	}
	return out
}

func TestPackedFilesAreStoredUnpacked(t *testing.T) {
	data := append(noise(1<<20), make([]byte, 1<<20)...)
	for _, program := range []string{"gzip", "bzip2", "xz", "zstd"} {
		t.Run(program, func(t *testing.T) {
			packed := pack(t, program, data)
			sum := sha256.Sum256(packed)
			w := newWorld(t, func(_ int, w http.ResponseWriter, r *http.Request) { file(w, r, packed) })
			id := w.started("sha256:" + hex.EncodeToString(sum[:]))
			w.run(id)
			w.isActive(id, data)
		})
		t.Run(program+" that is cut off", func(t *testing.T) {
			packed := pack(t, program, data)
			w := newWorld(t, func(_ int, w http.ResponseWriter, r *http.Request) { file(w, r, packed[:len(packed)/2]) })
			id := w.started("")
			w.run(id)
			w.isFailed(id, "cannot be unpacked")
		})
	}
}

func TestABombEndsAtTheLimit(t *testing.T) {
	var packed bytes.Buffer
	z, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(z, zeros{}, 64<<20); err != nil {
		t.Fatal(err)
	}
	z.Close()
	w := newWorld(t, func(_ int, w http.ResponseWriter, r *http.Request) { file(w, r, packed.Bytes()) })
	w.service.Limits.MaxSize = 16 << 20
	id := w.started("")
	w.run(id)
	w.isFailed(id, "an image has at most")
}

func TestABodyWithoutAnEndEndsAtTheLimit(t *testing.T) {
	w := newWorld(t, func(_ int, w http.ResponseWriter, _ *http.Request) {
		io.Copy(w, zeros{}) // until the importer hangs up
	})
	w.service.Limits.MaxSize = 16 << 20
	id := w.started("")
	w.run(id)
	w.isFailed(id, "an image has")
}

// answers is a resolver that has another answer each time; the last stays.
type answers struct {
	n    atomic.Int32
	list []string
}

func (a *answers) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	n := min(int(a.n.Add(1))-1, len(a.list)-1)
	return []netip.Addr{netip.MustParseAddr(a.list[n])}, nil
}

func TestANameThatTurnsToAPrivateAddressIsNotFollowedThere(t *testing.T) {
	data := noise(1 << 20)
	w := newWorld(t, func(_ int, w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close") // so that the name is looked up again
		file(w, r, data)
	})
	u, err := url.Parse(w.source)
	if err != nil {
		t.Fatal(err)
	}
	e, err := fetch.ParseException(u.Host)
	if err != nil {
		t.Fatal(err)
	}
	w.source = "http://mirror.example.org:" + u.Port() + u.Path
	rules := fetch.Rules{Except: []fetch.Exception{e}, Ports: []uint16{e.Port}}
	w.service.CheckSource = func(uri string) error { _, err := rules.CheckURL(uri); return err }
	resolver := &answers{list: []string{u.Hostname(), "169.254.169.254"}}
	w.m.Client = fetch.New(rules, fetch.Options{Resolver: resolver, Pause: time.Millisecond, Tries: 3})
	id := w.started("")
	w.run(id)
	w.isFailed(id, "cannot be reached, or may not be")
	if resolver.n.Load() < 2 || w.asked.Load() != 1 {
		t.Errorf("the name was looked up %d times and the source asked %d times; want 2 or more, and 1", resolver.n.Load(), w.asked.Load())
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestAnImportThatIsOutOfTimeGoesOnWithThePartsThatItLacks(t *testing.T) {
	data := noise(33 << 20) // three parts
	var sent atomic.Int64
	var slow atomic.Bool
	slow.Store(true)
	w := newWorld(t, func(n int, w http.ResponseWriter, r *http.Request) {
		if n > 1 && slow.Load() { // the first look and one part
			<-r.Context().Done()
			return
		}
		file(&tallying{w, &sent}, r, data)
	})
	w.m.Parallel = 1
	id := w.started("")
	ctx, cancel := context.WithTimeout(t.Context(), 12*time.Second)
	defer cancel()
	w.m.Margin = 10 * time.Second
	if err := w.m.Run(ctx, id); !errors.Is(err, importer.ErrContinue) {
		t.Fatalf("got %v, want ErrContinue", err)
	}
	if i := w.image(id); i.Import.Holder != "" || i.Import.Fetched == 0 || i.Import.Fetched >= int64(len(data)) || i.Import.Total != int64(len(data)) {
		t.Fatalf("it left %+v; want some of the bytes, and the lease free", i.Import)
	}
	slow.Store(false)
	w.run(id)
	w.isActive(id, data)
	if got, most := sent.Load(), int64(len(data))+fetch.HeadSize*2; got > most {
		t.Errorf("%d bytes were sent for a file of %d: parts were fetched twice", got, len(data))
	}
}

type tallying struct {
	http.ResponseWriter
	n *atomic.Int64
}

func (t *tallying) Write(p []byte) (int, error) {
	n, err := t.ResponseWriter.Write(p)
	t.n.Add(int64(n))
	return n, err
}

func TestAnImporterThatDiesIsFollowedByAnotherAndAtLastGivenUp(t *testing.T) {
	w := newWorld(t, func(_ int, w http.ResponseWriter, r *http.Request) { file(w, r, noise(1<<20)) })
	id := w.started("")
	var handed []string
	s := &scrub.Scrubber{Images: w.service, Log: slog.New(slog.DiscardHandler), Now: w.service.Now, Fetch: func(_ context.Context, id string) { handed = append(handed, id) }}
	for n := range 4 {
		if _, _, err := s.Due(t.Context()); err != nil || len(handed) != n+1 {
			t.Fatalf("scrub handed over %d, %v; want %d", len(handed), err, n+1)
		}
		// It claims, and is never heard of again.
		if _, err := w.service.ClaimImport(t.Context(), id, fmt.Sprint("dead", n), time.Minute); err != nil {
			t.Fatal(err)
		}
		if _, err := w.service.ClaimImport(t.Context(), id, "other", time.Minute); !errors.Is(err, images.ErrBusy) {
			t.Fatalf("a second claim: %v, want ErrBusy", err)
		}
		w.at.Add(int64(2 * time.Minute))
	}
	w.run(id)
	w.isFailed(id, "every attempt ended before its time")
}

// An importer is killed after it began a multipart upload and before the record names it: another start of the host deletes it, and nothing else.
func TestPartsThatNoRecordNamesEndWithTheProcessThatBeganThem(t *testing.T) {
	w := newWorld(t, func(_ int, w http.ResponseWriter, r *http.Request) { file(w, r, noise(1<<20)) })
	id := w.started("")
	if _, err := w.service.ClaimImport(t.Context(), id, "dead", time.Minute); err != nil {
		t.Fatal(err)
	}
	i, err := w.service.BeginImport(t.Context(), id, "dead", images.ImportPlan{Size: 100 << 20, Parts: true})
	if err != nil {
		t.Fatal(err)
	}
	key := i.Upload.Key(id)
	unnamed, err := blobs.CreateMultipart(t.Context(), key, i.Upload.PartSize)
	if err != nil {
		t.Fatal(err)
	}
	open := func() (ids []string) {
		if err := blobs.ListMultipart(t.Context(), key, "", func(m images.OpenMultipart) bool { ids = append(ids, m.S3Upload); return true }); err != nil {
			t.Fatal(err)
		}
		slices.Sort(ids)
		return ids
	}
	s := &scrub.Scrubber{Images: w.service, Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return time.Now().Add(48 * time.Hour) }}
	both, one := []string{i.Upload.S3Upload, unnamed}, []string{i.Upload.S3Upload}
	slices.Sort(both)
	for _, life := range []struct {
		began time.Time
		want  []string
	}{{time.Time{}, both}, {time.Now().Add(2 * time.Second), one}} {
		s.Alone = life.began
		if _, err := s.Parts(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := open(); !slices.Equal(got, life.want) {
			t.Errorf("alone since %v: open are %v, want %v", life.began, got, life.want)
		}
	}
}

func TestTwentyImportersAtOnceMakeOneImage(t *testing.T) {
	data := noise(1 << 20)
	w := newWorld(t, func(_ int, w http.ResponseWriter, r *http.Request) { file(w, r, data) })
	id := w.started("")
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if err := w.m.Run(t.Context(), id); err != nil && !errors.Is(err, images.ErrBusy) {
				t.Error(err)
			}
		})
	}
	all.Wait()
	w.isActive(id, data)
}

func TestAnImportThatIsNotWantedAnyMoreStops(t *testing.T) {
	for _, c := range []struct {
		name string
		end  func(w *world, id string) error
	}{
		{"cancelled", func(w *world, id string) error { return w.service.CancelImport(w.Context(), alice, id) }},
		{"deleted", func(w *world, id string) error { return w.service.Delete(w.Context(), alice, id) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			begun := make(chan struct{}, 100)
			w := newWorld(t, func(n int, w http.ResponseWriter, r *http.Request) {
				if n > 0 {
					begun <- struct{}{}
					<-r.Context().Done()
					return
				}
				file(w, r, noise(1<<20))
			})
			id := w.started("")
			ended := make(chan error)
			go func() { ended <- w.m.Run(t.Context(), id) }()
			<-begun
			if err := c.end(w, id); err != nil {
				t.Fatal(err)
			}
			if err := <-ended; err != nil {
				t.Errorf("the importer: %v", err)
			}
			if c.name == "cancelled" {
				w.isFailed(id, "cancelled")
			}
		})
	}
}

func TestWhatCannotBeImportedIsRefusedAtOnce(t *testing.T) {
	w := newWorld(t, func(int, http.ResponseWriter, *http.Request) {})
	i, err := w.service.Create(t.Context(), alice, "", []images.PatchOp{{Op: "add", Name: "disk_format", Value: "raw"}, {Op: "add", Name: "container_format", Value: "bare"}})
	if err != nil {
		t.Fatal(err)
	}
	bare, err := w.service.Create(t.Context(), alice, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		id   string
		r    images.ImportRequest
		kind images.Kind
	}{
		{"no address", i.ID, images.ImportRequest{}, images.Invalid},
		{"loopback", i.ID, images.ImportRequest{URI: "http://127.0.0.1:80/a"}, images.Invalid},
		{"a file", i.ID, images.ImportRequest{URI: "file:///etc/passwd"}, images.Invalid},
		{"a checksum of an unknown kind", i.ID, images.ImportRequest{URI: w.source, Checksum: "crc32:da39a3ee"}, images.Invalid},
		{"a checksum that is too short", i.ID, images.ImportRequest{URI: w.source, Checksum: "sha256:00"}, images.Invalid},
		{"no formats", bare.ID, images.ImportRequest{URI: w.source}, images.Conflict},
	} {
		if _, err := w.service.StartImport(t.Context(), alice, c.id, c.r); err == nil || images.KindOf(err) != c.kind {
			t.Errorf("%s: got %v, want kind %d", c.name, err, c.kind)
		}
	}
	mallory := images.Caller{UserID: "mallory", ProjectID: "q", Roles: []string{"member"}}
	if _, err := w.service.StartImport(t.Context(), mallory, i.ID, images.ImportRequest{URI: w.source}); images.KindOf(err) != images.NotFound || err == nil {
		t.Errorf("another project: %v, want NotFound", err)
	}
}
