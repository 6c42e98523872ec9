package s3store

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"

	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"bullion/internal/images"
)

// kinds gives the codes of S3 that the service acts on. Everything else is a fault of the store.
//
// HEAD has no body, so its 404 is NotFound whether the object or the bucket is missing: Check tells them apart.
// The answer 409 ConditionalRequestConflict means that another write of the same key is under way, or was until now.
// InvalidPart means that a part was sent again since it was listed.
var kinds = map[string]images.Kind{
	"NotFound":                   images.NotFound,
	"NoSuchKey":                  images.NotFound,
	"NoSuchVersion":              images.NotFound,
	"NoSuchUpload":               images.NotFound,
	"PreconditionFailed":         images.Conflict,
	"ConditionalRequestConflict": images.Conflict,
	"InvalidPart":                images.Conflict,
}

// fault gives an error of S3 its kind. doing says what was tried with which key.
func fault(err error, doing, key string) error {
	if err == nil {
		return nil
	}
	what := doing + " " + key
	if kind, ok := kinds[code(err)]; ok {
		text := "The storage has no such object or upload"
		if kind == images.Conflict {
			text = "The storage already has an object there, or one is being written"
		}
		return images.Wrap(kind, fmt.Errorf("%s: %w", what, err), "%s", text)
	}
	if says, ok := unwritable[code(err)]; ok {
		return images.Wrap(images.Unavailable, fmt.Errorf("%s: %w", what, err), "%s", says)
	}
	if unavailable(err) {
		return images.Wrap(images.Unavailable, fmt.Errorf("%s: %w", what, err), "The storage of images does not answer; try again")
	}
	if right := lacking(err); right != "" {
		return fmt.Errorf("s3store: %s: the role or key needs %s: %w", what, right, err)
	}
	return fmt.Errorf("s3store: %s: %w", what, err)
}

// unwritable are the codes of an engine whose disk takes no more.
var unwritable = map[string]string{
	"InsufficientStorage": "The disk of the storage is full; an operator must free some space.",
	"StorageReadOnly":     "The disk of the storage cannot be written; an operator must look at it.",
}

// rights are the permissions that operations need when they are not named as the operation is: what IAM calls them nobody guesses, and the answer to HEAD has no text
// that says so (https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html).
var rights = map[string]string{
	"HeadObject":              "s3:GetObject and s3:ListBucket",
	"GetObject":               "s3:GetObject, and s3:GetObjectVersion in a versioned bucket",
	"DeleteObject":            "s3:DeleteObject, and s3:DeleteObjectVersion in a versioned bucket",
	"CreateMultipartUpload":   "s3:PutObject",
	"UploadPart":              "s3:PutObject",
	"CompleteMultipartUpload": "s3:PutObject",
	"ListParts":               "s3:ListMultipartUploadParts",
	"ListObjectsV2":           "s3:ListBucket",
	"ListObjectVersions":      "s3:ListBucketVersions",
	"ListMultipartUploads":    "s3:ListBucketMultipartUploads",
	"HeadBucket":              "s3:ListBucket",
}

// lacking is the permission for want of which S3 refused, "" when that was not why.
func lacking(err error) string {
	r, answered := errors.AsType[*smithyhttp.ResponseError](err)
	if !answered || r.HTTPStatusCode() != http.StatusForbidden {
		return ""
	}
	if op, ok := errors.AsType[*smithy.OperationError](err); ok {
		if right := rights[op.OperationName]; right != "" {
			return right
		}
		return "s3:" + op.OperationName
	}
	return ""
}

// code is the name that S3 gives an error, "" when it did not answer.
func code(err error) string {
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		return api.ErrorCode()
	}
	return ""
}

// unavailable says whether the same call may succeed later: S3 is out of reach, throttles or fails. S3 may send such a code with status 200, when it
// failed after it began to answer.
func unavailable(err error) bool {
	switch code(err) {
	case "InternalError", "ServiceUnavailable", "SlowDown", "RequestTimeout":
		return true
	}
	if _, ok := errors.AsType[*smithy.DeserializationError](err); ok { // the answer broke off
		return true
	}
	if late, ok := errors.AsType[net.Error](err); ok && late.Timeout() { // or came too slowly
		return true
	}
	if r, ok := errors.AsType[*smithyhttp.ResponseError](err); ok && r.HTTPStatusCode() != 0 { // the SDK gives status 0 to a request without an answer
		status := r.HTTPStatusCode()
		return status >= 500 && status != http.StatusNotImplemented || status == http.StatusTooManyRequests
	}
	_, unsent := errors.AsType[*smithyhttp.RequestSendError](err)
	return unsent && !errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}
