"""docker/Dockerfile and docker/compose.yaml on a Docker engine of the tests' own: the service runs
in a container, the steps in others beside it, by the mounted socket.

The engine has no bridge and others may use port 7878: the compose file is used with the network of
the host and a free port instead, else as it is.
"""

import json
import os
import shutil
import subprocess

import pytest
from support.engine import attempts_of
from support.notebooks import notebook
from support.project import Step
from support.segue import ROOT, wait_until
from support.service import Service
from test_docker import BASH, PYTHON, engine, missing  # noqa: F401

IMAGE = "segue/service"
WAITS = "echo waiting\nwhile [ ! -e go ]; do sleep 0.05; done\necho went on\n"


class Composed(Service):
    """A Service whose process is a container that docker-compose makes."""

    def __init__(self, root, env, engine):  # noqa: F811
        super().__init__(root, env)
        self.engine = engine
        self.name = self.root.name.replace("_", "-")
        self.file = self.root / "compose.yaml"
        self.container = ""
        self.env = {**os.environ, "DOCKER_HOST": engine.host, "SEGUE_PROJECTS": str(self.projects),
                    "SEGUE_STATE": str(self.state), "COMPOSE_PROJECT_NAME": self.name,
                    "SEGUE_DOCKER_SOCKET": engine.host.removeprefix("unix://")}
        self.write_file()

    def write_file(self, *changes):
        text = (ROOT / "docker/compose.yaml").read_text()
        for old, new in (('    ports:\n      - "127.0.0.1:7878:7878"\n', "    network_mode: host\n"),
                         ("0.0.0.0:7878", "127.0.0.1:0"),
                         ("context: ..", f"context: {ROOT}"), *changes):
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        self.file.write_text(text)

    def compose(self, *arguments, check=True):
        done = subprocess.run(["docker-compose", "-f", self.file, *arguments], env=self.env, cwd=self.root,
                              capture_output=True, text=True, timeout=100, check=False)
        assert not check or done.returncode == 0, f"docker-compose {arguments}: {done.stderr}"
        return done

    def make(self, *options):
        """A new container, not waited for."""
        before = self.container
        self.compose("up", "--detach", "--no-build", *options)
        self.container = self.compose("ps", "--quiet").stdout.strip()
        assert self.container not in ("", before)

    def up(self, *options):
        self.make(*options)
        self.wait_until_listening()
        return self

    def errors(self):
        done = subprocess.run(["docker", "-H", self.engine.host, "logs", self.container], check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        return done.stdout

    def wait_until_listening(self, seconds=60, count=1):
        wait_until(lambda: len(self.logged("listening")) >= count, seconds, f"it listens\n{self.explain()}")
        self.url = self.logged("listening")[-1]["url"]

    def crash(self):
        """kill -9 of the service alone: the first process's child that is no keeper."""
        before = len(self.logged("listening"))
        kill = ("for at in /proc/[0-9]*; do read -r pid name state parent rest <$at/stat; "
                "[ $parent = 1 ] && [ $name != '(segue-keeper)' ] && kill -9 $pid && echo killed; done; true")
        assert self.engine.docker("exec", self.container, "sh", "-c", kill) == "killed\n"
        self.wait_until_listening(count=before + 1)

    def project(self, name, *steps, **options):
        for step in steps:
            step.extra.setdefault("environment", "bash")
        project = super().project(name, *steps, **options)
        project.write(".segue/environments.json", json.dumps({"bash": BASH, "python": PYTHON}))
        return project

    def left(self):
        """Containers of steps."""
        return [each for mark in attempts_of(self.root) for each in self.engine.containers(mark)]

    def close(self, check=True):
        log = self.errors()
        self.stderr.write_text(log)
        self.compose("down", "--timeout", "10", check=check)
        if check:
            assert self.left() == [], f"containers are left\n{log}"


@pytest.fixture(scope="session")
def image(engine):  # noqa: F811
    """Built unless it is there: `make docker-test` builds it anew."""
    if not shutil.which("docker-compose"):
        missing("needs docker-compose")
    if not engine.has_image(IMAGE):
        subprocess.run(["make", "-C", ROOT, "image-service"], check=True,
                       env={**os.environ, "DOCKER_HOST": engine.host})
    return IMAGE


@pytest.fixture
def composed(tmp_path_factory, engine, image):  # noqa: F811
    made = Composed(tmp_path_factory.mktemp("c"), os.environ, engine)
    yield made
    made.close()


def log_of(service, uuid, step):
    return service.get(f"runs/{uuid}/steps/{step.uuid}/log").text


def waiting_run(service):
    """A run whose first step waits for let_go, in its container."""
    project = service.project("p", Step("a", WAITS, path="a.sh"), Step("b", "echo b\n", "a", path="b.sh"))
    uuid = service.submit(project)["uuid"]
    service.wait_for_event(uuid, "output")
    assert len(service.left()) == 1
    return project, uuid


def test_steps_run_in_containers_beside_it(composed):
    """A notebook, whose kernel is spoken to through the state directory, and scripts with the SDK,
    which lies there as well."""
    composed.up()
    give = Step("give", "import segue\nsegue.output(42, 'answer')\n", extra={"environment": "python"})
    note = Step("note", notebook("echo $((40 + 2))", kernel="bash"), kernel="bash")
    take = Step("take", "import os, segue\nprint(segue.get_inputs()['answer'], os.path.exists('/.dockerenv'))\n",
                "give", extra={"environment": "python"})
    uuid = composed.submit(composed.project("p", give, note, take))["uuid"]
    run = composed.wait_for_run(uuid)
    assert [step["failure"] for step in run["steps"]] == [None] * 3
    assert log_of(composed, uuid, note) == "42\n"
    assert log_of(composed, uuid, take) == "42 True\n"


def test_crash_of_the_service_ends_nothing(composed):
    composed.up()
    project, uuid = waiting_run(composed)
    for _ in range(2):
        composed.crash()
        assert composed.run(uuid)["status"] == "STARTED"
    (project.root / "go").touch()
    run = composed.wait_for_run(uuid)
    assert (run["status"], [step["attempt"] for step in run["steps"]]) == ("SUCCESS", [1, 1]), run
    assert log_of(composed, uuid, project.steps["a"]) == "waiting\nwent on\n"
    assert len(composed.logged("service_crashed")) == 2


@pytest.mark.parametrize("how", ["recreated", "removed"])
def test_replaced_container_ends_its_steps(composed, how):
    """In order, or with a kill -9 of all in it. The steps' containers outlive it; the next service
    removes them and says what was lost."""
    composed.up()
    _, uuid = waiting_run(composed)
    if how == "removed":
        composed.engine.docker("rm", "--force", composed.container)
    composed.up("--force-recreate")
    run = composed.wait_for_run(uuid)
    assert run["status"] == "FAILURE"
    states = {s["title"]: (s["status"], s["failure"]["cause"]) for s in run["steps"]}
    assert states == {"a": ("FAILURE", "step_lost"), "b": ("ABORTED", "upstream")}
    assert run["steps"][0]["failure"]["message"] == "the process that kept the step is gone"
    wait_until(lambda: composed.left() == [], 30, "the step's container is removed")
    again = composed.post(f"runs/{uuid}/rerun", {"from": "failed"}).json()["uuid"]
    (composed.projects / "p/go").touch()
    assert composed.wait_for_run(again)["status"] == "SUCCESS"


PROJECTS = "      - ${SEGUE_PROJECTS:?}:${SEGUE_PROJECTS:?}\n"
STATE = "      - ${SEGUE_STATE:-/var/lib/segue}:${SEGUE_STATE:-/var/lib/segue}\n"


@pytest.mark.parametrize("what", ["projects", "state"])
def test_directory_under_another_name_is_refused(composed, what):
    line, directory = (PROJECTS, composed.projects) if what == "projects" else (STATE, composed.state)
    other = composed.root / "elsewhere"
    other.mkdir()
    composed.write_file((line, f"      - {other}:{directory}\n"))
    composed.make()
    said = f'"{directory}" lies in "{directory}", which the Docker engine knows as "{other}"'
    wait_until(lambda: any(said in pairs["error"] for pairs in composed.logged("failed")), 60, said)
    assert not composed.logged("listening") and not composed.logged("service_crashed")


def test_directory_inside_of_the_container_is_refused(composed):
    composed.write_file((STATE, ""))
    composed.make()
    said = f'"{composed.state}" lies inside of this container'
    wait_until(lambda: any(said in pairs["error"] for pairs in composed.logged("failed")), 60, said)
    assert not composed.logged("listening")


def test_docker_stop_is_an_orderly_end(composed):
    composed.up()
    composed.compose("stop")
    assert composed.engine.docker("inspect", "-f", "{{.State.ExitCode}}", composed.container) == "0\n"
    assert [pairs["event"] for pairs in composed.logged()][-2:] == ["stopping", "stopped"]


def test_image_has_no_more_than_it_needs(engine, image):  # noqa: F811
    """No compiler, no sources."""
    listed = engine.docker("run", "--rm", "--network", "none", "--entrypoint", "sh", image, "-c",
                           "command -v cc make; ls /; segue version").splitlines()
    assert "usr" in listed and "src" not in listed and not any("/" in line for line in listed)
    assert listed[-1].startswith("segue ")
