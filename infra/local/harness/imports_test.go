package harness

import (
	"bytes"
	"compress/gzip"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"
)

// mirror is a host from which imports may fetch.
type mirror struct {
	*httptest.Server
	files sync.Map // http.HandlerFunc by path
	count atomic.Int32
}

func newMirror(t *testing.T) *mirror {
	m := &mirror{}
	m.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if serve, is := m.files.Load(r.URL.Path); is {
			serve.(http.HandlerFunc)(w, r)
			return
		}
		http.NotFound(w, r)
	}))
	t.Cleanup(m.Close)
	return m
}

// source serves a file as mirrors do, with ranges and an ETag, or without either. stalls says of a request, counted from 1, that it gets no answer.
func (c *cloud) source(content []byte, ranges bool, stalls ...func(n int32, given <-chan struct{}) bool) string {
	var asked atomic.Int32
	path := fmt.Sprintf("/disk-%d.raw", c.mirror.count.Add(1))
	c.mirror.files.Store(path, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := asked.Add(1)
		for _, stall := range stalls {
			if stall(n, r.Context().Done()) {
				return
			}
		}
		if !ranges {
			_, _ = w.Write(content) // the importer may be gone
			return
		}
		w.Header().Set("ETag", `"one"`)
		http.ServeContent(w, r, "disk.raw", time.Time{}, bytes.NewReader(content))
	}))
	return c.mirror.URL + path
}

// imports makes an image, has it fetched and waits until it is as it should be.
func (c *cloud) imports(token, format, uri, want string) map[string]any {
	c.t.Helper()
	id := c.call(token, "POST", "/v2/images", `{"name":"fetched","disk_format":"`+format+`","container_format":"bare"}`, 201)["id"].(string)
	body, err := json.Marshal(map[string]any{"method": map[string]string{"name": "web-download", "uri": uri}})
	ok(c.t, err)
	c.call(token, "POST", "/v2/images/"+id+"/import", string(body), 202)
	return c.becomes(token, id, want)
}

// importsFrom makes an image, has the bytes of one of another region fetched and waits until it is as it should be.
func (c *cloud) importsFrom(token, region, image, want string) map[string]any {
	c.t.Helper()
	id := c.call(token, "POST", "/v2/images", `{"name":"copy"}`, 201)["id"].(string)
	c.call(token, "POST", "/v2/images/"+id+"/import", `{"method":{"name":"glance-download","glance_region":"`+region+`","glance_image_id":"`+image+`"}}`, 202)
	return c.becomes(token, id, want)
}

// itself lets the deployment import from itself, as from the region RegionTwo, where root signs in.
func (c *cloud) itself() {
	c.t.Helper()
	list := fmt.Sprintf(`[{"region":"RegionTwo","image_url":%[1]q,"auth_url":"%[1]s/v3","username":"root","password":%[2]q,"project":"default"}]`, c.URL, password)
	_, err := ssm.NewFromConfig(c.moto).PutParameter(c.t.Context(), &ssm.PutParameterInput{Name: aws.String("/bullion/regions"), Type: types.ParameterTypeSecureString, Value: &list})
	ok(c.t, err)
}

// scrub has a round done. The bus refuses an event now and then, which comes again with the next.
func (c *cloud) scrub(payload []byte) {
	c.t.Helper()
	var err error
	for range 10 {
		if err = c.asynchronously("scrub", payload); err == nil {
			return
		}
	}
	c.t.Errorf("scrub: %v", err)
}

// becomes waits for a status, with scrub's rounds as on AWS but in a hurry.
func (c *cloud) becomes(token, id, want string) map[string]any {
	c.t.Helper()
	for range 100 {
		c.pending.Wait()
		i := c.call(token, "GET", "/v2/images/"+id, "", 200)
		if i["status"] == want && i["os_glance_import_task"] == nil {
			return i
		}
		c.scrub([]byte(`{}`))
		time.Sleep(200 * time.Millisecond)
	}
	c.t.Fatalf("the image does not become %s: %v", want, c.call(token, "GET", "/v2/images/"+id, "", 200))
	return nil
}

func TestTheBuiltFunctionsFetchAnImageFromAnAddress(t *testing.T) {
	c := deploy(t)
	token := c.signIn("bob", "default")
	_, content := c.disk(20<<20 + 512)
	sum := sha512.Sum512(content)
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, err := z.Write(content)
	ok(t, err)
	ok(t, z.Close())
	for _, test := range []struct {
		name   string
		body   []byte
		ranges bool
	}{
		{"in parts", content, true},
		{"as a stream", content, false},
		{"packed", packed.Bytes(), true},
	} {
		if got := c.imports(token, "raw", c.source(test.body, test.ranges), "active"); got["os_hash_value"] != hex.EncodeToString(sum[:]) || got["size"] != float64(len(content)) {
			t.Errorf("%s: got %v bytes with the hash %v, want those of the source", test.name, got["size"], got["os_hash_value"])
		}
	}
	if got := c.call(token, "GET", "/v2/info/import", "", 200)["import-methods"].(map[string]any)["value"]; len(got.([]any)) != 2 {
		t.Errorf("got import methods %v, want web-download among them", got)
	}
	if got := c.imports(token, "qcow2", c.source([]byte("this is no disk"), true), "queued"); got["os_glance_failed_import"] == "" {
		t.Errorf("a file that is no disk: got %v, want a failed import", got)
	}
}

