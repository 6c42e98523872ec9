"""Runs commands of `openstack` or `glance` in the Python that has them: their own main, with everything imported once and a fork for each command, since
starting and importing are most of what a command costs.

    shell.py openstack|glance

One line of JSON on stdin, {"args", "env", "stdin"}, is one command; one on stdout, {"status", "stdout", "stderr"}, is its end.
"""

import importlib
import json
import os
import pty
import signal
import sys
import tempfile

IMPORTS = {
    "openstack": ["openstackclient.shell", "openstack", "openstack.image.v2._proxy", "openstackclient.image.v2.image", "openstackclient.identity.v3.token",
                  "keystoneauth1.loading", "keystoneclient.v3.client"],
    "glance": ["glanceclient.shell", "glanceclient.v2.client", "glanceclient.v2.shell", "keystoneauth1.identity"],
}
LONGEST = 60  # seconds of a command


def main(command):
    shell, *_ = [importlib.import_module(name) for name in IMPORTS[command]]
    for line in sys.stdin:
        asked = json.loads(line)
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
            child = os.fork()
            if child == 0:
                run(shell.main, command, asked, out, errors)
            _, status = os.waitpid(child, 0)
            answer = {"status": os.waitstatus_to_exitcode(status), "stdout": read(out), "stderr": read(errors)}
        print(json.dumps(answer), flush=True)


def run(main, command, asked, out, errors):
    """Is the command, in a process of its own; does not return."""
    signal.alarm(LONGEST)
    # Without a file stdin is a terminal, as for a person: glance takes whatever else it finds there for an image.
    os.dup2(os.open(asked["stdin"], os.O_RDONLY) if asked["stdin"] else pty.openpty()[1], 0)
    os.dup2(out.fileno(), 1)
    os.dup2(errors.fileno(), 2)
    sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w", buffering=1)
    os.environ.clear()
    os.environ.update(asked["env"])
    sys.argv = [command, *asked["args"]]
    status = 1
    try:
        status = main()
    except SystemExit as e:
        if isinstance(e.code, str):
            print(e.code, file=sys.stderr)
        status = e.code
    except BaseException as e:
        print(f"{type(e).__name__}: {e}", file=sys.stderr)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status if isinstance(status, int) else 0 if status is None else 1)


def read(file):
    file.seek(0)
    return file.read().decode(errors="replace")


main(sys.argv[1])
