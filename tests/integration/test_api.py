"""The resources of the HTTP API: what is asked for is what is made, listed, stopped, run again and
removed; what is wrong is refused, in words that help; and nobody gets in or out who should not."""

import json
import os
import socket
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest
import requests
from support.project import Step, uuid_of

NOBODY = str(uuid.UUID(int=0))
RUN_FIELDS = {
    "uuid", "project", "pipeline_path", "pipeline_uuid", "pipeline_name", "run_type", "uuids",
    "status", "class", "created_time", "started_time", "finished_time", "job_uuid", "rerun_of",
    "in_place", "keep_kernels", "timeout", "parameters", "queue_position", "waiting_for", "steps",
}
STEP_FIELDS = {
    "step_uuid", "title", "file_path", "status", "attempt", "started_time", "finished_time",
    "cells_total", "cells_done", "failure",
}


def script(title, text="exit 0\n", parents="", **more):
    return Step(title, text, parents, path=f"{title}.sh", **more)


def chain(service, name="p", **texts):
    """a -> b -> c, scripts that do nothing unless it is said what."""
    return service.project(name, script("a", texts.get("a", "exit 0\n")),
                           script("b", texts.get("b", "exit 0\n"), "a"),
                           script("c", texts.get("c", "exit 0\n"), "b"))


@pytest.fixture
def held(new_service):
    """A service that accepts runs and starts none."""
    return new_service("--hold").start()


def problem(response, status):
    assert response.status_code == status, f"{response.status_code} {response.text}"
    assert response.headers["Content-Type"] == "application/problem+json"
    body = response.json()
    assert body["status"] == status and body["title"] and body["type"] == "about:blank"
    assert body["detail"]
    return body


def errors(response, status=422):
    """{pointer: detail}"""
    return {e["pointer"]: e["detail"] for e in problem(response, status)["errors"]}


def titles(run):
    return [step["title"] for step in run["steps"]]


def statuses(run):
    return {step["title"]: step["status"] for step in run["steps"]}


# ------------------------------------------------------------------------------------ making a run


def test_run_has_all_its_fields_from_beginning_to_end(service):
    project = chain(service)
    made = service.submit(project, parameters={"pipeline_parameters": {"x": 0.10}})
    done = service.wait_for_run(made["uuid"])
    assert set(made) == RUN_FIELDS and set(done) == RUN_FIELDS | {"last_event_id"}
    for step in made["steps"] + done["steps"]:
        assert set(step) == STEP_FIELDS
    assert done["project"] == "p" and done["pipeline_path"] == "pipeline.json"
    assert done["pipeline_uuid"] == project.definition["uuid"]
    assert done["run_type"] == "full" and done["uuids"] == [] and done["class"] == "interactive"
    assert done["parameters"] == {"pipeline_parameters": {"x": 0.1}}
    assert done["status"] == "SUCCESS" and set(statuses(done).values()) == {"SUCCESS"}
    assert done["created_time"] <= done["started_time"] <= done["finished_time"]
    assert done["queue_position"] is None and done["waiting_for"] is None
    assert [step["attempt"] for step in done["steps"]] == [1, 1, 1]


def test_only_the_selection_is_run(service):
    project = chain(service)
    for run_type, wanted in [("selection", "b"), ("incoming", "a"), ("upto", "ab"), ("from", "bc")]:
        run = service.submit(project, run_type=run_type, uuids=[uuid_of("b")])
        assert titles(run) == list(wanted) and run["uuids"] == [uuid_of("b")]
        assert service.wait_for_run(run["uuid"])["status"] == "SUCCESS"


def test_plan_is_what_a_run_has(held):
    project = chain(held)
    body = held.body_for(project, run_type="from", uuids=[uuid_of("b")])
    plan = held.post("plans", body).json()
    assert [(step["title"], step["rank"]) for step in plan["steps"]] == [("b", 0), ("c", 1)]
    assert plan["sentinel"]["incoming_connections"] == [uuid_of("c")]
    assert held.runs() == []
    assert titles(held.submit(project, run_type="from", uuids=[uuid_of("b")])) == ["b", "c"]


