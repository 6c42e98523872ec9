package images

import "time"

// maxAttempts bounds how often work is begun without getting further: whatever kills its worker (memory, time, a bug)
// ends as a rejection or a failure, never as an image that is importing for ever.
const maxAttempts = 4

// deadlyAfter is for how long work must have been tried before it is taken for what kills its worker: a machine that fails several times in a row
// within minutes has another trouble. On a host that starts again (Restarted) work pauses after its second death in a row, longer after each, so that the host gets other things done.
const (
	deadlyAfter = 3 * time.Minute
	deathPause  = 20 * time.Second
	mostPauses  = 3
	killsAPause = 5 // that many ends of the host from outside lengthen the pause as one death does, for killers that the host does not know for what they are
)

// uncountedFor is for how long the ends of work that say nothing of it do not count as attempts: errors such as storage that does not answer, and ends of the host from outside. The bytes of an image
// outlive an outage. After that they count too, so that everything ends.
const uncountedFor = 24 * time.Hour

// Lease says whose work something is, and how the work of those before ended.
type Lease struct {
	Attempts   int       `json:"attempts,omitempty"` // claims that did not get further
	Kills      int       `json:"kills,omitempty"`    // claims that ended, before that, with their host, which was killed from outside
	Holder     string    `json:"holder,omitempty"`   // who works on it
	LeaseUntil time.Time `json:"lease_until"`        // after which anybody may claim it
}

// taken says whether the holder may not claim it now, as another has it or it pauses.
func (l *Lease) taken(holder string, now time.Time) bool {
	held, pauses := l.Holder != "" && l.Holder != holder, l.Holder == "" && l.Attempts+l.Kills > 0
	return (held || pauses) && l.LeaseUntil.After(now)
}

// deadly says whether the work kills whoever takes it, as far as anybody can know. since is when it was first there to be done.
func (l *Lease) deadly(since, now time.Time) bool {
	return l.Attempts >= maxAttempts && now.Sub(since) >= deadlyAfter
}

// take gives it to the holder.
func (l *Lease) take(holder string, until time.Time) {
	l.Holder, l.LeaseUntil = holder, until
	l.Attempts++
}

// further says that the work got to where it need not be done again.
func (l *Lease) further() { l.Attempts, l.Kills = 1, 0 }

// giveBack ends the holder's work. counted is whether the attempt counts as one that failed.
func (l *Lease) giveBack(until time.Time, counted bool) {
	l.Holder, l.LeaseUntil = "", until
	if !counted {
		l.Attempts = max(l.Attempts-1, 0)
	}
}

// orphaned takes it from a holder that died with its host, and says whether anything changed. counted is whether the work itself may have been the cause.
func (l *Lease) orphaned(now time.Time, counted bool) bool {
	if l.Holder == "" && l.Attempts+l.Kills > 0 {
		return false // it was given back, or pauses
	}
	if l.Holder != "" && !counted {
		l.Kills++
	}
	l.giveBack(now, counted)
	l.LeaseUntil = now.Add(deathPause * time.Duration(min(max(l.Attempts-1, 0)+l.Kills/killsAPause, mostPauses)))
	return true
}
