// Command scrub runs on a schedule: it finishes deletes, ends uploads, and starts validations again whose event was lost or whose run died.
package main

import (
	"context"
	"log"
	"os"

	"github.com/aws/aws-lambda-go/lambda"

	"bullion/internal/cloud"
)

func main() {
	c, err := cloud.Open(context.Background(), os.Getenv)
	if err != nil {
		log.Fatal(err)
	}
	lambda.Start(c.Rounds())
}
