"""Drives OpenStack's own command lines and SDK through a bulliond, and writes the table of docs/compatibility.md; with --aws through the built functions,
where a body must fit into a request.

Every step is one command that must succeed; some also say what must be in the answer. Exit status 1 when one fails.
"""

import hashlib
import importlib.metadata
import json
import os
import pathlib
import subprocess
import sys

import openstack

from awslocal import AWSLocal
from bulliond import ROOT, Bulliond

BIN = pathlib.Path(sys.executable).parent


class Client:
    """One client with what it could do."""

    def __init__(self, host, package, command):
        self.host, self.package, self.command = host, package, command
        self.version = importlib.metadata.version(package)
        self.done, self.failed = [], []

    def run(self, what, *args, user="first", want=None, stdin=None):
        """Runs one command and returns its output. what names it in the table; stdin is a file."""
        source = open(stdin or os.devnull, "rb")
        r = subprocess.run([BIN / self.command, *map(str, args)], env=self.host.environment(user), cwd=self.host.dir,
                           capture_output=True, text=True, timeout=60, stdin=source)
        source.close()
        if r.returncode != 0 or want is not None and want not in r.stdout:
            print(f"FAIL {self.command} {' '.join(map(str, args))}: exit {r.returncode}, wanted {want!r}\n{r.stdout}\n{r.stderr}")
            self.failed.append(what)
        elif what not in self.done:
            self.done.append(what)
        return r.stdout


def main():
    aws = "--aws" in sys.argv
    host = AWSLocal(Inspection="lenient") if aws else Bulliond("--inspection", "lenient")
    file = host.dir / "disk.raw"
    file.write_bytes(os.urandom(3 << 20))
    clients = [osc(host, file), glance(host, file), sdk(host, file)]
    failed = [f"{c.command}: {what}" for c in clients for what in c.failed]
    host.stop(keep=bool(failed))
    if not aws:
        write_table(clients)
    print("\n".join(f"{c.package} {c.version}: {len(c.done)} kinds of command work" for c in clients))
    if failed:
        sys.exit("These failed: " + "; ".join(failed))


def osc(host, file):
    c = Client(host, "python-openstackclient", "openstack")
    c.run("token issue", "token", "issue")
    c.run("catalog list", "catalog", "list", want="image")
    c.run("versions show", "versions", "show", "--service", "image", want="CURRENT")
    c.run("image create", "image", "create", "--disk-format", "raw", "--container-format", "bare", "--file", file,
          "--property", "os_distro=debian", "--tag", "blue", "osc")
    c.run("image create --import", "image", "create", "--disk-format", "raw", "--container-format", "bare", "--file", file, "--import", "osc-import")
    c.run("image show", "image", "show", "osc", "-f", "value", "-c", "status", want="active")
    c.run("image list", "image", "list", "--long", "--tag", "blue", "-f", "value", want="osc")
    c.run("image set", "image", "set", "osc", "--property", "k=v", "--tag", "red", "--min-disk", "2", "--shared")
    c.run("image unset", "image", "unset", "osc", "--property", "k", "--tag", "red")
    c.run("image save", "image", "save", "osc", "--file", host.dir / "osc.out")
    same(c, "image save", file, host.dir / "osc.out")
    second = host.project_id("second")
    c.run("image add project", "image", "add", "project", "osc", second)
    image = c.run("image show", "image", "show", "osc", "-f", "value", "-c", "id").strip()
    c.run("image set --accept", "image", "set", "--accept", image, user="second")
    c.run("image list --shared", "image", "list", "--shared", "-f", "value", user="second", want=image)
    c.run("image member list", "image", "member", "list", "osc", "-f", "value", want="accepted")
    c.run("image remove project", "image", "remove", "project", "osc", second)
    c.run("image set --deactivate", "image", "set", "--deactivate", "osc")
    c.run("image set --activate", "image", "set", "--activate", "osc")
    c.run("image task list", "image", "task", "list", user="root")
    c.run("image metadef namespace list", "image", "metadef", "namespace", "list", "-f", "value", want="Watchdog")
    c.run("image metadef namespace create", "image", "metadef", "namespace", "create", "Own", "--public", user="root")
    c.run("image metadef namespace delete", "image", "metadef", "namespace", "delete", "Own", user="root")
    c.run("image delete", "image", "delete", "osc")
    return c


