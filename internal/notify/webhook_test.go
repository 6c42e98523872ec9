package notify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"bullion/internal/images"
)

const testSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// The signature was made by the package standardwebhooks 1.0 from PyPI, which receivers use.
func TestSignatureIsThatOfStandardWebhooks(t *testing.T) {
	key, err := ParseSecret(testSecret)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := sign(key, "0e0e/5", time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`)), "v1,8jz36TVcY+l67orr7q6ZwENh/hf2VFKzGz+QnTdb1Uc="; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestWebhookRefusesBadAddressesAndSecrets(t *testing.T) {
	for _, address := range []string{"", "example.org/hook", "ftp://example.org", "http://", "https://user:pass@example.org/"} {
		if _, err := NewWebhook(address, testSecret); err == nil {
			t.Errorf("address %q was taken", address)
		}
	}
	for _, secret := range []string{"", "whsec_", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_short", "whsec_!!!"} {
		if _, err := NewWebhook("https://example.org/hook", secret); err == nil {
			t.Errorf("secret %q was taken", secret)
		}
	}
	if _, err := NewWebhook("https://example.org/hook", NewSecret()+"\n"); err != nil {
		t.Errorf("a new secret: %v", err)
	}
}

// memory is a Queue without a disk.
type memory struct {
	mu     sync.Mutex
	n      int64
	list   []Delivery
	due    map[int64]time.Time
	failed func() error // of DoneDelivery; nil never fails
}

func (m *memory) add(id string, seqs ...int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, seq := range seqs {
		m.n++
		m.list = append(m.list, Delivery{N: m.n, Event: images.Event{ImageID: id, Seq: seq, To: images.StatusActive}, AddedAt: time.Now()})
	}
}

func (m *memory) NextDeliveries(_ context.Context, _ string, limit int) (next []Delivery, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	heads := map[string]bool{}
	for _, d := range m.list {
		if !heads[d.Event.ImageID] && len(next) < limit {
			heads[d.Event.ImageID] = true
			if !m.due[d.N].After(time.Now()) {
				next = append(next, d)
			}
		}
	}
	return next, nil
}

func (m *memory) DoneDelivery(_ context.Context, n int64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.failed != nil {
		if err := m.failed(); err != nil {
			return err
		}
	}
	for k, d := range m.list {
		if d.N == n {
			m.list = append(m.list[:k], m.list[k+1:]...)
			break
		}
	}
	return nil
}

func (m *memory) PostponeDelivery(_ context.Context, n int64, until time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for k := range m.list {
		if m.list[k].N == n {
			m.list[k].Attempts++
		}
	}
	if m.due == nil {
		m.due = map[int64]time.Time{}
	}
	m.due[n] = until
	return nil
}

func (m *memory) left() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.list)
}

// receiver keeps what it took, checks order and signature, and answers as its function says.
type receiver struct {
	t    *testing.T
	mu   sync.Mutex
	took map[string][]int64
	*httptest.Server
}

func newReceiver(t *testing.T, answer func(e images.Event, attempt int) int) *receiver {
	r := &receiver{t: t, took: map[string][]int64{}}
	attempts := map[string]int{}
	key, err := ParseSecret(testSecret)
	if err != nil {
		t.Fatal(err)
	}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body, _ := io.ReadAll(q.Body)
		var m Message
		if err := json.Unmarshal(body, &m); err != nil {
			t.Error(err)
		}
		var at int64
		fmt.Sscan(q.Header.Get("Webhook-Timestamp"), &at)
		if q.Header.Get("Webhook-Signature") != sign(key, q.Header.Get("Webhook-Id"), time.Unix(at, 0), body) || q.Header.Get("Webhook-Id") != m.ID || time.Since(time.Unix(at, 0)) > time.Minute {
			t.Errorf("the signature of %s is wrong: %v", body, q.Header)
		}
		r.mu.Lock()
		attempts[m.ID]++
		attempt := attempts[m.ID]
		r.mu.Unlock()
		status := answer(m.Data, attempt)
		r.mu.Lock()
		if list := r.took[m.Data.ImageID]; status/100 == 2 {
			if n := len(list); n > 0 && list[n-1] > m.Data.Seq || n == 0 && m.Data.Seq != 1 || n > 0 && m.Data.Seq > list[n-1]+1 {
				t.Errorf("image %s: %d came after %v", m.Data.ImageID, m.Data.Seq, list)
			}
			r.took[m.Data.ImageID] = append(list, m.Data.Seq)
		}
		r.mu.Unlock()
		w.WriteHeader(status)
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) count(id string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.took[id])
}

// start runs a webhook with short waits until the test ends.
func start(t *testing.T, address string, q Queue, edit func(*Webhook)) (stop func()) {
	t.Helper()
	w, err := NewWebhook(address, testSecret)
	if err != nil {
		t.Fatal(err)
	}
	w.Queue, w.Log, w.wait = q, slog.New(slog.DiscardHandler), time.Millisecond
	w.most, w.idle = 4*time.Millisecond, time.Millisecond
	if edit != nil {
		edit(w)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { w.Run(ctx, nil); close(done) }()
	stop = sync.OnceFunc(func() { cancel(); <-done })
	t.Cleanup(stop)
	return stop
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within a minute: %s", what)
		}
	}
}

func TestWebhookDeliversEverythingInOrderThroughEveryKindOfFailure(t *testing.T) {
	q := &memory{}
	var mu sync.Mutex
	dice := rand.New(rand.NewPCG(1, 2))
	statuses := []int{200, 204, 302, 400, 408, 410, 429, 500, 503}
	r := newReceiver(t, func(images.Event, int) int {
		mu.Lock()
		defer mu.Unlock()
		return statuses[dice.IntN(len(statuses))]
	})
	const each = 5
	for range 20 {
		q.add(images.NewID(), 1, 2, 3, 4, 5)
	}
	start(t, r.URL, q, nil)
	eventually(t, "all delivered", func() bool { return q.left() == 0 })
	for id, list := range r.took {
		if len(list) != each || list[each-1] != each {
			t.Errorf("image %s: got %v", id, list)
		}
	}
}

func TestAnEventThatIsRefusedHoldsUpItsImageAlone(t *testing.T) {
	q := &memory{}
	bad, good := images.NewID(), images.NewID()
	r := newReceiver(t, func(e images.Event, _ int) int {
		if e.ImageID == bad && e.Seq == 2 {
			return 400
		}
		return 200
	})
	q.add(bad, 1, 2, 3)
	q.add(good, 1, 2, 3, 4)
	start(t, r.URL, q, nil)
	eventually(t, "the others delivered", func() bool { return q.left() == 2 && r.count(good) == 4 })
	if n := r.count(bad); n != 1 {
		t.Errorf("of the image whose second event is refused: got %d, want 1", n)
	}
}

func TestADeadReceiverDoesNotHoldUpAnother(t *testing.T) {
	dead := httptest.NewServer(nil)
	dead.Close()
	lost, kept, id := &memory{}, &memory{}, images.NewID()
	r := newReceiver(t, func(images.Event, int) int { return 200 })
	for _, q := range []*memory{lost, kept} {
		q.add(id, 1, 2, 3)
	}
	start(t, dead.URL, lost, nil)
	start(t, r.URL, kept, nil)
	eventually(t, "delivered to the one that lives", func() bool { return kept.left() == 0 })
	eventually(t, "tried again and again", func() bool { lost.mu.Lock(); defer lost.mu.Unlock(); return lost.list[0].Attempts > 3 })
	if lost.left() != 3 {
		t.Errorf("the dead one's queue has %d events, want 3", lost.left())
	}
}

func TestASlowReceiverIsCutOffAndAskedAgain(t *testing.T) {
	q, id := &memory{}, images.NewID()
	stuck := make(chan struct{})
	release := sync.OnceFunc(func() { close(stuck) })
	r := newReceiver(t, func(e images.Event, attempt int) int {
		if e.Seq == 2 && attempt == 1 {
			<-stuck
			return 500 // nobody waits for it any more
		}
		return 200
	})
	t.Cleanup(release) // before the receiver ends
	q.add(id, 1, 2, 3)
	start(t, r.URL, q, func(w *Webhook) { w.client.Timeout = 50 * time.Millisecond })
	eventually(t, "all delivered", func() bool { return q.left() == 0 })
	release()
}

func TestAnEventIsDeliveredAgainWhenItsEndCouldNotBeKept(t *testing.T) {
	lost := 0
	q, id := &memory{}, images.NewID()
	q.failed = func() error {
		if lost++; lost <= 2 {
			return errors.New("the disk is full")
		}
		return nil
	}
	r := newReceiver(t, func(images.Event, int) int { return 200 })
	q.add(id, 1, 2)
	start(t, r.URL, q, nil)
	eventually(t, "all delivered", func() bool { return q.left() == 0 })
	if got := fmt.Sprint(r.took[id]); got != "[1 1 1 2]" {
		t.Errorf("got %s, want [1 1 1 2]", got)
	}
}

func TestWhatNobodyTakesForAWeekIsGivenUp(t *testing.T) {
	dead := httptest.NewServer(nil)
	dead.Close()
	q := &memory{}
	q.add(images.NewID(), 1, 2)
	start(t, dead.URL, q, func(w *Webhook) { w.Now = func() time.Time { return time.Now().Add(giveUpAfter + time.Minute) } })
	eventually(t, "given up", func() bool { return q.left() == 0 })
}
