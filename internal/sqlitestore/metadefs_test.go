package sqlitestore

import (
	"testing"

	"bullion/internal/metadefs"
	"bullion/internal/metadefs/metadefstest"
)

func TestMetadefs(t *testing.T) {
	metadefstest.Run(t, func(t *testing.T) metadefs.Store { return openNew(t) })
}
