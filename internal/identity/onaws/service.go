// Package onaws makes the identity service, and the verifier that the other functions use, of what AWS offers: users in Cognito, signing keys in
// Parameter Store, revocations and application credentials in DynamoDB. Their packages say which rights each needs.
//
// The identity function reads
//
//	BULLION_USER_POOL           id of the user pool, as eu-central-1_AbCdEfGhI; none when all users are at providers
//	BULLION_USER_POOL_CLIENT    id of its app client
//	BULLION_USER_POOL_SECRET    of the app client, if it has one
//	BULLION_IDENTITY_TABLE      name of the DynamoDB table
//	BULLION_KEYS_PRIVATE        name of the SecureString parameter
//	BULLION_KEYS_PUBLIC         name of the String parameter
//	BULLION_PUBLIC_URL          where clients find the service, without /v3
//	BULLION_IMAGE_URL           where clients find the image service, without /v2; the public URL when it is not set
//	BULLION_COMPUTE_URL         where the image proxy of the compute API is; none when it is not set
//	BULLION_REGION              the region's name in the catalogue; RegionOne when it is not set
//	BULLION_TOKEN_LIFETIME      as 1h, which it is when it is not set
//	BULLION_TRUSTED_PROXIES     networks of proxies in front, as 192.0.2.0/24,198.51.100.0/24; none when it is not set
//	BULLION_PROVIDERS           further OpenID Connect providers: a JSON list of identity.Provider
//	BULLION_PROJECTS            without a user pool, the projects in which the groups of the providers give roles, with commas
//
// and the others only BULLION_IDENTITY_TABLE and BULLION_KEYS_PUBLIC, or, where a Keystone elsewhere vouches for callers and there is no identity function,
//
//	BULLION_KEYSTONE_URL        of that Keystone
//	BULLION_KEYSTONE_ACCOUNT    name of the SecureString parameter with the account that may ask it
//
// BULLION_COGNITO_ENDPOINT, BULLION_SSM_ENDPOINT and BULLION_DYNAMODB_ENDPOINT
// are for emulations of AWS. The user pool is an OpenID Connect provider by itself, with the id
// "cognito": who signed in at its page, with a second factor perhaps, comes in with the token they got there.
package onaws

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"bullion/internal/identity"
	"bullion/internal/identity/cognito"
	"bullion/internal/identity/dynamo"
	"bullion/internal/identity/ssmkeys"
	"bullion/internal/images"
	"bullion/internal/outgoing"
)

// environment reads variables and collects what is wrong with them.
type environment struct {
	get   func(string) string
	wrong []error
}

func (e *environment) need(name, what string) string {
	v := e.get(name)
	if v == "" {
		e.wrong = append(e.wrong, fmt.Errorf("%s is not set: it is %s", name, what))
	}
	return v
}

// addresses are of variables that may be empty.
func (e *environment) addresses(names ...string) {
	for _, name := range names {
		if text := e.get(name); text != "" {
			if err := outgoing.CheckAddress(text); err != nil {
				e.fail(name, err)
			}
		}
	}
}

func (e *environment) fail(name string, err error) {
	e.wrong = append(e.wrong, fmt.Errorf("%s: %w", name, err))
}

// parameters and tables are the clients of Parameter Store and DynamoDB.
func parameters(getenv func(string) string, c aws.Config) *ssm.Client {
	return ssm.NewFromConfig(c, func(o *ssm.Options) { redirect(&o.BaseEndpoint, getenv("BULLION_SSM_ENDPOINT")) })
}

func tables(getenv func(string) string, c aws.Config) *dynamodb.Client {
	return dynamodb.NewFromConfig(c, func(o *dynamodb.Options) { redirect(&o.BaseEndpoint, getenv("BULLION_DYNAMODB_ENDPOINT")) })
}

func redirect(endpoint **string, to string) {
	if to != "" {
		*endpoint = &to
	}
}