def test_definition_in_the_request_needs_no_file(service):
    project = chain(service)
    definition = project.definition
    project.pipeline.unlink()
    response = service.post("runs", {"project": "p", "pipeline_definition": definition})
    assert response.status_code == 201, response.text
    run = service.wait_for_run(response.json()["uuid"])
    assert run["status"] == "SUCCESS" and run["pipeline_path"] is None


def test_definition_runs_as_if_it_lay_at_the_path(service):
    project = service.project("p", Step("a", "exit 3\n", path="sub/a.sh"))
    definition = json.loads(json.dumps(project.definition))
    definition["steps"][uuid_of("a")]["file_path"] = "b.sh"
    project.write("sub/b.sh", "exit 0\n")
    body = {"project": "p", "pipeline_path": "sub/not-there.json", "pipeline_definition": definition}
    run = service.wait_for_run(service.post("runs", body).json()["uuid"])
    assert run["status"] == "SUCCESS" and run["pipeline_path"] == "sub/not-there.json"


def test_parameters_reach_the_steps(service):
    text = ("import segue, json\n"
            "json.dump([segue.get_step_param('x'), segue.get_pipeline_param('y')], open('got', 'w'))\n")
    project = service.project("p", Step("a", text, parameters={"x": 1}), parameters={"y": 2})
    run = service.submit(project, parameters={uuid_of("a"): {"x": [3]}, "pipeline_parameters": {"y": "4"}})
    assert service.wait_for_run(run["uuid"])["status"] == "SUCCESS"
    assert json.loads((project.root / "got").read_text()) == [[3], "4"]


# ---------------------------------------------------------------------------------- what is refused


def test_all_that_is_wrong_is_said_at_once(service):
    chain(service)
    text = ('{"project": "p",\n "pipeline_path": "pipeline.json",\n'
            ' "run_typ": "full", "in_place": "yes",\n "uuids": ["x"]}')
    for path in ("runs", "plans"):
        response = service.post(path, text)
        first, second = problem(response, 422)["errors"]
        assert (first["pointer"], first["line"], first["column"]) == ("/run_typ", 3, 2)
        assert (second["pointer"], second["line"], second["column"]) == ("/in_place", 3, 33)
        assert 'did you mean "run_type"?' in first["detail"]
    assert list(errors(service.post("runs", {"project": "p", "pipeline_path": "pipeline.json",
                                             "uuids": ["x"]}))) == ["/uuids/0"]
    assert service.runs() == []


def test_no_body_is_an_empty_one(service):
    details = [e["detail"] for e in problem(service.post("runs"), 422)["errors"]]
    assert details == ['"project" is missing', '"pipeline_path" or "pipeline_definition" is missing']


@pytest.mark.parametrize("text", ["{", "[1,]", '{"project": nul}', b'{"a": "\xed\xa0\x80"}', b"\xff"])
def test_what_is_no_json_is_malformed(service, text):
    [error] = problem(service.post("runs", text), 400)["errors"]
    assert error["line"] == 1 and error["column"] >= 1


def test_places_in_a_definition_are_places_in_the_body(service):
    project = chain(service)
    project.step("a")["incoming_connections"] = [uuid_of("c")]
    body = json.dumps({"project": "p", "pipeline_definition": project.definition}, indent=2)
    [error] = problem(service.post("runs", body), 422)["errors"]
    assert "cycle" in error["detail"]
    assert error["pointer"].startswith("/pipeline_definition/steps/")
    line = body.split("\n")[error["line"] - 1]
    assert json.loads(line[error["column"] - 1:]) in {uuid_of(title) for title in "abc"}


