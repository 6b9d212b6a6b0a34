"""`segue serve` is killed, starved and lied to, and keeps what it promised (support/campaign.py).

`make soak` (SEGUE_SOAK=1) kills more often, and at every point instead of some. The seed is printed;
SEGUE_SEED repeats it.
"""

import errno
import json
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest
import requests
from support.campaign import (
    BROKEN,
    FAILS_ONCE,
    SEED,
    Campaign,
    check_nothing_left,
    check_problem,
    ends_of,
    insist,
    read_lines,
    script,
    text_of_step,
)
from support.faults import Faults
from support.notebooks import notebook
from support.project import Step, uuid_of
from support.segue import ROOT, program, wait_until
from support.service import HANG_S, Follower

SOAK = bool(os.environ.get("SEGUE_SOAK"))
CAUSES_OF_A_BAD_DISK = {"storage_failed", "kernel_start_failed", "internal", "launcher_unavailable",
                        "input_invalid", "environment_missing", "step_lost"}


def long(seconds):
    """A time limit that the soak's larger numbers fit under."""
    return pytest.mark.timeout(14400 if SOAK else seconds)


# ------------------------------------------------------------------------------- the tests' own tools


def test_faults_are_under_control(new_service):
    """The library acts where it should, and only there."""
    service = new_service()
    faults = Faults(service)

    def run(*argv):
        with open(service.root / "printed", "w+b") as printed:
            done = subprocess.run(argv, env=service.env, cwd=service.root, stdout=printed,
                                  stderr=subprocess.DEVNULL, check=False)
        return done.returncode, (service.root / "printed").read_text()

    (service.root / "serve").write_text("import os\nos.write(1, b'abcdefgh')\n")
    assert run(sys.executable, "serve") == (0, "abcdefgh")
    counts = faults.counts()
    assert counts["write"] == 1 and counts["any"] > counts["open"] > 1
    faults.order("tear", "write", 1)
    assert run(sys.executable, "serve") == (-signal.SIGKILL, "abcd")
    faults.order("halve", "write", 1)
    assert run(sys.executable, "serve") == (0, "abcd")
    faults.order("fail", "write", 1, errno.EIO)
    assert run(sys.executable, "serve") == (1, "")
    assert faults.fired == 1
    faults.order("kill", "any", 1)
    assert run(sys.executable, service.root / "serve") == (0, "abcdefgh"), "another program"
    (service.root / "serve").write_text("import os, time\nprint(time.time(), *os.environ)\n")
    faults.order("fail", "memory", 1 << 40)
    faults.set_clock(-1 << 30)
    code, told = run(sys.executable, "serve")
    assert code == 0 and float(told.split()[0]) < time.time() - (1 << 29)
    assert "LD_PRELOAD" not in told and "SEGUE_FAULTS" not in told


# ---------------------------------------------------------------------------------- kill -9, at random


@long(120)
def test_random_kills(new_service):
    """The daemon alone: everything goes on, nothing is lost, nothing happens twice."""
    service = new_service("--max-runs", 4, "--max-steps", 4).start()
    campaign = Campaign(service)
    for _ in range(200 if SOAK else 20):
        campaign.keep_busy(4)
        campaign.kill()
    campaign.check()


@long(120)
def test_kills_in_a_row(new_service):
    """Killed while it takes up what the last one left."""
    service = new_service().start()
    campaign = Campaign(service)
    campaign.keep_busy(4)
    for _ in range(100 if SOAK else 12):
        service.kill9()
        service.launch()
        time.sleep(campaign.random.uniform(0, 0.15))
        if campaign.random.random() < 0.3:
            service.wait_until_listening()
    service.kill9()
    service.start()
    campaign.check()


def step_of(pid):
    """(run, step) of a kernel or a script, by its environment; None: it is none, or gone."""
    try:
        pairs = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return None
    found = dict(pair.partition(b"=")[::2] for pair in pairs)
    if b"SEGUE_ATTEMPT" not in found:
        return None
    return found[b"SEGUE_RUN_UUID"].decode(), found[b"SEGUE_STEP_UUID"].decode()


