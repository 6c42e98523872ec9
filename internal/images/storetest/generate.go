package storetest

import (
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"bullion/internal/images"
)

// Generator makes random records with many ties, nulls and characters that stores have trouble with.
type Generator struct{ *rand.Rand }

// Values from which records are made; few, so that they tie.
var (
	projects = []string{"alpha", "beta", "gamma", "delta"}
	names    = []string{"", "debian", "Debian", "DEBIAN 12", "debian 12", "100%", "100 percent", "a_b", "axb", `a\b`, "a%b", "ångström", "ÅNGSTRÖM", "Zürich",
		"z", "Ωmega", "ωmega", "日本語", "日本", "it's", `"quoted"`, "tab\there", "--", "NULL", "ß", "ſ", "K", "\uffff", "\ufb01n"}
	tagValues  = []string{"linux", "Linux", "tést", "a,b", `"`, "o'k", "100%", "lts"}
	properties = []string{"os_distro", "os.version", `quo"ted`, "it's", "ключ", "a b", "$.path", "hw_disk_bus", "description", "[0]"}
	values     = []string{"", "debian", "ubuntu", "Debian", "12.5", "naïve", "a'b", `{"json":true}`, "line\nline", "%"}
	statuses   = []images.Status{images.StatusQueued, images.StatusSaving, images.StatusUploading, images.StatusImporting,
		images.StatusActive, images.StatusActive, images.StatusActive, images.StatusDeactivated, images.StatusPendingDelete}
	visibilities   = []images.Visibility{images.Private, images.Shared, images.Shared, images.Community, images.Public}
	memberStatuses = []images.MemberStatus{images.Pending, images.Accepted, images.Accepted, images.Rejected}
)

func pick[T any](g Generator, list []T) T { return list[g.IntN(len(list))] }

