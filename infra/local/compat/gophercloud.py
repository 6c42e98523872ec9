"""gophercloud: the subtests of gophercloud_test.go are what works."""

import json
import os
import pathlib
import subprocess

from bulliond import USERS
from client import Client, Origin

ACCOUNTS = {"first": "third", "second": "fourth", "root": "root"}  # it counts images, so that the first two share no project with the other clients


def drive(host, _file):
    here = pathlib.Path(__file__).parent
    version = subprocess.run(["go", "list", "-m", "-f", "{{.Version}}", "github.com/gophercloud/gophercloud/v2"], cwd=here, capture_output=True, text=True, check=True)
    c = Client(None, "gophercloud", version.stdout.strip().removeprefix("v"), Origin("Go", ""))
    accounts = {name: {"user": user, "project": USERS[user][0]} for name, user in ACCOUNTS.items()}
    described = {"url": host.url, "password": host.password, "accounts": accounts, "source": host.source.url, "directory": str(host.source.directory)}
    r = subprocess.run(["go", "test", "-count=1", "-json", "."], cwd=here, env={**os.environ, "BULLION_COMPAT": json.dumps(described)},
                       capture_output=True, text=True, timeout=500)
    output = []
    for line in r.stdout.splitlines():
        event = json.loads(line)
        output.append(event.get("Output", ""))
        _, _, what = event.get("Test", "").partition("/")
        if event["Action"] == "pass" and what:
            c.works(what.replace("_", " "))
        if event["Action"] == "fail" and what:
            c.failed.append(what)
    if r.returncode != 0:
        c.fails("its tests", "".join(output) + r.stderr)
    return c
