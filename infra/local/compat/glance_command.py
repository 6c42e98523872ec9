"""What `glance` is asked to do: every subcommand that applies."""

import json

from client import Client


def drive(host, file, origin):
    c = Client(host, "python-glanceclient", origin.version("python-glanceclient"), origin, "glance")
    images(c, file)
    imports(c, file)
    metadefs(c)
    c.end()
    return c


def images(c, file):
    host, name = c.host, c.label
    image = made(c, "image-create", "image-create", "--name", name, "--disk-format", "raw", "--container-format", "bare", "--file", file,
                 "--property", "a=b", want="active")
    c.run("image-list", "image-list", "--property-filter", "a=b", "--sort-key", "name", "--sort-dir", "asc", want=name)
    c.run("image-show", "image-show", image, want=name)
    c.run("image-update", "image-update", image, "--property", "c=d", "--remove-property", "a", "--visibility", "shared", want="d")
    c.run("image-tag-update", "image-tag-update", image, "t")
    c.run("image-tag-delete", "image-tag-delete", image, "t")
    out = host.dir / (name + ".out")
    c.run("image-download", "image-download", image, "--file", out)
    c.same("image-download", file, out)
    c.run("image-deactivate", "image-deactivate", image)
    c.run("image-reactivate", "image-reactivate", image)
    c.run("explain", "explain", "image", want="disk_format")
    second = host.project_id("second")
    c.run("member-create", "member-create", image, second)
    c.run("member-update", "member-update", image, second, "accepted", user="second", want="accepted")
    c.run("member-get", "member-get", image, second, want="accepted")
    c.run("member-list", "member-list", "--image-id", image, want="accepted")
    c.run("member-delete", "member-delete", image, second)
    c.run("image-delete", "image-delete", image)
    c.run("image-show", "image-show", image, refused="404")


def imports(c, file):
    name = c.label + "-import"
    empty = ["--disk-format", "raw", "--container-format", "bare"]
    image = made(c, "image-create", "image-create", "--name", name + "-uploaded", *empty, want="queued")
    c.run("image-upload", "image-upload", image, "--file", file)
    c.run("image-show", "image-show", image, want="active")
    image = made(c, "image-create", "image-create", "--name", name + "-staged", *empty, want="queued")
    c.run("image-stage", "image-stage", image, "--file", file)
    c.run("image-show", "image-show", image, want="uploading")
    c.run("image-import", "image-import", image, "--import-method", "glance-direct")
    c.until("active", "image-show", "image-show", image)
    c.run("image-tasks", "image-tasks", image, want="success")
    c.run("task-list", "task-list", user="root", want=image)
    c.run("task-show", "task-show", image, user="root", want=image)
    c.run("image-create-via-import", "image-create-via-import", "--name", name, *empty, "--import-method", "glance-direct", stdin=file)
    c.run("image-create-via-import", "image-create-via-import", "--name", name + "-web", *empty, "--import-method", "web-download",
          "--uri", c.host.source.url + "/disk.raw")
    if c.newer(4, 7) and c.host.other:
        what = "image-create-via-import (glance-download)"
        there = made(c, what, "image-create", "--name", name, *empty, "--file", file, env=c.host.other.environment("first"), want="active")
        here = made(c, what, "image-create-via-import", "--name", name + "-remote", *empty, "--import-method", "glance-download", "--remote-region", "RegionTwo",
                    "--remote-image-id", there)
        c.until("active", "image-show", "image-show", here)
        c.run("image-download", "image-download", here, "--file", c.host.dir / (name + ".out"))
        c.same(what, file, c.host.dir / (name + ".out"))
    if c.newer(4, 7):
        image = made(c, "image-create", "image-create", "--name", name + "-located", *empty, want="queued")
        c.run("add-location", "add-location", image, "--url", c.host.source.url + "/disk.raw")
        c.until("active", "image-show", "image-show", image)
    c.run("import-info", "import-info", want="import-methods")
    c.run("stores-info", "stores-info", want="s3")
    c.run("usage", "usage", want="image_count_total")


def metadefs(c):
    own, schema, objects = c.label + "-own", json.dumps({"type": "string"}), json.dumps({"properties": {"q": {"title": "q", "type": "integer"}}})
    c.run("md-namespace-list", "md-namespace-list", want="Watchdog")
    c.run("md-namespace-show", "md-namespace-show", "OS::Compute::Watchdog")
    c.run("md-resource-type-list", "md-resource-type-list", want="OS::Glance::Image")
    asked = {"user": "root"}
    c.run("md-namespace-create", "md-namespace-create", own, "--visibility", "public", **asked)
    c.run("md-namespace-update", "md-namespace-update", own, "--display-name", "Own words", want="Own words", **asked)
    c.run("md-property-create", "md-property-create", own, "--name", "p", "--title", "P", "--schema", schema,
          *(["--type", "string"] if c.newer(4, 2) else []), **asked)
    c.run("md-property-show", "md-property-show", own, "p", want="string")
    c.run("md-property-list", "md-property-list", own, want="P")
    c.run("md-property-update", "md-property-update", own, "p", "--title", "Q", **asked)
    c.run("md-property-delete", "md-property-delete", own, "p", **asked)
    c.run("md-object-create", "md-object-create", own, "--name", "o", "--schema", objects, **asked)
    c.run("md-object-show", "md-object-show", own, "o", want="q")
    c.run("md-object-property-show", "md-object-property-show", own, "o", "q", want="integer")
    c.run("md-object-list", "md-object-list", own, want="o")
    c.run("md-object-update", "md-object-update", own, "o", "--schema", objects, **asked)
    c.run("md-object-delete", "md-object-delete", own, "o", **asked)
    c.run("md-tag-create", "md-tag-create", own, "--name", "t", **asked)
    c.run("md-tag-create-multiple", "md-tag-create-multiple", own, "--names", "u,v", **asked)
    c.run("md-tag-list", "md-tag-list", own, want="v")
    c.run("md-tag-show", "md-tag-show", own, "v", want="v")
    c.run("md-tag-update", "md-tag-update", own, "v", "--name", "w", **asked)
    c.run("md-tag-delete", "md-tag-delete", own, "w", **asked)
    c.run("md-resource-type-associate", "md-resource-type-associate", own, "--name", "OS::Glance::Image", **asked)
    c.run("md-namespace-resource-type-list", "md-namespace-resource-type-list", own, want="OS::Glance::Image")
    c.run("md-resource-type-deassociate", "md-resource-type-deassociate", own, "OS::Glance::Image", **asked)
    for kind in "tags", "properties", "objects":
        c.run(f"md-namespace-{kind}-delete", f"md-namespace-{kind}-delete", own, **asked)
    c.run("md-namespace-delete", "md-namespace-delete", own, **asked)


def made(c, *args, **more):
    """Runs a command that answers with a table of an image, and returns the image's id."""
    rows = (line.split("|") for line in c.run(*args, **more).splitlines() if line.startswith("|"))
    return next((row[2].strip() for row in rows if row[1].strip() == "id"), "none")
