"""One picture of the service's kernels: `GET /api/v1/kernels` and `segue kernels` show those of
notebooks and those of steps; a step's can be attached to while it runs, and after it failed where
the run asked for it to be kept."""

import json
import os
import re
import signal
import uuid
from urllib.parse import urlsplit

import pytest
from support.gateway import Client, Gateway
from support.notebooks import notebook
from support.project import Step
from support.segue import Running, program, wait_until
from support.service import is_child
from support.websocket import Closed

WAITS = "import os, time\nprint('up', flush=True)\nwhile not os.path.exists('go'):\n    time.sleep(0.02)"


class Kernels(Gateway):
    """The service's API of kernels."""

    def __init__(self, service):
        self.service = service

    @property
    def port(self):
        return urlsplit(self.service.url).port

    @property
    def token(self):
        return self.service.token

    def explain(self):
        return self.service.explain()

    def listed(self, **wanted):
        """What the service lists, of those with these members."""
        response = self.service.get("kernels")
        assert response.status_code == 200, response.text
        return [k for k in response.json()["kernels"] if all(k[name] == value for name, value in wanted.items())]

    def one(self, **wanted):
        (kernel,) = self.listed(**wanted)
        return kernel


@pytest.fixture
def kernels(service):
    return Kernels(service)


class Shell:
    """The program beside the service."""

    def __init__(self, service):
        self.service, self.count = service, 0

    def __call__(self, *arguments):
        self.count += 1
        env = {**self.service.env, "SEGUE_URL": self.service.url, "SEGUE_TOKEN": self.service.token}
        running = Running([program(), *arguments], env, self.service.root, self.service.root / f"output-{self.count}")
        return running.wait(60)


@pytest.fixture
def segue(service):
    return Shell(service)


def failing(title="a", **extra):
    return Step(title, notebook("x = 41", "1 / 0", "print('never')"), extra=extra)


def failed_run(service, project, **fields):
    """A run that ends with its step's kernel kept."""
    run = service.wait_for_run(service.submit(project, keep_kernels=600, **fields)["uuid"])
    (failure,) = [s["failure"] for s in run["steps"] if s["title"] == "a"]
    assert (run["status"], failure["cause"]) == ("FAILURE", "cell_error"), run
    return run


def sockets(service):
    return sorted(path.name for path in (service.state / "k").iterdir())


def is_let_go(service):
    """No kernel, keeper or socket of a step is there any more."""
    wait_until(lambda: not service.keepers() and not sockets(service), 30, "the kept kernel has ended")


def release_all(kernels):
    for kernel in kernels.listed(is_kept=True):
        kernels.shut_down(kernel["id"])
    is_let_go(kernels.service)


# ------------------------------------------------------------------------------------ running steps


def test_step_that_runs_can_be_looked_into(service, kernels):
    project = service.project("p", Step("a", notebook("x = 41", WAITS, "print('two')"), path="sub/a.ipynb"))
    submitted = service.submit(project)
    assert submitted["keep_kernels"] == 0
    service.wait_for_event(submitted["uuid"], "output")
    kernel = kernels.one()
    assert uuid.UUID(kernel["id"]) and re.fullmatch(r"\d{4}-.*\.\d{6}Z", kernel["last_activity"])
    expected = {"kind": "step", "name": "python3", "status": "busy", "connections": 0, "launcher": "process",
                "image": None, "project": "p", "environment": None, "username": None, "attempt": 1,
                "run_uuid": submitted["uuid"], "step_uuid": project.steps["a"].uuid, "file_path": "sub/a.ipynb",
                "is_kept": False, "reason": None}
    assert {name: kernel[name] for name in expected} == expected
    with Client(kernels, kernel["id"]) as client:
        asked = client.send_execute("print('mine', x + 1)")
        wait_until(lambda: kernels.one()["connections"] == 1, 30, "the client is counted")
        (project.root / "sub/go").touch()
        assert client.finish(asked).text == "mine 42\n"
        client.until(lambda m: m["content"].get("text") == "two\n")
        with pytest.raises(Closed) as closed:
            client.drain(30)
            client.receive()
        assert closed.value.code in (1001, None)
    run = service.wait_for_run(submitted["uuid"])
    assert run["status"] == "SUCCESS"
    assert service.get(f"runs/{run['uuid']}/steps/{project.steps['a'].uuid}/log").text == "up\ntwo\n"
    wait_until(lambda: kernels.listed() == [], 30, "the kernel is gone")


