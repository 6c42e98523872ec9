package s3engine_test

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"bullion/infra/local/s3engine"
)

// Whoever holds connections and says nothing would keep everybody else out, since there are only so many.
func TestAConnectionThatFallsSilentEnds(t *testing.T) {
	s := start(t, func(c *s3engine.Config) { c.Idle = 300 * time.Millisecond })
	whole := "GET /" + bucket + "/nothing HTTP/1.1\r\nHost: x\r\n\r\n"
	for _, c := range []struct {
		name, says string
		answer     string // how what it reads begins
	}{
		{"before a request", "", ""},
		{"in the head of a request", "GET / HTTP/1.1\r\nHost:", ""},
		{"after a request", whole, "HTTP/1.1 403"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			conn := must(net.Dial("tcp", s.cfg.Addr))(t)
			defer conn.Close()
			if _, err := io.WriteString(conn, c.says); err != nil {
				t.Fatal(err)
			}
			if err := conn.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
				t.Fatal(err)
			}
			answer, err := io.ReadAll(conn)
			if err != nil || !strings.HasPrefix(string(answer), c.answer) {
				t.Errorf("it reads %q, %v", answer, err)
			}
		})
	}

	t.Run("one byte of the head after the other", func(t *testing.T) {
		t.Parallel()
		conn := must(net.Dial("tcp", s.cfg.Addr))(t)
		defer conn.Close()
		began := time.Now()
		for n := 0; time.Since(began) < 20*time.Second; n++ {
			if _, err := fmt.Fprint(conn, ("GET / HTTP/1.1\r\nX: " + strings.Repeat("x", 1000))[n%1000:][:1]); err != nil {
				return // it ended
			}
			time.Sleep(20 * time.Millisecond)
		}
		t.Error("the connection is open after 20 s")
	})
}
