// Command validate takes the bucket's news of objects and carries each upload to active or rejected.
package main

import (
	"context"
	"encoding/json"
	"log"
	"os"

	"github.com/aws/aws-lambda-go/lambda"

	"bullion/internal/cloud"
	"bullion/internal/event"
)

func main() {
	c, err := cloud.Open(context.Background(), os.Getenv)
	if err != nil {
		log.Fatal(err)
	}
	v := c.Validator()
	lambda.Start(func(ctx context.Context, payload json.RawMessage) error {
		return event.HandleArrivals(ctx, payload, v.Arrived)
	})
}
