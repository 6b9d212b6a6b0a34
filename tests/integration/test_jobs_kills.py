"""The daemon is killed while a job is submitted, fired, run, thinned out and deleted, at each of its
system calls: what was acknowledged is kept, no set is run twice, and nothing is left behind.

`make soak` (SEGUE_SOAK=1) kills at every point instead of some. SEGUE_SEED repeats a choice.
"""

import contextlib
import errno
import os
import random
import signal
import time
import uuid

import pytest
from support.campaign import BROKEN, SEED, check_nothing_left, check_problem, read_lines
from support.faults import Faults
from support.project import Step
from support.segue import wait_until
from support.service import HANG_S

SOAK = bool(os.environ.get("SEGUE_SOAK"))
ENDED = ("SUCCESS", "FAILURE", "ABORTED")
SETS, KEPT = 3, 2
COUNTS = 'echo "$SEGUE_RUN_UUID" >>"$COUNT_FILE"\n'

pytestmark = pytest.mark.timeout(14400 if SOAK else 150)


def counted(service):
    return read_lines(service.root / "count")


def make_project(service):
    service.env["COUNT_FILE"] = str(service.root / "count")
    project = service.project("p", Step("a", COUNTS, path="a.sh"))
    for n in range(3):
        (project.root / f"data{n}").write_text("x" * 500)
    return project


def body(service, project):
    """Of a job that is due at once, by its schedule."""
    return service.body_for(project, schedule={"at": "2020-01-01T00:00:00Z"},
                            parameters={"grid": {"pipeline_parameters": {"n": f"1..{SETS}"}}},
                            policy={"retention": {"runs": KEPT}})


def submit(service, project, key):
    return service.post("jobs", body(service, project), headers={"Idempotency-Key": key})


def job_of(service, job):
    answer = service.get(f"jobs/{job}")
    return answer.json() if answer.status_code == 200 else None


def has_ended(service, job):
    """Asked again where a call that fails has broken the connection."""
    try:
        found = job_of(service, job)
    except BROKEN:
        assert service.is_running(), f"it died: {service.process.returncode}\n{service.explain()}"
        return False
    return found and found["status"] in ENDED


def runs_of(service, job):
    return service.get("runs", job_uuid=job, limit=1000).json()["runs"]


def names(directory):
    return sorted(entry.name for entry in directory.iterdir())


class Turn:
    """One life of a job: submitted, fired, run, thinned out by its retention, deleted. `job`: it was
    acknowledged; `is_deleted`: so was its end; `wants_deleted`: that was asked for."""

    def __init__(self, service, project, key):
        self.service, self.project, self.key = service, project, key
        self.job = None
        self.wants_deleted = self.is_deleted = False

    def live(self):
        service = self.service
        service.launch()
        if not service.wait_until_listening():
            return self
        with contextlib.suppress(FileNotFoundError, *BROKEN):  # killed before it had written its token
            self.go_through()
            service.process.send_signal(signal.SIGTERM)
        return self

    def go_through(self):
        service = self.service
        answer = submit(service, self.project, self.key)
        if answer.status_code != 201:
            return check_problem(answer)
        self.job = answer.json()["uuid"]
        wait_until(lambda: job_of(service, self.job)["status"] in ENDED, HANG_S, "the job ends")
        wait_until(lambda: len(runs_of(service, self.job)) == KEPT, HANG_S, "retention")
        self.wants_deleted = True
        self.is_deleted = service.delete(f"jobs/{self.job}").status_code == 204
        wait_until(lambda: names(service.state / "jobs") == [] or not service.is_running(), HANG_S,
                   "its snapshot is gone")

    def check(self):
        """A service that nobody disturbs goes on where the other was killed."""
        service = self.service
        service.start()
        if self.wants_deleted:
            there = job_of(service, self.job)
            assert not (there and self.is_deleted), "it was deleted, and is there again"
        else:
            answer = submit(service, self.project, self.key)
            assert answer.status_code == 201, answer.text
            job = answer.json()["uuid"]
            assert self.job in (None, job), "it was acknowledged, and forgotten"
            self.job = job
            self.check_end()
        if job_of(service, self.job):
            assert service.delete(f"jobs/{self.job}").status_code == 204
        wait_until(lambda: names(service.state / "jobs") == [], HANG_S, "no snapshot is left")
        wait_until(lambda: names(service.state / "runs") == [], HANG_S, "no copy is left")
        assert service.runs() == []
        begun = counted(service)
        assert len(begun) == len(set(begun)) == SETS, begun
        (service.root / "count").unlink()
        check_nothing_left(service)
        service.stop()

    def check_end(self):
        service, job = self.service, self.job
        wait_until(lambda: job_of(service, job)["status"] in ENDED, HANG_S, f"the end of {job}\n{service.explain()}")
        ended = job_of(service, job)
        assert ended["status"] == "SUCCESS", f"{ended}\n{service.explain()}"
        assert ended["fires_total"] == 1 and ended["latest_fire"]["counts"]["SUCCESS"] == SETS
        wait_until(lambda: len(runs_of(service, job)) == KEPT, HANG_S, "retention")
        rows = service.get(f"jobs/{job}/results").json()["rows"]
        assert {row["run_uuid"] for row in rows} == set(counted(service))
        assert {row["run_uuid"] for row in rows if not row["run_deleted"]} == \
            {run["uuid"] for run in runs_of(service, job)}
        wait_until(lambda: len(names(service.state / "runs")) == KEPT, HANG_S, "the files of the others are gone")
        for run in (service.state / "runs").iterdir():
            assert not [name for name in names(run) if name.startswith(".")], names(run)
        assert names(service.state / "jobs") == [job]
        assert len(names(service.state / "jobs" / job)) == 1


