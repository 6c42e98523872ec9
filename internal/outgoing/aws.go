package outgoing

import (
	"context"
	"fmt"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
)

// LoadAWS reads the configuration of AWS from the surroundings, with a client that is bounded. Errors of its calls say which right is missing.
func LoadAWS(ctx context.Context) (aws.Config, error) {
	c, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return c, fmt.Errorf("the AWS configuration cannot be read: %w", err)
	}
	c.HTTPClient = New(transportOf(c.HTTPClient), AWS)
	c.APIOptions = append(c.APIOptions, nameMissingRight)
	return c, nil
}

// Engine is a client for an S3 engine of our own.
func Engine() *Client { return New(transportOf(nil), Here) }

// transportOf is that of the SDK, with what the surroundings chose, as certificates.
func transportOf(client aws.HTTPClient) *http.Transport {
	if b, ok := client.(*awshttp.BuildableClient); ok {
		return b.GetTransport()
	}
	return awshttp.NewBuildableClient().GetTransport()
}
