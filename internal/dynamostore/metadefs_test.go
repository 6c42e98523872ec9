package dynamostore

import (
	"testing"

	"bullion/internal/dynamostore/dynamotest"
	"bullion/internal/images"
	"bullion/internal/metadefs"
	"bullion/internal/metadefs/metadefstest"
)

func TestMetadefs(t *testing.T) {
	for name, engine := range dynamotest.Engines() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			endpoint := engine(t)
			metadefstest.Run(t, func(t *testing.T) metadefs.Store { return open(t, endpoint) })
		})
	}
}

func TestANamespaceIsWrittenOnceWhenTheAnswerIsLost(t *testing.T) {
	for _, action := range []dynamotest.Action{dynamotest.LoseAnswer, dynamotest.DisconnectLate, dynamotest.Throttle} {
		faults := &dynamotest.Faults{Endpoint: dynamotest.Dynoxide(t), Choose: func(operation string, before int) dynamotest.Action {
			if operation == "PutItem" && before == 0 {
				return action
			}
			return dynamotest.Forward
		}}
		s := open(t, faults.Serve(t))
		if err := s.PutNamespace(t.Context(), "one", 0, []byte(`{}`)); err != nil {
			t.Errorf("got the error %v", err)
		}
		if err := s.PutNamespace(t.Context(), "one", 0, []byte(`{}`)); images.KindOf(err) != images.Conflict {
			t.Errorf("got the error %v, want Conflict", err)
		}
	}
}
