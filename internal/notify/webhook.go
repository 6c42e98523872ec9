package notify

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"bullion/internal/images"
)

// Delivery is an event that waits for one destination.
type Delivery struct {
	N        int64
	Event    images.Event
	Attempts int // that failed
	AddedAt  time.Time
}

// Queue keeps the deliveries of each destination.
type Queue interface {
	// NextDeliveries returns up to limit deliveries that are due, at most one of an image, the oldest of each.
	NextDeliveries(ctx context.Context, destination string, limit int) ([]Delivery, error)
	// DoneDelivery forgets a delivery.
	DoneDelivery(ctx context.Context, n int64) error
	// PostponeDelivery notes a failed attempt; no delivery of its image to its destination is due before the time.
	PostponeDelivery(ctx context.Context, n int64, until time.Time) error
}

// Bounds of a Webhook.
const (
	atOnce        = 8                  // requests
	answerWithin  = 10 * time.Second   // from the connection to the end of the answer
	giveUpAfter   = 7 * 24 * time.Hour // an event that could not be delivered for so long is dropped; the image's history has it
	answerBytes   = 64 << 10           // read of an answer, so that the connection can be used again
	firstWait     = time.Second        // after a failure, doubled each time
	longestWait   = 5 * time.Minute
	queueInterval = 5 * time.Second // between looks at a queue with nothing due
)

// Webhook delivers events to one URL by POST, in order for each image, several images at once. A receiver that is down is left in peace for longer and longer; an event
// that it refuses holds up its image alone. Make one with NewWebhook.
type Webhook struct {
	URL    string
	Source string // public URL of the service
	Queue  Queue
	Log    *slog.Logger
	Now    func() time.Time

	secret []byte
	client *http.Client
	wait   time.Duration // after the first failure
	most   time.Duration // after many
	idle   time.Duration // between looks at a queue with nothing due
}

// NewWebhook checks the URL and the secret: whsec_ and base64, as ParseSecret takes it.
func NewWebhook(address, secret string) (*Webhook, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil {
		return nil, fmt.Errorf("the webhook %q is not an http or https URL without a user name", address)
	}
	key, err := ParseSecret(secret)
	if err != nil {
		return nil, err
	}
	return &Webhook{
		URL: address, Now: time.Now, secret: key, wait: firstWait, most: longestWait, idle: queueInterval,
		client: &http.Client{
			Timeout: answerWithin,
			// The operator named this address and no other, and no proxy.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			Transport: &http.Transport{
				DialContext: (&net.Dialer{Timeout: answerWithin / 2}).DialContext, TLSHandshakeTimeout: answerWithin / 2,
				MaxIdleConnsPerHost: atOnce, IdleConnTimeout: time.Minute, ForceAttemptHTTP2: true,
			},
		},
	}, nil
}

const secretPrefix = "whsec_"

// NewSecret makes a random secret.
func NewSecret() string {
	var b [32]byte
	rand.Read(b[:])
	return secretPrefix + base64.StdEncoding.EncodeToString(b[:])
}

// ParseSecret reads a secret in the form of Standard Webhooks: whsec_ and 24 to 64 bytes in base64.
func ParseSecret(text string) ([]byte, error) {
	encoded, ok := strings.CutPrefix(strings.TrimSpace(text), secretPrefix)
	key, err := base64.StdEncoding.DecodeString(encoded)
	if !ok || err != nil || len(key) < 24 || len(key) > 64 {
		return nil, errors.New("a webhook's secret is whsec_ followed by 24 to 64 random bytes in base64; make one with: echo whsec_$(openssl rand -base64 32)")
	}
	return key, nil
}

