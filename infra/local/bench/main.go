// Command bench measures bulliond as its clients see it, over loopback, on the machine where it runs, and prints one table. Nothing here is
// asserted but that it is far ahead of a Keystone beside it (keystone.go): machines are noisy, and ratios are what to quote.
package main

import (
	"bytes"
	"crypto/md5"
	"crypto/rand"
	"crypto/sha512"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
)

// glance is the peer: real Glance 25.1 with Keystone and MariaDB, measured on a machine of two cores, closed loop, kept connections.
var glance = map[string]struct{ perSecond, p99 float64 }{
	"create, 1 client":                      {66.8, 23.2},
	"create, 16 clients":                    {75.3, 392},
	"delete, 1 client":                      {57.3, 27.6},
	"show, 1 client":                        {213, 12.1},
	"show, 16 clients":                      {417, 219},
	"list 25 of 10,000 records, 1 client":   {6.07, 192},
	"list 25 of 10,000 records, 16 clients": {14.9, 1392},
	"sign in, 1 client":                     {4.60, 222},
	"sign in, 16 clients":                   {9.14, 1887},
}

const (
	glanceUpload = 280            // MiB/s to active, 1 GiB
	glanceMemory = 410 + 114 + 12 // MiB at rest (PSS): glance and keystone, MariaDB, memcached
	glancePeak   = 603 + 599 + 14 // MiB under load
)

func main() {
	if len(os.Args) == 4 && os.Args[1] == s3Command {
		end(serveS3(os.Args[2], os.Args[3]))
	}
	duration := flag.Duration("time", 4*time.Second, "time for each row")
	size := flag.Int64("size", 1<<30, "bytes of the image that is uploaded, and of the object that is hashed")
	most := flag.Int("records", 100_000, "records in the largest list")
	flag.Parse()
	end(run(*duration, *size, *most))
}

func end(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func run(duration time.Duration, size int64, most int) error {
	dir, err := os.MkdirTemp("", "bullion-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	fmt.Printf("%s, %d cores, %s\n\n", runtime.GOOS+"/"+runtime.GOARCH, runtime.NumCPU(), time.Now().Format(time.DateOnly))

	fmt.Println("requests                                        per s   p50 ms   p99 ms     × Glance")
	b, err := start(dir, "--put-up-to", "1")
	if err != nil {
		return err
	}
	defer b.stop()
	rest := b.memory("VmRSS")
	if err := b.requests(duration, most); err != nil {
		return err
	}
	if err := b.uploads("multipart", size); err != nil {
		return err
	}
	parts, peak := b.upload, b.memory("VmHWM")
	b.stop()

	// The other way needs the other setting.
	c, err := start(filepath.Join(dir, "put"), "--put-up-to", strconv.FormatInt(5<<30, 10))
	if err != nil {
		return err
	}
	defer c.stop()
	if err := c.uploads("put", size); err != nil {
		return err
	}
	peak = max(peak, c.memory("VmHWM"))
	c.stop()
	if err := keystone(dir, duration); err != nil {
		return err
	}

	fmt.Printf("\nupload to active, %d MiB                        MiB/s     × Glance (%d)\n", size>>20, glanceUpload)
	fmt.Printf("%-44s %8.0f   %10.1f\n", "one PUT", c.upload, c.upload/glanceUpload)
	fmt.Printf("%-44s %8.0f   %10.1f\n", "multipart, 4 at a time", parts, parts/glanceUpload)
	fmt.Printf("%-44s %8.0f\n", "download", c.download)
	c.stop()
	disk, err := rawWrite(dir, size)
	if err != nil {
		return err
	}
	m, s := hashSpeed()
	fmt.Printf("%-44s %8.0f\n%-44s %8.0f\n%-44s %8.0f\n", "this machine: write of a file", disk, "this machine: MD5, one core", m, "this machine: SHA-512, one core", s)

	fmt.Printf("\nmemory of bulliond (all of it: API, identity, database, S3)\n")
	fmt.Printf("%-44s %8.0f MiB      Glance, Keystone, MariaDB and memcached: %d MiB\n", "at rest", rest, glanceMemory)
	fmt.Printf("%-44s %8.0f MiB      %d MiB\n", "peak under all of the above", peak, glancePeak)
	return validate(dir, size)
}

// bulliond is a server that the bench started.
type bulliond struct {
	cmd              *exec.Cmd
	data, base       string
	token            string
	client           *http.Client    // for bytes
	light            fasthttp.Client // for requests
	upload, download float64         // MiB/s
}

func start(data string, flags ...string) (*bulliond, error) {
	api, s3 := freeAddr(), freeAddr()
	b := &bulliond{data: data, base: "http://" + api}
	b.client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64, WriteBufferSize: 256 << 10, ReadBufferSize: 256 << 10, DisableCompression: true}}
	b.cmd = exec.Command("../../bin/bulliond", append([]string{"--data", data, "--listen", api, "--s3-listen", s3, "--requests-per-second", "0"}, flags...)...)
	out := &bytes.Buffer{}
	b.cmd.Stdout, b.cmd.Stderr = out, os.Stderr
	if err := b.cmd.Start(); err != nil {
		return nil, err
	}
	for range 200 {
		time.Sleep(50 * time.Millisecond)
		if r, err := http.Get(b.base + "/healthcheck"); err == nil {
			r.Body.Close()
			if b.token, err = b.signIn(); err != nil {
				b.stop()
			}
			return b, err
		}
	}
	b.stop()
	return nil, fmt.Errorf("bulliond did not start: %s", out)
}