def test_what_a_visitor_breaks_does_not_fail_the_step(service, kernels):
    """A cell that fails has the cells behind it aborted: here the step's own."""
    cells = [WAITS.replace("'go'", "'go1'"), WAITS.replace("'go'", "'go2'"), "print('three')"]
    project = service.project("p", Step("a", notebook(*cells)))
    submitted = service.submit(project)["uuid"]
    service.wait_for_event(submitted, "output")
    with Client(kernels, kernels.one()["id"]) as client:
        mine = client.send_execute("import time; time.sleep(0.5); 1 / 0")
        wait_until(lambda: kernels.one()["connections"] == 1, 30, "the client is counted")
        (project.root / "go2").touch()
        (project.root / "go1").touch()
        assert client.finish(mine).status == "error"
    assert service.wait_for_run(submitted)["status"] == "SUCCESS"
    assert service.get(f"runs/{submitted}/steps/{project.steps['a'].uuid}/log").text == "up\nup\nthree\n"


@pytest.mark.parametrize("how", ["api", "command"])
def test_interrupt_fails_the_cell(service, kernels, segue, how):
    project = service.project("p", Step("a", notebook(WAITS, "print('never')")))
    submitted = service.submit(project)["uuid"]
    service.wait_for_event(submitted, "output")
    kernel = kernels.one()["id"]
    if how == "api":
        kernels.interrupt(kernel)
    else:
        done = segue("kernels", "interrupt", kernel[:6].upper())
        assert (done.code, done.stdout) == (0, f"kernel {kernel[:8]} is interrupted\n"), done.stderr
    run = service.wait_for_run(submitted)
    failure = run["steps"][0]["failure"]
    assert (failure["cause"], failure["ename"]) == ("cell_error", "KeyboardInterrupt")


def test_kernel_of_a_step_that_runs_is_the_steps(service, kernels, segue):
    """It can neither be restarted nor shut down behind the run's back."""
    project = service.project("p", Step("a", notebook(WAITS)))
    submitted = service.submit(project)["uuid"]
    service.wait_for_event(submitted, "output")
    kernel = kernels.one()["id"]
    assert kernels.request("POST", f"kernels/{kernel}/restart", {}).status_code == 403
    assert kernels.request("DELETE", f"kernels/{kernel}").status_code == 403
    for verb in ("restart", "shutdown"):
        done = segue("kernels", verb, kernel)
        assert done.code == 1 and f"segue cancel {submitted[:8]}" in done.stderr, done.stderr
    (project.root / "go").touch()
    assert service.wait_for_run(submitted)["status"] == "SUCCESS"


# --------------------------------------------------------------------------------------------- kept


def test_kernel_of_a_failed_step_is_kept(service, kernels, segue):
    """Over a kill -9 of the service too; and the run goes on and ends without it."""
    others = Step("b", "echo b\n", path="b.sh"), Step("c", "echo c\n", "a", path="c.sh")
    project = service.project("p", failing(), *others)
    run = failed_run(service, project)
    assert {s["title"]: s["status"] for s in run["steps"]} == {"a": "FAILURE", "b": "SUCCESS", "c": "ABORTED"}
    executed = service.get(f"runs/{run['uuid']}/steps/{project.steps['a'].uuid}/notebook").json()
    assert [o["ename"] for o in executed["cells"][1]["outputs"]] == ["ZeroDivisionError"]
    kernel = kernels.one()
    assert (kernel["is_kept"], kernel["status"], kernel["run_uuid"]) == (True, "idle", run["uuid"])
    listed = segue("kernels").stdout
    assert "idle, kept" in listed and f"run {run['uuid'][:8]} a.ipynb" in listed, listed
    with Client(kernels, kernel["id"]) as client:
        assert client.execute("print(x)").text == "41\n"
        service.kill9()
        assert client.execute("x += 1; print(x)").text == "42\n"
        service.start()
        assert client.execute("x += 1; print(x)").text == "43\n"
        with Client(kernels, kernel["id"]) as second:
            assert second.execute("print(x)").text == "43\n"
        assert kernels.one()["id"] == kernel["id"]
        again = service.run(run["uuid"])
        assert again == {**run, "last_event_id": again["last_event_id"]}
        assert [e["event"] for e in service.events(run["uuid"])].count("step_finished") == 3
        done = segue("kernels", "shutdown", kernel["id"][:8])
        assert (done.code, done.stdout) == (0, f"kernel {kernel['id'][:8]} is shut down\n"), done.stderr
    is_let_go(service)
    assert kernels.listed() == []
    assert service.get(f"runs/{run['uuid']}/steps/{project.steps['a'].uuid}/notebook").json() == executed


