package metadefs

import (
	"slices"
	"testing"
)

func TestEveryNamespaceOfTheCatalogueGoesWithAKnownTypeOfResource(t *testing.T) {
	if len(catalogue) == 0 {
		t.Fatal("the catalogue is empty")
	}
	for _, n := range catalogue {
		if len(n.ResourceTypes) == 0 || len(n.Properties) == 0 {
			t.Errorf("%s has %d types and %d properties, want some of both", n.Name, len(n.ResourceTypes), len(n.Properties))
		}
		for _, a := range n.ResourceTypes {
			if !slices.Contains(ResourceTypes, a.Name) {
				t.Errorf("%s goes with %s, which is not in ResourceTypes", n.Name, a.Name)
			}
		}
	}
}
