"""Jobs whose runs are in containers: each on its own copy of the project, and tried again when it was
the machine that failed."""

import json

import pytest
from support.project import Step, uuid_of
from support.segue import wait_until
from test_docker import BASH, engine  # noqa: F401

APPENDS = "cat note\necho $SEGUE_RUN_UUID >> note\ncat note\n"


@pytest.fixture
def service(new_service, engine):  # noqa: F811
    made = new_service("--max-background-runs", 2)
    made.env["DOCKER_HOST"] = engine.host
    return made.start()


def project_with(service, environment):
    step = Step("a", APPENDS, path="a.sh", extra={"environment": "box"})
    project = service.project("p", step)
    project.write(".segue/environments.json", json.dumps({"box": environment}))
    project.write("note", "as it was\n")
    return project


def create(service, project, **more):
    answer = service.post("jobs", service.body_for(project, **more))
    assert answer.status_code == 201, answer.text
    return answer.json()["uuid"]


def wait_for(service, job, status):
    def look():
        return service.get(f"jobs/{job}").json()["status"] == status

    wait_until(look, 120, f"the job is {status}")


def test_each_container_has_its_own_copy(service):
    project = project_with(service, BASH)
    job = create(service, project, parameters={"grid": {"pipeline_parameters": {"n": [1, 2, 3]}}})
    wait_for(service, job, "SUCCESS")
    rows = service.get(f"jobs/{job}/results").json()["rows"]
    assert len(rows) == 3
    for row in rows:
        run = row["run_uuid"]
        note = service.state / "runs" / run / "project" / "note"
        assert note.read_text() == f"as it was\n{run}\n"
        assert note.stat().st_uid == project.root.stat().st_uid
        assert f"as it was\n{run}\n" in service.get(f"runs/{run}/steps/{uuid_of('a')}/log").text
    assert (project.root / "note").read_text() == "as it was\n"


def test_an_image_that_comes_later(service, engine):  # noqa: F811
    """No try is used up while the image is missing: it has one, and succeeds as soon as it is there."""
    image = "segue/comes-later"
    engine.docker("rmi", "-f", image, check=False)
    project = project_with(service, {**BASH, "image": image})
    job = create(service, project)

    def tried():
        row = service.get(f"jobs/{job}/results").json()["rows"][0]
        return row["cause"] == "environment_missing" and row["status"] == "PENDING"

    wait_until(tried, 60, "it was tried in vain")
    engine.docker("tag", BASH["image"], image)
    try:
        wait_for(service, job, "SUCCESS")
    finally:
        engine.docker("rmi", image, check=False)
    assert service.get(f"jobs/{job}/results").json()["rows"][0]["status"] == "SUCCESS"
