package cloud

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"

	"bullion/internal/images"
	"bullion/internal/notify"
)

// bus is a notify.Sink on EventBridge. The role needs events:PutEvents on the bus.
type bus struct {
	*Cloud
	name string
}

// putAtOnce is how many entries one call of PutEvents takes.
const putAtOnce = 10

// Send puts events on the bus (https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html). Each entry has an answer of its own. After one that was
// refused no later event of its image counts as sent, so that none is missing before another.
func (b bus) Send(ctx context.Context, events []images.Event) (taken []images.Event, err error) {
	type entry struct {
		Time                                     int64 // seconds
		Source, DetailType, Detail, EventBusName string
	}
	failed := map[string]bool{}
	for chunk := range slices.Chunk(events, putAtOnce) {
		entries := make([]entry, len(chunk))
		for n, e := range chunk {
			detail, err := json.Marshal(notify.NewMessage(b.Getenv("BULLION_PUBLIC_URL"), e))
			if err != nil {
				return taken, err
			}
			entries[n] = entry{e.At.Unix(), "bullion", notify.Type, string(detail), b.name}
		}
		body, err := json.Marshal(map[string]any{"Entries": entries})
		if err != nil {
			return taken, err
		}
		header := http.Header{"X-Amz-Target": {"AWSEvents.PutEvents"}, "Content-Type": {"application/x-amz-json-1.1"}}
		text, err := b.call(ctx, "events", "BULLION_EVENTS_ENDPOINT", "/", header, body, http.StatusOK)
		if err != nil {
			return taken, fmt.Errorf("put events on the bus %s: %w", b.name, err)
		}
		var answer struct {
			Entries []struct{ ErrorCode, ErrorMessage string }
		}
		if err := json.Unmarshal(text, &answer); err != nil || len(answer.Entries) != len(chunk) {
			return taken, errors.Join(fmt.Errorf("put events: EventBridge answered %d of %d entries", len(answer.Entries), len(chunk)), err)
		}
		for n, e := range chunk {
			if why := answer.Entries[n]; why.ErrorCode != "" {
				failed[e.ImageID] = true
				b.Log.LogAttrs(ctx, slog.LevelWarn, "EventBridge refused an event; it will be sent again", slog.String("image", e.ImageID), slog.Int64("seq", e.Seq),
					slog.String("code", why.ErrorCode), slog.String("error", why.ErrorMessage))
			}
			if !failed[e.ImageID] {
				taken = append(taken, e)
			}
		}
	}
	if len(failed) > 0 {
		return taken, fmt.Errorf("put events: EventBridge refused events of %d images", len(failed))
	}
	return taken, nil
}

// openEvents has every write tell of itself. What cannot be sent at once is left to scrub.
func (c *Cloud) openEvents() {
	c.events = &notify.Relay{Store: c.Images.Store}
	if name := c.Getenv("BULLION_EVENT_BUS"); name != "" {
		c.events.Sink = bus{c, name}
	}
	c.Images.Store = notify.After(c.Images.Store, func(ctx context.Context, e images.Event) {
		if err := c.events.Tell(ctx, e); err != nil {
			c.Log.LogAttrs(ctx, slog.LevelWarn, "an event is left to scrub", slog.String("image", e.ImageID), slog.Int64("seq", e.Seq), slog.String("error", err.Error()))
		}
	})
}
