// Command keystone runs a real Keystone with an empty database until it is told to stop. It prints one line of JSON: its URL, without /v3, and the
// password of admin, who administers the project admin.
//
//	keystone DIRECTORY
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"bullion/internal/identity/keystone/keystonetest"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "keystone:", err)
		os.Exit(1)
	}
}

func run() error {
	if len(os.Args) != 2 {
		return fmt.Errorf("name a directory for its database and keys")
	}
	ctx, end := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer end()
	url, stop, err := keystonetest.Run(ctx, os.Args[1])
	if err != nil {
		return err
	}
	defer stop()
	if err := json.NewEncoder(os.Stdout).Encode(map[string]string{"url": url, "password": keystonetest.Password}); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}
