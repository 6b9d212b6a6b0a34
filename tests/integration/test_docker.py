"""`segue run` with steps in containers, on a Docker engine of the tests' own.

What a step finds inside, what it may do, how it ends when it, its container or the engine dies; and
that nothing is left, which the `docker` fixture looks at after every test.
"""

import json
import os
import shutil
import signal
import socket
import tempfile
import time
from pathlib import Path

import pytest
from support.engine import IMAGES, Engine, attempt_of, attempts_of
from support.notebooks import code, notebook, stream_text
from support.project import Project, Step, uuid_of
from support.segue import ROOT, keepers_of, nothing_left, processes_of, wait_until

OWNER = 1000
PYTHON = {"launcher": "docker", "image": "segue/python"}
BASH = {"launcher": "docker", "image": "segue/bash"}
R = {"launcher": "docker", "image": "segue/r"}


def missing(what):
    """Without an engine none of this is tested: under CI that is a failure."""
    if os.environ.get("CI"):
        pytest.fail(what)
    pytest.skip(what)


@pytest.fixture(scope="session")
def engine():
    """The shared engine, left running, with the three images."""
    if os.geteuid() != 0:
        missing("needs root: starts a Docker engine")
    if not all(shutil.which(tool) for tool in ("dockerd", "containerd", "runc", "docker")):
        missing("needs dockerd, containerd, runc and docker")
    made = Engine()
    made.start()
    made.need_images(*IMAGES)
    return made


@pytest.fixture(scope="session")
def second_directory(engine):
    """The data directory of an engine that tests may kill, with segue/bash in it."""
    other = Engine(engine.directory.with_name("docker-second"))
    other.start()
    other.copy_image(engine, "segue/bash")
    for each in other.containers():  # of a session that was killed
        other.docker("rm", "--force", each)
    yield other.directory
    other.stop()


class Docker:
    """A World whose steps run in containers of an engine."""

    def __init__(self, world, engine):
        self.world, self.engine = world, engine
        self.root = world.root
        world.env["DOCKER_HOST"] = engine.host

    def project(self, *steps, environments=None, **options):
        """Steps whose extra names no environment get the first of `environments`."""
        environments = environments or {"python": PYTHON}
        for step in steps:
            step.extra.setdefault("environment", next(iter(environments)))
        project = self.world.project(*steps, **options)
        project.write(".segue/environments.json", json.dumps(environments))
        return project

    def run(self, project, *arguments, seconds=90):
        return self.world.run(project, *arguments, seconds=seconds)

    def start(self, project, *arguments):
        return self.world.start(project, *arguments)

    def started(self, project, titles, *arguments):
        """Started, and each of the steps has written something."""
        running = self.start(project, *arguments)
        for title in titles.split():
            running.wait_for(
                lambda e, step=uuid_of(title): e["event"] == "output" and e["step_uuid"] == step,
                what=f"output of {title}")
        return running

    def finish(self, running, seconds=90):
        return self.world.finish(running, seconds=seconds)

    def container(self, title):
        """The running container of a step's newest attempt."""
        return self.engine.running(attempt_of(self.root, uuid_of(title)))

    def left(self):
        """Containers of this world's runs, the engine's others set aside."""
        return [each for mark in attempts_of(self.root) for each in self.engine.containers(mark)]

    def sockets(self):
        return sorted(str(path) for path in self.root.glob("state/cli/*/k/*"))

    def check_nothing_left(self):
        nothing_left(self.root, seconds=10)
        assert self.left() == [], "containers are left"
        assert self.sockets() == [], "kernel sockets are left"


@pytest.fixture
def docker(world, engine):
    made = Docker(world, engine)
    yield made
    world.close()
    made.check_nothing_left()


@pytest.fixture
def fragile(world, second_directory):
    """On an engine that the test may kill; it is started again to see what is left in it."""
    engine = Engine(second_directory)
    engine.start()
    made = Docker(world, engine)
    yield made
    world.close()
    engine.start()
    made.engine.host = engine.host
    made.check_nothing_left()
    assert engine.containers() == []


def py(*cells, title="a", parents="", **extra):
    return Step(title, notebook(*cells), parents, extra=extra)


def sh(*cells, title="a", parents="", **extra):
    """A Bash notebook."""
    extra.setdefault("environment", "bash")
    return Step(title, notebook(*cells, kernel="bash"), parents, kernel="bash", extra=extra)


def printed(result, path="a.ipynb"):
    return stream_text(result.notebook(path))


def words(result, title):
    """What a script wrote."""
    return "".join("".join(e["output"]["text"]) for e in result.of("output", uuid_of(title)))


def copy_of(docker, title="a"):
    """stdout in the executed copy of a run that could not deliver it any more."""
    task = attempts_of(docker.root)[attempt_of(docker.root, uuid_of(title))]
    return stream_text(json.loads(Path(task["output"]).read_text("utf-8")))


def failure(result, title="a"):
    return result.finished(uuid_of(title))["failure"]


