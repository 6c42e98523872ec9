package sqlitestore

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"bullion/internal/images"
	"bullion/internal/images/storetest"
)

// children are what the test program does instead of testing when a test starts it with SQLITESTORE_CHILD.
var children = map[string]func() int{"writer": writeUntilKilled}

// writeUntilKilled writes from several goroutines and says each write on standard output once the store has acknowledged it.
func writeUntilKilled() int {
	ctx := context.Background()
	s, err := Open(ctx, os.Getenv("SQLITESTORE_PATH"))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	var say sync.Mutex
	acknowledge := func(i *images.Image) {
		say.Lock()
		defer say.Unlock()
		fmt.Println(i.ID, i.Version, i.Status)
	}
	var writers sync.WaitGroup
	for w := range 8 {
		writers.Go(func() {
			g := storetest.Generator{Rand: rand.New(rand.NewPCG(rand.Uint64(), 1))}
			for n := 0; err == nil; n++ {
				i := g.Image()
				for v := 0; v < 1+g.IntN(4) && err == nil; v++ {
					var was *images.Image
					if v > 0 {
						was, i = i, g.Image()
						i.ID = was.ID
						if v == 3 {
							i.Status = images.StatusDeleted
						}
					}
					err = s.Apply(ctx, images.Write{Was: was, Is: i, Event: &images.Event{ImageID: i.ID, At: i.UpdatedAt, Owner: i.Owner, To: i.Status}})
					if err == nil {
						acknowledge(i)
					}
				}
				if err == nil && i.Status != images.StatusDeleted && w%2 == 0 {
					err = s.CreateMember(ctx, images.Member{ImageID: i.ID, ProjectID: "guest", Status: images.Pending, CreatedAt: i.CreatedAt, UpdatedAt: i.CreatedAt})
				}
			}
		})
	}
	writers.Wait()
	fmt.Fprintln(os.Stderr, err)
	return 1
}

func TestEveryAcknowledgedWriteSurvivesKill(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bullion.db")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	type state struct {
		version int64
		status  images.Status
	}
	acknowledged := map[string]state{}
	writes := 0
	for round := range 6 {
		child := exec.CommandContext(t.Context(), self)
		child.Env = append(os.Environ(), "SQLITESTORE_CHILD=writer", "SQLITESTORE_PATH="+path)
		var said strings.Builder
		child.Stderr = &said
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		// It is killed at a random moment after its first writes, in the middle of whatever it does.
		enough := 50 + rand.IntN(600)
		for n := 0; lines.Scan(); n++ {
			if n == enough {
				delay := time.Duration(rand.IntN(3000)) * time.Microsecond
				time.AfterFunc(delay, func() { child.Process.Kill() }) //nolint:errcheck // the process ends in one way or the other
			}
			f := strings.Fields(lines.Text())
			if len(f) != 3 {
				continue // the line that the kill cut
			}
			version, err := strconv.ParseInt(f[1], 10, 64)
			if err != nil {
				t.Fatalf("the child said %q", lines.Text())
			}
			acknowledged[f[0]] = state{version, images.Status(f[2])}
			writes++
		}
		if err := child.Wait(); err == nil || child.ProcessState.ExitCode() != -1 {
			t.Fatalf("round %d: the child ended by itself with %v: %s", round, err, said.String())
		}

		s := openAt(t, path)
		checkWhole(t, s)
		for id, want := range acknowledged {
			got, err := s.Position(t.Context(), id)
			if err != nil {
				t.Fatalf("round %d: an acknowledged write is lost: %v", round, err)
			}
			// A later version was written and not heard of.
			if got.Version < want.version || got.Version == want.version && got.Status != want.status && len(want.status) > 0 && isStatus(want.status) {
				t.Fatalf("round %d: image %s: got version %d %s, want at least version %d %s", round, id, got.Version, got.Status, want.version, want.status)
			}
			events, err := s.Events(t.Context(), id, 0, 100)
			if err != nil {
				t.Fatal(err)
			}
			if int64(len(events)) != got.Version {
				t.Fatalf("round %d: image %s: version %d has %d events", round, id, got.Version, len(events))
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d acknowledged writes of %d images", writes, len(acknowledged))
	if writes < 300 {
		t.Errorf("only %d writes: the test tests too little", writes)
	}
}

// isStatus says whether a word that a dying process wrote is whole.
func isStatus(s images.Status) bool {
	switch s {
	case images.StatusQueued, images.StatusSaving, images.StatusUploading, images.StatusImporting, images.StatusActive, images.StatusDeactivated,
		images.StatusPendingDelete, images.StatusDeleted:
		return true
	}
	return false
}