func (b *bulliond) stop() {
	if b.cmd.ProcessState == nil {
		_ = b.cmd.Process.Signal(os.Interrupt)
		_ = b.cmd.Wait()
	}
}

func freeAddr() string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// signInBody is the body of a scoped sign-in as the member whom the first start made.
func (b *bulliond) signInBody() (string, error) {
	text, err := os.ReadFile(filepath.Join(b.data, "clouds.yaml"))
	if err != nil {
		return "", err
	}
	field := func(name string) string {
		_, rest, _ := strings.Cut(string(text), name+": ")
		line, _, _ := strings.Cut(rest, "\n")
		return strings.Trim(line, `"`)
	}
	return signInBody(field("username"), field("password"), field("project_name")), nil
}

func signInBody(user, password, project string) string {
	return fmt.Sprintf(`{"auth":{"identity":{"methods":["password"],"password":{"user":{"name":%q,"domain":{"id":"default"},"password":%q}}},"scope":{"project":{"name":%q,"domain":{"id":"default"}}}}}`,
		user, password, project)
}

func (b *bulliond) signIn() (string, error) {
	body, err := b.signInBody()
	if err != nil {
		return "", err
	}
	r, err := b.client.Post(b.base+"/v3/auth/tokens", "application/json", strings.NewReader(body))
	if err != nil {
		return "", err
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusCreated {
		return "", fmt.Errorf("sign in: %s", r.Status)
	}
	return r.Header.Get("X-Subject-Token"), nil
}

// do makes one request and gives the body back. Its client costs little, since it shares the processors with the server: net/http's takes as long as what
// it waits for.
func (b *bulliond) do(method, path, body string) ([]byte, error) {
	req, r := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(req)
	defer fasthttp.ReleaseResponse(r)
	req.Header.SetMethod(method)
	req.SetRequestURI(b.base + path)
	req.Header.Set("X-Auth-Token", b.token)
	req.Header.SetContentType("application/json")
	req.SetBodyString(body)
	if err := b.light.Do(req, r); err != nil {
		return nil, err
	}
	if status := r.StatusCode(); status >= 300 {
		return nil, fmt.Errorf("%s %s: %d %s", method, path, status, r.Body())
	}
	return bytes.Clone(r.Body()), nil
}

const record = `{"name":"bench %d","disk_format":"qcow2","container_format":"bare","visibility":"private","min_disk":1,"min_ram":512,"os_distro":"debian","tags":["bench"]}`

func (b *bulliond) create() (string, error) {
	answer, err := b.do("POST", "/v2/images", fmt.Sprintf(record, counter.Add(1)))
	if err != nil {
		return "", err
	}
	var doc struct{ ID string }
	return doc.ID, errors.Join(json.Unmarshal(answer, &doc), nil)
}

var counter atomic.Int64

func (b *bulliond) requests(duration time.Duration, most int) error {
	var ids []string
	have := func(n int) error {
		var mu sync.Mutex
		var wg sync.WaitGroup
		var failed error
		each := (n - len(ids) + 7) / 8
		for range 8 {
			wg.Go(func() {
				for range each {
					id, err := b.create()
					mu.Lock()
					ids, failed = append(ids, id), errors.Join(failed, err)
					mu.Unlock()
					if err != nil {
						return
					}
				}
			})
		}
		wg.Wait()
		return failed
	}
	get := func(path string) func(int) error {
		return func(int) error { _, err := b.do("GET", path, ""); return err }
	}
	if err := have(100); err != nil {
		return err
	}
	var small float64
	for _, clients := range []int{1, 16} {
		rate, err := row(fmt.Sprintf("list 25 of 100 records, %s", plural(clients)), clients, duration, get("/v2/images?limit=25"))
		if err != nil {
			return err
		}
		if clients == 1 {
			small = rate
		}
		if _, err := row("show, "+plural(clients), clients, duration, func(n int) error { return get("/v2/images/" + ids[n%100])(n) }); err != nil {
			return err
		}
	}
	for _, n := range []int{10_000, most} {
		if err := have(n); err != nil {
			return err
		}
		for _, clients := range []int{1, 16} {
			rate, err := row(fmt.Sprintf("list 25 of %s records, %s", thousands(n), plural(clients)), clients, duration, get("/v2/images?limit=25"))
			if err != nil {
				return err
			}
			if n == most && clients == 1 {
				fmt.Printf("    a list of %s costs %.2f times one of 100\n", thousands(n), small/rate)
			}
		}
	}
	for _, clients := range []int{1, 16} {
		made := make(chan string, 1<<20)
		if _, err := row("create, "+plural(clients), clients, duration, func(int) error {
			id, err := b.create()
			made <- id
			return err
		}); err != nil {
			return err
		}
		close(made)
		if clients > 1 {
			continue
		}
		if _, err := row("delete, 1 client", 1, duration, func(int) error {
			id, ok := <-made
			if !ok {
				return errDone
			}
			_, err := b.do("DELETE", "/v2/images/"+id, "")
			return err
		}); err != nil {
			return err
		}
	}
	body, err := b.signInBody()
	if err != nil {
		return err
	}
	for _, clients := range []int{1, 16} {
		if _, err := row("sign in, "+plural(clients), clients, duration, func(int) error { _, err := b.do("POST", "/v3/auth/tokens", body); return err }); err != nil {
			return err
		}
	}
	return nil
}

var errDone = errors.New("nothing left to do")

// row measures one operation in a closed loop and prints it.
func row(name string, clients int, duration time.Duration, op func(n int) error) (perSecond float64, err error) {
	var mu sync.Mutex
	var all []time.Duration
	var wg sync.WaitGroup
	begin := time.Now()
	for c := range clients {
		wg.Go(func() {
			var mine []time.Duration
			for n := c; time.Since(begin) < duration; n += clients {
				at := time.Now()
				if opErr := op(n); opErr != nil {
					if !errors.Is(opErr, errDone) {
						mu.Lock()
						err = opErr
						mu.Unlock()
					}
					break
				}
				mine = append(mine, time.Since(at))
			}
			mu.Lock()
			all = append(all, mine...)
			mu.Unlock()
		})
	}
	wg.Wait()
	took := time.Since(begin)
	if err != nil || len(all) == 0 {
		return 0, fmt.Errorf("%s: %w", name, err)
	}
	slices.Sort(all)
	at := func(q float64) float64 { return float64(all[int(q*float64(len(all)-1))].Microseconds()) / 1000 }
	perSecond = float64(len(all)) / took.Seconds()
	beside := ""
	if g, ok := glance[name]; ok {
		beside = fmt.Sprintf("%6.0f (p99 %.0f ms)", perSecond/g.perSecond, g.p99)
	}
	fmt.Printf("%-44s %8.0f %8.2f %8.2f   %s\n", name, perSecond, at(0.5), at(0.99), beside)
	return perSecond, nil
}

// uploads measures from the request for an upload to active, and the way back; the better of three.
func (b *bulliond) uploads(mode string, size int64) error {
	path := filepath.Join(b.data, "image.raw")
	if err := randomFile(path, size); err != nil {
		return err
	}
	defer os.Remove(path)
	for range 3 {
		id, err := b.create()
		if err != nil {
			return err
		}
		if _, err := b.patchFormat(id); err != nil {
			return err
		}
		begin := time.Now()
		if err := b.send(id, mode, path, size); err != nil {
			return err
		}
		b.upload = max(b.upload, float64(size>>20)/time.Since(begin).Seconds())
		begin = time.Now()
		req, _ := http.NewRequest("GET", b.base+"/v2/images/"+id+"/file", nil)
		req.Header.Set("X-Auth-Token", b.token)
		r, err := b.client.Do(req)
		if err != nil {
			return err
		}
		n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, r.Body, make([]byte, 1<<20))
		r.Body.Close()
		if err != nil || n != size {
			return fmt.Errorf("download: %d bytes, %w", n, err)
		}
		b.download = max(b.download, float64(size>>20)/time.Since(begin).Seconds())
		if _, err := b.do("DELETE", "/v2/images/"+id, ""); err != nil {
			return err
		}
	}
	return nil
}

