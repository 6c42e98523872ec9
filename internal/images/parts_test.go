package images

import "testing"

// checkPlan fails unless the plan of an upload keeps what PlanParts promises.
func checkPlan(t *testing.T, size int64, maxParts int) {
	t.Helper()
	partSize, parts := PlanParts(size, maxParts)
	n, p := int64(parts), partSize
	switch {
	case parts < 1 || parts > maxParts:
		t.Fatalf("%d bytes in at most %d parts: got %d parts", size, maxParts, parts)
	case p > MaxPutSize || parts > 1 && p < MinPartSize:
		t.Fatalf("%d bytes in at most %d parts: got parts of %d bytes; S3 takes %d to %d", size, maxParts, p, int64(MinPartSize), int64(MaxPutSize))
	case (n-1)*p >= size || size > n*p:
		t.Fatalf("%d bytes in at most %d parts: %d parts of %d bytes do not end with it", size, maxParts, parts, p)
	case p != preferredPart && ceilDiv(size, p-partSizeUnit) <= int64(maxParts):
		t.Fatalf("%d bytes in at most %d parts: parts of %d bytes are larger than need be", size, maxParts, p)
	case p%partSizeUnit != 0:
		t.Fatalf("%d bytes in at most %d parts: parts of %d bytes are no whole MiB", size, maxParts, p)
	}
	u := &Upload{Size: size, PartSize: p, Parts: parts}
	if parts > 1 && u.PartLength(1) != p {
		t.Fatalf("%d bytes: part 1 of %d has %d bytes, want %d", size, parts, u.PartLength(1), p)
	}
	if last := u.PartLength(parts); last < 1 || last > p || (n-1)*p+last != size {
		t.Fatalf("%d bytes: the last of %d parts has %d bytes", size, parts, last)
	}
}

func TestPlanPartsAtItsEdges(t *testing.T) {
	for _, maxParts := range []int{205, 206, DefaultMaxParts, 9_999, MaxParts} {
		full := int64(maxParts) * preferredPart // the largest in parts of the preferred size
		for _, size := range []int64{1, MinPartSize, preferredPart - 1, preferredPart, preferredPart + 1, full - 1, full, full + 1,
			full + int64(maxParts)*partSizeUnit, full + int64(maxParts)*partSizeUnit + 1, MaxPutSize, MaxImageSize - 1, MaxImageSize} {
			checkPlan(t, size, maxParts)
		}
	}
}

func TestPlanPartsForSizesThatPeopleHave(t *testing.T) {
	for _, c := range []struct {
		size     int64
		maxParts int
		partSize int64
		parts    int
	}{
		{1, MaxParts, 16 << 20, 1},
		{700 << 20, MaxParts, 16 << 20, 44},
		{20 << 30, MaxParts, 16 << 20, 1280},
		{20 << 30, DefaultMaxParts, 41 << 20, 500},
		{1 << 40, MaxParts, 105 << 20, 9987},
		{1 << 40, DefaultMaxParts, 2098 << 20, 500},
	} {
		if partSize, parts := PlanParts(c.size, c.maxParts); partSize != c.partSize || parts != c.parts {
			t.Errorf("%d bytes in at most %d parts: got %d parts of %d bytes, want %d of %d", c.size, c.maxParts, parts, partSize, c.parts, c.partSize)
		}
	}
}

func FuzzPlanParts(f *testing.F) {
	f.Add(int64(1), 205)
	f.Add(int64(MaxImageSize), MaxParts)
	f.Add(int64(500*preferredPart+1), 500)
	f.Fuzz(func(t *testing.T, size int64, maxParts int) {
		checkPlan(t, 1+abs(size)%MaxImageSize, 205+int(abs(int64(maxParts))%(MaxParts-204)))
	})
}

func abs(n int64) int64 { return n & (1<<63 - 1) }

func TestMissingPartsAreThoseThatAreAbsentOrOfAnotherLength(t *testing.T) {
	u := &Upload{Size: 25, PartSize: 10, Parts: 3}
	for _, c := range []struct {
		name string
		have []Part
		want []int
	}{
		{"all there", []Part{{1, "a", 10}, {2, "b", 10}, {3, "c", 5}}, nil},
		{"none there", nil, []int{1, 2, 3}},
		{"one absent", []Part{{1, "a", 10}, {3, "c", 5}}, []int{2}},
		{"one short", []Part{{1, "a", 9}, {2, "b", 10}, {3, "c", 5}}, []int{1}},
		{"the last too long", []Part{{1, "a", 10}, {2, "b", 10}, {3, "c", 10}}, []int{3}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := missingParts(u, c.have)
			if len(got) != len(c.want) {
				t.Fatalf("got %v, want %v", got, c.want)
			}
			for n := range got {
				if got[n] != c.want[n] {
					t.Fatalf("got %v, want %v", got, c.want)
				}
			}
		})
	}
}
