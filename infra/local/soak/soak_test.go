package main

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	if isServer() {
		os.Exit(serve(context.Background()))
	}
	os.Exit(m.Run())
}

// A few clients for a few seconds show that the programme works; the numbers of docs/operations.md are those of many for long.
func TestManyClientsLeaveAServerAsItWas(t *testing.T) {
	var out strings.Builder
	err := run(t.Context(), 12, 3*time.Second, &out)
	t.Log("\n" + out.String())
	if err != nil {
		t.Error(err)
	}
}

func TestWhatGrowsIsSeen(t *testing.T) {
	flat := curve{}
	for range 30 {
		flat = append(flat, measure{memory: 80, goroutines: 1000, files: 600})
	}
	if err := flat.grows(); err != nil {
		t.Error(err)
	}
	for name, grow := range map[string]func(m *measure, n int){
		"memory":     func(m *measure, n int) { m.memory += 15 * float64(n) },
		"goroutines": func(m *measure, n int) { m.goroutines += 100 * n },
		"files":      func(m *measure, n int) { m.files += 100 * n },
	} {
		c := append(curve{}, flat...)
		for n := range c {
			grow(&c[n], n)
		}
		if c.grows() == nil {
			t.Errorf("%s that grow are not seen", name)
		}
	}
	if (curve{{}, {}}).grows() == nil {
		t.Error("two measures are enough")
	}
}