def glance(host, file):
    c = Client(host, "python-glanceclient", "glance")
    c.run("image-create", "image-create", "--name", "gc", "--disk-format", "raw", "--container-format", "bare", "--file", file, "--property", "a=b", want="active")
    c.run("image-list", "image-list", want="gc")
    rows = c.run("image-list", "image-list").splitlines()
    image = next((r.split("|")[1].strip() for r in rows if "| gc " in r), "none")
    c.run("image-show", "image-show", image, want="gc")
    c.run("image-update", "image-update", image, "--property", "c=d", "--remove-property", "a", want="d")
    c.run("image-tag-update", "image-tag-update", image, "t")
    c.run("image-tag-delete", "image-tag-delete", image, "t")
    c.run("image-download", "image-download", image, "--file", host.dir / "gc.out")
    same(c, "image-download", file, host.dir / "gc.out")
    c.run("image-deactivate", "image-deactivate", image)
    c.run("image-reactivate", "image-reactivate", image)
    second = host.project_id("second")
    c.run("member-create", "member-create", image, second)
    c.run("member-update", "member-update", image, second, "accepted", user="second", want="accepted")
    c.run("member-list", "member-list", "--image-id", image, want="accepted")
    c.run("member-delete", "member-delete", image, second)
    c.run("image-create-via-import", "image-create-via-import", "--name", "gi", "--disk-format", "raw", "--container-format", "bare",
          "--import-method", "glance-direct", stdin=file)
    c.run("import-info", "import-info", want="import-methods")
    c.run("stores-info", "stores-info", want="s3")
    c.run("usage", "usage", want="image_count_total")
    c.run("task-list", "task-list", user="root")
    c.run("md-namespace-list", "md-namespace-list", want="Watchdog")
    c.run("md-namespace-show", "md-namespace-show", "OS::Compute::Watchdog")
    c.run("md-resource-type-list", "md-resource-type-list", want="OS::Glance::Image")
    c.run("image-delete", "image-delete", image)
    return c


def sdk(host, file):
    c = Client(host, "openstacksdk", "openstacksdk")
    env = host.environment("first")
    conn = openstack.connection.Connection(auth_url=env["OS_AUTH_URL"], username=env["OS_USERNAME"], password=env["OS_PASSWORD"],
                                           project_name=env["OS_PROJECT_NAME"], user_domain_id="default", project_domain_id="default")

    def step(what, do):
        try:
            value = do()
            c.done.append(what)
            return value
        except Exception as e:  # every failure is a finding
            print(f"FAIL openstacksdk {what}: {e}")
            c.failed.append(what)
            return None

    image = step("create_image", lambda: conn.create_image("sdk", filename=str(file), disk_format="raw", container_format="bare", wait=True))
    if image is None:
        return c
    step("download_image", lambda: conn.image.download_image(image.id, output=str(host.dir / "sdk.out")))
    same(c, "download_image", file, host.dir / "sdk.out")
    step("update_image", lambda: conn.image.update_image(image.id, name="sdk2"))
    step("images", lambda: next(i for i in conn.image.images() if i.name == "sdk2"))
    step("add_member", lambda: conn.image.add_member(image.id, member_id=host.project_id("second")))
    step("create_image (use_import)", lambda: conn.image.create_image("sdk3", filename=str(file), disk_format="raw", container_format="bare", use_import=True))
    step("stores", lambda: list(conn.image.stores()))
    step("delete_image", lambda: conn.image.delete_image(image.id))
    return c


def same(client, what, a, b):
    digest = lambda p: hashlib.sha512(p.read_bytes()).hexdigest() if p.exists() else None
    if digest(a) != digest(b):
        print(f"FAIL {client.command} {what}: the bytes are not those that were uploaded")
        client.failed.append(what)


def write_table(clients):
    page = ROOT / "docs" / "compatibility.md"
    head = page.read_text().split("<!-- table -->")[0] if page.exists() else "# Clients\n\n"
    lines = ["| client | version | works |", "|---|---|---|"]
    lines += [f"| {c.package} | {c.version} | {', '.join(f'`{d}`' for d in c.done if d not in c.failed)} |" for c in clients]
    page.write_text(head + "<!-- table -->\n" + "\n".join(lines) + "\n")


main()
