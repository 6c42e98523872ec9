package simulation

import (
	"bytes"
	"cmp"
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"bullion/internal/images"
)

// storage is an S3 endpoint in memory: what a simulation of thousands of runs has instead of the engine. It does one thing at a time, takes the time from its
// owner, and passes the contract of images.Blobs through the real package s3store, signatures included (TestTheStorageKeepsTheContract).
type storage struct {
	now func() time.Time
	// created and deleted are told of objects, under the lock.
	created func(key string, o *stored)
	deleted func(key string, o *stored)

	mu      sync.Mutex
	buckets map[string]*bucketful
	count   int // multipart uploads so far
}

const storageRegion, storageKey, storageSecret = "us-east-1", "simulation", "a secret of simulations"

type bucketful struct {
	objects map[string]*stored
	uploads map[string]*collected // by id
}

type stored struct {
	body     []byte
	etag     string // without quotes
	modified time.Time
	header   http.Header // metadata and type
}

type collected struct {
	key     string
	started time.Time
	parts   map[int]*stored
	header  http.Header
}

func newStorage(now func() time.Time) *storage {
	return &storage{now: now, buckets: map[string]*bucketful{}}
}

// refusal is an error as S3 answers it.
type refusal struct {
	status int
	code   string
}

var (
	accessDenied   = &refusal{http.StatusForbidden, "AccessDenied"}
	noSuchKey      = &refusal{http.StatusNotFound, "NoSuchKey"}
	noSuchUpload   = &refusal{http.StatusNotFound, "NoSuchUpload"}
	noSuchBucket   = &refusal{http.StatusNotFound, "NoSuchBucket"}
	taken          = &refusal{http.StatusPreconditionFailed, "PreconditionFailed"}
	invalidPart    = &refusal{http.StatusBadRequest, "InvalidPart"}
	badDigest      = &refusal{http.StatusBadRequest, "BadDigest"}
	malformed      = &refusal{http.StatusBadRequest, "MalformedXML"}
	incomplete     = &refusal{http.StatusBadRequest, "IncompleteBody"}
	notImplemented = &refusal{http.StatusNotImplemented, "NotImplemented"}
	outOfRange     = &refusal{http.StatusRequestedRangeNotSatisfiable, "InvalidRange"}
)

func (s *storage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body) // before the lock: a body may take its time
	if err != nil {
		refuse(w, r, incomplete)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if why := s.verify(r, body); why != nil {
		refuse(w, r, why)
		return
	}
	bucket, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	b := s.buckets[bucket]
	var why *refusal
	switch {
	case b == nil && r.Method == http.MethodPut && key == "":
		s.buckets[bucket] = &bucketful{objects: map[string]*stored{}, uploads: map[string]*collected{}}
	case b == nil:
		why = noSuchBucket
	case key == "":
		why = s.onBucket(w, r, b)
	default:
		why = s.onObject(w, r, b, key, body)
	}
	if why != nil {
		refuse(w, r, why)
	}
}

func refuse(w http.ResponseWriter, r *http.Request, why *refusal) {
	w.WriteHeader(why.status)
	if r.Method != http.MethodHead {
		fmt.Fprintf(w, "<Error><Code>%s</Code><Message>refused</Message></Error>", why.code)
	}
}

