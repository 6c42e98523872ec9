"""A bulliond with temporary data on free ports, with projects and users for the clients."""

import contextlib
import functools
import http.server
import json
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import urllib.request

from provider import IdentityProvider

ROOT = pathlib.Path(__file__).resolve().parents[3]

# name: (project, roles). Tempest wants accounts in different projects, and one of them to administer.
USERS = {
    "first": ("first", ["member"]),
    "second": ("second", ["member"]),
    "third": ("third", ["member"]),
    "fourth": ("fourth", ["member"]),
    "watcher": ("first", ["reader"]),
    "root": ("operators", ["admin"]),
}
PASSWORD = "correct horse battery"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Source:
    """A server of the files in a directory of its own, for hosts that may import from its address."""

    def __init__(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="bullion-compat-source-"))
        self.server = QuietServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(self.directory)))
        self.address = f"127.0.0.1:{self.server.server_address[1]}"
        self.url = "http://" + self.address
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
        shutil.rmtree(self.directory)


class QuietServer(http.server.ThreadingHTTPServer):
    def handle_error(self, *_):
        pass  # an importer hangs up on an answer when it has seen enough of it


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


class Host:
    """A running Bullion: url is that of its API, ports those of its API and its S3, dir a folder for what clients need, password that of every user, provider an
    OpenID Connect provider that it trusts, if there is one, other a Bullion from which it imports images as from the region RegionTwo, auth_url a Keystone that is
    not its own."""

    provider, other, auth_url = None, None, None

    def _regions(self, itself, other):
        """Lists the Images APIs from which it imports: with itself its own, as of the region RegionOne, with other that of another Bulliond, as of RegionTwo.
        Returns the file with the list, or None for none, and the addresses from which it must be let import then."""
        self.other = other
        regions = {name: host for name, host in {"RegionOne": itself and self, "RegionTwo": other}.items() if host}
        if not regions:
            return None, []
        file = self.dir / "regions.json"
        file.write_text(json.dumps([
            {"region": name, "image_url": host.url, "auth_url": host.url + "/v3", "username": "root", "password": host.password, "project": "operators"}
            for name, host in regions.items()]))
        return file, [f"127.0.0.1:{port}" for host in regions.values() for port in host.ports]

    def environment(self, user):
        """What OpenStack's clients read to sign in as the user."""
        return {
            **{k: v for k, v in os.environ.items() if not k.startswith("OS_")},
            "HOME": str(self.dir),
            "OS_AUTH_URL": self.auth_url or self.url + "/v3",
            "OS_USERNAME": user,
            "OS_PASSWORD": self.password,
            "OS_PROJECT_NAME": USERS[user][0],
            "OS_USER_DOMAIN_ID": "default",
            "OS_PROJECT_DOMAIN_ID": "default",
            "OS_IDENTITY_API_VERSION": "3",
            "OS_IMAGE_API_VERSION": "2",
        }

    def _wait(self):
        """Waits until the bulliond of this host answers."""
        for _ in range(300):
            with contextlib.suppress(OSError):
                urllib.request.urlopen(self.url + "/healthcheck", timeout=5).read()
                return
            if self.process.poll() is not None:
                break
            time.sleep(0.1)
        raise SystemExit("bulliond did not start:\n" + (self.dir / "bulliond.log").read_text())


class Bulliond(Host):
    """A running bulliond, with something before it that holds every exchange against the OpenAPI document."""

    password = PASSWORD

    def __init__(self, *flags, itself=False, other=None):
        """flags are bulliond's, itself and other as for _regions."""
        self.binary = ROOT / "bin" / "bulliond"
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="bullion-compat-"))
        self.data = self.dir / "data"
        self.data.mkdir(mode=0o700)
        self.log = open(self.dir / "bulliond.log", "wb")
        own, s3, public = free_port(), free_port(), free_port()
        self.url = f"http://127.0.0.1:{public}"
        for project in sorted({p for p, _ in USERS.values()}):
            self._manage("project", "add", project)
        for name, (project, roles) in USERS.items():
            self._manage("user", "add", name, "--project", project, "--role", roles[0], stdin=PASSWORD + "\n")
        self.ports = public, s3
        regions, sources = self._regions(itself, other)
        if regions:
            flags += ("--regions", regions, *(f"--import-allow={address}" for address in sources))
        self.provider = IdentityProvider()
        (self.dir / "providers.json").write_text(json.dumps([self.provider.entry()]))
        self.process = subprocess.Popen(
            [self.binary, "--data", self.data, "--listen", f"127.0.0.1:{own}", "--s3-listen", f"127.0.0.1:{s3}",
             "--public-url", self.url, "--providers", self.dir / "providers.json", *flags],
            stdout=self.log, stderr=subprocess.STDOUT)
        self.contract = subprocess.Popen(
            [ROOT / "bin" / "contract", "-document", ROOT / "internal/api/openapi.yaml", "-listen", f"127.0.0.1:{public}",
             "-to", f"http://127.0.0.1:{own}"], stdout=subprocess.PIPE, text=True)
        self._wait()

    def grant(self, user, project, role):
        self._manage("user", "grant", user, project, role)

    def _manage(self, *args, stdin=""):
        subprocess.run([self.binary, "--data", self.data, *args], input=stdin, text=True, check=True, capture_output=True)

    def project_id(self, name):
        return next(p["id"] for p in json.loads((self.data / "users.json").read_text())["projects"] if p["name"] == name)

    def stop(self, keep=False):
        """Stops it, and the program with it when an exchange was not as the OpenAPI document says."""
        self.contract.terminate()
        print(self.contract.communicate(timeout=30)[0])
        self.process.terminate()
        self.process.wait(30)
        self.provider.stop()
        self.log.close()
        if not keep:
            shutil.rmtree(self.dir)
        if self.contract.returncode:
            raise SystemExit("Mend internal/api/openapi.yaml or the answers.")
