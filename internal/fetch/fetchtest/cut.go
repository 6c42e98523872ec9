// Package fetchtest is what tests of fetching from bad sources share.
package fetchtest

import "net/http"

// Cut is a writer that ends the connection after n bytes of the body, which must have as many.
func Cut(w http.ResponseWriter, n int) http.ResponseWriter { return &cut{w, n} }

type cut struct {
	http.ResponseWriter
	left int
}

func (c *cut) Write(p []byte) (int, error) {
	n, err := c.ResponseWriter.Write(p[:min(len(p), c.left)])
	if c.left -= n; c.left == 0 {
		c.ResponseWriter.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
	return n, err
}
