// Package event turns AWS events into calls: API Gateway requests into an http.Handler's, S3 notifications into arrivals. Both hosts use it: on one
// machine the embedded S3 server writes the same notification.
package event

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-lambda-go/events"

	"bullion/internal/images"
)

// Arrivals reads an S3 notification (events.S3Event, or what EventBridge makes of one) and says which objects were created. Keys are decoded. Other
// events are left out.
func Arrivals(payload []byte) ([]images.Blob, error) {
	var e struct {
		events.S3Event
		DetailType string          `json:"detail-type"`
		Detail     json.RawMessage `json:"detail"`
	}
	if err := json.Unmarshal(payload, &e); err != nil {
		return nil, fmt.Errorf("read an S3 event: %w", err)
	}
	if e.DetailType == "Object Created" {
		return fromEventBridge(e.Detail)
	}
	blobs := make([]images.Blob, 0, len(e.Records))
	for _, r := range e.Records {
		if !strings.HasPrefix(r.EventName, "ObjectCreated:") {
			continue
		}
		o := r.S3.Object
		if o.URLDecodedKey == "" {
			return nil, fmt.Errorf("read an S3 event: a record of %s has no key", r.EventName)
		}
		blobs = append(blobs, images.Blob{Key: o.URLDecodedKey, VersionID: o.VersionID, ETag: o.ETag, Size: o.Size})
	}
	return blobs, nil
}

// fromEventBridge reads the detail of EventBridge's "Object Created", whose keys are not encoded.
func fromEventBridge(detail json.RawMessage) ([]images.Blob, error) {
	var d struct {
		Object struct {
			Key       string `json:"key"`
			Size      int64  `json:"size"`
			ETag      string `json:"etag"`
			VersionID string `json:"version-id"`
		} `json:"object"`
	}
	if err := json.Unmarshal(detail, &d); err != nil {
		return nil, fmt.Errorf("read an EventBridge event of S3: %w", err)
	}
	if d.Object.Key == "" {
		return nil, errors.New("read an EventBridge event of S3: the object has no key")
	}
	return []images.Blob{{Key: d.Object.Key, VersionID: d.Object.VersionID, ETag: d.Object.ETag, Size: d.Object.Size}}, nil
}

// HandleArrivals carries every object of a notification through arrived. It returns the errors of all that were not handled, so that the
// sender tries again.
func HandleArrivals(ctx context.Context, payload []byte, arrived func(context.Context, images.Blob) error) error {
	blobs, err := Arrivals(payload)
	if err != nil {
		return err
	}
	var errs []error
	for _, b := range blobs {
		if err := arrived(ctx, b); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", b.Key, err))
		}
	}
	return errors.Join(errs...)
}
