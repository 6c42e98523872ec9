package identity

import (
	"log/slog"
	"net/http"

	"bullion/internal/images"
)

// changePassword answers POST /v3/users/{user}/password. The old password is the proof, so no token
// is asked for, and the attempt counts as a sign-in.
func (s *Service) changePassword(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		User *struct {
			Password string `json:"password"`
			Original string `json:"original_password"`
		} `json:"user"`
	}
	if err := decode(w, r, &body); err != nil {
		return err
	}
	if body.User == nil || body.User.Password == "" || body.User.Original == "" {
		return images.Errorf(images.Invalid, "'user.password' and 'user.original_password' are required properties.")
	}
	if err := checkPassword(body.User.Password); err != nil {
		return err
	}
	if body.User.Password == body.User.Original {
		return images.Errorf(images.Invalid, "The new password is the old one: choose another.")
	}
	who := UserRef{ID: r.PathValue("user")}
	var u User
	err := s.guarded(w, r, who.key(), func() (err error) {
		u, err = s.Directory.ChangePassword(r.Context(), who, body.User.Original, body.User.Password)
		return err
	})
	if err != nil {
		if images.KindOf(err) == images.Unauthenticated {
			s.audit(w, r, slog.LevelWarn, "password change refused")
		}
		return err
	}
	now := s.Now()
	if err := s.Revocations.Revoke(r.Context(), Revocation{Subject: UserSubject(u.ID), Before: now, Until: now.Add(MaxTokenLifetime), User: u.ID}); err != nil {
		return err
	}
	s.audit(w, r, slog.LevelInfo, "password changed", "user", u.ID)
	w.WriteHeader(http.StatusNoContent)
	return nil
}
