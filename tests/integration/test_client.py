"""The commands that ask a service, against one that answers from a script, and against the real one."""

import json
import os
import re
import signal

import pytest
from fake_service import TOKEN, FakeService, a_run, a_step, break_off, problem
from support.project import Project, Step
from support.segue import Running, environment, program, wait_until

ENDED = {"started_time": "2026-11-22T01:00:01.000000Z", "finished_time": "2026-11-22T01:00:03.500000Z"}


class Client:
    """A service and the program beside it."""

    def __init__(self, root, service):
        self.root = root
        self.service = service
        self.env = environment(root / "state", root, SEGUE_URL=service.url, SEGUE_TOKEN=TOKEN)
        self._running = []

    def start(self, *arguments):
        output = self.root / f"output-{len(self._running)}"
        running = Running([program(), *arguments], self.env, self.root, output)
        self._running.append(running)
        return running

    def __call__(self, *arguments):
        return self.start(*arguments).wait(60)

    def close(self):
        for running in self._running:
            running.close()


@pytest.fixture
def client(tmp_path):
    (tmp_path / "projects").mkdir()
    with FakeService(tmp_path / "projects") as service:
        made = Client(tmp_path, service)
        yield made
        made.close()


@pytest.fixture
def project(client):
    """Two steps, below the service's projects."""
    steps = [Step("one", "exit 0\n", path="one.sh"), Step("two", "exit 0\n", "one", path="two.sh")]
    made = Project(client.root / "projects" / "p", steps)
    (made.root / ".segue").mkdir()
    return made


def finished(run, status="SUCCESS"):
    return {**run, "status": status, **ENDED}


# --------------------------------------------------------------------------- the service is not there


@pytest.mark.parametrize("command", ["runs", "show latest", "logs latest", "cancel 12345678",
                                     "rerun 12345678", "delete 12345678", "submit p --project x"])
def test_no_service_is_3(client, command):
    result = client(*command.split(), "--url", "http://127.0.0.1:9")
    assert result.code == 3
    assert "http://127.0.0.1:9 does not answer" in result.stderr
    assert "segue serve" in result.stderr
    assert result.stdout == ""


def test_a_wrong_url_is_2(client):
    for url in ("ftp://x", "127.0.0.1:7878", "http://"):
        result = client("runs", "--url", url)
        assert (result.code, result.stdout) == (2, "")
        assert "is no address of a service" in result.stderr


def test_a_refused_token_is_3(client):
    client.env["SEGUE_TOKEN"] = "wrong"
    result = client("runs")
    assert result.code == 3
    assert "refuses the token" in result.stderr and "--token-file" in result.stderr


def test_a_missing_token_is_3(client):
    del client.env["SEGUE_TOKEN"]
    result = client("runs")
    assert result.code == 3
    assert f'"{client.root}/state/token"' in result.stderr and "SEGUE_TOKEN" in result.stderr


def test_the_token_is_read_from_files(client):
    del client.env["SEGUE_TOKEN"]
    named = client.root / "named"
    named.write_text(TOKEN + "\n")
    assert client("runs", "--token-file", named).code == 0
    (client.root / "state").mkdir()
    (client.root / "state" / "token").write_text(TOKEN)
    assert client("runs").code == 0
    assert client("runs", "--token-file", client.root / "missing").code == 2
    named.write_text("two\nlines\n")
    assert "a single word" in client("runs", "--token-file", named).stderr


def test_a_proxy_is_not_asked_for_this_machine(client):
    client.env["http_proxy"] = client.env["ALL_PROXY"] = "http://127.0.0.1:9"
    assert client("runs").code == 0


def test_a_broken_service_is_told(client):
    for answer, code, text in (
        (problem(503, "the disk is full"), 3, "the disk is full"),
        (problem(500, "bug"), 1, "bug"),
        (problem(403, "not this Host"), 3, "not this Host"),
        (lambda handler: handler.answer(200, "no json"), 1, "no JSON object"),
        (lambda handler: handler.answer(404, "<html>"), 2, "status 404"),
        (break_off, 3, "does not answer"),
    ):
        client.service.script = [answer]
        result = client("runs")
        assert (result.code, result.stdout) == (code, ""), result.explain()
        assert text in result.stderr


# ------------------------------------------------------------------------------------------- submit


