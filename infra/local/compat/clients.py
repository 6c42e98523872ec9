"""Drives unmodified OpenStack clients, the newest and Debian's, through a bulliond, or with --aws through the built functions, and holds the table of
docs/compatibility.md to what happened.

    clients.py [--aws] [--update] [client ...]

Every step is one command that must succeed; most also say what must be in the answer. Exit status 1 when one fails, or when the table
says otherwise; --update writes the table. Without names all clients run.
"""

import concurrent.futures
import functools
import json
import os
import pathlib
import subprocess
import sys
import time

import glance_command
import gophercloud
import openstack_command
import table
import terraform
from awslocal import AWSLocal
from bulliond import Bulliond, Source
from client import Client, Origin

NEWEST = Origin("PyPI", sys.executable)
DEBIAN = Origin("Debian", "/usr/bin/python3")


def main():
    began = time.monotonic()
    aws, source = "--aws" in sys.argv, Source()
    file = source.directory / "disk.raw"
    file.write_bytes(os.urandom(3 << 20))
    other = Bulliond("--inspection", "lenient")
    if aws:
        host = AWSLocal(source.address, other=other, Inspection="lenient", ComputeProxy="on")
    else:
        host = Bulliond("--inspection", "lenient", "--compute-proxy", "--import-allow", source.address, other=other)
    host.source = source
    names = [a for a in sys.argv[1:] if not a.startswith("--")] or list(DRIVES)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() + 1) as pool:  # one more than can run, since they wait now and then
        clients = list(pool.map(lambda name: DRIVES[name](host, file), names))
    failed = [f"{c.name} {c.version}: {what}" for c in clients for what in c.failed]
    source.stop()
    host.stop(keep=bool(failed))
    other.stop()
    print("\n".join(f"{c.name} {c.version} ({c.origin.name}): {len(c.done)} kinds of command work" for c in clients))
    print(f"The clients took {time.monotonic() - began:.0f} s.")
    if failed:
        sys.exit(f"These failed: {'; '.join(failed)}. What was written is in {host.dir}.")
    table.hold([c.row() for c in clients], update="--update" in sys.argv and not aws, whole=len(names) == len(DRIVES))


def sdk(host, file, origin):
    c = Client(host, "openstacksdk", origin.version("openstacksdk"), origin)
    r = subprocess.run([origin.python, pathlib.Path(__file__).with_name("sdk.py"), file, host.project_id("second"), c.label, host.source.url + "/disk.raw"],
                       env=host.environment("first"), cwd=host.dir, capture_output=True, text=True, timeout=200)
    if r.returncode != 0:
        c.fails("import openstack", r.stderr)
        return c
    answer = json.loads(r.stdout)
    for what in answer["done"]:
        c.works(what)
    for what, why in answer["failed"].items():
        c.fails(what, why)
    return c


DRIVES = {"gophercloud": gophercloud.drive, "terraform": terraform.drive}
for name, drive in ("openstack", openstack_command.drive), ("glance", glance_command.drive), ("openstacksdk", sdk):
    for origin in NEWEST, DEBIAN:
        DRIVES[f"{name}-{origin.name.lower()}"] = functools.partial(drive, origin=origin)

main()
