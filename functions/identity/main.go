// Command identity answers API Gateway for Keystone v3: tokens, catalogue, projects, application credentials. It alone may read the
// signing keys. Package identity/onaws lists its environment.
package main

import (
	"context"
	"log"
	"log/slog"
	"os"
	"time"

	"github.com/aws/aws-lambda-go/lambda"

	"bullion/internal/event"
	"bullion/internal/identity/onaws"
	"bullion/internal/metrics"
	"bullion/internal/outgoing"
)

func main() {
	if err := run(context.Background(), os.Getenv); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, getenv func(string) string) error {
	c, err := outgoing.LoadAWS(ctx)
	if err != nil {
		return err
	}
	service, err := onaws.NewService(getenv, c, slog.New(slog.NewJSONHandler(os.Stdout, nil)))
	if err != nil {
		return err
	}
	measured := metrics.New(os.Stdout, getenv("AWS_LAMBDA_FUNCTION_NAME"), time.Now).Handler(service.Handler())
	lambda.Start(event.Gateway(measured)) // ends with the process
	return nil
}