def recover(docker):
    """The next start: any other run in the same state root."""
    result = docker.run(Project(docker.root / "again", [Step("again", "pass\n")]))
    assert result.code == 0, result.explain()


WAIT = "print('ready', flush=True)\nimport time\ntime.sleep(600)"
WAIT_SH = "echo ready; sleep 600"


# ------------------------------------------------------------------------------------------ images


@pytest.mark.parametrize("name, kernel", [("python", "python3"), ("r", "ir"), ("bash", "bash")])
def test_smoke_notebook(docker, name, kernel):
    """What each image promises, as an ordinary user and without network."""
    smoke = json.loads((ROOT / "images" / name / "smoke.ipynb").read_text("utf-8"))
    environment = {"launcher": "docker", "image": f"segue/{name}"}
    project = docker.project(Step("a", smoke, kernel=kernel), environments={name: environment})
    result = docker.run(project)
    assert result.code == 0, result.explain()
    cells = [c for c in result.notebook("a.ipynb")["cells"] if c["cell_type"] == "code"]
    assert all(cell["execution_count"] for cell in cells)
    assert any(cell["outputs"] for cell in cells)


def test_wine(docker):
    """The example project, with one of its models."""
    root = docker.root / "wine"
    shutil.copytree(ROOT / "examples/wine", root)
    output = docker.root / "out"
    result = docker.world.command("run", root / "pipeline.json", "--upto", "Nearest neighbours",
                                  "--output", output, seconds=120)
    assert result.code == 0, result.explain()
    model = json.loads((output / "models/nearest_neighbours.ipynb").read_text("utf-8"))
    kinds = {out["output_type"] for cell in model["cells"] for out in cell.get("outputs", ())}
    assert "display_data" in kinds and "error" not in kinds


def test_scripts(docker):
    """The interpreter of Python scripts is that of the image's kernel."""
    project = docker.project(
        Step("p", "import sys\nprint(sys.executable)\n"),
        Step("s", "echo from $0 in $PWD\n", path="deep/s.sh", extra={"environment": "bash"}),
        Step("r", "cat('from R', 6 * 7, '\\n')\n", path="r.R", extra={"environment": "r"}),
        environments={"python": PYTHON, "bash": BASH, "r": R})
    result = docker.run(project)
    assert result.code == 0, result.explain()
    assert words(result, "p") == "/opt/venv/bin/python\n"
    assert words(result, "s") == "from /project-dir/deep/s.sh in /project-dir/deep\n"
    assert words(result, "r") == "from R 42 \n"


def test_script_fails(docker):
    project = docker.project(
        Step("a", "import sys\nprint('so far')\nsys.exit('no good')\n"),
        Step("k", "kill -9 $$\n", path="k.sh", extra={"environment": "bash"}),
        environments={"python": PYTHON, "bash": BASH})
    result = docker.run(project)
    assert result.code == 1
    assert failure(result)["cause"] == failure(result, "k")["cause"] == "exit_code"
    assert failure(result)["message"] == "exit status 1: no good"
    assert "SIGKILL" in failure(result, "k")["message"]
    assert "so far\n" in words(result, "a")


def test_environment_names_the_kernel(docker):
    """The environment's kernelspec goes over what the notebook names."""
    step = Step("a", notebook("print(6 * 7)", kernel="no-such-kernel"), kernel="no-such-kernel")
    project = docker.project(step, environments={"e": {**PYTHON, "kernelspec": "python3"}})
    result = docker.run(project)
    assert result.code == 0, result.explain()
    assert printed(result) == "42\n"


@pytest.mark.parametrize("kernel", ["orchest-kernel-2f6c1f04-8f2b-4b1d-a7a1-9ac1c0f1d9a1", "python", "PYTHON3"])
def test_kernel_by_language(docker, kernel):
    """A name that no image has: any kernel of the notebook's language."""
    content = notebook("print(6 * 7)", kernel=kernel, metadata={"language_info": {"name": "python"}})
    result = docker.run(docker.project(Step("a", content, kernel=kernel)))
    assert result.code == 0, result.explain()
    assert printed(result) == "42\n"


def test_kernel_that_the_image_lacks(docker):
    content = notebook("1", kernel="julia-1.9", metadata={"language_info": {"name": "julia"}})
    content["metadata"]["kernelspec"]["language"] = "julia"
    result = docker.run(docker.project(Step("a", content, kernel="julia-1.9")))
    assert result.code == 1
    assert failure(result)["cause"] == "kernel_start_failed"
    assert "julia-1.9" in failure(result)["message"] and "python3" in failure(result)["message"]


