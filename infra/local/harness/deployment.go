package harness

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"bullion/infra/local/s3engine"
	"bullion/internal/proctest"
	"bullion/web"
)

// Config is of what a deployment is made. Root, Built, Dir and Engines are needed; paths are absolute, since the S3 engine changes the directory.
type Config struct {
	Root    string   // folder of the project, with template.yaml
	Built   string   // folder in which each function has one with its bootstrap, built for this machine's processor
	Dir     string   // where the S3 engine keeps bytes
	Engines *Engines // prepared

	Listen, S3Listen string            // host:port of the API and of S3; free ones of loopback when empty
	Parameters       map[string]string // of the template
	Log              *slog.Logger      // of what nobody waits for; slog.Default when nil

	// Between returns the URL by which a function reaches one of the engines; nil lets it reach that itself.
	Between func(function, to string) string
	// Deliver does what becomes of an event of the bucket, which handle gives to validate; nil handles it once.
	Deliver func(handle func() error)
	// GivenUp hears of an asynchronous event that a function did not handle; nil logs it.
	GivenUp func(function string, err error)
}

// Deployment is the service as template.yaml describes it, running.
type Deployment struct {
	URL       string
	Template  *Template
	Schedules []Schedule
	Functions map[string]*Lambda
	S3        *s3engine.Server

	config  Config
	invoker *http.Server // the API of Lambda, and of EventBridge
	front   *http.Server
	pending sync.WaitGroup // events
}

// Start brings up a deployment. It ends with ctx; Close then waits for it.
func Start(ctx context.Context, c Config) (_ *Deployment, err error) {
	c.Log = cmp.Or(c.Log, slog.Default())
	if c.Between == nil {
		c.Between = func(_, to string) string { return to }
	}
	if c.Deliver == nil {
		c.Deliver = func(handle func() error) { _ = handle() } // GivenUp has heard of it
	}
	if c.GivenUp == nil {
		c.GivenUp = func(function string, err error) {
			c.Log.Error("an event was given up", slog.String("function", function), slog.String("error", err.Error()))
		}
	}
	d := &Deployment{config: c, Functions: map[string]*Lambda{}}
	listener, err := net.Listen("tcp", cmp.Or(c.Listen, "127.0.0.1:0"))
	if err != nil {
		return nil, fmt.Errorf("the API cannot listen: %w", err)
	}
	defer func() {
		if err != nil {
			listener.Close()
			d.Close()
		}
	}()
	d.URL = "http://" + listener.Addr().String()
	d.Template, err = c.Engines.Template(c.Root, c.Parameters, listener.Addr().String())
	if err != nil {
		return nil, err
	}
	if d.Schedules, err = readSchedules(filepath.Join(c.Root, "template.yaml"), c.Parameters); err != nil {
		return nil, err
	}
	if c.S3Listen == "" {
		if c.S3Listen, err = proctest.FreeAddr(); err != nil {
			return nil, err
		}
	}
	d.S3, err = s3engine.Start(ctx, s3engine.Config{
		Dir: filepath.Join(c.Dir, "s3"), Addr: c.S3Listen, AccessKey: AccessKey, SecretKey: SecretKey, Region: Region, Bucket: Bucket,
		AllowedOrigins: []string{"*"}, Log: c.Log, Created: d.created,
	})
	if err != nil {
		return nil, err
	}
	invoker, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	d.invoker = &http.Server{Handler: http.HandlerFunc(d.answer), ReadHeaderTimeout: time.Minute}
	go func() { _ = d.invoker.Serve(invoker) }() // ends with Close
	emulation := *c.Engines.AWS.BaseEndpoint
	for name, f := range d.Template.Functions {
		environment := f.Environment
		for variable, value := range map[string]string{
			"AWS_REGION": Region, "AWS_ACCESS_KEY_ID": AccessKey, "AWS_SECRET_ACCESS_KEY": SecretKey, "BULLION_PUBLIC_URL": d.URL,
			"BULLION_S3_ENDPOINT": c.Between(name, d.S3.Endpoint()), "BULLION_DYNAMODB_ENDPOINT": c.Between(name, c.Engines.DynamoDB),
			"BULLION_SSM_ENDPOINT": c.Between(name, emulation), "BULLION_COGNITO_ENDPOINT": c.Between(name, emulation),
			"BULLION_LAMBDA_ENDPOINT": c.Between(name, "http://"+invoker.Addr().String()), "BULLION_EVENTS_ENDPOINT": c.Between(name, "http://"+invoker.Addr().String()),
		} {
			environment[variable] = value
		}
		if c.Parameters["ComputeProxy"] == "on" && environment["BULLION_COMPUTE_URL"] != "" {
			environment["BULLION_COMPUTE_URL"] = d.URL // at the same front, which has no TLS here
		}
		var all []string
		for variable, value := range environment {
			all = append(all, variable+"="+value)
		}
		d.Functions[name] = &Lambda{Name: name, Bootstrap: filepath.Join(c.Built, name, "bootstrap"), Environment: all, Timeout: time.Duration(f.Timeout) * time.Second}
	}
	mux := http.NewServeMux() // what CloudFront does
	mux.Handle("/ui/", http.StripPrefix("/ui", web.Handler([]string{d.S3.Endpoint()})))
	gateway := &Gateway{Routes: d.Template.Routes, Responses: d.Template.Responses, Functions: d.Functions}
	d.front = &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/ui" || strings.HasPrefix(r.URL.Path, "/ui/") {
			mux.ServeHTTP(w, r)
			return
		}
		gateway.ServeHTTP(w, r) // not through the mux, which would clean paths
	})}
	go func() { _ = d.front.Serve(listener) }() // ends with Close
	return d, nil
}

