package harness

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// spent is what a function used up.
type spent struct {
	Reads, Writes float64       // request units of DynamoDB
	Lists, Gets   int           // requests to S3, by price: PUT, POST and lists; GET and HEAD. DELETE is free
	Events        int           // put on the bus
	Billed        time.Duration // as Lambda does, each run rounded up to the millisecond
	Processor     time.Duration // time on it, of the function's processes
}

func (s spent) plus(o spent, factor int) spent {
	f := float64(factor)
	return spent{s.Reads + f*o.Reads, s.Writes + f*o.Writes, s.Lists + factor*o.Lists, s.Gets + factor*o.Gets, s.Events + factor*o.Events,
		s.Billed + time.Duration(factor)*o.Billed, s.Processor + time.Duration(factor)*o.Processor}
}

// asksForUnits makes a request to DynamoDB ask for what it consumes.
func asksForUnits(r *http.Request) {
	if !strings.HasPrefix(r.Header.Get("X-Amz-Target"), "DynamoDB") {
		return
	}
	text, _ := io.ReadAll(r.Body) // what is missing is missed by the engine as well
	var in map[string]json.RawMessage
	if json.Unmarshal(text, &in) == nil {
		in["ReturnConsumedCapacity"] = json.RawMessage(`"TOTAL"`)
		text, _ = json.Marshal(in) // it was JSON
	}
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(text)), int64(len(text))
	r.Header.Set("Content-Length", strconv.Itoa(len(text)))
}

// used counts an answer.
func (c *recorder) used(function string, r *http.Response) error {
	var u spent
	prefix, operation, _ := strings.Cut(r.Request.Header.Get("X-Amz-Target"), ".")
	switch service := services[prefix]; {
	case service == "dynamodb":
		text, err := io.ReadAll(r.Body)
		if err != nil {
			return err
		}
		r.Body = io.NopCloser(bytes.NewReader(text))
		var out struct{ ConsumedCapacity json.RawMessage }
		_ = json.Unmarshal(text, &out) // an answer that is none consumed nothing
		type consumed struct{ CapacityUnits float64 }
		var all []consumed
		if json.Unmarshal(out.ConsumedCapacity, &all) != nil {
			var one consumed
			_ = json.Unmarshal(out.ConsumedCapacity, &one) // an error has none
			all = []consumed{one}
		}
		for _, one := range all {
			if operation == "GetItem" || operation == "Query" || operation == "BatchGetItem" {
				u.Reads += one.CapacityUnits
			} else {
				u.Writes += one.CapacityUnits
			}
		}
	case service == "events":
		u.Events = 1
	case prefix == "" && !strings.HasPrefix(r.Request.URL.Path, "/2015-03-31/"):
		q, list := r.Request.URL.Query(), strings.HasPrefix(objectCall(r.Request).Action, "s3:List")
		switch {
		case r.Request.Method == http.MethodPut, r.Request.Method == http.MethodPost, list, q.Has("versions"):
			u.Lists = 1
		case r.Request.Method != http.MethodDelete:
			u.Gets = 1
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.spent[function] = c.spent[function].plus(u, 1)
	return nil
}

// spent is what each function used up until now.
func (c *cloud) spent() map[string]spent {
	c.t.Helper()
	c.calls.mu.Lock()
	all := maps.Clone(c.calls.spent)
	c.calls.mu.Unlock()
	for name, f := range c.Functions {
		s := all[name]
		s.Billed = f.Billed()
		s.Processor = f.processor(c.t)
		all[name] = s
	}
	return all
}

// processor is the time that the running processes were on a processor, as the kernel counts it in nanoseconds for each thread
// (https://docs.kernel.org/scheduler/sched-stats.html).
func (l *Lambda) processor(t testing.TB) (sum time.Duration) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range l.all {
		threads, err := filepath.Glob("/proc/" + strconv.Itoa(p.cmd.Process.Pid) + "/task/*/schedstat")
		ok(t, err)
		for _, file := range threads {
			text, err := os.ReadFile(file)
			if err != nil {
				continue // the thread ended
			}
			first, _, _ := strings.Cut(string(text), " ")
			n, err := strconv.ParseInt(first, 10, 64)
			ok(t, err)
			sum += time.Duration(n)
		}
	}
	return sum
}
