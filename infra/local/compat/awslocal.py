"""The built functions as on AWS, with the same users as the bulliond of these tests."""

import json
import pathlib
import shutil
import signal
import subprocess
import tempfile

from bulliond import ROOT, USERS, Host, free_port
from provider import IdentityProvider

BINARY, FUNCTIONS = ROOT / "bin" / "awslocal", ROOT / "build" / "here"  # .ci/compat builds them


class AWSLocal(Host):
    """A running awslocal."""

    password = "Correct-horse-7"  # harness.Password

    def __init__(self, *sources, itself=False, other=None, **parameters):
        """sources are addresses from which it may import, parameters those of template.yaml, itself and other as for _regions."""
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="bullion-compat-"))
        self.log = open(self.dir / "awslocal.log", "wb")
        self.provider = IdentityProvider()
        parameters["Providers"] = json.dumps([self.provider.entry()])
        self.ports = free_port(), free_port()
        api, s3 = (f"127.0.0.1:{port}" for port in self.ports)
        self.url = "http://" + api
        command = [BINARY, "-root", ROOT, "-functions", FUNCTIONS, "-dir", self.dir / "aws", "-listen", api, "-s3-listen", s3]
        regions, more = self._regions(itself, other)
        if regions:
            command += ["-regions", regions]
        parameters["ImportAllow"] = ",".join([*sources, *more])
        for name, (project, roles) in USERS.items():
            command += ["-user", f"{name}={project}:{roles[0]}"]
        for name, value in parameters.items():
            command += ["-parameter", f"{name}={value}"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.log, text=True)
        for line in self.process.stdout:
            if line.startswith("Bullion is ready"):
                break
        else:
            raise SystemExit("awslocal did not start:\n" + (self.dir / "awslocal.log").read_text())
        described = json.loads((self.dir / "aws/deployment.json").read_text())
        self.projects = {u["project"]: u["project_id"] for u in described["users"]}

    def project_id(self, name):
        return self.projects[name]

    def stop(self, keep=False):
        self.process.send_signal(signal.SIGINT)
        self.process.wait(60)
        self.process.stdout.close()
        self.provider.stop()
        self.log.close()
        if not keep:
            shutil.rmtree(self.dir)
