package onaws

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"bullion/internal/identity/keystone"
	"bullion/internal/images"
)

// Keystone verifies tokens of a Keystone elsewhere. The account that may ask it is in Parameter Store, and read when the first token comes.
type Keystone struct {
	url, parameter string
	client         *ssm.Client

	mu       sync.Mutex
	verifier *keystone.Verifier
	failed   error
	retry    time.Time
}

// account is the JSON in the parameter: a user with a password and a project, or an application credential.
type account struct {
	Username      string `json:"username"`
	Password      string `json:"password"`
	UserDomain    string `json:"user_domain"`
	Project       string `json:"project"`
	ProjectDomain string `json:"project_domain"`

	AppCredentialID     string `json:"application_credential_id"`
	AppCredentialSecret string `json:"application_credential_secret"`
}

// Verify implements api.Authenticator.
func (k *Keystone) Verify(ctx context.Context, token string) (images.Caller, error) {
	v, err := k.ready(ctx)
	if err != nil {
		return images.Caller{}, images.Wrap(images.Unavailable, err, "tokens cannot be checked at the moment: try again")
	}
	return v.Verify(ctx, token)
}

// ready is the verifier, made once. What went wrong is told again for a few seconds before the parameter is read once more.
func (k *Keystone) ready(ctx context.Context) (*keystone.Verifier, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.verifier != nil || time.Now().Before(k.retry) {
		return k.verifier, k.failed
	}
	k.verifier, k.failed = k.open(ctx)
	k.retry = time.Now().Add(10 * time.Second)
	return k.verifier, k.failed
}

func (k *Keystone) open(ctx context.Context) (*keystone.Verifier, error) {
	out, err := k.client.GetParameter(ctx, &ssm.GetParameterInput{Name: &k.parameter, WithDecryption: aws.Bool(true)})
	if _, missing := errors.AsType[*types.ParameterNotFound](err); missing {
		return nil, fmt.Errorf(`the parameter %[1]s is not there; make it: aws ssm put-parameter --name %[1]s --type SecureString --value '{"username":"glance","password":"…","project":"service"}'`, k.parameter)
	}
	if err != nil {
		return nil, fmt.Errorf("read the parameter %s: %w", k.parameter, err)
	}
	var a account
	decoder := json.NewDecoder(bytes.NewReader([]byte(aws.ToString(out.Parameter.Value))))
	decoder.DisallowUnknownFields()
	if decoder.Decode(&a) != nil { // whose error could show the password
		return nil, fmt.Errorf(`the parameter %s is not JSON like {"username":"glance","password":"…","project":"service"}`, k.parameter)
	}
	v, err := keystone.New(keystone.Config{URL: k.url, Username: a.Username, Password: a.Password, UserDomain: a.UserDomain, Project: a.Project, ProjectDomain: a.ProjectDomain,
		AppCredentialID: a.AppCredentialID, AppCredentialSecret: a.AppCredentialSecret})
	if err != nil {
		return nil, fmt.Errorf("the parameter %s: %w", k.parameter, err)
	}
	return v, nil
}