def test_orchest_environments(docker):
    """Orchest's own file, found by its uuid; its environments have a network."""
    uuid = "0e2a1c3c-7f0b-4a25-8a44-5b3f0c2bf5d1"
    step = Step("a", notebook("print(6 * 7)", WAIT, kernel=f"orchest-kernel-{uuid}"),
                kernel="python", extra={"environment": uuid})
    project = docker.world.project(step)
    properties = {"uuid": uuid, "name": "Python 3", "base_image": "segue/python",
                  "language": "python", "gpu_support": False}
    project.write(f".orchest/environments/{uuid}/properties.json", json.dumps(properties))
    project.write(f".orchest/environments/{uuid}/setup_script.sh", "#!/bin/bash\n# nothing\n")
    running = docker.started(project, "a")
    running.wait_for(lambda e: e["event"] == "output" and e["cell_index"] == 1)
    host = docker.engine.inspect(docker.container("a"))["HostConfig"]
    assert host["NetworkMode"] == "bridge"
    assert host["CapDrop"] == ["ALL"] and host["ReadonlyRootfs"]
    running.signal(signal.SIGINT)
    assert printed(docker.finish(running)) == "42\nready\n"


def test_orchest_environment_to_be_built(docker):
    """With a setup script the image has to be made first, and the message says by what."""
    uuid = "0e2a1c3c-7f0b-4a25-8a44-5b3f0c2bf5d1"
    project = docker.world.project(py("1", environment=uuid))
    properties = {"uuid": uuid, "name": "Python 3", "base_image": "segue/python", "language": "python"}
    project.write(f".orchest/environments/{uuid}/properties.json", json.dumps(properties))
    project.write(f".orchest/environments/{uuid}/setup_script.sh", "#!/bin/bash\npip install x\n")
    result = docker.run(project)
    assert result.code == 1
    assert failure(result)["cause"] == "environment_missing"
    assert f"docker build -t segue-env/{uuid}" in failure(result)["message"]


def test_missing_image(docker):
    """The command that makes it is in the message; other branches go on."""
    project = docker.project(
        py("1"), py("2", title="b", parents="a"), Step("c", "pass\n", extra={"environment": ""}),
        environments={"e": {"launcher": "docker", "image": "segue/not-built"}})
    result = docker.run(project)
    assert result.code == 1
    assert failure(result)["cause"] == "environment_missing"
    assert "segue/not-built" in failure(result)["message"]
    assert "docker build -t segue/not-built" in failure(result)["message"]
    assert result.finished(uuid_of("b"))["status"] == "ABORTED"
    assert result.finished(uuid_of("c"))["status"] == "SUCCESS"


def test_unknown_environment(docker):
    result = docker.run(docker.project(py("1", environment="nobody")))
    assert result.code == 1
    assert failure(result)["cause"] == "environment_missing"
    assert "nobody" in failure(result)["message"] and "python" in failure(result)["message"]


# -------------------------------------------------------------------------------------- data, parameters


def test_mixed_pipeline(docker):
    """Data goes from a container to a process and back."""
    project = docker.project(
        py("import segue\nsegue.output({'n': [1, None]}, name='v')"),
        Step("b", "import os, segue\nassert os.path.isdir(os.environ['SEGUE_PROJECT_DIR'] + '/.segue')\n"
                  "v = segue.get_inputs()['v']\nv['n'].append(2)\nsegue.output(v, name='w')\n", "a",
             extra={"environment": ""}),
        py("import segue\nprint(segue.get_inputs()['w'])", title="c", parents="b"))
    result = docker.run(project)
    assert result.code == 0, result.explain()
    assert printed(result, "c.ipynb") == "{'n': [1, None, 2]}\n"
    launchers = {task["step_uuid"]: task["launcher"] for task in attempts_of(docker.root).values()}
    assert [launchers[uuid_of(t)] for t in "abc"] == ["docker", "process", "docker"]


def test_data_of_an_earlier_run(docker):
    project = docker.project(
        py("import segue\nsegue.output(5, name='v')"),
        py("import segue\nprint(segue.get_inputs()['v'])", title="b", parents="a"))
    assert docker.run(project).code == 0
    result = docker.run(project, "--only", "b")
    assert result.code == 0, result.explain()
    assert printed(result, "b.ipynb") == "5\n"


def test_large_frame(docker):
    """A data frame goes through Arrow's format, or whichever the SDK chooses, unchanged."""
    make = "import pandas, segue\nsegue.output(pandas.DataFrame({'x': range(100_000)}), name='f')"
    show = "import segue\nf = segue.get_inputs()['f']\nprint(type(f).__name__, f.x.sum())"
    result = docker.run(docker.project(py(make), py(show, title="b", parents="a")))
    assert result.code == 0, result.explain()
    assert printed(result, "b.ipynb") == "DataFrame 4999950000\n"


def test_parameters_in_r_and_bash(docker):
    values = {"x": 1.5, "word": "it's $HOME \"q\"", "many": [1, 2, 3], "yes": True}
    in_r = Step("r", notebook(code("x <- 0", "parameters"),
                              "cat(x, word, sum(unlist(many)), yes, sep='|')", kernel="ir"),
                kernel="ir", extra={"environment": "r"}, parameters=values)
    in_bash = Step("b", notebook(code("x=0", "parameters"), "echo \"$x|$word|$yes\"", kernel="bash"),
                   kernel="bash", extra={"environment": "bash"}, parameters=values)
    project = docker.project(in_r, in_bash, environments={"r": R, "bash": BASH})
    for name, path in (("ir", "r.ipynb"), ("bash", "b.ipynb")):
        content = project.read(path)
        content["metadata"]["kernelspec"]["language"] = {"ir": "R", "bash": "bash"}[name]
        project.write(path, content)
    result = docker.run(project)
    assert result.code == 0, result.explain()
    assert printed(result, "r.ipynb") == "1.5|it's $HOME \"q\"|6|TRUE"
    assert printed(result, "b.ipynb") == "1.5|it's $HOME \"q\"|true\n"


