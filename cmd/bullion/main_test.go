package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bullion/cmd/bullion/internal/glance"
	"bullion/cmd/bullion/internal/pending"
	"bullion/cmd/bullion/internal/transfer"
	"bullion/internal/diskimage"
)

// offline runs the program with no cloud.
func offline(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	state := t.TempDir()
	status = run(t.Context(), args, &app{in: strings.NewReader(""), out: &out, err: &err, getenv: func(k string) string {
		return map[string]string{"XDG_STATE_HOME": state}[k]
	}})
	return status, out.String(), err.String()
}

func TestWhatIsCalledWronglyEndsWithTwoAndSaysHow(t *testing.T) {
	tests := []struct {
		args []string
		says string
	}{
		{[]string{"imag"}, `"bullion" has no command "imag"; did you mean image?`},
		{[]string{"image", "creat"}, `"bullion image" has no command "creat"; did you mean create?`},
		{[]string{"image", "create"}, `"bullion image create" takes one name, not 0 arguments`},
		{[]string{"image", "show"}, "takes an image, by name or id"},
		{[]string{"image", "delete"}, "needs an image, by name or id"},
		{[]string{"image", "list", "--nope"}, "Unknown flag: --nope"},
		{[]string{"image", "list", "--format", "xml"}, "--format must be one of table, json, value"},
		{[]string{"image", "list", "--visibility", "secret"}, "--visibility must be one of"},
		{[]string{"image", "list", "--limit", "-1"}, "--limit must not be negative"},
		{[]string{"image", "list", "--property", "x"}, "--property takes KEY=VALUE"},
		{[]string{"image", "create", "x", "--disk-format", "floppy"}, "--disk-format must be one of"},
		{[]string{"image", "create", "x", "--public", "--private"}, "--public and --private exclude each other"},
		{[]string{"image", "create", "x", "--property", "size=5"}, "size is not a custom property"},
		{[]string{"image", "create", "x", "--parallel", "0"}, "--parallel must be 1 to 32"},
		{[]string{"image", "create", "x", "--sha512", "abc"}, "--sha512 must be 128 hexadecimal digits"},
		{[]string{"image", "create", "x", "--file", "-"}, "Standard input cannot be read again"},
		{[]string{"image", "create", "x", "--file", "y", "--no-preflight"}, "say what it is with --disk-format"},
		{[]string{"image", "upload", "x"}, "name the file to upload with --file"},
		{[]string{"image", "set", "x"}, "say what to change"},
		{[]string{"image", "set", "x", "--protected", "--unprotected"}, "exclude each other"},
		{[]string{"image", "unset", "x"}, "say what to remove"},
	}
	for _, test := range tests {
		t.Run(strings.Join(test.args, " "), func(t *testing.T) {
			status, stdout, stderr := offline(t, test.args...)
			if status != exitUsage || !strings.Contains(strings.ToLower(stderr), strings.ToLower(test.says)) || stdout != "" {
				t.Errorf("status %d, output %q, errors %q; want %d and %q", status, stdout, stderr, exitUsage, test.says)
			}
		})
	}
}

func TestWhatNeedsNoCloudNeedsNone(t *testing.T) {
	for _, args := range [][]string{{}, {"image"}, {"--help"}, {"image", "create", "--help"}, {"version"}, {"--version"}, {"completion", "bash"}, {"upload", "list", "-f", "json"}} {
		if status, stdout, stderr := offline(t, args...); status != exitOK || stdout == "" || stderr != "" {
			t.Errorf("bullion %v: status %d, output %q, errors %q", args, status, stdout, stderr)
		}
	}
}