def test_submit_sends_what_is_asked_for(client, project):
    client.service.made = lambda body: a_run(a_step("one"), queue_position=2)
    result = client("submit", project.pipeline, "--from", "two", "-p", "n=0.10", "-p", "n=1",
                    "-p", "one:text=a b", "--in-place")
    assert result.code == 0, result.explain()
    assert result.stdout.startswith("Pipe: 1 step, run ") and "number 2 in the queue" in result.stdout
    [(headers, body)] = client.service.asked("POST", "/api/v1/runs")
    assert json.loads(body) == {
        "project": "p", "pipeline_path": "pipeline.json", "run_type": "from",
        "uuids": [project.steps["two"].uuid], "in_place": True,
        "parameters": {"pipeline_parameters": {"n": 1},
                       project.steps["one"].uuid: {"text": "a b"}},
    }
    assert headers["Content-Type"] == "application/json"
    assert len(headers["Idempotency-Key"]) == 36


def test_submit_json_is_the_run(client, project):
    client.service.made = lambda body: a_run(a_step("one"), parameters={"x": 1.50})
    result = client("submit", project.pipeline, "--json")
    assert result.stdout.count("\n") == 1
    assert json.loads(result.stdout) == client.service.runs[0]


def test_submit_by_name_needs_no_file(client, project):
    client.service.made = lambda body: a_run()
    assert client("submit", "other.json", "--project", "far/away").code == 0
    assert client("submit", "other.json", "--project", "far/away", "--only", "u1").code == 0
    assert client("submit", "pipeline.json", "--project", "p", "--only", "two").code == 0
    sent = [json.loads(body) for _, body in client.service.asked("POST", "/api/v1/runs")]
    assert [(b["project"], b["pipeline_path"], b.get("uuids")) for b in sent] == [
        ("far/away", "other.json", None), ("far/away", "other.json", ["u1"]),
        ("p", "pipeline.json", [project.steps["two"].uuid])]


def test_submit_refuses_a_project_of_elsewhere(client, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "p.json").write_text('{"steps": {}}')
    result = client("submit", tmp_path / "elsewhere" / "p.json")
    assert result.code == 2
    assert "outside the service's projects directory" in result.stderr
    assert not client.service.asked("POST", "/api/v1/runs")


def test_submit_is_never_done_twice(client, project):
    """Whether the connection broke before or behind the run was made: the same key."""
    def make_and_break(handler):
        handler.service.keys[handler.headers["Idempotency-Key"]] = handler.service.add(a_run())
        handler.close_connection = True

    client.service.made = lambda body: a_run()
    client.service.script = [None, break_off, make_and_break]
    result = client("submit", project.pipeline)
    assert result.code == 0, result.explain()
    asked = client.service.asked("POST", "/api/v1/runs")
    assert len(asked) == 3 and len({headers["Idempotency-Key"] for headers, _ in asked}) == 1
    assert len({body for _, body in asked}) == 1
    assert len(client.service.runs) == 1


def test_submit_gives_up_after_a_while(client, project):
    client.service.script = [None, *[break_off] * 4]
    result = client("submit", project.pipeline)
    assert result.code == 3
    assert len(client.service.asked("POST", "/api/v1/runs")) == 4


def test_what_the_service_refuses_has_its_place(client, project):
    client.service.script = [None, problem(422, "refused", [
        {"pointer": "/steps/x", "line": 3, "column": 7, "detail": "a cycle\x1b[2J"},
        {"pointer": "/uuids/0", "line": 1, "column": 9, "detail": "unknown"},
        {"pointer": "", "detail": "and more"}])]
    result = client("submit", project.pipeline)
    assert result.code == 2
    assert result.stderr == (f"{project.pipeline}:3:7: /steps/x: a cycle?[2J\n"
                             f"{project.pipeline}: unknown\n{project.pipeline}: and more\n")


def test_wrong_words_are_refused_before_anything_is_sent(client, project):
    for arguments in ([], ["a", "b"], [project.pipeline, "--only", "three"],
                      [project.pipeline, "--only", "one", "--from", "two"],
                      [project.pipeline, "-p", "n"], [project.pipeline, "-p", "three:n=1"],
                      [client.root / "missing"], ["--wrong"]):
        result = client("submit", *arguments)
        assert (result.code, result.stdout) == (2, ""), result.explain()
        assert result.stderr
    assert not client.service.asked("POST", "/")


# ------------------------------------------------------------------------------------------- --wait


