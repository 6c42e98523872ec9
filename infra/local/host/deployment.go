package host

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"bullion/internal/cloud"
	"bullion/internal/dynamostore"
	"bullion/internal/identity"
	"bullion/internal/identity/onaws"
	"bullion/internal/images"
	"bullion/internal/s3store"
)

// openDeployment makes this program a gateway: records and bytes are those of a deployment on AWS, whose functions go on with their work beside it. What comes in
// through PUT …/file streams to S3, is hashed on the way and examined here.
func (h *host) openDeployment(ctx context.Context) error {
	var missing []error
	for _, flag := range []struct{ name, value, what string }{
		{"--table", h.Table, "the output TableName of the stack"},
		{"--bucket", h.Bucket, "the output ImagesBucketName of the stack"},
	} {
		if flag.value == "" {
			missing = append(missing, fmt.Errorf("%s is not set: it is %s", flag.name, flag.what))
		}
	}
	if err := errors.Join(missing...); err != nil {
		return err
	}
	var err error
	if h.cloud, err = cloud.Open(ctx, h.variables); err != nil {
		return err
	}
	if h.cloud.AWS.Region == "" {
		return errors.New("AWS_REGION is not set: it is the region of the deployment, as eu-central-1")
	}
	h.cloud.Log = h.log
	// What the records tell is left to the deployment's scrub, which knows where to send it.
	h.records = dynamostore.New(dynamodb.NewFromConfig(h.cloud.AWS, func(o *dynamodb.Options) {
		if endpoint := h.variables("BULLION_DYNAMODB_ENDPOINT"); endpoint != "" {
			o.BaseEndpoint = &endpoint
		}
	}), h.Table, dynamostore.Options{PublicFor: 5 * time.Second})
	blobs, isS3 := h.cloud.Images.Blobs.(*s3store.Store)
	if !isS3 {
		return fmt.Errorf("the bytes of the deployment are a %T, not an S3 bucket", h.cloud.Images.Blobs)
	}
	h.blobs = blobs
	// Whoever starts this wants to know now what is misspelt or forbidden.
	if _, err := h.records.Usage(ctx, "none"); err != nil {
		return fmt.Errorf("the table %s cannot be read: %w", h.Table, err)
	}
	if err := h.blobs.Check(ctx); err != nil {
		return fmt.Errorf("the bucket %s cannot be reached: %w", h.Bucket, err)
	}
	signed, err := h.blobs.PresignGet(ctx, images.Blob{Key: "images/none/none"}, "none", time.Minute)
	if err != nil {
		return err
	}
	u, err := url.Parse(signed.URL)
	if err != nil {
		return err
	}
	h.storage = u.Scheme + "://" + u.Host
	return nil
}

// variables are those that the functions of a deployment have, from the flags of this program or from its environment.
func (h *host) variables(name string) string {
	switch name {
	case "BULLION_TABLE":
		return h.Table
	case "BULLION_BUCKET":
		return h.Bucket
	case "BULLION_PUBLIC_URL":
		return h.PublicURL
	case "BULLION_INSPECTION":
		return h.Inspection
	case "BULLION_BOOT":
		return h.Boot
	case "BULLION_MAX_SIZE":
		return strconv.FormatInt(h.MaxSize, 10)
	case "BULLION_POLICY", "BULLION_IMPORT_ALLOW": // --policy and --import-allow are read elsewhere
		return ""
	case "BULLION_DYNAMODB_ENDPOINT", "BULLION_S3_ENDPOINT":
		return cmp.Or(h.Getenv(name), h.EndpointURL)
	}
	return h.Getenv(name)
}

// deployedIdentity is the identity service of the deployment, answered here: the same users, keys and revocations, and a catalogue that leads to this gateway.
func (h *host) deployedIdentity(context.Context) (*identity.Service, error) {
	return onaws.NewService(h.variables, h.cloud.AWS, h.log)
}