func (b *bulliond) patchFormat(id string) ([]byte, error) {
	req, err := http.NewRequest("PATCH", b.base+"/v2/images/"+id, strings.NewReader(`[{"op":"replace","path":"/disk_format","value":"raw"}]`))
	if err != nil {
		return nil, err
	}
	req.Header.Set("X-Auth-Token", b.token)
	req.Header.Set("Content-Type", "application/openstack-images-v2.1-json-patch")
	r, err := b.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer r.Body.Close()
	return io.ReadAll(r.Body)
}

// send uploads as any client does: what the server signs, four at a time.
func (b *bulliond) send(id, mode, path string, size int64) error {
	type signed struct {
		Number  int
		Size    int64
		URL     string
		Headers map[string]string
	}
	var u struct {
		ID, Mode string
		PartSize int64 `json:"part_size"`
		Parts    int
		Signed   []signed
	}
	answer, err := b.do("POST", "/v2/images/"+id+"/uploads", fmt.Sprintf(`{"size":%d}`, size))
	if err != nil {
		return err
	}
	if err := json.Unmarshal(answer, &u); err != nil {
		return err
	}
	if u.Mode != mode {
		return fmt.Errorf("the server chose %s, not %s", u.Mode, mode)
	}
	for len(u.Signed) < u.Parts {
		var more struct{ Signed []signed }
		var numbers []string
		for n := len(u.Signed) + 1; n <= min(u.Parts, len(u.Signed)+100); n++ {
			numbers = append(numbers, strconv.Itoa(n))
		}
		answer, err := b.do("POST", "/v2/images/"+id+"/uploads/"+u.ID+"/parts", `{"numbers":[`+strings.Join(numbers, ",")+`]}`)
		if err != nil {
			return err
		}
		if err := json.Unmarshal(answer, &more); err != nil {
			return err
		}
		u.Signed = append(u.Signed, more.Signed...)
	}
	parts := make(chan signed, len(u.Signed))
	for _, p := range u.Signed {
		parts <- p
	}
	close(parts)
	failed := make(chan error, 4)
	for range 4 {
		go func() {
			for p := range parts {
				if err := b.put(path, p.URL, p.Headers, int64(p.Number-1)*u.PartSize, p.Size); err != nil {
					failed <- err
					return
				}
			}
			failed <- nil
		}()
	}
	for range 4 {
		if err := <-failed; err != nil {
			return err
		}
	}
	if _, err := b.do("POST", "/v2/images/"+id+"/uploads/"+u.ID+"/complete", ""); err != nil {
		return err
	}
	for {
		answer, err := b.do("GET", "/v2/images/"+id, "")
		if err != nil {
			return err
		}
		var doc struct{ Status string }
		if err := json.Unmarshal(answer, &doc); err != nil {
			return err
		}
		switch doc.Status {
		case "active":
			return nil
		case "queued":
			return fmt.Errorf("the image was rejected: %s", answer)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func (b *bulliond) put(path, url string, headers map[string]string, off, size int64) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Seek(off, io.SeekStart); err != nil {
		return err
	}
	req, err := http.NewRequest("PUT", url, io.LimitReader(f, size))
	if err != nil {
		return err
	}
	for name, value := range headers {
		req.Header.Set(name, value)
	}
	req.ContentLength = size
	r, err := b.client.Do(req)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(r.Body)
		return fmt.Errorf("PUT: %s %s", r.Status, text)
	}
	return nil
}

// memory is a figure of the server from /proc, in MiB.
func (b *bulliond) memory(field string) float64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", b.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(text), field+":")
	kib, _ := strconv.ParseFloat(strings.Fields(rest + " 0")[0], 64)
	return kib / 1024
}