def waiting(client, project, *arguments):
    """`submit --wait`, when it follows; the run."""
    client.service.made = lambda body: a_run(a_step("one"), a_step("two"))
    running = client.start("submit", project.pipeline, "--wait", *arguments)
    client.service.wait_for(lambda: client.service.asked("GET", "/api/v1/events"))
    return running, client.service.runs[0]


def play(service, run, status="SUCCESS", cause="exit_code"):
    """The events of a whole run."""
    failure = {"cause": cause, "message": "it broke"}
    service.put_event(run, "run_started", status="STARTED")
    service.put_event(run, "step_started", "one", attempt=1)
    service.put_event(run, "output", "one", output={"text": "hello" * 1000})
    service.put_event(run, "step_finished", "one", status="SUCCESS")
    service.put_event(run, "step_started", "two", attempt=1)
    service.put_event(run, "step_finished", "two", status=status,
                      **({"failure": failure} if status == "FAILURE" else {}))
    service.put_event(run, "run_finished", status=status)


@pytest.mark.parametrize("status, cause, code", [("SUCCESS", "", 0), ("FAILURE", "exit_code", 1),
                                                 ("FAILURE", "launcher_unavailable", 3)])
def test_waiting_ends_as_the_run_does(client, project, status, cause, code):
    running, run = waiting(client, project)
    play(client.service, run, status, cause)
    result = running.wait(60)
    assert result.code == code, result.explain()
    assert f"Pipe: 2 steps, run {run['uuid']}\n" in result.stdout
    assert "  ✓ one " in result.stdout and f"{status} in " in result.stdout
    assert f"logs: segue logs {run['uuid'][:8]}\n" in result.stdout
    assert ("it broke" in result.stdout) == (status == "FAILURE")


def test_waiting_with_json_is_an_event_a_line(client, project):
    running, run = waiting(client, project, "--json")
    play(client.service, run, "FAILURE")
    result = running.wait(60)
    assert result.code == 1
    assert [json.loads(line)["id"] for line in result.stdout.splitlines()] == [1, 2, 3, 4, 5, 6, 7]


def test_streams_that_break_off_lose_and_repeat_nothing(client, project):
    client.service.cuts = [0, 3, 130, 170, 260, 5200, 1, 20]
    running, run = waiting(client, project, "--json")
    play(client.service, run)
    result = running.wait(60)
    assert result.code == 0, result.explain()
    assert [json.loads(line)["id"] for line in result.stdout.splitlines()] == [1, 2, 3, 4, 5, 6, 7]
    assert len(client.service.asked("GET", "/api/v1/events")) == 9
    assert result.stderr == ""


def test_the_wait_for_a_service_is_said_once(client, project):
    client.service.cuts = [0]
    client.service.made = lambda body: a_run(a_step("one"), a_step("two"))
    # Projects, the run, its events (cut off), then three times no service.
    client.service.script = [None, None, None, problem(503, "starting"), break_off,
                             problem(503, "starting")]
    running = client.start("submit", project.pipeline, "--wait", "--json")
    client.service.wait_for(lambda: client.service.runs)
    play(client.service, client.service.runs[0])
    result = running.wait(60)
    assert result.code == 0, result.explain()
    assert result.stderr.count("does not answer, waiting") == 1
    assert len(result.stdout.splitlines()) == 7


def test_interrupted_the_run_goes_on(client, project):
    for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        client.service.requests.clear()
        running, run = waiting(client, project)
        running.signal(number)
        result = running.wait(60)
        assert result.code == code
        assert f"the run goes on; segue cancel {run['uuid'][:8]}" in result.stdout
        assert not client.service.asked("POST", f"/api/v1/runs/{run['uuid']}/cancel")


def test_a_run_that_is_deleted_ends_the_waiting(client, project):
    running, run = waiting(client, project)
    client.service.put_event(run, "run_deleted")
    result = running.wait(60)
    assert result.code == 1 and "deleted" in result.stdout


def test_a_token_that_is_refused_ends_the_waiting(client, project):
    client.service.made = lambda body: a_run()
    client.service.script = [None, None, problem(401)]
    result = client("submit", project.pipeline, "--wait")
    assert result.code == 3 and "refuses the token" in result.stderr


# ---------------------------------------------------------------------------------------- runs, show


