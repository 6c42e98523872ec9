package glance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"net"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/gophercloud/gophercloud/v2"
)

// Error is an answer of the service that is not success.
type Error struct {
	Status     int           // HTTP
	Message    string        // what the service said, as one line of plain text
	RetryAfter time.Duration // what it asked to wait; 0 when it did not
}

func (e *Error) Error() string { return e.Message }

// StatusOf is the HTTP status of the Error in err, 0 when there is none.
func StatusOf(err error) int {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Status
	}
	return 0
}

// Unreachable is a request that got no answer.
type Unreachable struct {
	Host string // host:port, never a whole URL: a presigned one is a secret
	Err  error
}

func (e *Unreachable) Error() string {
	return fmt.Sprintf("%s does not answer: %s.", e.Host, reason(e.Err))
}

func (e *Unreachable) Unwrap() error { return e.Err }

// reason is the innermost cause of a network error, in words that need no knowledge of Go.
func reason(err error) string {
	var dns *net.DNSError
	var timeout net.Error
	switch {
	case errors.As(err, &dns):
		return "there is no such host"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "the connection was cut"
	case errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return "it took too long"
	}
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return strings.TrimSuffix(err.Error(), ".")
		}
		err = inner
	}
}

// Retryable says whether the same request may succeed a little later: nothing answered, or the service said that it cannot answer now.
func Retryable(err error) bool {
	if _, ok := errors.AsType[*Unreachable](err); ok {
		return true
	}
	return RetryableStatus(StatusOf(err))
}

// RetryableStatus is Retryable for the status of an answer. No 4xx but 408 and 429 gets better by itself, and neither does what is not implemented
// or a disk that is full.
func RetryableStatus(status int) bool {
	return status >= 500 && status != http.StatusNotImplemented && status != http.StatusInsufficientStorage || status == http.StatusTooManyRequests || status == http.StatusRequestTimeout
}

// RetryAfter reads the header of that name: seconds or a date. It is 0 when there is none.
func RetryAfter(h http.Header, now time.Time) time.Duration {
	v := h.Get("Retry-After")
	if n, err := strconv.Atoi(v); err == nil && n > 0 {
		return time.Duration(n) * time.Second
	}
	if t, err := http.ParseTime(v); err == nil && t.After(now) {
		return t.Sub(now)
	}
	return 0
}

// HideURL takes the address out of a transport error, whose query may be a signature.
func HideURL(err error, host string) error {
	if err == nil || errors.Is(err, context.Canceled) {
		return err
	}
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err
	}
	return &Unreachable{Host: host, Err: err}
}

// translate turns what gophercloud returns into the errors of this package.
func translate(err error, host string) error {
	if err == nil {
		return nil
	}
	if again, ok := errors.AsType[*gophercloud.ErrUnableToReauthenticate](err); ok {
		err = again.ErrReauth
	}
	if after, ok := errors.AsType[*gophercloud.ErrErrorAfterReauthentication](err); ok {
		err = after.ErrOriginal
	}
	if code, ok := errors.AsType[gophercloud.ErrUnexpectedResponseCode](err); ok {
		return answered(code.Actual, code.ResponseHeader, code.Body)
	}
	if errors.Is(err, context.Canceled) {
		return err
	}
	if e, ok := errors.AsType[*url.Error](err); ok {
		return HideURL(e, hostOf(e.URL, host))
	}
	return err
}

func hostOf(address, otherwise string) string {
	if u, err := url.Parse(address); err == nil && u.Host != "" {
		return u.Host
	}
	return otherwise
}

func answered(status int, header http.Header, body []byte) *Error {
	message := messageIn(body)
	if message == "" {
		message = fmt.Sprintf("The service answered %d %s without saying why.", status, http.StatusText(status))
	}
	return &Error{Status: status, Message: message, RetryAfter: RetryAfter(header, time.Now())}
}

var tags = regexp.MustCompile(`(?s)<(style|title)>.*?</(style|title)>|<[^>]*>`)

// messageIn finds the sentence in the body of an error: Glance's JSON, Keystone's, API Gateway's, or text with or without markup.
func messageIn(body []byte) string {
	var doc struct {
		Message string
		Error   json.RawMessage
	}
	text := string(body)
	if json.Unmarshal(body, &doc) == nil {
		text = doc.Message
		var inner struct{ Message string }
		if text == "" && json.Unmarshal(doc.Error, &inner) == nil {
			text = inner.Message
		}
	}
	text = strings.Join(strings.Fields(html.UnescapeString(tags.ReplaceAllString(text, " "))), " ")
	const most = 1000
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + " …"
	}
	return text
}
