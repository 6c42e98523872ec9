package main

import (
	"strings"

	"github.com/spf13/cobra"

	"bullion/cmd/bullion/internal/glance"
)

// imageHistory says what happened to an image. An id may be that of an image that is deleted.
func (a *app) imageHistory() *cobra.Command {
	return &cobra.Command{
		Use: "history IMAGE", Short: "List what happened to an image, also after it was deleted", Args: exactly(1, "an image, by name or id; of a deleted image the id"),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := a.connect(cmd.Context())
			if err != nil {
				return err
			}
			id := strings.ToLower(args[0])
			if !glance.IsID(id) {
				i, err := api.Find(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				id = i.ID
			}
			events, err := api.History(cmd.Context(), id)
			if err != nil {
				return err
			}
			records := make([]record, len(events))
			for n, e := range events {
				records[n] = record{{"seq", e.Seq}, {"at", e.At}, {"from", e.From}, {"to", e.To}, {"actor", e.Actor}, {"actor_project", e.ActorProject}, {"reason", e.Reason}}
			}
			return a.list(records, []string{"at", "from", "to", "actor", "reason"}, func(n int) string { return events[n].At.Format("2006-01-02T15:04:05Z") + " " + events[n].To },
				append([]glance.Event{}, events...))
		},
	}
}
