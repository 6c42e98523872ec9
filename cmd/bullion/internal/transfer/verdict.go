package transfer

import (
	"math"
	"net/http"
	"time"

	"bullion/cmd/bullion/internal/glance"
)

// verdict is what to do after the storage answered to a part.
type verdict int

const (
	sent   verdict = iota // done
	again                 // the same request may succeed later
	resign                // the signature is no longer good; another may be
	look                  // ask the service what there is: somebody else may have sent it, or ended the upload
	refuse                // it will never succeed
)

// judge decides by the status and S3's error code. 5xx and 429 pass; so do the few 4xx with which S3 reports that a connection was too slow or was cut, or that it
// is busy with the same key. A signature that expired is 403, or 400 when it is the signer's own credentials that did.
func judge(status int, code string) verdict {
	switch {
	case status >= 200 && status < 300:
		return sent
	case glance.RetryableStatus(status):
		return again
	case status == http.StatusBadRequest:
		switch code {
		case "RequestTimeout", "IncompleteBody":
			return again
		case "ExpiredToken", "TokenRefreshRequired":
			return resign
		}
	case status == http.StatusForbidden:
		return resign
	case status == http.StatusConflict && (code == "ConditionalRequestConflict" || code == "OperationAborted"):
		return again
	case status == http.StatusNotFound, status == http.StatusPreconditionFailed, status == http.StatusConflict:
		return look
	}
	return refuse
}

// backoff is how long to wait before a try, counted from 1: doubling from 0.2 s to 5 s, of which up to half is taken off by random in [0, 1), and at
// least what the server asked for, up to a minute.
func backoff(try int, asked time.Duration, random float64) time.Duration {
	const first, most = 200 * time.Millisecond, 5 * time.Second
	wait := time.Duration(math.Min(float64(first)*math.Pow(2, float64(try-1)), float64(most)))
	wait -= time.Duration(random / 2 * float64(wait))
	return max(wait, min(asked, time.Minute))
}

// nextPoll is how long to wait before asking again how far the service is: half of the time that it seems to need, from
// 50 ms to 2 s; while that is not known, half as long again as last time.
func nextPoll(last time.Duration, done, total int64, since time.Duration) time.Duration {
	const least, most = 50 * time.Millisecond, 2 * time.Second
	wait := last * 3 / 2
	if done > 0 && total > done && since > 0 {
		left := float64(since) * float64(total-done) / float64(done)
		wait = time.Duration(math.Min(left/2, float64(most)))
	}
	return min(max(wait, least), most)
}
