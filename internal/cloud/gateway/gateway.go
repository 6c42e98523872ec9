// Package gateway is the main of the functions that answer API Gateway with the Images API. It is apart from package cloud so that functions without
// an API do not ship one.
package gateway

import (
	"context"
	"log"
	"os"
	"time"

	"github.com/aws/aws-lambda-go/lambda"

	"bullion/internal/api"
	"bullion/internal/cloud"
	"bullion/internal/event"
	"bullion/internal/identity/onaws"
	"bullion/internal/metadefs"
)

// maxFile is the largest body of PUT …/file, in bytes: Lambda takes 6 MB, of which base64 leaves three quarters.
const maxFile = 4 << 20

// rate is what one user may ask of one process, which has one request at a time; what all may ask together API Gateway bounds.
var rate = api.Rate{PerSecond: 50, Burst: 100}

// Main serves until Lambda ends the process.
func Main() {
	c, err := cloud.Open(context.Background(), os.Getenv)
	if err != nil {
		log.Fatal(err)
	}
	c.Images.Examine = c.Validator().Run // what fits into a request is examined within it
	verifier, authURL, err := onaws.NewVerifier(c.Getenv, c.AWS)
	if err != nil {
		log.Fatal(err)
	}
	proxy := c.Getenv("BULLION_COMPUTE_PROXY")
	if proxy != "" && proxy != "on" && proxy != "off" {
		log.Fatalf("BULLION_COMPUTE_PROXY is %q; set it to on or off", proxy)
	}
	url := c.Getenv("BULLION_PUBLIC_URL")
	lambda.Start(event.Gateway(c.Metrics.Handler(event.At(url, api.New(api.Config{
		Images: c.Images, Metadefs: &metadefs.Service{Store: c.Records, Policy: c.Images.Policy, Now: time.Now}, Auth: verifier, Log: c.Log, MaxFile: maxFile, Scrubber: c.Scrubber(),
		Rate: &rate, AuthURL: authURL, Compute: proxy == "on",
	})))))
}
