package images

// PatchOp is one operation of a JSON patch on an image (RFC 6902, cut down as in Glance to whole attributes).
type PatchOp struct {
	Op    string // add, replace or remove
	Name  string // attribute or custom property: the path without its slash, decoded
	Value any    // decoded JSON with numbers as json.Number; ignored by remove
}

// MaxPatch bounds the operations of one patch.
const MaxPatch = 512

// apply makes all changes or, when it fails, leaves the image half changed: the caller works on a clone.
//
//	add      sets, whether or not there was a value
//	replace  sets a value that is there: Conflict for a custom property that is not
//	remove   removes a custom property that is there, Conflict otherwise; attributes of every image stay
func (i *Image) apply(ops []PatchOp) error {
	if len(ops) > MaxPatch {
		return Errorf(TooLarge, "A patch has at most %d operations; this has %d.", MaxPatch, len(ops))
	}
	for _, op := range ops {
		var err error
		switch op.Op {
		case "add":
			err = i.set(op.Name, op.Value)
		case "replace":
			if err = writable(op.Name); err == nil && !i.has(op.Name) {
				err = Errorf(Conflict, "Image %s has no property %q to replace; use add.", i.ID, op.Name)
			}
			if err == nil {
				err = i.set(op.Name, op.Value)
			}
		case "remove":
			err = i.unset(op.Name)
		default:
			err = Errorf(Invalid, "Operation %.40q is not known; use add, replace or remove.", op.Op)
		}
		if err != nil {
			return err
		}
	}
	return i.checkSize()
}