// verify checks the signature (version 4) of a request, in its header or its URL.
func (s *storage) verify(r *http.Request, body []byte) *refusal {
	q := r.URL.Query()
	payload, date, signature, scope, signedList := "UNSIGNED-PAYLOAD", q.Get("X-Amz-Date"), q.Get("X-Amz-Signature"), q.Get("X-Amz-Credential"), q.Get("X-Amz-SignedHeaders")
	if signature == "" {
		fields := map[string]string{}
		for _, field := range strings.Split(strings.TrimPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 "), ",") {
			name, value, _ := strings.Cut(strings.TrimSpace(field), "=")
			fields[name] = value
		}
		payload, date = r.Header.Get("X-Amz-Content-Sha256"), r.Header.Get("X-Amz-Date")
		signature, scope, signedList = fields["Signature"], fields["Credential"], fields["SignedHeaders"]
		if sum := sha256.Sum256(body); payload != "UNSIGNED-PAYLOAD" && payload != hex.EncodeToString(sum[:]) {
			return badDigest
		}
	} else {
		at, err := time.Parse("20060102T150405Z", date)
		life, lifeErr := strconv.Atoi(q.Get("X-Amz-Expires"))
		if err != nil || lifeErr != nil || s.now().After(at.Add(time.Duration(life)*time.Second)) {
			return accessDenied
		}
	}
	signed := strings.Split(signedList, ";")
	for name := range r.Header {
		if lower := strings.ToLower(name); strings.HasPrefix(lower, "x-amz-") && !slices.Contains(signed, lower) {
			return accessDenied
		}
	}
	var headers strings.Builder
	for _, name := range signed {
		value := strings.Join(r.Header.Values(name), ",")
		switch name {
		case "host":
			value = cmp.Or(r.Host, r.URL.Host)
		case "content-length":
			value = strconv.FormatInt(r.ContentLength, 10)
		}
		fmt.Fprintf(&headers, "%s:%s\n", name, strings.TrimSpace(value))
	}
	q.Del("X-Amz-Signature")
	query := strings.ReplaceAll(q.Encode(), "+", "%20")
	canonical := strings.Join([]string{r.Method, r.URL.EscapedPath(), query, headers.String(), signedList, payload}, "\n")
	parts := strings.Split(scope, "/")
	if len(parts) != 5 || parts[0] != storageKey {
		return accessDenied
	}
	key := []byte("AWS4" + storageSecret)
	for _, part := range parts[1:] {
		key = mac(key, part)
	}
	sum := sha256.Sum256([]byte(canonical))
	text := strings.Join([]string{"AWS4-HMAC-SHA256", date, strings.Join(parts[1:], "/"), hex.EncodeToString(sum[:])}, "\n")
	if hex.EncodeToString(mac(key, text)) != signature {
		return &refusal{http.StatusForbidden, "SignatureDoesNotMatch"}
	}
	if r.ContentLength >= 0 && r.ContentLength != int64(len(body)) {
		return incomplete
	}
	if want := r.Header.Get("X-Amz-Checksum-Crc32"); want != "" &&
		want != base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE(body))) {
		return badDigest
	}
	return nil
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

const page = 1000

type xmlStored struct {
	Key          string
	VersionId    string `xml:",omitempty"`
	LastModified string
	ETag         string
	Size         int
}

