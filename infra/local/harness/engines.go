package harness

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider/types"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"bullion/internal/dynamostore"
	"bullion/internal/dynamostore/dynamotest"
	"bullion/internal/identity/dynamo"
)

// Region is where everything pretends to be.
const Region = "eu-central-1"

// Password is that of every user.
const Password = "Correct-horse-7"

// Bucket is the one for images.
const Bucket = "images"

// The account of the S3 engine.
const (
	AccessKey = "test"
	SecretKey = "test-secret"
)

// User may sign in, with Password.
type User struct {
	Name   string
	Groups []string // of the user pool, each as project:role
}

// Engines are what the functions speak to, but for S3.
type Engines struct {
	DynamoDB string     // URL
	AWS      aws.Config // reaches the emulation of Cognito and Parameter Store

	Table, IdentityTable string // names
	Pool, Client         string // ids of the user pool and its app client
}

// Prepare makes the tables, the user pool and the users, as template.yaml and its output NextStep do.
func (e *Engines) Prepare(ctx context.Context, users []User) error {
	db := dynamotest.Client(e.DynamoDB)
	for _, in := range []*dynamodb.CreateTableInput{dynamostore.TableInput(e.Table), dynamo.TableInput(e.IdentityTable)} {
		if _, err := db.CreateTable(ctx, in); err != nil {
			return fmt.Errorf("make the table %s: %w", *in.TableName, err)
		}
	}
	if err := e.warm(ctx); err != nil {
		return err
	}
	pools := cognitoidentityprovider.NewFromConfig(e.AWS)
	pool, err := pools.CreateUserPool(ctx, &cognitoidentityprovider.CreateUserPoolInput{PoolName: aws.String("bullion")})
	if err != nil {
		return fmt.Errorf("make a user pool: %w", err)
	}
	e.Pool = *pool.UserPool.Id
	app, err := pools.CreateUserPoolClient(ctx, &cognitoidentityprovider.CreateUserPoolClientInput{UserPoolId: &e.Pool, ClientName: aws.String("identity"),
		ExplicitAuthFlows: []types.ExplicitAuthFlowsType{types.ExplicitAuthFlowsTypeAllowAdminUserPasswordAuth}})
	if err != nil {
		return fmt.Errorf("make the client of the user pool: %w", err)
	}
	e.Client = *app.UserPoolClient.ClientId
	made := map[string]bool{}
	for _, u := range users {
		_, err := pools.AdminCreateUser(ctx, &cognitoidentityprovider.AdminCreateUserInput{UserPoolId: &e.Pool, Username: &u.Name, MessageAction: types.MessageActionTypeSuppress})
		if err == nil {
			_, err = pools.AdminSetUserPassword(ctx, &cognitoidentityprovider.AdminSetUserPasswordInput{UserPoolId: &e.Pool, Username: &u.Name, Password: aws.String(Password), Permanent: true})
		}
		for _, group := range u.Groups {
			if err == nil && !made[group] {
				made[group] = true
				_, err = pools.CreateGroup(ctx, &cognitoidentityprovider.CreateGroupInput{UserPoolId: &e.Pool, GroupName: &group})
			}
			if err == nil {
				_, err = pools.AdminAddUserToGroup(ctx, &cognitoidentityprovider.AdminAddUserToGroupInput{UserPoolId: &e.Pool, Username: &u.Name, GroupName: &group})
			}
		}
		if err != nil {
			return fmt.Errorf("make the user %s: %w", u.Name, err)
		}
	}
	return nil
}

// Secret sets a SecureString parameter of Parameter Store.
func (e *Engines) Secret(ctx context.Context, name, value string) error {
	_, err := ssm.NewFromConfig(e.AWS).PutParameter(ctx, &ssm.PutParameterInput{Name: &name, Value: &value, Type: ssmtypes.ParameterTypeSecureString})
	return err
}

// Template reads template.yaml in the folder of the project as deployed on the engines, with the public URL http:// and domain.
func (e *Engines) Template(root string, parameters map[string]string, domain string) (*Template, error) {
	values := map[string]string{
		"AWS::StackName": "bullion", "AWS::Region": Region, "Distribution.DomainName": domain,
		"Table": e.Table, "IdentityTable": e.IdentityTable, "ImagesBucket": Bucket, "UserPool": e.Pool, "UserPoolClient": e.Client,
	}
	maps.Copy(values, parameters)
	return ReadTemplate(filepath.Join(root, "template.yaml"), values)
}

// warm has moto load its Parameter Store, which takes a busy machine longer than a function may.
func (e *Engines) warm(ctx context.Context) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, *e.AWS.BaseEndpoint, strings.NewReader(`{"Name":"nothing"}`))
	if err != nil {
		return err
	}
	r.Header.Set("X-Amz-Target", "AmazonSSM.GetParameter")
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=test/20260101/"+Region+"/ssm/aws4_request, SignedHeaders=host, Signature=none")
	client := &http.Client{Timeout: time.Minute}
	res, err := client.Do(r)
	if err != nil {
		return fmt.Errorf("the emulation of Parameter Store does not answer: %w", err)
	}
	_, err = io.Copy(io.Discard, res.Body)
	return errors.Join(err, res.Body.Close())
}
