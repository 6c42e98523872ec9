package blobtest

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/google/go-cmp/cmp"

	"bullion/internal/images"
)

var deleteTests = []test{
	{"what is not there is deleted without an error", func(t *testing.T, b Bucket) {
		for range 2 {
			if err := b.Delete(context.Background(), testKey); err != nil {
				t.Errorf("Delete: %v", err)
			}
		}
	}},
	{"only the object of exactly that key is deleted", func(t *testing.T, b Bucket) {
		put(t, b, testKey, noise(1, 10))
		longer := put(t, b, testKey+"0", noise(2, 10))
		shorter := put(t, b, testKey[:len(testKey)-1], noise(3, 10))
		if err := b.Delete(context.Background(), testKey); err != nil {
			t.Fatal(err)
		}
		checkAbsent(t, b, testKey)
		checkObject(t, b, longer, noise(2, 10))
		checkObject(t, b, shorter, noise(3, 10))
	}},
	{"every version and every delete marker goes", func(t *testing.T, b Bucket) {
		ctx := context.Background()
		for n := range 5 {
			if _, err := b.Raw.PutObject(ctx, &s3.PutObjectInput{Bucket: &b.Name, Key: aws.String(testKey), Body: bytes.NewReader(noise(uint64(n), 10))}); err != nil {
				t.Fatal(err)
			}
			if n%2 == 0 {
				if _, err := b.Raw.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &b.Name, Key: aws.String(testKey)}); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := b.Delete(ctx, testKey); err != nil {
			t.Fatal(err)
		}
		checkAbsent(t, b, testKey)
		if !b.Versioned {
			return
		}
		left, err := b.Raw.ListObjectVersions(ctx, &s3.ListObjectVersionsInput{Bucket: &b.Name})
		if err != nil {
			t.Fatal(err)
		}
		if n := len(left.Versions) + len(left.DeleteMarkers); n > 0 {
			t.Errorf("%d versions and markers are left", n)
		}
	}},
	{"a key can be written again after its object was deleted", func(t *testing.T, b Bucket) {
		put(t, b, testKey, noise(1, 10))
		if err := b.Delete(context.Background(), testKey); err != nil {
			t.Fatal(err)
		}
		checkObject(t, b, put(t, b, testKey, noise(2, 20)), noise(2, 20))
	}},
	{"an open multipart upload survives the deletion of the object, and the other way round", func(t *testing.T, b Bucket) {
		ctx := context.Background()
		id := create(t, b, testKey, partSize)
		sendPart(t, b, testKey, id, 1, noise(1, 10))
		if err := b.Delete(ctx, testKey); err != nil {
			t.Fatal(err)
		}
		if parts, err := b.Parts(ctx, testKey, id); err != nil || len(parts) != 1 {
			t.Errorf("got parts %v (error %v), want one", parts, err)
		}
	}},
}

var listTests = []test{
	{"an empty bucket has an empty list", func(t *testing.T, b Bucket) {
		if got := objects(t, b, ""); len(got) > 0 {
			t.Errorf("got %v, want nothing", got)
		}
	}},
	{"a list has the objects of the prefix behind the key, in order, with their size and time", func(t *testing.T, b Bucket) {
		before := time.Now().Add(-2 * time.Second)
		for n, key := range []string{"images/b/2", "images/a/1", "images/b/1", "images/a/2", "images/ab/1", "other/1"} {
			put(t, b, key, noise(1, n+1))
		}
		for _, c := range []struct {
			prefix, after string
			want          []string
		}{
			{"", "", []string{"images/a/1", "images/a/2", "images/ab/1", "images/b/1", "images/b/2", "other/1"}},
			{"images/", "", []string{"images/a/1", "images/a/2", "images/ab/1", "images/b/1", "images/b/2"}},
			{"images/a/", "", []string{"images/a/1", "images/a/2"}},
			{"images/", "images/a/2", []string{"images/ab/1", "images/b/1", "images/b/2"}},
			{"images/", "images/a/15", []string{"images/a/2", "images/ab/1", "images/b/1", "images/b/2"}},
			{"images/", "images/z", nil},
			{"none/", "", nil},
		} {
			var got []string
			err := b.List(context.Background(), c.prefix, c.after, func(s images.Stored) bool { got = append(got, s.Key); return true })
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("List(%q, %q) (-want +got):\n%s", c.prefix, c.after, diff)
			}
		}
		for _, s := range objects(t, b, "images/b/") {
			want := map[string]int64{"images/b/2": 1, "images/b/1": 3}[s.Key]
			if s.Size != want || s.Modified.Before(before) || s.Modified.After(time.Now().Add(2*time.Second)) || s.Modified.Location() != time.UTC {
				t.Errorf("got %+v, want %d bytes modified now, in UTC", s, want)
			}
		}
	}},
	{"a list goes on over pages and stops when told", func(t *testing.T, b Bucket) {
		const many = 1203
		each(many, func(n int) {
			key := fmt.Sprintf("images/x/%04d", n)
			if _, err := b.Put(context.Background(), key, bytes.NewReader(nil), 0); err != nil {
				t.Errorf("Put(%s): %v", key, err)
			}
		})
		got := objects(t, b, "images/x/")
		if len(got) != many || !slices.IsSortedFunc(got, func(a, b images.Stored) int { return cmpString(a.Key, b.Key) }) {
			t.Errorf("got %d objects, want %d in order", len(got), many)
		}
		for _, stop := range []int{1, 1000, 1001} {
			calls := 0
			if err := b.List(context.Background(), "images/x/", "", func(images.Stored) bool { calls++; return calls < stop }); err != nil || calls != stop {
				t.Errorf("got %d calls (error %v), want %d", calls, err, stop)
			}
		}
	}},
}

