"""Jobs when disks are full, files are gone, and the service is stopped."""

import errno
import shutil
import subprocess
import time

import pytest
from support.campaign import check_problem, read_lines
from support.project import Step, uuid_of
from support.segue import wait_until
from support.service import HANG_S

ENDED = ("SUCCESS", "FAILURE", "ABORTED")
COUNTS = 'echo "$SEGUE_RUN_UUID" >>"$COUNT_FILE"\n'
MB = 1 << 20


def grid(values):
    return {"grid": {"pipeline_parameters": {"n": values}}}


def project_of(service, name="p", text="echo here\n", size=0):
    project = service.project(name, Step("a", text, path="a.sh"))
    if size:
        (project.root / "data").write_bytes(b"x" * size)
    return project


def create(service, project, **more):
    answer = service.post("jobs", service.body_for(project, **more))
    assert answer.status_code == 201, answer.text
    return answer.json()["uuid"]


def job_of(service, job):
    answer = service.get(f"jobs/{job}")
    assert answer.status_code == 200, answer.text
    return answer.json()


def wait_for(service, job, seconds=HANG_S):
    wait_until(lambda: job_of(service, job)["status"] in ENDED, seconds, f"its end\n{service.explain()}")
    return job_of(service, job)


def act(service, job, what):
    answer = service.post(f"jobs/{job}/{what}")
    assert answer.status_code in (200, 201, 202), answer.text


def rows_of(service, job):
    return service.get(f"jobs/{job}/results").json()["rows"]


def names(directory):
    return sorted(entry.name for entry in directory.iterdir())


# --------------------------------------------------------------------------------------- full disks


@pytest.fixture
def tiny_service(new_service, as_root):
    """With its state on a file system of 12 MB."""
    service = new_service("--max-background-runs", 1)
    service.state.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", service.state],
                          capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.skip(f"cannot mount a tmpfs here: {made.stderr.strip()}")
    yield service.start()
    service.close(check=False)
    subprocess.run(["umount", "-l", service.state], check=True)


def fill(directory, but=0):
    """All of it, `but` so many bytes."""
    with open(directory / "filler", "ab", buffering=0) as file:
        try:
            while True:
                file.write(bytes(65536))
        except OSError as e:
            assert e.errno == errno.ENOSPC
        file.truncate(max(0, file.tell() - but))


def test_snapshot_that_does_not_fit(tiny_service):
    service = tiny_service
    large = project_of(service, "large", size=20 * MB)
    for more in ({}, {"draft": True}):
        answer = service.post("jobs", service.body_for(large, **more))
        assert answer.status_code == 507, answer.text
        check_problem(answer)
    assert service.get("jobs").json()["jobs"] == []
    assert names(service.state / "jobs") == []
    job = create(service, project_of(service, "small"))
    assert wait_for(service, job)["status"] == "SUCCESS"
    assert names(service.state / "jobs") == [job]


def test_new_snapshot_that_does_not_fit(tiny_service):
    """The job stays what it was."""
    service = tiny_service
    project = project_of(service)
    job = create(service, project, draft=True)
    (project.root / "data").write_bytes(bytes(20 * MB))
    answer = service.request("PUT", f"jobs/{job}", {"refresh": True, "name": "other"})
    assert answer.status_code == 507, answer.text
    assert len(names(service.state / "jobs" / job)) == 1
    assert job_of(service, job)["name"] != "other"
    act(service, job, "confirm")
    assert wait_for(service, job)["status"] == "SUCCESS"


def test_store_that_does_not_fit(tiny_service):
    """Refused while the disk is full, kept once it is said to be; goes on without a restart."""
    service = tiny_service
    job = create(service, project_of(service), parameters=grid("1..300"), schedule={"cron": "0 0 1 1 *"})
    fill(service.state)
    triggered, refused = 0, 0
    for _ in range(20):  # the database has some room of its own
        answer = service.post(f"jobs/{job}/trigger")
        triggered += answer.status_code == 201
        if answer.status_code != 201:
            refused += 1
            check_problem(answer)
            assert answer.status_code in (503, 507), answer.text
            break
    assert refused, "a full disk was not noticed"
    assert job_of(service, job)["fires_total"] == triggered, "what is there can be read"
    (service.state / "filler").unlink()
    answer = service.post(f"jobs/{job}/abort")
    assert answer.status_code == 202, answer.text
    other = create(service, project_of(service, "other"))
    assert wait_for(service, other)["status"] == "SUCCESS"
    assert job_of(service, job)["fires_total"] == triggered


