"""docker/compose.yaml on a Docker engine of the tests' own: the service runs in a container, JupyterLab
in another, steps and kernels in others beside them, by the socket that the service alone has.

The engine has no bridge and others may use ports 7878 and 8888: the compose file is used with the
network of the host and free ports instead, else as it is.
"""

import json
import os
import re
import shutil
import subprocess
from contextlib import suppress
from types import SimpleNamespace

import pytest
import requests
from support.engine import attempts_of
from support.gateway import Client
from support.notebooks import notebook
from support.project import Step
from support.segue import ROOT, wait_until
from support.service import Service
from support.websocket import WebSocket
from test_docker import BASH, PYTHON, engine, missing  # noqa: F401

IMAGES = ("segue/service", "segue/jupyterlab")
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
        host = "    network_mode: host\n"
        for old, new in (('    ports:\n      - "127.0.0.1:7878:7878"\n', host),
                         ('    ports:\n      - "127.0.0.1:8888:8888"\n',
                          host + "    command: [--ServerApp.ip=127.0.0.1, --ServerApp.port=0]\n"),
                         ("0.0.0.0:7878", "127.0.0.1:0"),
                         ("context: ..", f"context: {ROOT}"),
                         ("context: jupyterlab", f"context: {ROOT}/docker/jupyterlab"), *changes):
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        self.file.write_text(text)

    def compose(self, *arguments, check=True):
        done = subprocess.run(["docker-compose", "-f", self.file, *arguments], env=self.env, cwd=self.root,
                              capture_output=True, text=True, timeout=100, check=False)
        assert not check or done.returncode == 0, f"docker-compose {arguments}: {done.stderr}"
        return done

    def container_of(self, name):
        return self.compose("ps", "--quiet", name).stdout.strip()

    def make(self, *options):
        """A new container, not waited for."""
        before = self.container
        self.compose("up", "--detach", "--no-build", *options, "segue")
        self.container = self.container_of("segue")
        assert self.container not in ("", before)

    def up(self, *options):
        self.make(*options)
        self.wait_until_listening()
        return self

    def up_with_jupyterlab(self):
        """The JupyterLab beside it."""
        self.up()
        self.write_file(("http://segue:7878", self.url))
        self.compose("up", "--detach", "--no-build", "--no-deps", "jupyterlab")
        return JupyterLab(self, self.container_of("jupyterlab"))

    @property
    def token(self):
        return self.engine.docker("exec", self.container, "cat", "/run/segue/token").strip()

    def log_of(self, container):
        done = subprocess.run(["docker", "-H", self.engine.host, "logs", container], check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        return done.stdout

    def errors(self):
        return self.log_of(self.container)

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
        environments = {"bash": {**BASH, "kernelspec": "bash"}, "python": PYTHON}
        project.write(".segue/environments.json", json.dumps(environments))
        return project

    def left(self):
        """Containers of steps and kernels."""
        marks = [*attempts_of(self.root), *kernels_of(self.root)]
        return [each for mark in marks for each in self.engine.containers(mark)]

    def close(self, check=True):
        log = self.errors()
        self.stderr.write_text(log)
        self.compose("down", "--timeout", "10", "--volumes", check=check)
        if check:
            assert self.left() == [], f"containers are left\n{log}"


def kernels_of(root):
    """Marks of interactive kernels below a directory."""
    return [json.loads(path.read_text("utf-8"))["mark"] for path in root.rglob("kernels/*/interactive.json")]


class JupyterLab:
    """JupyterLab in its container, by its REST API and WebSockets: what a page in a browser uses."""

    def __init__(self, composed, container):
        self.composed, self.container = composed, container
        self.token = composed.token
        self.port = wait_until(self._find_port, 60, f"JupyterLab listens\n{self.explain()}")
        wait_until(self._answers, 60, f"JupyterLab answers\n{self.explain()}")

    def explain(self):
        return f"--- jupyterlab\n{self.composed.log_of(self.container)}\n{self.composed.explain()}"

    def _find_port(self):
        found = re.findall(r"http://127\.0\.0\.1:(\d+)/lab", self.composed.log_of(self.container))
        return int(found[-1]) if found else None

    def _answers(self):
        with suppress(requests.ConnectionError):
            return self.request("GET", "status").status_code == 200

    def request(self, method, path, body=None, token=None):
        with requests.Session() as session:
            session.trust_env = False
            return session.request(method, f"http://127.0.0.1:{self.port}/api/{path}", json=body, timeout=60,
                                   headers={"Authorization": f"token {token or self.token}"})

    def ask(self, method, path, status, body=None):
        response = self.request(method, path, body)
        assert response.status_code == status, f"{response.status_code} {response.text}\n{self.explain()}"
        return response.json() if response.content else None

    def open_socket(self, kernel, *, query="", **how):
        return WebSocket(self.port, f"/api/kernels/{kernel}/channels{query}", token=self.token, **how)

    def kill(self):
        self.composed.engine.docker("kill", self.container)


@pytest.fixture(scope="session")
def images(engine):  # noqa: F811
    """Built unless they are there: `make docker-test` builds them anew."""
    if not shutil.which("docker-compose"):
        missing("needs docker-compose")
    engine.need_images(*IMAGES)
    return SimpleNamespace(service=IMAGES[0], jupyterlab=IMAGES[1])


@pytest.fixture
def composed(tmp_path_factory, engine, images):  # noqa: F811
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
    directory = composed.projects if what == "projects" else composed.state
    other = composed.root / "elsewhere"
    other.mkdir()
    mounts = {"projects": PROJECTS, "state": STATE, what: f"      - {other}:{directory}\n"}
    composed.write_file((PROJECTS + STATE, mounts["projects"] + mounts["state"]))
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


def test_jupyterlab_runs_its_notebooks_in_containers_beside_it(composed):
    """Through JupyterLab's own API: a kernelspec for each environment; a notebook's kernel is in a
    container of its own, in the notebook's directory; what is saved belongs to the project's owner."""
    project = composed.project("wine")
    (project.root / "deep").mkdir()
    for path in (composed.projects, *composed.projects.rglob("*")):
        os.chown(path, 1000, 1000)
    lab = composed.up_with_jupyterlab()
    assert lab.request("GET", "kernels", token="x" * 48).status_code == 403
    specs = lab.ask("GET", "kernelspecs", 200)["kernelspecs"]
    assert {"wine.python", "wine.bash"} == set(specs)
    document = {"type": "notebook", "format": "json", "content": notebook("1 + 1")}
    lab.ask("PUT", "contents/wine/deep/a.ipynb", 201, document)
    session = {"path": "wine/deep/a.ipynb", "name": "a.ipynb", "type": "notebook", "kernel": {"name": "wine.python"}}
    kernel = lab.ask("POST", "sessions", 201, session)["kernel"]["id"]
    with Client(lab, kernel, protocol="legacy") as client:
        code = "import os; print(os.path.exists('/.dockerenv'), os.getcwd(), os.getuid(), os.path.exists('a.ipynb'))"
        assert client.execute(code).text == "True /project-dir/deep 1000 True\n"
        (container,) = composed.left()
        service, jupyterlab = composed.container, lab.container
        assert len({container, service, jupyterlab}) == 3
        sockets = {each: [mount["Source"] for mount in composed.engine.inspect(each)["Mounts"]
                          if mount["Source"].endswith("docker.sock")]
                   for each in (container, service, jupyterlab)}
        assert [len(sockets[each]) for each in (container, service, jupyterlab)] == [0, 1, 0]
        with Client(lab, kernel, protocol="legacy") as second:
            second.execute("open('b.txt', 'w').close()")
    assert {(project.root / "deep" / made).stat().st_uid for made in ("a.ipynb", "b.txt")} == {1000}
    lab.ask("DELETE", f"kernels/{kernel}", 204)
    wait_until(lambda: composed.left() == [], 30, "the kernel's container is removed")


def test_kernel_of_a_failed_step_is_looked_into_from_jupyterlab(composed):
    """JupyterLab's own server lists the kernels that it knows: it is told the id."""
    step = Step("a", notebook("x=41", "no-such-command"), kernel="bash")
    lab = composed.up_with_jupyterlab()
    run = composed.wait_for_run(composed.submit(composed.project("p", step), keep_kernels=600)["uuid"])
    assert run["steps"][0]["failure"]["cause"] == "cell_error"
    (kernel,) = composed.get("kernels").json()["kernels"]
    assert (kernel["is_kept"], kernel["environment"]) == (True, "bash")
    attached = lab.ask("POST", "kernels", 201, {"name": kernel["name"], "kernel_id": kernel["id"]})
    assert attached["id"] == kernel["id"] and [k["id"] for k in lab.ask("GET", "kernels", 200)] == [kernel["id"]]
    with Client(lab, kernel["id"], protocol="legacy") as client:
        assert client.execute("echo $((x + 1))").text == "42\n"
    lab.ask("DELETE", f"kernels/{kernel['id']}", 204)
    wait_until(lambda: composed.left() == [], 30, "the kernel's container is removed")


def test_kernels_outlive_a_crash_of_everything_else(composed):
    """Who is connected goes on, although the service is back on another port. (A JupyterLab that is
    stopped in order shuts its kernels down itself.)"""
    composed.project("wine")
    lab = composed.up_with_jupyterlab()
    kernel = lab.ask("POST", "kernels", 201, {"name": "wine.bash"})["id"]
    with Client(lab, kernel, protocol="legacy") as client:
        client.execute("x=41")
        composed.crash()
        assert client.execute("echo $((x + 1))").text == "42\n"
    lab.kill()
    listed = composed.get("kernels").json()["kernels"]
    assert [(k["id"], k["environment"], k["project"]) for k in listed] == [(kernel, "bash", "wine")]
    assert composed.request("DELETE", f"/api/kernels/{kernel}").status_code == 204
    wait_until(lambda: composed.left() == [], 30, "the kernel's container is removed")


def test_image_has_no_more_than_it_needs(engine, images):  # noqa: F811
    """No compiler, no sources."""
    listed = engine.docker("run", "--rm", "--network", "none", "--entrypoint", "sh", images.service, "-c",
                           "command -v cc make; ls /; segue version").splitlines()
    assert "usr" in listed and "src" not in listed and not any("/" in line for line in listed)
    assert listed[-1].startswith("segue ")
