// Package mototest starts moto, an emulation of AWS, for the tests of the code that speaks to Cognito, Parameter Store and DynamoDB.
package mototest

import (
	"context"
	"net"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"

	"bullion/internal/identity/venvtest"
)

// Start runs moto until the test ends. The configuration reaches it with credentials that mean nothing.
func Start(t testing.TB) aws.Config {
	t.Helper()
	bin := venvtest.Bin(t, "BULLION_MOTO_VENV", "moto[cognitoidp,dynamodb,ssm,server]==5.2.5")
	address := venvtest.FreeAddress(t)
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	venvtest.Start(t, address, exec.Command(filepath.Join(bin, "moto_server"), "-H", host, "-p", port))
	return aws.Config{
		Region:       "eu-central-1",
		BaseEndpoint: aws.String("http://" + address),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "test", SecretAccessKey: "test"}, nil
		}),
	}
}
