"""Webhooks: others are told when runs end, by signed notices that no crash loses."""

import hashlib
import hmac
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from support.project import Step, uuid_of
from support.segue import wait_until

SECRET = "It's a Secret to Everybody"


class Receiver:
    """Keeps what it is sent, [(path, headers, body)], and answers as `answers` says by path: a
    status, or an event that is waited for before 200."""

    def __init__(self):
        self.got = []
        self.answers = {}
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.got.append((self.path, self.headers, body))
                answer = receiver.answers.get(self.path, 200)
                if isinstance(answer, threading.Event):
                    answer.wait(60)
                    answer = 200
                self.send_response(answer)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def close(self):
        for answer in self.answers.values():
            if isinstance(answer, threading.Event):
                answer.set()
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def at(self, path):
        return [(headers, json.loads(body)) for where, headers, body in self.got if where == path]

    def wait_for(self, path, count):
        wait_until(lambda: len(self.at(path)) >= count, 60, f"{count} notices at {path}")
        return self.at(path)


@pytest.fixture
def receiver():
    receiver = Receiver()
    yield receiver
    receiver.close()


@pytest.fixture
def open_service(new_service):
    return new_service("--allow-local-webhooks").start()


def add(service, url, **fields):
    answer = service.post("webhooks", {"url": url, **fields})
    assert answer.status_code == 201, answer.text
    return answer.json()["uuid"]


def run(service, project):
    run = service.submit(project)
    return service.wait_for_run(run["uuid"])


def log(service, hook):
    return service.get(f"webhooks/{hook}/deliveries").json()["deliveries"]


def wait_for_log(service, hook, *statuses):
    """The log, newest first, once the deliveries in it have these statuses."""
    wait_until(lambda: [d["status"] for d in log(service, hook)] == list(statuses), 60, f"{statuses}")
    return log(service, hook)


def test_the_end_of_a_run_is_told_and_signed(open_service, receiver):
    hook = add(open_service, receiver.url + "/all", secret=SECRET)
    project = open_service.project("p", Step("a", "exit 3\n", path="a.sh"))
    ended = run(open_service, project)
    (headers, body), = receiver.wait_for("/all", 1)
    (raw,) = [raw for _, _, raw in receiver.got]
    assert headers["X-Hub-Signature-256"] == \
        "sha256=" + hmac.new(SECRET.encode(), raw, hashlib.sha256).hexdigest()
    assert headers["X-Segue-Event"] == body["event"] == "run_finished"
    assert headers["Content-Type"] == "application/json"
    told = body["run"]
    assert (told["uuid"], told["status"], told["job_uuid"]) == (ended["uuid"], "FAILURE", None)
    assert told["finished_time"] == ended["finished_time"]
    assert told["failure"]["cause"] == "exit_code" and told["failure"]["step_uuid"] == uuid_of("a")
    (delivery,) = wait_for_log(open_service, hook, "DELIVERED")
    assert delivery["uuid"] == headers["X-Segue-Delivery"] and delivery["tries"] == 1
    assert delivery["body"] == body


def test_each_is_told_what_it_wants(open_service, receiver):
    good = open_service.project("good", Step("a", "exit 0\n", path="a.sh"))
    bad = open_service.project("bad", Step("a", "exit 1\n", path="a.sh"))
    add(open_service, receiver.url + "/failures", failures_only=True)
    add(open_service, receiver.url + "/good", project="good")
    add(open_service, receiver.url + "/jobs", events=["job_finished"])
    gone = add(open_service, receiver.url + "/gone")
    assert open_service.request("DELETE", f"webhooks/{gone}").status_code == 204
    add(open_service, receiver.url + "/all")
    runs = [run(open_service, project)["uuid"] for project in (good, bad, good)]
    assert [body["run"]["uuid"] for _, body in receiver.wait_for("/all", 3)] == runs
    assert [body["run"]["uuid"] for _, body in receiver.wait_for("/failures", 1)] == [runs[1]]
    assert [body["run"]["uuid"] for _, body in receiver.wait_for("/good", 2)] == [runs[0], runs[2]]
    assert receiver.at("/jobs") == receiver.at("/gone") == []


def test_who_hangs_holds_up_nobody(open_service, receiver):
    receiver.answers["/slow"] = threading.Event()
    slow = add(open_service, receiver.url + "/slow")
    add(open_service, receiver.url + "/fast")
    project = open_service.project("p", Step("a", "exit 0\n", path="a.sh"))
    for _ in range(3):
        run(open_service, project)
    receiver.wait_for("/fast", 3)
    assert {d["status"] for d in log(open_service, slow)} == {"PENDING"}


