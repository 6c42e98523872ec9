"""What `openstack` is asked to do: sign-in in every way, and every command for images that applies."""

import time

from client import Client


def drive(host, file, origin):
    c = Client(host, "python-openstackclient", origin.version("python-openstackclient"), origin, "openstack")
    identity(c)
    images(c, file)
    if c.newer(6, 3):
        imports(c, file)
        metadefs(c)
    c.end()
    return c


def identity(c):
    host = c.host
    token = c.json("token issue", "token", "issue").get("id", "none")
    c.run("catalog list", "catalog", "list", want="glance")
    c.run("catalog show", "catalog", "show", "image", want="glance")
    c.run("project list", "project", "list", "-f", "value", want="first")
    c.run("project show", "project", "show", "first", "-f", "value", "-c", "id", want=host.project_id("first"))
    c.run("user show", "user", "show", "first", want="first")
    c.run("role list", "role", "list", "-f", "value", want="member")
    c.run("versions show", "versions", "show", "--service", "image", want="CURRENT")

    way = {"OS_AUTH_URL": host.url + "/v3", "OS_IDENTITY_API_VERSION": "3", "HOME": str(host.dir), "PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}
    scope = {"OS_PROJECT_NAME": "first", "OS_PROJECT_DOMAIN_ID": "default"}
    signed = ["image", "list", "-f", "value"]
    c.run("--os-auth-type v3token", *signed, env={**way, **scope, "OS_AUTH_TYPE": "v3token", "OS_TOKEN": token})

    end = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time.time() + 3600))
    name = c.label + "-ci"
    made = c.json("application credential create", "application", "credential", "create", name, "--role", "reader", "--expiration", end)
    made = {k.lower(): v for k, v in made.items()}
    c.run("application credential list", "application", "credential", "list", "-f", "value", want=name)
    c.run("application credential show", "application", "credential", "show", name, want="reader")
    credential = {**way, "OS_AUTH_TYPE": "v3applicationcredential", "OS_APPLICATION_CREDENTIAL_ID": made.get("id", ""),
                  "OS_APPLICATION_CREDENTIAL_SECRET": made.get("secret", "")}
    c.run("--os-auth-type v3applicationcredential", *signed, env=credential)
    c.run("application credential delete", "application", "credential", "delete", name)
    c.run("application credential delete", *signed, env=credential, refused="401")

    if host.provider:
        c.run("--os-auth-type v3oidcaccesstoken", *signed, env={
            **way, **scope, "OS_AUTH_TYPE": "v3oidcaccesstoken", "OS_IDENTITY_PROVIDER": host.provider.id, "OS_PROTOCOL": "openid",
            "OS_ACCESS_TOKEN": host.provider.token(c.label, "first:member")})
    c.run("token revoke", "token", "revoke", token)
    c.run("token revoke", *signed, env={**way, **scope, "OS_AUTH_TYPE": "v3token", "OS_TOKEN": token}, refused="401")


def images(c, file):
    host, name = c.host, c.label
    made = c.json("image create", "image", "create", "--disk-format", "raw", "--container-format", "bare", "--file", file,
                  "--property", "os_distro=debian", "--tag", "blue", name)
    image = made.get("id", "none")
    c.run("image show", "image", "show", name, "-f", "value", "-c", "status", want="active")
    c.run("image list", "image", "list", "--long", "--tag", "blue", "-f", "value", want=name)
    c.run("image list", "image", "list", "--property", "os_distro=debian", "--sort", "name:asc,created_at:desc", "-f", "value", want=name)
    c.run("image set", "image", "set", image, "--property", "k=v", "--tag", "red", "--min-disk", "2", "--protected", "--shared")
    c.run("image delete", "image", "delete", image, refused="403")
    c.run("image unset", "image", "unset", image, "--property", "k", "--tag", "red")
    out = host.dir / (name + ".out")
    c.run("image save", "image", "save", image, "--file", out)
    c.same("image save", file, out)
    second = host.project_id("second")
    c.run("image add project", "image", "add", "project", image, second)
    c.run("image set --accept", "image", "set", "--accept", image, user="second")
    c.run("image list --shared", "image", "list", "--shared", "-f", "value", user="second", want=image)
    c.run("image member list", "image", "member", "list", image, "-f", "value", want="accepted")
    if c.newer(6, 3):
        c.run("image member get", "image", "member", "get", image, second, "-f", "value", want="accepted")
    c.run("image remove project", "image", "remove", "project", image, second)
    c.run("image set --deactivate", "image", "set", "--deactivate", image)
    c.run("image set --activate", "image", "set", "--activate", image)
    c.run("image set", "image", "set", image, "--unprotected")
    c.run("image delete", "image", "delete", image)


def imports(c, file):
    host, name = c.host, c.label + "-import"
    c.run("image create --import", "image", "create", "--disk-format", "raw", "--container-format", "bare", "--file", file, "--import", name)
    image = c.json("image create", "image", "create", "--disk-format", "raw", "--container-format", "bare", name + "-staged").get("id", "none")
    c.run("image stage", "image", "stage", image, "--file", file)
    c.run("image import", "image", "import", image, "--method", "glance-direct")
    c.run("image task list", "image", "task", "list", user="root", want=image)
    c.until("success", "image task show", "image", "task", "show", image, user="root")
    c.run("image import info", "image", "import", "info", want="glance-direct")
    c.run("image stores list", "image", "stores", "list", want="s3")


def metadefs(c):
    own = c.label + "-own"

    def run(what, *args, want=None, user="root"):
        c.run("image metadef " + what, "image", "metadef", *what.split(), *args, want=want, user=user)

    run("namespace list", "-f", "value", want="Watchdog", user="first")
    run("namespace create", own, "--public")
    run("namespace set", own, "--display-name", "Own")
    run("namespace show", own, want="Own", user="first")
    run("object create", "--namespace", own, "o")
    run("object list", own, want="o")
    run("object show", own, "o", want="o")
    run("object update", own, "o", "--name", "p")
    run("object delete", own, "p")
    run("property create", own, "--name", "p", "--title", "P", "--type", "string", "--schema", "{}")
    run("property list", own, want="p")
    run("property show", own, "p", want="string")
    run("property set", own, "p", "--title", "Q")
    run("property delete", own, "p")
    run("resource type list", "-f", "value", want="OS::Glance::Image", user="first")
    run("resource type association create", own, "OS::Glance::Image")
    run("resource type association list", own, want="OS::Glance::Image")
    run("resource type association delete", own, "OS::Glance::Image")
    run("namespace delete", own)
