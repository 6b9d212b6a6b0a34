"""Runs of several shapes on a service to which bad things happen, and what must be true of them at the
end (`Campaign.check`), whatever it was:

every run that was acknowledged is there and ends; ids of events rise, and whoever follows sees each
event once, over all restarts; each step has one end; no attempt begins twice; no line of output is
missing; runs end as they do when nothing is disturbed; nothing is left behind.
"""

import collections
import json
import os
import random
import re
import time
import uuid

import requests
from kernels import name_of

from .notebooks import notebook, stream_text
from .project import Step, uuid_of
from .segue import wait_until
from .service import HANG_S, Follower, StreamEnded

# `make test` chooses the same each time; `make soak` is there to find new ones.
SEED = int(os.environ.get("SEGUE_SEED")
           or (random.SystemRandom().randrange(1 << 32) if os.environ.get("SEGUE_SOAK") else 20261122))
BROKEN = (requests.ConnectionError, requests.exceptions.ChunkedEncodingError, StreamEnded)
LINES = 60


# ----------------------------------------------------------------------------- what is being executed


# Notes that it has begun, once per attempt (in a container, which has no mark of it inside, by the
# container's name); then numbers, with pauses in which it may be caught.
BEGIN = ('echo "$SEGUE_RUN_UUID $SEGUE_STEP_UUID ${SEGUE_ATTEMPT:-$(hostname)}" '
         '>>"$SEGUE_PROJECT_DIR/begun"\n')
COUNT = f"for i in $(seq 1 {LINES}); do echo $i; [ $((i % 20)) -ne 0 ] || sleep 0.05; done\n"
NUMBERS = "".join(f"{n}\n" for n in range(1, LINES + 1))
FAILS_ONCE = ('if [ ! -e "$SEGUE_IO_DIR/tried" ]; then mkdir -p "$SEGUE_IO_DIR"; '
              'touch "$SEGUE_IO_DIR/tried"; exit 1; fi\n')

PYTHON_BEGIN = """\
import os, socket, time
with open(os.environ["SEGUE_PROJECT_DIR"] + "/begun", "a") as file:
    print(os.environ["SEGUE_RUN_UUID"], os.environ["SEGUE_STEP_UUID"],
          os.environ.get("SEGUE_ATTEMPT") or socket.gethostname(), file=file)
"""
PYTHON_COUNT = f"""\
for i in range(1, {LINES + 1}):
    print(i, flush=True)
    time.sleep(0.005)
"""


def script(title, text=COUNT, parents="", **extra):
    return Step(title, BEGIN + text, parents, path=f"{title}.sh", extra=extra)


def fake_notebook(title, parents=""):
    kernel = name_of("output_after_reply")
    return Step(title, notebook("1", "2", kernel=kernel), parents, kernel=kernel)


def diamond():
    return [script("a"), script("b", parents="a"), fake_notebook("c", "a"), script("d", parents="b c")]


def failing():
    return [script("x", COUNT + "exit 3\n"), script("y", parents="x"), script("z")]


def retrying():
    return [script("r", FAILS_ONCE + COUNT, retries={"limit": 1, "delay": 0}), script("s", parents="r")]


def real_notebook():
    return [Step("n", notebook(PYTHON_BEGIN, PYTHON_COUNT, "print('end')"))]


OUTPUT = {  # of a step that ran to its end, by title
    "c": "".join(f"late {n}\n" for n in range(5)) * 2,
    "n": NUMBERS + "end\n",
}
ENDS = {  # of every step, when nothing is disturbed
    "diamond": {"a": ("SUCCESS", None), "b": ("SUCCESS", None), "c": ("SUCCESS", None), "d": ("SUCCESS", None)},
    "failing": {"x": ("FAILURE", "exit_code"), "y": ("ABORTED", "upstream"), "z": ("SUCCESS", None)},
    "retrying": {"r": ("SUCCESS", None), "s": ("SUCCESS", None)},
    "real_notebook": {"n": ("SUCCESS", None)},
}
SHAPES = {"diamond": diamond, "failing": failing, "retrying": retrying, "real_notebook": real_notebook}
TITLES = {uuid_of(title): title for ends in ENDS.values() for title in ends}


