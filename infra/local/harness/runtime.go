package harness

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"bullion/internal/proctest"
)

// Lambda starts processes of one bootstrap and hands them events, one at a time each. Set the exported fields before the first call.
type Lambda struct {
	Name        string
	Bootstrap   string   // file
	Environment []string // NAME=value; nothing else of this process's environment reaches it
	Timeout     time.Duration

	Log io.Writer // gets what the processes write; nil for nobody, Output has it anyway

	mu     sync.Mutex
	idle   []*instance
	all    []*instance // that run
	serial int
	billed time.Duration
	output proctest.Output
}

// ColdStart is what the start of a process took, and what the process needed at its most.
type ColdStart struct {
	Ready  time.Duration // from the start of the process until it asks for an event, which Lambda calls Init Duration
	Cold   time.Duration // from the start of the process to the first answer
	Memory int64         // bytes resident
}

// Error is what a function answered in place of a result.
type Error struct {
	Message string `json:"errorMessage"`
	Type    string `json:"errorType"`
}

func (e *Error) Error() string { return e.Type + ": " + e.Message }

// Invoke runs the function on an event and returns its answer. The error is *Error when the function failed.
func (l *Lambda) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	l.mu.Lock()
	var p *instance
	if n := len(l.idle); n > 0 {
		p, l.idle = l.idle[n-1], l.idle[:n-1]
	}
	l.serial++
	id := fmt.Sprintf("%s-%d", l.Name, l.serial)
	l.mu.Unlock()
	began, from := time.Time{}, time.Now()
	if p == nil {
		began = from
		var err error
		if p, err = l.start(); err != nil {
			return nil, err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, l.Timeout)
	defer cancel()
	deadline, _ := ctx.Deadline()
	answer, err := p.invoke(ctx, invocation{id: id, payload: payload, deadline: deadline})
	failed := (*Error)(nil)
	if err != nil && !errors.As(err, &failed) {
		p.stop() // as Lambda does with a process that took too long or died
		l.mu.Lock()
		defer l.mu.Unlock()
		l.all = slices.DeleteFunc(l.all, func(q *instance) bool { return q == p })
		said := l.output.String()
		return nil, fmt.Errorf("%s: %w\n%s", l.Name, err, said[max(0, len(said)-2000):])
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.billed += (time.Since(from) + time.Millisecond - 1).Truncate(time.Millisecond)
	if !began.IsZero() {
		p.cold = time.Since(began)
	}
	if slices.Contains(l.all, p) { // nobody ended it meanwhile
		l.idle = append(l.idle, p)
	}
	return answer, err
}

// Billed is how long all runs took, as Lambda bills it: each rounded up to the millisecond, the start of a process
// included (https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html).
func (l *Lambda) Billed() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.billed
}

// Kill ends every process as a crash does, at any point of what it is doing.
func (l *Lambda) Kill() {
	l.mu.Lock()
	all := l.all
	l.all, l.idle = nil, nil
	l.mu.Unlock()
	for _, p := range all {
		p.stop()
	}
}

// Close ends the processes and says what their starts took, those of processes that ended before left out.
func (l *Lambda) Close() []ColdStart {
	l.mu.Lock()
	all := l.all
	l.all, l.idle = nil, nil
	l.mu.Unlock()
	var starts []ColdStart
	for _, p := range all {
		starts = append(starts, ColdStart{time.Duration(p.ready.Load()), p.cold, p.memory()})
		p.stop()
	}
	return starts
}

// memory is the most that the process had resident, in bytes. What the system accounts to an ended process would count what its parent had before it
// became another program.
func (p *instance) memory() int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0 // it ended by itself
	}
	_, rest, _ := strings.Cut(string(text), "VmHWM:")
	rest, _, _ = strings.Cut(rest, "kB")
	kib, err := strconv.ParseInt(strings.TrimSpace(rest), 10, 64)
	if err != nil {
		return 0
	}
	return kib << 10
}

// Output is what the processes wrote to their logs, those that ended included.
func (l *Lambda) Output() string { return l.output.String() }

