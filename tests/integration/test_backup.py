"""`segue backup`: what is in the copy that is made while runs go on, and a service started from it."""

import subprocess

import pytest
from support.notebooks import notebook, stream_text
from support.project import Step, uuid_of
from support.segue import wait_until

WAITS = "echo waiting\nwhile [ ! -e go ]; do sleep 0.05; done\necho went on\n"
GIVES = "import segue\nsegue.output({'answer': 42}, 'a')\nprint('gave')\n"
TAKES = "import segue\nprint('got', segue.get_inputs()['a']['answer'])\n"


def backup(service, target, *options):
    return subprocess.run([service.segue, "backup", "--state", service.state, *options, target],
                          env=service.env, capture_output=True, text=True, timeout=60, check=False)


def made_backup(service):
    target = service.root / "copy"
    done = backup(service, target)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    return target


@pytest.fixture
def start_copy(new_service):
    """A service on a copy of another's state, beside it, with the same projects."""

    def start(service, target, *options):
        copy = new_service(*options, projects=service.projects, state=target)
        return copy.start()

    return start


def log_of(service, run, step):
    response = service.get(f"runs/{run}/steps/{uuid_of(step)}/log")
    assert response.status_code == 200, response.text
    return response.text


def test_ended_runs_are_all_there(service, start_copy):
    project = service.project("p", Step("a", notebook("print('gave')")), Step("b", "print('b')\n", "a"))
    uuids = [service.submit(project)["uuid"] for _ in range(3)]
    for uuid in uuids:
        assert service.wait_for_run(uuid)["status"] == "SUCCESS"
    copy = start_copy(service, made_backup(service))
    assert copy.runs(include="steps") == service.runs(include="steps")
    for uuid in uuids:
        assert copy.events(uuid) == service.events(uuid)
        for step in "ab":
            assert log_of(copy, uuid, step) == log_of(service, uuid, step)
        path = f"runs/{uuid}/steps/{uuid_of('a')}/notebook"
        assert copy.get(path).json() == service.get(path).json()
        assert stream_text(copy.get(path).json()) == "gave\n"


def test_results_can_be_used_by_a_partial_run(service, start_copy):
    project = service.project("p", Step("a", GIVES), Step("b", TAKES, "a"))
    first = service.submit(project, run_type="upto", uuids=[uuid_of("a")])["uuid"]
    assert service.wait_for_run(first)["status"] == "SUCCESS"
    target = made_backup(service)
    service.delete(f"runs/{first}")  # the copy leads into itself, not to the original
    copy = start_copy(service, target)
    second = copy.submit(project, run_type="selection", uuids=[uuid_of("b")])["uuid"]
    assert copy.wait_for_run(second)["status"] == "SUCCESS", log_of(copy, second, "b")
    assert log_of(copy, second, "b").endswith("got 42\n")


def test_running_steps_are_lost_in_the_copy_alone(service, start_copy):
    """The service goes on meanwhile, and its step as well while the copy is taken up: a script and a
    notebook, which is not written to by anybody else either."""
    waiting = notebook("import time, pathlib\nprint('waiting')\n"
                       "while not pathlib.Path('go').exists(): time.sleep(0.05)", "print('went on')")
    project = service.project("p", Step("a", WAITS, path="a.sh"), Step("n", waiting), Step("b", "print(1)\n", "a n"))
    uuid = service.submit(project)["uuid"]
    for step in "an":
        service.wait_for_event(uuid, lambda e, s=uuid_of(step): e["event"] == "output" and e["step_uuid"] == s)
    copy = start_copy(service, made_backup(service))
    run = copy.wait_for_run(uuid)
    states = {s["title"]: (s["status"], s["failure"]["cause"]) for s in run["steps"]}
    assert states == {"a": ("FAILURE", "step_lost"), "n": ("FAILURE", "step_lost"), "b": ("ABORTED", "upstream")}
    assert log_of(copy, uuid, "a") == "waiting\n"
    assert log_of(copy, uuid, "n") == "waiting\n"
    copy.stop()
    assert service.run(uuid)["status"] == "STARTED"
    (project.root / "go").touch()
    run = service.wait_for_run(uuid)
    assert [s["status"] for s in run["steps"]] == ["SUCCESS"] * 3, run
    assert [s["attempt"] for s in run["steps"]] == [1] * 3
    assert log_of(service, uuid, "n") == "waiting\nwent on\n"


