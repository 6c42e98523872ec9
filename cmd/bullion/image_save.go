package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"bullion/cmd/bullion/internal/glance"
	"bullion/cmd/bullion/internal/transfer"
)

// saving is one download.
type saving struct {
	a        *app
	file     string
	force    bool
	parallel int
	retryFor time.Duration
}

func (a *app) imageSave() *cobra.Command {
	s := &saving{a: a}
	cmd := &cobra.Command{
		Use: "save IMAGE", Short: "Download an image to a file",
		Long: `Download an image to a file, in parallel ranges, and check its hash.

The file appears when it is whole and right. Until then what has arrived is kept beside it, and the same command goes on
from there. Use --file - to write to standard output.`,
		Example: `  bullion image save debian-13 --file debian-13.qcow2
  bullion image save debian-13 --file - | qemu-img dd -f qcow2 of=/dev/vdb`,
		Args: exactly(1, "an image, by name or id"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if s.parallel < 1 || s.parallel > 32 {
				return misuse("--parallel must be 1 to 32; it is %d", s.parallel)
			}
			return s.run(cmd.Context(), args[0])
		},
	}
	f := cmd.Flags()
	f.StringVar(&s.file, "file", "", "file to write, or - (default: the image's name with its format)")
	completeFile(cmd)
	f.BoolVar(&s.force, "force", false, "replace the file if it exists")
	f.IntVar(&s.parallel, "parallel", transfer.Parallel, "ranges fetched at once, 1 to 32")
	f.DurationVar(&s.retryFor, "retry-for", 2*time.Minute, "how long to go on while nothing answers")
	return cmd
}

func (s *saving) run(ctx context.Context, ref string) error {
	if s.file == "-" && terminal(s.a.out) {
		return misuse("an image is not text for a terminal; redirect standard output or name a file")
	}
	api, err := s.a.connect(ctx)
	if err != nil {
		return err
	}
	i, err := api.Find(ctx, ref)
	if err != nil {
		return err
	}
	if i.Size == nil || i.Status != glance.StatusActive && i.Status != "deactivated" {
		return fmt.Errorf("image %s is %s and has no data yet", named(i), i.Status)
	}
	if s.file == "" {
		s.file = fileName(i)
	}
	m := s.a.meter()
	err = s.save(ctx, m, api, i)
	m.close()
	return err
}

func (s *saving) save(ctx context.Context, m *meter, api *glance.Client, i *glance.Image) error {
	var progress transfer.Progress
	digest := transfer.DigestOf(i)
	if digest.Algorithm == "" {
		s.a.note("Warning: the record of image %s has no hash, so its bytes cannot be checked.", clean(named(i)))
	}
	r := &transfer.Receiver{Content: api.Content(i.ID, *i.Size), Size: *i.Size, Parallel: s.parallel,
		Patience: transfer.Patience{For: s.retryFor, Notice: m.wait}, Progress: &progress}

	if s.file == "-" {
		hash := digest.Hash()
		line := m.phase("Saving", bytesMoved(&progress))
		err := r.Run(ctx, io.MultiWriter(s.a.out, hash), 0)
		if err == nil {
			err = digest.Check(hash)
		}
		line.end(err != nil)
		return err
	}

	if _, err := os.Lstat(s.file); err == nil && !s.force {
		return fmt.Errorf("file %s exists; save to another, or replace it with --force", s.file)
	}
	t, err := transfer.OpenTarget(s.file, *i.Size, digest)
	if err != nil {
		return err
	}
	defer t.Close()
	resumed := t.Left() > 0
	if resumed {
		line := m.phase("Resuming", bytesMoved(&progress))
		err := t.Adopt(ctx, &progress)
		line.end(err != nil)
		if err != nil {
			return err
		}
	}
	line := m.phase("Saving", bytesMoved(&progress))
	err = r.Run(ctx, t, t.At())
	if err == nil {
		err = t.Commit()
	}
	// A part file that a power cut damaged is found out here; the whole image is fetched once more.
	if _, damaged := errors.AsType[*transfer.Damaged](err); damaged && resumed {
		if err = t.Restart(); err == nil {
			if err = r.Run(ctx, t, 0); err == nil {
				err = t.Commit()
			}
		}
	}
	line.end(err != nil)
	if err == nil {
		if s.a.quiet {
			return nil
		}
		return s.a.show(record{{"file", s.file}, {"id", i.ID}, {"name", i.Name}, {"size", bytesOf(i.Size)}, {"checked", digest.Algorithm}}, i.ID, nil)
	}
	if _, damaged := errors.AsType[*transfer.Damaged](err); damaged {
		return advise(err, "What arrived was deleted. Run the command again; if that does not help, tell the operator of the service."+discard(t))
	}
	if t.At() > 0 {
		return advise(err, fmt.Sprintf("%s of %s are kept in %s; the same command goes on from there.", humanBytes(t.At()), humanBytes(*i.Size), t.Part()))
	}
	return advise(err, strings.TrimSpace(discard(t)))
}

// discard removes the part file, and says so when it cannot.
func discard(t *transfer.Target) string {
	if err := t.Discard(); err != nil {
		return fmt.Sprintf(" It could not be: %v.", err)
	}
	return ""
}

// fileName is what to call the file of an image when the user does not say.
func fileName(i *glance.Image) string {
	name := strings.Map(func(r rune) rune {
		if r < ' ' || strings.ContainsRune(`/\"<>:|?*`, r) {
			return '_'
		}
		return r
	}, clean(i.Name))
	if name = strings.Trim(name, ". -"); name == "" {
		name = i.ID
	}
	if ext := "." + i.DiskFormat; i.DiskFormat != "" && !strings.HasSuffix(name, ext) {
		name += ext
	}
	return name
}
