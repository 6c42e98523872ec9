package s3store

import (
	"context"
	"errors"
	"fmt"
	"net/url"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"bullion/internal/outgoing"
)

// Config is how to reach an S3 endpoint with a fixed key, as the embedded engine's.
type Config struct {
	Endpoint  string // URL, as http://127.0.0.1:9000; "" is AWS
	Region    string
	AccessKey string
	SecretKey string
	// PathStyle puts the bucket into the path instead of before the host.
	PathStyle bool
	// HTTPClient is a bounded one (outgoing.Engine) when it is nil. It must wait long for an answer: completing a large upload is silent for long.
	HTTPClient s3.HTTPClient
}

// NewClient makes a client with the SDK's standard retries. On AWS, where credentials come from the surroundings, make the client with the SDK's config
// package instead.
func NewClient(c Config) (*s3.Client, error) {
	var faults []error
	if c.Region == "" {
		faults = append(faults, errors.New("the S3 region is empty; us-east-1 suits an engine that has none"))
	}
	if c.AccessKey == "" || c.SecretKey == "" {
		faults = append(faults, errors.New("the S3 access key or secret key is empty"))
	}
	if u, err := url.Parse(c.Endpoint); c.Endpoint != "" && (err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "") {
		faults = append(faults, fmt.Errorf("the S3 endpoint must be a URL such as http://127.0.0.1:9000, not %q", c.Endpoint))
	}
	if err := errors.Join(faults...); err != nil {
		return nil, fmt.Errorf("s3store: %w", err)
	}
	key := aws.Credentials{AccessKeyID: c.AccessKey, SecretAccessKey: c.SecretKey, Source: "s3store.Config"}
	o := s3.Options{
		Region:       c.Region,
		UsePathStyle: c.PathStyle,
		Credentials:  aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return key, nil }),
		HTTPClient:   c.HTTPClient,
	}
	if c.HTTPClient == nil {
		o.HTTPClient = outgoing.Engine()
	}
	if c.Endpoint != "" {
		o.BaseEndpoint = &c.Endpoint
	}
	return s3.New(o), nil
}
