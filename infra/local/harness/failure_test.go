package harness

import (
	"context"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bullion/internal/images"
)

// upload begins an image and sends its file; the command waits for the verdict, which the channel gives.
func (c *cloud) upload(file string) (id string, verdict <-chan error) {
	c.t.Helper()
	id = c.call(c.signIn("bob", "default"), "POST", "/v2/images", `{"name":"disk","disk_format":"raw","container_format":"bare"}`, 201)["id"].(string)
	end := make(chan error, 1)
	go func() {
		_, err := c.try("image", "upload", id, "--file", file)
		end <- err
	}()
	return id, end
}

func (c *cloud) record(id string) *images.Image {
	c.t.Helper()
	i, err := c.store.Image(c.t.Context(), id)
	ok(c.t, err)
	return i
}

// leaseEnds lets time pass for an image: whoever examines it was not heard of for so long that another may.
func (c *cloud) leaseEnds(id string, began time.Duration) {
	c.t.Helper()
	_, err := images.Change(context.WithoutCancel(c.t.Context()), c.store, id, images.Actor{}, nil, func(i *images.Image) error {
		if i.Upload == nil || i.Upload.Validation == nil {
			return images.ErrUnchanged
		}
		i.Upload.Validation.LeaseUntil = time.Now().UTC().Truncate(time.Microsecond).Add(-time.Second)
		i.Upload.Validation.StartedAt = i.Upload.Validation.StartedAt.Add(-began)
		return nil
	})
	ok(c.t, err)
}

// delivered makes the news of objects tell the channel how their delivery ended.
func (c *cloud) delivered() <-chan error {
	end := make(chan error, 8)
	c.mu.Lock()
	c.deliver = func(invoke func() error) { end <- invoke() }
	c.mu.Unlock()
	return end
}

// ofTheBytes says whether a request reads bytes of an object.
func ofTheBytes(r *http.Request) bool {
	return r.Method == http.MethodGet && r.Header.Get("Range") != ""
}

const failedEvents = "FailedEvents" // the queue's name in the template

func TestAnEventThatFailsAgainAndAgainWaitsInAQueueWithAnAlarmAndTheImageLosesNothing(t *testing.T) {
	c := deploy(t)
	end := c.delivered()
	broken := func(_ string, r *http.Request) bool { return ofTheBytes(r) }
	c.calls.setRefuse(broken) // as a role that lost a right, or a storage that does not answer
	file, _ := c.disk(9 << 20)
	id, verdict := c.upload(file)
	if err := <-end; err == nil || !strings.Contains(err.Error(), "AccessDenied") {
		t.Fatalf("the event ended with %v, want the refusal", err)
	}
	c.mu.Lock()
	waiting := c.failed[failedEvents]
	c.mu.Unlock()
	if len(waiting) != 1 || !strings.Contains(string(waiting[0]), id) {
		t.Errorf("the queue has %s, want the event of image %s", waiting, id)
	}
	alarmed := false
	for _, r := range resources(t) {
		p, _ := r["Properties"].(map[string]any)
		dimensions, _ := p["Dimensions"].([]any)
		for _, d := range dimensions {
			alarmed = alarmed || r["Type"] == "AWS::CloudWatch::Alarm" && d.(map[string]any)["Value"] == failedEvents+".QueueName"
		}
	}
	if !alarmed {
		t.Errorf("no alarm watches the queue %s", failedEvents)
	}

	// Many rounds of scrub fail on it as well; the outage is no reason to refuse the file.
	for range 6 {
		ok(t, c.asynchronously("scrub", []byte(`{}`)))
	}
	if i := c.record(id); i.Status != images.StatusImporting {
		t.Fatalf("the image is %s, want importing", i.Status)
	}
	c.calls.setRefuse(nil)
	ok(t, c.asynchronously("scrub", []byte(`{}`)))
	if err := <-verdict; err != nil {
		t.Error(err)
	}
	if i := c.record(id); i.Status != images.StatusActive {
		t.Errorf("the image is %s, want active", i.Status)
	}

	// An image that cannot be examined for more than a day is given up, so that it is not stuck.
	c.calls.setRefuse(broken)
	id, verdict = c.upload(file)
	if err := <-end; err == nil {
		t.Fatal("the event did not fail")
	}
	for range 8 {
		c.leaseEnds(id, 25*time.Hour)
		ok(t, c.asynchronously("scrub", []byte(`{}`)))
	}
	c.rejected(id, verdict)
}

func TestAnExaminationThatKillsTheFunctionEachTimeEndsInARejection(t *testing.T) {
	c := deploy(t)
	end := c.delivered()
	deaths := map[string]int{}
	c.calls.setRefuse(func(function string, r *http.Request) bool {
		if !ofTheBytes(r) {
			return false
		}
		c.mu.Lock()
		deaths[function]++
		c.mu.Unlock()
		c.Functions[function].Kill() // as the system does with a process that takes too much memory
		return true
	})
	file, _ := c.disk(9 << 20)
	id, verdict := c.upload(file)
	if err := <-end; err != nil {
		// Lambda tries again while the dead run's lease holds, and that finds nothing to do.
		t.Errorf("the event ended with %v", err)
	}
	for range 8 {
		c.leaseEnds(id, time.Minute)                // a death within minutes of the first would be blamed on the machine
		_ = c.asynchronously("scrub", []byte(`{}`)) // it dies
	}
	c.rejected(id, verdict)
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := deaths["validate"] + deaths["scrub"]; n != 4 {
		t.Errorf("functions died %v, want four times in all", deaths)
	}
}

// rejected says that an image was given up, and that its user learned why and what to do.
func (c *cloud) rejected(id string, verdict <-chan error) {
	c.t.Helper()
	if i := c.record(id); i.Status != images.StatusQueued || i.Upload.State != images.UploadRejected {
		c.t.Fatalf("the image is %s, its upload %s: want queued and rejected", i.Status, i.Upload.State)
	}
	if err := <-verdict; err == nil || !strings.Contains(err.Error(), "examination_failed") || !strings.Contains(err.Error(), "qemu-img") {
		c.t.Errorf("the user reads %v, want the code and the hint", err)
	}
	for _, left := range c.objects() {
		if strings.Contains(filepath.ToSlash(left), id) {
			c.t.Errorf("the rejected bytes are still there: %s", left)
		}
	}
}