func (s *storage) onBucket(w http.ResponseWriter, r *http.Request, b *bucketful) *refusal {
	q := r.URL.Query()
	prefix := q.Get("prefix")
	switch {
	case r.Method == http.MethodHead:
		return nil
	case r.Method != http.MethodGet:
		return notImplemented
	case q.Get("list-type") == "2":
		var list struct {
			XMLName               xml.Name `xml:"ListBucketResult"`
			IsTruncated           bool
			NextContinuationToken string `xml:",omitempty"`
			Contents              []xmlStored
		}
		after := cmp.Or(q.Get("continuation-token"), q.Get("start-after"))
		for _, key := range slices.Sorted(maps.Keys(b.objects)) {
			if !strings.HasPrefix(key, prefix) || key <= after {
				continue
			}
			if len(list.Contents) == page {
				list.IsTruncated, list.NextContinuationToken = true, list.Contents[page-1].Key
				break
			}
			list.Contents = append(list.Contents, listed(key, b.objects[key]))
		}
		return answer(w, list)
	case q.Has("versions"):
		var list struct {
			XMLName xml.Name `xml:"ListVersionsResult"`
			Version []xmlStored
		}
		for _, key := range slices.Sorted(maps.Keys(b.objects)) {
			if strings.HasPrefix(key, prefix) {
				one := listed(key, b.objects[key])
				one.VersionId = "null"
				list.Version = append(list.Version, one)
			}
		}
		return answer(w, list)
	case q.Has("uploads"):
		type upload struct{ Key, UploadId, Initiated string }
		var list struct {
			XMLName            xml.Name `xml:"ListMultipartUploadsResult"`
			IsTruncated        bool
			NextKeyMarker      string `xml:",omitempty"`
			NextUploadIdMarker string `xml:",omitempty"`
			Upload             []upload
		}
		for id, u := range b.uploads {
			if strings.HasPrefix(u.key, prefix) && (u.key > q.Get("key-marker") || u.key == q.Get("key-marker") && q.Has("upload-id-marker") && id > q.Get("upload-id-marker")) {
				list.Upload = append(list.Upload, upload{u.key, id, xmlTime(u.started)})
			}
		}
		slices.SortFunc(list.Upload, func(a, b upload) int { return cmp.Or(cmp.Compare(a.Key, b.Key), cmp.Compare(a.UploadId, b.UploadId)) })
		if len(list.Upload) > page {
			list.Upload = list.Upload[:page]
			last := list.Upload[page-1]
			list.IsTruncated, list.NextKeyMarker, list.NextUploadIdMarker = true, last.Key, last.UploadId
		}
		return answer(w, list)
	}
	return notImplemented
}

func listed(key string, o *stored) xmlStored {
	return xmlStored{Key: key, LastModified: xmlTime(o.modified), ETag: `"` + o.etag + `"`, Size: len(o.body)}
}

func xmlTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

func answer(w http.ResponseWriter, v any) *refusal {
	text, err := xml.Marshal(v)
	if err != nil {
		panic(err)
	}
	w.Header().Set("Content-Type", "application/xml")
	w.Write(text)
	return nil
}

func (s *storage) onObject(w http.ResponseWriter, r *http.Request, b *bucketful, key string, body []byte) *refusal {
	q := r.URL.Query()
	id := q.Get("uploadId")
	u := b.uploads[id]
	if q.Has("uploadId") && (u == nil || u.key != key) {
		return noSuchUpload
	}
	o := b.objects[key]
	switch {
	case r.Method == http.MethodPut && u != nil:
		n, err := strconv.Atoi(q.Get("partNumber"))
		if err != nil || n < 1 || n > images.MaxParts {
			return invalidPart
		}
		u.parts[n] = s.made(body, nil)
		w.Header().Set("ETag", `"`+u.parts[n].etag+`"`)
		return nil
	case r.Method == http.MethodPut:
		if o != nil && r.Header.Get("If-None-Match") == "*" {
			return taken
		}
		s.store(b, key, s.made(body, r.Header))
		w.Header().Set("ETag", `"`+b.objects[key].etag+`"`)
		return nil
	case r.Method == http.MethodPost && q.Has("uploads"):
		s.count++
		id := fmt.Sprintf("upload-%06d", s.count)
		b.uploads[id] = &collected{key: key, started: s.now(), parts: map[int]*stored{}, header: r.Header.Clone()}
		return answer(w, struct {
			XMLName  xml.Name `xml:"InitiateMultipartUploadResult"`
			UploadId string
		}{UploadId: id})
	case r.Method == http.MethodPost && u != nil:
		return s.complete(w, r, b, id, body)
	case r.Method == http.MethodGet && u != nil:
		return listParts(w, q, u)
	case r.Method == http.MethodDelete && u != nil:
		delete(b.uploads, id)
		w.WriteHeader(http.StatusNoContent)
		return nil
	case r.Method == http.MethodDelete:
		if o != nil {
			delete(b.objects, key)
			if s.deleted != nil {
				s.deleted(key, o)
			}
		}
		w.WriteHeader(http.StatusNoContent)
		return nil
	case r.Method == http.MethodGet, r.Method == http.MethodHead:
		return read(w, r, o)
	}
	return notImplemented
}