// NewService makes the identity service. It makes no call; everything that is missing or wrong in the environment is reported together.
func NewService(getenv func(string) string, c aws.Config, log *slog.Logger) (*identity.Service, error) {
	e := &environment{get: getenv}
	projects := words(getenv("BULLION_PROJECTS"))
	pool, client := "", ""
	if getenv("BULLION_USER_POOL") != "" || len(projects) == 0 {
		pool = e.need("BULLION_USER_POOL", "the id of the Cognito user pool, or set BULLION_PROJECTS and BULLION_PROVIDERS instead")
		client = e.need("BULLION_USER_POOL_CLIENT", "the id of the user pool's app client")
	} else {
		e.need("BULLION_PROVIDERS", "a JSON list of OpenID Connect providers, without which nobody can sign in where there is no user pool")
	}
	table := e.need("BULLION_IDENTITY_TABLE", "the name of the identity service's DynamoDB table")
	private := e.need("BULLION_KEYS_PRIVATE", "the name of the parameter with the signing keys")
	public := e.need("BULLION_KEYS_PUBLIC", "the name of the parameter with the public keys")
	url := e.need("BULLION_PUBLIC_URL", "the URL by which clients reach the service, without /v3")
	lifetime := time.Hour
	if v := getenv("BULLION_TOKEN_LIFETIME"); v != "" {
		var err error
		if lifetime, err = time.ParseDuration(v); err != nil || lifetime < time.Minute || lifetime > identity.MaxTokenLifetime {
			e.fail("BULLION_TOKEN_LIFETIME", errors.New("it is no duration like 1h or 30m, of a minute at least and a day at most"))
		}
	}
	e.addresses("BULLION_PUBLIC_URL", "BULLION_IMAGE_URL", "BULLION_COMPUTE_URL", "BULLION_COGNITO_ENDPOINT", "BULLION_SSM_ENDPOINT", "BULLION_DYNAMODB_ENDPOINT")
	proxies := e.networks("BULLION_TRUSTED_PROXIES")
	providers := e.providers("BULLION_PROVIDERS")
	if len(e.wrong) > 0 {
		return nil, errors.Join(e.wrong...)
	}
	store := &dynamo.Store{Client: tables(getenv, c), Table: table}
	var directory identity.Directory = identity.Outside(projects)
	if pool != "" {
		users := cognitoidentityprovider.NewFromConfig(c, func(o *cognitoidentityprovider.Options) {
			redirect(&o.BaseEndpoint, getenv("BULLION_COGNITO_ENDPOINT"))
		})
		directory = &cognito.Directory{Client: users, UserPoolID: pool, ClientID: client, ClientSecret: getenv("BULLION_USER_POOL_SECRET")}
		if !slices.ContainsFunc(providers, func(p identity.Provider) bool { return p.ID == "cognito" }) {
			region, _, _ := strings.Cut(pool, "_")
			providers = append(providers, identity.Provider{ID: "cognito", Issuer: "https://cognito-idp." + region + ".amazonaws.com/" + pool, Audiences: []string{client},
				NameClaim: "cognito:username", GroupsClaim: "cognito:groups"})
		}
	}
	config := identity.Config{
		Directory:   directory,
		Keys:        &ssmkeys.Source{Client: parameters(getenv, c), PrivateName: private, PublicName: public, Lifetime: lifetime},
		Revocations: store, Credentials: store,
		PublicURL: url, ImageURL: getenv("BULLION_IMAGE_URL"), ComputeURL: getenv("BULLION_COMPUTE_URL"), Region: getenv("BULLION_REGION"),
		TokenLifetime: lifetime, Providers: providers, Log: log,
	}
	if len(proxies) > 0 {
		config.ClientAddress = identity.ForwardedAddress(proxies)
	}
	service, err := identity.NewService(config)
	if err != nil { // of what is left to be wrong
		return nil, fmt.Errorf("BULLION_PROVIDERS or BULLION_PUBLIC_URL: %w", err)
	}
	return service, nil
}

// Authenticator checks tokens; it is package api's.
type Authenticator interface {
	Verify(ctx context.Context, token string) (images.Caller, error)
}

// NewVerifier makes what the other functions check tokens with, and says where tokens come from.
func NewVerifier(getenv func(string) string, c aws.Config) (v Authenticator, authURL string, err error) {
	e := &environment{get: getenv}
	e.addresses("BULLION_KEYSTONE_URL", "BULLION_SSM_ENDPOINT")
	if url := getenv("BULLION_KEYSTONE_URL"); url != "" {
		parameter := e.need("BULLION_KEYSTONE_ACCOUNT", "the name of the parameter with the account that may ask Keystone about tokens")
		return &Keystone{url: url, parameter: parameter, client: parameters(getenv, c)}, url, errors.Join(e.wrong...)
	}
	table := e.need("BULLION_IDENTITY_TABLE", "the name of the identity service's DynamoDB table")
	public := e.need("BULLION_KEYS_PUBLIC", "the name of the parameter with the public keys")
	if len(e.wrong) > 0 {
		return nil, "", errors.Join(e.wrong...)
	}
	return identity.NewVerifier(&ssmkeys.Public{Client: parameters(getenv, c), Name: public}, identity.DefaultAudience, identity.DefaultAudience,
		&dynamo.Store{Client: tables(getenv, c), Table: table}, time.Now), getenv("BULLION_PUBLIC_URL") + "/v3", nil
}

// words are the parts of a text between commas.
func words(text string) []string {
	var out []string
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part != "" {
			out = append(out, part)
		}
	}
	return out
}

func (e *environment) networks(name string) []netip.Prefix {
	var out []netip.Prefix
	for _, part := range words(e.get(name)) {
		p, err := netip.ParsePrefix(part)
		if err != nil {
			e.fail(name, fmt.Errorf("%q is no network like 192.0.2.0/24", part))
			continue
		}
		out = append(out, p)
	}
	return out
}

func (e *environment) providers(name string) []identity.Provider {
	doc := e.get(name)
	if doc == "" {
		return nil
	}
	var out []identity.Provider
	decoder := json.NewDecoder(strings.NewReader(doc))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&out); err != nil {
		e.fail(name, fmt.Errorf("it is no JSON list of providers: %w", err))
	}
	return out
}