# ------------------------------------------------------------------------------------ inside a step


LOOK = """
import json, os, pathlib, socket
def can(what, *args):
    try:
        what(*args)
        return True
    except OSError as e:
        return e.strerror or str(e)
status = dict(line.split(':', 1) for line in open('/proc/self/status').read().splitlines())
print(json.dumps({
    'cwd': os.getcwd(), 'uid': os.getuid(), 'gid': os.getgid(), 'home': os.environ['HOME'],
    'env': {k: v for k, v in os.environ.items() if k.startswith(('SEGUE_', 'ORCHEST_', 'OWN'))},
    'caps': [status[k].strip() for k in ('CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb')],
    'no_new_privs': status['NoNewPrivs'].strip(),
    'root': can(pathlib.Path('/probe').write_text, 'x'),
    'etc': can(pathlib.Path('/etc/probe').write_text, 'x'),
    'usr': can(pathlib.Path('/usr/probe').write_text, 'x'),
    'tmp': can(pathlib.Path('/tmp/probe').write_text, 'x'),
    'home_writable': can(pathlib.Path.home().joinpath('probe').write_text, 'x'),
    'data': can(pathlib.Path('/data/probe').write_text, 'x'),
    'project': can(pathlib.Path('/project-dir/made').write_text, 'x'),
    'pipeline_file': can(pathlib.Path(os.environ['SEGUE_PIPELINE_PATH']).write_text, 'x'),
    'sdk': can(pathlib.Path(__import__('segue').__file__).parent.joinpath('p').write_text, 'x'),
    'mount_points': [line.split()[1] for line in open('/proc/mounts')],
    'interfaces': [name for _, name in socket.if_nameindex()],
    'connect': can(socket.create_connection, ('192.0.2.1', 80), 5),
    'resolve': can(socket.getaddrinfo, 'example.org', 80),
    'docker_socket': [p for p in ('/var/run/docker.sock', '/run/docker.sock') if os.path.exists(p)],
    'pid_1': open('/proc/1/cmdline').read().split(chr(0))[0],
}))
"""


def test_what_a_step_sees(docker):
    """Least rights, few writable places, no network; the same for a script."""
    environment = {**PYTHON, "env": {"OWN": "x=y", "OWN_TOO": "$HOME"}}
    project = docker.project(Step("a", notebook(LOOK), path="deep/a.ipynb"),
                             Step("b", LOOK, "a", path="b.py"), environments={"e": environment})
    result = docker.run(project)
    assert result.code == 0, result.explain()
    run = result.events[0]["run_uuid"]
    for title, text, cwd in (("a", printed(result, "deep/a.ipynb"), "/project-dir/deep"),
                             ("b", words(result, "b"), "/project-dir")):
        seen = json.loads(text)
        env = seen["env"]
        assert seen["cwd"] == cwd
        assert (seen["uid"], seen["gid"]) == (os.getuid(), os.getgid())
        assert env["OWN"] == "x=y" and env["OWN_TOO"] == "$HOME"
        assert env["SEGUE_RUN_UUID"] == env["ORCHEST_SESSION_UUID"] == run
        assert env["SEGUE_STEP_UUID"] == env["ORCHEST_STEP_UUID"] == uuid_of(title)
        assert env["SEGUE_PROJECT_DIR"] == "/project-dir" and env["SEGUE_DATA_DIR"] == "/data"
        assert set(seen["caps"]) == {"0" * 16}
        assert seen["no_new_privs"] == "1"
        for place in ("root", "etc", "usr", "pipeline_file", "sdk"):
            assert seen[place] == "Read-only file system", place
        for place in ("tmp", "home_writable", "data", "project"):
            assert seen[place] is True, place
        assert seen["interfaces"] == ["lo"]
        assert seen["connect"] == "Network is unreachable"
        assert "name resolution" in seen["resolve"]
        assert seen["docker_socket"] == []
        assert not [m for m in seen["mount_points"] if "docker.sock" in m]
        assert str(docker.root) not in text, "a path of this machine is visible"


def test_no_socket_of_ours_is_visible(docker):
    """A kernel sees the sockets of its own connection, not its keeper's; nor the engine's."""
    find = "import subprocess\nprint(subprocess.run(['find', '/', '-xdev', '-type', 's'], " \
           "capture_output=True, text=True).stdout)\n" \
           "import os; print(sorted(os.listdir('/run/segue/kernel')))"
    result = docker.run(docker.project(py(find)))
    assert result.code == 0, result.explain()
    assert "docker.sock" not in printed(result)
    assert "keeper" not in printed(result)
    assert "kernel.json" in printed(result)


