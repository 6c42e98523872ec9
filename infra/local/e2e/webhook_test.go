package e2e

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"bullion/internal/images"
	"bullion/internal/notify"
)

// The process dies after it sent the first event and before it could mark it as delivered.
func TestAWebhookHearsOfEveryChangeThoughTheProcessIsKilled(t *testing.T) {
	var mu sync.Mutex
	var heard []notify.Message
	first, killed := make(chan struct{}), make(chan struct{})
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var m notify.Message
		if err := json.NewDecoder(r.Body).Decode(&m); err != nil || r.Header.Get("Webhook-Signature") == "" {
			t.Errorf("an odd request: %v %v", err, r.Header)
		}
		mu.Lock()
		heard = append(heard, m)
		n := len(heard)
		mu.Unlock()
		if n == 1 {
			close(first)
			<-killed
		}
	}))
	t.Cleanup(receiver.Close)
	s := newServer(t, "--webhook-url", receiver.URL+"/hook")
	id := strings.TrimSpace(s.must("image", "create", "--quiet", "--disk-format", "raw", "told"))
	<-first
	s.kill()
	close(killed)
	s.start()
	s.must("image", "set", "--community", id)
	s.must("image", "delete", "--yes", id)
	want := []images.Status{images.StatusQueued, images.StatusQueued, images.StatusQueued, images.StatusPendingDelete, images.StatusDeleted}
	var got []images.Status
	s.eventually("every change is told, the first one twice", time.Minute, func() bool {
		mu.Lock()
		defer mu.Unlock()
		got = nil
		for _, m := range heard {
			if m.Subject != id || m.Source != "http://"+s.addr {
				t.Errorf("got %+v", m)
			}
			got = append(got, m.Data.To)
		}
		return len(got) >= len(want)
	})
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if heard[0].ID != heard[1].ID || heard[1].ID == heard[2].ID {
		t.Errorf("ids: got %s, %s, %s; want the first one twice", heard[0].ID, heard[1].ID, heard[2].ID)
	}
	for _, line := range []string{"queued", "pending_delete", "The visibility is community"} {
		if out := s.must("image", "history", id); !strings.Contains(out, line) {
			t.Errorf("the history of the deleted image lacks %q:\n%s", line, out)
		}
	}
}