// Close ends everything but the S3 engine, which ends with the context of Start.
func (d *Deployment) Close() {
	for _, s := range []*http.Server{d.front, d.invoker} {
		if s != nil {
			s.Close()
		}
	}
	d.pending.Wait()
	for _, f := range d.Functions {
		f.Close()
	}
}

// Wait returns when every event is handled or given up.
func (d *Deployment) Wait() { d.pending.Wait() }

// Run sends the events of the template's schedules until ctx ends. Time goes by faster by the factor speed.
func (d *Deployment) Run(ctx context.Context, speed int) {
	var all sync.WaitGroup
	for _, s := range d.Schedules {
		all.Go(func() {
			ticks := time.NewTicker(s.Every / time.Duration(speed))
			defer ticks.Stop()
			for {
				select {
				case <-ctx.Done():
					return
				case <-ticks.C:
					_ = d.Event(s.Function, []byte(s.Input)) // GivenUp has heard of it
				}
			}
		})
	}
	all.Wait()
}

// created is what EventBridge makes of S3's news (https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html).
func (d *Deployment) created(_ context.Context, o s3engine.Object) error {
	payload, err := json.Marshal(map[string]any{
		"version": "0", "source": "aws.s3", "detail-type": "Object Created", "region": Region, "time": o.At.UTC().Format(time.RFC3339),
		"detail": map[string]any{"version": "0", "bucket": map[string]string{"name": o.Bucket}, "reason": strings.TrimPrefix(o.EventName, "ObjectCreated:"),
			"object": map[string]any{"key": strings.Clone(o.Key), "size": o.Size, "etag": strings.Trim(o.ETag, `"`)}},
	})
	if err != nil {
		return err
	}
	d.pending.Go(func() { d.config.Deliver(func() error { return d.Event("validate", payload) }) })
	return nil
}

// Event invokes a function as Lambda does for events: as often as the template says, until it succeeds.
func (d *Deployment) Event(function string, payload []byte) (err error) {
	for try := range 1 + d.Template.Functions[function].Retries {
		if _, err = d.Functions[function].Invoke(context.Background(), payload); err == nil {
			return nil
		}
		time.Sleep(time.Duration(try) * 100 * time.Millisecond) // a minute on AWS
	}
	d.config.GivenUp(function, err)
	return err
}

// answer is what functions call of Lambda and of EventBridge, on whose bus nobody listens.
func (d *Deployment) answer(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("X-Amz-Target") != "AWSEvents.PutEvents" {
		d.invokeAsynchronously(w, r)
		return
	}
	var in struct{ Entries []json.RawMessage }
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		http.Error(w, "not JSON", http.StatusBadRequest)
		return
	}
	entries := make([]map[string]string, len(in.Entries))
	for n := range entries {
		entries[n] = map[string]string{"EventId": "none"}
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"FailedEntryCount": 0, "Entries": entries}) // the function may be gone
}

// invokeAsynchronously is Lambda's Invoke with the type Event.
func (d *Deployment) invokeAsynchronously(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimSuffix(strings.TrimPrefix(r.URL.Path, "/2015-03-31/functions/bullion-"), "/invocations")
	payload, err := io.ReadAll(r.Body)
	if err != nil || d.Functions[name] == nil || r.Header.Get("X-Amz-Invocation-Type") != "Event" || !strings.HasPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 ") {
		http.Error(w, "no such function, or not signed, or not asynchronous", http.StatusForbidden)
		return
	}
	w.WriteHeader(http.StatusAccepted)
	d.pending.Go(func() { _ = d.Event(name, payload) }) // GivenUp has heard of it
}

var errNoUser = errors.New("a user is NAME=PROJECT:ROLE, further grants after a comma")

// ParseUser reads NAME=PROJECT:ROLE,PROJECT:ROLE.
func ParseUser(text string) (User, error) {
	name, groups, ok := strings.Cut(text, "=")
	u := User{Name: name, Groups: strings.Split(groups, ",")}
	if !ok || name == "" {
		return u, errNoUser
	}
	for _, g := range u.Groups {
		if project, role, ok := strings.Cut(g, ":"); !ok || project == "" || role == "" {
			return u, errNoUser
		}
	}
	return u, nil
}
