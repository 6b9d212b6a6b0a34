"""What every integration test gets: a directory of its own with its own state, kernels to choose
from, and a check at the end that nothing of it is left running."""

import contextlib
import itertools
import os

import pytest
from kernels import write_fake_kernelspecs
from support.project import Project, Step
from support.segue import (
    Running,
    environment,
    nothing_left,
    parse_events,
    program,
    run_pipeline,
    write_python_kernelspecs,
)
from support.service import Service


@pytest.fixture(scope="session")
def segue_path():
    """The program under test: SEGUE, or the newest build."""
    return program()


@pytest.fixture(scope="session")
def jupyter_path(tmp_path_factory):
    directory = tmp_path_factory.mktemp("jupyter")
    write_python_kernelspecs(directory)
    write_fake_kernelspecs(directory)
    return directory


class World:
    """A temporary directory in which segue runs: project, state, output."""

    def __init__(self, root, jupyter_path):
        self.root = root
        self.state = root / "state"
        self.env = environment(self.state, jupyter_path)
        self._outputs = (root / f"output-{n}" for n in itertools.count(1))
        self._running = []

    def project(self, *steps, **options):
        """A project of Steps; a plain pair (title, content) will do for a step without parents."""
        steps = [step if isinstance(step, Step) else Step(*step) for step in steps]
        return Project(self.root / "project", steps, **options)

    def run(self, project, *arguments, seconds=60):
        """`segue run --json` to its end."""
        return run_pipeline(project, self.env, next(self._outputs), *arguments, seconds=seconds)

    def start(self, project, *arguments, with_output=True):
        """`segue run --json`, not waited for."""
        output = next(self._outputs)
        where = ["--output", output] if with_output else []
        argv = [program(), "run", project.pipeline, *where, "--json", *arguments]
        running = Running(argv, self.env, project.root, output)
        self._running.append(running)
        return running

    def command(self, *arguments, cwd=None, seconds=60):
        """Any other command; stdout is not parsed."""
        running = Running([program(), *arguments], self.env, cwd or self.root, next(self._outputs))
        self._running.append(running)
        return running.wait(seconds)

    def finish(self, running, seconds=60):
        """wait() of a started run, with its events; a torn last line is dropped if it was killed."""
        result = running.wait(seconds)
        text = result.stdout
        if result.code < 0:
            text = text.rpartition("\n")[0]
        result.events = parse_events(text)
        return result

    def close(self):
        for running in self._running:
            running.close()


@pytest.fixture
def world(tmp_path_factory, jupyter_path, segue_path):
    root = tmp_path_factory.mktemp("w")
    made = World(root, jupyter_path)
    yield made
    made.close()
    nothing_left(root, seconds=10)


@pytest.fixture
def new_service(tmp_path_factory, jupyter_path, segue_path):
    """Makes services, each in a directory of its own: new_service("--hold"). Not started yet."""

    def make(*options, **more):
        root = tmp_path_factory.mktemp("s")
        service = Service(root, environment(root / "state", jupyter_path), *options, **more)
        made.callback(service.close)
        return service

    with contextlib.ExitStack() as made:
        yield make


@pytest.fixture
def service(new_service):
    """`segue serve`, running."""
    return new_service().start()


@pytest.fixture
def as_root():
    if os.geteuid() != 0:
        pytest.skip("needs root: mounts a small file system")