def test_runs_is_a_table(client):
    client.service.add(finished(a_run(pipeline_name="Evil\x1b[31m name", project="deep/er")))
    client.service.add(a_run())
    result = client("runs")
    assert result.code == 0, result.explain()
    lines = result.stdout.splitlines()
    assert re.split(r"  +", lines[0]) == ["RUN", "STATUS", "CREATED", "TIME", "PIPELINE", "PROJECT"]
    assert lines[1].startswith(client.service.runs[0]["uuid"][:8] + "  PENDING")
    assert "SUCCESS" in lines[2] and "2.5 s" in lines[2] and "Evil?[31m name  deep/er" in lines[2]
    assert lines[1].index("Pipe") == lines[2].index("Evil") == lines[0].index("PIPELINE")


def test_runs_json_is_a_run_a_line_over_pages(client):
    client.service.page = 2
    made = [client.service.add(a_run()) for _ in range(5)]
    result = client("runs", "--json")
    uuids = [json.loads(line)["uuid"] for line in result.stdout.splitlines()]
    assert uuids == [run["uuid"] for run in reversed(made)]
    assert len(client("runs", "--json", "--limit", "3").stdout.splitlines()) == 3


def test_runs_are_filtered(client):
    client("runs", "--status", "failure", "--status", "PENDING", "--project", "a b&c")
    assert client.service.requests[-1][1] == (
        "/api/v1/runs?limit=50&status=PENDING,FAILURE&project=a%20b%26c")
    for wrong in (["--status", "x"], ["--limit", "0"], ["--limit", "-1"], ["--limit", "1x"], ["x"]):
        assert client("runs", *wrong).code == 2


def test_show_tells_all_of_a_run(client):
    failure = {"cause": "cell_error", "message": "Oh\nno\x1b[2J", "cell_index": 3}
    run = client.service.add(finished(a_run(
        a_step("one", "SUCCESS", **ENDED, cells_total=4, cells_done=4),
        a_step("two", "FAILURE", **ENDED, attempt=2, failure=failure), a_step("three", "ABORTED"),
        run_type="upto", parameters={"pipeline_parameters": {"n": 1}}), "FAILURE"))
    result = client("show", run["uuid"])
    assert result.code == 0, result.explain()
    out = result.stdout
    assert f"run        {run['uuid']}\n" in out and "status     FAILURE in 2.5 s\n" in out
    assert "part       upto\n" in out and 'parameters {"pipeline_parameters":{"n":1}}\n' in out
    assert re.search(r"^one +SUCCESS +2\.5 s +4/4 +one\.sh$", out, re.M)
    assert re.search(r"^two +FAILURE \(attempt 2\) +2\.5 s +- +two\.sh$", out, re.M)
    assert "✗ two: cell_error in cell 3: Oh\n    no?[2J\n" in out
    assert json.loads(client("show", "latest", "--json").stdout)["uuid"] == run["uuid"]


def test_show_tells_what_a_run_waits_for(client):
    older = client.service.add(a_run(a_step("one")))
    client.service.add(a_run(queue_position=3, waiting_for=older["uuid"]))
    out = client("show", "latest").stdout
    assert (f"status     PENDING, number 3 in the queue, waits for run {older['uuid'][:8]} "
            "of the same pipeline\n") in out


def test_a_run_is_named_by_its_beginning(client):
    for number in range(5):
        client.service.add(a_run(uuid=f"abcd000{number}-0000-4000-8000-000000000000"))
    client.service.page = 2
    assert "abcd0003" in client("show", "ABCD0003").stdout
    for word, text in (("abcd", "may be run"), ("abc", "at least its first 4"), ("zzzz", "is no run"),
                       ("abcd9", "there is no run"), ("../../x", "is no run"),
                       ("00000000-0000-4000-8000-000000000000", "no run")):
        result = client("show", word)
        assert result.code == 2 and text in result.stderr, result.explain()
    client.service.runs.clear()
    assert "there is no run yet" in client("show", "latest").stderr


# --------------------------------------------------------------------------------------------- logs


def test_logs_of_one_step_keep_colours_and_nothing_else(client):
    run = client.service.add(finished(a_run(a_step("one", "SUCCESS"))))
    client.service.put_log("one", "a\x1b[31mb\x1b[0m\x1b[2Jc\x1b]0;title\x07d\re\r\nä\n".encode() + b"\xff\n")
    result = client("logs", run["uuid"])
    assert result.stdout == "a\x1b[31mb\x1b[0mcd\ne\nä\n?\n", result.explain()


