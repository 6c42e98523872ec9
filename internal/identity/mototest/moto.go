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
	"bullion/internal/proctest"
)

// requirements are what is installed, and the variable that names a virtual environment which has them already.
const (
	requirements = "moto[cognitoidp,dynamodb,ssm,server]==5.2.5"
	variable     = "BULLION_MOTO_VENV"
)

// Start runs moto until the test ends. The configuration reaches it with credentials that mean nothing.
func Start(t testing.TB) aws.Config {
	t.Helper()
	c, stop, err := Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return c
}

// Run is Start outside of tests: moto runs until stop is called.
func Run(ctx context.Context) (_ aws.Config, stop func(), err error) {
	bin, err := venvtest.Install(ctx, variable, requirements)
	if err != nil {
		return aws.Config{}, nil, err
	}
	address, err := proctest.FreeAddr()
	if err != nil {
		return aws.Config{}, nil, err
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return aws.Config{}, nil, err
	}
	if stop, err = proctest.Start(address, exec.Command(filepath.Join(bin, "moto_server"), "-H", host, "-p", port)); err != nil {
		return aws.Config{}, nil, err
	}
	return aws.Config{
		Region:       "eu-central-1",
		BaseEndpoint: aws.String("http://" + address),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "test", SecretAccessKey: "test"}, nil
		}),
	}, stop, nil
}