def test_missing_files_are_named(service):
    project = chain(service)
    (project.root / "b.sh").unlink()
    for path in ("runs", "plans"):
        found = errors(service.post(path, service.body_for(project)))
        assert list(found) == [f"/steps/{uuid_of('b')}/file_path"]
        assert "b.sh" in found[f"/steps/{uuid_of('b')}/file_path"]
    assert service.post("plans", service.body_for(project, run_type="incoming",
                                                  uuids=[uuid_of("b")])).status_code == 200


def test_nothing_to_run(service):
    project = chain(service)
    body = service.body_for(project, run_type="incoming", uuids=[uuid_of("a")])
    assert "nothing to run" in problem(service.post("runs", body), 422)["detail"]


@pytest.fixture
def escapes(service):
    """A project, and every way out of it that there is."""
    project = chain(service)
    outside = service.root / "outside"
    outside.mkdir()
    for name in ("pipeline.json", "a.sh", "b.sh", "c.sh"):
        (outside / name).write_bytes((project.root / name).read_bytes())
    os.symlink(outside, service.projects / "link")
    os.symlink("link", service.projects / "chain")
    os.symlink(outside / "pipeline.json", project.root / "file.json")
    os.symlink("../..", project.root / "up")
    return service


@pytest.mark.parametrize("project", [
    "..", "../outside", "p/../../outside", "/", "/etc", "link", "chain", "link/.", "p/up/outside", "",
    "p\0", "p/" * 3000, "p/a.sh", "no such", "//outside", "./../outside",
])
def test_no_project_lies_outside(escapes, project):
    body = {"project": project, "pipeline_path": "pipeline.json"}
    assert list(errors(escapes.post("runs", body))) == ["/project"]
    definition = json.loads((escapes.projects / "p/pipeline.json").read_text())
    body = {"project": project, "pipeline_definition": definition}
    assert list(errors(escapes.post("runs", body))) == ["/project"]
    assert escapes.get("environments", project=project).status_code in (400, 404, 422)


@pytest.mark.parametrize("path", [
    "../../outside/pipeline.json", "/etc/passwd", "file.json", "up/outside/pipeline.json", "", ".", "..",
    "pipeline.json\0", "pipeline.json/", "../p/pipeline.json", "x/" * 3000, "up",
])
def test_no_pipeline_lies_outside(escapes, path):
    body = {"project": "p", "pipeline_path": path}
    assert list(errors(escapes.post("runs", body))) == ["/pipeline_path"]


def test_no_step_lies_outside(escapes):
    definition = json.loads((escapes.projects / "p/pipeline.json").read_text())
    for path in ("up/outside/a.sh", "../../outside/a.sh", "/etc/passwd", "../p/a.sh"):
        definition["steps"][uuid_of("a")]["file_path"] = path
        body = {"project": "p", "pipeline_definition": definition}
        found = errors(escapes.post("runs", body))
        assert list(found) == [f"/pipeline_definition/steps/{uuid_of('a')}/file_path"], path


# ----------------------------------------------------------------------------------- asked for twice


def test_same_key_makes_one_run(held):
    project = chain(held)
    body = held.body_for(project)
    first = held.post("runs", body, headers={"Idempotency-Key": "k"})
    again = held.post("runs", body, headers={"Idempotency-Key": "k"})
    assert first.status_code == again.status_code == 201
    assert first.json() == again.json()
    assert again.headers["Location"] == first.headers["Location"]
    assert again.headers["Idempotency-Replayed"] == "true"
    assert "Idempotency-Replayed" not in first.headers
    assert len(held.runs()) == 1


def test_same_key_for_something_else_is_refused(held):
    project = chain(held)
    held.submit(project, key="k")
    other = held.post("runs", held.body_for(project, in_place=True), headers={"Idempotency-Key": "k"})
    assert "Idempotency-Key" in problem(other, 422)["detail"]
    assert len(held.runs()) == 1


