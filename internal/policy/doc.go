// Package policy says who may do what. Its rules have the names of Glance's policy file, and by default
// the texts of Glance's new defaults: administrators may do everything, members of a project
// read, write and download its images, readers only see. An operator changes single rules, or
// takes a preset, in one YAML or JSON document:
//
//	preset: admin-only                 # optional
//	download_image: "role:reader"      # any rule of `bullion policy show`
//	add_image: "rule:builders"
//	builders: "role:admin or (role:member and project_id:5f0c9d2a…)"   # a rule of one's own
//
// The texts are a subset of oslo.policy's language:
//
//	role:member                    the caller has the role; admin includes member, member includes reader
//	project_id:%(project_id)s      the caller's project is the image's owner (user_id and project_id, against owner,
//	                               project_id, member_id, visibility, status, protected or id of the image, or a plain text)
//	'public':%(visibility)s        the image has that visibility
//	rule:context_is_admin          another rule
//	@  !  and an empty text        always, never, always
//	not, and, or, ( )              in this order of strength
//
// Where there is no image yet (add_image, get_images), owner and project_id are the caller's project. A value that is empty
// equals nothing. A rule that is not known allows nobody.
//
// What a caller may not see at all is decided before any rule is asked (images.Visible): it is not
// found. Whoever context_is_admin holds for sees every image of every project.
package policy
