package dynamotest

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"os"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

type clientOptions = dynamodb.Options

// Client is a client of an endpoint that checks no keys.
func Client(endpoint string, options ...func(*dynamodb.Options)) *dynamodb.Client {
	return dynamodb.New(dynamodb.Options{
		Region:       "us-east-1",
		BaseEndpoint: &endpoint,
		HTTPClient:   &http.Client{Transport: transport},
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "test", SecretAccessKey: "test"}, nil
		}),
	}, options...)
}

// Table makes a table with a name of its own, which is gone when the test ends, and returns the name.
func Table(t testing.TB, client *dynamodb.Client, define func(name string) *dynamodb.CreateTableInput) string {
	t.Helper()
	name := "test-" + rand.Text()
	_, err := client.CreateTable(t.Context(), define(name))
	// The SDK repeats a request whose connection broke; the name is random, so a table that is there is this one.
	if _, repeated := errors.AsType[*types.ResourceInUseException](err); err != nil && !repeated {
		t.Fatalf("creating a table: %v", err)
	}
	t.Cleanup(func() {
		_, err := client.DeleteTable(context.Background(), &dynamodb.DeleteTableInput{TableName: &name})
		if _, repeated := errors.AsType[*types.ResourceNotFoundException](err); err != nil && !repeated {
			t.Errorf("deleting table %s: %v", name, err)
		}
	})
	return name
}

// EndpointVariable names a further endpoint to test against.
const EndpointVariable = "BULLION_DYNAMODB_ENDPOINT"

// Engines are the engines that tests run on, by name: both of this package, and the endpoint of BULLION_DYNAMODB_ENDPOINT when it is set.
func Engines() map[string]func(testing.TB) string {
	engines := map[string]func(testing.TB) string{"Dynoxide": Dynoxide, "MiniStack": Ministack}
	if e := os.Getenv(EndpointVariable); e != "" {
		engines[EndpointVariable] = func(testing.TB) string { return e }
	}
	return engines
}
