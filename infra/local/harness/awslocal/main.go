// Command awslocal answers as a deployment on AWS does, on this machine and without Docker: the built functions behind a gateway, over a DynamoDB engine, the S3
// engine, and an emulation of Cognito and Parameter Store. Records, users and bytes are new each time. It runs until it is interrupted.
//
//	cd infra/local && go run -tags ui ./harness/awslocal -user ann=main:admin -user bob=main:member -parameter Inspection=lenient
//
// When it prints "Bullion is ready", everything answers. In its folder (-dir) are then
//
//	deployment.json   url, s3, and for each user name, password, project, project_id, role
//	clouds.yaml       one cloud for each user, by the user's name
//	functions.log     what the functions write
//
// The tag ui puts the dashboard at /ui/, which npm run build has made before; make aws-local does both.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"bullion/infra/local/harness"
	"bullion/internal/dynamostore/dynamotest"
	"bullion/internal/identity"
	"bullion/internal/identity/mototest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "awslocal:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	f := flag.NewFlagSet("awslocal", flag.ContinueOnError)
	f.SetOutput(stderr)
	c := harness.Config{Parameters: map[string]string{}}
	f.StringVar(&c.Root, "root", "", "folder of the project (default: the one around this folder)")
	f.StringVar(&c.Dir, "dir", "", "folder for what it writes; it must be new or empty (default: a temporary one)")
	f.StringVar(&c.Built, "functions", "", "folder that make functions OUT=… made for this machine's processor (default: they are built)")
	f.StringVar(&c.Listen, "listen", "127.0.0.1:9292", "address of the API and the dashboard")
	f.StringVar(&c.S3Listen, "s3-listen", "127.0.0.1:9293", "address of S3; clients must reach it")
	speed := f.Int("speed", 60, "by how much the schedules of the template go faster: at 60 a minute is a second")
	f.Func("parameter", "NAME=VALUE of the template, any number of times", func(text string) error {
		name, value, ok := strings.Cut(text, "=")
		if !ok {
			return fmt.Errorf("a parameter is NAME=VALUE")
		}
		c.Parameters[name] = value
		return nil
	})
	regions := f.String("regions", "", "file with the Images APIs from which images may be imported, as docs/operations.md has it; sets ImportRegions")
	var users []harness.User
	f.Func("user", "NAME=PROJECT:ROLE[,PROJECT:ROLE], any number of times (default: admin, member and reader of the project default)", func(text string) error {
		u, err := harness.ParseUser(text)
		users = append(users, u)
		return err
	})
	if err := f.Parse(args); err != nil {
		return err
	}
	if len(users) == 0 {
		for _, role := range []string{"admin", "member", "reader"} {
			users = append(users, harness.User{Name: role, Groups: []string{"default:" + role}})
		}
	}
	if c.Root == "" {
		if c.Root, err = project(); err != nil {
			return err
		}
	}
	if c.Dir == "" {
		if c.Dir, err = os.MkdirTemp("", "bullion-aws-"); err != nil {
			return err
		}
		defer os.RemoveAll(c.Dir)
	} else if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return err
	}
	for _, path := range []*string{&c.Root, &c.Dir, &c.Built} {
		if *path != "" {
			if *path, err = filepath.Abs(*path); err != nil { // the S3 engine changes the directory
				return err
			}
		}
	}
	if c.Built == "" {
		c.Built = filepath.Join(c.Dir, "functions")
		if err := build(ctx, c.Root, c.Built); err != nil {
			return err
		}
	}
	logs, err := os.Create(filepath.Join(c.Dir, "functions.log"))
	if err != nil {
		return err
	}
	defer logs.Close()
	c.Log = slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))

	tables, err := dynamotest.StartDynoxide(ctx)
	if err != nil {
		return err
	}
	defer tables.Stop()
	emulation, stop, err := mototest.Run(ctx)
	if err != nil {
		return err
	}
	defer stop()
	c.Engines = &harness.Engines{DynamoDB: tables.Endpoint, AWS: emulation, Table: "bullion", IdentityTable: "bullion-identity"}
	if err := c.Engines.Prepare(ctx, users); err != nil {
		return err
	}
	if *regions != "" {
		list, err := os.ReadFile(*regions)
		if err != nil {
			return err
		}
		if err := c.Engines.Secret(ctx, "/bullion/regions", string(list)); err != nil {
			return err
		}
		c.Parameters["ImportRegions"] = "on"
	}
	work, end := context.WithCancel(ctx)
	d, err := harness.Start(work, c)
	if err != nil {
		end()
		return err
	}
	for _, function := range d.Functions {
		function.Log = logs
	}
	defer func() {
		end()
		d.Close()
		_ = d.S3.Wait() // it was told to end
	}()
	if err := describe(c.Dir, d, users); err != nil {
		return err
	}
	fmt.Fprintf(stdout, `Bullion is ready, as on AWS.

  API        %[1]s
  Dashboard  %[1]s/ui/
  S3         %[2]s
  Users      %[3]s, with the password %[4]s
  Files      %[5]s

  export OS_CLIENT_CONFIG_FILE=%[5]s/clouds.yaml OS_CLOUD=%[6]s
`, d.URL, d.S3.Endpoint(), names(users), harness.Password, c.Dir, users[0].Name)
	d.Run(ctx, *speed)
	return nil
}

// project finds template.yaml in this folder or one around it.
func project() (string, error) {
	here, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for dir := here; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "template.yaml")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("there is no template.yaml in %s or around it: name the folder of the project with -root", here)
		}
	}
}

func build(ctx context.Context, root, out string) error {
	c := exec.CommandContext(ctx, "make", "--silent", "functions", "ARCH="+runtime.GOARCH, "OUT="+out)
	c.Dir = root
	if text, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("build the functions: %w\n%s", err, text)
	}
	return nil
}

// describe writes what programs need to know, and what people's tools do.
func describe(dir string, d *harness.Deployment, users []harness.User) error {
	type credential struct {
		Name      string `json:"name"`
		Password  string `json:"password"`
		Project   string `json:"project"`
		ProjectID string `json:"project_id"`
		Role      string `json:"role"`
	}
	var all []credential
	clouds := "clouds:\n"
	for _, u := range users {
		project, role, _ := strings.Cut(u.Groups[0], ":")
		all = append(all, credential{u.Name, harness.Password, project, identity.ProjectID(project), role})
		clouds += strings.TrimPrefix(identity.CloudsYAML(u.Name, d.URL, u.Name, harness.Password, project), "clouds:\n")
	}
	doc, err := json.MarshalIndent(map[string]any{"url": d.URL, "s3": d.S3.Endpoint(), "users": all}, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "clouds.yaml"), []byte(clouds), 0o600); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "deployment.json"), doc, 0o600)
}

func names(users []harness.User) string {
	var all []string
	for _, u := range users {
		all = append(all, u.Name)
	}
	return strings.Join(all, ", ")
}
