package main

import (
	"context"
	"crypto/md5"
	"crypto/rand"
	"crypto/sha512"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"

	"bullion/infra/local/s3engine"
	"bullion/internal/diskimage"
	"bullion/internal/diskimage/corpus"
	"bullion/internal/images"
	"bullion/internal/policy"
	"bullion/internal/s3store"
	"bullion/internal/sqlitestore"
	"bullion/internal/validation"
)

// validate measures what makes an image active: the hashes, read through ranged GETs from an S3 server in a process of its own, beside the hashes alone;
// and the inspection.
func validate(dir string, size int64) error {
	if err := hashing(dir, size); err != nil {
		return err
	}
	return inspection()
}

// rounds is how often each figure of the hashes is taken; the best counts, since a machine is never alone.
const rounds = 3

func hashing(dir string, size int64) error {
	ctx := context.Background()
	addr := freeAddr()
	server, err := startS3(filepath.Join(dir, "s3"), addr)
	if err != nil {
		return err
	}
	defer server.Wait()                       //nolint:errcheck // it was told to end
	defer server.Process.Signal(os.Interrupt) //nolint:errcheck // it runs
	client, err := s3store.NewClient(s3store.Config{Endpoint: "http://" + addr, Region: "us-east-1", AccessKey: s3Key, SecretKey: s3Secret, PathStyle: true})
	if err != nil {
		return err
	}
	blobs, err := s3store.New(client, "images", s3store.Options{})
	if err != nil {
		return err
	}
	store, err := sqlitestore.Open(ctx, filepath.Join(dir, "hashing.db"))
	if err != nil {
		return err
	}
	defer store.Close()
	log := slog.New(slog.DiscardHandler)
	s := &images.Service{Store: store, Blobs: blobs, Policy: policy.Default(), Log: log, Now: time.Now, NewID: images.NewID, Limits: images.ServiceLimits{}.WithDefaults()}
	v := &validation.Validator{Images: s, Log: log, NewID: images.NewID, Now: time.Now}

	best, least := map[string]float64{}, map[string]time.Duration{}
	take := func(name string, work func() error) error {
		began, used := time.Now(), processorTime()
		err := work()
		best[name] = max(best[name], float64(size>>20)/time.Since(began).Seconds())
		if used = processorTime() - used; least[name] == 0 || used < least[name] {
			least[name] = used
		}
		return err
	}
	block := make([]byte, 8<<20)
	_, _ = rand.Read(block) // it does not fail
	alone := func(hashes ...io.Writer) func() error {
		return func() error {
			for n := int64(0); n < size; n += int64(len(block)) {
				var both sync.WaitGroup
				for _, h := range hashes {
					both.Go(func() { _, _ = h.Write(block) }) // hashes do not fail
				}
				both.Wait()
			}
			return nil
		}
	}
	const md, sha, both, all = "MD5 alone", "SHA-512 alone", "both at once, of bytes in memory", "a validation: both, by ranged GETs of the S3 server"
	for range rounds {
		run, err := uploadedObject(ctx, s, v, size)
		if err != nil {
			return err
		}
		for _, m := range []struct {
			name string
			work func() error
		}{{md, alone(md5.New())}, {sha, alone(sha512.New())}, {both, alone(md5.New(), sha512.New())}, {all, run}} {
			if err := take(m.name, m.work); err != nil {
				return err
			}
		}
	}
	fmt.Printf("\nhashes, %7d MiB                                     MiB/s  processor, s\n", size>>20)
	for _, name := range []string{md, sha, both, all} {
		fmt.Printf("%-52s %8.0f %13.2f\n", name, best[name], least[name].Seconds())
	}
	fmt.Printf("a validation runs at %.0f %% of the slower hash alone, and at %.0f %% of both at once, on %d cores that the S3 server uses too;\n"+
		"the two hashes are %.0f %% of its own processor time: how near it comes where the storage is elsewhere, as on AWS\n",
		100*best[all]/min(best[md], best[sha]), 100*best[all]/best[both], runtime.NumCPU(), 100*least[both].Seconds()/least[all].Seconds())
	return nil
}

