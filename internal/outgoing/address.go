package outgoing

import (
	"fmt"
	"net/url"
)

// CheckAddress says what is wrong with the address of a service, as https://s3.example.org.
func CheckAddress(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
		return fmt.Errorf("%.200q is no address like https://example.org", text)
	}
	return nil
}
