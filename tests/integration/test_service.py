"""The life of `segue serve`: how it starts, whom it lets in, how it stops, what it finds again."""

import json
import os
import signal
import socket
import stat
import time
import uuid
from datetime import datetime, timedelta

import pytest
import requests
from support.project import Step, uuid_of
from support.segue import wait_until
from support.service import Follower, StreamEnded

# A step that goes on until its project has a file "go".
WAITS = "echo waiting\nwhile [ ! -e go ]; do sleep 0.05; done\necho went on\n"


def waiting_project(service, name="p"):
    return service.project(name, Step("a", WAITS, path="a.sh"), Step("b", "echo b\n", "a", path="b.sh"))


def let_go(project):
    (project.root / "go").touch()


def refused(service, process, *said):
    """A process that should not have started: its exit status is that of a refusal, and it says why."""
    code = process.wait(60)
    text = service.errors()
    assert code in (1, 2, 3), f"exit status {code}\n{text}"
    for what in said:
        assert str(what) in text, text
    return text


# ----------------------------------------------------------------------------------------- its start


def test_healthz_is_open_and_docs_too(service):
    for path in ("/healthz", "/docs"):
        response = requests.get(service.url + path, timeout=30)
        assert response.status_code == 200, response.text
    health = requests.get(service.url + "/healthz", timeout=30).json()
    assert health["status"] == "ok" and health["version"]


def test_token_is_made_once_and_kept_private(service):
    path = service.state / "token"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    first = service.token
    assert len(first) >= 32
    assert service.get("runs").status_code == 200
    service.restart()
    assert service.token == first
    assert service.get("runs").status_code == 200


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer wrong", "token wrong", "Basic {}", "{}"])
def test_without_the_token_nobody_comes_in(service, header):
    headers = {} if header is None else {"Authorization": header.format(service.token)}
    response = requests.get(service.url + "/api/v1/runs", headers=headers, timeout=30)
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"].startswith("Bearer")
    assert response.headers["Content-Type"].startswith("application/problem+json")


@pytest.mark.parametrize("kind", ["Bearer", "token"])
def test_both_spellings_of_the_token(service, kind):
    headers = {"Authorization": f"{kind} {service.token}"}
    assert requests.get(service.url + "/api/v1/runs", headers=headers, timeout=30).status_code == 200


def test_token_file_of_ones_own(new_service):
    service = new_service()
    path = service.root / "my-token"
    path.write_text("a-token-that-somebody-else-made-0123456789\n")
    path.chmod(0o600)
    service.start("--token-file", path)
    headers = {"Authorization": "Bearer a-token-that-somebody-else-made-0123456789"}
    response = requests.get(service.url + "/api/v1/runs", headers=headers, timeout=30)
    assert response.status_code == 200


def test_empty_token_file_is_refused(new_service):
    """Else everybody who sends nothing would be let in."""
    service = new_service()
    path = service.root / "my-token"
    path.write_text("\n")
    refused(service, service.launch("--token-file", path), "my-token")


def test_second_service_on_the_same_state_is_refused(service, new_service):
    second = new_service(state=service.state)
    refused(second, second.launch(), service.state)
    assert service.get("runs").status_code == 200, "the first is not disturbed"


def test_port_that_is_taken_is_refused(service, new_service):
    address = service.url.partition("//")[2]
    second = new_service()
    refused(second, second.launch(listen=address), address.rpartition(":")[2])


@pytest.mark.parametrize("listen", ["", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:70000",
                                    "nowhere.invalid:0", "192.0.2.1:0"])
def test_address_that_is_none_is_refused(new_service, listen):
    service = new_service()
    refused(service, service.launch(listen=listen))


def test_projects_directory_that_is_missing_is_refused(new_service):
    service = new_service()
    service.projects = service.root / "missing"
    refused(service, service.launch(), "missing")


def test_state_directory_with_too_long_a_path_is_refused(new_service):
    """Sockets lie below it, and their paths have a limit."""
    service = new_service()
    service.state = service.root / ("x" * 100)
    refused(service, service.launch(), "long")


def test_unknown_option_is_refused(new_service):
    service = new_service()
    assert service.launch("--stat").wait(60) == 2
    assert "--state" in service.errors(), "names the nearest"