func randomFile(path string, size int64) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	block := make([]byte, 1<<20)
	for off := int64(0); off < size; off += int64(len(block)) {
		if off%(64<<20) == 0 {
			rand.Read(block)
			clear(block[:min(len(block), 1024)]) // no magic, no boot sector by chance
		}
		if _, err := f.Write(block[:min(size-off, int64(len(block)))]); err != nil {
			return err
		}
	}
	return nil
}

func rawWrite(dir string, size int64) (float64, error) {
	path := filepath.Join(dir, "raw")
	defer os.Remove(path)
	begin := time.Now()
	err := randomFile(path, size)
	return float64(size>>20) / time.Since(begin).Seconds(), err
}

func hashSpeed() (md5Speed, sha512Speed float64) {
	block := make([]byte, 64<<20)
	begin := time.Now()
	md5.Sum(block)
	md5Speed = 64 / time.Since(begin).Seconds()
	begin = time.Now()
	sha512.Sum512(block)
	return md5Speed, 64 / time.Since(begin).Seconds()
}

func plural(n int) string {
	if n == 1 {
		return "1 client"
	}
	return fmt.Sprintf("%d clients", n)
}

func thousands(n int) string {
	if n < 1000 {
		return strconv.Itoa(n)
	}
	return fmt.Sprintf("%d,%03d", n/1000, n%1000)
}
