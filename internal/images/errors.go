package images

import (
	"errors"
	"fmt"
)

// Kind sorts every error that a caller may learn about. Hosts map a Kind to their
// own vocabulary once (package api: HTTP status codes); an error without a Kind is
// unknown, is logged whole and reaches a caller only as "internal error".
type Kind uint8

// The kinds, with the HTTP status that package api gives each.
const (
	Internal           Kind = iota // 500: not the caller's fault; the text stays in the log
	Invalid                        // 400: a field is wrong; the text names it and the fix
	Unauthenticated                // 401: no token, or one that is not valid now
	Forbidden                      // 403: the caller may see it but may not do this
	NotFound                       // 404: it does not exist, or the caller may not know that it does
	Conflict                       // 409: the state does not allow this now, or the name is taken
	PreconditionFailed             // 412: the record is not the one that If-Match names
	TooLarge                       // 413: more than a limit that cannot be raised by waiting
	OverQuota                      // 413: the project's quota does not allow it
	BadMediaType                   // 415
	BadRange                       // 416
	TooMany                        // 429: try again later
	Unavailable                    // 503: something the service needs does not answer
)

// Error is an error that may be shown to the caller.
type Error struct {
	Kind    Kind
	Message string // a sentence: what is wrong, where, and what to do
	Cause   error  // for the log alone
}

func (e *Error) Error() string {
	if e.Cause != nil {
		return e.Message + ": " + e.Cause.Error()
	}
	return e.Message
}

func (e *Error) Unwrap() error { return e.Cause }

// Errorf makes an error of one kind. Its text is shown to the caller, so it must not
// wrap the text of an unknown error; use Wrap for that.
func Errorf(kind Kind, format string, args ...any) error {
	return &Error{Kind: kind, Message: fmt.Sprintf(format, args...)}
}

// Wrap makes an error of one kind around a cause that only the log shows.
func Wrap(kind Kind, cause error, format string, args ...any) error {
	return &Error{Kind: kind, Message: fmt.Sprintf(format, args...), Cause: cause}
}

// KindOf finds the kind of err, Internal when it has none.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return Internal
}

// ErrStale is returned by Store.Apply when the record changed since it was read.
// The Service reads again and retries; it never reaches a caller.
var ErrStale = errors.New("the record changed since it was read")