def ends_of(run):
    """{title: (status, cause)}"""
    return {step["title"]: (step["status"], (step["failure"] or {}).get("cause")) for step in run["steps"]}


def text_of_step(events, step_uuid, attempt=None):
    """What a step printed, by its events; of several attempts the last."""
    text = ""
    for event in events:
        if event.get("step_uuid") != step_uuid:
            continue
        if event["event"] == "step_started":
            text = ""
        if event["event"] == "output" and event["output"]["output_type"] == "stream":
            part = event["output"]["text"]
            text += part if isinstance(part, str) else "".join(part)
    return text


def service_project(service, name, *steps):
    return service.project(name, *steps)


class Campaign:
    """`make` makes a shape's project on the service, where that is no plain one."""

    def __init__(self, service, shapes=tuple(ENDS), make=service_project):
        print(f"seed {SEED}")
        self.random = random.Random(SEED)
        self.service = service
        self.projects = {name: make(service, name, *SHAPES[name]()) for name in shapes}
        self.keys = {}  # of what was asked for: {key: shape}
        self.runs = {}  # of what was acknowledged: {uuid: shape}
        self.followers = {}
        self.hurt = {}  # steps that something was done to: {(run, step): causes that it may end with}
        self.everybody = Follower(service, after=0)

    def submit(self, shape=None):
        """Asks until it is told; the same key makes sure that it is one run."""
        shape = shape or self.random.choice(list(self.projects))
        key = str(uuid.UUID(int=self.random.getrandbits(128)))
        self.keys[key] = shape
        run = insist(self.service, self.projects[shape], key)
        assert run["uuid"] not in self.runs
        self.runs[run["uuid"]] = shape
        self.followers[run["uuid"]] = Follower(self.service, run["uuid"])
        return run["uuid"]

    def unfinished(self):
        return [uuid for uuid, follower in self.followers.items()
                if not follower.frames or follower.frames[-1].event != "run_finished"]

    def keep_busy(self, count):
        while len(self.unfinished()) < count:
            self.submit()

    def kill(self, longest=0.6):
        time.sleep(self.random.uniform(0, longest))  # the point is a random one
        self.service.kill9()
        self.service.start()

    def note_hurt(self, run, step, *causes):
        self.hurt.setdefault((run, step), set()).update(causes)

    # the promises

    def check(self, seconds=120):
        service = self.service
        told = {uuid: follower.wait(seconds) for uuid, follower in self.followers.items()}
        listed = {run["uuid"]: run for run in service.runs(include="steps", limit=1000)}
        assert listed.keys() == self.runs.keys(), "a run too many or too few"
        for run_uuid, shape in self.runs.items():
            events = told[run_uuid]
            assert events == service.events(run_uuid), "read again, it is the same"
            self.check_run(service.run(run_uuid), ENDS[shape], events)
        self.check_everybody(told)
        self.check_begun()
        self.check_nothing_left()

    def check_run(self, run, wanted, events):
        context = f"{run['uuid']}: {json.dumps(run)[:2000]}\n{self.service.explain()}"
        names = [e["event"] for e in events]
        assert names[0] == "run_queued" and names[-1] == "run_finished", names
        assert names.count("run_started") == 1 and names.count("run_finished") == 1, names
        ended = collections.Counter(e["step_uuid"] for e in events if e["event"] == "step_finished")
        assert ended == {step["step_uuid"]: 1 for step in run["steps"]}, context
        hurt = {TITLES[step]: causes for (uuid, step), causes in self.hurt.items() if uuid == run["uuid"]}
        ends = ends_of(run)
        if ends != wanted:
            assert hurt, f"{ends} instead of {wanted}\n{context}"
            for title, (status, cause) in ends.items():
                fine = (status, cause) == wanted[title] or cause in hurt.get(title, ()) or cause == "upstream"
                assert fine, f"{title} ended with {status}, {cause}\n{context}"
        else:
            assert run["status"] == ("SUCCESS" if all(s == "SUCCESS" for s, _ in ends.values()) else "FAILURE")
        for step in run["steps"]:
            if step["started_time"] and step["title"] not in hurt:
                self.check_output(run, step, events)

    def check_output(self, run, step, events):
        wanted = OUTPUT.get(step["title"], NUMBERS)
        where = f"{step['title']} of {run['uuid']}"
        assert text_of_step(events, step["step_uuid"]) == wanted, f"events of {where}"
        base = f"runs/{run['uuid']}/steps/{step['step_uuid']}"
        log = self.service.get(f"{base}/log")
        printed = log.text.partition("[segue] ")[0]  # its last line says how a step failed
        assert log.status_code == 200 and printed == wanted, f"log of {where}: {log.text[:300]!r}"
        if step["file_path"].endswith(".ipynb"):
            executed = self.service.get(f"{base}/notebook")
            assert executed.status_code == 200, executed.text
            assert stream_text(executed.json()) == wanted, f"notebook of {where}"

    def check_everybody(self, told):
        """Who follows all runs is told the same, but for what kernels print."""
        quiet = ("run_queued", "run_started", "step_started", "kernel_ready", "cell_started", "cell_finished",
                 "step_stopping", "step_retrying", "step_finished", "cancel_requested", "run_finished")
        wanted = sorted((e for events in told.values() for e in events if e["event"] in quiet),
                        key=lambda e: e["id"])
        last = wanted[-1]["id"]
        self.everybody.wait_for(lambda events: events and events[-1]["id"] >= last, what=f"event {last}")
        assert self.everybody.stop() == wanted

    def check_begun(self):
        """Each attempt begins once, and a step has no more attempts than it says."""
        lines = [line for project in self.projects.values()
                 for line in read_lines(project.root / "begun")]
        twice = [line for line, count in collections.Counter(lines).items() if count > 1]
        assert not twice, f"began twice: {twice}"
        begun = collections.Counter(tuple(line.split()[:2]) for line in lines)
        for run in self.service.runs(include="steps", limit=1000):
            for step in run["steps"]:
                count = begun.pop((run["uuid"], step["step_uuid"]), 0)
                notes = step["title"] != "c"  # fake kernels run nothing
                allowed = range(step["attempt"] + 1) if (run["uuid"], step["step_uuid"]) in self.hurt \
                    else [step["attempt"] * notes]
                assert count in allowed, f"{step['title']} began {count} times: {step}"
        assert not begun, f"steps of runs that nobody knows: {begun}"

    def check_nothing_left(self):
        check_nothing_left(self.service)