def test_nothing_waits_for_a_kept_kernel(new_service):
    """One run at a time, one step at a time: the next of both have their turn."""
    service = new_service("--max-runs", 1, "--max-steps", 1).start()
    kernels = Kernels(service)
    project = service.project("p", failing())
    first, second = failed_run(service, project), failed_run(service, project)
    assert {k["run_uuid"] for k in kernels.listed(is_kept=True)} == {first["uuid"], second["uuid"]}
    metrics = service.request("GET", "/metrics").text
    assert re.search(r'^segue_runs_going\{class="interactive"\} 0$', metrics, re.M), metrics
    release_all(kernels)


def test_killed_between_the_last_line_and_its_being_read(service, kernels):
    """The service comes back to a step that has ended and whose keeper lives: it is not lost, not
    started twice, and not waited for."""
    project = service.project("p", Step("a", notebook(WAITS, "1 / 0")))
    submitted = service.submit(project, keep_kernels=600)["uuid"]
    service.wait_for_event(submitted, "output")
    service.kill9()
    (project.root / "go").touch()
    (journal,) = service.state.glob("runs/*/steps/*/1/journal")
    wait_until(lambda: "step_finished" in journal.read_text(), 30, "the step has ended")
    service.start()
    run = service.wait_for_run(submitted)
    (step,) = run["steps"]
    assert (run["status"], step["attempt"], step["failure"]["cause"]) == ("FAILURE", 1, "cell_error")
    with Client(kernels, kernels.one(is_kept=True)["id"]) as client:
        assert client.execute("print(1)").text == "1\n"
    release_all(kernels)


def test_deleting_the_run_ends_its_kept_kernel(service, kernels):
    project = service.project("p", failing())
    run, other = failed_run(service, project), failed_run(service, project)
    assert service.delete(f"runs/{run['uuid']}").status_code == 204
    wait_until(lambda: [k["run_uuid"] for k in kernels.listed()] == [other["uuid"]], 30, "one is left")
    wait_until(lambda: not (service.state / "runs" / run["uuid"]).exists(), 30, "the files are gone")
    with Client(kernels, kernels.one()["id"]) as client:
        assert client.execute("print(x)").text == "41\n"
    assert service.delete(f"runs/{other['uuid']}").status_code == 204
    is_let_go(service)


def test_kept_kernel_ends_when_its_time_is_over(service, kernels):
    project = service.project("p", failing())
    run = service.wait_for_run(service.submit(project, keep_kernels=1)["uuid"])
    assert run["status"] == "FAILURE"
    is_let_go(service)


def test_only_the_last_attempt_is_kept(service, kernels):
    project = service.project("p", failing(retries={"limit": 1, "delay": 0}))
    run = failed_run(service, project)
    assert run["steps"][0]["attempt"] == 2
    assert [k["attempt"] for k in kernels.listed()] == [2]
    release_all(kernels)


