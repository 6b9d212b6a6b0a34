"""The API's written contract, api/service/openapi.json: it is valid, it names exactly the routes that
the program has, and what the service answers is what it says: on a tour through every operation, and
to requests that schemathesis makes up from it."""

import json
import os
import re
import subprocess
from collections import Counter
from types import SimpleNamespace

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import run_state_machine_as_test
from jsonschema import Draft202012Validator, FormatChecker
from openapi_spec_validator import OpenAPIV31SpecValidator
from schemathesis import GenerationMode, checks
from support.notebooks import code, notebook
from support.project import Step, uuid_of
from support.segue import ROOT, environment, wait_until
from support.service import Service

SPEC_FILE = ROOT / "api/service/openapi.json"
SPEC = json.loads(SPEC_FILE.read_text("utf-8"))
METHODS = ("get", "post", "put", "patch", "delete")
OPERATIONS = {
    operation["operationId"]: SimpleNamespace(method=method.upper(), path=path, item=item, **operation)
    for path, item in SPEC["paths"].items()
    for method, operation in item.items()
    if method in METHODS
}


def resolve(node):
    while "$ref" in node:
        found = SPEC
        for part in node["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        node = found
    return node


def validator_of(schema):
    """References are looked up from the root, so that carries the components too."""
    whole = {**schema, "components": SPEC["components"]}
    return Draft202012Validator(whole, format_checker=FormatChecker())


def faults_of(schema, value):
    return [f"{e.json_path}: {e.message[:300]}" for e in validator_of(schema).iter_errors(value)]


# ------------------------------------------------------------------------------------- the document


def test_spec_is_valid():
    assert [e.message for e in OpenAPIV31SpecValidator(SPEC).iter_errors()] == []


def test_examples_match_their_schemas():
    faults = {}

    def media_of(node, at):
        if isinstance(node, dict):
            for name, value in node.items():
                if name == "content":
                    for kind, media in value.items():
                        yield f"{at}/{kind}", media
                else:
                    yield from media_of(value, f"{at}/{name}")

    seen = 0
    for at, media in media_of(SPEC, ""):
        values = [resolve(e)["value"] for e in media.get("examples", {}).values()]
        for value in values + [media[k] for k in ("example",) if k in media]:
            seen += 1
            if found := faults_of(media.get("schema", {}), value):
                faults[at] = found
    assert not faults
    assert seen >= 15


def test_spec_fits_into_the_page():
    """The page has it inside a script element, which "</script" or "<!--" would disturb."""
    text = SPEC_FILE.read_text("utf-8")
    assert "</" not in text and "<!" not in text


def is_jupyters(path):
    """Jupyter's own API, beside ours: others wrote its contract."""
    return re.match(r"/(api|kernelspecs)(/|$)(?!v1/)", path)


def test_spec_and_program_have_the_same_routes(segue_path):
    done = subprocess.run([segue_path, "serve", "--routes"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    have = {tuple(line.split()) for line in done.stdout.splitlines()}
    have = {(method, path) for method, path in have if not is_jupyters(path)}
    written = {(o.method, o.path) for o in OPERATIONS.values()}
    assert have == written


# ------------------------------------------------------------------------------------------ the tour


class Tour:
    """Asks a service and holds every answer against the document."""

    def __init__(self, service):
        self.service = service
        self.seen = set()  # (operation, status)

    def ask(self, operation_id, status, body=None, *, headers=None, token=True, query=None, **values):
        """The parsed answer to an operation that must end with `status`."""
        operation = OPERATIONS[operation_id]
        path = re.sub(r"\{(\w+)\}", lambda m: values[m[1]], operation.path)
        sent = self.service.headers() if token else {}
        if body is not None:
            sent["Content-Type"] = "application/json"
            if not isinstance(body, (bytes, str)):
                body = json.dumps(body)
        with requests.Session() as session:
            session.trust_env = False
            response = session.request(operation.method, self.service.url + path, params=query,
                                       data=body, headers={**sent, **(headers or {})}, timeout=60)
        what = f"{operation_id} {path} {query} {body!r:.200}: "
        what += f"{response.status_code} {response.text[:600]}"
        assert response.status_code == status, what
        self.check(operation, response, what)
        self.seen.add((operation_id, status))
        return response

    def check(self, operation, response, what):
        answer = resolve(operation.responses.get(str(response.status_code), {}))
        assert answer, f"not in the document: {what}"
        for name, header in answer.get("headers", {}).items():
            header = resolve(header)
            value = response.headers.get(name)
            assert value is not None or not header.get("required"), f"without {name}: {what}"
            if value is not None:
                assert faults_of(header["schema"], value) == [], f"{name}: {value!r}: {what}"
        if "content" not in answer:
            assert response.content == b"", what
            return
        kind = response.headers["Content-Type"].partition(";")[0]
        assert kind in answer["content"], f"{kind}: {what}"
        if kind.endswith("json") and response.status_code != 206:
            faults = faults_of(answer["content"][kind]["schema"], response.json())
            assert faults == [], what
        if kind == "application/problem+json":
            assert response.json()["status"] == response.status_code, what


STEPS = (
    Step("load", "import segue\nsegue.log_figure('roc', b'<svg/>')\nprint('178 rows')\n"),
    Step("prepare", notebook(code("wine = {}"), "print('prepared')", "wine['alcohol']"), "load"),
    Step("compare", "print('never')\n", "prepare"),
    Step("report", notebook("40 + 2"), "load"),
)
REPORTS = ("import segue\nsegue.log_metric('m', 0.5, step=3)\nsegue.log_metric('bad', float('nan'))\n"
           "segue.log_param('p', [1])\nsegue.log_figure('roc', b'<svg/>')\n")
GOOD = ("load", "report")
SLOW = """
import os, time
print("here", flush=True)
while not os.path.exists("go"):
    time.sleep(0.02)
print("more", flush=True)
time.sleep(600)
"""
ENVIRONMENTS = {
    "heavy": {"launcher": "process", "env": {"OMP_NUM_THREADS": "1"}, "resources": {"cpus": 2}},
}
NOBODY = "00000000-0000-4000-8000-000000000000"


@pytest.fixture(scope="module")
def tour(tmp_path_factory, jupyter_path, segue_path):
    root = tmp_path_factory.mktemp("o")
    with Service(root, environment(root / "state", jupyter_path)) as service:
        tour = Tour(service)
        tour.project = service.project("wine", *STEPS, parameters={"seed": 7})
        (service.projects / "wine/.segue").mkdir()
        (service.projects / "wine/.segue/environments.json").write_text(json.dumps(ENVIRONMENTS))
        service.project("slow", Step("wait", SLOW))
        yield tour


WINE = {"project": "wine", "pipeline_path": "pipeline.json"}
PART = {**WINE, "run_type": "selection", "uuids": [uuid_of(t) for t in GOOD]}


def submit(tour, body=PART, **more):
    return tour.ask("createRun", 201, body, **more).json()


def check_events(tour, run, **query):
    """All events of an ended run, each as the document has it."""
    response = tour.ask("followEvents", 200, query={"run": run, **query})
    frames = [frame for frame in response.text.split("\n\n") if "data: " in frame]
    schema = OPERATIONS["followEvents"].responses["200"]["content"]["text/event-stream"]["schema"]
    events = []
    for frame in frames:
        lines = dict(line.split(": ", 1) for line in frame.strip().split("\n"))
        assert faults_of(schema, lines) == [], frame
        event = json.loads(lines["data"])
        assert faults_of(schema["properties"]["data"]["contentSchema"], event) == [], frame
        assert lines["id"] == str(event["id"]) and lines["event"] == event["event"], frame
        events.append(event)
    return events


def test_tour_of_a_run_that_succeeds(tour):
    run = submit(tour)
    tour.service.wait_for_run(run["uuid"])
    run = tour.ask("getRun", 200, run=run["uuid"]).json()
    assert run["status"] == "SUCCESS"
    names = {event["event"] for event in check_events(tour, run["uuid"])}
    assert names >= {"run_queued", "run_started", "step_started", "kernel_ready", "cell_started",
                     "output", "cell_finished", "step_finished", "run_finished"}
    tour.ask("followEvents", 204, query={"run": run["uuid"], "after": run["last_event_id"]})

    where = {"run": run["uuid"], "step": uuid_of("report")}
    whole = tour.ask("getLog", 200, **where)
    assert whole.text == "42\n"
    part = tour.ask("getLog", 206, headers={"Range": "bytes=1-"}, **where)
    assert part.text == "2\n"
    tour.ask("getLog", 416, headers={"Range": "bytes=1000-"}, **where)
    tour.ask("getLog", 404, query={"attempt": 2}, **where)
    copy = tour.ask("getNotebook", 200, **where)
    tour.ask("getNotebook", 304, headers={"If-None-Match": copy.headers["ETag"]}, **where)
    tour.ask("getNotebook", 206, headers={"Range": "bytes=0-9"}, **where)
    tour.ask("getNotebook", 416, headers={"Range": "bytes=99999999-"}, **where)
    tour.ask("getNotebook", 404, run=run["uuid"], step=uuid_of("load"))
    tour.ask("cancelRun", 409, run=run["uuid"])
    tour.ask("rerunRun", 409, {"from": "failed"}, run=run["uuid"])
    again = tour.ask("rerunRun", 201, {"from": "start"}, run=run["uuid"]).json()
    assert again["rerun_of"] == run["uuid"]
    tour.service.wait_for_run(again["uuid"])
    tour.ask("deleteRun", 204, run=run["uuid"])
    tour.ask("deleteRun", 404, run=run["uuid"])
    tour.ask("getRun", 404, run=run["uuid"])


def test_tour_of_a_run_that_fails(tour):
    run = submit(tour, {**WINE, "parameters": {"pipeline_parameters": {"seed": 8}}})
    tour.service.wait_for_run(run["uuid"])
    run = tour.ask("getRun", 200, run=run["uuid"]).json()
    assert run["status"] == "FAILURE"
    failures = {step["title"]: step["failure"] for step in run["steps"]}
    assert failures["prepare"]["ename"] == "KeyError" and failures["compare"]["cause"] == "upstream"
    check_events(tour, run["uuid"])
    tour.ask("getLog", 200, run=run["uuid"], step=uuid_of("prepare"))
    tour.ask("getLog", 404, run=run["uuid"], step=uuid_of("compare"))
    again = tour.ask("rerunRun", 201, {"from": "failed"}, run=run["uuid"]).json()
    tour.service.wait_for_run(again["uuid"])


def test_tour_of_runs_that_wait_and_are_cancelled(tour):
    slow = {"project": "slow", "pipeline_path": "pipeline.json"}
    first = submit(tour, slow)
    tour.service.wait_for_event(first["uuid"], "output")
    second = submit(tour, slow)
    assert second["status"] == "PENDING" and second["waiting_for"] == first["uuid"]
    queue = tour.ask("getQueue", 200).json()
    assert [w["run_uuid"] for w in queue["interactive"]["waiting"]] == [second["uuid"]]
    tour.ask("getLog", 404, run=second["uuid"], step=uuid_of("wait"))
    tour.ask("deleteRun", 409, run=first["uuid"])
    tour.ask("rerunRun", 409, {"from": "start"}, run=first["uuid"])
    tour.ask("cancelRun", 202, run=second["uuid"])
    tour.ask("cancelRun", 202, {}, run=first["uuid"])
    for run in (first, second):
        assert tour.service.wait_for_run(run["uuid"])["status"] in ("ABORTED", "FAILURE")
        check_events(tour, run["uuid"])


def test_tour_of_a_log_that_grows(tour):
    run = submit(tour, {"project": "slow", "pipeline_path": "pipeline.json"})["uuid"]
    try:
        where = {"run": run, "step": uuid_of("wait")}
        tour.service.wait_for_event(run, "output")
        log = tour.ask("getLog", 200, **where)
        assert log.text == "here\n"
        (tour.service.projects / "slow/go").touch()
        tour.service.wait_for_event(run, lambda e: "more" in json.dumps(e.get("output", "")))
        what_came_since = {"Range": "bytes=5-", "If-Range": log.headers["ETag"]}
        rest = tour.ask("getLog", 206, headers=what_came_since, **where)
        assert rest.text == "more\n"
        # What a browser's cache asks by itself: the same ETag must not stand for fewer bytes.
        whole = tour.ask("getLog", 200, headers={"If-None-Match": log.headers["ETag"]}, **where)
        assert whole.text == "here\nmore\n"
    finally:
        tour.service.cancel(run)
        tour.service.wait_for_run(run)


def test_tour_of_reports(tour):
    tour.service.project("reports", Step("say", REPORTS), Step("cells", notebook("print(seed)")),
                         parameters={"seed": 7})
    runs = []
    for seed in (7, 8):
        runs.append(submit(tour, {"project": "reports", "pipeline_path": "pipeline.json",
                                  "parameters": {"pipeline_parameters": {"seed": seed}}})["uuid"])
        tour.service.wait_for_run(runs[-1])
    (said,) = tour.ask("getReport", 200, run=runs[0]).json()["steps"]
    assert said["title"] == "say" and said["metrics"][1]["value"] == "NaN"
    found = tour.ask("compareRuns", 200, run=runs[0], query={"to": runs[1]}).json()
    assert [p["name"] for p in found["parameters"]] == ["seed"] and found["steps"][1]["cells"]
    where = {"run": runs[0], "step": uuid_of("say"), "name": "roc"}
    figure = tour.ask("getFigure", 200, **where)
    assert figure.text == "<svg/>"
    tour.ask("getFigure", 304, headers={"If-None-Match": figure.headers["ETag"]}, **where)
    tour.ask("getFigure", 206, headers={"Range": "bytes=1-3"}, **where)
    tour.ask("getFigure", 416, headers={"Range": "bytes=1000-"}, **where)
    tour.ask("getFigure", 404, **{**where, "name": "other"})
    tour.ask("getReport", 404, run=NOBODY)
    tour.ask("compareRuns", 404, run=runs[0], query={"to": NOBODY})
    tour.ask("compareRuns", 400, run=runs[0])


def test_tour_of_webhooks(tour):
    where = {"url": "http://receiver.invalid/hook"}
    tour.ask("createWebhook", 201, {**where, "secret": None, "events": None, "failures_only": True})
    hook = tour.ask("createWebhook", 201, {**where, "secret": "s3cret", "events": ["run_finished"],
                                           "project": "wine"}).json()
    assert tour.ask("getWebhook", 200, webhook=hook["uuid"]).json() == hook
    assert hook in tour.ask("listWebhooks", 200).json()["webhooks"]
    for _ in range(2):
        tour.ask("pingWebhook", 202, webhook=hook["uuid"])
    page = tour.ask("listDeliveries", 200, webhook=hook["uuid"], query={"limit": 1}).json()
    query = {"cursor": page["next_cursor"]}
    more = tour.ask("listDeliveries", 200, webhook=hook["uuid"], query=query).json()
    assert more["next_cursor"] is None
    assert [d["event"] for d in page["deliveries"] + more["deliveries"]] == ["ping", "ping"]
    for wrong in ({}, {"url": "receiver.invalid"}, {"url": "http://127.1/"}, {**where, "events": []},
                  {**where, "job_uuid": NOBODY}, {**where, "project": "beer"}, {**where, "secret": ""}):
        tour.ask("createWebhook", 422, wrong)
    for _ in range(98):
        tour.ask("createWebhook", 201, where)
    tour.ask("createWebhook", 409, where)
    for each in tour.ask("listWebhooks", 200).json()["webhooks"]:
        tour.ask("deleteWebhook", 204, webhook=each["uuid"])
    for operation in ("getWebhook", "deleteWebhook", "pingWebhook", "listDeliveries"):
        tour.ask(operation, 404, webhook=hook["uuid"])


SWEEP = {"grid": {uuid_of("load"): {"x": [1, 2]}, "pipeline_parameters": {"y": "0.1:0.2:0.1"}}}
NEW_YEAR = {"cron": "0 0 1 1 *", "timezone": "Europe/Berlin"}
JOB = {"project": "sweep", "pipeline_path": "pipeline.json"}


def wait_for_job(tour, job):
    def look():
        found = tour.ask("getJob", 200, job=job["uuid"]).json()
        return found if found["finished_time"] else None

    return wait_until(look, 60, "the job ends")


def test_tour_of_a_job_that_runs_once(tour):
    tour.service.project("sweep", Step("load", "import segue\nsegue.log_param('kind', 'a')\n"
                                               "segue.log_metric('m', segue.get_step_param('x'))\n"))
    wish = {**JOB, "parameters": SWEEP, "policy": {"objective": {"metric": "m"}, "parallel": 2}}
    preview = tour.ask("previewJob", 200, wish).json()
    assert preview["set_count"] == 4 and preview["schedule"]["words"] == "now"
    key = {"Idempotency-Key": "job"}
    job = tour.ask("createJob", 201, wish, headers=key).json()
    again = tour.ask("createJob", 201, wish, headers=key)
    assert again.json()["uuid"] == job["uuid"] and again.headers["Idempotency-Replayed"] == "true"
    tour.ask("createJob", 422, {**wish, "name": "other"}, headers=key)
    tour.ask("createJob", 400, wish, headers={"Idempotency-Key": "k" * 256})
    job = wait_for_job(tour, job)
    assert job["status"] == "SUCCESS" and job["latest_fire"]["counts"]["SUCCESS"] == 4
    where = {"job": job["uuid"]}
    table = tour.ask("getResults", 200, **where).json()
    assert [row["metrics"]["m"] for row in table["rows"]] == [2, 2, 1, 1]
    assert [c["key"] for c in table["columns"]["parameters"]] == ["x", "y"]
    assert table["rows"][0]["reported"] == {"kind": "a"}
    worst = tour.ask("getResults", 200, query={"sort": "m", "limit": 1}, **where).json()
    assert worst["rows"][0]["metrics"]["m"] == 1 and worst["total"] == 4
    query = {"sort": "m", "limit": 1, "cursor": worst["next_cursor"], "fire": "all"}
    assert tour.ask("getResults", 200, query=query, **where).json()["rows"] != worst["rows"]
    lines = tour.ask("getResults", 200, query={"format": "csv", "fire": 1}, **where).text.split("\r\n")
    assert len(lines) == 6 and lines[0].startswith("number,fire,status,x,y,m,kind,")
    tour.ask("getResults", 404, query={"fire": 2}, **where)
    for query in ({"fire": "0"}, {"format": "xml"}, {"sort": "nothing"}, {"limit": "0"}, {"cursor": "x"}):
        tour.ask("getResults", 400, query=query, **where)
    for operation in ("confirmJob", "pauseJob", "resumeJob", "abortJob"):
        tour.ask(operation, 409, **where)
    tour.ask("changeJob", 409, {"schedule": NEW_YEAR}, **where)
    tour.ask("deleteJob", 204, **where)
    tour.ask("getJob", 404, **where)


def test_tour_of_a_job_on_a_schedule(tour):
    job = tour.ask("createJob", 201, {**JOB, "schedule": NEW_YEAR, "draft": True}).json()
    where = {"job": job["uuid"]}
    assert tour.ask("getResults", 200, **where).json()["fire"] is None
    assert job["status"] == "DRAFT" and job["schedule"]["next"] == []
    job = tour.ask("changeJob", 200, {"name": "New Year", "refresh": True, "parameters": SWEEP}, **where).json()
    assert job["name"] == "New Year" and job["set_count"] == 4
    job = tour.ask("confirmJob", 200, **where).json()
    first = job["schedule"]["next"][0]
    assert first["time"].endswith("-12-31T23:00:00.000000Z")
    assert first["local"].endswith("-01-01T00:00:00+01:00")
    assert tour.ask("pauseJob", 200, {}, **where).json()["schedule"]["next"] == []
    tour.ask("resumeJob", 200, **where)
    fire = tour.ask("triggerJob", 201, **where).json()
    assert fire["number"] == 1 and fire["kind"] == "trigger"
    tour.ask("abortJob", 202, **where)
    page = tour.ask("listFires", 200, query={"limit": 1}, **where).json()
    assert [f["number"] for f in page["fires"]] == [1] and page["next_cursor"] is None
    tour.ask("listFires", 400, query={"cursor": "x"}, **where)
    tour.ask("triggerJob", 409, **where)
    copy = tour.ask("duplicateJob", 201, **where).json()
    assert copy["name"] == "New Year (copy)" and copy["duplicate_of"] == job["uuid"]
    named = tour.ask("duplicateJob", 201, {"name": "Other"}, **where).json()
    page = tour.ask("listJobs", 200, query={"limit": 1, "project": "sweep", "status": "DRAFT,ABORTED"}).json()
    assert [j["uuid"] for j in page["jobs"]] == [named["uuid"]]
    page = tour.ask("listJobs", 200, query={"limit": 1, "cursor": page["next_cursor"]}).json()
    assert [j["uuid"] for j in page["jobs"]] == [copy["uuid"]]
    for query in ({"status": "DONE"}, {"limit": 0}, {"stat": "DRAFT"}):
        tour.ask("listJobs", 400, query=query)


BAD_JOBS = {
    "unknown field": {**JOB, "cron": "@daily"},
    "a name that is too long": {**JOB, "name": "x" * 201},
    "31 February": {**JOB, "schedule": {"cron": "0 0 31 2 *"}},
    "no such zone": {**JOB, "schedule": {"cron": "@daily", "timezone": "Mars/Olympus"}},
    "an unknown step": {**JOB, "parameters": {"grid": {NOBODY: {"x": [1]}}}},
    "too many sets": {**JOB, "parameters": {"grid": {uuid_of("load"): {"x": "1..100000"}}}},
    "a grid and sets": {**JOB, "parameters": {**SWEEP, "sets": [{}]}},
    "a wrong policy": {**JOB, "policy": {"parallel": 0}},
    "no such project": {**JOB, "project": "beer"},
}


@pytest.mark.parametrize("name", BAD_JOBS)
def test_tour_of_bad_jobs(tour, name):
    tour.service.project("sweep", Step("load", "print(1)\n"))
    for operation in ("previewJob", "createJob"):
        problem = tour.ask(operation, 422, BAD_JOBS[name]).json()
        assert problem["errors"][0]["pointer"] != ""


@pytest.mark.parametrize("fields", [
    {},
    {"run_type": "selection", "uuids": [uuid_of("report")]},
    {"run_type": "upto", "uuids": [uuid_of("prepare")]},
    {"run_type": "incoming", "uuids": [uuid_of("compare")]},
    {"run_type": "from", "uuids": [uuid_of("prepare")]},
], ids=lambda fields: fields.get("run_type", "full"))
def test_tour_of_plans(tour, fields):
    plan = tour.ask("plan", 200, {**WINE, **fields}).json()
    assert plan["run_type"] == fields.get("run_type", "full")


def test_tour_of_other_requests_for_runs(tour):
    definition = {"name": "given", "steps": {"a": {"title": "a", "file_path": "load.py"}}}
    given_only = submit(tour, {"project": "wine", "pipeline_definition": definition})
    assert given_only["pipeline_path"] is None
    submitted = [given_only, submit(tour, {**WINE, "pipeline_definition": definition}),
                 submit(tour, {**PART, "in_place": True})]
    key = {"Idempotency-Key": "tour"}
    first = submit(tour, headers=key)
    again = tour.ask("createRun", 201, PART, headers=key)
    assert again.json()["uuid"] == first["uuid"] and again.headers["Idempotency-Replayed"] == "true"
    tour.ask("createRun", 422, WINE, headers=key)
    for run in [*submitted, first]:
        tour.service.wait_for_run(run["uuid"])


def test_tour_of_lists(tour):
    for _ in range(2):
        run = submit(tour)
        tour.service.wait_for_run(run["uuid"])
    page = tour.ask("listRuns", 200, query={"limit": 1}).json()
    assert len(page["runs"]) == 1 and "steps" not in page["runs"][0]
    query = {"limit": 1, "cursor": page["next_cursor"], "include": "steps"}
    more = tour.ask("listRuns", 200, query=query).json()
    assert more["runs"][0]["uuid"] != page["runs"][0]["uuid"] and more["runs"][0]["steps"]
    for query in ({"status": "SUCCESS,FAILURE"}, {"project": "wine"}, {"job_uuid": NOBODY},
                  {"pipeline_uuid": run["pipeline_uuid"]}):
        tour.ask("listRuns", 200, query=query)
    tour.ask("getQueue", 200)
    tour.ask("listKernels", 200)
    found = tour.ask("listEnvironments", 200, query={"project": "wine"}).json()["environments"]
    heavy = next(each for each in found if each["name"] == "heavy")
    assert heavy["env"] == ["OMP_NUM_THREADS"] and heavy["resources"]["cpus"] == 2
    for operation in ("getService", "getOpenapi", "getMetrics"):
        tour.ask(operation, 200)
    for operation in ("getDocs", "getHealth"):
        tour.ask(operation, 200, token=False)


def test_answers_are_the_files_of_the_source(tour):
    assert tour.ask("getOpenapi", 200).json() == SPEC
    page = tour.ask("getDocs", 200, token=False)
    inside = re.search('<script type="application/json" id="spec">(.*?)</script>', page.text, re.DOTALL)
    assert json.loads(inside[1]) == SPEC
    assert "http://" not in page.text.replace(inside[1], "") and "default-src 'none'" in \
        page.headers["Content-Security-Policy"]


BAD_BODIES = {
    "no JSON": (400, "{"),
    "no UTF-8": (400, b'{"project": "\xff"}'),
    "not an object": (422, []),
    "nothing": (422, {}),
    "no pipeline": (422, {"project": "wine"}),
    "unknown field": (422, {**WINE, "pipline": 1}),
    "wrong type": (422, {**WINE, "in_place": "yes"}),
    "kept too long": (422, {**WINE, "keep_kernels": 86401}),
    "too long a time limit": (422, {**WINE, "timeout": 2592001}),
    "unknown run type": (422, {**WINE, "run_type": "all"}),
    "unknown step": (422, {**WINE, "run_type": "upto", "uuids": [NOBODY]}),
    "nothing to run": (422, {**WINE, "run_type": "selection", "uuids": []}),
    "no such project": (422, {**WINE, "project": "beer"}),
    "outside": (422, {**WINE, "project": "../.."}),
    "no such pipeline": (422, {**WINE, "pipeline_path": "none.json"}),
    "a cycle": (422, {"project": "wine", "pipeline_definition": {"steps": {
        "a": {"file_path": "load.py", "incoming_connections": ["a"]}}}}),
    "no such file": (422, {"project": "wine", "pipeline_definition": {"steps": {
        "a": {"file_path": "x.py"}}}}),
}


@pytest.mark.parametrize("operation", ["plan", "createRun"])
@pytest.mark.parametrize("name", BAD_BODIES)
def test_tour_of_bad_bodies(tour, operation, name):
    status, body = BAD_BODIES[name]
    tour.ask(operation, status, body)


def test_tour_of_other_refusals(tour):
    run = {"run": NOBODY}
    step = {**run, "step": NOBODY, "name": "roc", "webhook": NOBODY, "job": NOBODY}
    for operation in ("getRun", "deleteRun", "cancelRun"):
        tour.ask(operation, 404, **run)
    tour.ask("rerunRun", 404, {"from": "start"}, **run)
    tour.ask("rerunRun", 422, {"from": "middle"}, **run)
    tour.ask("rerunRun", 400, "nonsense", **run)
    tour.ask("getLog", 404, **step)
    tour.ask("getNotebook", 404, **step)
    tour.ask("followEvents", 404, query=run)
    tour.ask("listEnvironments", 400)
    tour.ask("listEnvironments", 404, query={"project": "beer"})
    tour.ask("listEnvironments", 422, query={"project": "../.."})
    for operation, query in (("listRuns", {"statsu": "SUCCESS"}), ("listRuns", {"limit": "0"}),
                             ("listRuns", {"status": "DONE"}), ("listRuns", {"cursor": "?"}),
                             ("listRuns", {"include": "all"}), ("followEvents", {"after": "-1"}),
                             ("getQueue", {"x": "1"}), ("getHealth", {"x": "1"})):
        tour.ask(operation, 400, query=query)
    tour.ask("followEvents", 400, headers={"Last-Event-ID": "last"})
    tour.ask("createRun", 400, PART, headers={"Idempotency-Key": "k" * 256})
    for operation in ("plan", "createRun", "previewJob", "createJob"):
        tour.ask(operation, 415, PART, headers={"Content-Type": "text/plain"})
    job = {"job": NOBODY}
    for operation in ("getJob", "deleteJob", "confirmJob", "pauseJob", "resumeJob", "abortJob", "triggerJob",
                      "duplicateJob", "listFires", "getResults"):
        tour.ask(operation, 404, **job)
    tour.ask("changeJob", 404, {}, **job)
    for operation_id, operation in OPERATIONS.items():
        if operation.__dict__.get("security") != []:
            tour.ask(operation_id, 401, token=False, **step)
            tour.ask(operation_id, 401, token=False, headers={"Authorization": "Bearer x"}, **step)
        tour.ask(operation_id, 403, headers={"Host": "example.org"}, **step)


def test_unknown_paths_and_methods_are_problems(tour):
    missing = tour.service.get("/api/v1/rums")
    other = tour.service.request("PUT", "/api/v1/runs", {})
    for response, status in ((missing, 404), (other, 405)):
        assert response.status_code == status
        assert response.headers["Content-Type"] == "application/problem+json"
        assert faults_of(SPEC["components"]["schemas"]["Problem"], response.json()) == []
    assert {m.strip() for m in other.headers["Allow"].split(",")} >= {"GET", "POST"}


@pytest.fixture
def whole_file(request):
    """For a test that looks back at the others."""
    if request.config.getoption("keyword") or any("::" in argument for argument in request.config.args):
        pytest.skip("only a part of this file is run")


def test_tour_was_everywhere(tour, whole_file):
    """Last: every operation was seen to succeed, and every way in which it may be refused that needs
    no fault of the disk."""
    reachable = {"200", "201", "202", "204", "206", "401", "403", "404", "409", "415", "416", "422"}
    missing = [
        (name, status)
        for name, operation in OPERATIONS.items()
        for status in reachable & set(operation.responses)
        if (name, int(status)) not in tour.seen
    ]
    # What is refused by one piece of code for all operations is seen on the main ones. A project that
    # changes while it is copied has tests of its own.
    changing = [("createJob", "409"), ("duplicateJob", "409")]
    assert [m for m in missing if m[1] not in ("415", "422") and m not in changing] == []


# ------------------------------------------------------------------------------------- made-up requests

CASES = int(os.environ.get("SCHEMATHESIS_CASES", "900"))
# The more there is to get wrong, the more of the cases.
WEIGHTS = {"plan": 4, "createRun": 4, "listRuns": 4, "followEvents": 3, "getLog": 3, "getNotebook": 3,
           "rerunRun": 2, "cancelRun": 2, "getRun": 2, "deleteRun": 2, "listEnvironments": 2,
           "previewJob": 4, "createJob": 4, "changeJob": 2, "getResults": 3, "listJobs": 2}
# Right requests, and wrong ones where something can be wrong.
KINDS = [
    pytest.param(name, mode, id=f"{name}-{mode.value}")
    for name, o in OPERATIONS.items()
    for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
    if mode == GenerationMode.POSITIVE or "requestBody" in vars(o) or "parameters" in vars(o) | o.item
]
TOTAL = sum(WEIGHTS.get(kind.values[0], 1) for kind in KINDS)
CHECKS = [checks.not_a_server_error, checks.status_code_conformance, checks.content_type_conformance,
          checks.response_schema_conformance, checks.response_headers_conformance]


def hypothesis_settings(cases):
    """`make test` tries the same requests each time; a campaign others every time."""
    return settings(
        max_examples=max(1, cases), deadline=None, database=None, print_blob=True,
        derandomize="SCHEMATHESIS_CASES" not in os.environ,
        phases=[Phase.explicit, Phase.generate, Phase.shrink], suppress_health_check=list(HealthCheck),
    )


@pytest.fixture(scope="module")
def held(tmp_path_factory, jupyter_path, segue_path):
    """A service that accepts runs and starts none, with a run that failed before it was so, runs
    that wait, and runs that were cancelled."""
    root = tmp_path_factory.mktemp("h")
    with Service(root, environment(root / "state", jupyter_path)) as service:
        service.wine = service.project("wine", *STEPS, parameters={"seed": 7})
        service.failed = service.submit(service.wine)["uuid"]
        service.wait_for_run(service.failed)
        service.restart("--hold")
        service.waiting = [service.submit(service.wine)["uuid"] for _ in range(3)]
        service.ended = [service.submit(service.wine)["uuid"] for _ in range(3)]
        for run in service.ended:
            service.cancel(run)
            service.wait_for_run(run)
        service.ended.append(service.failed)
        hook = service.post("webhooks", HOOK)
        assert hook.status_code == 201, hook.text
        service.webhook = hook.json()["uuid"]
        service.job = fresh_job(service)
        service.seen = Counter()
        service.schema = schemathesis.openapi.from_dict(SPEC)
        service.schema.config.update(base_url=service.url)
        yield service


HOOK = {"url": "http://receiver.invalid/hook", "events": ["job_finished"]}
RANGES = ("bytes=0-", "bytes=1-1", "bytes=-2", "bytes=2-1", "bytes=0-0,2-2", "bytes=9999999-", "bytes=",
          f"bytes={2**64}-", f"bytes=0-{2**64}", "lines=1-2", "bytes=-0")
FIELDS = ("pipeline_definition", "run_type", "uuids", "parameters", "in_place", "keep_kernels",
          "timeout", "schedule", "policy", "name", "draft")
# What a job must have been through before it can be asked for that.
BEFORE = {"confirmJob": (), "deleteJob": (), "pauseJob": ("confirm",), "resumeJob": ("confirm", "pause"),
          "abortJob": ("confirm",), "triggerJob": ("confirm",), "duplicateJob": (), "changeJob": ()}


def fresh_job(service, *been_through):
    made = service.post("jobs", {**WINE, "draft": True, "schedule": {"cron": "0 0 1 1 *"}})
    assert made.status_code == 201, made.text
    job = made.json()["uuid"]
    for what in been_through:
        assert service.post(f"jobs/{job}/{what}").status_code == 200
    return job


def real_values(service):
    """What the service has, for the place of what was made up: without it nearly every request would
    be refused for its first fault."""
    return st.fixed_dictionaries({
        "is_real": st.booleans(),
        "run": st.sampled_from(service.waiting + service.ended),
        "ended": st.sampled_from(service.ended),
        "step": st.sampled_from([uuid_of(step.title) for step in STEPS]),
        "body": st.sampled_from([{}, {"project": "wine"}, WINE, WINE, WINE, PART]),
        "range": st.none() | st.sampled_from(RANGES),
        "without": st.sets(st.sampled_from(FIELDS)),
    })


def make_real(service, case, operation_id, real):
    values = {name: real[name] for name in ("run", "step")}
    values["webhook"] = service.webhook
    values["job"] = service.job
    if operation_id in BEFORE and real["is_real"]:
        values["job"] = fresh_job(service, *BEFORE[operation_id])
    if operation_id in ("getLog", "getNotebook", "getFigure"):
        values["run"] = service.failed
    if operation_id == "getFigure":
        values |= {"step": uuid_of("load"), "name": "roc"}
    if operation_id == "compareRuns" and real["is_real"]:
        case.query = {**(case.query or {}), "to": real["ended"]}
    if operation_id == "rerunRun":
        values["run"] = real["ended"]
    if operation_id in ("cancelRun", "deleteRun") and real["is_real"]:
        values["run"] = service.submit(service.wine)["uuid"]
    if operation_id == "deleteRun" and real["is_real"]:
        service.cancel(values["run"])
    if real["is_real"]:
        for name in values.keys() & (case.path_parameters or {}).keys():
            case.path_parameters[name] = values[name]
    if operation_id in ("getLog", "getNotebook", "getFigure") and real["range"]:
        case.headers = {**(case.headers or {}), "Range": real["range"]}
    if operation_id == "deleteWebhook" and real["is_real"]:
        case.path_parameters["webhook"] = service.post("webhooks", HOOK).json()["uuid"]
    if operation_id == "createWebhook" and real["is_real"] and isinstance(case.body, dict):
        case.body = {**case.body, **HOOK}
        for name in ("job_uuid", "project"):
            case.body.pop(name, None)
    if operation_id == "followEvents":
        # Only the stream of an ended run ends.
        query = dict(case.query or {})
        if real["is_real"] or not isinstance(query.get("run"), str) or not query["run"]:
            query["run"] = real["ended"]
        case.query = query
    if operation_id == "changeJob" and isinstance(case.body, dict):
        case.body = {k: v for k, v in case.body.items() if k not in real["without"]}
    if operation_id in ("plan", "createRun", "previewJob", "createJob") and isinstance(case.body, dict):
        if operation_id.endswith("Job"):
            real = {**real, "body": {k: real["body"][k] for k in WINE.keys() & real["body"].keys()}}
        kept = {k: v for k, v in case.body.items() if not real["body"] or k not in real["without"]}
        case.body = {**kept, **real["body"]}


def checks_for(response):
    """A part of a JSON file is bytes, not JSON."""
    is_part = response.status_code == 206
    return [each for each in CHECKS if not is_part or each is not checks.response_schema_conformance]


@pytest.mark.timeout(7200 if CASES > 5000 else 300)
@pytest.mark.parametrize(("operation_id", "mode"), KINDS)
def test_made_up_requests(held, operation_id, mode):
    operation = held.schema.find_operation_by_id(operation_id)
    headers = held.headers()

    @hypothesis_settings(CASES * WEIGHTS.get(operation_id, 1) // TOTAL)
    @given(case=operation.as_strategy(generation_mode=mode), real=real_values(held))
    def ask(case, real):
        make_real(held, case, operation_id, real)
        response = case.call(headers=headers, timeout=30)
        held.seen[operation_id, response.status_code] += 1
        case.validate_response(response, checks=checks_for(response), headers=headers)

    ask()
    assert held.is_running(), held.explain()


def test_made_up_requests_reached_everything(held, whole_file):
    """That nothing is wrong is worth something only where not everything was refused at the door."""
    for (name, status), count in sorted(held.seen.items()):
        print(status, f"{count:6}", name)
    accepted = {name for name, status in held.seen if status < 300}
    assert accepted == OPERATIONS.keys()


@pytest.mark.timeout(7200 if CASES > 5000 else 300)
def test_made_up_stories(held):
    """Requests that use what earlier ones answered, along the document's links."""
    headers = held.headers()

    class Story(held.schema.exclude(operation_id="followEvents").as_state_machine()):
        def get_call_kwargs(self, case):
            if case.operation.definition.raw.get("operationId") in (
                    "plan", "createRun", "previewJob", "createJob") and isinstance(case.body, dict):
                case.body = {**case.body, **WINE}
                case.body.pop("pipeline_definition", None)
            return {"headers": headers, "timeout": 30}

        def validate_response(self, response, case, **_):
            case.validate_response(response, checks=checks_for(response), headers=headers)

    run_state_machine_as_test(Story, settings=settings(
        hypothesis_settings(CASES // 100), stateful_step_count=8))
    assert held.is_running(), held.explain()