func TestAFetchThatTheEndOfAnInvocationInterruptsGoesOnInAnother(t *testing.T) {
	c := deploy(t)
	c.Functions["importer"].Timeout = 40 * time.Second // it stops thirty seconds before the end
	_, content := c.disk(90 << 20)
	var gaveUp atomic.Bool
	// After some parts the source is silent, until the function has given up for the first time.
	silent := func(n int32, given <-chan struct{}) bool {
		if n < 6 || gaveUp.Load() {
			return false
		}
		<-given
		gaveUp.Store(true)
		return true
	}
	c.imports(c.signIn("bob", "default"), "raw", c.source(content, true, silent), "active")
	if !c.calls.did("importer", "lambda:InvokeFunction") {
		t.Error("importer did not start itself again")
	}
}

func TestAFetchWhoseStartIsLostBeginsWithTheNextRoundOfScrub(t *testing.T) {
	c := deploy(t)
	c.lose = map[string]bool{"importer": true}
	token := c.signIn("bob", "default")
	_, content := c.disk(9 << 20)
	id := c.call(token, "POST", "/v2/images", `{"name":"fetched","disk_format":"raw","container_format":"bare"}`, 201)["id"].(string)
	c.call(token, "POST", "/v2/images/"+id+"/import", `{"method":{"name":"web-download","uri":"`+c.source(content, true)+`"}}`, 202)
	if got := c.call(token, "GET", "/v2/images/"+id, "", 200)["status"]; got != "importing" {
		t.Errorf("got the status %v, want importing until somebody fetches", got)
	}
	c.mu.Lock()
	c.lose = nil
	c.mu.Unlock()
	c.becomes(token, id, "active")
}

func TestTheBuiltFunctionsImportAnImageOfAnotherRegion(t *testing.T) {
	c := deploy(t, "ImportRegions", "on")
	token := c.signIn("bob", "default")
	methods := fmt.Sprint(c.call(token, "GET", "/v2/info/import", "", 200)["import-methods"].(map[string]any)["value"])
	if !strings.Contains(methods, "glance-download") {
		t.Errorf("got import methods %s, want glance-download among them", methods)
	}
	_, content := c.disk(9 << 20)
	there := c.imports(token, "raw", c.source(content, true), "active")
	early := c.call(token, "POST", "/v2/images", `{"name":"early"}`, 201)["id"].(string)
	c.mu.Lock()
	c.lose = map[string]bool{"importer": true}
	c.mu.Unlock()
	c.call(token, "POST", "/v2/images/"+early+"/import", `{"method":{"name":"glance-download","glance_region":"RegionTwo","glance_image_id":"`+there["id"].(string)+`"}}`, 202)
	c.mu.Lock()
	c.lose = nil
	c.mu.Unlock()
	// The log has the same, which comes after the answer.
	if _, err := c.Functions["importer"].Invoke(t.Context(), []byte(`{"image":"`+early+`"}`)); err == nil || !strings.Contains(err.Error(), "aws ssm put-parameter --name /bullion/regions") {
		t.Errorf("before there is a list of regions an import ended with %v, which does not say how it is given", err)
	}
	c.itself()
	if got := c.importsFrom(token, "RegionTwo", there["id"].(string), "active"); got["os_hash_value"] != there["os_hash_value"] || got["disk_format"] != "raw" {
		t.Errorf("got the hash %v of a %v, want those of the region: %v", got["os_hash_value"], got["disk_format"], there)
	}
	if got := fmt.Sprint(c.importsFrom(token, "RegionThree", there["id"].(string), "queued")["bullion_import_failure"]); !strings.Contains(got, "RegionThree") {
		t.Errorf("a region that is not in the list: the image says %q", got)
	}
}

func TestADeploymentWithoutImportsRefusesThem(t *testing.T) {
	c := deploy(t, "Imports", "off")
	if c.Functions["importer"] != nil {
		t.Error("the function importer is there all the same")
	}
	token := c.signIn("bob", "default")
	id := c.call(token, "POST", "/v2/images", `{"name":"x","disk_format":"raw","container_format":"bare"}`, 201)["id"].(string)
	c.call(token, "POST", "/v2/images/"+id+"/import", `{"method":{"name":"web-download","uri":"https://example.org/disk.raw"}}`, 400)
	c.call(token, "POST", "/v2/images/"+id+"/import", `{"method":{"name":"glance-download","glance_region":"RegionTwo","glance_image_id":"`+id+`"}}`, 400)
}