def step_of_keeper(service, pid):
    """By the journal that it has open."""
    for fd in Path(f"/proc/{pid}/fd").glob("*"):
        try:
            target = os.readlink(fd)
        except OSError:
            continue
        if found := re.search(r"/runs/([^/]+)/steps/([^/]+)/\d+/journal$", target):
            return found.groups()
    return None


@long(150)
def test_kills_of_everything(new_service):
    """Daemon, nursery, keepers and kernels. Who loses its keeper or its kernel may fail, and says so."""
    service = new_service("--max-runs", 4, "--max-steps", 4).start()
    campaign = Campaign(service)
    choice = campaign.random.choice
    for _ in range(200 if SOAK else 20):
        campaign.keep_busy(4)
        time.sleep(campaign.random.uniform(0, 0.3))
        what = choice(["daemon", "nursery", "keeper", "kernel", "keeper", "kernel"])
        if what == "daemon":
            campaign.kill()
        elif what == "nursery" and (nurseries := service.nurseries()):
            for pid in nurseries:
                kill_quietly(pid)
        elif what == "keeper" and (keepers := service.keepers()):
            pid = choice(keepers)
            if hurt := step_of_keeper(service, pid):
                campaign.note_hurt(*hurt, "step_lost", "kernel_start_failed")
                kill_quietly(pid)
        elif what == "kernel":
            kernels = [(pid, hurt) for pid in service.everything() if (hurt := step_of(pid))]
            if kernels:
                pid, hurt = choice(kernels)
                campaign.note_hurt(*hurt, "kernel_died", "exit_code", "kernel_start_failed", "cell_error")
                kill_quietly(pid)
    campaign.check()


def kill_quietly(pid):
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


# ---------------------------------------------------------------------------- kill -9, at every point


def two_steps(service):
    return service.project("two", script("a", "echo 1\necho 2\n"), script("b", "echo 1\necho 2\n", "a"))


def try_all(service, project, key):
    """One start, one run, one stop, under whatever has been ordered. The acknowledged run or None."""
    run = None
    service.launch()
    if not service.wait_until_listening():
        return run
    try:
        response = service.post("runs", service.body_for(project), headers={"Idempotency-Key": key})
        if response.status_code == 201:
            run = response.json()
            with service.follow(run["uuid"]) as stream:
                for frame in stream:
                    if frame.event == "run_finished":
                        break
        else:
            assert response.status_code >= 500, response.text
            check_problem(response)
        service.process.send_signal(signal.SIGTERM)
    except BROKEN:
        pass
    except FileNotFoundError:  # killed before it had written its token
        assert service.wait() == -signal.SIGKILL
    return run


def check_after(service, project, key, acknowledged):
    """An undisturbed service goes on where the other was stopped."""
    service.start()
    run = insist(service, project, key)
    if acknowledged:
        assert run["uuid"] == acknowledged["uuid"], "it was acknowledged, and forgotten"
    follower = Follower(service, run["uuid"])
    events = follower.wait()
    ended = service.run(run["uuid"])
    assert ended["status"] == "SUCCESS", f"{json.dumps(ended)}\n{service.explain()}"
    assert [step["attempt"] for step in ended["steps"]] == [1, 1], ended
    assert sum(e["event"] == "step_finished" for e in events) == 2
    for step in ended["steps"]:
        assert text_of_step(events, step["step_uuid"]) == "1\n2\n"
    assert len(service.runs()) == 1
    begun = [line.split()[1] for line in read_lines(project.root / "begun")]
    assert sorted(begun) == sorted(step["step_uuid"] for step in ended["steps"]), begun
    check_nothing_left(service)
    # What is long finished is not what the next point is about.
    assert service.delete(f"runs/{run['uuid']}").status_code == 204
    (project.root / "begun").unlink()
    service.stop()


