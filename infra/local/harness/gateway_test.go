package harness

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// sentence is what clients show of an error: glanceclient and openstacksdk look for a message in each value of the object, and glanceclient falls over a
// value that is no object (glanceclient/exc.py, from_response; openstack/exceptions.py, raise_from_response).
func sentence(t testing.TB, body []byte) string {
	t.Helper()
	var values map[string]struct {
		Message string `json:"message"`
	}
	if err := json.Unmarshal(body, &values); err != nil {
		t.Errorf("an answer that clients fall over: %s (%v)", body, err)
	}
	return values["error"].Message
}

func TestWhatAPIGatewaySaysItselfIsWhatClientsRead(t *testing.T) {
	template, err := ReadTemplate(filepath.Join(root, "template.yaml"), map[string]string{"AWS::StackName": "bullion", "AWS::Region": region, "Table": "t", "IdentityTable": "i",
		"ImagesBucket": "b", "UserPool": "p", "UserPoolClient": "c", "Distribution.DomainName": "d"})
	ok(t, err)
	gateway := &Gateway{Responses: template.Responses}
	for kind, want := range map[string]struct {
		status     int // of the occasion, and what is answered
		answered   int
		retryAfter string
		says       []string
	}{
		"REQUEST_TOO_LARGE":            {413, 413, "", []string{"bullion image create --file", "bulliond"}},
		"THROTTLED":                    {429, 429, "1", []string{"Try again"}},
		"INTEGRATION_TIMEOUT":          {504, 504, "", []string{"29 seconds", "done or not"}},
		"INTEGRATION_FAILURE":          {502, 502, "5", []string{"logs of the functions"}},
		"API_CONFIGURATION_ERROR":      {500, 500, "5", []string{"logs of the functions"}},
		"MISSING_AUTHENTICATION_TOKEN": {403, 404, "", []string{"nothing at this address"}},
		"BAD_REQUEST_BODY":             {400, 400, "", []string{`say "why"`}},
	} {
		w := httptest.NewRecorder()
		gateway.deny(w, kind, want.status, `say "why"`)
		got := sentence(t, w.Body.Bytes())
		if w.Code != want.answered || w.Header().Get("Retry-After") != want.retryAfter || w.Header().Get("Content-Type") != "application/json" {
			t.Errorf("%s: got %d with %v, want %d and Retry-After %q", kind, w.Code, w.Header(), want.answered, want.retryAfter)
		}
		for _, says := range want.says {
			if !strings.Contains(got, says) {
				t.Errorf("%s says %q, which lacks %q", kind, got, says)
			}
		}
	}
}

func TestABodyThatIsTooLargeIsToldBothWaysThatWork(t *testing.T) {
	c := deploy(t)
	token := c.signIn("bob", "default")
	id := c.call(token, "POST", "/v2/images", `{"name":"x","disk_format":"raw","container_format":"bare"}`, 201)["id"].(string)
	for _, test := range []struct {
		who  string
		size int
	}{{"the function", 4<<20 + 1}, {"Lambda", 5 << 20}, {"API Gateway", 11 << 20}} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, c.URL+"/v2/images/"+id+"/file", bytes.NewReader(make([]byte, test.size)))
		ok(t, err)
		r.Header.Set("X-Auth-Token", token)
		r.Header.Set("Content-Type", "application/octet-stream")
		r.Header.Set("Accept", "*/*")
		res, err := http.DefaultClient.Do(r)
		ok(t, err)
		text, err := io.ReadAll(res.Body)
		ok(t, err)
		ok(t, res.Body.Close())
		said := string(text)
		if strings.HasPrefix(res.Header.Get("Content-Type"), "application/json") {
			said = sentence(t, text)
		}
		if res.StatusCode != 413 || !strings.Contains(said, "bullion image create --file") || !strings.Contains(said, "bulliond that runs as a gateway") {
			t.Errorf("%d bytes, which %s refuses: got %s %q, want 413 with both ways that work", test.size, test.who, res.Status, said)
		}
	}
	if slices.Contains([]string{"active", "saving"}, c.call(token, "GET", "/v2/images/"+id, "", 200)["status"].(string)) {
		t.Error("a body that was refused changed the image")
	}
}
