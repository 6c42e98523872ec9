// Command importer fetches an image from the address that a user named. uploads starts it, scrub where that failed, and it starts itself again when a fetch does not
// end within the time of a function.
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
	lambda.Start(c.Imports())
}
