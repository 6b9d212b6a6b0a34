"""Both executors run all selected notebooks once per session; the tests then look at the results."""

import os
from dataclasses import dataclass

import pytest
import reference
from corpus import CASES
from support.project import Project, Step
from support.segue import environment, nothing_left, run_pipeline, write_python_kernelspecs

BATCH = 40


def selected(request):
    """The cases of the tests that this session will run, in the corpus's order."""
    names = {item.callspec.params.get("name") for item in request.session.items
             if hasattr(item, "callspec")}
    return [case for case in CASES.values() if case.name in names]


@pytest.fixture(scope="session")
def kernels(tmp_path_factory):
    directory = tmp_path_factory.mktemp("jupyter")
    write_python_kernelspecs(directory)
    return directory


@pytest.fixture(scope="session")
def references(request, kernels, tmp_path_factory):
    root = tmp_path_factory.mktemp("nbclient")
    env = environment(root / "state", kernels)
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(env)
    try:
        return reference.execute_all(selected(request), root, env)
    finally:
        os.environ.clear()
        os.environ.update(before)


@dataclass
class Executed:
    """What segue made of a notebook: the file's text (None: no file) and its step's last event."""

    text: str | None
    events: list
    run: object


def batches(cases):
    """Cases that share a pipeline: those with pipeline parameters get one of their own."""
    plain = [case for case in cases if not case.pipeline_parameters]
    yield from (plain[at : at + BATCH] for at in range(0, len(plain), BATCH))
    yield from ([case] for case in cases if case.pipeline_parameters)


def run_batch(cases, root, env):
    steps = []
    for case in cases:
        path = f"{case.name}/notebook.ipynb"
        steps.append(Step(case.name, case.text().encode("utf-8"), path=path, kernel=case.kernel,
                          parameters=case.parameters))
    project = Project(root / "project", steps, parameters=cases[0].pipeline_parameters,
                      settings={"max_steps_parallelism": os.cpu_count() or 1})
    for case in cases:
        for name, content in case.files.items():
            project.write(f"{case.name}/{name}", content)
    run = run_pipeline(project, env, root / "output", seconds=60 + 15 * len(cases))
    nothing_left(root)
    for case in cases:
        step = project.steps[case.name]
        written = run.output / step.path
        text = written.read_bytes().decode("utf-8") if written.exists() else None
        yield case.name, Executed(text, run.of("step_finished", step.uuid), run)


@pytest.fixture(scope="session")
def executed(request, kernels, tmp_path_factory):
    results = {}
    for cases in batches(selected(request)):
        root = tmp_path_factory.mktemp("segue")
        try:
            results.update(run_batch(cases, root, environment(root / "state", kernels)))
        except (AssertionError, OSError) as e:
            results.update((case.name, e) for case in cases)
    return results
