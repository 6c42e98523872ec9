// Command importer runs on a schedule of a minute, and fetches images from addresses that users named. A fetch that does not end within the time of a function goes on in
// the next run.
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
	lambda.Start(c.Importer().Due)
}
