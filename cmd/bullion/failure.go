package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"bullion/cmd/bullion/internal/transfer"
	"bullion/internal/diskimage"
)

// The exit statuses. They are part of the interface; the help of the program lists them.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitRejected    = 3
	exitInterrupted = 130
)

// usage is the error of a command that was called wrongly.
type usage struct {
	error
	command string
}

func (u *usage) Unwrap() error { return u.error }

// misuse makes the error of flags or arguments that contradict each other.
func misuse(format string, args ...any) error {
	return &usage{error: fmt.Errorf(format, args...)}
}

// advised is an error and what to do about it, on lines of its own.
type advised struct {
	error
	advice []string
}

func (e *advised) Unwrap() error { return e.error }

func advise(err error, advice ...string) error { return &advised{err, advice} }

// fail tells the user about an error and returns the exit status.
func (a *app) fail(err error) int {
	status := statusOf(err)
	said := err.Error()
	if adv, ok := errors.AsType[*advised](err); ok {
		said = adv.error.Error()
	}
	switch {
	case status == exitInterrupted:
		fmt.Fprintln(a.err, "Interrupted.")
	case said != "":
		fmt.Fprintln(a.err, "Error: "+sentence(clean(said, '\n')))
	}
	if adv, ok := errors.AsType[*advised](err); ok {
		for _, line := range adv.advice {
			fmt.Fprintln(a.err, clean(line, '\n'))
		}
	}
	if u, ok := errors.AsType[*usage](err); ok && u.command != "" {
		fmt.Fprintf(a.err, "See %s --help.\n", u.command)
	}
	return status
}

func statusOf(err error) int {
	if errors.Is(err, context.Canceled) || errors.Is(err, errInterrupted) {
		return exitInterrupted
	}
	if _, ok := errors.AsType[*usage](err); ok {
		return exitUsage
	}
	if _, ok := errors.AsType[*transfer.Rejected](err); ok {
		return exitRejected
	}
	if _, ok := errors.AsType[*diskimage.Rejection](err); ok {
		return exitRejected
	}
	return exitFailed
}

// sentence gives an error the form of one: Go's begin in lower case and end in nothing. A first word that is a path or a name stays as it is.
func sentence(s string) string {
	first, size := utf8.DecodeRuneInString(s)
	if word, _, _ := strings.Cut(s, " "); strings.IndexFunc(word, func(r rune) bool { return !unicode.IsLower(r) }) < 0 {
		s = string(unicode.ToUpper(first)) + s[size:]
	}
	if last, _ := utf8.DecodeLastRuneInString(s); !strings.ContainsRune(".!?…:", last) && !strings.Contains(s, "\n") {
		s += "."
	}
	return s
}

// clean makes text of others safe to print: no control character reaches the terminal but those named.
func clean(s string, but ...rune) string {
	return strings.Map(func(r rune) rune {
		for _, b := range but {
			if r == b {
				return r
			}
		}
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == utf8.RuneError {
			return '·'
		}
		return r
	}, s)
}

// quoted is a path as a shell takes it.
func quoted(s string) string {
	if s != "" && strings.IndexFunc(s, func(r rune) bool {
		return !(unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("-_./+:@%,", r))
	}) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