var listMultipartTests = []test{
	{"multipart uploads that are open are listed until they end", func(t *testing.T, b Bucket) {
		before := time.Now().Add(-2 * time.Second)
		x1, x2, y := create(t, b, "images/x/1", partSize), create(t, b, "images/x/1", partSize), create(t, b, "images/y/1", partSize)
		sendPart(t, b, "images/y/1", y, 1, noise(1, 10))
		ids := func(prefix string) (ids []string) {
			for _, u := range openMultiparts(t, b, prefix) {
				if u.Started.Before(before) || u.Started.After(time.Now().Add(2*time.Second)) {
					t.Errorf("%s started at %v, want now", u.Key, u.Started)
				}
				ids = append(ids, u.Key+" "+u.S3Upload)
			}
			slices.Sort(ids)
			return ids
		}
		sorted := func(s ...string) []string { slices.Sort(s); return s }
		if diff := cmp.Diff(sorted("images/x/1 "+x1, "images/x/1 "+x2), ids("images/x/")); diff != "" {
			t.Errorf("prefix images/x/ (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(sorted("images/x/1 "+x1, "images/x/1 "+x2, "images/y/1 "+y), ids("")); diff != "" {
			t.Errorf("all (-want +got):\n%s", diff)
		}
		complete(t, b, "images/y/1", y)
		if err := b.AbortMultipart(context.Background(), "images/x/1", x1); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"images/x/1 " + x2}, ids("")); diff != "" {
			t.Errorf("after the end of two (-want +got):\n%s", diff)
		}
	}},
	{"the list of multipart uploads goes on over pages and stops when told", func(t *testing.T, b Bucket) {
		const many = 1203
		each(many, func(n int) {
			key := fmt.Sprintf("images/x/%03d", n/2) // two of each key, so that pages end between uploads of one key
			if _, err := b.CreateMultipart(context.Background(), key, partSize); err != nil {
				t.Errorf("CreateMultipart(%s): %v", key, err)
			}
		})
		seen := map[string]bool{}
		for _, u := range openMultiparts(t, b, "images/x/") {
			seen[u.S3Upload] = true
		}
		if len(seen) != many {
			t.Errorf("got %d uploads, want %d", len(seen), many)
		}
		keys := []string{}
		if err := b.ListMultipart(context.Background(), "images/x/", "images/x/599", func(u images.OpenMultipart) bool { keys = append(keys, u.Key); return true }); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"images/x/600", "images/x/600", "images/x/601"}, keys); diff != "" {
			t.Errorf("after images/x/599 (-want +got):\n%s", diff)
		}
		calls := 0
		if err := b.ListMultipart(context.Background(), "", "", func(images.OpenMultipart) bool { calls++; return calls < 1001 }); err != nil || calls != 1001 {
			t.Errorf("got %d calls (error %v), want 1001", calls, err)
		}
	}},
}

// each calls f for 0 to n-1, a few at once.
func each(n int, f func(int)) {
	numbers := make(chan int)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for n := range numbers {
				f(n)
			}
		})
	}
	for i := range n {
		numbers <- i
	}
	close(numbers)
	wg.Wait()
}

func cmpString(a, b string) int { return bytes.Compare([]byte(a), []byte(b)) }
