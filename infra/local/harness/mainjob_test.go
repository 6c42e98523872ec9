package harness

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"fmt"

	"bullion/infra/local/harness/harnesstest"
)

// disk writes a raw image of that many bytes.
func (c *cloud) disk(size int) (path string, content []byte) {
	c.t.Helper()
	content = make([]byte, size)
	random := rand.NewChaCha8([32]byte{byte(size)})
	_, _ = random.Read(content) // it does not fail
	path = filepath.Join(c.dir, fmt.Sprintf("disk-%d.raw", size))
	ok(c.t, os.WriteFile(path, content, 0o600))
	return path, content
}

func TestTheBuiltFunctionsDoTheWholeJob(t *testing.T) {
	for _, test := range []struct {
		name string
		size int
	}{
		{"a file that is one PUT", 9 << 20},
		{"a file in parts", 70<<20 + 512},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := deploy(t)
			file, content := c.disk(test.size)
			id := c.bullion("image", "create", "--quiet", "--disk-format", "raw", "--file", file, "disk")
			if got := c.bullion("image", "list"); !strings.Contains(got, id) || !strings.Contains(got, "active") {
				t.Errorf("the list does not show the image as active:\n%s", got)
			}
			copied := filepath.Join(t.TempDir(), "copy.raw")
			c.bullion("image", "save", "--file", copied, id)
			back, err := os.ReadFile(copied)
			ok(t, err)
			if !bytes.Equal(back, content) {
				t.Errorf("the download has %d bytes that are not those of the upload, %d", len(back), len(content))
			}
			c.bullion("image", "delete", "--yes", id)
			if got := c.bullion("image", "list"); strings.Contains(got, id) {
				t.Errorf("the list shows the deleted image:\n%s", got)
			}
			if left := c.objects(); len(left) != 0 {
				t.Errorf("the delete left bytes: %v", left)
			}
			ok(t, c.asynchronously("scrub", []byte(`{}`))) // with what the bus refused
			if got, want := strings.Join(c.heard(id), " "), "queued importing active pending_delete deleted"; got != want {
				t.Errorf("the event bus heard of %s, want %s", got, want)
			}
		})
	}
}

func TestAValidationThatTheEndOfAnInvocationInterruptsGoesOnInAnother(t *testing.T) {
	c := deploy(t)
	c.Functions["validate"].Timeout = 20 * time.Second // as long as the margin before the end: every run stops after its first eight megabytes
	file, _ := c.disk(40 << 20)
	id := c.bullion("image", "create", "--quiet", "--disk-format", "raw", "--file", file, "disk")
	if got := c.bullion("image", "list"); !strings.Contains(got, id) || !strings.Contains(got, "active") {
		t.Errorf("the list does not show the image as active:\n%s", got)
	}
	if !c.calls.did("validate", "lambda:InvokeFunction") {
		t.Error("validate did not start itself again")
	}
}