// made is a new object; header is that of the request that asked for it.
func (s *storage) made(body []byte, header http.Header) *stored {
	sum := md5.Sum(body)
	return &stored{body: body, etag: hex.EncodeToString(sum[:]), modified: s.now(), header: header}
}

func (s *storage) store(b *bucketful, key string, o *stored) {
	b.objects[key] = o
	if s.created != nil {
		s.created(key, o)
	}
}

func listParts(w http.ResponseWriter, q url.Values, u *collected) *refusal {
	type part struct {
		PartNumber int
		ETag       string
		Size       int
	}
	var list struct {
		XMLName              xml.Name `xml:"ListPartsResult"`
		IsTruncated          bool
		NextPartNumberMarker int
		Part                 []part
	}
	after, _ := strconv.Atoi(q.Get("part-number-marker"))
	for _, n := range slices.Sorted(maps.Keys(u.parts)) {
		if n <= after {
			continue
		}
		if len(list.Part) == page {
			list.IsTruncated = true
			break
		}
		list.NextPartNumberMarker = n
		list.Part = append(list.Part, part{n, `"` + u.parts[n].etag + `"`, len(u.parts[n].body)})
	}
	return answer(w, list)
}

func (s *storage) complete(w http.ResponseWriter, r *http.Request, b *bucketful, id string, body []byte) *refusal {
	u := b.uploads[id]
	var asked struct {
		Part []struct {
			PartNumber int
			ETag       string
		}
	}
	if err := xml.Unmarshal(body, &asked); err != nil || len(asked.Part) == 0 {
		return malformed
	}
	var all, sums []byte
	for n, p := range asked.Part {
		have := u.parts[p.PartNumber]
		switch {
		case have == nil, have.etag != strings.Trim(p.ETag, `"`):
			return invalidPart
		case n > 0 && asked.Part[n-1].PartNumber >= p.PartNumber:
			return &refusal{http.StatusBadRequest, "InvalidPartOrder"}
		case n < len(asked.Part)-1 && len(have.body) < images.MinPartSize:
			return &refusal{http.StatusBadRequest, "EntityTooSmall"}
		}
		sum, err := hex.DecodeString(have.etag)
		if err != nil {
			panic(err)
		}
		all, sums = append(all, have.body...), append(sums, sum...)
	}
	if b.objects[u.key] != nil && r.Header.Get("If-None-Match") == "*" {
		return taken
	}
	delete(b.uploads, id)
	o := s.made(all, u.header)
	o.etag = fmt.Sprintf("%x-%d", md5.Sum(sums), len(asked.Part))
	s.store(b, u.key, o)
	return answer(w, struct {
		XMLName xml.Name `xml:"CompleteMultipartUploadResult"`
		ETag    string
	}{ETag: `"` + o.etag + `"`})
}

func read(w http.ResponseWriter, r *http.Request, o *stored) *refusal {
	if o == nil {
		return noSuchKey
	}
	if want := r.Header.Get("If-Match"); want != "" && strings.Trim(want, `"`) != o.etag {
		return taken
	}
	q := r.URL.Query()
	h := w.Header()
	for name, values := range o.header {
		if strings.HasPrefix(name, "X-Amz-Meta-") {
			h[name] = values
		}
	}
	h.Set("Content-Type", cmp.Or(q.Get("response-content-type"), o.header.Get("Content-Type")))
	if d := q.Get("response-content-disposition"); d != "" {
		h.Set("Content-Disposition", d)
	}
	h.Set("ETag", `"`+o.etag+`"`)
	if r.Header.Get("Range") != "" && len(o.body) == 0 {
		return outOfRange
	}
	http.ServeContent(w, r, "", o.modified, bytes.NewReader(o.body))
	return nil
}