def check_nothing_left(service):
    service.nothing_left()
    state = service.state
    wait_until(lambda: not list(state.glob("k/*")), 60, f"sockets are removed from {state}/k")
    # By os.walk, which does not mind what is being removed meanwhile.
    temporary = [name for _, _, names in os.walk(state) for name in names
                 if re.search(r"(^\.|\.tmp|~$|\.new$)", name)]
    assert not temporary, f"temporary files are left: {temporary}"


def read_lines(path):
    return path.read_text().splitlines() if path.exists() else []


def insist(service, project, key, seconds=HANG_S):
    """POST runs with a key until it is accepted, over broken connections and a disk that is full for
    a while. The same key means one run."""
    deadline = time.monotonic() + seconds
    said = None
    while time.monotonic() < deadline:
        try:
            response = service.post("runs", service.body_for(project), headers={"Idempotency-Key": key})
        except BROKEN as e:
            said = e
            assert service.is_running(), f"it died: {service.process.returncode}\n{service.explain()}"
            continue
        if response.status_code == 201:
            return response.json()
        said = response.text
        assert response.status_code in (500, 503, 507), said
        check_problem(response)
        time.sleep(0.05)
    raise AssertionError(f"not accepted within {seconds} s; last: {said}\n{service.explain()}")


def check_problem(response):
    assert response.headers["Content-Type"].startswith("application/problem+json")
    problem = response.json()
    assert problem["status"] == response.status_code and problem["detail"], problem