def test_log_lines_are_pairs(service):
    run = service.submit(service.project("p", ("a", "print(1)\n")))
    service.wait_for_run(run["uuid"])
    service.stop()
    lines = service.errors().splitlines()
    assert lines
    assert len(service.logged()) == len(lines), lines
    for pairs in service.logged():
        assert {"time", "level", "event"} <= pairs.keys(), pairs


# ------------------------------------------------------------------------------------------- its end


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_by_signal_with_streams_open(service, number):
    """A stream ends, an idle connection does not keep it."""
    with service.follow() as stream, socket.create_connection(
            ("127.0.0.1", int(service.url.rpartition(":")[2]))):
        assert stream.status == 200
        service.process.send_signal(number)
        assert service.wait() == 0
        try:
            assert list(stream) == []
        except StreamEnded:
            pass


def test_steps_go_on_while_it_is_away(service):
    project = waiting_project(service)
    uuid = service.submit(project)["uuid"]
    before = service.wait_for_event(uuid, "output")
    service.stop()
    keepers = service.keepers()
    assert len(keepers) == 1, "the step goes on"
    let_go(project)
    wait_until(lambda: not service.keepers(), 60, "the step ends by itself")
    service.start()
    run = service.wait_for_run(uuid)
    assert run["status"] == "SUCCESS", run
    assert [step["attempt"] for step in run["steps"]] == [1, 1]
    events = service.events(uuid)
    assert before in events
    told = "".join(e["output"]["text"] for e in events if e["event"] == "output")
    assert told.split() == ["waiting", "went", "on", "b"]


def test_second_signal_is_harmless(service):
    service.process.send_signal(signal.SIGTERM)
    service.process.send_signal(signal.SIGTERM)
    assert service.wait() == 0


# ------------------------------------------------------------------------------------ what it finds


def test_runs_are_the_same_after_a_restart(service):
    project = service.project("p", ("a", "print(1)\n"), ("bad", "import sys\nsys.exit(3)\n"),
                              Step("after", "print(2)\n", "bad"))
    uuids = [service.submit(project, parameters={"pipeline_parameters": {"n": n}})["uuid"] for n in range(3)]
    runs = [service.wait_for_run(uuid) for uuid in uuids]
    events = [service.events(uuid) for uuid in uuids]
    listed = service.runs(include="steps")
    service.restart()
    for uuid, run, told in zip(uuids, runs, events, strict=True):
        assert {**service.run(uuid), "last_event_id": run["last_event_id"]} == run
        assert service.events(uuid) == told
    assert service.runs(include="steps") == listed
    assert [run["uuid"] for run in listed] == uuids[::-1]
    states = {s["title"]: (s["status"], (s["failure"] or {}).get("cause")) for s in runs[0]["steps"]}
    assert states == {"a": ("SUCCESS", None), "bad": ("FAILURE", "exit_code"), "after": ("ABORTED", "upstream")}


def test_key_is_remembered_over_a_restart(service):
    project = service.project("p", ("a", "print(1)\n"))
    key = str(uuid.uuid4())
    first = service.submit(project, key=key)
    service.kill9()
    service.start()
    again = service.post("runs", service.body_for(project), headers={"Idempotency-Key": key})
    assert again.status_code == 201
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.json()["uuid"] == first["uuid"]
    other = service.post("runs", service.body_for(project, run_type="upto", uuids=[uuid_of("a")]),
                         headers={"Idempotency-Key": key})
    assert other.status_code == 422
    assert len(service.runs()) == 1
    service.wait_for_run(first["uuid"])


def test_time_limit_goes_on_over_a_kill(service):
    """It counts from the run's start, not from the service's."""
    project = waiting_project(service)
    run = service.submit(project, timeout=4)
    assert run["timeout"] == 4
    service.wait_for_event(run["uuid"], "step_started")
    service.kill9()
    service.start()
    started, ended = (service.wait_for_event(run["uuid"], name) for name in ("run_started", "cancel_requested"))
    assert ended["cause"] == "timeout"
    times = [datetime.fromisoformat(event["time"]) for event in (started, ended)]
    assert times[1] - times[0] >= timedelta(seconds=4)
    run = service.wait_for_run(run["uuid"])
    states = {s["title"]: (s["status"], s["failure"]["cause"]) for s in run["steps"]}
    assert (run["status"], states) == ("FAILURE", {"a": ("FAILURE", "timeout"), "b": ("ABORTED", "cancelled")})
    again = service.post(f"runs/{run['uuid']}/rerun", {"from": "start"}).json()
    assert again["timeout"] == 4
    let_go(project)
    assert service.wait_for_run(again["uuid"])["status"] == "SUCCESS"