def test_logs_of_several_steps_are_marked(client):
    client.service.add(finished(a_run(a_step("one", "SUCCESS"), a_step("second", "FAILURE"),
                                      a_step("last", "ABORTED"))))
    client.service.put_log("one", b"1\n2\n")
    client.service.put_log("second", b"\x1b[31m3\n4")
    assert client("logs", "latest").stdout == (
        "one    | 1\none    | 2\nsecond | \x1b[31m3\x1b[0m\nsecond | 4\n")
    assert client("logs", "latest", "one").stdout == "1\n2\n"
    assert client("logs", "latest", "second.sh").stdout.endswith("3\n4\x1b[0m")
    assert 'did you mean "second"' in client("logs", "latest", "secnod").stderr
    assert "has not started" in client("logs", "latest", "last").stderr


def test_a_long_log_is_read_in_pieces(client):
    run = client.service.add(finished(a_run(a_step("one", "SUCCESS"))))
    text = b"".join(b"line %d \xc3\xa4\n" % n for n in range(200000))
    client.service.put_log("one", text)
    assert client("logs", run["uuid"]).stdout.encode() == text
    assert len(client.service.asked("GET", f"/api/v1/runs/{run['uuid']}/steps")) == 3


def test_logs_are_followed_to_the_end(client):
    service = client.service
    run = service.add(a_run(a_step("one", "STARTED"), a_step("two"), status="STARTED"))
    service.put_log("one", b"first\npar")
    running = client.start("logs", "latest", "-f")
    service.wait_for(lambda: service.asked("GET", "/api/v1/events"))
    service.put_log("one", b"tial\n")
    service.put_event(run, "output", "one")
    service.put_event(run, "step_retrying", "one", attempt=1)
    service.put_log("one", b"again\n", attempt=2)
    service.put_event(run, "step_started", "one", attempt=2)
    service.put_event(run, "step_finished", "one", status="SUCCESS")
    service.put_log("two", b"no end")
    service.put_event(run, "step_started", "two", attempt=1)
    service.put_event(run, "step_finished", "two", status="SUCCESS")
    service.put_event(run, "run_finished", status="SUCCESS")
    result = running.wait(60)
    assert result.code == 0, result.explain()
    assert result.stdout == ("one | first\none | partial\none | --- attempt 2 ---\none | again\n"
                             "two | no end\n")


def test_following_a_step_ends_with_it(client):
    service = client.service
    run = service.add(a_run(a_step("one", "STARTED"), a_step("two"), status="STARTED"))
    service.put_log("one", b"x")
    running = client.start("logs", "latest", "one", "--follow")
    service.wait_for(lambda: service.asked("GET", "/api/v1/events"))
    service.put_log("one", b"y\n")
    service.put_event(run, "step_finished", "one", status="SUCCESS")
    result = running.wait(60)
    assert (result.code, result.stdout) == (0, "xy\n")


# ---------------------------------------------------------------------------- cancel, rerun, delete


def test_cancel(client):
    run = client.service.add(a_run())
    result = client("cancel", "latest")
    assert (result.code, result.stdout) == (0, f"run {run['uuid'][:8]} is being cancelled\n")
    client.service.runs[0].update(ENDED)
    result = client("cancel", run["uuid"])
    assert result.code == 1 and "has ended" in result.stderr
    assert client("cancel").code == 2


def test_rerun(client):
    old = client.service.add(finished(a_run()))
    client.service.made = lambda body: a_run(rerun_of=old["uuid"])
    assert client("rerun", "latest").code == 0
    assert json.loads(client("rerun", old["uuid"], "--failed", "--json").stdout)["rerun_of"] == old["uuid"]
    bodies = [json.loads(body) for _, body in client.service.asked("POST", "/api/v1/runs/")]
    assert bodies == [{"from": "start"}, {"from": "failed"}]


def test_delete_takes_several(client):
    runs = [client.service.add(finished(a_run())) for _ in range(3)]
    missing = "00000000-0000-4000-8000-000000000000"
    result = client("delete", runs[0]["uuid"], missing, "latest")
    assert result.code == 2 and result.stdout.count("is deleted") == 2
    assert [run["uuid"] for run in client.service.runs] == [runs[1]["uuid"]]


def test_help_is_no_error(client):
    for command in ("submit", "runs", "show", "logs", "cancel", "rerun", "delete"):
        result = client(command, "--help")
        assert result.code == 0 and result.stdout.startswith(f"usage: segue {command}")
        assert client(command, "--wrong").code == 2
    assert not client.service.requests