def test_key_is_good_even_when_the_project_has_gone(held):
    project = chain(held)
    first = held.submit(project, key="k")
    body = held.body_for(project)
    project.pipeline.unlink()
    again = held.post("runs", body, headers={"Idempotency-Key": "k"})
    assert again.status_code == 201 and again.json()["uuid"] == first["uuid"]


def test_refused_request_uses_up_no_key(held):
    project = chain(held)
    body = held.body_for(project)
    assert held.post("runs", {**body, "x": 1}, headers={"Idempotency-Key": "k"}).status_code == 422
    assert held.post("runs", body, headers={"Idempotency-Key": "k"}).status_code == 201


@pytest.mark.parametrize("key", ["", "a b", "x" * 256, "ä".encode().decode("latin-1"), "\x7f"])
def test_key_must_be_a_key(held, key):
    project = chain(held)
    response = held.post("runs", held.body_for(project), headers={"Idempotency-Key": key})
    assert "Idempotency-Key" in problem(response, 400)["detail"]
    assert held.runs() == []


def test_same_key_at_once_makes_one_run(held):
    project = chain(held)
    body, headers = held.body_for(project), {"Idempotency-Key": "k"}
    barrier = threading.Barrier(16)

    def ask(_):
        barrier.wait()
        return held.post("runs", body, headers=headers)

    with ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(ask, range(16)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["uuid"] for answer in answers}) == 1
    assert sum("Idempotency-Replayed" not in answer.headers for answer in answers) == 1
    assert len(held.runs()) == 1


def test_many_at_once_are_many_runs(held):
    project = chain(held)
    body = held.body_for(project)
    with ThreadPoolExecutor(32) as threads:
        answers = list(threads.map(lambda _: held.post("runs", body), range(128)))
    assert {answer.status_code for answer in answers} == {201}
    assert {answer.json()["uuid"] for answer in answers} == {run["uuid"] for run in held.runs()}
    assert len(held.runs()) == 128


# --------------------------------------------------------------------------------------------- lists


def test_list_is_filtered(service):
    good = chain(service, "good")
    bad = chain(service, "deep/bad", b="exit 1\n")
    done = [service.submit(good), service.submit(bad), service.submit(good)]
    for run in done:
        service.wait_for_run(run["uuid"])
    uuids = [run["uuid"] for run in done]

    def found(**query):
        return [run["uuid"] for run in service.runs(**query)]

    assert found() == uuids[::-1]
    assert found(status="SUCCESS") == [uuids[2], uuids[0]]
    assert found(status="FAILURE") == [uuids[1]]
    assert found(status="FAILURE,SUCCESS") == uuids[::-1]
    assert found(status="PENDING,STARTED") == []
    assert found(project="deep/bad") == found(project="./deep/../deep/bad") == [uuids[1]]
    assert found(project="bad") == []
    assert found(pipeline_uuid=good.definition["uuid"], status="SUCCESS") == [uuids[2], uuids[0]]
    assert found(job_uuid=NOBODY) == []
    assert {run["project"] for run in service.runs(project="deep/bad")} == {"deep/bad"}
    [run] = service.get("runs", include="steps", status="FAILURE").json()["runs"]
    assert statuses(run) == {"a": "SUCCESS", "b": "FAILURE", "c": "ABORTED"}
    assert [s["failure"] and s["failure"]["cause"] for s in run["steps"]] == [None, "exit_code", "upstream"]
    assert "steps" not in service.get("runs").json()["runs"][0]


def test_project_that_is_gone_still_has_runs(held):
    project = chain(held)
    run = held.submit(project)
    project.root.rename(held.projects / "elsewhere")
    assert [found["uuid"] for found in held.runs(project="p")] == [run["uuid"]]


