package glance

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack"
	"github.com/gophercloud/gophercloud/v2/openstack/config/clouds"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/tokens"
)

// Login says whom to log in, and where.
type Login struct {
	Cloud     string // a name in clouds.yaml; "" means OS_CLOUD, and without that the OS_* variables
	Region    string // "" means OS_REGION_NAME
	UserAgent string
	Getenv    func(string) string
	// Password asks for one that is nowhere else; nil when there is nobody to ask.
	Password func(user string) (string, error)
}

// Client speaks to one image service.
type Client struct {
	// Data sends requests to presigned URLs: HTTP/1.1, connections kept, no token, no redirects.
	Data *http.Client

	service *gophercloud.ServiceClient
}

// Identity is who a Client is.
type Identity struct {
	User      string    `json:"user"`
	UserID    string    `json:"user_id"`
	Project   string    `json:"project"`
	ProjectID string    `json:"project_id"`
	Roles     []string  `json:"roles"`
	ExpiresAt time.Time `json:"expires_at"` // of the token; another is taken by itself
	Endpoint  string    `json:"endpoint"`   // of the image service
}

// Open logs in and finds the image service.
func (l Login) Open(ctx context.Context) (*Client, error) {
	auth, where, tlsConfig, err := l.options()
	if err != nil {
		return nil, err
	}
	if u, err := url.Parse(auth.IdentityEndpoint); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("the address of the identity service (OS_AUTH_URL) must be like http://127.0.0.1:9292/v3; it is %q", auth.IdentityEndpoint)
	}
	provider, err := l.authenticate(ctx, auth, tlsConfig)
	if err != nil && !versioned.MatchString(auth.IdentityEndpoint) && StatusOf(translate(err, "")) != http.StatusUnauthorized {
		// Not every server says at its root which versions it has.
		at := auth
		at.IdentityEndpoint = strings.TrimSuffix(auth.IdentityEndpoint, "/") + "/v3"
		if p, again := l.authenticate(ctx, at, tlsConfig); again == nil || StatusOf(translate(again, "")) == http.StatusUnauthorized {
			provider, err, auth = p, again, at
		}
	}
	if err != nil {
		return nil, loginError(err, auth)
	}
	service, err := openstack.NewImageV2(provider, where)
	if override := l.Getenv("OS_IMAGE_ENDPOINT_OVERRIDE"); override != "" {
		base := strings.TrimSuffix(strings.TrimSuffix(override, "/"), "/v2") + "/"
		service, err = &gophercloud.ServiceClient{ProviderClient: provider, Endpoint: base, ResourceBase: base + "v2/", Type: "image"}, nil
	}
	if err != nil {
		if _, ok := errors.AsType[*gophercloud.ErrEndpointNotFound](err); ok {
			return nil, fmt.Errorf("the catalogue of %s has no image service in region %q; choose another with OS_REGION_NAME, or give its address in OS_IMAGE_ENDPOINT_OVERRIDE",
				auth.IdentityEndpoint, where.Region)
		}
		return nil, translate(err, hostOf(auth.IdentityEndpoint, ""))
	}
	return New(service, &http.Client{Transport: dataTransport(tlsConfig), CheckRedirect: neverRedirect}), nil
}

var versioned = regexp.MustCompile(`/v[0-9.]+/?$`)

func (l Login) authenticate(ctx context.Context, auth gophercloud.AuthOptions, tlsConfig *tls.Config) (*gophercloud.ProviderClient, error) {
	provider, err := openstack.NewClient(auth.IdentityEndpoint)
	if err != nil {
		return nil, fmt.Errorf("use the address of the identity service: %w", err)
	}
	provider.UserAgent.Prepend(l.UserAgent)
	provider.HTTPClient = http.Client{Transport: apiTransport(tlsConfig), CheckRedirect: neverRedirect}
	return provider, openstack.Authenticate(ctx, provider, auth)
}

// New makes a Client of a gophercloud service client and an HTTP client for presigned URLs.
func New(service *gophercloud.ServiceClient, data *http.Client) *Client {
	return &Client{service: service, Data: data}
}

// Endpoint is the address of the image service, with no version.
func (c *Client) Endpoint() string { return c.service.Endpoint }