def points(total, sampled):
    """All of 1..total in the soak, else some, the same for the same seed."""
    if SOAK or total <= sampled:
        return range(1, total + 1)
    return sorted(random.Random(SEED).sample(range(1, total + 1), sampled))


def measure(service, faults, project):
    """How many calls of each kind one undisturbed turn makes, on a state directory that is there."""
    service.start()
    service.stop()
    faults.order("none", "any", 0)
    key = str(uuid.uuid4())
    run = try_all(service, project, key)
    assert run and service.wait() == 0
    counts = faults.counts()
    check_after(service, project, key, run)
    return counts


@long(170)
@pytest.mark.parametrize("action", ["kill", "tear"])
def test_kill_at_each_call(new_service, action):
    """Killed before its n-th system call that changes something, or in the middle of a write."""
    print(f"seed {SEED}")
    service = new_service()
    faults = Faults(service)
    project = two_steps(service)
    counts = measure(service, faults, project)
    kind, total = ("any", counts["any"]) if action == "kill" else ("pwrite", counts["pwrite"])
    assert total > 20, counts
    for n in points(total, 20):
        key = f"{action}-{n}"
        faults.order(action, kind, n)
        run = try_all(service, project, key)
        code = service.wait()
        fired = faults.fired
        assert (code == -signal.SIGKILL) == bool(fired), f"call {n}: exit status {code}\n{service.explain()}"
        faults.clear()
        try:
            check_after(service, project, key, run)
        except AssertionError as e:
            raise AssertionError(f"{action} at call {n} of {kind}: {e}") from e


@long(120)
@pytest.mark.parametrize("order", [("kill",), ("fail", errno.EIO), ("fail", errno.ENOSPC)], ids=str)
def test_first_start_fails_at_each_call(new_service, order):
    """Whatever of a state directory is there, the next start makes the rest."""
    action, *error = order
    service = new_service()
    faults = Faults(service)
    faults.order("none", "any", 0)
    service.start()
    total = faults.counts()["any"]
    service.stop()
    for n in points(total, 8):
        shutil.rmtree(service.state)
        faults.order(action, "any", n, *error)
        service.launch()
        if service.wait_until_listening():
            service.kill9()
        elif action == "fail":
            check_told(service, service.wait())
        faults.clear()
        service.start()
        assert service.get("runs").status_code == 200, f"after call {n}"
        service.stop()


# ------------------------------------------------------------------------------ calls that do not work


FAILING = [("write", "ENOSPC"), ("write", "EIO"), ("pwrite", "ENOSPC"), ("pwrite", "EIO"), ("pread", "EIO"),
           ("sync", "EIO"), ("sync", "ENOSPC"), ("rename", "EIO"), ("create", "ENOSPC"), ("create", "EMFILE"),
           ("open", "EMFILE"), ("open", "EIO"), ("mkdir", "ENOSPC"), ("unlink", "EIO"), ("truncate", "EIO"),
           ("send", "ECONNRESET"), ("send", "ENOBUFS"), ("connect", "ECONNREFUSED"), ("accept", "EMFILE"),
           ("spawn", "EAGAIN"), ("spawn", "ENOMEM")]


def check_told(service, code):
    """It was not started: said why, and did not crash."""
    assert code in (1, 2, 3), f"exit status {code}\n{service.explain()}"
    assert service.errors().strip(), "without a word"


def of_run(events, run):
    return [event for event in events if event["run_uuid"] == run["uuid"]]


