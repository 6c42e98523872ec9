// Command images answers API Gateway for records: images, members, tags. It has no right to read or write bytes.
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
