package s3engine

import (
	"time"

	"github.com/gofiber/fiber/v3"
	"github.com/versity/versitygw/s3api/utils"
	"github.com/versity/versitygw/s3err"
)

// queue lets some requests through at a time. The others wait, and are refused only after a while: versitygw, which refuses at once, reads
// little of a body that it refuses, and its client sees a connection that breaks instead of the answer (G14).
type queue struct {
	vault    *vault
	slots    chan struct{} // one for each request that is let through
	patience time.Duration
}

func (q *queue) serve(ctx fiber.Ctx) error {
	select {
	case q.slots <- struct{}{}:
	default:
		enough := time.NewTimer(q.patience)
		defer enough.Stop()
		select {
		case q.slots <- struct{}{}:
		case <-enough.C:
			return q.refuse(ctx, s3err.GetAPIError(s3err.ErrSlowDown))
		case <-q.vault.life.Done():
			return q.refuse(ctx, stopping)
		}
	}
	defer func() { <-q.slots }()
	return ctx.Next()
}

// refuse reads the body to its end, so that the client reads the answer.
func (q *queue) refuse(ctx fiber.Ctx, why s3err.APIError) error {
	if body := ctx.Request().BodyStream(); body != nil {
		q.vault.drain(ctx.RequestCtx(), body)
	}
	return ctx.Status(why.HTTPStatusCode).Send(why.XMLBody(utils.EnsureRequestIDs(ctx)))
}