def test_pages_lose_and_repeat_nothing(held):
    project = chain(held)
    before = [held.submit(project)["uuid"] for _ in range(7)]
    page = held.get("runs", limit=3).json()
    seen = [run["uuid"] for run in page["runs"]]
    held.submit(project)  # what is new comes before the first page
    while page["next_cursor"]:
        page = held.get("runs", limit=3, cursor=page["next_cursor"]).json()
        seen += [run["uuid"] for run in page["runs"]]
    assert seen == before[::-1]
    assert held.get("runs", limit=8).json()["next_cursor"] is None
    assert len(held.get("runs", limit=1000).json()["runs"]) == 8


@pytest.mark.parametrize("query", [
    "limit=0", "limit=1001", "limit=x", "limit=-1", "limit=1.5", "limit=", "limit=99999999999999999999",
    "cursor=x", "cursor=0", "cursor=-5", "cursor=99999999999999999999", "status=DONE", "status=",
    "status=SUCCESS,", "include=cells", "stauts=SUCCESS", "limit=%zz",
])
def test_wrong_queries_are_malformed(service, query):
    body = problem(service.get(f"runs?{query}"), 400)
    assert query.partition("=")[0] in body["detail"] or "%" in query
    if query.startswith("stauts"):
        assert '"status"' in body["detail"]


def test_query_against_caches_is_ignored(service):
    assert service.get("runs?1763775600123").status_code == 200


def test_head_is_get_without_a_body(held):
    run = held.submit(chain(held))
    for path in ("runs", f"runs/{run['uuid']}"):
        head, get = held.request("HEAD", path), held.get(path)
        assert head.status_code == 200 and head.content == b""
        assert head.headers["Content-Length"] == str(len(get.content))


# --------------------------------------------------------------------------------------- the queue


def test_queue_and_places_in_it(held):
    one, two = chain(held, "one"), chain(held, "two")
    first, second, third = held.submit(one), held.submit(two), held.submit(one)
    assert [run["queue_position"] for run in (first, second, third)] == [1, 2, 3]
    assert [run["waiting_for"] for run in (first, second, third)] == [None, None, first["uuid"]]
    queue = held.get("queue").json()
    assert queue["background"]["waiting"] == [] and queue["interactive"]["running"] == 0
    waiting = queue["interactive"]["waiting"]
    assert [(w["run_uuid"], w["project"], w["waiting_for"]) for w in waiting] == [
        (first["uuid"], "one", None), (second["uuid"], "two", None), (third["uuid"], "one", first["uuid"])]
    held.cancel(first["uuid"])
    assert held.run(third["uuid"])["queue_position"] == 2
    assert held.run(third["uuid"])["waiting_for"] is None
    assert held.get("queue").json()["interactive"]["waiting_total"] == 2


def test_long_queue_shows_its_beginning(held):
    project = chain(held)
    runs = [held.submit(project)["uuid"] for _ in range(103)]
    interactive = held.get("queue").json()["interactive"]
    assert interactive["waiting_total"] == 103
    assert [waiting["run_uuid"] for waiting in interactive["waiting"]] == runs[:100]
    assert {waiting["waiting_for"] for waiting in interactive["waiting"][1:]} == {runs[0]}


# ---------------------------------------------------------------------- cancelling, again, removing


WAITS = "while [ ! -e go ]; do sleep 0.05; done\n"


def test_cancel_what_runs(service):
    run = service.submit(chain(service, a=WAITS))["uuid"]
    service.wait_for_event(run, "step_started")
    assert service.cancel(run)["uuid"] == run
    assert service.post(f"runs/{run}/cancel", {}).status_code in (202, 409)  # it may have ended
    done = service.wait_for_run(run)
    assert done["status"] == "ABORTED" and set(statuses(done).values()) == {"ABORTED"}
    assert {step["failure"]["cause"] for step in done["steps"]} == {"cancelled"}
    problem(service.post(f"runs/{run}/cancel"), 409)


def test_cancel_what_waits(held):
    run = held.submit(chain(held))["uuid"]
    held.cancel(run)
    done = held.wait_for_run(run)
    assert done["status"] == "ABORTED" and done["finished_time"] and done["queue_position"] is None
    assert set(statuses(done).values()) == {"ABORTED"}


