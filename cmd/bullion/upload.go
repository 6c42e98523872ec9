package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"bullion/cmd/bullion/internal/glance"
	"bullion/cmd/bullion/internal/pending"
	"bullion/cmd/bullion/internal/transfer"
)

func (a *app) uploadCommand() *cobra.Command {
	return group("upload", "Work with uploads that are not finished", a.uploadResume(), a.uploadAbort(), a.uploadList())
}

func (a *app) uploadResume() *cobra.Command {
	d := &delivery{a: a}
	file := ""
	cmd := &cobra.Command{
		Use: "resume [IMAGE|UPLOAD]", Short: "Go on with an upload that stopped",
		Long: `Go on with an upload that stopped: only what the storage lacks is sent.

An upload that began on this machine needs no argument when it is the only one, and never its file. With an image and
--file an upload can be finished from any machine that has the same file.`,
		Example: `  bullion upload resume
  bullion upload resume debian-13 --file debian-13.qcow2`,
		Args: atMost(1, "an image or an upload"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := d.check(); err != nil {
				return err
			}
			return d.resume(cmd.Context(), first(args), file)
		},
	}
	cmd.Flags().StringVar(&file, "file", "", "the file that the upload began with (default: as remembered)")
	completeFile(cmd)
	d.flags(cmd.Flags())
	return cmd
}

func first(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return args[0]
}

// unfinishedUpload is an upload that was chosen, by what this machine remembers or by what the service says.
type unfinishedUpload struct {
	imageID, uploadID string
	known             *pending.Upload // nil when this machine does not know it
}

// choose finds the upload that ref means: the id of an upload or an image, the name of an image, or "" for the only one that is remembered.
func (a *app) choose(ctx context.Context, connect func() (*glance.Client, error), ref string) (*unfinishedUpload, error) {
	dir, err := a.remembered()
	if err != nil {
		return nil, err
	}
	list, listErr := dir.List()
	if listErr != nil {
		a.note("Warning: %s", sentence(listErr.Error()))
	}
	var match []pending.Upload
	for _, u := range list {
		if ref == "" || strings.EqualFold(u.ID, ref) || strings.EqualFold(u.ImageID, ref) || u.ImageName == ref {
			match = append(match, u)
		}
	}
	switch {
	case len(match) == 1:
		return &unfinishedUpload{match[0].ImageID, match[0].ID, &match[0]}, nil
	case len(match) > 1:
		lines := []string{}
		for _, u := range match {
			lines = append(lines, fmt.Sprintf("  %s  %s", u.ID, u.Path))
		}
		return nil, advise(fmt.Errorf("%d uploads are unfinished on this machine; say which of these you mean", len(match)), lines...)
	case ref == "":
		return nil, errors.New("no upload is unfinished on this machine; name the image, and its file with --file, to go on with one from elsewhere")
	}
	api, err := connect()
	if err != nil {
		return nil, err
	}
	i, err := api.Find(ctx, ref)
	if glance.StatusOf(err) == http.StatusNotFound {
		return nil, fmt.Errorf("there is no image %q, and no upload of that id began on this machine", ref)
	}
	if err != nil {
		return nil, err
	}
	if i.UploadID() == "" {
		return nil, fmt.Errorf("image %s is %s and has no upload to go on with", named(i), i.Status)
	}
	return &unfinishedUpload{imageID: i.ID, uploadID: i.UploadID()}, nil
}

func (d *delivery) resume(ctx context.Context, ref, file string) (err error) {
	connect := func() (*glance.Client, error) {
		if d.api == nil {
			d.api, err = d.a.connect(ctx)
		}
		return d.api, err
	}
	chosen, err := d.a.choose(ctx, connect, ref)
	if err != nil {
		return err
	}
	if file == "" && chosen.known != nil {
		file = chosen.known.Path
	}
	if chosen.known != nil && d.a.cloud == "" && d.a.getenv("OS_CLOUD") == "" && d.a.getenv("OS_AUTH_URL") == "" {
		d.a.cloud = chosen.known.Cloud
	}
	if _, err := connect(); err != nil {
		return err
	}
	if chosen.known != nil && chosen.known.Endpoint != d.api.Endpoint() {
		return fmt.Errorf("upload %s is of the service at %s, and you are logged in to %s; choose the other cloud with --os-cloud", chosen.uploadID, chosen.known.Endpoint, d.api.Endpoint())
	}
	i, u, err := d.a.state(ctx, d.api, chosen)
	if err != nil {
		return err
	}
	m := d.a.meter()
	i, err = d.goOn(ctx, m, i, u, chosen.known, file)
	m.close()
	if err != nil {
		return err
	}
	return d.a.showImage(i)
}