def test_killed_keeper_of_a_kept_kernel_leaves_nothing(service, kernels):
    failed_run(service, service.project("p", failing()))
    (keeper,) = service.keepers()
    os.kill(keeper, signal.SIGKILL)
    daemon = {service.process.pid}
    wait_until(lambda: not sockets(service), 60, "its sockets are removed")
    left = {pid: what for pid, what in service.everything().items()
            if pid not in daemon and not is_child(pid, service.process.pid)}
    assert left == {} and kernels.listed() == []


def test_how_long_is_the_runs_affair(service, kernels, segue):
    """It is kept with the run, and a rerun has it unless it says otherwise."""
    project = service.project("p", failing())
    done = segue("submit", str(project.pipeline), "--keep-kernels", "10m", "--json", "--wait")
    assert done.code == 1, done.stderr
    (run,) = service.runs()
    assert run["keep_kernels"] == 600
    assert service.post(f"runs/{run['uuid']}/rerun", {"from": "failed"}).json()["keep_kernels"] == 600
    for seconds in (0, 5):
        body = {"from": "start", "keep_kernels": seconds}
        assert service.post(f"runs/{run['uuid']}/rerun", body).json()["keep_kernels"] == seconds
    refused = service.post(f"runs/{run['uuid']}/rerun", {"from": "start", "keep_kernels": 86401})
    assert refused.status_code == 422 and refused.json()["errors"][0]["pointer"] == "/keep_kernels"
    done = segue("submit", str(project.pipeline), "--keep-kernels", "2 weeks")
    assert done.code == 2 and "--keep-kernels is a time such as" in done.stderr
    for each in service.runs():
        service.wait_for_run(each["uuid"])
    release_all(kernels)


# ------------------------------------------------------------------------------------ interactive ones


def test_kernels_of_notebooks_are_listed(service, kernels, segue):
    first = kernels.start_kernel("python3", env={"KERNEL_USERNAME": "ada"})
    second = kernels.start_kernel("python3")
    listed = kernels.listed()
    assert [k["id"] for k in listed] == [first, second]
    expected = {"kind": "interactive", "name": "python3", "connections": 0, "launcher": "process", "username": "ada",
                "run_uuid": None, "step_uuid": None, "file_path": None, "attempt": None, "is_kept": False}
    assert {name: listed[0][name] for name in expected} == expected
    with Client(kernels, first) as client:
        assert client.execute("x = 1").status == "ok"
        lines = segue("kernels").stdout.splitlines()
        assert lines[0].split() == ["KERNEL", "STATUS", "NAME", "FOR", "USER", "CLIENTS", "IDLE"]
        assert lines[1].split()[0] == first[:8] and "ada" in lines[1].split() and "1" in lines[1].split()
        done = segue("kernels", "restart", first)
        assert (done.code, done.stdout) == (0, f"kernel {first[:8]} is restarted\n"), done.stderr
        assert "NameError" in str(client.execute("x").reply["content"])
    as_json = [json.loads(line) for line in segue("kernels", "--json").stdout.splitlines()]
    assert [k["id"] for k in as_json] == [first, second]
    for kernel in (first, second):
        assert segue("kernels", "shutdown", kernel).code == 0
    assert kernels.listed() == [] and segue("kernels", "--json").stdout == ""


@pytest.mark.parametrize(("words", "code", "said"), [
    (("interrupt", "123"), 2, 'there is no kernel "123"'),
    (("interrupt",), 2, "which kernel?"),
    (("interrupt", "a", "b"), 2, "one kernel at a time"),
    (("stop", "a"), 2, "a kernel can be made to interrupt, restart or shutdown"),
    (("--all",), 2, "segue kernels --help tells more"),
])
def test_what_cannot_be_done(segue, words, code, said):
    done = segue("kernels", *words)
    assert done.code == code and said in done.stderr and done.stdout == "", done.stderr


def test_which_kernel_has_to_be_clear(kernels, segue):
    ids = [f"0000000{n}-0000-4000-8000-000000000000" for n in (1, 2)]
    names = [kernels.start_kernel("python3", env={"KERNEL_ID": each}) for each in ids]
    done = segue("kernels", "interrupt", "00000")
    assert done.code == 2 and f"may be kernel {names[0]} or {names[1]}" in done.stderr, done.stderr
    kernels.shut_all_down()
