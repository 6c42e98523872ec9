package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"bullion/cmd/bullion/internal/glance"
	"bullion/cmd/bullion/internal/transfer"
)

func (a *app) imageUpload() *cobra.Command {
	d := &delivery{a: a}
	file := ""
	cmd := &cobra.Command{
		Use: "upload --file FILE IMAGE", Short: "Give an image that is queued its bytes",
		Long: `Give an image that is queued its bytes: one that was created without a file, or whose last upload was
rejected or given up. The file must be of the image's disk_format; an image without one gets that of the file.`,
		Args: exactly(1, "an image, by name or id"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := d.check(); err != nil {
				return err
			}
			if file == "" {
				return misuse("name the file to upload with --file")
			}
			return d.uploadTo(cmd.Context(), args[0], file)
		},
	}
	cmd.Flags().StringVar(&file, "file", "", "image file to upload")
	completeFile(cmd)
	d.beginFlags(cmd.Flags())
	return cmd
}

// load opens the file to send.
func (d *delivery) load(file string) (err error) {
	if file == "-" {
		return misuse("standard input cannot be read again after a failure; write it to a file and upload that")
	}
	d.source, err = transfer.OpenSource(file)
	return err
}

func (d *delivery) uploadTo(ctx context.Context, ref, file string) (err error) {
	if err := d.load(file); err != nil {
		return err
	}
	defer d.source.Close()
	if d.api, err = d.a.connect(ctx); err != nil {
		return err
	}
	i, err := d.api.Find(ctx, ref)
	if err != nil {
		return err
	}
	switch {
	case i.Status != glance.StatusQueued:
		return fmt.Errorf("image %s is %s; only an image that is queued takes a file", named(i), i.Status)
	case i.Properties["bullion_upload_state"] == glance.UploadOpen:
		return advise(fmt.Errorf("image %s already has the open upload %s", named(i), i.UploadID()),
			"Go on with it:  bullion upload resume "+i.ID+" --file FILE", "or give it up:  bullion upload abort "+i.ID)
	}
	report, err := d.preflight(ctx, i.DiskFormat, i.ContainerFormat)
	if err != nil {
		return err
	}
	var changes []glance.Change
	if i.DiskFormat == "" {
		if report.DiskFormat == "" {
			return misuse("image %s has no disk_format; without --no-preflight it gets that of the file", named(i))
		}
		changes = append(changes, change("disk_format", report.DiskFormat))
	}
	if i.ContainerFormat == "" {
		changes = append(changes, change("container_format", orBare(report.ContainerFormat)))
	}
	if len(changes) > 0 {
		if i, err = d.api.Patch(ctx, i.ID, changes); err != nil {
			return fmt.Errorf("set the formats of image %s: %w", ref, err)
		}
	}
	m := d.a.meter()
	i, err = d.sendTo(ctx, m, i)
	m.close()
	if err != nil {
		return err
	}
	return d.a.showImage(i)
}

func (d *delivery) sendTo(ctx context.Context, m *meter, i *glance.Image) (*glance.Image, error) {
	sum, err := d.declared(ctx, m)
	if err != nil {
		return nil, err
	}
	u, err := d.open(ctx, d.patience(m), i, sum)
	if err != nil {
		return nil, fmt.Errorf("begin the upload: %w", err)
	}
	return d.deliver(ctx, m, i, u)
}