def test_copy_that_does_not_fit(tiny_service):
    """The disk's fault, not the set's: it is begun again when there is room, and its tries are left."""
    service = tiny_service
    job = create(service, project_of(service, size=3 * MB), draft=True)
    fill(service.state, but=2 * MB)
    act(service, job, "confirm")
    wait_until(lambda: service.logged("job_run_failed_to_begin"), HANG_S, "it does not fit")
    wait_until(lambda: names(service.state / "runs") == [], HANG_S, "what was begun is gone")
    assert job_of(service, job)["status"] == "STARTED"
    (service.state / "filler").unlink()
    assert wait_for(service, job)["status"] == "SUCCESS"
    (row,) = rows_of(service, job)
    assert (row["status"], row["cause"]) == ("SUCCESS", None)


# ---------------------------------------------------------------------------------- things are gone


def test_snapshot_that_somebody_removed(new_service):
    service = new_service().start()
    job = create(service, project_of(service), draft=True, parameters=grid("1..3"))
    shutil.rmtree(service.state / "jobs" / job)
    act(service, job, "confirm")
    assert wait_for(service, job)["status"] == "FAILURE"
    assert {(row["status"], row["cause"]) for row in rows_of(service, job)} == {("FAILURE", "input_invalid")}
    assert any(str(job) in line["detail"] for line in service.logged("job_run_failed_to_begin"))
    assert names(service.state / "runs") == []
    assert service.delete(f"jobs/{job}").status_code == 204
    wait_until(lambda: names(service.state / "jobs") == [], HANG_S, "it goes")


def test_project_that_is_gone(new_service):
    """What runs is the snapshot."""
    service = new_service().start()
    project = project_of(service)
    job = create(service, project, draft=True)
    shutil.rmtree(project.root)
    act(service, job, "confirm")
    assert wait_for(service, job)["status"] == "SUCCESS", service.explain()
    (row,) = rows_of(service, job)
    assert "here" in service.get(f"runs/{row['run_uuid']}/steps/{uuid_of('a')}/log").text


def test_run_that_somebody_deleted_while_it_was_not_looked_at(new_service):
    """A run that ended while jobs were held up, and is gone before its end was taken in."""
    service = new_service("--max-background-runs", 1).start()
    go = service.root / "go"
    project = project_of(service, text=f"while [ ! -e {go} ]; do sleep 0.05; done\n")
    job = create(service, project, parameters=grid("1..2"))
    wait_until(lambda: service.get("runs", status="STARTED").json()["runs"], HANG_S, "a run")
    (run,) = service.get("runs", status="STARTED").json()["runs"]
    service.stop()
    database = service.state / "jobs.db"
    kept = {path: path.read_bytes() for path in service.state.glob("jobs.db*")}
    service.start()
    go.touch()
    assert wait_for(service, job)["status"] == "SUCCESS"
    assert service.delete(f"runs/{run['uuid']}").status_code == 204
    service.stop()
    for path in service.state.glob("jobs.db*"):
        path.unlink()
    for path, content in kept.items():  # as if nothing had been taken in
        path.write_bytes(content)
    assert database.exists()
    service.start()
    assert wait_for(service, job)["status"] in ("ABORTED", "FAILURE")
    statuses = {row["run_uuid"]: row["status"] for row in rows_of(service, job)}
    assert statuses[run["uuid"]] == "ABORTED"


@pytest.mark.parametrize("damage", ["no database", "cut off", "a directory", "zeros"])
def test_damaged_store_is_refused(new_service, damage):
    """By name, without a crash, and without being made anew over what may still be saved."""
    service = new_service().start()
    wait_for(service, create(service, project_of(service), parameters=grid("1..20")))
    service.stop()
    path = service.state / "jobs.db"
    content = path.read_bytes()
    for beside in service.state.glob("jobs.db-*"):
        beside.unlink()
    if damage == "no database":
        path.write_bytes(b"this is something else\n" * 500)
    elif damage == "cut off":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "a directory":
        path.unlink()
        path.mkdir()
    else:
        path.write_bytes(content[:100] + bytes(len(content) - 100))
    damaged = path.read_bytes() if path.is_file() else None
    service.launch()
    assert not service.wait_until_listening(), "it was not noticed"
    assert service.wait() in (1, 2, 3), service.explain()
    assert "jobs.db" in service.errors()
    if damaged is not None:
        assert path.read_bytes() == damaged, "it was written to"


# --------------------------------------------------------------------------------------- being stopped


def test_stopped_while_runs_are_made(new_service):
    """In order, whenever it is asked to, and it goes on where it was."""
    service = new_service("--max-background-runs", 4)
    service.env["COUNT_FILE"] = str(service.root / "count")
    service.start()
    project = project_of(service, text=COUNTS, size=MB)
    job = create(service, project, parameters=grid("1..60"))
    for n in range(5):
        time.sleep(0.1 + 0.05 * n)  # in the middle of something
        service.restart()
    assert wait_for(service, job)["status"] == "SUCCESS", service.explain()
    begun = read_lines(service.root / "count")
    assert len(begun) == len(set(begun)) == 60