func TestABadFileIsRefusedBeforeAnyoneIsAsked(t *testing.T) {
	dir := t.TempDir()
	text, empty := filepath.Join(dir, "letter.txt"), filepath.Join(dir, "empty")
	if err := errors.Join(os.WriteFile(text, []byte(strings.Repeat("no disk ", 1000)), 0o600), os.WriteFile(empty, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name   string
		args   []string
		status int
		says   string
	}{
		{"a missing file", []string{"--file", filepath.Join(dir, "none")}, exitFailed, "no file"},
		{"an empty file", []string{"--file", empty}, exitFailed, "is empty"},
		{"a directory", []string{"--file", dir}, exitFailed, "is a directory"},
		{"another format than declared", []string{"--file", text, "--disk-format", "qcow2"}, exitRejected, "format_mismatch"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			status, _, stderr := offline(t, append([]string{"image", "create", "x"}, test.args...)...)
			if status != test.status || !strings.Contains(stderr, test.says) {
				t.Errorf("status %d, errors %q; want %d and %q", status, stderr, test.status, test.says)
			}
		})
	}
}

func TestErrorsBecomeStatusesAndSentences(t *testing.T) {
	rejected := &transfer.Rejected{ImageID: "i", UploadID: "u", Rejection: glance.Rejection{Code: "truncated", Message: "It ends early.", Hint: "Send all of it."}}
	tests := []struct {
		name   string
		err    error
		status int
		says   string
	}{
		{"an interruption", advise(fmt.Errorf("send: %w", context.Canceled), "Go on with: bullion upload resume u"), exitInterrupted, "Interrupted.\nGo on with: bullion upload resume u\n"},
		{"a failure", errors.New("something broke"), exitFailed, "Error: Something broke.\n"},
		{"a sentence of the service", &glance.Error{Status: 403, Message: "You may not."}, exitFailed, "Error: You may not.\n"},
		{"a rejection", rejection(rejected, &glance.Image{ID: "i", Name: "debian"}), exitRejected,
			"Error: Image debian (i) was rejected (truncated): It ends early.\nSend all of it.\n" +
				"The image is queued again. Send another file with: bullion image upload i --file FILE\nor delete it with: bullion image delete i\n"},
		{"a refusal before the upload", &preflightError{"x", &diskimage.Rejection{Code: "polyglot", Message: "It is two."}}, exitRejected, "Error: File x is refused (polyglot): It is two.\n"},
		{"a name with an escape sequence", errors.New("image \x1b[31mred\u202e is gone"), exitFailed, "Error: Image ·[31mred· is gone.\n"},
		{"a path that comes first", errors.New("disk.raw is gone"), exitFailed, "Error: disk.raw is gone.\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var stderr bytes.Buffer
			a := &app{err: &stderr}
			if status := a.fail(test.err); status != test.status {
				t.Errorf("status %d, want %d", status, test.status)
			}
			if diff := cmp.Diff(test.says, stderr.String()); diff != "" {
				t.Errorf("said (-want +got):\n%s", diff)
			}
		})
	}
}

func TestQuoted(t *testing.T) {
	for path, want := range map[string]string{"disk.raw": "disk.raw", "my disk.raw": "'my disk.raw'", "it's": `'it'\''s'`, "": "''", "$HOME": "'$HOME'", "/a/b_c-1": "/a/b_c-1"} {
		if got := quoted(path); got != want {
			t.Errorf("quoted(%q) = %s, want %s", path, got, want)
		}
	}
}

