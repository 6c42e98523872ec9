package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"bullion/cmd/bullion/internal/glance"
	"bullion/cmd/bullion/internal/transfer"
	"bullion/internal/images"
)

// auto is the format that is found out by looking at the file.
const auto = "auto"

func (a *app) imageCreate() *cobra.Command {
	d := &delivery{a: a}
	t := &attributes{}
	file := ""
	cmd := &cobra.Command{
		Use: "create [--file FILE] NAME", Short: "Create an image, upload its file and wait until it can be used",
		Long: `Create an image, upload its file and wait until it can be used.

The file is checked before anything is created. It is sent in parallel parts; when that is interrupted,
bullion upload resume goes on where it stopped. Then the service examines and hashes the file, and the
image becomes active or is rejected with a reason (exit status 3).

Without --file only the record is created, for bullion image upload to fill.`,
		Example: `  bullion image create --file debian-13.qcow2 debian-13
  bullion image create --file win.vmdk --public --property os_type=windows --tag golden windows-2025`,
		Args: exactly(1, "one name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			t.name = args[0]
			if err := d.check(); err != nil {
				return err
			}
			if t.diskFormat != auto {
				if err := oneOf("disk-format", t.diskFormat, images.DiskFormats); err != nil {
					return err
				}
			}
			if t.containerFormat != auto {
				if err := oneOf("container-format", t.containerFormat, images.ContainerFormats); err != nil {
					return err
				}
			}
			v, err := t.values()
			if err != nil {
				return err
			}
			v["name"] = t.name
			if len(t.tags) > 0 {
				v["tags"] = t.tags
			}
			delete(v, "disk_format")
			delete(v, "container_format")
			formats := map[string]string{"disk_format": t.diskFormat, "container_format": t.containerFormat}
			for name, value := range formats {
				if value == auto {
					formats[name] = ""
				}
			}
			if file == "" {
				for name, value := range formats {
					if value != "" {
						v[name] = value
					}
				}
				return d.createEmpty(cmd.Context(), v)
			}
			return d.createFrom(cmd.Context(), file, v, formats)
		},
	}
	f := cmd.Flags()
	f.StringVar(&file, "file", "", "image file to upload")
	completeFile(cmd)
	f.StringVar(&t.diskFormat, "disk-format", auto, "format of the file: auto or one of "+fmt.Sprint(images.DiskFormats))
	f.StringVar(&t.containerFormat, "container-format", auto, "auto or one of "+fmt.Sprint(images.ContainerFormats))
	t.add(f)
	d.beginFlags(f)
	return cmd
}

func (d *delivery) createEmpty(ctx context.Context, v map[string]any) (err error) {
	if d.api, err = d.a.connect(ctx); err != nil {
		return err
	}
	i, err := d.create(ctx, transfer.Patience{}, v)
	if err != nil {
		return err
	}
	return d.a.showImage(i)
}

func (d *delivery) createFrom(ctx context.Context, file string, v map[string]any, formats map[string]string) (err error) {
	if d.noPreflight && formats["disk_format"] == "" {
		return misuse("--no-preflight does not look at the file; say what it is with --disk-format")
	}
	if err := d.load(file); err != nil {
		return err
	}
	defer d.source.Close()
	report, err := d.preflight(ctx, formats["disk_format"], formats["container_format"])
	if err != nil {
		return err
	}
	v["disk_format"], v["container_format"] = report.DiskFormat, orBare(report.ContainerFormat)
	if d.api, err = d.a.connect(ctx); err != nil {
		return err
	}
	m := d.a.meter()
	i, err := d.begin(ctx, m, v)
	m.close()
	if err != nil {
		return err
	}
	return d.a.showImage(i)
}

func orBare(format string) string {
	if format == "" {
		return "bare"
	}
	return format
}

// begin creates the record and delivers. Until the upload is open, nothing stays behind when it fails.
func (d *delivery) begin(ctx context.Context, m *meter, v map[string]any) (*glance.Image, error) {
	sum, err := d.declared(ctx, m)
	if err != nil {
		return nil, err
	}
	patience := d.patience(m)
	i, err := d.create(ctx, patience, v)
	if err != nil {
		return nil, err
	}
	u, err := d.open(ctx, patience, i, sum)
	if err != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
		defer cancel()
		if deleteErr := d.api.Delete(ctx, i.ID); deleteErr != nil {
			return nil, advise(fmt.Errorf("begin the upload: %w", err),
				"The empty image that was created for it could not be deleted ("+deleteErr.Error()+").", "Delete it with: bullion image delete "+i.ID)
		}
		return nil, advise(fmt.Errorf("begin the upload: %w", err), "Nothing was created.")
	}
	return d.deliver(ctx, m, i, u)
}