// sign makes the signature of Standard Webhooks (https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md). The time is in
// it, so that a request that somebody recorded cannot be sent again later.
func sign(secret []byte, id string, at time.Time, body []byte) string {
	mac := hmac.New(sha256.New, secret)
	fmt.Fprintf(mac, "%s.%d.", id, at.Unix())
	mac.Write(body)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// Run delivers until ctx ends. wake tells that there may be something new.
func (w *Webhook) Run(ctx context.Context, wake <-chan struct{}) {
	failures := 0 // of the receiver as a whole, in a row
	for ctx.Err() == nil {
		progress, down, err := w.round(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			failures++
			w.Log.LogAttrs(ctx, slog.LevelWarn, "the queue of a webhook does not answer", slog.String("webhook", w.host()), slog.String("error", err.Error()))
		case down != nil:
			failures++
			w.Log.LogAttrs(ctx, slog.LevelWarn, "a webhook does not answer; events wait for it", slog.String("webhook", w.host()), slog.Int("failures", failures), slog.String("error", down.Error()))
		default:
			failures = 0
		}
		switch {
		case failures > 0: // what is new does not mend the receiver
			sleep(ctx, w.backOff(failures), nil)
		case !progress:
			sleep(ctx, w.idle, wake)
		}
	}
}

func (w *Webhook) backOff(failures int) time.Duration {
	wait := min(w.wait<<min(failures-1, 20), w.most)
	return wait/2 + mathrand.N(wait/2+1)
}

// round sends one batch. down is why the receiver takes nothing at all.
func (w *Webhook) round(ctx context.Context) (progress bool, down, err error) {
	list, err := w.Queue.NextDeliveries(ctx, w.URL, atOnce)
	if err != nil {
		return false, nil, err
	}
	answers := make([]error, len(list))
	var senders sync.WaitGroup
	for n, d := range list {
		senders.Go(func() { answers[n] = w.post(ctx, d.Event) })
	}
	senders.Wait()
	if ctx.Err() != nil {
		return false, nil, nil // whatever arrived arrives again
	}
	for n, d := range list {
		switch {
		case answers[n] == nil:
			progress = true
			err = errors.Join(err, w.Queue.DoneDelivery(ctx, d.N))
		case w.Now().Sub(d.AddedAt) > giveUpAfter:
			progress = true
			w.Log.LogAttrs(ctx, slog.LevelError, "an event is given up: the webhook did not take it for a week", slog.String("webhook", w.host()),
				slog.String("image", d.Event.ImageID), slog.Int64("seq", d.Event.Seq), slog.String("error", answers[n].Error()))
			err = errors.Join(err, w.Queue.DoneDelivery(ctx, d.N))
		default:
			if _, refused := errors.AsType[*refusal](answers[n]); refused {
				progress = true
				w.Log.LogAttrs(ctx, slog.LevelWarn, "a webhook refused an event; it will be sent again", slog.String("webhook", w.host()),
					slog.String("image", d.Event.ImageID), slog.Int64("seq", d.Event.Seq), slog.String("error", answers[n].Error()))
			} else {
				down = answers[n]
			}
			// Also when nothing arrives at all, so that a few events on which a receiver dies do not keep the others from their turn.
			err = errors.Join(err, w.Queue.PostponeDelivery(ctx, d.N, w.Now().Add(w.backOff(d.Attempts+1))))
		}
	}
	if progress {
		down = nil
	}
	return progress, down, err
}

// refusal is an answer that concerns the event and not the receiver.
type refusal struct{ status string }

func (r *refusal) Error() string { return "it answered " + r.status }

// post sends one event; any 2xx takes it over.
func (w *Webhook) post(ctx context.Context, e images.Event) error {
	m := NewMessage(w.Source, e)
	body := m.json()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.URL, bytes.NewReader(body))
	if err != nil {
		return err
	}
	now := w.Now()
	r.Header.Set("Content-Type", "application/cloudevents+json; charset=UTF-8")
	r.Header.Set("User-Agent", "Bullion")
	r.Header.Set("Webhook-Id", m.ID)
	r.Header.Set("Webhook-Timestamp", strconv.FormatInt(now.Unix(), 10))
	r.Header.Set("Webhook-Signature", sign(w.secret, m.ID, now, body))
	res, err := w.client.Do(r)
	if err != nil {
		if u, ok := errors.AsType[*url.Error](err); ok {
			err = u.Err // the address may hold a secret of the receiver's
		}
		return err
	}
	defer res.Body.Close()
	_, _ = io.CopyN(io.Discard, res.Body, answerBytes) // what it says does not matter
	switch {
	case res.StatusCode/100 == 2:
		return nil
	case res.StatusCode >= 500, res.StatusCode == http.StatusTooManyRequests, res.StatusCode == http.StatusRequestTimeout:
		return fmt.Errorf("it answered %s", res.Status)
	}
	return &refusal{res.Status}
}

// host is what a log may say of the URL.
func (w *Webhook) host() string {
	u, err := url.Parse(w.URL)
	if err != nil {
		return "?"
	}
	return u.Host
}

func sleep(ctx context.Context, d time.Duration, wake <-chan struct{}) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-wake:
	case <-timer.C:
	}
}
