package api

import (
	"net/http"

	"bullion/internal/images"
)

func (a *api) listMembers(w http.ResponseWriter, r *http.Request) error {
	list, err := a.Images.Members(r.Context(), callerOf(r), r.PathValue("id"))
	if err != nil {
		return err
	}
	documents := make([]memberDocument, 0, len(list))
	for _, m := range list {
		documents = append(documents, member(m))
	}
	writeJSON(w, http.StatusOK, map[string]any{"members": documents, "schema": "/v2/schemas/members"})
	return nil
}

func (a *api) addMember(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Member string `json:"member"`
	}
	if err := decode(w, r, &body); err != nil {
		return err
	}
	m, err := a.Images.AddMember(r.Context(), callerOf(r), r.PathValue("id"), body.Member)
	return writeMember(w, m, err)
}

func (a *api) showMember(w http.ResponseWriter, r *http.Request) error {
	m, err := a.Images.Member(r.Context(), callerOf(r), r.PathValue("id"), r.PathValue("member"))
	return writeMember(w, m, err)
}

func (a *api) setMember(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Status images.MemberStatus `json:"status"`
	}
	if err := decode(w, r, &body); err != nil {
		return err
	}
	m, err := a.Images.SetMemberStatus(r.Context(), callerOf(r), r.PathValue("id"), r.PathValue("member"), body.Status)
	return writeMember(w, m, err)
}

func (a *api) removeMember(w http.ResponseWriter, r *http.Request) error {
	return a.done(w, a.Images.RemoveMember(r.Context(), callerOf(r), r.PathValue("id"), r.PathValue("member")))
}

func writeMember(w http.ResponseWriter, m *images.Member, err error) error {
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, member(*m))
	return nil
}
