package dynamo_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/google/go-cmp/cmp"

	"bullion/internal/identity"
	"bullion/internal/identity/dynamo"
	"bullion/internal/identity/identitytest"
	"bullion/internal/identity/mototest"
)

func TestStore(t *testing.T) {
	client := dynamodb.NewFromConfig(mototest.Start(t))
	tables := 0
	open := func(t *testing.T, now func() time.Time) (a, b *dynamo.Store) {
		t.Helper()
		tables++
		name := fmt.Sprintf("identity-%d", tables)
		if _, err := client.CreateTable(t.Context(), dynamo.TableInput(name)); err != nil {
			t.Fatal(err)
		}
		return &dynamo.Store{Client: client, Table: name, Now: now}, &dynamo.Store{Client: client, Table: name, Now: now}
	}
	identitytest.AppCredentials(t, func(t *testing.T) identity.AppCredentials {
		s, _ := open(t, nil)
		return s
	})
	identitytest.Revocations(t, dynamo.Keep, func(t *testing.T, now func() time.Time) (here, there identity.RevocationList) {
		return open(t, now)
	})

	t.Run("an item that the time to live has not removed yet no longer counts", func(t *testing.T) {
		now := time.Now()
		s, _ := open(t, func() time.Time { return now })
		claims := identity.Claims{ID: "t", UserID: "u"}
		if err := s.Revoke(t.Context(), identity.Revocation{Subject: identity.TokenSubject("t"), Before: now, Until: now.Add(time.Minute)}); err != nil {
			t.Fatal(err)
		}
		var got []bool
		for _, step := range []time.Duration{0, 2 * time.Minute} {
			now = now.Add(step)
			revoked, err := s.Revoked(t.Context(), claims)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, revoked)
		}
		if diff := cmp.Diff([]bool{true, false}, got); diff != "" {
			t.Errorf("revoked (-want +got):\n%s", diff)
		}
	})
}
