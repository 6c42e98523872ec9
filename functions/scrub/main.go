// Command scrub runs on a schedule: it finishes deletes, ends uploads, and starts validations again whose event was lost or whose run died.
package main

import (
	"context"
	"log"
	"os"

	"github.com/aws/aws-lambda-go/lambda"

	"bullion/internal/cloud"
	"bullion/internal/scrub"
)

func main() {
	c, err := cloud.Open(context.Background(), os.Getenv)
	if err != nil {
		log.Fatal(err)
	}
	s := c.Scrubber()
	lambda.Start(func(ctx context.Context) (report scrub.Report, err error) {
		report, _, err = s.Due(ctx)
		return report, err
	})
}