def test_held_runs_wait_for_a_service_that_does_not_hold(new_service):
    service = new_service("--hold").start()
    projects = [service.project(f"p{n}", ("a", "print(1)\n")) for n in range(3)]
    uuids = [service.submit(project)["uuid"] for project in projects]
    # They are of three pipelines and nothing runs: without the option all would start at once.
    service.restart()
    runs = [service.run(uuid) for uuid in uuids]
    assert [run["status"] for run in runs] == ["PENDING"] * 3
    assert [run["queue_position"] for run in runs] == [1, 2, 3]
    assert not service.keepers()
    service.stop()
    service.options.remove("--hold")
    service.start()
    for uuid in uuids:
        assert service.wait_for_run(uuid)["status"] == "SUCCESS"


def test_cancelled_run_stays_cancelled(service):
    """Cancelled, and killed before the step has ended."""
    project = service.project("p", Step("a", "trap '' TERM\necho a\nsleep 600\n", path="a.sh"))
    uuid = service.submit(project)["uuid"]
    service.wait_for_event(uuid, "output")
    service.cancel(uuid)
    service.kill9()
    service.start()
    run = service.wait_for_run(uuid)
    assert run["status"] == "ABORTED", run
    assert run["steps"][0]["failure"]["cause"] == "cancelled"
    service.nothing_left()


def test_deleted_run_is_gone_for_good(service):
    project = service.project("p", ("a", "print(1)\n"))
    uuid = service.submit(project)["uuid"]
    service.wait_for_run(uuid)
    everybody = Follower(service)
    everybody.wait_for(lambda _: everybody.connections, what="a stream")
    assert service.delete(f"runs/{uuid}").status_code == 204
    everybody.wait_for(lambda events: events and events[-1]["event"] == "run_deleted")
    everybody.stop()
    service.restart()
    assert service.get(f"runs/{uuid}").status_code == 404
    assert service.get("events", run=uuid).status_code == 404
    assert not (service.state / "runs" / uuid).exists()


def test_follower_misses_nothing_over_restarts(service):
    """One event after the other, with the service away between any two."""
    steps = [Step(f"s{n}", f"echo {n}\nwhile [ ! -e go{n} ]; do sleep 0.02; done\n",
                  f"s{n - 1}" if n else "", path=f"s{n}.sh") for n in range(4)]
    project = service.project("p", *steps)
    uuid = service.submit(project)["uuid"]
    follower, everybody = Follower(service, uuid), Follower(service, after=0)
    for n in range(4):
        follower.wait_for(lambda events, n=n: sum(e["event"] == "output" for e in events) > n,
                          what=f"the output of step {n}")
        service.restart()
        (project.root / f"go{n}").touch()
    events = follower.wait()
    assert follower.connections > 4
    assert events == service.events(uuid)
    everybody.wait_for(lambda events: events and events[-1]["event"] == "run_finished")
    assert everybody.stop() == [e for e in events if e["event"] != "output"]


def test_stream_of_an_ended_run_is_over(service):
    uuid = service.submit(service.project("p", ("a", "print(1)\n")))["uuid"]
    events = service.events(uuid)
    assert events[-1]["event"] == "run_finished"
    with service.follow(uuid, last_event_id=events[-1]["id"]) as stream:
        assert stream.status == 204


def test_metrics_begin_anew(service):
    """Prometheus takes a counter that falls for a restart: no text of before is left."""
    before = service.get("/metrics")
    assert before.status_code == 200
    assert before.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    service.restart()
    assert service.get("/metrics").status_code == 200


def test_state_directory_is_private(service):
    """Definitions, parameters and outputs are nobody else's business. A step of another user goes
    through to its own files, and can list nothing."""
    uuid = service.submit(service.project("p", ("a", "print(1)\n")))["uuid"]
    service.wait_for_run(uuid)

    def mode(*parts):
        return stat.S_IMODE(service.state.joinpath(*parts).stat().st_mode)

    for directory in ("", "runs", "k"):
        assert mode(directory) & 0o066 == 0, directory
    for file in ("segue.db", "token", f"runs/{uuid}/pipeline.json"):
        assert not service.state.joinpath(file).exists() or mode(file) & 0o077 == 0, file