def test_limits(docker):
    """Asked of the engine, in force inside."""
    look = ("def read(path):\n    return int(open('/sys/fs/cgroup/' + path).read())\n"
            "import os\nif os.path.exists('/sys/fs/cgroup/memory.max'):\n"
            "    quota, period = open('/sys/fs/cgroup/cpu.max').read().split()\n"
            "    found = [read('memory.max'), int(quota) / int(period), read('pids.max')]\n"
            "else:\n"
            "    found = [read('memory/memory.limit_in_bytes'),\n"
            "             read('cpu/cpu.cfs_quota_us') / read('cpu/cpu.cfs_period_us'), read('pids/pids.max')]\n"
            "print(found, flush=True)\nimport time; time.sleep(600)")
    environment = {**PYTHON, "resources": {"cpus": 0.5, "memory": "300MiB"}}
    of_step = py(look, title="b", resources={"cpus": 1.25, "memory": "400MiB"})
    project = docker.project(py(look), of_step, environments={"e": environment})
    running = docker.started(project, "a b")
    for title, cpus, memory in (("a", 0.5, 300), ("b", 1.25, 400)):
        container = docker.container(title)
        host = docker.engine.inspect(container)["HostConfig"]
        assert host["Memory"] == host["MemorySwap"] == memory * 1024**2
        assert host["NanoCpus"] == cpus * 1e9
        assert host["PidsLimit"] == 4096
    running.signal(signal.SIGINT)
    result = docker.finish(running)
    for path, cpus, memory in (("a.ipynb", 0.5, 300), ("b.ipynb", 1.25, 400)):
        assert json.loads(printed(result, path)) == [memory * 1024**2, cpus, 4096]


def test_what_the_engine_is_asked_for(docker):
    project = docker.project(py(WAIT))
    running = docker.started(project, "a")
    container = docker.engine.inspect(docker.container("a"))
    mark = attempt_of(docker.root, uuid_of("a"))
    config, host = container["Config"], container["HostConfig"]
    assert config["Labels"]["segue.attempt"] == mark
    assert config["Labels"]["segue.state"] == attempts_of(docker.root)[mark]["state_id"]
    assert config["User"] == f"{os.getuid()}:{os.getgid()}"
    assert container["Image"] == attempts_of(docker.root)[mark]["image"]
    assert host["NetworkMode"] == "none" and host["ReadonlyRootfs"] and not host["Privileged"]
    assert host["CapDrop"] == ["ALL"] and not host["CapAdd"]
    assert host["SecurityOpt"] == ["no-new-privileges"]
    assert host["PidMode"] == "" and host["IpcMode"] == "private"
    writable = {m["Destination"] for m in container["Mounts"] if m["RW"]}
    assert writable == {"/project-dir", "/data", "/run/segue/io", "/run/segue/kernel"}
    assert not any("docker" in m["Source"] for m in container["Mounts"]
                   if not m["Source"].startswith((str(docker.root), str(ROOT))))
    running.signal(signal.SIGTERM)
    assert docker.finish(running).code == 143


def give(path, uid):
    """The tree, and the way to it below the directory for temporary files, for somebody else."""
    for each in (path, *path.rglob("*")):
        os.chown(each, uid, uid)
    for parent in path.parents:
        if str(parent) == tempfile.gettempdir():
            break
        parent.chmod(parent.stat().st_mode | 0o055)


def test_files_keep_their_owner(docker):
    """Root runs the steps of somebody's project as that somebody, in containers and out of them."""
    make = ("import os, segue\nopen('{0}.txt', 'w').close()\nos.makedirs('{0}.dir')\n"
            "open(os.environ['SEGUE_DATA_DIR'] + '/{0}', 'w').close()\n"
            "segue.output(os.getuid(), name='{0}')\nprint(os.getuid())\n")
    in_process = ("set -e; mkdir process.dir; touch process.txt \"$SEGUE_DATA_DIR/process\"\n"
                  "test -s \"$SEGUE_IO_DIR\"/*/index.json; id -u\n")
    project = docker.project(
        py(make.format("notebook"), title="notebook"),
        Step("process", in_process, "notebook", path="process.sh", extra={"environment": ""}),
        Step("script", make.format("script"), "notebook process"),
        py("import segue\nprint(segue.get_inputs()['script'])", title="last", parents="script"))
    give(project.root, OWNER)
    source = project.root / "notebook.ipynb"
    source.chmod(0o640)
    result = docker.run(project, "--in-place")
    assert result.code == 0, result.explain()
    made = {path.name for path in project.root.iterdir()}
    assert {f"{t}.{kind}" for t in ("notebook", "process", "script") for kind in ("txt", "dir")} <= made
    for path in project.root.rglob("*"):
        assert (path.stat().st_uid, path.stat().st_gid) == (OWNER, OWNER), path
    assert source.stat().st_mode & 0o777 == 0o640
    assert words(result, "script") == words(result, "process") == f"{OWNER}\n"
    assert stream_text(project.read("last.ipynb")) == f"{OWNER}\n"


