// Package notify tells others what happened to images: a webhook of one machine's operator, EventBridge on AWS.
//
// Every change of state is an event that the store keeps in the transaction of the change (images.Event). A Relay takes the events that nobody has
// acknowledged, hands them on, and acknowledges them then. So each arrives at least once: whoever dies in between leads to a second delivery, never to
// none. Events of one image are handed on in the order of their seq, which is also how a receiver knows those that it has had. docs/events.md is the
// contract with receivers.
package notify

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"bullion/internal/images"
)

// Type names what a message tells and the version of its form: attributes may be added to a version, and none is taken away or changes its meaning.
const Type = "bullion.image.state_changed.v1"

// Message is an event as it leaves the service: a CloudEvent in its JSON form (https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md).
type Message struct {
	SpecVersion string       `json:"specversion"`
	ID          string       `json:"id"` // image id and seq: the same however often it is delivered
	Source      string       `json:"source"`
	Type        string       `json:"type"`
	Subject     string       `json:"subject"` // image id
	Time        string       `json:"time"`
	ContentType string       `json:"datacontenttype"`
	Data        images.Event `json:"data"`
}

// NewMessage makes the message of an event. source is the public URL of the service.
func NewMessage(source string, e images.Event) Message {
	return Message{"1.0", fmt.Sprintf("%s/%d", e.ImageID, e.Seq), source, Type, e.ImageID, e.At.UTC().Format(time.RFC3339Nano), "application/json", e}
}

func (m Message) json() []byte {
	text, err := json.Marshal(m)
	if err != nil {
		panic(err) // strings, numbers and a time of this century
	}
	return text
}

// Sink takes events over.
type Sink interface {
	// Send returns the events that it took over; the others come again.
	Send(ctx context.Context, events []images.Event) (taken []images.Event, err error)
}

// Outbox is the part of images.Store that a Relay needs.
type Outbox interface {
	Undelivered(ctx context.Context, limit int) ([]images.Event, error)
	Delivered(ctx context.Context, events []images.Event) error
}

// Relay hands events of the store to a sink.
type Relay struct {
	Store Outbox
	Sink  Sink // nil when nobody wants to know
}

// batch is how many events are read at once.
const batch = 100

// Drain hands on what is undelivered now. It ends at the first failure, since events of an image must not overtake each other.
func (r *Relay) Drain(ctx context.Context) error {
	for {
		events, err := r.Store.Undelivered(ctx, batch)
		if err != nil || len(events) == 0 {
			return err
		}
		if err := r.hand(ctx, events); err != nil {
			return err
		}
	}
}

// hand sends events and acknowledges those that were taken.
func (r *Relay) hand(ctx context.Context, events []images.Event) error {
	taken, err := events, error(nil)
	if r.Sink != nil {
		taken, err = r.Sink.Send(ctx, events)
	}
	if len(taken) == 0 {
		return err
	}
	if markErr := r.Store.Delivered(ctx, taken); markErr != nil {
		return markErr
	}
	return err
}

// sendWithin bounds how long Tell keeps the caller of a write waiting.
const sendWithin = 3 * time.Second

// Tell hands on one event that was just written. Where it fails, a later Drain does it.
func (r *Relay) Tell(ctx context.Context, e images.Event) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), sendWithin)
	defer cancel()
	return r.hand(ctx, []images.Event{e})
}

// After makes a store that calls told after every write with an event, with the event as the store keeps it.
func After(s images.Store, told func(context.Context, images.Event)) images.Store {
	return &telling{s, told}
}

type telling struct {
	images.Store
	told func(context.Context, images.Event)
}

func (t *telling) Apply(ctx context.Context, w images.Write) error {
	err := t.Store.Apply(ctx, w)
	if err == nil && w.Event != nil {
		e := *w.Event
		e.Seq = w.Is.Version
		t.told(ctx, e)
	}
	return err
}
