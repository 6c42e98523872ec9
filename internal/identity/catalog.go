package identity

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
)

// catalog lists the services: what a client asks for by type, and where it is.
func (s *Service) catalog(r *http.Request) []object {
	base := s.base(r)
	image := s.ImageURL
	if image == "" {
		image = base
	}
	out := []object{s.entry("identity", "keystone", base+"/v3"), s.entry("image", "glance", image)}
	if s.ComputeURL != "" {
		out = append(out, s.entry("compute", "nova", s.ComputeURL+"/v2.1"))
	}
	return out
}

// entry has the three interfaces that clients may ask for, all at the one address.
func (s *Service) entry(kind, name, url string) object {
	endpoints := make([]object, 0, 3)
	for _, face := range []string{"public", "internal", "admin"} {
		endpoints = append(endpoints, object{
			"id": stableID("endpoint", kind, face, s.Region), "interface": face, "region": s.Region, "region_id": s.Region, "url": url,
		})
	}
	return object{"id": stableID("service", kind), "type": kind, "name": name, "endpoints": endpoints}
}

// stableID makes an id of 32 hexadecimal digits that is the same every time.
func stableID(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		h.Write([]byte(p))
		h.Write([]byte{0})
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

func (s *Service) authCatalog(w http.ResponseWriter, r *http.Request) error {
	c, err := s.caller(r)
	if err != nil {
		return err
	}
	list := []object{}
	if c.ProjectID != "" {
		list = s.catalog(r)
	}
	return writeJSON(w, http.StatusOK, object{"catalog": list, "links": links(s.base(r) + r.URL.Path)})
}

// links are those of a list that is on one page.
func links(self string) object { return object{"self": self, "next": nil, "previous": nil} }

// versions answers GET / with 300 Multiple Choices, as Keystone does.
func (s *Service) versions(w http.ResponseWriter, r *http.Request) error {
	return writeJSON(w, http.StatusMultipleChoices, object{"versions": object{"values": []object{s.versionDocument(r)}}})
}

func (s *Service) version(w http.ResponseWriter, r *http.Request) error {
	return writeJSON(w, http.StatusOK, object{"version": s.versionDocument(r)})
}

// versionDocument says v3.14, the version of the API that clients of 2020 and later ask for.
func (s *Service) versionDocument(r *http.Request) object {
	return object{
		"id": "v3.14", "status": "stable", "updated": "2020-04-07T00:00:00Z",
		"links":       []object{{"rel": "self", "href": s.base(r) + "/v3/"}},
		"media-types": []object{{"base": "application/json", "type": "application/vnd.openstack.identity-v3+json"}},
	}
}