def test_unusual_paths(docker):
    """Paths that would have to be quoted somewhere."""
    step = py("import os\nprint(os.getcwd())", title="a b", environment="é e")
    step.path = "ä, b:c/it's \"$HOME\" 😀.ipynb"
    project = docker.project(Step("a", step.content, path=step.path, extra={"environment": "é e"}),
                             environments={"é e": PYTHON})
    result = docker.run(project)
    assert result.code == 0, result.explain()
    assert printed(result, step.path) == "/project-dir/ä, b:c\n"


def test_user_name_and_caches(docker):
    """What libraries ask of a user that the image does not know."""
    ask = ("import getpass, pathlib, tempfile, matplotlib\nprint(getpass.getuser(), pathlib.Path.home())\n"
           "import matplotlib.pyplot as plt\nplt.plot([1, 2]);\n")
    project = docker.project(py(ask))
    give(project.root, OWNER)
    result = docker.run(project)
    assert result.code == 0, result.explain()
    assert printed(result) == "segue /home/segue\n"


# ------------------------------------------------------------------------------------- it goes wrong


def test_out_of_memory(docker):
    # ipykernel sends what is printed from a thread of its own, which is to come to it.
    eat = "import time\nprint('eating', flush=True)\ntime.sleep(1)\nx = bytearray(600_000_000)\nfor i in range(0, len(x), 4096): x[i] = 1\n"
    environments = {"e": {**PYTHON, "resources": {"memory": "200MB"}}}
    project = docker.project(py("print('first')", eat), Step("b", eat), environments=environments)
    result = docker.run(project)
    assert result.code == 1
    for title in "ab":
        assert failure(result, title)["cause"] == "out_of_memory", failure(result, title)
        assert "out of memory" in failure(result, title)["message"]
    assert failure(result)["cell_index"] == 1
    assert printed(result) == "first\neating\n"


def test_container_killed_from_outside(docker):
    """In the middle of a cell: the partial output is on disk."""
    running = docker.started(docker.project(py("print('first')", WAIT)), "a")
    running.wait_for(lambda e: e["event"] == "output" and e["cell_index"] == 1)
    docker.engine.docker("kill", docker.container("a"))
    result = docker.finish(running, seconds=30)
    assert result.code == 1
    assert (failure(result)["cause"], failure(result)["cell_index"]) == ("kernel_died", 1)
    assert "SIGKILL" in failure(result)["message"]
    assert printed(result) == "first\nready\n"


def test_container_removed_from_outside(docker):
    running = docker.started(docker.project(py(WAIT)), "a")
    docker.engine.docker("rm", "--force", docker.container("a"))
    result = docker.finish(running, seconds=30)
    assert result.code in (1, 3)
    assert failure(result)["cause"] in ("kernel_died", "launcher_unavailable")
    assert printed(result) == "ready\n"


def test_kernel_kills_itself(docker):
    # What is printed is sent by a thread, which gets a moment to do it.
    source = "print('last words', flush=True)\nimport os, time\ntime.sleep(1)\nos.kill(os.getpid(), 9)"
    result = docker.run(docker.project(py(source)))
    assert result.code == 1
    assert failure(result)["cause"] == "kernel_died"
    assert printed(result) == "last words\n"


def test_retry_in_a_new_container(docker):
    source = ("import os\nfirst = not os.path.exists('tried')\nopen('tried', 'w').close()\n"
              "open('/tmp/x', 'x').close()\nif first:\n    os.kill(os.getpid(), 9)\nprint('alive')")
    project = docker.project(py(source, retries={"limit": 1, "delay": 0}))
    result = docker.run(project)
    assert result.code == 0, result.explain()
    assert printed(result) == "alive\n"


@pytest.mark.parametrize("name", ["python", "bash"])
def test_cell_timeout(docker, name):
    """The cell is interrupted, not just killed: what it says about that is saved."""
    if name == "python":
        step = py(WAIT, cell_timeout=1)
    else:
        step = sh(WAIT_SH, cell_timeout=1)
    project = docker.project(step, environments={"python": PYTHON, "bash": BASH})
    result = docker.run(project, seconds=30)
    assert result.code == 1
    assert failure(result)["cause"] == "timeout"
    assert printed(result).startswith("ready\n")
    if name == "python":
        error = result.notebook("a.ipynb")["cells"][0]["outputs"][-1]
        assert error["ename"] == "KeyboardInterrupt"
        assert any("time.sleep" in line for line in error["traceback"])


def test_step_timeout_of_a_script(docker):
    project = docker.project(Step("a", WAIT + "\n", extra={"timeout": 3}))
    result = docker.run(project, seconds=30)
    assert failure(result)["cause"] == "timeout"
    assert words(result, "a") == "ready\n"