func TestEventsThatComeTwiceLateOrNeverLeaveTheImageRight(t *testing.T) {
	for _, test := range []struct {
		name    string
		deliver func(c *cloud, invoke func() error)
	}{
		{"twice at once", func(c *cloud, invoke func() error) {
			second := make(chan error)
			go func() { second <- invoke() }()
			for _, err := range []error{invoke(), <-second} {
				if err != nil {
					c.t.Errorf("an event was not handled: %v", err)
				}
			}
		}},
		{"never; scrub finds it", func(c *cloud, invoke func() error) {
			time.Sleep(200 * time.Millisecond) // the client completes meanwhile
			for range 50 {
				if err := c.asynchronously("scrub", []byte(`{"adopt":true}`)); err != nil {
					c.t.Errorf("scrub: %v", err)
				}
				if err := c.asynchronously("scrub", []byte(`{}`)); err != nil {
					c.t.Errorf("scrub: %v", err)
				}
				if strings.Contains(c.Functions["scrub"].Output(), "image is active") {
					return
				}
				time.Sleep(100 * time.Millisecond)
			}
			c.t.Error("scrub did not make the image active")
		}},
		{"while the function is killed", func(c *cloud, invoke func() error) {
			go func() {
				time.Sleep(30 * time.Millisecond)
				c.Functions["validate"].Kill()
			}()
			if err := invoke(); err != nil {
				c.t.Errorf("an event was not handled in three tries: %v", err)
			}
			for range 50 { // an event that found the dead run's lease is over; scrub goes on when the lease ends
				if strings.Contains(c.Functions["validate"].Output(), "image is active") {
					return
				}
				if err := c.asynchronously("scrub", []byte(`{}`)); err != nil {
					c.t.Errorf("scrub: %v", err)
				}
				if strings.Contains(c.Functions["scrub"].Output(), "image is active") {
					return
				}
				time.Sleep(4 * time.Second)
			}
			c.t.Error("nobody made the image active")
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := deploy(t)
			c.deliver = func(invoke func() error) { test.deliver(c, invoke) }
			file, _ := c.disk(9 << 20)
			id := c.bullion("image", "create", "--quiet", "--disk-format", "raw", "--file", file, "disk")
			if got := c.bullion("image", "list"); !strings.Contains(got, id) || !strings.Contains(got, "active") {
				t.Errorf("the list does not show the image as active:\n%s", got)
			}
			if got := c.objects(); len(got) != 1 {
				t.Errorf("the bucket has %v, want one object", got)
			}
		})
	}
}

func TestThePathReachesTheFunctionAsTheClientEncodedIt(t *testing.T) {
	c := deploy(t)
	token := c.signIn("bob", "default")
	id := c.call(token, "POST", "/v2/images", `{"name":"x","disk_format":"raw","container_format":"bare"}`, 201)["id"].(string)
	for _, tag := range []string{"a%2Fb", "50%25", "why%3F", "caf%C3%A9", "a+b", "a%20b"} {
		c.call(token, "PUT", "/v2/images/"+id+"/tags/"+tag, "", 204)
	}
	got := []string{}
	for _, tag := range c.call(token, "GET", "/v2/images/"+id, "", 200)["tags"].([]any) {
		got = append(got, tag.(string))
	}
	slices.Sort(got)
	if want := "50% a b a+b a/b café why?"; strings.Join(got, " ") != want {
		t.Errorf("got tags %q, want %q", strings.Join(got, " "), want)
	}
	links := c.call("", "GET", "/", "", 300)["versions"].([]any)[0].(map[string]any)["links"].([]any)[0].(map[string]any)
	if got, want := links["href"], c.URL+"/v2/"; got != want {
		t.Errorf("a link leads to %v, want the public URL %s", got, want)
	}
}

func TestAnotherProjectSeesNothing(t *testing.T) {
	c := deploy(t)
	id := c.call(c.signIn("bob", "default"), "POST", "/v2/images", `{"name":"secret","disk_format":"raw","container_format":"bare"}`, 201)["id"].(string)
	eve := c.signIn("eve", "other")
	c.call(eve, "GET", "/v2/images/"+id, "", 404)
	c.call(eve, "POST", "/v2/images/"+id+"/uploads", `{"size":1}`, 404)
	c.call(eve, "GET", "/v2/images/"+id+"/file", "", 404)
	c.call(eve, "DELETE", "/v2/images/"+id, "", 404)
	c.call("", "GET", "/v2/images/"+id, "", 401)
	c.call(eve+"x", "GET", "/v2/images/"+id, "", 401)
}

func (c *cloud) signIn(user, project string) string {
	c.t.Helper()
	return harnesstest.SignIn(c.t, c.URL, user, password, project)
}

func (c *cloud) call(token, method, path, body string, want int) map[string]any {
	c.t.Helper()
	return harnesstest.Call(c.t, token, method, c.URL+path, body, want)
}

// objects are the files in the bucket.
func (c *cloud) objects() []string {
	c.t.Helper()
	names := []string{}
	ok(c.t, filepath.WalkDir(filepath.Join(c.dir, "s3", "objects", "images", "images"), func(path string, d os.DirEntry, err error) error {
		if os.IsNotExist(err) {
			return nil
		}
		if err == nil && !d.IsDir() {
			names = append(names, path)
		}
		return err
	}))
	return names
}
