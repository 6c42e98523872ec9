// Command validate takes the bucket's news of objects and carries each upload to active or rejected.
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
	lambda.Start(c.Arrivals())
}