def test_body_of_cancel_says_nothing(held):
    run = held.submit(chain(held))["uuid"]
    assert errors(held.post(f"runs/{run}/cancel", {"force": True})) == {"/force": 'unknown field "force"'}
    problem(held.post(f"runs/{run}/cancel", "{"), 400)
    assert held.run(run)["status"] == "PENDING"


def test_rerun_from_the_start_is_what_was_frozen(service):
    project = chain(service, b="exit 1\n")
    old = service.submit(project, parameters={"pipeline_parameters": {"x": 1}})
    service.wait_for_run(old["uuid"])
    project.definition["steps"] = {}  # what the file says now does not matter
    project.save()
    response = service.post(f"runs/{old['uuid']}/rerun", {"from": "start"})
    assert response.status_code == 201, response.text
    new = response.json()
    assert response.headers["Location"] == f"/api/v1/runs/{new['uuid']}"
    assert new["uuid"] != old["uuid"] and new["rerun_of"] == old["uuid"]
    assert new["parameters"] == old["parameters"] and titles(new) == titles(old)
    assert service.wait_for_run(new["uuid"])["status"] == "FAILURE"


def test_rerun_of_what_failed(service):
    project = chain(service, b="[ -e mended ]\n")
    old = service.submit(project)["uuid"]
    assert statuses(service.wait_for_run(old)) == {"a": "SUCCESS", "b": "FAILURE", "c": "ABORTED"}
    (project.root / "mended").touch()
    new = service.post(f"runs/{old}/rerun", {"from": "failed"}).json()
    assert titles(new) == ["b", "c"]
    assert service.wait_for_run(new["uuid"])["status"] == "SUCCESS"
    problem(service.post(f"runs/{new['uuid']}/rerun", {"from": "failed"}), 409)


def test_rerun_is_refused(held):
    run = held.submit(chain(held))["uuid"]
    path = f"runs/{run}/rerun"
    problem(held.post(path, {"from": "start"}), 409)
    assert errors(held.post(path, {})) == {"": '"from" is missing'}
    assert errors(held.post(path)) == {"": '"from" is missing'}
    assert list(errors(held.post(path, {"from": "middle"}))) == ["/from"]
    assert list(errors(held.post(path, {"from": "start", "form": 1}))) == ["/form"]
    problem(held.post(f"runs/{NOBODY}/rerun", {"from": "start"}), 404)


def test_rerun_with_a_key_happens_once(service):
    old = service.submit(chain(service))["uuid"]
    service.wait_for_run(old)
    path, headers = f"runs/{old}/rerun", {"Idempotency-Key": "k"}
    first = service.post(path, {"from": "start"}, headers=headers).json()["uuid"]
    assert service.post(path, {"from": "start"}, headers=headers).json()["uuid"] == first
    service.wait_for_run(first)
    # The same words about another run are another request.
    problem(service.post(f"runs/{first}/rerun", {"from": "start"}, headers=headers), 422)


def test_delete(service):
    run = service.submit(chain(service, a=WAITS))["uuid"]
    problem(service.delete(f"runs/{run}"), 409)
    service.cancel(run)
    service.wait_for_run(run)
    response = service.delete(f"runs/{run}")
    assert response.status_code == 204 and response.content == b""
    for answer in (service.get(f"runs/{run}"), service.delete(f"runs/{run}"),
                   service.post(f"runs/{run}/cancel"), service.post(f"runs/{run}/rerun", {"from": "start"})):
        problem(answer, 404)
    assert service.runs() == []


def test_deleting_frees_the_key(service):
    project = chain(service)
    run = service.submit(project, key="k")["uuid"]
    service.wait_for_run(run)
    assert service.delete(f"runs/{run}").status_code == 204
    again = service.submit(project, key="k")["uuid"]
    assert again != run
    service.wait_for_run(again)


