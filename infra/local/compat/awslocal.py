"""The built functions as on AWS, with the same users as the bulliond of these tests."""

import json
import pathlib
import shutil
import signal
import subprocess
import tempfile

from bulliond import ROOT, USERS, Host, free_port


class AWSLocal(Host):
    """A running awslocal: url is that of its API. parameters are those of template.yaml."""

    def __init__(self, **parameters):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="bullion-compat-"))
        self.log = open(self.dir / "awslocal.log", "wb")
        binary = self.dir / "awslocal"
        subprocess.run(["go", "build", "-o", binary, "./harness/awslocal"], cwd=ROOT / "infra/local", check=True)
        command = [binary, "-root", ROOT, "-dir", self.dir / "aws", "-listen", f"127.0.0.1:{free_port()}", "-s3-listen", f"127.0.0.1:{free_port()}"]
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
        self.url = described["url"]
        self.password = described["users"][0]["password"]
        self.projects = {u["project"]: u["project_id"] for u in described["users"]}

    def project_id(self, name):
        return self.projects[name]

    def stop(self, keep=False):
        self.process.send_signal(signal.SIGINT)
        self.process.wait(60)
        self.process.stdout.close()
        self.log.close()
        if not keep:
            shutil.rmtree(self.dir)
