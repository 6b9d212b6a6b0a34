"""`segue serve` with steps in containers, killed at random: as test_survival.py, and no container is
left either. The engine dies as well."""

import json
import os

import pytest
from support.campaign import ENDS, Campaign, ends_of
from support.engine import Engine, attempts_of
from support.segue import wait_until
from test_docker import BASH, PYTHON, engine, second_directory  # noqa: F401

KILLS = 40 if os.environ.get("SEGUE_SOAK") else 6


def project_in_containers(service, name, *steps):
    environments = {"bash": BASH, "python": PYTHON}
    for step in steps:
        step.extra["environment"] = "python" if step.path.endswith(".ipynb") else "bash"
    project = service.project(name, *steps)
    project.write(".segue/environments.json", json.dumps(environments))
    return project


@pytest.fixture
def container_service(new_service, engine):  # noqa: F811
    service = new_service("--max-runs", 3, "--max-steps", 3)
    service.env["DOCKER_HOST"] = engine.host
    service.start()
    yield service
    left = [each for mark in attempts_of(service.root) for each in engine.containers(mark)]
    assert left == [], "containers are left"


@pytest.mark.timeout(3600 if os.environ.get("SEGUE_SOAK") else 170)
def test_random_kills_with_containers(container_service):
    campaign = Campaign(container_service, ("failing", "retrying", "real_notebook"), project_in_containers)
    for _ in range(KILLS):
        campaign.keep_busy(2)
        campaign.kill(longest=2)
    campaign.check()


@pytest.mark.timeout(170)
def test_engine_and_daemon_die(new_service, second_directory):  # noqa: F811
    """Both are killed while a container runs. Its step ends, and says so; nothing is left; the next
    run is run."""
    engine = Engine(second_directory)  # noqa: F811
    engine.start()
    service = new_service()
    service.env["DOCKER_HOST"] = engine.host
    service.start()
    campaign = Campaign(service, ("failing",), project_in_containers)
    uuid = campaign.submit()
    service.wait_for_event(uuid, "output")
    engine.kill()
    service.kill9()
    engine.start()
    service.env["DOCKER_HOST"] = engine.host
    service.start()
    run = service.wait_for_run(uuid, 120)
    for step in run["steps"]:
        if step["status"] == "FAILURE":
            campaign.note_hurt(uuid, step["step_uuid"], "kernel_died", "launcher_unavailable", "exit_code", "step_lost",
                               "kernel_start_failed")
    campaign.check_run(service.run(uuid), ENDS["failing"], campaign.followers[uuid].wait())
    again = campaign.submit()
    assert ends_of(service.wait_for_run(again, 120)) == ENDS["failing"]
    campaign.everybody.stop()
    service.nothing_left()
    service.restart()  # what could not be cleared while the engine was away is left to the next start
    wait_until(lambda: not engine.containers(), 30, "containers are removed")