def test_runs_side_by_side(docker):
    """On one engine and in one state root, none hears of the others' containers."""
    running = docker.started(docker.project(py(WAIT)), "a")
    container = docker.container("a")
    others = [Project(docker.root / f"other-{n}", [py(f"print({n})", title="b")]) for n in range(3)]
    for other in others:
        other.write(".segue/environments.json", json.dumps({"python": PYTHON}))
        other.step("b")["environment"] = "python"
        other.save()
    several = [docker.start(other) for other in others]  # each recovers what it finds
    for n, each in enumerate(several):
        result = docker.finish(each)
        assert result.code == 0, result.explain()
        assert printed(result, "b.ipynb") == f"{n}\n"
    assert docker.engine.inspect(container)["State"]["Running"]
    running.signal(signal.SIGINT)
    assert docker.finish(running).code == 130


# ----------------------------------------------------------------------------- signals and kill -9


STUBBORN = ("import signal, subprocess, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
            "subprocess.Popen(['sleep', '600'], start_new_session=True)\nprint('ready', flush=True)\n"
            "while True:\n    try:\n        time.sleep(600)\n    except KeyboardInterrupt:\n        pass\n")


@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["INT", "TERM"])
def test_signal_stops_everything(docker, number, code):
    project = docker.project(py(WAIT, title="plain"), py(STUBBORN, title="stubborn"), Step("script", STUBBORN),
                             Step("later", "pass\n", "plain"))
    running = docker.started(project, "plain stubborn script", "--max-parallel", "3")
    sent = time.monotonic()
    running.signal(number)
    result = docker.finish(running)
    assert time.monotonic() - sent < 5
    assert result.code == code, result.explain()
    docker.check_nothing_left()
    causes = {e["step_uuid"]: e["failure"]["cause"] for e in result.of("step_finished")}
    assert causes.pop(uuid_of("later")) in ("upstream", "cancelled")
    assert set(causes.values()) == {"cancelled"}
    assert printed(result, "plain.ipynb") == "ready\n"


@pytest.mark.parametrize("delay", [0, 0.1, 0.2, 0.3, 0.5, 0.8])
def test_signal_while_it_starts(docker, delay):
    """At whatever moment: between the look into the image, the creation and the start."""
    running = docker.start(docker.project(py(WAIT), Step("b", WAIT + "\n")))
    running.wait_for(lambda e: e["event"] == "step_started")
    time.sleep(delay)
    sent = time.monotonic()
    running.signal(signal.SIGINT)
    result = docker.finish(running, seconds=30)
    assert result.code == 130, result.explain()
    assert time.monotonic() - sent < 5
    docker.check_nothing_left()


def test_kill_9_of_the_program(docker):
    """The keepers notice: containers go without anybody's next start, the copy is complete."""
    running = docker.started(docker.project(py("print('first')", WAIT)), "a")
    running.wait_for(lambda e: e["event"] == "output" and e["cell_index"] == 1)
    running.signal(signal.SIGKILL)
    docker.finish(running)
    nothing_left(docker.root, seconds=10)
    assert docker.left() == []
    assert copy_of(docker) == "first\nready\n"
    recover(docker)


def test_kill_9_of_a_keeper(docker):
    running = docker.started(docker.project(py("print('first')", WAIT), Step("b", "pass\n", "a")), "a")
    running.wait_for(lambda e: e["event"] == "output" and e["cell_index"] == 1)
    (keeper,) = keepers_of(docker.root)
    os.kill(keeper, signal.SIGKILL)
    result = docker.finish(running, seconds=40)
    assert result.code == 1
    assert failure(result)["cause"] == "step_lost"
    assert result.finished(uuid_of("b"))["status"] == "ABORTED"
    assert printed(result) == "first\nready\n"
    assert docker.left() == []


def children(pid):
    found = []
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                with open(f"/proc/{entry.name}/stat", encoding="utf-8") as file:
                    if int(file.read().rsplit(")", 1)[1].split()[1]) == pid:
                        found.append(int(entry.name))
            except (OSError, IndexError):
                pass
    return found


def test_kill_9_of_the_nursery(docker):
    """Where keepers are born: a running step goes on, the next one starts all the same."""
    go_on = "import os, time\nprint('ready', flush=True)\nwhile not os.path.exists('go'):\n    time.sleep(0.02)\n"
    project = docker.project(py(go_on), py("print('second')", title="b", parents="a"))
    running = docker.started(project, "a")
    (nursery,) = children(running.pid)
    os.kill(nursery, signal.SIGKILL)
    (project.root / "go").write_text("")
    result = docker.finish(running)
    assert result.code == 0, result.explain()
    assert printed(result, "b.ipynb") == "second\n"


def test_kill_9_of_all_at_once(docker):
    """Program, nursery and keeper die; the next start removes the container and completes the copy."""
    running = docker.started(docker.project(py("print('first')", WAIT)), "a")
    running.wait_for(lambda e: e["event"] == "output" and e["cell_index"] == 1)
    container = docker.container("a")
    for pid in (running.pid, *children(running.pid), *keepers_of(docker.root)):
        os.kill(pid, signal.SIGKILL)
    docker.finish(running)
    assert docker.engine.inspect(container)["State"]["Running"], "nobody was left to stop it"
    recover(docker)
    assert docker.left() == []
    assert copy_of(docker) == "first\nready\n"


