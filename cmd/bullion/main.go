// Command bullion uploads, lists, describes, shares, downloads and deletes the images of a Bullion vault, or of any OpenStack image service as far as that can.
//
// Where to look:
//
//	main.go            run: arguments to exit status; app: what every command works with
//	failure.go         errors to sentences and exit statuses
//	table.go           records to tables, JSON and values; image_view.go says what an image looks like
//	meter.go           progress on a terminal
//	image_*.go         bullion image …, a file for each noun or verb
//	scrub.go           bullion scrub
//	upload.go          bullion upload …; deliver.go is the way of a file from disk to active, which create, upload and resume share
//	internal/glance    the client of the API
//	internal/transfer  the engine that moves bytes
//	internal/pending   which uploads are unfinished on this machine
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"bullion/cmd/bullion/internal/glance"
	"bullion/cmd/bullion/internal/pending"
)

func main() {
	// The second signal finds no handler and ends the program at once.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], &app{in: os.Stdin, out: os.Stdout, err: os.Stderr, getenv: os.Getenv}))
}

// app is what a command works with: the world around it and the flags of all commands.
type app struct {
	in       io.Reader
	out, err io.Writer
	getenv   func(string) string

	cloud, region string
	format        string
	columns       []string
	quiet         bool
	noProgress    bool
}

// run is the whole program. It returns the exit status.
func run(ctx context.Context, args []string, a *app) int {
	root := a.root()
	root.SetArgs(args)
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	// Whatever goes wrong before a command begins is about how it was called.
	began := false
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error {
		if !slices.Contains(formats, a.format) {
			return fmt.Errorf("--format must be one of %s; it is %q", strings.Join(formats, ", "), a.format)
		}
		began = true
		return nil
	}
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitOK
	}
	if !began {
		err = &usage{err, cmd.CommandPath()}
	}
	return a.fail(err)
}

func (a *app) root() *cobra.Command {
	root := group("bullion", "Store and serve virtual machine images", a.imageCommand(), a.uploadCommand(), a.policyCommand(), a.quotaCommand(), a.scrubCommand(), a.whoAmI(), a.versionCommand())
	root.Long = `bullion stores virtual machine images in a Bullion vault and gets them out again.

Credentials are read as by other OpenStack tools: OS_CLOUD names a cloud in clouds.yaml, or
OS_AUTH_URL, OS_USERNAME, OS_PASSWORD and OS_PROJECT_NAME say who you are.

Exit status: 0 done, 1 failed, 2 called wrongly, 3 the image was rejected, 130 interrupted.`
	root.Example = `  bullion image create --file debian-13.qcow2 debian-13
  bullion image list
  bullion image save debian-13 --file copy.qcow2`
	root.SilenceErrors, root.SilenceUsage = true, true
	root.Version = programVersion()
	root.SetVersionTemplate("{{.Name}} {{.Version}}\n")
	flags := root.PersistentFlags()
	flags.StringVar(&a.cloud, "os-cloud", "", "cloud in clouds.yaml (default: $OS_CLOUD)")
	flags.StringVar(&a.region, "os-region-name", "", "region of the image service (default: $OS_REGION_NAME)")
	flags.StringVarP(&a.format, "format", "f", "table", "output: "+strings.Join(formats, ", "))
	flags.StringSliceVarP(&a.columns, "column", "c", nil, "show only this column; repeat for more")
	flags.BoolVarP(&a.quiet, "quiet", "q", false, "print ids only, and no progress")
	flags.BoolVar(&a.noProgress, "no-progress", false, "show no progress")
	return root
}

// group is a command that only holds others. Without a subcommand it shows them; with a wrong one it says so.
func group(use, short string, commands ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{
		Use: use, Short: short,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			cmd.SuggestionsMinimumDistance = 2
			hint := ""
			if s := cmd.SuggestionsFor(args[0]); len(s) > 0 {
				hint = fmt.Sprintf("; did you mean %s?", strings.Join(s, " or "))
			}
			return fmt.Errorf("%q has no command %q%s", cmd.CommandPath(), args[0], hint)
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	c.AddCommand(commands...)
	return c
}

// connect logs in.
func (a *app) connect(ctx context.Context) (*glance.Client, error) {
	login := glance.Login{Cloud: a.cloud, Region: a.region, UserAgent: "bullion/" + programVersion(), Getenv: a.getenv}
	if a.interactive() {
		login.Password = a.askPassword
	}
	return login.Open(ctx)
}

// remembered is the folder of unfinished uploads.
func (a *app) remembered() (pending.Dir, error) { return pending.Default(a.getenv) }

func fileOf(stream any) *os.File {
	f, _ := stream.(*os.File)
	return f
}

func terminal(stream any) bool {
	f := fileOf(stream)
	return f != nil && term.IsTerminal(int(f.Fd()))
}

// interactive says whether there is somebody to ask.
func (a *app) interactive() bool { return terminal(a.in) && terminal(a.err) }

func (a *app) askPassword(user string) (string, error) {
	fmt.Fprintf(a.err, "Password of %s: ", user)
	password, err := term.ReadPassword(int(fileOf(a.in).Fd()))
	fmt.Fprintln(a.err)
	if err != nil {
		return "", fmt.Errorf("read the password: %w", err)
	}
	return string(password), nil
}

// confirm asks a question and says whether the answer was yes.
func (a *app) confirm(ctx context.Context, question string) (bool, error) {
	fmt.Fprintf(a.err, "%s [y/N] ", question)
	answers := make(chan string, 1)
	go func() {
		var line string
		fmt.Fscanln(a.in, &line) // an empty line and the end of input both mean no
		answers <- line
	}()
	select {
	case <-ctx.Done():
		fmt.Fprintln(a.err)
		return false, ctx.Err()
	case line := <-answers:
		line = strings.ToLower(strings.TrimSpace(line))
		return line == "y" || line == "yes", nil
	}
}

// note writes a line for a person, who is not there in quiet mode.
func (a *app) note(format string, args ...any) {
	if !a.quiet {
		fmt.Fprintf(a.err, format+"\n", args...)
	}
}

// version is set by the linker in a release.
var version string

func programVersion() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return strings.TrimPrefix(info.Main.Version, "v")
	}
	return "devel"
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Show the version of this program", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintf(a.out, "bullion %s\n", programVersion())
			return err
		},
	}
}

func (a *app) whoAmI() *cobra.Command {
	return &cobra.Command{
		Use: "whoami", Short: "Show as whom you are logged in", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			api, err := a.connect(cmd.Context())
			if err != nil {
				return err
			}
			me, err := api.WhoAmI()
			if err != nil {
				return err
			}
			return a.show(record{
				{"user", me.User}, {"user_id", me.UserID}, {"project", me.Project}, {"project_id", me.ProjectID},
				{"roles", me.Roles}, {"expires_at", me.ExpiresAt}, {"endpoint", me.Endpoint},
			}, me.UserID, nil)
		},
	}
}

// errInterrupted is what Ctrl-C makes of a command.
var errInterrupted = errors.New("interrupted")
