// Command engine installs and starts a DynamoDB engine and prints its endpoint; it runs until it is interrupted.
//
//	go run ./internal/dynamostore/dynamotest/engine dynoxide
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"

	"bullion/internal/dynamostore/dynamotest"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	engines := map[string]func(context.Context) (*dynamotest.Engine, error){
		"dynoxide": dynamotest.StartDynoxide, "ministack": dynamotest.StartMinistack,
	}
	if len(args) != 1 || engines[args[0]] == nil {
		return fmt.Errorf("usage: engine dynoxide | ministack")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	e, err := engines[args[0]](ctx)
	if err != nil {
		return err
	}
	defer e.Stop()
	fmt.Println(e.Endpoint)
	<-ctx.Done()
	return nil
}
