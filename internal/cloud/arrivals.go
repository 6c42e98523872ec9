package cloud

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"bullion/internal/event"
	"bullion/internal/images"
	"bullion/internal/validation"
)

// Arrivals is the handler of the validate function. A run that the end of its quarter of an hour interrupts starts the function again with the same
// event and goes on where it stopped; an upload that another run is at is left to that run, and to scrub should that run die.
func (c *Cloud) Arrivals() func(context.Context, json.RawMessage) error {
	v := c.Validator()
	return func(ctx context.Context, payload json.RawMessage) error {
		unfinished := false
		err := event.HandleArrivals(ctx, payload, func(ctx context.Context, b images.Blob) error {
			err := v.Arrived(ctx, b)
			switch {
			case errors.Is(err, validation.ErrContinue):
				unfinished = true
				return nil
			case errors.Is(err, images.ErrBusy):
				return nil
			}
			return err
		})
		if err != nil || !unfinished {
			return err // Lambda brings the same event again after an error
		}
		if err := c.invokeAgain(ctx, payload); err != nil {
			return fmt.Errorf("the rest of a validation waits for scrub: %w", err)
		}
		return nil
	}
}
