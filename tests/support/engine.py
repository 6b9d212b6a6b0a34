"""A Docker engine of the tests' own (tests/docker/engine.sh), and what runs in it."""

import json
import os
import signal
import subprocess
from pathlib import Path

from .segue import ROOT, wait_until

IMAGES = ("segue/python", "segue/r", "segue/bash")


class Engine:
    """The engine of one data directory; None is the default one, which others may be using."""

    def __init__(self, directory=None):
        self._env = dict(os.environ)
        self._env.pop("DOCKER_HOST", None)
        if directory:
            self._env["SEGUE_TEST_DOCKER"] = str(directory)
        self.directory = Path(self._env.get("SEGUE_TEST_DOCKER", ROOT / "build/docker"))
        self.host = None

    def _script(self, command):
        done = subprocess.run([ROOT / "tests/docker/engine.sh", command], env=self._env, text=True,
                              stdout=subprocess.PIPE, check=True)
        return done.stdout

    def start(self):
        self._script("start")
        self.host = self._script("env").strip().partition("=")[2]

    def stop(self):
        self._script("stop")

    def kill(self):
        """kill -9 of everything at once: engine, shims, containers."""
        run = Path((self.directory / "run").read_text().strip())
        os.kill(int((run / "pid").read_text()), signal.SIGKILL)

    def dockerd(self):
        """The daemon's pid as seen from here, to be stopped and continued."""
        run = (self.directory / "run").read_text().strip()
        for entry in Path("/proc").iterdir():
            try:
                command = (entry / "cmdline").read_bytes() if entry.name.isdigit() else b""
            except OSError:
                continue
            if command.startswith(b"dockerd\0") and run.encode() in command:
                return int(entry.name)
        raise AssertionError(f"no dockerd of {run}")

    def docker(self, *arguments, check=True, **options):
        """The standard output of a docker command."""
        done = subprocess.run(["docker", "-H", self.host, *arguments], capture_output=True,
                              text=True, check=False, **options)
        assert not check or done.returncode == 0, f"docker {arguments}: {done.stderr}"
        return done.stdout

    def has_image(self, name):
        return bool(self.docker("image", "ls", "-q", name))

    def need_images(self, *names):
        """Builds what is missing; with the engine's cache a matter of seconds."""
        for name in names:
            if not self.has_image(name):
                target = "image-" + name.removeprefix("segue/")
                subprocess.run(["make", "-C", ROOT, target], check=True,
                               env={**os.environ, "DOCKER_HOST": self.host})

    def copy_image(self, other, name):
        """From another engine, unless it is here."""
        if self.has_image(name):
            return
        with subprocess.Popen(["docker", "-H", other.host, "save", name],
                              stdout=subprocess.PIPE) as save:
            self.docker("load", stdin=save.stdout)
        assert save.returncode == 0

    def inspect(self, container):
        return json.loads(self.docker("inspect", container))[0]

    def containers(self, attempt=None):
        """Ids of all containers that steps made, running or not; or those of one attempt."""
        label = "segue.attempt" + (f"={attempt}" if attempt else "")
        listed = self.docker("ps", "--all", "--quiet", "--no-trunc", "--filter", f"label={label}")
        return listed.split()

    def running(self, attempt):
        """The one container of an attempt, once it runs."""
        def look():
            for each in self.containers(attempt):
                # It may be the short-lived one through which the image is read.
                found = self.docker("inspect", "-f", "{{.State.Running}}", each, check=False)
                if found.strip() == "true":
                    return each
            return None

        return wait_until(look, 30, f"a running container of {attempt}")


def attempts_of(root):
    """{attempt's mark: its task} of everything that was started below a directory."""
    tasks = {}
    for path in Path(root).rglob("steps/*/*/task.json"):
        task = json.loads(path.read_text("utf-8"))
        tasks[task["attempt_id"]] = task
    return tasks


def attempt_of(root, step_uuid):
    """The mark of a step's newest attempt."""
    found = [task for task in attempts_of(root).values() if task["step_uuid"] == step_uuid]
    return max(found, key=lambda task: (task["run_uuid"], task["number"]))["attempt_id"]