def one_failing_call(service, faults, project, kind, error, n):
    """The n-th call of a kind fails once: the daemon lives, or refuses to start; what it accepted ends;
    and it goes on afterwards."""
    key = str(uuid.uuid4())
    faults.order("fail", kind, n, error)
    service.launch()
    if not service.wait_until_listening():
        check_told(service, service.wait())
        assert faults.fired, service.explain()
        faults.clear()
        service.start()
    everybody = Follower(service, after=0)
    run = insist(service, project, key)
    told = Follower(service, run["uuid"]).wait()
    has_fired = faults.fired
    faults.clear()  # one that comes so late would hit those who look what is there
    assert told == service.events(run["uuid"]), "what was told is what is there"
    everybody.wait_for(lambda events: of_run(events, run)[-1:] == told[-1:], what="the end, told to all")
    assert of_run(everybody.stop(), run) == [e for e in told if e["event"] != "output"]
    ended = service.run(run["uuid"])
    if ended["status"] != "SUCCESS":
        assert has_fired, f"{json.dumps(ended)}\n{service.explain()}"
        causes = {cause for _, cause in ends_of(ended).values() if cause}
        assert causes <= CAUSES_OF_A_BAD_DISK | {"upstream"}, f"{json.dumps(ended)}\n{service.explain()}"
        for step in ended["steps"]:
            assert step["failure"] is None or step["failure"]["message"]
    service.nothing_left()
    # The next is not hindered, in the same process.
    again = insist(service, project, str(uuid.uuid4()))
    assert service.wait_for_run(again["uuid"])["status"] == "SUCCESS", service.explain()
    service.process.send_signal(signal.SIGTERM)
    assert service.wait() == 0, service.explain()
    service.start()
    for each in (run, again):
        assert service.run(each["uuid"])["status"] in ("SUCCESS", "FAILURE")
        assert service.delete(f"runs/{each['uuid']}").status_code == 204
    check_nothing_left(service)
    service.stop()


@long(170)
@pytest.mark.parametrize("kinds", [FAILING[:7], FAILING[7:15], FAILING[15:]], ids=["bytes", "files", "rest"])
def test_failing_calls(new_service, kinds):
    print(f"seed {SEED}")
    service = new_service()
    faults = Faults(service)
    project = two_steps(service)
    counts = measure(service, faults, project)
    for kind, error in kinds:
        for n in points(counts[kind], 2):
            try:
                one_failing_call(service, faults, project, kind, getattr(errno, error), n)
            except AssertionError as e:
                raise AssertionError(f"{kind} number {n} of {counts[kind]}, {error}: {e}") from e


@long(120)
def test_short_writes(new_service):
    """A write may write less than it was asked to: nobody gets half of anything."""
    service = new_service()
    faults = Faults(service)
    project = two_steps(service)
    counts = measure(service, faults, project)
    for kind in ("write", "pwrite"):
        for n in points(counts[kind], 2):
            faults.order("halve", kind, n)
            service.start()
            run = insist(service, project, f"{kind}-{n}")
            assert service.wait_for_run(run["uuid"])["status"] == "SUCCESS", f"{kind} {n}\n{service.explain()}"
            service.stop()


@long(170)
def test_memory_runs_out(new_service):
    """It dies of it, at once and on purpose, or lives; the next start finds everything."""
    print(f"seed {SEED}")
    service = new_service()
    faults = Faults(service)
    project = two_steps(service)
    total = measure(service, faults, project)["memory"]
    count = 300 if SOAK else 10
    for n in sorted(random.Random(SEED).sample(range(1, total + 1), count)):
        key = f"memory-{n}"
        faults.order("fail", "memory", n, errno.ENOMEM)
        run = try_all(service, project, key)
        code = service.wait()
        # 127: the loader had none.
        assert code in (0, 1, 2, 3, 127, -signal.SIGABRT), f"allocation {n}: {code}\n{service.explain()}"
        faults.clear()
        try:
            check_after(service, project, key, run)
        except AssertionError as e:
            raise AssertionError(f"allocation {n}: {e}") from e


# ----------------------------------------------------------------------------------------- full disk


@pytest.fixture
def tiny_service(new_service, as_root):
    """With its state on a file system of 4 MB, and a way to fill it."""
    service = new_service()
    service.state.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", service.state],
                          capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.skip(f"cannot mount a tmpfs here: {made.stderr.strip()}")
    yield service
    service.close(check=False)
    subprocess.run(["umount", "-l", service.state], check=True)


