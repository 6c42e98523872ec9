package cloud

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// callWithin bounds a call.
const callWithin = 10 * time.Second

var caller = &http.Client{Timeout: callWithin}

// rights are the actions of IAM that calls need, by service.
var rights = map[string]string{"lambda": "lambda:InvokeFunction", "events": "events:PutEvents", "ssm": "ssm:GetParameter"}

// call makes one signed request to a service of which one action is needed, which is not worth its whole client. endpoint names the variable that
// replaces its address.
func (c *Cloud) call(ctx context.Context, service, endpoint, path string, header http.Header, body []byte, want int) ([]byte, error) {
	address := c.Getenv(endpoint)
	if address == "" {
		address = "https://" + service + "." + c.AWS.Region + ".amazonaws.com"
		if strings.HasPrefix(c.AWS.Region, "cn-") {
			address += ".cn"
		}
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, address+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header = header
	key, err := c.AWS.Credentials.Retrieve(ctx)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(body)
	if err := v4.NewSigner().SignHTTP(ctx, key, r, hex.EncodeToString(sum[:]), service, c.AWS.Region, time.Now()); err != nil {
		return nil, err
	}
	res, err := caller.Do(r)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, 64<<10))
	if res.StatusCode != want {
		if action := rights[service]; res.StatusCode == http.StatusForbidden || strings.Contains(string(answer), "AccessDenied") {
			return nil, fmt.Errorf("the role needs %s: %s answered %s: %.1000s", action, service, res.Status, answer)
		}
		return nil, fmt.Errorf("%s answered %s: %.1000s", service, res.Status, answer)
	}
	return answer, err
}
