package cloud

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

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

// invokeAgain starts this very function once more, asynchronously: one signed request, which is not worth a client of the whole Lambda API
// (https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html). The role needs lambda:InvokeFunction on the function itself.
func (c *Cloud) invokeAgain(ctx context.Context, payload []byte) error {
	fail := func(err error) error {
		return fmt.Errorf("start the rest of a validation (scrub will, if this does not): %w", err)
	}
	name := c.Getenv("AWS_LAMBDA_FUNCTION_NAME")
	if name == "" {
		return fail(errors.New("AWS_LAMBDA_FUNCTION_NAME is not set; Lambda sets it"))
	}
	endpoint := c.Getenv("BULLION_LAMBDA_ENDPOINT")
	if endpoint == "" {
		suffix := ".amazonaws.com"
		if len(c.AWS.Region) > 3 && c.AWS.Region[:3] == "cn-" {
			suffix += ".cn"
		}
		endpoint = "https://lambda." + c.AWS.Region + suffix
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint+"/2015-03-31/functions/"+url.PathEscape(name)+"/invocations", bytes.NewReader(payload))
	if err != nil {
		return fail(err)
	}
	r.Header.Set("X-Amz-Invocation-Type", "Event")
	r.Header.Set("Content-Type", "application/json")
	key, err := c.AWS.Credentials.Retrieve(ctx)
	if err != nil {
		return fail(err)
	}
	sum := sha256.Sum256(payload)
	if err := v4.NewSigner().SignHTTP(ctx, key, r, hex.EncodeToString(sum[:]), "lambda", c.AWS.Region, time.Now()); err != nil {
		return fail(err)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return fail(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusAccepted {
		why, _ := io.ReadAll(io.LimitReader(res.Body, 1<<10)) // only for the message
		return fail(fmt.Errorf("Lambda answered %s: %s", res.Status, why))
	}
	return nil
}
