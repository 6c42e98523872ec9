package dynamostore

import (
	"testing"

	"bullion/internal/dynamostore/dynamotest"
	"bullion/internal/images"
	"bullion/internal/images/storetest"
)

// open makes a store on a new table.
func open(t *testing.T, endpoint string) *Store {
	t.Helper()
	client := dynamotest.Client(endpoint)
	return New(client, dynamotest.Table(t, client, TableInput), Options{})
}

func TestStore(t *testing.T) {
	sizes := map[string]storetest.Options{
		"Dynoxide":  {Records: 1000, Queries: 100, Writers: 8},
		"MiniStack": {Records: 100, Queries: 15, Writers: 8},
	}
	for name, engine := range dynamotest.Engines() {
		t.Run(name, func(t *testing.T) {
			o, ok := sizes[name]
			if !ok {
				o = sizes["MiniStack"]
			}
			t.Parallel()
			endpoint := engine(t)
			o.Second = func(t *testing.T, first images.Store) images.Store {
				return New(dynamotest.Client(endpoint), first.(*Store).table, Options{})
			}
			storetest.RunWith(t, func(t *testing.T) images.Store { return open(t, endpoint) }, o)
		})
	}
}
