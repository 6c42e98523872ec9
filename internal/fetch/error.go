package fetch

import (
	"errors"
	"fmt"
)

// Error is a failure of a source. Message is for the user and says nothing of the network here; Cause is for the log.
type Error struct {
	Message   string
	Temporary bool // trying again may help
	Cause     error
}

func (e *Error) Error() string {
	if e.Cause != nil {
		return e.Message + ": " + e.Cause.Error()
	}
	return e.Message
}

func (e *Error) Unwrap() error { return e.Cause }

// What a user is told.
const (
	unreachable = "The source cannot be reached, or may not be. Check the address, and that it is on the public internet."
	changed     = "The file at the source changed while it was fetched. Import it again when it has settled."
	broken      = "The source broke off again and again before the end of the file. Try again later, or use another mirror."
	tooSlow     = "The source stopped sending. Try again later, or use another mirror."
	lied        = "The source sent something else than was asked for. Use another mirror."
	empty       = "The file at the source is empty."
	redirects   = "The source redirects too often. Give the address at which the redirects end."
)

func unreached(cause error) error { return &Error{Message: unreachable, Temporary: true, Cause: cause} }

func failed(message string, cause error) error { return &Error{Message: message, Cause: cause} }

// refuse makes an error of the text of an address.
func refuse(format string, args ...any) error { return &Error{Message: fmt.Sprintf(format, args...)} }

// BrokeOff is the error of a connection that ended before the bytes did.
func BrokeOff(cause error) error { return &Error{Message: broken, Temporary: true, Cause: cause} }

// ErrChanged is in the chain of the error of a source that is not any more the file that was pinned.
var ErrChanged = errors.New("the source changed")

func hasChanged(format string, args ...any) error {
	return &Error{Message: changed, Cause: fmt.Errorf("%w: "+format, append([]any{ErrChanged}, args...)...)}
}

func temporary(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Temporary
}
