package s3engine

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gofiber/fiber/v3"
	"github.com/versity/versitygw/s3api/middlewares"
)

// served runs an app as versitygw makes it, in which a request waits until it is let go.
func served(t *testing.T, patience time.Duration) (url string, begun <-chan struct{}, end chan<- struct{}, stop func()) {
	t.Helper()
	v := &vault{cfg: Config{Idle: time.Minute}}
	v.life, v.stopLife = context.WithCancel(t.Context())
	q := &queue{vault: v, slots: make(chan struct{}, 1), patience: patience}
	app := fiber.New(fiber.Config{StreamRequestBody: true})
	app.Use("*", middlewares.DrainRequestBody())
	app.Use("/", q.serve)
	in, out := make(chan struct{}), make(chan struct{})
	app.Put("/*", func(ctx fiber.Ctx) error {
		in <- struct{}{}
		<-out
		n, err := io.Copy(io.Discard, ctx.Request().BodyStream())
		if err != nil || n != body {
			t.Errorf("%d bytes of a body, %v", n, err)
		}
		return ctx.SendString("done")
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		if err := app.Listener(l, fiber.ListenConfig{DisableStartupMessage: true}); err != nil {
			t.Error(err)
		}
	}()
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		if err := app.Shutdown(); err != nil {
			t.Error(err)
		}
	})
	return "http://" + l.Addr().String(), in, out, v.stopLife
}

// body is longer than what versitygw reads of a body that nobody wants, in bytes.
const body = 4 << 20

func put(url string, size int) <-chan string {
	said := make(chan string, 1)
	go func() {
		r, err := http.NewRequest("PUT", url+"/x", bytes.NewReader(make([]byte, size)))
		if err != nil {
			said <- err.Error()
			return
		}
		a, err := http.DefaultClient.Do(r)
		if err != nil {
			said <- err.Error()
			return
		}
		defer a.Body.Close()
		text, err := io.ReadAll(a.Body)
		if err != nil {
			said <- err.Error()
			return
		}
		said <- a.Status + " " + string(text)
	}()
	return said
}

func TestARequestBeyondThoseThatAreServedAtOnceWaits(t *testing.T) {
	url, begun, end, _ := served(t, time.Minute)
	first := put(url, body)
	<-begun
	second := put(url, body)
	select {
	case <-begun:
		t.Fatal("both are served at once")
	case said := <-second:
		t.Fatalf("the second was answered: %s", said)
	case <-time.After(100 * time.Millisecond):
	}
	end <- struct{}{}
	<-begun
	end <- struct{}{}
	for _, said := range []string{<-first, <-second} {
		if said != "200 OK done" {
			t.Error(said)
		}
	}
}

func TestWhoeverWaitedTooLongReadsWhy(t *testing.T) {
	for _, c := range []struct {
		name, want string
		patience   time.Duration
		size       int // of the second's body, in bytes
		stops      bool
	}{
		{"nobody makes room", "<Code>SlowDown</Code>", 10 * time.Millisecond, body, false},
		{"the server stops", "<Code>ServiceUnavailable</Code>", time.Minute, 1, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			url, begun, end, stop := served(t, c.patience)
			first := put(url, body)
			<-begun
			second := put(url, c.size)
			if c.stops {
				time.Sleep(50 * time.Millisecond)
				stop()
			}
			if said := <-second; !strings.HasPrefix(said, "503 ") || !strings.Contains(said, c.want) {
				t.Errorf("got %q, want 503 with %s", said, c.want)
			}
			end <- struct{}{}
			if said := <-first; said != "200 OK done" {
				t.Error(said)
			}
		})
	}
}