// ID is a new UUID.
func (g Generator) ID() string {
	var b [16]byte
	for i := range b {
		b[i] = byte(g.Uint32())
	}
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

func (g Generator) hex(bytes int) string {
	b := make([]byte, bytes)
	for i := range b {
		b[i] = byte(g.Uint32())
	}
	return hex.EncodeToString(b)
}

func (g Generator) chance(percent int) bool { return g.IntN(100) < percent }

// Time is one of few moments, so that records tie.
func (g Generator) time() time.Time {
	return epoch.Add(time.Duration(g.IntN(40)) * time.Hour).Add(time.Duration(g.IntN(3)) * time.Microsecond)
}

func (g Generator) size() *int64 {
	if g.chance(30) {
		return nil
	}
	return ptr(pick(g, []int64{0, 1, 1 << 20, 5 << 30, 1 << 40}))
}

func ptr[T any](v T) *T { return &v }

// Image is a new record. Its parts need not make sense together: a store does not judge them.
func (g Generator) Image() *images.Image {
	i := &images.Image{
		ID: g.ID(), Name: pick(g, names), Status: pick(g, statuses), Visibility: pick(g, visibilities), Owner: pick(g, projects),
		Protected: g.chance(30), Hidden: g.chance(15),
		MinDisk: int64(g.IntN(3)) * 10, MinRAM: int64(g.IntN(3)) * 512,
		Size: g.size(), VirtualSize: g.size(),
		CreatedAt: g.time(), UpdatedAt: g.time(),
	}
	if g.chance(80) {
		i.DiskFormat, i.ContainerFormat = pick(g, images.DiskFormats), pick(g, images.ContainerFormats)
	}
	for _, tag := range tagValues {
		if g.chance(20) {
			i.Tags = append(i.Tags, tag)
		}
	}
	for _, name := range properties {
		if g.chance(25) {
			if i.Properties == nil {
				i.Properties = map[string]string{}
			}
			i.Properties[name] = pick(g, values)
		}
	}
	if g.chance(50) {
		i.Checksum, i.HashValue = strings.Repeat(pick(g, []string{"ab", "cd"}), 16), strings.Repeat(pick(g, []string{"01", "23"}), 64)
	}
	if g.chance(40) {
		i.Blob = &images.Blob{Key: images.BlobKey(i.ID, g.ID()), VersionID: pick(g, []string{"", "v1"}), ETag: g.hex(16), Size: int64(g.IntN(1000))}
	}
	if g.chance(50) {
		i.Upload = g.upload(i.ID)
	}
	if g.chance(20) {
		i.Import = g.importTask()
	}
	return i
}

func (g Generator) upload(imageID string) *images.Upload {
	u := &images.Upload{
		ID: g.ID(), Mode: pick(g, []images.UploadMode{images.ModePut, images.ModeMultipart, images.ModeStream}),
		State: pick(g, []images.UploadState{images.UploadOpen, images.UploadReceived, images.UploadEnding, images.UploadAccepted, images.UploadRejected, images.UploadAborted, images.UploadExpired}),
		Size:  int64(g.IntN(1000)) - 1, PartSize: 16 << 20, Parts: g.IntN(100), SHA512: g.hex(64), S3Upload: g.hex(20),
		CreatedAt: g.time(), UpdatedAt: g.time(), ExpiresAt: g.time(), Staged: g.chance(20),
	}
	switch u.State {
	case images.UploadReceived, images.UploadAccepted:
		u.Object = &images.Blob{Key: u.Key(imageID), ETag: g.hex(16), Size: max(u.Size, 0)}
		if g.chance(70) {
			u.Validation = &images.Validation{Phase: images.PhaseHash, Hashed: int64(g.IntN(1 << 30)), HashState: []byte{0, 1, 0xff, byte(g.IntN(256)), '"'},
				Lease: images.Lease{Attempts: 2, Kills: 1, Holder: "holder", LeaseUntil: g.time()}, StartedAt: g.time()}
		}
		if u.State == images.UploadAccepted {
			u.Report = &images.Report{Bootable: g.chance(50), Evidence: []string{"There is a \"loader\"."},
				Warnings: []images.Warning{{Code: "partition_table", Message: "The primary GPT is damaged.", Hint: "Repair it & send it again."}}}
		}
	case images.UploadEnding:
		u.Outcome = images.UploadRejected
		u.Rejection = &images.Rejection{Code: "truncated", Message: "It ends before its \"end\".", Hint: "Send it again <whole> & well."}
	}
	return u
}

func (g Generator) importTask() *images.Import {
	return &images.Import{TaskID: g.ID(), Method: "web-download", URI: "https://example.org/a?b=c&d=<e>", Message: "naïve", RequestID: "req-" + g.ID(),
		State:   pick(g, []images.TaskState{images.TaskPending, images.TaskProcessing, images.TaskSuccess, images.TaskFailure}),
		Request: `{"method":{"name":"web-download"}}`, UserID: "user", CreatedAt: g.time(), UpdatedAt: g.time(), Fetched: 7, Total: 9,
		Lease: images.Lease{Attempts: 1, Kills: 3, Holder: "holder", LeaseUntil: g.time()}}
}

// Plain is a small new record as a create call makes it: queued, of the project, n microseconds after the beginning.
func (g Generator) Plain(project string, n int) *images.Image {
	at := epoch.Add(time.Duration(n) * time.Microsecond)
	return &images.Image{ID: g.ID(), Name: fmt.Sprintf("image %06d", n), Status: images.StatusQueued, Visibility: images.Shared, Owner: project,
		DiskFormat: "qcow2", ContainerFormat: "bare", CreatedAt: at, UpdatedAt: at}
}

// Query is a random list over what Image makes.
func (g Generator) Query() *images.Query {
	q := &images.Query{ProjectID: pick(g, append([]string{"", "nobody"}, projects...)), SeesAll: g.chance(15),
		Hidden: g.chance(15), Limit: pick(g, []int{1, 2, 3, 7, 25, 100, images.MaxPage})}
	if g.chance(60) {
		q.Visibility = pick(g, []images.Visibility{images.Private, images.Shared, images.Shared, images.Community, images.Public, images.VisibilityAll})
	}
	if g.chance(30) {
		q.MemberStatus = pick(g, []images.MemberStatus{images.Pending, images.Accepted, images.Rejected, images.MemberStatusAll})
	}
	for range pick(g, []int{0, 0, 1, 1, 2, 3}) {
		g.filter(q)
	}
	for range pick(g, []int{0, 1, 1, 2, 3}) {
		q.Sort = append(q.Sort, images.SortKey{Key: pick(g, images.SortKeys), Desc: g.chance(50)})
	}
	return q
}

// filter adds one random filter.
func (g Generator) filter(q *images.Query) {
	some := func(list []string) []string {
		var chosen []string
		for range 1 + g.IntN(2) {
			chosen = append(chosen, pick(g, list))
		}
		return chosen
	}
	switch g.IntN(14) {
	case 0:
		q.Owner = pick(g, projects)
	case 1:
		q.Protected = ptr(g.chance(50))
	case 2, 3:
		q.NameContains = pick(g, []string{"deb", "DEB", "%", "_", `\`, "ÅN", "ω", "本", "'", `"`, " ", "no such name", "K", "SS", "é"})
	case 4:
		q.Names = some(names)
	case 5:
		q.Statuses = some([]string{"queued", "saving", "uploading", "importing", "active", "deactivated", "pending_delete", "deleted", "no such status"})
	case 6:
		q.DiskFormats = some(images.DiskFormats)
	case 7:
		q.ContainerFormats = some(images.ContainerFormats)
	case 8:
		q.Tags = some(tagValues)
	case 9:
		q.Checksum = strings.Repeat(pick(g, []string{"ab", "cd", "ef"}), 16)
	case 10:
		q.HashValue = strings.Repeat(pick(g, []string{"01", "23", "45"}), 64)
	case 11:
		q.Properties = map[string]string{}
		for range 1 + g.IntN(2) {
			q.Properties[pick(g, properties)] = pick(g, values)
		}
	default:
		r := images.Range{Field: pick(g, []images.RangeField{images.RangeSize, images.RangeVirtualSize, images.RangeMinDisk, images.RangeMinRAM,
			images.RangeCreatedAt, images.RangeUpdatedAt}), Op: pick(g, []images.Op{images.OpEQ, images.OpNEQ, images.OpGT, images.OpGTE, images.OpLT, images.OpLTE})}
		switch r.Field {
		case images.RangeCreatedAt, images.RangeUpdatedAt:
			r.Time = g.time().Add(time.Duration(g.IntN(2)) * 400 * time.Nanosecond)
		default:
			r.Int = pick(g, []int64{-1, 0, 1, 10, 512, 1 << 20, 5 << 30})
		}
		q.Ranges = append(q.Ranges, r)
	}
}
