// Command samlocal starts what sam local needs beside it: a DynamoDB engine, the embedded S3 server and an emulation of Cognito and Parameter Store, all on
// the loopback interface, with tables and a first user. It writes the environment of the functions into a file for sam's --env-vars and runs until it is
// interrupted. infra/sam-local starts it, moto and sam.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider/types"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"bullion/infra/local/s3engine"
	"bullion/internal/dynamostore"
	"bullion/internal/dynamostore/dynamotest"
	"bullion/internal/identity"
	"bullion/internal/identity/dynamo"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

const (
	region   = "eu-central-1"
	s3Listen = "127.0.0.1:3002"
	url      = "http://127.0.0.1:3000"
)

func run(args []string) (err error) {
	if len(args) != 2 {
		return errors.New("usage: samlocal FOLDER MOTO-URL")
	}
	dir, err := filepath.Abs(args[0]) // before the S3 engine changes the directory
	if err != nil {
		return err
	}
	moto := args[1]
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()

	tables, err := dynamotest.StartDynoxide(ctx)
	if err != nil {
		return err
	}
	defer tables.Stop()
	db := dynamotest.Client(tables.Endpoint)
	for _, in := range []*dynamodb.CreateTableInput{dynamostore.TableInput("bullion"), dynamo.TableInput("bullion-identity")} {
		if _, err := db.CreateTable(ctx, in); err != nil {
			return fmt.Errorf("make the table %s: %w", *in.TableName, err)
		}
	}
	engine, err := s3engine.Start(ctx, s3engine.Config{Dir: filepath.Join(dir, "s3"), Addr: s3Listen, AccessKey: "test", SecretKey: "test", Region: region, Bucket: "images",
		AllowedOrigins: []string{"*"}, Log: slog.New(slog.NewTextHandler(os.Stderr, nil))})
	if err != nil {
		return err
	}
	user, err := firstUser(ctx, moto)
	if err != nil {
		return err
	}
	common := map[string]string{
		"BULLION_PUBLIC_URL": url, "BULLION_TABLE": "bullion", "BULLION_IDENTITY_TABLE": "bullion-identity", "BULLION_BUCKET": "images",
		"BULLION_KEYS_PRIVATE": "/bullion/keys/private", "BULLION_KEYS_PUBLIC": "/bullion/keys/public", "BULLION_USER_POOL": user.pool, "BULLION_USER_POOL_CLIENT": user.client,
		"BULLION_S3_ENDPOINT": engine.Endpoint(), "BULLION_DYNAMODB_ENDPOINT": tables.Endpoint, "BULLION_SSM_ENDPOINT": moto, "BULLION_COGNITO_ENDPOINT": moto, "BULLION_EVENT_BUS": "",
	}
	environment := map[string]map[string]string{}
	for _, f := range []string{"ImagesFunction", "UploadsFunction", "IdentityFunction", "ValidateFunction", "ImporterFunction", "ScrubFunction"} {
		environment[f] = common
	}
	doc, err := json.MarshalIndent(environment, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "env.json"), doc, 0o600); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "clouds.yaml"), []byte(identity.CloudsYAML("bullion", url, "admin", user.password, "default")), 0o600); err != nil {
		return err
	}
	return engine.Wait()
}

type account struct{ pool, client, password string }

// firstUser makes a user pool with an administrator, as template.yaml and its output NextStep do.
func firstUser(ctx context.Context, endpoint string) (account, error) {
	pools := cognitoidentityprovider.New(cognitoidentityprovider.Options{Region: region, BaseEndpoint: &endpoint, Credentials: credentials.NewStaticCredentialsProvider("test", "test", "")})
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	a := account{password: "Local-only-1"}
	pool, err := pools.CreateUserPool(ctx, &cognitoidentityprovider.CreateUserPoolInput{PoolName: aws.String("bullion")})
	if err != nil {
		return a, fmt.Errorf("make a user pool at %s: %w", endpoint, err)
	}
	a.pool = *pool.UserPool.Id
	app, err := pools.CreateUserPoolClient(ctx, &cognitoidentityprovider.CreateUserPoolClientInput{UserPoolId: &a.pool, ClientName: aws.String("identity"),
		ExplicitAuthFlows: []types.ExplicitAuthFlowsType{types.ExplicitAuthFlowsTypeAllowAdminUserPasswordAuth}})
	if err != nil {
		return a, err
	}
	a.client = *app.UserPoolClient.ClientId
	name, group := aws.String("admin"), aws.String("default:admin")
	_, err = pools.CreateGroup(ctx, &cognitoidentityprovider.CreateGroupInput{UserPoolId: &a.pool, GroupName: group})
	if err != nil {
		return a, err
	}
	if _, err = pools.AdminCreateUser(ctx, &cognitoidentityprovider.AdminCreateUserInput{UserPoolId: &a.pool, Username: name, MessageAction: types.MessageActionTypeSuppress}); err != nil {
		return a, err
	}
	if _, err = pools.AdminSetUserPassword(ctx, &cognitoidentityprovider.AdminSetUserPasswordInput{UserPoolId: &a.pool, Username: name, Password: &a.password, Permanent: true}); err != nil {
		return a, err
	}
	_, err = pools.AdminAddUserToGroup(ctx, &cognitoidentityprovider.AdminAddUserToGroupInput{UserPoolId: &a.pool, Username: name, GroupName: group})
	return a, err
}