// state reads the image and the upload. One that is no longer there is forgotten.
func (a *app) state(ctx context.Context, api *glance.Client, chosen *unfinishedUpload) (*glance.Image, *glance.Upload, error) {
	i, err := api.Get(ctx, chosen.imageID)
	var u *glance.Upload
	if err == nil {
		u, err = api.UploadStatus(ctx, chosen.imageID, chosen.uploadID)
	}
	if glance.StatusOf(err) == http.StatusNotFound {
		if err := a.forget(chosen.uploadID); err != nil {
			return nil, nil, err
		}
		if i == nil || i.ID == "" {
			return nil, nil, fmt.Errorf("image %s is no longer there, and its upload neither", chosen.imageID)
		}
		return nil, nil, fmt.Errorf("upload %s is no longer there; image %s is %s", chosen.uploadID, named(i), i.Status)
	}
	return i, u, err
}

func (a *app) forget(id string) error {
	dir, err := a.remembered()
	if err != nil {
		return err
	}
	return dir.Forget(id)
}

// goOn does what is left of an upload.
func (d *delivery) goOn(ctx context.Context, m *meter, i *glance.Image, u *glance.Upload, known *pending.Upload, file string) (*glance.Image, error) {
	if u.State != glance.UploadOpen {
		if err := d.a.forget(u.ID); err != nil {
			return nil, err
		}
		if u.State == glance.UploadAborted || u.State == glance.UploadExpired {
			return nil, advise(fmt.Errorf("upload %s is %s; what was sent of it is deleted", u.ID, u.State),
				"Begin again with: bullion image upload "+i.ID+" --file FILE")
		}
		return d.await(ctx, m, i, u)
	}
	if file == "" {
		return nil, misuse("upload %s did not begin on this machine; name its file with --file", u.ID)
	}
	if err := d.load(file); err != nil {
		return nil, err
	}
	defer d.source.Close()
	if err := sameFile(d.source, u, known, file); err != nil {
		return nil, advise(err, "If the other file is the right one, begin again:  bullion upload abort "+u.ID, "and then:  bullion image upload "+i.ID+" --file "+quoted(file))
	}
	return d.deliver(ctx, m, i, u)
}

// sameFile refuses to go on with another file than the upload began with, as far as that can be known.
func sameFile(s *transfer.Source, u *glance.Upload, known *pending.Upload, file string) error {
	if s.Size() != u.Size {
		return fmt.Errorf("file %s has %d bytes, and upload %s is of %d; it is not the file that the upload began with", file, s.Size(), u.ID, u.Size)
	}
	if known == nil || known.ModTime.Equal(s.ModTime()) {
		return nil
	}
	if began, err := os.Stat(known.Path); err == nil && s.Is(began) {
		return fmt.Errorf("file %s was written to after upload %s began", file, u.ID)
	}
	return nil
}

func (a *app) uploadAbort() *cobra.Command {
	return &cobra.Command{
		Use: "abort [IMAGE|UPLOAD]", Short: "Give an upload up and free what was stored of it", Args: atMost(1, "an image or an upload"),
		Long: "Give an upload up and free what was stored of it. The image stays, queued, and takes another upload.",
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			var api *glance.Client
			connect := func() (_ *glance.Client, err error) {
				if api == nil {
					api, err = a.connect(ctx)
				}
				return api, err
			}
			chosen, err := a.choose(ctx, connect, first(args))
			if err != nil {
				return err
			}
			if _, err := connect(); err != nil {
				return err
			}
			i, u, err := a.state(ctx, api, chosen)
			if err != nil {
				return err
			}
			if u.State == glance.UploadAccepted {
				return errors.Join(a.forget(u.ID), fmt.Errorf("upload %s is accepted already, and image %s is %s", u.ID, named(i), i.Status))
			}
			if err := api.AbortUpload(ctx, chosen.imageID, chosen.uploadID); err != nil {
				return err
			}
			if err := a.forget(chosen.uploadID); err != nil {
				return err
			}
			a.note("Gave up upload %s of image %s, which stays queued.", chosen.uploadID, clean(named(i)))
			return nil
		},
	}
}

func (a *app) uploadList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the uploads that are unfinished on this machine", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := a.remembered()
			if err != nil {
				return err
			}
			uploads, err := dir.List()
			if err != nil {
				a.note("Warning: %s", sentence(err.Error()))
			}
			if len(uploads) == 0 && a.format == "table" {
				a.note("No upload is unfinished on this machine.")
				return nil
			}
			records := make([]record, len(uploads))
			for n, u := range uploads {
				records[n] = record{{"id", u.ID}, {"image_id", u.ImageID}, {"image_name", u.ImageName}, {"size", bytesOf(&u.Size)},
					{"file", u.Path}, {"created_at", u.CreatedAt}, {"endpoint", u.Endpoint}}
			}
			return a.list(records, []string{"id", "image_name", "size", "file", "created_at"}, func(n int) string { return uploads[n].ID }, records)
		},
	}
}