@pytest.mark.parametrize("name", [NOBODY, "x", "%2e%2e", "a%2fb", "%00", "x" * 2000])
def test_unknown_runs_are_not_found(service, name):
    for response in (service.get(f"runs/{name}"), service.delete(f"runs/{name}"),
                     service.post(f"runs/{name}/cancel")):
        assert response.status_code in (400, 404), response.text
    assert service.get("runs").status_code == 200


# ------------------------------------------------------------------------------------- environments


def test_environments_and_their_troubles(new_service):
    service = new_service()
    service.env["DOCKER_HOST"] = "unix:///nowhere.sock"
    service.start()
    project = chain(service)
    project.write(".segue/environments.json", json.dumps({
        "plain": {"launcher": "process", "env": {"SECRET": "s3cret", "OTHER": "x"}, "kernelspec": "python3"},
        "box": {"launcher": "docker", "image": "some/image", "network": True,
                "resources": {"cpus": 1.5, "memory": "1GiB", "gpus": 1}},
    }))
    response = service.get("environments", project="p")
    assert "s3cret" not in response.text
    plain, box = response.json()["environments"]
    assert plain == {
        "name": "plain", "uuid": None, "launcher": "process", "image": None, "image_id": None,
        "available": True, "problem": None, "kernelspec": "python3", "language": None, "network": False,
        "resources": {"cpus": None, "memory": None, "gpus": None}, "env": ["SECRET", "OTHER"]}
    assert box["resources"] == {"cpus": 1.5, "memory": 2**30, "gpus": 1} and box["network"] is True
    assert box["image"] == "some/image" and box["image_id"] is None
    assert box["available"] is False and "nowhere.sock" in box["problem"]


def test_environments_that_are_wrong(service):
    project = chain(service)
    assert service.get("environments", project="p").json() == {"environments": []}
    project.write(".segue/environments.json", '{"x":\n {"lancher": "process"}}')
    body = problem(service.get("environments", project="p"), 422)
    assert "environments.json" in body["detail"]
    assert [(e["pointer"], e["line"]) for e in body["errors"]] == [("/x/lancher", 2)]
    problem(service.get("environments"), 400)
    problem(service.get("environments", project="q"), 404)


def test_service_says_what_it_is(service):
    about = service.get("service").json()
    assert set(about) == {"version", "projects", "state"}
    assert about["projects"] == str(service.projects.resolve())


def test_metrics_are_for_prometheus(service):
    service.get("runs")
    response = service.get("/metrics")
    assert response.headers["Content-Type"] == "text/plain; version=0.0.4"
    names = {line.partition("{")[0].partition(" ")[0] for line in response.text.splitlines() if line[:1] != "#"}
    assert any(name.startswith("segue_http_") for name in names) and len(names) > 10
    for line in response.text.splitlines():
        assert line.startswith("# ") or float(line.rpartition(" ")[2]) >= 0


# ------------------------------------------------------------------------------------------ the door


def converse(service, request):
    """What comes back for these bytes, until the connection is closed."""
    parts = urlsplit(service.url)
    with socket.create_connection((parts.hostname, parts.port), timeout=30) as connection:
        try:
            connection.sendall(request)
            connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        answer = b""
        try:
            while got := connection.recv(65536):
                answer += got
        except ConnectionResetError:
            pass
        return answer


def post_bytes(service, body, *lines):
    head = [b"POST /api/v1/runs HTTP/1.1", *lines]
    head.append(b"Authorization: Bearer " + service.token.encode())
    return b"\r\n".join(head) + b"\r\n\r\n" + body


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80", "10.0.0.1"])
def test_foreign_hosts_are_kept_out(service, host):
    for path in ("/healthz", "/docs", "/api/v1/runs", "/api/v1/events"):
        response = requests.get(service.url + path, headers=service.headers(Host=host), timeout=30)
        problem(response, 403)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:1", "[::1]:80", "LOCALHOST:7878"])
