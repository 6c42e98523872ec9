package policy

import "bullion/internal/images"

// Policy is what the domain asks.
var _ images.Policy = (*Policy)(nil)

// The phrases that the defaults are made of. Source: glance/policies/base.py.
const (
	admin         = "rule:context_is_admin"
	memberOfOwner = admin + " or (role:member and project_id:%(project_id)s)"
	readerOfOwner = admin + " or (role:reader and project_id:%(project_id)s)"
	anyVisible    = "(project_id:%(project_id)s or project_id:%(member_id)s or 'community':%(visibility)s or 'public':%(visibility)s or 'shared':%(visibility)s)"
	readerVisible = admin + " or (role:reader and " + anyVisible + ")"
	memberVisible = admin + " or (role:member and " + anyVisible + ")"
	creator       = admin + " or (role:member and project_id:%(project_id)s and project_id:%(owner)s)"
	sharedMember  = admin + " or (role:member and project_id:%(member_id)s)"
	ownerOrShared = admin + " or (role:reader and (project_id:%(project_id)s or project_id:%(member_id)s))"
	namespace     = admin + " or (role:reader and (project_id:%(project_id)s or 'public':%(visibility)s))"
	metadefAdmin  = "rule:metadef_admin"
)

// A definition is one rule that the service knows. adminOnly replaces check in the preset of that name.
type definition struct {
	name, check, adminOnly, about string
}

// definitions are all rules, in the order in which they are shown. Source: glance/policies/*.py.
var definitions = []definition{
	{"default", "", "", "for rules that refer to it"},
	{"context_is_admin", "role:admin", "", "who is an administrator: sees every image, whoever owns it"},
	{"service_api", "role:service or role:admin", "", "who is another service of the cloud"},

	{"add_image", creator, admin, "create an image"},
	{"get_image", readerVisible, "", "show an image"},
	{"get_images", readerOfOwner, "", "list images"},
	{"modify_image", memberOfOwner, admin, "change attributes, properties and tags"},
	{"delete_image", memberOfOwner, admin, "delete an image"},
	{"upload_image", memberOfOwner, admin, "give an image its bytes, by upload or import"},
	{"download_image", memberVisible, readerVisible, "download an image"},
	{"publicize_image", admin, "", "make an image public"},
	{"communitize_image", memberOfOwner, admin, "make an image visible to those who know its id"},
	{"deactivate", memberOfOwner, admin, "stop downloads of an image"},
	{"reactivate", memberOfOwner, admin, "allow downloads again"},
	{"copy_image", admin, "", "copy the bytes to another store"},

	{"add_member", memberOfOwner, admin, "share an image with a project"},
	{"delete_member", memberOfOwner, admin, "end a share"},
	{"get_member", ownerOrShared, "", "show a share"},
	{"get_members", ownerOrShared, "", "list the shares of an image"},
	{"modify_member", sharedMember, "", "accept or reject an image that is shared with one's project"},

	{"get_image_location", readerOfOwner, "", "see where the bytes are"},
	{"set_image_location", memberOfOwner, admin, "say where the bytes are"},
	{"delete_image_location", admin, "", "forget where the bytes are"},
	{"add_image_location", "rule:service_api or (role:member and project_id:%(project_id)s and project_id:%(owner)s)", "rule:service_api", "say where the bytes are, new API"},
	{"fetch_image_location", "rule:service_api", "", "see where the bytes are, new API"},
	{"download_from_store", memberVisible, readerVisible, "download from a store of one's choice"},

	{"manage_image_cache", admin, "", "all of the cache"},
	{"cache_image", admin, "", "put an image into the cache"},
	{"cache_list", admin, "", "see what is in the cache"},
	{"cache_delete", admin, "", "remove from the cache"},
	{"cache_clean", admin, "", "clean the cache"},
	{"cache_prune", admin, "", "shrink the cache"},
	{"list_cached_nodes", admin, "", "see which nodes have an image cached"},
	{"stores_info_detail", admin + " or rule:service_api", "", "see how stores are set up"},

	{"tasks_api_access", admin, "", "reach the tasks API at all"},
	{"get_task", "rule:default", "", "show a task"},
	{"get_tasks", "rule:default", "", "list tasks"},
	{"add_task", "rule:default", "", "create a task"},
	{"modify_task", "rule:default", "", "change a task"},

	{"metadef_default", "", "", "for rules that refer to it"},
	{"metadef_admin", admin, "", "who manages metadata definitions"},
	{"get_metadef_namespace", namespace, "", "show a namespace of metadata definitions"},
	{"get_metadef_namespaces", readerOfOwner, "", "list namespaces"},
	{"modify_metadef_namespace", metadefAdmin, "", "change a namespace"},
	{"add_metadef_namespace", metadefAdmin, "", "create a namespace"},
	{"delete_metadef_namespace", metadefAdmin, "", "delete a namespace"},
	{"get_metadef_object", namespace, "", "show an object"},
	{"get_metadef_objects", namespace, "", "list objects"},
	{"modify_metadef_object", metadefAdmin, "", "change an object"},
	{"add_metadef_object", metadefAdmin, "", "create an object"},
	{"delete_metadef_object", metadefAdmin, "", "delete an object"},
	{"list_metadef_resource_types", namespace, "", "list resource types"},
	{"get_metadef_resource_type", namespace, "", "show the resource types of a namespace"},
	{"add_metadef_resource_type_association", metadefAdmin, "", "tie a resource type to a namespace"},
	{"remove_metadef_resource_type_association", metadefAdmin, "", "untie a resource type"},
	{"get_metadef_property", namespace, "", "show a property"},
	{"get_metadef_properties", namespace, "", "list properties"},
	{"modify_metadef_property", metadefAdmin, "", "change a property"},
	{"add_metadef_property", metadefAdmin, "", "create a property"},
	{"remove_metadef_property", metadefAdmin, "", "delete a property"},
	{"get_metadef_tag", namespace, "", "show a tag"},
	{"get_metadef_tags", namespace, "", "list tags"},
	{"modify_metadef_tag", metadefAdmin, "", "change a tag"},
	{"add_metadef_tag", metadefAdmin, "", "create a tag"},
	{"add_metadef_tags", metadefAdmin, "", "create tags"},
	{"delete_metadef_tag", metadefAdmin, "", "delete a tag"},
	{"delete_metadef_tags", metadefAdmin, "", "delete tags"},
}

// AdminOnly is the preset in which only administrators upload and manage; everyone who may see an
// image may download it.
const AdminOnly = "admin-only"

// Presets names the ready-made choices that a document may begin with.
var Presets = []string{AdminOnly}