// WhoAmI says as whom the client is logged in, from the token that it holds.
func (c *Client) WhoAmI() (Identity, error) {
	result, ok := c.service.GetAuthResult().(interface {
		ExtractUser() (*tokens.User, error)
		ExtractProject() (*tokens.Project, error)
		ExtractRoles() ([]tokens.Role, error)
		ExtractToken() (*tokens.Token, error)
	})
	if !ok {
		return Identity{}, errors.New("the cloud's identity service is not Keystone v3, so it does not say who you are")
	}
	me := Identity{Endpoint: c.Endpoint(), Roles: []string{}}
	user, err := result.ExtractUser()
	if err != nil {
		return Identity{}, fmt.Errorf("read the user in the token: %w", err)
	}
	me.User, me.UserID = user.Name, user.ID
	project, err := result.ExtractProject()
	if err != nil {
		return Identity{}, fmt.Errorf("read the project in the token: %w", err)
	}
	if project != nil {
		me.Project, me.ProjectID = project.Name, project.ID
	}
	roles, err := result.ExtractRoles()
	if err != nil {
		return Identity{}, fmt.Errorf("read the roles in the token: %w", err)
	}
	for _, r := range roles {
		me.Roles = append(me.Roles, r.Name)
	}
	token, err := result.ExtractToken()
	if err != nil {
		return Identity{}, fmt.Errorf("read the end of the token: %w", err)
	}
	me.ExpiresAt = token.ExpiresAt
	return me, nil
}

func (l Login) options() (auth gophercloud.AuthOptions, where gophercloud.EndpointOpts, tlsConfig *tls.Config, err error) {
	var options []clouds.ParseOption
	if l.Region != "" {
		options = append(options, clouds.WithRegion(l.Region))
	}
	if v := l.Getenv("OS_INSECURE"); v != "" {
		insecure, err := strconv.ParseBool(v)
		if err != nil {
			return auth, where, nil, fmt.Errorf("OS_INSECURE must be true or false; it is %q", v)
		}
		options = append(options, clouds.WithInsecure(insecure))
	}
	name := cmp.Or(l.Cloud, l.Getenv("OS_CLOUD"))
	if name == "" {
		name = "envvars"
		if l.Getenv("OS_AUTH_URL") == "" {
			return auth, where, nil, errors.New("no cloud is chosen; set OS_CLOUD to a name in your clouds.yaml, or OS_AUTH_URL, OS_USERNAME, OS_PASSWORD and OS_PROJECT_NAME")
		}
		options = append(options, clouds.WithCloudsYAML(fromEnvironment(l.Getenv)))
	}
	options = append(options, clouds.WithCloudName(name))
	if auth, where, tlsConfig, err = clouds.Parse(options...); err != nil {
		return auth, where, nil, fmt.Errorf("cannot use cloud %q: %w", name, err)
	}
	if auth.IdentityEndpoint == "" {
		return auth, where, nil, fmt.Errorf("cloud %q has no auth_url; add it to the cloud's auth section in clouds.yaml", name)
	}
	user := cmp.Or(auth.Username, auth.UserID)
	if user != "" && auth.DomainID == "" && auth.DomainName == "" && auth.UserID == "" {
		auth.DomainID = "default" // as openstackclient
	}
	if s := auth.Scope; s != nil && s.ProjectName != "" && s.DomainID == "" && s.DomainName == "" {
		s.DomainID, s.DomainName = auth.DomainID, auth.DomainName
	}
	// A token cannot be used to log in again; a password or an application credential can.
	auth.AllowReauth = auth.TokenID == ""
	if auth.Password == "" && auth.TokenID == "" && auth.ApplicationCredentialSecret == "" {
		if auth.Password = l.Getenv("OS_PASSWORD"); auth.Password == "" && user != "" && l.Password != nil {
			if auth.Password, err = l.Password(user); err != nil {
				return auth, where, nil, err
			}
		}
		switch {
		case user == "":
			return auth, where, nil, fmt.Errorf("cloud %q names no user; set OS_USERNAME, or username in clouds.yaml", name)
		case auth.Password == "":
			return auth, where, nil, fmt.Errorf("there is no password for user %s; set OS_PASSWORD, or password in clouds.yaml", user)
		}
	}
	return auth, where, tlsConfig, nil
}

