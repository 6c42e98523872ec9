package cloud

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
)

// invokeAgain starts this very function once more. The role needs lambda:InvokeFunction on the function itself.
func (c *Cloud) invokeAgain(ctx context.Context, payload []byte) error {
	name := c.Getenv("AWS_LAMBDA_FUNCTION_NAME")
	if name == "" {
		return errors.New("AWS_LAMBDA_FUNCTION_NAME is not set; Lambda sets it")
	}
	return c.invoke(ctx, name, payload)
}

// invoke starts a function asynchronously (https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html). Without the trace header that the SDK would send, Lambda does not
// take a long chain of continuations for a loop (https://docs.aws.amazon.com/lambda/latest/dg/invocation-recursion.html); leases and attempts on the record bound it.
func (c *Cloud) invoke(ctx context.Context, function string, payload []byte) error {
	header := http.Header{"X-Amz-Invocation-Type": {"Event"}, "Content-Type": {"application/json"}}
	_, err := c.call(ctx, "lambda", "BULLION_LAMBDA_ENDPOINT", "/2015-03-31/functions/"+url.PathEscape(function)+"/invocations", header, payload, http.StatusAccepted)
	if err != nil {
		return fmt.Errorf("start the function %s: %w", function, err)
	}
	return nil
}
