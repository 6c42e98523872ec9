"""Sends a bulliond what Schemathesis makes of the OpenAPI document: requests that it allows, requests that it does not, and sequences of them.

Nothing may be answered with 500 and above, and every answer must be one that the document names. Twice: with ids that are generated, and with those of an
image, a member, an upload, a task and definitions that exist. Exit status 1 when something is found.

generated.py [EXAMPLES] makes that many requests an operation; 15 without it.
"""

import json
import pathlib
import subprocess
import sys
import urllib.request

from bulliond import PASSWORD, ROOT, USERS, Bulliond

EXAMPLES = sys.argv[1] if len(sys.argv) > 1 else "15"
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,response_schema_conformance"
LEFT_OUT = ["revokeToken"]  # a token of a header that is generated; the session's own is not to end
HOOKS = """
import schemathesis
schemathesis.serializer.alias([f"application/openstack-images-v2.{n}-json-patch" for n in (0, 1)], "application/json")
"""


class Session:
    """Who calls: an administrator."""

    def __init__(self, host, user):
        self.url = host.url
        project = USERS[user][0]
        who = {"name": user, "domain": {"id": "default"}, "password": PASSWORD}
        scope = {"project": {"name": project, "domain": {"id": "default"}}}
        self.token = None
        answer = self._send("POST", "/v3/auth/tokens", {"auth": {"identity": {"methods": ["password"], "password": {"user": who}}, "scope": scope}})
        self.token = answer.headers["X-Subject-Token"]

    def _send(self, method, path, body, media="application/json"):
        headers = {"Content-Type": media, **({"X-Auth-Token": self.token} if self.token else {})}
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return urllib.request.urlopen(urllib.request.Request(self.url + path, data, headers, method=method), timeout=30)

    def send(self, method, path, body, media="application/json"):
        text = self._send(method, path, body, media).read()
        return json.loads(text) if text else None


def fixture(session, other):
    """Makes one of everything that has an id, and says which id goes with which parameter of a path."""
    image = session.send("POST", "/v2/images", {"name": "fixture", "disk_format": "raw", "container_format": "bare", "visibility": "shared", "protected": True})["id"]
    session.send("POST", f"/v2/images/{image}/members", {"member": other})
    session.send("PUT", f"/v2/images/{image}/tags/blue", b"")
    upload = session.send("POST", f"/v2/images/{image}/uploads", {"size": 1 << 20})["id"]
    namespace = {"namespace": "Fixture", "visibility": "public", "protected": True, "resource_type_associations": [{"name": "OS::Glance::Image"}],
                 "properties": {"name": {"title": "a", "type": "string"}}, "objects": [{"name": "name"}], "tags": [{"name": "name"}]}
    session.send("POST", "/v2/metadefs/namespaces", namespace)
    return {"id": image, "member": other, "tag": "blue", "upload": upload, "namespace": "Fixture"}


def run(host, session, seed, parameters):
    config = host.dir / f"schemathesis-{seed}.toml"
    hooks = host.dir / "hooks.py"
    hooks.write_text(HOOKS)
    lines = [f'hooks = "{hooks}"', "[parameters]"] + [f'"path.{name}" = "{value}"' for name, value in parameters.items()]
    config.write_text("\n".join(lines) + "\n")
    left_out = [arg for operation in LEFT_OUT for arg in ("--exclude-operation-id", operation)]
    return subprocess.run(
        [pathlib.Path(sys.executable).parent / "schemathesis", "--config-file", config, "run", ROOT / "internal/api/openapi.yaml",
         "--url", host.url, "--header", f"X-Auth-Token: {session.token}", "--checks", CHECKS, "--max-examples", EXAMPLES, "--seed", str(seed),
         "--phases", "coverage,fuzzing", "--no-color", "--warnings", "off", "--continue-on-failure", *left_out],
        cwd=host.dir, timeout=900).returncode


def main():
    host = Bulliond("--inspection", "lenient", "--boot", "off", "--compute-proxy")
    session = Session(host, "root")
    failed = run(host, session, 1, {})
    failed = run(host, session, 2, fixture(session, host.project_id("second"))) or failed
    host.stop(keep=bool(failed))
    if failed:
        sys.exit(f"What was written is in {host.dir}.")


main()
