package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"bullion/internal/durable"
	"bullion/internal/images"
	"bullion/internal/notify"
)

const relayInterval = 10 * time.Second // between looks at the outbox when nothing wakes the relay

// openWebhooks makes a sender for each webhook. The secret is made when there is none.
func (h *host) openWebhooks(ctx context.Context) error {
	if err := h.store.KeepDestinations(ctx, h.Webhooks); err != nil || len(h.Webhooks) == 0 {
		return err
	}
	path := h.WebhookSecret
	if path == "" {
		path = filepath.Join(h.Data, "webhook-secret")
	}
	secret, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) && h.WebhookSecret == "" {
		secret = []byte(notify.NewSecret() + "\n")
		err = durable.WriteFile(path, secret)
	}
	if err != nil {
		return fmt.Errorf("the webhooks' secret: %w", err)
	}
	for _, address := range h.Webhooks {
		w, err := notify.NewWebhook(address, string(secret))
		if err != nil {
			return fmt.Errorf("--webhook-url and the secret in %s: %w", path, err)
		}
		w.Source, w.Queue, w.Log = h.PublicURL, h.store, h.log
		h.webhooks = append(h.webhooks, w)
	}
	return nil
}

// queued puts events into the queues of the webhooks.
type queued struct{ h *host }

func (q queued) Send(ctx context.Context, events []images.Event) ([]images.Event, error) {
	if err := q.h.store.QueueDeliveries(ctx, q.h.Webhooks, events); err != nil {
		return nil, err
	}
	return events, nil
}

// tell hands events on until ctx ends: from the outbox to a queue for each webhook, and from there to the webhook.
func (h *host) tell(ctx context.Context) {
	relay, happened := &notify.Relay{Store: h.store}, h.happened
	if len(h.webhooks) > 0 {
		relay.Sink = queued{h}
	} else {
		happened = nil // nobody waits for events, so they are put aside many at a time
	}
	var senders sync.WaitGroup
	waiting := make([]chan struct{}, len(h.webhooks))
	for n, w := range h.webhooks {
		waiting[n] = make(chan struct{}, 1)
		senders.Go(func() { w.Run(ctx, waiting[n]) })
	}
	for {
		if err := relay.Drain(ctx); err != nil {
			h.warn(ctx, "events cannot be handed on; they wait", err)
		}
		for _, c := range waiting {
			wake(c)
		}
		if !sleep(ctx, relayInterval, happened) {
			break
		}
	}
	senders.Wait()
}
