package ssmkeys_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"bullion/internal/identity/mototest"
	"bullion/internal/identity/ssmkeys"
	"bullion/internal/images"
)

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestKeysInParameterStore(t *testing.T) {
	ctx := t.Context()
	client := ssm.NewFromConfig(mototest.Start(t))
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	clock := func() time.Time { return now }
	source := func() *ssmkeys.Source {
		return &ssmkeys.Source{Client: client, PrivateName: "/bullion/keys/private", PublicName: "/bullion/keys/public", Lifetime: time.Hour, Now: clock}
	}
	public := &ssmkeys.Public{Client: client, Name: "/bullion/keys/public", Now: clock}
	value := func(name string) *types.Parameter {
		t.Helper()
		out, err := client.GetParameter(ctx, &ssm.GetParameterInput{Name: &name, WithDecryption: aws.Bool(true)})
		ok(t, err)
		return out.Parameter
	}

	if _, err := public.PublicKey(ctx, "any"); images.KindOf(err) != images.NotFound {
		t.Fatalf("before anybody signed in: got %v, want NotFound", err)
	}

	// Four instances start at once: one key is made, and all use it.
	instances := []*ssmkeys.Source{source(), source(), source(), source()}
	ids := make([]string, len(instances))
	var wg sync.WaitGroup
	for i, s := range instances {
		wg.Go(func() {
			var err error
			if ids[i], _, err = s.Signer(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, id := range ids {
		if id != ids[0] || id == "" {
			t.Fatalf("got the keys %v, want one", ids)
		}
	}
	if p := value("/bullion/keys/private"); p.Type != types.ParameterTypeSecureString || len(*p.Value) > 4096 {
		t.Errorf("got type %s and %d bytes, want a SecureString of a standard parameter", p.Type, len(*p.Value))
	}
	if p := value("/bullion/keys/public"); strings.Contains(*p.Value, "seed") {
		t.Errorf("the public parameter holds a secret: %s", *p.Value)
	}
	now = now.Add(11 * time.Second)
	if _, err := public.PublicKey(ctx, ids[0]); err != nil {
		t.Errorf("a verifier that asks again: %v", err)
	}

	// Ninety days later one instance rotates; the new key signs after the delay, when all know it.
	now = now.Add(ssmkeys.RotateEvery + time.Minute)
	old, _, err := instances[0].Signer(ctx)
	ok(t, err)
	if old != ids[0] {
		t.Errorf("right after the rotation: got signer %s, want the old %s", old, ids[0])
	}
	now = now.Add(ssmkeys.Delay + time.Second)
	for i, s := range instances {
		id, _, err := s.Signer(ctx)
		ok(t, err)
		if id == ids[0] {
			t.Errorf("instance %d signs with the old key after the delay", i)
		}
		if _, err := public.PublicKey(ctx, id); err != nil {
			t.Errorf("a verifier does not know the key of instance %d: %v", i, err)
		}
		if _, err := s.PublicKey(ctx, ids[0]); err != nil {
			t.Errorf("the old key during the overlap: %v", err)
		}
	}
	now = now.Add(time.Hour + ssmkeys.Refresh)
	if _, err := public.PublicKey(ctx, ids[0]); images.KindOf(err) != images.NotFound {
		t.Errorf("the old key after the overlap: got %v, want NotFound", err)
	}

	t.Run("a lost public parameter is written again", func(t *testing.T) {
		_, err := client.DeleteParameter(ctx, &ssm.DeleteParameterInput{Name: aws.String("/bullion/keys/public")})
		ok(t, err)
		_, _, err = source().Signer(ctx)
		ok(t, err)
		value("/bullion/keys/public")
	})
	t.Run("a broken parameter is an error and is not overwritten", func(t *testing.T) {
		_, err := client.PutParameter(ctx, &ssm.PutParameterInput{Name: aws.String("/broken"), Value: aws.String("{"), Type: types.ParameterTypeSecureString})
		ok(t, err)
		s := &ssmkeys.Source{Client: client, PrivateName: "/broken", PublicName: "/broken-public", Now: clock}
		if _, _, err := s.Signer(ctx); images.KindOf(err) != images.Unavailable {
			t.Errorf("got %v, want Unavailable", err)
		}
		if got := *value("/broken").Value; got != "{" {
			t.Errorf("it was overwritten with %s", got)
		}
		v := &ssmkeys.Public{Client: client, Name: "/broken", Now: clock}
		if _, err := v.PublicKey(ctx, "x"); images.KindOf(err) != images.Unavailable {
			t.Errorf("a verifier: got %v, want Unavailable", err)
		}
	})
}
