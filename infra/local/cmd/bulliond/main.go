// Command bulliond is Bullion on one machine: the service, its database and its S3 server in one program.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"bullion/infra/local/host"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(host.Main(ctx, os.Args[1:], os.Getenv, os.Stdin, os.Stdout, os.Stderr))
}