type invocation struct {
	id       string
	payload  []byte
	deadline time.Time
	result   chan result
}

type result struct {
	answer []byte
	err    error
}

// instance is one process and the Runtime API that it speaks to (https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html).
type instance struct {
	cmd    *exec.Cmd
	server *http.Server
	next   chan invocation
	gone   chan struct{}
	once   sync.Once
	ready  atomic.Int64 // a duration
	cold   time.Duration

	mu  sync.Mutex
	now invocation
}

func (l *Lambda) start() (*instance, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p, began := &instance{next: make(chan invocation), gone: make(chan struct{})}, time.Now()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /2018-06-01/runtime/invocation/next", func(w http.ResponseWriter, r *http.Request) {
		p.ready.CompareAndSwap(0, int64(time.Since(began)))
		select {
		case i := <-p.next:
			p.mu.Lock()
			p.now = i
			p.mu.Unlock()
			h := w.Header()
			h.Set("Lambda-Runtime-Aws-Request-Id", i.id)
			h.Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(i.deadline.UnixMilli(), 10))
			h.Set("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:us-east-1:000000000000:function:bullion-"+l.Name)
			h.Set("Content-Type", "application/json")
			_, _ = w.Write(i.payload) // a process that is gone is seen by invoke
		case <-r.Context().Done():
		}
	})
	finish := func(w http.ResponseWriter, r *http.Request, read func([]byte) result) {
		body, err := io.ReadAll(r.Body)
		p.mu.Lock()
		i := p.now
		p.mu.Unlock()
		if err != nil || i.id != r.PathValue("id") {
			http.Error(w, `{"errorType":"InvalidRequestID"}`, http.StatusBadRequest)
			return
		}
		w.WriteHeader(http.StatusAccepted)
		i.result <- read(body)
	}
	mux.HandleFunc("POST /2018-06-01/runtime/invocation/{id}/response", func(w http.ResponseWriter, r *http.Request) {
		finish(w, r, func(b []byte) result { return result{answer: b} })
	})
	mux.HandleFunc("POST /2018-06-01/runtime/invocation/{id}/error", func(w http.ResponseWriter, r *http.Request) {
		finish(w, r, func(b []byte) result {
			e := &Error{}
			if err := json.Unmarshal(b, e); err != nil {
				e.Message = string(b)
			}
			return result{err: e}
		})
	})
	p.server = &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	go func() { _ = p.server.Serve(listener) }() // ends with stop
	p.cmd = exec.Command(l.Bootstrap)
	p.cmd.Dir = os.TempDir()
	p.cmd.Env = append([]string{"AWS_LAMBDA_RUNTIME_API=" + listener.Addr().String(), "AWS_LAMBDA_FUNCTION_NAME=bullion-" + l.Name,
		"AWS_LAMBDA_FUNCTION_VERSION=$LATEST", "_HANDLER=bootstrap", "LAMBDA_TASK_ROOT=/var/task"}, l.Environment...)
	out := io.Writer(&l.output)
	if l.Log != nil {
		out = io.MultiWriter(out, l.Log)
	}
	p.cmd.Stdout, p.cmd.Stderr = out, out
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		p.server.Close()
		return nil, fmt.Errorf("start %s: %w; build it with make functions ARCH=amd64 or arm64, as this machine is", l.Bootstrap, err)
	}
	go func() { _ = p.cmd.Wait(); close(p.gone) }()
	l.mu.Lock()
	l.all = append(l.all, p)
	l.mu.Unlock()
	return p, nil
}

var errGone = errors.New("the process ended")

func (p *instance) invoke(ctx context.Context, i invocation) ([]byte, error) {
	i.result = make(chan result, 1)
	select {
	case p.next <- i:
	case <-p.gone:
		return nil, errGone
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	select {
	case r := <-i.result:
		return r.answer, r.err
	case <-p.gone:
		return nil, errGone
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (p *instance) stop() {
	p.once.Do(func() {
		_ = p.cmd.Process.Kill() // it may have ended by itself
		<-p.gone
		p.server.Close()
	})
}