def test_kill_9_while_it_starts(docker):
    """The container for looking into the image carries the mark, too."""
    for delay in (0, 0.05, 0.1, 0.2, 0.4):
        running = docker.start(docker.project(py("1")))
        running.wait_for(lambda e: e["event"] == "step_started")
        time.sleep(delay)
        for pid in (running.pid, *children(running.pid), *keepers_of(docker.root)):
            os.kill(pid, signal.SIGKILL)
        docker.finish(running)
    recover(docker)


# -------------------------------------------------------------------------------------- the engine


def test_no_engine(docker):
    docker.world.env["DOCKER_HOST"] = f"unix://{docker.root}/no.sock"
    result = docker.run(docker.project(py("1"), py("2", title="b", parents="a")))
    assert result.code == 3, result.explain()
    assert failure(result)["cause"] == "launcher_unavailable"
    assert "no.sock" in failure(result)["message"]
    assert result.finished(uuid_of("b"))["status"] == "ABORTED"


def test_engine_that_never_answers(docker):
    """Something listens and says nothing: given up in time, and at once when asked to."""
    path = f"{docker.root}/mute.sock"
    docker.world.env["DOCKER_HOST"] = f"unix://{path}"
    with socket.socket(socket.AF_UNIX) as mute:
        mute.bind(path)
        mute.listen(8)
        running = docker.start(docker.project(py("1")))
        result = docker.finish(running, seconds=60)
    assert result.code == 3, result.explain()
    assert failure(result)["cause"] == "launcher_unavailable"


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_engine_gone(fragile, how):
    """Stopped in order, or dead: the steps end in bounded time, and nothing is left of them when it
    is back and another run has started."""
    script = Step("b", WAIT_SH + "\n", path="b.sh")
    project = fragile.project(sh("echo first", WAIT_SH), script, environments={"bash": BASH})
    running = fragile.started(project, "a b")
    running.wait_for(lambda e: e["event"] == "output" and e.get("cell_index") == 1)
    gone = time.monotonic()
    getattr(fragile.engine, how)()
    result = fragile.finish(running, seconds=90)
    assert time.monotonic() - gone < 45
    assert result.code == (3 if how == "kill" else result.code) and result.code in (1, 3), result.explain()
    causes = ("launcher_unavailable",) if how == "kill" else (
        "launcher_unavailable", "kernel_died", "exit_code")
    assert failure(result)["cause"] in causes and failure(result, "b")["cause"] in causes
    assert printed(result) == "first\nready\n"
    nothing_left(fragile.root)
    fragile.engine.start()
    fragile.world.env["DOCKER_HOST"] = fragile.engine.host
    recover(fragile)
    assert fragile.engine.containers() == []


def test_hung_engine_and_a_signal(fragile):
    """dockerd is stopped (SIGSTOP): an interrupt is still obeyed, and what could not be removed is
    removed by the next start."""
    running = fragile.started(fragile.project(sh(WAIT_SH), environments={"bash": BASH}), "a")
    daemon = fragile.engine.dockerd()
    os.kill(daemon, signal.SIGSTOP)
    try:
        sent = time.monotonic()
        running.signal(signal.SIGINT)
        result = fragile.finish(running, seconds=120)
        took = time.monotonic() - sent
    finally:
        os.kill(daemon, signal.SIGCONT)
    assert result.code == 130, result.explain()
    assert took < 20
    recover(fragile)
    assert fragile.engine.containers() == []


def test_engine_restarts_between_two_steps(fragile):
    """A run outlives an engine that is away while it does not need it."""
    link = fragile.root / "engine.sock"

    def point_there():
        link.unlink(missing_ok=True)
        link.symlink_to(fragile.engine.host.removeprefix("unix://"))

    point_there()
    fragile.world.env["DOCKER_HOST"] = f"unix://{link}"
    wait = ("import os, time\nopen('here', 'w').close()\nwhile not os.path.exists('go'):\n"
            "    time.sleep(0.05)\n")
    project = fragile.project(Step("wait", wait, extra={"environment": ""}),
                              sh("echo fine", parents="wait"), environments={"bash": BASH})
    running = fragile.start(project)
    wait_until(lambda: (project.root / "here").exists(), 20, "the first step")
    fragile.engine.stop()
    fragile.engine.start()
    point_there()
    (project.root / "go").write_text("")
    result = fragile.finish(running)
    assert result.code == 0, result.explain()
    assert printed(result) == "fine\n"


def test_processes_are_not_touched(docker):
    """--launcher process: no engine is asked, whatever the environment says."""
    docker.world.env["DOCKER_HOST"] = f"unix://{docker.root}/no.sock"
    result = docker.run(docker.project(py("print('here')")), "--launcher", "process")
    assert result.code == 0, result.explain()
    assert printed(result) == "here\n"
    assert not processes_of(docker.root)
