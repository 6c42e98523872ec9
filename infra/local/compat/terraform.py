"""OpenStack's provider for Terraform and OpenTofu: images from a file and from an address, found, shared, accepted, changed and destroyed, with an empty plan after
each step; signed in by password, application credential and token.

.ci/compat builds the provider; BULLION_TERRAFORM is the directory that has it, with the file of the plugin protocol.
"""

import contextlib
import json
import os
import pathlib
import tempfile
import urllib.request

import grpc

import plugin
from client import Client, Origin, digest_of

IMAGE = "openstack_images_image_v2"


def drive(host, file):
    programs = pathlib.Path(os.environ["BULLION_TERRAFORM"])
    c = Client(host, "terraform-provider-openstack", (programs / "version").read_text().strip(), Origin("Go", ""))
    with tempfile.TemporaryDirectory() as made, contextlib.ExitStack() as running:
        modules = plugin.protocol(programs / "tfplugin5.proto", made)

        def provider(env):
            p = plugin.Provider(programs / "terraform-provider-openstack", modules, {**env, "OS_REGION_NAME": "RegionOne"})
            running.callback(p.stop)
            return p

        try:
            everything(c, host, file, provider)
        except (plugin.Refused, grpc.RpcError) as e:
            c.fails("a resource that others need", str(e))
    return c


def everything(c, host, file, provider):
    def step(what, do):
        """Does one thing, and returns what it returned."""
        try:
            got = do()
        except (plugin.Refused, grpc.RpcError) as e:
            c.fails(what, str(e))
            raise
        c.works(what)
        return got

    def must(what, got, want):
        if got != want:
            c.fails(what, f"got {got}, want {want}")

    first, second = (step("password", lambda user=user: provider(host.environment(user))) for user in ("first", "second"))
    common = {"disk_format": "raw", "container_format": "bare"}
    given = {**common, "name": "terraform", "local_file_path": str(file), "visibility": "shared", "min_disk_gb": 1, "min_ram_mb": 64, "tags": ["blue"],
             "properties": {"os_distro": "debian"}}
    image = plugin.Resource(first, IMAGE)
    step(f"{IMAGE} (local_file_path)", lambda: image.apply(given))
    must(IMAGE, (image.state["status"], image.state["checksum"], image.state["size_bytes"]), ("active", digest_of(file, "md5"), file.stat().st_size))
    web = {**common, "name": "terraform-web", "image_source_url": host.source.url + "/disk.raw", "web_download": True, "visibility": "private"}
    fetched = plugin.Resource(first, IMAGE)
    step(f"{IMAGE} (web_download)", lambda: fetched.apply(web))
    must(IMAGE, fetched.state["checksum"], image.state["checksum"])

    found = step(f"data {IMAGE}", lambda: first.read(IMAGE, name="terraform", visibility="shared", most_recent=True))
    must(f"data {IMAGE}", found["id"], image.state["id"])
    ids = "openstack_images_image_ids_v2"
    found = step(f"data {ids}", lambda: first.read(ids, name_regex="^terraform$", sort="name:asc,created_at:desc"))
    must(f"data {ids}", found["ids"], [image.state["id"]])

    access = plugin.Resource(first, "openstack_images_image_access_v2")
    step(access.kind, lambda: access.apply({"image_id": image.state["id"], "member_id": host.project_id("second")}))
    accepted = plugin.Resource(second, "openstack_images_image_access_accept_v2")
    step(accepted.kind, lambda: accepted.apply({"image_id": image.state["id"], "status": "accepted"}))

    changed = {**given, "name": "renamed", "tags": ["red", "green"], "properties": {"os_distro": "ubuntu", "hw_disk_bus": "virtio"}, "min_disk_gb": 2,
               "protected": True}
    planned = set(image.plan(changed)[2])
    must(f"change of {IMAGE}", planned & set(changed), {"min_disk_gb", "name", "properties", "protected", "tags"})
    step(f"change of {IMAGE}", lambda: image.apply(changed))
    must(f"change of {IMAGE}", (image.state["name"], sorted(image.state["tags"])), ("renamed", ["green", "red"]))
    step(f"change of {IMAGE}", lambda: image.apply({**changed, "protected": False}))
    step(f"change of {IMAGE}", lambda: fetched.apply({**web, "visibility": "community", "hidden": True}))

    scope = "openstack_identity_auth_scope_v3"
    me = step(f"data {scope}", lambda: first.read(scope, name="me"))
    must(f"data {scope}", (me["project_id"], me["user_name"]), (host.project_id("first"), "first"))
    credential = plugin.Resource(first, "openstack_identity_application_credential_v3")
    step(credential.kind, lambda: credential.apply({"name": "terraform-ci", "roles": ["member"]}))

    way = {k: v for k, v in host.environment("first").items() if not k.startswith("OS_")} | {"OS_AUTH_URL": host.url + "/v3"}
    for how, env in {"application credential": {"OS_APPLICATION_CREDENTIAL_ID": credential.state["id"],
                                                "OS_APPLICATION_CREDENTIAL_SECRET": credential.state["secret"]},
                     "token": {"OS_TOKEN": token(host), "OS_PROJECT_ID": host.project_id("first")}}.items():
        signed = step(how, lambda env=env: provider({**way, **env}))
        step(how, lambda signed=signed: signed.read(IMAGE, name="renamed", most_recent=True))

    for made in credential, accepted, access, fetched, image:
        step("destroy", lambda made=made: made.apply(None))
    try:
        first.read(IMAGE, name="renamed", most_recent=True)
        c.fails("destroy", "the image is still found")
    except plugin.Refused:
        pass


def token(host):
    """A token of first."""
    env = host.environment("first")
    user = {"name": "first", "domain": {"id": "default"}, "password": env["OS_PASSWORD"]}
    body = {"auth": {"identity": {"methods": ["password"], "password": {"user": user}}, "scope": {"project": {"id": host.project_id("first")}}}}
    asked = urllib.request.Request(host.url + "/v3/auth/tokens", json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(asked, timeout=30) as answer:
        return answer.headers["X-Subject-Token"]