// fromEnvironment writes the OS_* variables as a clouds.yaml with one cloud, so that both ways to log in have one meaning. JSON is YAML.
func fromEnvironment(getenv func(string) string) *bytes.Reader {
	first := func(names ...string) string {
		for _, n := range names {
			if v := getenv(n); v != "" {
				return v
			}
		}
		return ""
	}
	cloud := clouds.Cloud{
		AuthInfo: &clouds.AuthInfo{
			AuthURL:                     getenv("OS_AUTH_URL"),
			Token:                       first("OS_TOKEN", "OS_AUTH_TOKEN"),
			Username:                    getenv("OS_USERNAME"),
			UserID:                      first("OS_USER_ID", "OS_USERID"),
			Password:                    getenv("OS_PASSWORD"),
			ApplicationCredentialID:     getenv("OS_APPLICATION_CREDENTIAL_ID"),
			ApplicationCredentialName:   getenv("OS_APPLICATION_CREDENTIAL_NAME"),
			ApplicationCredentialSecret: getenv("OS_APPLICATION_CREDENTIAL_SECRET"),
			SystemScope:                 getenv("OS_SYSTEM_SCOPE"),
			ProjectName:                 first("OS_PROJECT_NAME", "OS_TENANT_NAME"),
			ProjectID:                   first("OS_PROJECT_ID", "OS_TENANT_ID"),
			UserDomainName:              getenv("OS_USER_DOMAIN_NAME"),
			UserDomainID:                getenv("OS_USER_DOMAIN_ID"),
			ProjectDomainName:           getenv("OS_PROJECT_DOMAIN_NAME"),
			ProjectDomainID:             getenv("OS_PROJECT_DOMAIN_ID"),
			DomainName:                  first("OS_DOMAIN_NAME", "OS_DEFAULT_DOMAIN_NAME"),
			DomainID:                    first("OS_DOMAIN_ID", "OS_DEFAULT_DOMAIN_ID", "OS_DEFAULT_DOMAIN"),
			TrustID:                     getenv("OS_TRUST_ID"),
		},
		RegionName:     getenv("OS_REGION_NAME"),
		EndpointType:   first("OS_ENDPOINT_TYPE", "OS_INTERFACE"),
		CACertFile:     getenv("OS_CACERT"),
		ClientCertFile: getenv("OS_CERT"),
		ClientKeyFile:  getenv("OS_KEY"),
	}
	doc, err := json.Marshal(clouds.Clouds{Clouds: map[string]clouds.Cloud{"envvars": cloud}})
	if err != nil {
		panic(err) // strings always marshal
	}
	return bytes.NewReader(doc)
}

func loginError(err error, auth gophercloud.AuthOptions) error {
	user := cmp.Or(auth.Username, auth.UserID, auth.ApplicationCredentialID, "the token's user")
	err = translate(err, hostOf(auth.IdentityEndpoint, auth.IdentityEndpoint))
	switch _, unreachable := errors.AsType[*Unreachable](err); {
	case unreachable:
		return fmt.Errorf("%w Is the service running, and is the address %s right (OS_AUTH_URL)?", err, auth.IdentityEndpoint)
	case StatusOf(err) == http.StatusUnauthorized:
		return fmt.Errorf("the login of %s at %s was refused; check the user, password and project (OS_USERNAME, OS_PASSWORD, OS_PROJECT_NAME). The service said: %w",
			user, auth.IdentityEndpoint, err)
	case StatusOf(err) == http.StatusNotFound:
		return fmt.Errorf("there is no identity service at %s; check OS_AUTH_URL, which usually ends in /v3", auth.IdentityEndpoint)
	}
	return fmt.Errorf("log in as %s at %s: %w", user, auth.IdentityEndpoint, err)
}

// neverRedirect keeps the token, and the method, where they were sent.
func neverRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

func apiTransport(config *tls.Config) *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.TLSClientConfig = config
	t.MaxIdleConnsPerHost = 8
	t.ResponseHeaderTimeout = 3 * time.Minute // a complete of ten thousand parts takes its time
	return t
}

// dataTransport is made for large bodies. HTTP/2 would put all parts on one connection with one window, and hides the socket from sendfile.
func dataTransport(config *tls.Config) *http.Transport {
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 15 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSClientConfig:       config,
		TLSHandshakeTimeout:   15 * time.Second,
		ResponseHeaderTimeout: 2 * time.Minute,
		IdleConnTimeout:       90 * time.Second,
		MaxIdleConnsPerHost:   64,
		WriteBufferSize:       256 << 10,
		ReadBufferSize:        256 << 10,
		DisableCompression:    true,
		Protocols:             &protocols,
	}
}