# --------------------------------------------------------------------------------- the real service


class Real(Client):
    """The real service, and the program beside it. The token is found where the service keeps it."""

    def __init__(self, root, service):
        super().__init__(root, service)
        self.env = {**service.env, "SEGUE_URL": service.url}


@pytest.fixture
def real(tmp_path, service):
    made = Real(tmp_path, service)
    yield made
    made.close()


def three_steps(service):
    return service.project("p", Step("one", "print('hello')\n", path="one.py"),
                           Step("two", "import sys\nprint('so')\nsys.exit(4)\n", "one", path="two.py"),
                           Step("three", "", "two", path="three.py"))


def test_a_run_from_its_beginning_to_its_removal(real, service):
    project = three_steps(service)
    result = real("submit", project.pipeline, "--wait", "-p", "n=1")
    assert result.code == 1, result.explain()
    assert "✓ one" in result.stdout and "✗ two" in result.stdout and "- three" in result.stdout
    assert "FAILURE in " in result.stdout and "1 succeeded, 1 failed, 1 aborted" in result.stdout
    run = json.loads(real("runs", "--json").stdout)
    assert run["parameters"] == {"pipeline_parameters": {"n": 1}}
    shown = real("show", run["uuid"][:6]).stdout
    assert "status     FAILURE in" in shown and "✗ two: exit_code: exit status 4" in shown
    logs = real("logs", "latest").stdout
    assert "one   | hello\n" in logs and "two   | so\n" in logs
    assert real("logs", "latest", "one").stdout.startswith("hello\n")
    again = json.loads(real("rerun", "latest", "--failed", "--json").stdout)
    assert again["rerun_of"] == run["uuid"]
    assert real("logs", "latest", "-f").code == 0
    assert real("cancel", "latest").code == 1
    assert real("delete", run["uuid"], "latest").code == 0
    assert real("runs", "--json").stdout == ""


def test_what_is_shown_is_what_run_shows(real, service):
    """But for uuids, times and where things lie."""
    project = three_steps(service)

    def plain(text):
        text = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "UUID", text)
        return re.sub(r" +[0-9.]+ s", " TIME", text).splitlines()[:-1]

    assert plain(real("submit", project.pipeline, "--wait").stdout) == plain(
        real("run", project.pipeline).stdout)


def test_waiting_outlives_the_service(real, service):
    gate = real.root / "gate"
    project = service.project("p", Step("one", f"read line < '{gate}'\necho through\n", path="one.sh"))
    os.mkfifo(gate)
    running = real.start("submit", project.pipeline, "--wait", "--json")
    running.wait_for(lambda event: event["event"] == "step_started")
    port = service.url.rpartition(":")[2]
    service.kill9()
    wait_until(lambda: "does not answer, waiting" in running.errors_so_far(), 30, "it is told")
    service.start("--listen", f"127.0.0.1:{port}")
    gate.write_text("go\n")
    result = running.wait(60)
    assert result.code == 0, result.explain()
    ids = [json.loads(line)["id"] for line in result.stdout.splitlines()]
    assert ids == sorted(set(ids))
    assert json.loads(result.stdout.splitlines()[-1])["event"] == "run_finished"


def test_a_run_is_cancelled_while_it_is_followed(real, service):
    gate = real.root / "gate"
    os.mkfifo(gate)
    project = service.project("p", Step("one", f"echo up\nread line < '{gate}'\n", path="one.sh"))
    assert real("submit", project.pipeline).code == 0
    following = real.start("logs", "latest", "one", "-f")
    wait_until(lambda: "up" in (real.root / "output-1.stdout").read_text(), 30, "the log is followed")
    assert real("cancel", "latest").code == 0
    assert following.wait(60).code == 0
    assert real("show", "latest").stdout.count("ABORTED") == 2


def test_what_the_real_service_refuses(real, service):
    project = three_steps(service)
    project.step("one")["incoming_connections"] = [project.steps["three"].uuid]
    project.save()
    result = real("submit", project.pipeline)
    assert result.code == 2
    assert re.match(re.escape(str(project.pipeline)) + r":\d+:\d+: /steps/.*cycle", result.stderr)
    result = real("submit", "missing.json", "--project", "p")
    assert result.code == 2 and result.stderr.startswith("missing.json: ")
    real.env["SEGUE_TOKEN"] = "wrong"
    assert real("runs").code == 3