def test_a_kill_loses_no_notice(open_service, receiver):
    held = receiver.answers["/hook"] = threading.Event()
    hook = add(open_service, receiver.url + "/hook")
    open_service.post(f"webhooks/{hook}/ping")
    receiver.wait_for("/hook", 1)
    open_service.kill9()
    held.set()
    open_service.start()
    first, second = receiver.wait_for("/hook", 2)
    assert first[0]["X-Segue-Delivery"] == second[0]["X-Segue-Delivery"]
    assert first[1] == second[1] and first[1]["event"] == "ping"
    wait_for_log(open_service, hook, "DELIVERED")


def test_a_run_that_ended_while_nobody_listened_is_told(open_service, receiver):
    """The end of a run is in the store; whether it was told is decided from there."""
    hook = add(open_service, receiver.url + "/hook")
    project = open_service.project("p", Step("a", "sleep 1\n", path="a.sh"))
    begun = open_service.submit(project)
    open_service.wait_for_event(begun["uuid"], "step_started")
    open_service.kill9()
    open_service.start()
    (_, body), = receiver.wait_for("/hook", 1)
    assert body["run"]["uuid"] == begun["uuid"]
    wait_for_log(open_service, hook, "DELIVERED")


def test_what_fails_waits_for_its_next_try(open_service, receiver):
    receiver.answers["/hook"] = 500
    hook = add(open_service, receiver.url + "/hook")
    open_service.post(f"webhooks/{hook}/ping")
    receiver.wait_for("/hook", 1)
    wait_until(lambda: log(open_service, hook)[0]["tries"] == 1, 60, "the first try")
    (delivery,) = log(open_service, hook)
    assert (delivery["status"], delivery["last_status"]) == ("PENDING", 500)
    assert delivery["last_error"] == "HTTP 500" and delivery["next_time"] > delivery["created_time"]


def test_nothing_goes_to_our_own_machine_unless_allowed(service, receiver):
    port = receiver.url.rpartition(":")[2]
    for host in ("127.0.0.1", "127.1", "2130706433", "0", "[::1]", "[::ffff:127.0.0.1]", "169.254.169.254"):
        answer = service.post("webhooks", {"url": f"http://{host}:{port}/"})
        assert answer.status_code == 422, host
        assert answer.json()["errors"][0]["pointer"] == "/url"
    hook = add(service, f"http://localhost:{port}/")
    service.post(f"webhooks/{hook}/ping")
    wait_until(lambda: log(service, hook)[0]["tries"] == 1, 60, "the first try")
    assert 'of "localhost" is not allowed' in log(service, hook)[0]["last_error"]
    assert receiver.got == []


def test_the_end_of_a_job_is_told_with_its_best_set(open_service, receiver, tmp_path):
    """Once for every fire, in whichever way it ends."""
    add(open_service, receiver.url + "/jobs", events=["job_finished"])
    report = "import segue\nsegue.log_metric('score', segue.get_pipeline_param('n'))\n"
    project = open_service.project("p", Step("a", report, path="a.py"))
    wanted = open_service.body_for(project, name="n", parameters={"grid": {"pipeline_parameters": {"n": [2, 7, 5]}}},
                                   policy={"objective": {"metric": "score"}})
    job = open_service.post("jobs", wanted).json()["uuid"]
    (_, body), = receiver.wait_for("/jobs", 1)
    told = body["job"]
    assert (told["uuid"], told["name"], told["status"], told["project"]) == (job, "n", "SUCCESS", "p")
    assert (told["fire"]["number"], told["fire"]["counts"]["SUCCESS"]) == (1, 3)
    assert (told["best"]["value"], told["best"]["metric"], told["best"]["number"]) == (7, "score", 1)
    waits = open_service.project("w", Step("a", f"while [ ! -e {tmp_path}/go ]; do sleep 0.05; done\n", path="a.sh"))
    job = open_service.post("jobs", open_service.body_for(waits)).json()["uuid"]
    assert open_service.post(f"jobs/{job}/abort").status_code == 202
    _, (_, body) = receiver.wait_for("/jobs", 2)
    told = body["job"]
    assert (told["uuid"], told["status"], told["fire"]["status"], told["best"]) == (job, "ABORTED", "ABORTED", None)
    wait_until(lambda: all(r["status"] == "ABORTED" for r in open_service.get("runs", job_uuid=job).json()["runs"]),
               60, "its run has ended")