def points(total, sampled):
    """All of 1..total in the soak; else some, spread over all of it."""
    if SOAK or total <= sampled:
        return range(1, total + 1)
    chooser = random.Random(SEED)
    return [1 + (n * total + chooser.randrange(total)) // sampled for n in range(sampled)]


@pytest.fixture
def faulty(new_service):
    service = new_service("--max-background-runs", 2)
    return service, Faults(service), make_project(service)


def measure(service, faults, project):
    """The calls of one turn that nobody disturbs, on a state directory that is there."""
    service.start()
    service.stop()
    faults.order("none", "any", 0)
    turn = Turn(service, project, str(uuid.uuid4())).live()
    assert service.wait() == 0 and turn.is_deleted
    counts = faults.counts()
    turn.check()
    return counts


@pytest.mark.parametrize(("action", "kind", "sampled"),
                         [("kill", "any", 50), ("kill", "rename", 12), ("kill", "sync", 12), ("tear", "pwrite", 12)])
def test_kill_at_each_call(faulty, action, kind, sampled):
    print(f"seed {SEED}")
    service, faults, project = faulty
    total = measure(service, faults, project)[kind]
    for n in points(total, sampled):
        faults.order(action, kind, n)
        turn = Turn(service, project, f"{action}-{kind}-{n}").live()
        code = service.wait()
        assert (code == -signal.SIGKILL) == bool(faults.fired), f"call {n}: exit status {code}\n{service.explain()}"
        faults.clear()
        try:
            turn.check()
        except AssertionError as e:
            raise AssertionError(f"{action} at call {n} of {total} of {kind}: {e}") from e


def insist(service, project, key):
    """POST jobs with a key until it is accepted."""
    said = []

    def is_accepted():
        try:
            answer = submit(service, project, key)
        except BROKEN:
            assert service.is_running(), f"it died: {service.process.returncode}\n{service.explain()}"
            return None
        said.append(answer.text)
        if answer.status_code != 201:
            assert answer.status_code in (500, 503, 507), answer.text
            check_problem(answer)
        return answer.json()["uuid"] if answer.status_code == 201 else None

    return wait_until(is_accepted, HANG_S, f"it is accepted\n{service.explain()}")


BAD_DISK = {"storage_failed", "kernel_start_failed", "internal", "launcher_unavailable", "input_invalid", None}


def one_failing_call(service, faults, project, kind, error, n):
    """It fails once: the daemon lives or refuses to start, the job ends, and it can be deleted."""
    faults.order("fail", kind, n, error)
    service.launch()
    if not service.wait_until_listening():
        assert service.wait() in (1, 2, 3) and service.errors().strip(), service.explain()
        service.start()
    job = insist(service, project, f"{kind}-{error}-{n}")
    wait_until(lambda: has_ended(service, job), HANG_S, f"the end of {job}\n{service.explain()}")
    faults.clear()
    causes = {row["cause"] for row in service.get(f"jobs/{job}/results").json()["rows"]}
    assert causes <= BAD_DISK, f"{causes}\n{service.explain()}"
    wait_until(lambda: service.delete(f"jobs/{job}").status_code == 204, HANG_S, "it is deleted")
    service.restart()  # what could not be removed is found again
    wait_until(lambda: names(service.state / "jobs") == [], HANG_S, "no snapshot is left")
    wait_until(lambda: names(service.state / "runs") == [], HANG_S, "no copy is left")
    assert service.runs() == []
    check_nothing_left(service)
    service.stop()


FAILING = [("pwrite", errno.ENOSPC), ("write", errno.ENOSPC), ("sync", errno.EIO), ("rename", errno.EIO),
           ("create", errno.ENOSPC), ("open", errno.EMFILE), ("mkdir", errno.ENOSPC), ("unlink", errno.EIO)]


def test_failing_calls(faulty):
    print(f"seed {SEED}")
    service, faults, project = faulty
    counts = measure(service, faults, project)
    for kind, error in FAILING if SOAK else FAILING[::2]:
        for n in points(counts[kind], 1):
            try:
                one_failing_call(service, faults, project, kind, error, n)
            except AssertionError as e:
                raise AssertionError(f"{kind} number {n} of {counts[kind]}, {errno.errorcode[error]}: {e}") from e


def test_kills_in_a_row(new_service):
    """Again and again, while it takes up what the last one left."""
    chooser = random.Random(SEED)
    service = new_service("--max-background-runs", 4)
    project = make_project(service)
    service.start()
    answer = service.post("jobs", service.body_for(
        project, parameters={"grid": {"pipeline_parameters": {"n": "1..30"}}}, policy={"retention": {"runs": 5}}))
    job = answer.json()["uuid"]
    for _ in range(100 if SOAK else 12):
        time.sleep(chooser.uniform(0, 0.3))
        service.kill9()
        service.start()
    wait_until(lambda: job_of(service, job)["status"] in ENDED, HANG_S, "its end")
    assert job_of(service, job)["status"] == "SUCCESS", service.explain()
    begun = counted(service)
    assert len(begun) == len(set(begun)) == 30
    wait_until(lambda: len(names(service.state / "runs")) == 5, HANG_S, "retention")
    check_nothing_left(service)
