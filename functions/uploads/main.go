// Command uploads answers API Gateway for bytes: it signs uploads and downloads, and completes multipart uploads. Its role alone may do that.
package main

import (
	"context"
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
	api, err := c.API()
	if err != nil {
		log.Fatal(err)
	}
	lambda.Start(event.Gateway(api))
}