func TestBytesAreReadable(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1024: "1 KiB", 1536: "1.5 KiB", 1 << 20: "1 MiB", 1023 << 10: "1 MiB", 999 << 20: "999 MiB", 10<<30 + 1<<29: "10.5 GiB",
		1 << 40: "1 TiB", 1<<63 - 1: "8192 PiB"} {
		if got := humanBytes(n); got != want {
			t.Errorf("humanBytes(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestTimesAreReadable(t *testing.T) {
	for d, want := range map[time.Duration]string{1234 * time.Millisecond: "1.2 s", 59 * time.Second: "59 s", 90 * time.Second: "1 min 30 s", 3700 * time.Second: "1 h 01 min", 400 * time.Hour: "16 days"} {
		if got := humanTime(d); got != want {
			t.Errorf("humanTime(%s) = %q, want %q", d, got, want)
		}
	}
}

func TestProgressIsDescribed(t *testing.T) {
	tests := []struct {
		name    string
		r       reading
		rate    float64
		trouble string
		want    string
	}{
		{"with a rate and the time left", reading{done: 1 << 30, total: 4 << 30}, 100 << 20, "", " 25%  1 GiB of 4 GiB  100 MiB/s  31 s left"},
		{"without a rate at first", reading{total: 4 << 30}, 0, "", "  0%  0 B of 4 GiB"},
		{"with what is waited out", reading{done: 1, total: 2}, 5, "x does not answer", " 50%  1 B of 2 B  x does not answer"},
		{"with what is done instead of moving bytes", reading{total: 5, doing: "examining"}, 0, "", "examining"},
		{"with nothing while nothing is known", reading{}, 0, "", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := describe(test.r, test.rate, test.trouble); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
	if got, want := finished(reading{done: 3 << 20, total: 3 << 20, before: 1 << 20}, 2*time.Second), "2 MiB in 2.0 s, 1 MiB/s"; got != want {
		t.Errorf("finished: got %q, want %q", got, want)
	}
}

func TestSpeedIsOfTheLastSeconds(t *testing.T) {
	var s speed
	if got := s.perSecond(); got != 0 {
		t.Errorf("speed of nothing is %g", got)
	}
	for n := range 100 { // ten seconds at 100 bytes per second
		s.sample(int64(n*10), time.Duration(n)*100*time.Millisecond)
	}
	for n := range 100 { // ten more at 1000
		s.sample(1000+int64(n*100), 10*time.Second+time.Duration(n)*100*time.Millisecond)
	}
	if got := s.perSecond(); got < 990 || got > 1010 {
		t.Errorf("speed %g, want about 1000", got)
	}
	s.sample(500, 20*time.Second) // a part began again
	if got := s.perSecond(); got < 0 {
		t.Errorf("speed %g, want none below zero", got)
	}
}

func image(t *testing.T, doc string) *glance.Image {
	t.Helper()
	var i glance.Image
	if err := i.UnmarshalJSON([]byte(doc)); err != nil {
		t.Fatal(err)
	}
	return &i
}

func TestImagesArePrintedInEveryFormat(t *testing.T) {
	images := []*glance.Image{
		image(t, `{"id":"1","name":"Debian 日本","status":"active","disk_format":"qcow2","size":1610612736,"visibility":"public","created_at":"2026-01-02T03:04:05Z","tags":["a","b"]}`),
		image(t, `{"id":"2","name":"bad\u001b[2J","status":"queued","size":null,"visibility":"private","created_at":"2026-01-02T03:04:05Z","tags":[],"bullion_upload_state":"rejected","os_distro":"x"}`),
	}
	tests := []struct {
		name, format string
		columns      []string
		quiet        bool
		want         string
	}{
		{"a table aligns wide characters and shows no control characters", "table", []string{"id", "name", "status", "size", "tags"}, false, "" +
			"ID  NAME         STATUS             SIZE     TAGS\n" +
			"1   Debian 日本  active             1.5 GiB  a, b\n" +
			"2   bad·[2J      queued (rejected)\n"},
		{"values are bare and separated by tabs", "value", []string{"id", "size", "os_distro"}, false, "1\t1610612736\t\n2\t\tx\n"},
		{"JSON keeps the types", "json", []string{"id", "size", "tags"}, false,
			"[\n  {\n    \"id\": \"1\",\n    \"size\": 1610612736,\n    \"tags\": [\n      \"a\",\n      \"b\"\n    ]\n  },\n  {\n    \"id\": \"2\",\n    \"size\": null,\n    \"tags\": []\n  }\n]\n"},
		{"quiet is ids", "table", nil, true, "1\n2\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var out bytes.Buffer
			a := &app{out: &out, format: test.format, columns: test.columns, quiet: test.quiet}
			if err := a.listImages(images, false); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, out.String()); diff != "" {
				t.Errorf("printed (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("no images are an empty list in JSON", func(t *testing.T) {
		var out bytes.Buffer
		if err := (&app{out: &out, format: "json"}).listImages([]*glance.Image{}, false); err != nil || out.String() != "[]\n" {
			t.Errorf("printed %q, %v; want []", out.String(), err)
		}
	})
	t.Run("a column that no image has is a mistake", func(t *testing.T) {
		err := (&app{out: new(bytes.Buffer), format: "table", columns: []string{"nam"}}).listImages(images, false)
		if err == nil || statusOf(err) != exitUsage || !strings.Contains(err.Error(), "name") {
			t.Errorf("error %v, want one that lists the columns", err)
		}
	})
}

func TestTheStatusOfAnImageSaysWhatItsUploadDoes(t *testing.T) {
	for doc, want := range map[string]string{
		`{"status":"active"}`:                                           "active",
		`{"status":"queued"}`:                                           "queued",
		`{"status":"queued","bullion_upload_state":"open"}`:             "queued (upload open)",
		`{"status":"importing","bullion_progress":"hash 250/1000"}`:     "importing (25%)",
		`{"status":"importing","bullion_progress":"fetch 250/1000"}`:    "importing (fetched 25%)",
		`{"status":"importing","bullion_progress":"fetch 250/0"}`:       "importing",
		`{"status":"queued","bullion_import_failure":"It broke off."}`:  "queued (import failed)",
		`{"status":"importing","bullion_progress":"inspect 0/1000"}`:    "importing",
		`{"status":"importing","bullion_progress":"hash nonsense"}`:     "importing",
		`{"status":"queued","bullion_upload_state":"rejected","x":"y"}`: "queued (rejected)",
	} {
		if got := liveStatus(image(t, doc)); got != want {
			t.Errorf("%s: %q, want %q", doc, got, want)
		}
	}
}

func TestTheFileOfAnImageIsCalledAfterIt(t *testing.T) {
	for name, want := range map[string]string{"debian 13": "debian 13.qcow2", "../../etc/passwd": "_.._etc_passwd.qcow2", "a.qcow2": "a.qcow2", "-rf": "rf.qcow2", "": "id.qcow2", "..": "id.qcow2"} {
		if got := fileName(&glance.Image{ID: "id", Name: name, DiskFormat: "qcow2"}); got != want {
			t.Errorf("%q is saved as %q, want %q", name, got, want)
		}
	}
}

func TestAnUnfinishedUploadIsChosenByWhatIsKnownOfIt(t *testing.T) {
	state := t.TempDir()
	a := &app{err: new(bytes.Buffer), getenv: func(k string) string { return map[string]string{"XDG_STATE_HOME": state}[k] }}
	dir, err := a.remembered()
	if err != nil {
		t.Fatal(err)
	}
	never := func() (*glance.Client, error) { return nil, errors.New("asked the service") }
	choose := func(ref string) (string, error) {
		c, err := a.choose(t.Context(), never, ref)
		if err != nil {
			return "", err
		}
		return c.uploadID, nil
	}
	if _, err := choose(""); err == nil || !strings.Contains(err.Error(), "no upload is unfinished") {
		t.Errorf("with none: %v", err)
	}
	for _, n := range []string{"1", "2"} {
		if err := dir.Save(pending.Upload{ID: "u" + n, ImageID: "i" + n, ImageName: "name" + n, Path: "/f" + n}); err != nil {
			t.Fatal(err)
		}
		if n == "1" {
			if got, err := choose(""); got != "u1" || err != nil {
				t.Errorf("the only one: %q, %v", got, err)
			}
		}
	}
	for _, ref := range []string{"u2", "i2", "name2"} {
		if got, err := choose(ref); got != "u2" || err != nil {
			t.Errorf("%s: %q, %v; want u2", ref, got, err)
		}
	}
	var adv *advised
	if _, err := choose(""); !errors.As(err, &adv) || len(adv.advice) != 2 {
		t.Errorf("of two: %v, want both named", err)
	}
	if _, err := choose("elsewhere"); err == nil || !strings.Contains(err.Error(), "asked the service") {
		t.Errorf("one that is not remembered: %v, want that the service is asked", err)
	}
}

func TestIDsAreRandomUUIDs(t *testing.T) {
	seen := map[string]bool{}
	for range 100 {
		id := newUUID()
		if !glance.IsID(id) || id[14] != '4' || !strings.ContainsRune("89ab", rune(id[19])) || seen[id] {
			t.Fatalf("%s is not a new random UUID", id)
		}
		seen[id] = true
	}
}
