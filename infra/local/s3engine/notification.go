package s3engine

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"time"
)

// Notification is the event that S3 would send for o: the JSON of an S3Event with one record, as aws-lambda-go decodes
// it (https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html). The key is
// URL-encoded, with + for a space, and the ETag has no quotes. The sequencer orders the events of a key; it is made of
// o.At, so that an event that is delivered twice is the same event.
func Notification(o Object, region string) ([]byte, error) {
	type identity struct {
		PrincipalID string `json:"principalId"`
	}
	type bucket struct {
		Name          string   `json:"name"`
		OwnerIdentity identity `json:"ownerIdentity"`
		ARN           string   `json:"arn"`
	}
	type object struct {
		Key       string `json:"key"`
		Size      int64  `json:"size"`
		ETag      string `json:"eTag"`
		VersionID string `json:"versionId,omitempty"`
		Sequencer string `json:"sequencer"`
	}
	type entity struct {
		SchemaVersion   string `json:"s3SchemaVersion"`
		ConfigurationID string `json:"configurationId"`
		Bucket          bucket `json:"bucket"`
		Object          object `json:"object"`
	}
	type record struct {
		EventVersion      string            `json:"eventVersion"`
		EventSource       string            `json:"eventSource"`
		AWSRegion         string            `json:"awsRegion"`
		EventTime         string            `json:"eventTime"`
		EventName         string            `json:"eventName"`
		UserIdentity      identity          `json:"userIdentity"`
		RequestParameters map[string]string `json:"requestParameters"`
		ResponseElements  map[string]string `json:"responseElements"`
		S3                entity            `json:"s3"`
	}
	r := record{
		EventVersion:      "2.1",
		EventSource:       "aws:s3",
		AWSRegion:         region,
		EventTime:         o.At.UTC().Format("2006-01-02T15:04:05.000Z"),
		EventName:         o.EventName,
		UserIdentity:      identity{"bullion"},
		RequestParameters: map[string]string{"sourceIPAddress": "127.0.0.1"},
		ResponseElements:  map[string]string{},
		S3: entity{
			SchemaVersion:   "1.0",
			ConfigurationID: "bullion",
			Bucket:          bucket{o.Bucket, identity{"bullion"}, "arn:aws:s3:::" + o.Bucket},
			Object: object{
				Key:       strings.ReplaceAll(url.QueryEscape(o.Key), "%2F", "/"),
				Size:      o.Size,
				ETag:      strings.Trim(o.ETag, `"`),
				VersionID: o.VersionID,
				Sequencer: sequencer(o.At),
			},
		},
	}
	return json.Marshal(map[string][]record{"Records": {r}})
}

// sequencer is a hexadecimal number that grows with t; all of them have the same length, so they also compare as text.
func sequencer(t time.Time) string { return fmt.Sprintf("%018X", t.UnixNano()) }