def test_own_hosts_are_let_in(service, host):
    response = requests.get(service.url + "/healthz", headers={"Host": host}, timeout=30)
    assert response.status_code == 200


@pytest.mark.parametrize("kind", [
    "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/jsonx", ""])
def test_bodies_are_json_only(service, kind):
    body = json.dumps(service.body_for(chain(service)))
    response = service.post("runs", body, headers={"Content-Type": kind})
    problem(response, 415)
    assert service.runs() == []


def test_json_may_have_parameters(held):
    body = json.dumps(held.body_for(chain(held)))
    response = held.post("runs", body, headers={"Content-Type": "application/json; charset=utf-8"})
    assert response.status_code == 201


HOST = b"Host: localhost"
JSON_TYPE = b"Content-Type: application/json"
SECOND = b"DELETE /api/v1/runs/x HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.mark.parametrize("lines", [
    (HOST, JSON_TYPE, b"Content-Length: 2", b"Content-Length: 2"),
    (HOST, JSON_TYPE, b"Content-Length: 2", b"Content-Length: 60"),
    (HOST, JSON_TYPE, b"Content-Length: 2", b"Transfer-Encoding: chunked"),
    (HOST, JSON_TYPE, b"Transfer-Encoding: chunked", b"Content-Length: 2"),
    (HOST, JSON_TYPE, b"Transfer-Encoding: gzip, chunked"),
    (HOST, JSON_TYPE, b"Transfer-Encoding: xchunked"),
    (HOST, HOST, JSON_TYPE, b"Content-Length: 2"),
    (HOST, b"Host: evil.example", JSON_TYPE, b"Content-Length: 2"),
    (HOST, JSON_TYPE, b"Content-Length: -1"),
    (HOST, JSON_TYPE, b"Content-Length: 2x"),
], ids=lambda lines: b" + ".join(lines[1:]).decode())
def test_nothing_is_smuggled(service, lines):
    answer = converse(service, post_bytes(service, b"{}" + SECOND, *lines))
    assert answer.startswith(b"HTTP/1.1 400 "), answer
    assert answer.count(b"HTTP/1.1 ") == answer.count(b"HTTP/1.1 400 "), f"the connection went on: {answer}"
    assert service.get("runs").status_code == 200


def test_large_bodies_are_refused(service):
    run = service.submit(chain(service))["uuid"]
    service.wait_for_run(run)
    problem(service.post(f"runs/{run}/cancel", b" " * 65536 + b"{}"), 413)
    problem(service.post(f"runs/{run}/rerun", b" " * 70000 + b"{}"), 413)
    answer = converse(service, post_bytes(service, b"{", HOST, JSON_TYPE, b"Content-Length: 99999999999"))
    assert answer.startswith(b"HTTP/1.1 413 "), answer
    endless = b"".join(b"100000\r\n" + b" " * 0x100000 + b"\r\n" for _ in range(65))
    answer = converse(service, post_bytes(service, endless, HOST, JSON_TYPE, b"Transfer-Encoding: chunked"))
    assert answer.startswith(b"HTTP/1.1 413 ") or answer == b"", answer[:200]
    assert service.get("runs").status_code == 200


def test_get_takes_no_body(service):
    response = service.request("GET", "runs", b"{}")
    assert response.status_code in (400, 413), response.text


def test_deep_and_wide_bodies_are_no_trouble(service):
    chain(service)
    problem(service.post("runs", b"[" * 1000000), 400)
    wide = {f"f{i}": 0 for i in range(20000)}
    assert len(problem(service.post("runs", wide), 422)["errors"]) == 100
    many = {"project": "p", "pipeline_path": "pipeline.json", "uuids": ["x"] * 100000}
    assert len(problem(service.post("runs", many), 422)["errors"]) == 100
    assert service.get("/healthz").status_code == 200
