package api

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"

	"bullion/internal/images"
)

// locationAlgos are the hashes that validation_data may name, as in Glance.
var locationAlgos = []string{"sha1", "sha256", "sha512", "md5"}

// locationBody is the body of POST …/locations.
type locationBody struct {
	URL            string          `json:"url"`
	ValidationData json.RawMessage `json:"validation_data"`
}

// addLocation has a file fetched from where the caller says that an image's bytes are.
func (a *api) addLocation(w http.ResponseWriter, r *http.Request) error {
	var raw json.RawMessage
	if err := decode(w, r, &raw); err != nil {
		return err
	}
	var body locationBody
	if err := json.Unmarshal(raw, &body); err != nil {
		return images.Wrap(images.Invalid, err, `The body must be like {"url": "https://example.org/disk.qcow2"}: %s.`, jsonError(err))
	}
	if body.URL == "" {
		return images.Errorf(images.Invalid, "url must be the address of the file, as https://example.org/disk.qcow2.")
	}
	checksum, err := locationChecksum(body.ValidationData)
	if err != nil {
		return err
	}
	kept, err := keptRequest(raw)
	if err != nil {
		return err
	}
	_, err = a.Images.AddLocation(r.Context(), callerOf(r), r.PathValue("id"), images.ImportRequest{URI: body.URL, Checksum: checksum, RequestID: RequestID(r.Context()), Body: kept})
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusAccepted)
	return nil
}

// locationChecksum reads validation_data; "" is none. The length of the value is the domain's to check.
func locationChecksum(raw json.RawMessage) (string, error) {
	if len(raw) == 0 {
		return "", nil
	}
	var data map[string]any
	if err := json.Unmarshal(raw, &data); err != nil || data == nil {
		return "", images.Errorf(images.Invalid, "validation_data must be an object with os_hash_algo and os_hash_value, or left out.")
	}
	if len(data) == 0 {
		return "", nil // what glanceclient sends for none
	}
	for name := range data {
		if name != "os_hash_algo" && name != "os_hash_value" {
			return "", images.Errorf(images.Invalid, "validation_data takes os_hash_algo and os_hash_value, not %.40q.", name)
		}
	}
	algo, _ := data["os_hash_algo"].(string)
	value, _ := data["os_hash_value"].(string)
	switch {
	case !slices.Contains(locationAlgos, algo):
		return "", images.Errorf(images.Invalid, "validation_data.os_hash_algo must be one of %s.", strings.Join(locationAlgos, ", "))
	case value == "":
		return "", images.Errorf(images.Invalid, "validation_data.os_hash_value must be the hexadecimal digits of the file's %s.", algo)
	}
	return algo + ":" + value, nil
}

// listLocations tells another service of the cloud where to read the bytes of an image: one signed address, good for a while.
func (a *api) listLocations(w http.ResponseWriter, r *http.Request) error {
	type location struct {
		URL      string            `json:"url"`
		Metadata map[string]string `json:"metadata"`
	}
	list := []location{}
	signed, err := a.Images.Location(r.Context(), callerOf(r), r.PathValue("id"))
	switch {
	case err == nil:
		list = append(list, location{signed.URL, map[string]string{"store": storeID, "expires_at": timestamp(signed.Expires)}})
	case !errors.Is(err, images.ErrNoData):
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	writeJSON(w, http.StatusOK, list)
	return nil
}
