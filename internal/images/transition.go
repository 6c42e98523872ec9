package images

import "time"

// transition is one allowed step in the life of an image. Its guard looks at the record as it would be
// afterwards and says what is missing.
type transition struct {
	from, to Status
	guard    func(*Image) error
}

// transitions is the whole life of an image. What is not in it does not happen: events of the storage arrive twice,
// late, out of order or never, and this table absorbs that.
var transitions = []transition{
	{"", StatusQueued, nil},
	{StatusQueued, StatusSaving, uploadIs(UploadOpen)},
	{StatusQueued, StatusUploading, uploadIs(UploadOpen)},
	{StatusQueued, StatusImporting, bytesOnTheWay},

	{StatusSaving, StatusImporting, uploadIs(UploadReceived)},
	{StatusSaving, StatusActive, validated},
	{StatusSaving, StatusQueued, withoutData},

	{StatusUploading, StatusImporting, uploadIs(UploadReceived)},
	{StatusUploading, StatusQueued, withoutData},

	{StatusImporting, StatusActive, validated},
	{StatusImporting, StatusQueued, withoutData},

	{StatusActive, StatusDeactivated, validated},
	{StatusDeactivated, StatusActive, validated},

	{StatusQueued, StatusPendingDelete, unprotected},
	{StatusSaving, StatusPendingDelete, unprotected},
	{StatusUploading, StatusPendingDelete, unprotected},
	{StatusImporting, StatusPendingDelete, unprotected},
	{StatusActive, StatusPendingDelete, unprotected},
	{StatusDeactivated, StatusPendingDelete, unprotected},
	{StatusPendingDelete, StatusDeleted, nil},
}

// move changes the status if the table has the step and its guard agrees.
func (i *Image) move(to Status, now time.Time) error {
	for _, t := range transitions {
		if t.from != i.Status || t.to != to {
			continue
		}
		if t.guard != nil {
			if err := t.guard(i); err != nil {
				return err
			}
		}
		i.Status = to
		i.UpdatedAt = now
		return nil
	}
	return Errorf(Conflict, "Image %s is %s and cannot become %s.", i.ID, i.Status, to)
}

func uploadIs(state UploadState) func(*Image) error {
	return func(i *Image) error {
		if i.Upload == nil || i.Upload.State != state {
			return Errorf(Conflict, "Image %s has no upload that is %s.", i.ID, state)
		}
		return nil
	}
}

func bytesOnTheWay(i *Image) error {
	if i.Import != nil && (i.Import.State == TaskPending || i.Import.State == TaskProcessing) {
		return nil
	}
	return uploadIs(UploadReceived)(i)
}

// validated is the promise of the service: nothing is active without bytes that were examined and hashed.
func validated(i *Image) error {
	if i.Blob == nil || i.Size == nil || *i.Size != i.Blob.Size || len(i.Checksum) != 32 || len(i.HashValue) != 128 ||
		i.DiskFormat == "" || i.ContainerFormat == "" {
		return Errorf(Internal, "Image %s would become active without validated bytes.", i.ID)
	}
	return nil
}

func withoutData(i *Image) error {
	if i.Blob != nil || i.Size != nil || i.Checksum != "" || i.HashValue != "" {
		return Errorf(Internal, "Image %s would return to queued with data.", i.ID)
	}
	return nil
}

func unprotected(i *Image) error {
	if i.Protected {
		return Errorf(Forbidden, "Image %s is protected and cannot be deleted; set protected to false first.", i.ID)
	}
	return nil
}
