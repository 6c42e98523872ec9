"""A bulliond in an OpenStack that is there already: a real Keystone, Debian's, has the users and the catalogue, and vouches for callers."""

import json
import os
import pathlib
import shutil
import subprocess
import tempfile

import openstack

from bulliond import PASSWORD, ROOT, USERS, Host, free_port


class Vouched(Host):
    """A running bulliond and its Keystone, with the same users as the bulliond of these tests. flags are bulliond's."""

    password = PASSWORD

    def __init__(self, *flags):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="bullion-compat-"))
        self.log = open(self.dir / "bulliond.log", "wb")
        api, s3 = free_port(), free_port()
        self.url = f"http://127.0.0.1:{api}"
        program = self.dir / "keystone"
        subprocess.run(["go", "build", "-o", program, "./compat/keystone"], cwd=ROOT / "infra/local", check=True)
        (self.dir / "keystone-data").mkdir()
        self.keystone = subprocess.Popen([program, self.dir / "keystone-data"], stdout=subprocess.PIPE, stderr=self.log, text=True)
        told = json.loads(self.keystone.stdout.readline())
        self.auth_url = told["url"] + "/v3"
        identity = openstack.connect(auth_url=self.auth_url, username="admin", password=told["password"], project_name="admin", user_domain_id="default",
                                     project_domain_id="default", region_name="RegionOne").identity
        self.identity, self.projects = identity, {}
        for name, (project, roles) in {**USERS, "glance": ("service", ["admin"])}.items():
            if project not in self.projects:
                self.projects[project] = identity.create_project(name=project, domain_id="default")
            identity.create_user(name=name, password=PASSWORD, domain_id="default")
            self.grant(name, project, roles[0])
        service = identity.create_service(name="glance", type="image")
        identity.create_endpoint(service_id=service.id, interface="public", region_id="RegionOne", url=self.url)
        self.process = subprocess.Popen(
            [ROOT / "bin" / "bulliond", "--data", self.dir / "data", "--listen", f"127.0.0.1:{api}", "--s3-listen", f"127.0.0.1:{s3}", "--public-url", self.url,
             "--keystone", self.auth_url, *flags],
            env={**os.environ, "BULLION_KEYSTONE_USERNAME": "glance", "BULLION_KEYSTONE_PASSWORD": PASSWORD, "BULLION_KEYSTONE_PROJECT": "service"},
            stdout=self.log, stderr=subprocess.STDOUT)
        self._wait()

    def grant(self, user, project, role):
        found = {"user": self.identity.find_user(user), "project": self.projects[project], "role": self.identity.find_role(role)}
        self.identity.assign_project_role_to_user(**found)

    def stop(self, keep=False):
        for process in self.process, self.keystone:
            process.terminate()
            process.wait(30)
        self.log.close()
        if not keep:
            shutil.rmtree(self.dir)
