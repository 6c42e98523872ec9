"""One client as the table of docs/compatibility.md shows it: where it comes from, its version, what it could do."""

import contextlib
import hashlib
import json
import pathlib
import subprocess
import time


class Origin:
    """Where clients come from, and the Python that has them."""

    def __init__(self, name, python):
        self.name, self.python = name, pathlib.Path(python)

    def version(self, package):
        code = "import importlib.metadata as m, sys; print(m.version(sys.argv[1]))"
        return subprocess.run([self.python, "-c", code, package], capture_output=True, text=True, check=True).stdout.strip()


class Client:
    """A client with what it did and what it failed at. command is openstack or glance for the clients that are commands."""

    def __init__(self, host, name, version, origin, command=None):
        self.host, self.name, self.version, self.origin = host, name, version, origin
        self.label = f"{command or name}-{origin.name.lower()}"  # in the names of what it makes
        self.done, self.failed = [], []
        if command:
            self.shell = subprocess.Popen([origin.python, pathlib.Path(__file__).with_name("shell.py"), command], text=True, cwd=host.dir,
                                          env=host.environment("first"), stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def row(self):
        return {"client": self.name, "version": self.version, "origin": self.origin.name, "works": [d for d in self.done if d not in self.failed]}

    def newer(self, *least):
        """Whether the client is of this version or a later one; for what older ones do not have."""
        return tuple(int(n) for n in self.version.split(".")[:len(least)]) >= least

    def works(self, what):
        if what not in self.done:
            self.done.append(what)

    def fails(self, what, why):
        print(f"FAIL {self.label} {what}: {why}", flush=True)
        self.failed.append(what)

    def run(self, what, *args, user="first", env=None, want=None, refused=None, stdin=None):
        """Runs one command that must succeed and returns its output. what names it in the table; want must be in its output; refused, where
        given, must be in its complaint and it must fail. env takes the place of what the user signs in with; stdin is a file."""
        asked = {"args": [str(a) for a in args], "env": env or self.host.environment(user), "stdin": stdin and str(stdin)}
        self.shell.stdin.write(json.dumps(asked) + "\n")
        self.shell.stdin.flush()
        r = json.loads(self.shell.stdout.readline())
        if refused is not None:
            good = r["status"] != 0 and refused in r["stderr"] + r["stdout"]
        else:
            good = r["status"] == 0 and (want is None or want in r["stdout"])
        if good:
            self.works(what)
        else:
            self.fails(what, f"{' '.join(map(str, args))}\nexit {r['status']}, wanted {want or refused!r}\n{r['stdout']}\n{r['stderr']}")
        return r["stdout"]

    def until(self, want, what, *args, **more):
        """Runs one command again until want is in its output."""
        end = time.monotonic() + 60
        while want not in self.run(what, *args, **more):
            if time.monotonic() > end:
                self.fails(what, f"{want!r} does not come")
                return
            time.sleep(0.2)

    def end(self):
        self.shell.stdin.close()
        self.shell.wait()

    def json(self, what, *args, **more):
        """Runs one command and returns its answer, or an empty one when it failed."""
        with contextlib.suppress(ValueError):
            return json.loads(self.run(what, *args, "-f", "json", **more))
        return {}

    def same(self, what, a, b):
        """Compares two files."""
        if digest_of(a, "sha512") != digest_of(b, "sha512"):
            self.fails(what, "the bytes are not those that were uploaded")


def digest_of(path, algo):
    return hashlib.new(algo, path.read_bytes()).hexdigest() if path.exists() else None
