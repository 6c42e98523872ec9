"""Uses Horizon, OpenStack's dashboard in Debian's version, in a real Chromium with a bulliond as its Keystone and its Glance: once where Horizon passes the
bytes of images on (its upload mode legacy), once where the browser sends them to Bullion (direct). With --keystone bulliond is its Glance alone, and the Keystone
is a real one.

    horizon.py [--keystone] [legacy | direct]

It needs the Debian packages openstack-dashboard and chromium, Node, and web/node_modules (npm ci). Exit status 1 when a step fails; a picture of the page then
tells more.
"""

import contextlib
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time
import urllib.request

from bulliond import ROOT, Bulliond, free_port
from vouched import Vouched

HERE = pathlib.Path(__file__).parent
MANAGE = pathlib.Path("/usr/share/openstack-dashboard/manage.py")
LONGEST = 600  # seconds that the steps of one mode may take


def main():
    if not MANAGE.exists():
        sys.exit("Horizon is not installed. Run: apt-get install --no-install-recommends openstack-dashboard")
    modes = {mode: free_port() for mode in [a for a in sys.argv[1:] if a != "--keystone"] or ["legacy", "direct"]}
    kind = Vouched if "--keystone" in sys.argv else Bulliond
    host = kind("--inspection", "lenient", *(f"--origin=http://127.0.0.1:{port}" for port in modes.values()))
    host.grant("root", "first", "admin")  # so that there is a project to choose
    host.grant("first", "second", "member")
    file = host.dir / "disk.raw"
    file.write_bytes(os.urandom(3 << 20))
    failed = [mode for mode, port in modes.items() if not works(host, mode, port, file)]
    host.stop(keep=bool(failed))
    if failed:
        sys.exit(f"These modes failed: {', '.join(failed)}. What was written is in {host.dir}.")


def works(host, mode, port, file):
    """Starts a Horizon, has it used, and says whether every step went well."""
    settings = host.dir / "settings"  # alone there: Python must find Horizon's own package horizon, not this file
    settings.mkdir(exist_ok=True)
    shutil.copy(HERE / "horizon_settings.py", settings)
    env = {**host.environment("first"), "DJANGO_SETTINGS_MODULE": "horizon_settings", "PYTHONPATH": str(settings), "HORIZON_UPLOAD_MODE": mode}
    base = f"http://127.0.0.1:{port}"
    with open(host.dir / f"horizon-{mode}.log", "wb") as log:
        horizon = subprocess.Popen(["/usr/bin/python3", MANAGE, "runserver", "--insecure", "--noreload", f"127.0.0.1:{port}"], cwd=host.dir, env=env,
                                   stdout=log, stderr=subprocess.STDOUT)
        try:
            if not ready(horizon, base):
                print(f"Horizon did not start: {log.name}")
                return False
            told = {"base": base, "mode": mode, "password": host.password, "file": str(file), "md5": hashlib.md5(file.read_bytes()).hexdigest(),
                    "pictures": str(host.dir), "browser": str(ROOT / "web")}
            return subprocess.run(["node", HERE / "horizon.mjs", json.dumps(told)], timeout=LONGEST).returncode == 0
        finally:
            horizon.terminate()
            horizon.wait(30)


def ready(horizon, base):
    for _ in range(1500):
        with contextlib.suppress(OSError):
            urllib.request.urlopen(base + "/auth/login/", timeout=60).read()
            return True
        if horizon.poll() is not None:
            return False
        time.sleep(0.2)
    return False


main()