def test_backup_of_a_busy_service(service, start_copy):
    """Runs end, are started and deleted while it is copied: what the copy lists can be read."""
    projects = [service.project(f"p{n}", Step("a", GIVES), Step("b", TAKES, "a")) for n in range(3)]
    uuids = [service.submit(p)["uuid"] for p in projects for _ in range(4)]
    service.wait_for_run(uuids[0])
    service.delete(f"runs/{uuids[0]}")
    copies = []
    while any(run["status"] in ("PENDING", "STARTED") for run in service.runs()):
        copies.append(service.root / f"copy{len(copies)}")
        assert backup(service, copies[-1]).returncode == 0
    assert copies
    copy = start_copy(service, copies[len(copies) // 2], "--hold")
    listed = {run["uuid"] for run in copy.runs()}
    assert listed == set(uuids[1:])
    for run in copy.runs(include="steps"):
        if run["status"] not in ("PENDING", "STARTED"):
            assert copy.events(run["uuid"])[-1]["event"] == "run_finished"
        for step in run["steps"]:
            if step["status"] == "SUCCESS":
                assert log_of(copy, run["uuid"], step["title"]) == {"a": "gave\n", "b": "got 42\n"}[step["title"]]


def test_waiting_runs_wait_in_the_copy(new_service, start_copy):
    service = new_service("--hold").start()
    uuid = service.submit(service.project("p", ("a", "print(1)\n")))["uuid"]
    copy = start_copy(service, made_backup(service))
    assert copy.wait_for_run(uuid)["status"] == "SUCCESS"
    assert service.run(uuid)["status"] == "PENDING"


def test_backup_of_a_service_that_does_not_run(service):
    service.submit(service.project("p", ("a", "print(1)\n")))
    service.wait_for_run(service.runs()[0]["uuid"])
    service.stop()
    assert (made_backup(service) / "segue.db").exists()


SCORES = "import segue\nsegue.log_metric('score', segue.get_step_param('x') * 2)\n"


def new_job(service, count):
    """Of so many sets."""
    project = service.project("p", Step("a", SCORES))
    grid = {uuid_of("a"): {"x": list(range(count))}}
    answer = service.post("jobs", service.body_for(project, parameters={"grid": grid}))
    assert answer.status_code == 201, answer.text
    return project, f"jobs/{answer.json()['uuid']}"


def rows_of(service, job):
    answer = service.get(f"{job}/results", limit=1000)
    assert answer.status_code == 200, answer.text
    return answer.json()["rows"]


def wait_for_job(service, job):
    wait_until(lambda: service.get(job).json()["status"] == "SUCCESS", 90, "the job has succeeded")


def test_jobs_go_on_in_the_copy(service, start_copy):
    project, job = new_job(service, 3)
    wait_for_job(service, job)
    copy = start_copy(service, made_backup(service))
    assert copy.get(job).json() == service.get(job).json()
    assert rows_of(copy, job) == rows_of(service, job)
    (project.root / "a.py").unlink()  # it has the project that the job holds
    assert copy.post(f"{job}/trigger").status_code == 201
    wait_until(lambda: copy.get(job).json()["fires_total"] == 2, 20, "it was fired")
    wait_for_job(copy, job)
    assert [row["metrics"] for row in rows_of(copy, job)] == [row["metrics"] for row in rows_of(service, job)]
    assert service.get(job).json()["fires_total"] == 1


def test_job_that_was_copied_while_it_ran(service, start_copy):
    """Each set ends in the copy, whatever its run was doing, and what had ended is not run again."""
    _, job = new_job(service, 12)
    wait_until(lambda: any(row["status"] == "SUCCESS" for row in rows_of(service, job)), 60, "a set has ended")
    target = made_backup(service)
    wait_for_job(service, job)
    copy = start_copy(service, target, "--hold")
    ended = {row["number"]: row["run_uuid"] for row in rows_of(copy, job) if row["status"] == "SUCCESS"}
    assert 0 < len(ended)
    copy.stop()
    copy = start_copy(service, target)
    wait_for_job(copy, job)
    rows = {row["number"]: row for row in rows_of(copy, job)}
    assert [rows[n]["metrics"] for n in range(12)] == [{"score": n * 2} for n in range(12)]
    for number, run in ended.items():
        assert rows[number]["run_uuid"] == run


def test_token_is_not_in_the_copy(service):
    target = made_backup(service)
    found = [path for path in target.rglob("*") if path.is_file() and service.token.encode() in path.read_bytes()]
    assert found == []
    assert target.stat().st_mode & 0o777 == 0o700
    assert (target / "segue.db").stat().st_mode & 0o077 == 0


def test_refusals(service):
    full = service.root / "full"
    full.mkdir()
    (full / "precious").write_text("x")
    done = backup(service, full)
    assert done.returncode != 0 and f'"{full}" is not empty' in done.stderr
    assert [path.name for path in full.iterdir()] == ["precious"]

    inside = service.state / "runs" / "copy"
    done = backup(service, inside)
    assert done.returncode == 2 and "itself" in done.stderr
    assert not inside.exists()

    nothing = service.root / "nothing"
    done = backup(service, service.root / "copy", "--state", nothing)
    assert done.returncode != 0 and "nothing" in done.stderr
    assert not nothing.exists() and not (service.root / "copy").exists()

    done = subprocess.run([service.segue, "backup"], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "usage: segue backup" in done.stderr


def test_empty_directory_that_is_there_will_do(service):
    target = service.root / "copy"
    target.mkdir()
    assert backup(service, target).returncode == 0
    assert (target / "segue.db").exists() and not (target / "segue.db.part").exists()