def fill(directory):
    """Nothing more fits: not even a byte."""
    with open(directory / "filler", "ab", buffering=0) as file:
        for size in (65536, 4096, 512, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError as e:
                assert e.errno == errno.ENOSPC


def test_full_disk_refuses_and_recovers(tiny_service):
    """Refused clearly while it is full; accepted again when there is room, without a restart."""
    service = tiny_service.start()
    project = two_steps(service)
    first = service.submit(project)
    assert service.wait_for_run(first["uuid"])["status"] == "SUCCESS"
    fill(service.state)
    statuses = set()
    for n in range(20):  # the database has some room of its own
        response = service.post("runs", service.body_for(project), headers={"Idempotency-Key": f"full-{n}"})
        statuses.add(response.status_code)
        if response.status_code != 201:
            check_problem(response)
            assert response.status_code in (503, 507), response.text
    assert statuses - {201}, "a full disk was not noticed"
    assert service.get("runs").status_code == 200, "what is there can be read"
    assert requests.get(service.url + "/healthz", timeout=30).status_code in (200, 503)
    (service.state / "filler").unlink()
    run = insist(service, project, "after")
    for each in service.runs():
        service.wait_for_run(each["uuid"])
    assert service.run(run["uuid"])["status"] == "SUCCESS", service.explain()
    assert requests.get(service.url + "/healthz", timeout=30).status_code == 200


def test_disk_fills_while_steps_run(tiny_service):
    """What runs may fail of it, and ends; the service is there afterwards."""
    service = tiny_service.start()
    project = service.project("p", Step("a", "while [ ! -e go ]; do sleep 0.05; done\n"
                                             "for i in $(seq 1 2000); do echo $i$i$i$i; done\n", path="a.sh"))
    uuid = service.submit(project)["uuid"]
    service.wait_for_event(uuid, "step_started")
    fill(service.state)
    (project.root / "go").touch()
    wait_until(lambda: not service.keepers(), HANG_S, "the step ends")
    (service.state / "filler").unlink()
    run = service.wait_for_run(uuid)
    assert run["status"] == "SUCCESS" or ends_of(run)["a"][1] in ("storage_failed", "step_lost"), run
    assert service.wait_for_run(insist(service, two_steps(service), "after")["uuid"])["status"] == "SUCCESS"


def test_start_on_a_full_disk(tiny_service):
    """Refuses to start, or starts and accepts nothing; with room again it finds everything."""
    service = tiny_service.start()
    project = two_steps(service)
    uuid = service.submit(project)["uuid"]
    service.wait_for_run(uuid)
    service.kill9()
    fill(service.state)
    service.launch()
    if service.wait_until_listening():
        assert service.run(uuid)["status"] == "SUCCESS"
        service.stop()
    else:
        check_told(service, service.wait())
    (service.state / "filler").unlink()
    service.start()
    assert service.run(uuid)["status"] == "SUCCESS"


# --------------------------------------------------------------------------------- a database gone bad


def ended_service(new_service):
    """One that has run something, and was stopped."""
    service = new_service().start()
    uuid = service.submit(two_steps(service))["uuid"]
    service.wait_for_run(uuid)
    service.stop()
    database = sqlite3.connect(service.state / "segue.db")
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # all of it is in the one file
    database.close()
    return service, uuid


@pytest.mark.parametrize("damage", ["no database", "cut off", "a directory", "zeros"])
def test_damaged_database_is_refused(new_service, damage):
    """By name, without a crash, and without being made anew over what may still be saved."""
    service, _ = ended_service(new_service)
    path = service.state / "segue.db"
    content = path.read_bytes()
    assert content.startswith(b"SQLite format 3")
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
    check_told(service, service.wait())
    assert "segue.db" in service.errors()
    if damaged is not None:
        assert path.read_bytes() == damaged, "it was written to"


def test_newer_database_is_refused(new_service):
    service, uuid = ended_service(new_service)
    path = service.state / "segue.db"

    def set_version(number):
        with sqlite3.connect(path) as database:
            before = database.execute("PRAGMA user_version").fetchone()[0]
            database.execute(f"PRAGMA user_version={number}")
        database.close()
        return before

    version = set_version(1000)
    service.launch()
    assert not service.wait_until_listening()
    check_told(service, service.wait())
    assert "newer" in service.errors()
    set_version(version)
    service.start()
    assert service.run(uuid)["status"] == "SUCCESS"


# ------------------------------------------------------------------------- clocks, rivals and upgrades


@pytest.mark.parametrize("jump", [-3600, 3600])
def test_clock_jumps(new_service, jump):
    """Its wall clock is set while steps run: a retry that waits two seconds waits no hour, runs end, and
    the newest is still the newest."""
    service = new_service()
    faults = Faults(service)
    service.start()
    retrying = service.project("r", script("r", FAILS_ONCE + "echo 1\n", retries={"limit": 1, "delay": 2}))
    waiting = service.project("w", Step("a", "while [ ! -e go ]; do sleep 0.05; done\n", path="a.sh"),
                              Step("b", "echo b\n", "a", path="b.sh"))
    uuids = [service.submit(project)["uuid"] for project in (retrying, waiting)]
    followers = [Follower(service, uuid) for uuid in uuids]
    service.wait_for_event(uuids[0], "step_retrying")
    service.wait_for_event(uuids[1], "step_started")
    faults.set_clock(jump)
    (waiting.root / "go").touch()
    for uuid, follower in zip(uuids, followers, strict=True):
        assert follower.wait() == service.events(uuid)
        assert service.run(uuid)["status"] == "SUCCESS", service.explain()
    last = service.submit(retrying)["uuid"]
    assert service.wait_for_run(last)["status"] == "SUCCESS"
    service.restart()
    assert [run["uuid"] for run in service.runs()] == [last, *uuids[::-1]]


def test_many_services_want_one_state_directory(new_service):
    """All start at once: one serves, the others are refused."""
    first = new_service()
    first.state.mkdir()
    rivals = [first] + [new_service(state=first.state) for _ in range(4)]
    for rival in rivals:
        rival.launch()
    listening = [rival for rival in rivals if rival.wait_until_listening()]
    assert len(listening) == 1
    for rival in rivals:
        if rival is not listening[0]:
            check_told(rival, rival.wait())
    assert listening[0].get("runs").status_code == 200


def test_upgrade_while_steps_run(new_service):
    """The program's file is replaced, as a package does it, and the service started anew."""
    service = new_service()
    service.segue = service.root / "bin" / "segue"
    service.segue.parent.mkdir()
    shutil.copy2(program(), service.segue)
    shutil.copytree(ROOT / "runner/sdk/python", service.root / "share/segue/python")
    service.start()
    project = service.project("p", Step("a", "echo 1\nwhile [ ! -e go ]; do sleep 0.05; done\necho 2\n", path="a.sh"),
                              Step("b", notebook("print('b')"), "a"))
    uuid = service.submit(project)["uuid"]
    follower = Follower(service, uuid)
    service.wait_for_event(uuid, "output")
    other = ROOT / "build" / "release" / "segue"
    new = service.root / "bin" / "segue.new"
    shutil.copy2(other if other.exists() and can_serve(other) else program(), new)
    new.rename(service.segue)
    # The old one still runs: it starts keepers of its own kind.
    early = service.submit(service.project("q", ("a", "print(1)\n")))["uuid"]
    assert service.wait_for_run(early)["status"] == "SUCCESS", service.explain()
    service.restart()
    (project.root / "go").touch()
    events = follower.wait()
    run = service.run(uuid)
    assert run["status"] == "SUCCESS" and [s["attempt"] for s in run["steps"]] == [1, 1], run
    assert text_of_step(events, uuid_of("a")) == "1\n2\n"


def can_serve(path):
    done = subprocess.run([path, "serve", "--help"], capture_output=True, check=False, timeout=30)
    return done.returncode == 0
