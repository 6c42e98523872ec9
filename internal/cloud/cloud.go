// Package cloud wires the service for AWS: records in DynamoDB, bytes in S3, tokens verified with public keys from Parameter Store. The mains in functions/
// are a few lines because of it.
//
// The environment of the functions, set by template.yaml:
//
//	BULLION_TABLE            DynamoDB table of records
//	BULLION_BUCKET           S3 bucket of images
//	BULLION_PUBLIC_URL       where clients find the service, without /v2 or /v3
//	BULLION_POLICY           policy document (YAML or JSON); the default policy when it is not set
//	BULLION_INSPECTION       strict (default) or lenient
//	BULLION_BOOT             warn (default), require or off
//	BULLION_MAX_SIZE         largest image in bytes; 1 TiB when it is not set
//	BULLION_QUOTA            what a project may use for which nothing else was set: {"images":…,"bytes":…,"in_flight":…,"uploads":…}, each optional
//	BULLION_IMPORTER         name of the function importer; imports from addresses are refused when it is not set
//	BULLION_IMPORT_ALLOW     private hosts and networks from which imports may fetch, with commas; none by default
//	BULLION_IMPORT_REGIONS   SecureString parameter that lists the Images APIs of other regions from which images may be imported; none when it is not set
//	BULLION_EVENT_BUS        EventBridge bus that is told of every change; nobody is told when it is not set
//	BULLION_COMPUTE_PROXY    on to answer the image calls of the Compute API, else off (default)
//	BULLION_S3_ENDPOINT      for S3 engines that are not AWS, as in sam local; path style is used then
//	BULLION_DYNAMODB_ENDPOINT, BULLION_SSM_ENDPOINT, BULLION_LAMBDA_ENDPOINT, BULLION_EVENTS_ENDPOINT   the same for the others
//
// and what package identity/onaws reads.
package cloud

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"bullion/internal/diskimage"
	"bullion/internal/dynamostore"
	"bullion/internal/fetch"
	"bullion/internal/images"
	"bullion/internal/metrics"
	"bullion/internal/notify"
	"bullion/internal/outgoing"
	"bullion/internal/policy"
	"bullion/internal/s3store"
	"bullion/internal/scrub"
	"bullion/internal/validation"
)

// Cloud is the service on AWS.
type Cloud struct {
	Images  *images.Service
	Records *dynamostore.Store // of Images, and of the definitions of metadata
	Log     *slog.Logger
	Metrics *metrics.Writer

	Getenv func(string) string
	AWS    aws.Config

	inspection diskimage.Options
	sources    fetch.Rules // of imports
	events     *notify.Relay
}

// Open reads the environment once. It makes no call to AWS, so that a cold start costs nothing that is not used; everything that is missing or wrong
// is reported together.
func Open(ctx context.Context, getenv func(string) string) (*Cloud, error) {
	log := slog.New(slog.NewJSONHandler(os.Stdout, nil))
	var wrong []error
	need := func(name string) string {
		v := getenv(name)
		if v == "" {
			wrong = append(wrong, fmt.Errorf("%s is not set; template.yaml sets it for each function", name))
		}
		return v
	}
	table, bucket := need("BULLION_TABLE"), need("BULLION_BUCKET")
	public := need("BULLION_PUBLIC_URL")
	c := &Cloud{Log: log, Metrics: metrics.New(os.Stdout, getenv("AWS_LAMBDA_FUNCTION_NAME"), time.Now), Getenv: getenv}
	var err error
	check := func(name string, err error) {
		if err != nil {
			wrong = append(wrong, fmt.Errorf("%s: %w", name, err))
		}
	}
	if public != "" {
		check("BULLION_PUBLIC_URL", outgoing.CheckAddress(public))
	}
	for _, name := range []string{"BULLION_S3_ENDPOINT", "BULLION_DYNAMODB_ENDPOINT", "BULLION_SSM_ENDPOINT", "BULLION_LAMBDA_ENDPOINT", "BULLION_EVENTS_ENDPOINT"} {
		if text := getenv(name); text != "" {
			check(name, outgoing.CheckAddress(text))
		}
	}
	c.inspection.Mode, err = diskimage.ParseMode(getenv("BULLION_INSPECTION"))
	check("BULLION_INSPECTION", err)
	c.inspection.Boot, err = diskimage.ParseBootRule(getenv("BULLION_BOOT"))
	check("BULLION_BOOT", err)
	rules, err := policy.Parse([]byte(getenv("BULLION_POLICY")))
	check("BULLION_POLICY", err)
	limits := images.ServiceLimits{MaxParts: images.MaxParts}
	if text := getenv("BULLION_MAX_SIZE"); text != "" {
		if limits.MaxSize, err = strconv.ParseInt(text, 10, 64); err != nil || limits.MaxSize <= 0 {
			wrong = append(wrong, fmt.Errorf("BULLION_MAX_SIZE %q is not a number of bytes", text))
		}
	}
	if text := getenv("BULLION_QUOTA"); text != "" {
		limits.Quota = &images.Usage{Images: images.Unlimited, Bytes: images.Unlimited, InFlight: images.Unlimited, Uploads: images.Unlimited}
		decoder := json.NewDecoder(strings.NewReader(text))
		decoder.DisallowUnknownFields()
		if decoder.Decode(limits.Quota) != nil || decoder.More() {
			wrong = append(wrong, fmt.Errorf("BULLION_QUOTA %.200q is not JSON with numbers for images, bytes, in_flight and uploads", text))
		}
	}
	if err := errors.Join(wrong...); err != nil {
		return nil, err
	}
	if c.AWS, err = outgoing.LoadAWS(ctx); err != nil {
		return nil, err
	}
	objects := s3.NewFromConfig(c.AWS, func(o *s3.Options) {
		if endpoint := getenv("BULLION_S3_ENDPOINT"); endpoint != "" {
			o.BaseEndpoint, o.UsePathStyle = &endpoint, true
		}
	})
	blobs, err := s3store.New(objects, bucket, s3store.Options{})
	if err != nil {
		return nil, err
	}
	records := dynamodb.NewFromConfig(c.AWS, func(o *dynamodb.Options) {
		if endpoint := getenv("BULLION_DYNAMODB_ENDPOINT"); endpoint != "" {
			o.BaseEndpoint = &endpoint
		}
	})
	c.Records = dynamostore.New(records, table, dynamostore.Options{PublicFor: 5 * time.Second})
	c.Images = &images.Service{
		Store:  measuredStore{c.Records, c.Metrics, time.Now},
		Blobs:  blobs,
		Policy: rules,
		Log:    log,
		Now:    time.Now,
		NewID:  images.NewID,
		Limits: limits.WithDefaults(),
	}
	c.Images.Wake = c.wake
	c.openEvents()
	return c, c.openImports()
}

// Validator examines uploads.
func (c *Cloud) Validator() *validation.Validator {
	return &validation.Validator{Images: c.Images, Log: c.Log, Inspection: c.inspection, NewID: images.NewID, Now: time.Now}
}

// Scrubber does the rounds.
func (c *Cloud) Scrubber() *scrub.Scrubber {
	return &scrub.Scrubber{Images: c.Images, Validator: c.Validator(), Log: c.Log, Now: time.Now, Fetch: c.startImport}
}
