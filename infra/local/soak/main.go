// Command soak lets many clients live with one bulliond for a while: each makes images, uploads, reads, changes, downloads and deletes them, as fast as it is
// answered. In the end nothing may have failed but for stated limits, memory, goroutines and files must be where they were, and the books must balance.
//
//	go run ./soak -clients 500 -time 10m
//
// bulliond runs in a process of its own, which is this program again: it is the same code as ./cmd/bulliond, and tells how many goroutines it has.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if isServer() {
		os.Exit(serve(ctx))
	}
	clients := flag.Int("clients", 500, "clients at once")
	duration := flag.Duration("time", 10*time.Minute, "for how long")
	flag.Parse()
	if err := run(ctx, *clients, *duration, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

// run soaks a new server and writes what it saw to out. The error is everything that must not be.
func run(ctx context.Context, clients int, duration time.Duration, out io.Writer) error {
	s, err := start(ctx)
	if err != nil {
		return err
	}
	defer s.stop()
	c, err := s.signIn("bullion", clients)
	if err != nil {
		return err
	}
	before, err := s.rests(ctx, measure{})
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%d clients for %v\nat rest before: %v\n", clients, duration, before)

	seen := newSeen()
	during := c.crowd(ctx, clients, duration, s, seen)
	c.http.CloseIdleConnections()
	fmt.Fprint(out, seen, during)
	after, restsErr := s.rests(ctx, before)
	fmt.Fprintf(out, "at rest after:  %v\n", after)
	books, booksErr := s.books()
	fmt.Fprintln(out, books)
	return errors.Join(seen.wrong(), during.grows(), restsErr, booksErr)
}
