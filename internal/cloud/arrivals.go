package cloud

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"

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
		return c.invokeAgain(ctx, payload)
	}
}

// invokeAgain starts this very function once more, asynchronously (https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html). The role needs lambda:InvokeFunction on the function itself.
func (c *Cloud) invokeAgain(ctx context.Context, payload []byte) error {
	fail := func(err error) error {
		return fmt.Errorf("start the rest of a validation (scrub will, if this does not): %w", err)
	}
	name := c.Getenv("AWS_LAMBDA_FUNCTION_NAME")
	if name == "" {
		return fail(errors.New("AWS_LAMBDA_FUNCTION_NAME is not set; Lambda sets it"))
	}
	header := http.Header{"X-Amz-Invocation-Type": {"Event"}, "Content-Type": {"application/json"}}
	_, err := c.call(ctx, "lambda", "BULLION_LAMBDA_ENDPOINT", "/2015-03-31/functions/"+url.PathEscape(name)+"/invocations", header, payload, http.StatusAccepted)
	if err != nil {
		return fail(err)
	}
	return nil
}