// s3Command is the first argument of a process that is an S3 server for another.
const s3Command, s3Key, s3Secret = "s3", "bench", "bench-secret"

// startS3 starts an S3 server in a process of its own, so that its work is not counted as the validation's.
func startS3(dir, addr string) (*exec.Cmd, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	server := exec.Command(program, s3Command, dir, addr)
	server.Stderr = os.Stderr
	ready, err := server.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := server.Start(); err != nil {
		return nil, err
	}
	if _, err := ready.Read(make([]byte, 1)); err != nil {
		return nil, errors.Join(fmt.Errorf("the S3 server did not start: %w", err), server.Wait())
	}
	return server, nil
}

// serveS3 is that process; it writes a line when it listens.
func serveS3(dir, addr string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	engine, err := s3engine.Start(ctx, s3engine.Config{Dir: dir, Addr: addr, AccessKey: s3Key, SecretKey: s3Secret, Region: "us-east-1", Bucket: "images",
		Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	fmt.Println("ready")
	<-ctx.Done()
	return engine.Wait()
}

// processorTime is what this process used so far, on all cores.
func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err) // it does not fail for a process itself
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// uploadedObject puts an object of that size in the bucket, for an image that waits for it, and returns its validation.
func uploadedObject(ctx context.Context, s *images.Service, v *validation.Validator, size int64) (func() error, error) {
	bench := images.Caller{UserID: "bench", ProjectID: "bench", Roles: []string{"member", "reader"}}
	i, err := s.Create(ctx, bench, "", []images.PatchOp{{Op: "add", Name: "disk_format", Value: "raw"}, {Op: "add", Name: "container_format", Value: "bare"}})
	if err != nil {
		return nil, err
	}
	u, err := s.OpenUpload(ctx, bench, i.ID, images.UploadRequest{Size: size})
	if err != nil {
		return nil, err
	}
	b, err := s.Blobs.Put(ctx, u.Upload.Key(i.ID), io.LimitReader(rand.Reader, size), size)
	if err != nil {
		return nil, err
	}
	if _, err := s.Receive(ctx, b); err != nil {
		return nil, err
	}
	return func() error {
		if err := v.Run(ctx, i.ID, u.Upload.ID, nil); err != nil {
			return err
		}
		after, err := s.Get(ctx, bench, i.ID)
		if err == nil && after.Status != images.StatusActive {
			err = fmt.Errorf("the image is %s", after.Status)
		}
		return err
	}, err
}

// inspection shows that the size of a disk costs nothing, but for tables that grow with it.
func inspection() error {
	fmt.Printf("\n%-14s %10s %10s %8s %10s %12s\n", "inspection", "disk", "ms", "GETs", "MiB read", "MiB alloc'd")
	for _, form := range corpus.Forms {
		for _, size := range []int64{1 << 20, 1 << 30, 64 << 30, 1 << 40} {
			m, format := corpus.As(form, corpus.DebianGuest(size))
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			began := time.Now()
			c := diskimage.NewCache(m, m.Size(), diskimage.Budget{})
			if _, err := diskimage.Inspect(context.Background(), c, m.Size(), diskimage.Options{DiskFormat: format, ContainerFormat: "bare", Boot: diskimage.Require}); err != nil {
				return fmt.Errorf("inspect %s: %w", form, err)
			}
			took := time.Since(began)
			runtime.ReadMemStats(&after)
			cost := c.Stats()
			fmt.Printf("%-14s %8dMi %10.1f %8d %10.1f %12.1f\n", form, size>>20, float64(took.Microseconds())/1000, cost.Requests,
				float64(cost.Bytes)/(1<<20), float64(after.TotalAlloc-before.TotalAlloc)/(1<<20))
		}
	}
	return nil
}
