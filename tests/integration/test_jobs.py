"""Jobs: pipelines that are run many times, over sets of parameters and on schedules."""

import json
import threading
import time
from datetime import datetime, timedelta, timezone

import pytest
from support.project import Step, uuid_of
from support.segue import wait_until

ENDED = ("SUCCESS", "FAILURE", "ABORTED")

# Reports what it was given; fails for what the parameter "bad" names.
TRAIN = """\
import segue
depth, trees = segue.get_step_param("depth", 0), segue.get_pipeline_param("trees", 0)
segue.log_param("kind", "forest")
segue.log_metric("score", depth * 10 + trees)
if depth == segue.get_pipeline_param("bad", None):
    raise SystemExit(7)
"""
COUNT = "import os\nopen(os.environ['COUNT_FILE'], 'a').write(os.environ['SEGUE_RUN_UUID'] + '\\n')\n"
WAITS = "while [ ! -e {go} ]; do sleep 0.05; done\n"


@pytest.fixture
def service(new_service):
    return new_service("--max-background-runs", 3).start()


def train(service, name="p", content=TRAIN, **options):
    return service.project(name, Step("Train", content, path="train.py"), **options)


def create(service, project, **more):
    answer = service.post("jobs", service.body_for(project, **more))
    assert answer.status_code == 201, answer.text
    return answer.json()


def job_of(service, job):
    answer = service.get(f"jobs/{job['uuid']}")
    assert answer.status_code == 200, answer.text
    return answer.json()


def wait_for_job(service, job, *statuses, seconds=90):
    wanted = statuses or ENDED
    wait_until(lambda: job_of(service, job)["status"] in wanted, seconds, f"the job is {wanted}")
    return job_of(service, job)


def act(service, job, what, status=200, data=None):
    answer = service.post(f"jobs/{job['uuid']}/{what}", data)
    assert answer.status_code == status, answer.text
    return answer.json()


def results(service, job, **query):
    answer = service.get(f"jobs/{job['uuid']}/results", **query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def runs_of(service, job):
    return service.get("runs", job_uuid=job["uuid"], limit=1000).json()["runs"]


def grid(**axes):
    return {"grid": {"pipeline_parameters": axes}}


# ------------------------------------------------------------------------------------- experiments


def test_from_a_grid_to_a_table(service):
    project = train(service)
    parameters = {"grid": {uuid_of("Train"): {"depth": "1..3"}, "pipeline_parameters": {"trees": [5, 9]}},
                  "exclude": [5]}
    job = create(service, project, name="forest", parameters=parameters,
                 policy={"objective": {"metric": "score"}})
    assert (job["name"], job["set_count"]) == ("forest", 5)
    assert wait_for_job(service, job)["status"] == "SUCCESS"
    table = results(service, job)
    assert [c["key"] for c in table["columns"]["parameters"]] == ["depth", "trees"]
    assert [c["key"] for c in table["columns"]["metrics"]] == ["score"]
    rows = table["rows"]
    assert [r["metrics"]["score"] for r in rows] == [35, 29, 25, 19, 15]
    assert [r["number"] for r in rows] == [4, 3, 2, 1, 0]
    assert all(r["status"] == "SUCCESS" and r["duration"] > 0 and r["parameters"] for r in rows)
    text = service.get(f"jobs/{job['uuid']}/results", format="csv").text
    assert len(text.splitlines()) == 6 and "score" in text.splitlines()[0]
    ascending = results(service, job, sort="score")["rows"]
    assert [r["metrics"]["score"] for r in ascending] == [15, 19, 25, 29, 35]


def test_preview_changes_nothing(service):
    project = train(service)
    answer = service.post("jobs/preview", service.body_for(project, parameters=grid(a="1..3", b=["x", "y"]),
                                               schedule={"cron": "0 2 * * MON-FRI", "timezone": "Europe/Berlin"}))
    assert answer.status_code == 200, answer.text
    shown = answer.json()
    assert shown["set_count"] == 6 and len(shown["sets"]) == 6
    assert shown["sets"][1]["parameters"]["pipeline_parameters"] == {"a": 1, "b": "y"}
    assert len(shown["schedule"]["next"]) == 5 and "Monday" in shown["schedule"]["words"]
    assert service.get("jobs").json()["jobs"] == []


@pytest.mark.parametrize(("more", "pointer", "said"), [
    ({"schedule": {"cron": "0 0 31 2 *"}}, "/schedule/cron", "31"),
    ({"schedule": {"cron": "61 * * * *"}}, "/schedule/cron", "61"),
    ({"schedule": {"cron": "0 2 * * *", "timezone": "Europe/Berlim"}}, "/schedule/timezone", "Berlin"),
    ({"parameters": {"grid": {"nobody": {"a": [1]}}}}, "/parameters/grid/nobody", "nobody"),
    ({"parameters": grid(a="1..1000", b="1..100")}, "/parameters/grid", "100,000"),
    ({"policy": {"retries": {"limit": -1}}}, "/policy/retries/limit", "0 to 100"),
    ({"polici": {}}, "/polici", "policy"),
], ids=["31 February", "minute 61", "zone", "step", "100,000 sets", "retries", "unknown"])
def test_what_is_refused_says_where(service, more, pointer, said):
    project = train(service)
    answer = service.post("jobs", service.body_for(project, **more))
    assert answer.status_code == 422, answer.text
    errors = answer.json()["errors"]
    assert any(e["pointer"].startswith(pointer) and said in e["detail"] for e in errors), errors
    assert service.get("jobs").json()["jobs"] == []
    assert list((service.state / "jobs").iterdir()) == []


def test_each_run_has_a_copy_of_what_the_project_was(service):
    project = service.project("p", Step("a", "cat note; echo ran >> note; cat note >&2\n", path="a.sh"))
    note = project.root / "note"
    note.write_text("as it was\n")
    (project.root / ".gitignore").write_text("big\n")
    (project.root / "big").write_text("x" * 1000)
    job = create(service, project, draft=True, parameters=grid(a=[1, 2]))
    note.write_text("changed\n")
    act(service, job, "confirm")
    assert wait_for_job(service, job)["status"] == "SUCCESS"
    for run in runs_of(service, job):
        log = service.get(f"runs/{run['uuid']}/steps/{uuid_of('a')}/log").text
        assert "as it was" in log and "changed" not in log
        copy = service.state / "runs" / run["uuid"] / "project"
        assert (copy / "note").read_text() == "as it was\nran\n"
        assert not (copy / "big").exists()
        assert run["project"] == "p"
    assert note.read_text() == "changed\n"


def test_failures_stop_what_has_not_begun(service):
    project = train(service)
    job = create(service, project, parameters={
        "base": {"pipeline_parameters": {"bad": 1}}, "grid": {uuid_of("Train"): {"depth": [1] * 1 + list(range(2, 30))}}},
        policy={"parallel": 1, "stop_after_failures": 1})
    ended = wait_for_job(service, job)
    assert ended["status"] == "FAILURE"
    counts = ended["latest_fire"]["counts"]
    assert counts["FAILURE"] == 1 and counts["ABORTED"] == 28 and counts["SUCCESS"] == 0
    assert len(runs_of(service, job)) == 1


def test_a_failed_set_is_tried_again(service, tmp_path):
    project = train(service, content="import os, sys\np = '%s'\nopen(p, 'a').write('x')\n"
                    "sys.exit(len(open(p).read()) < 3)\n" % (tmp_path / "tries"))
    job = create(service, project, policy={"retries": {"limit": 5, "delay": 0}})
    assert wait_for_job(service, job)["status"] == "SUCCESS"
    assert (tmp_path / "tries").read_text() == "xxx"
    row = results(service, job)["rows"][0]
    assert row["try"] == 3 and row["status"] == "SUCCESS"
    assert sorted(r["status"] for r in runs_of(service, job)) == ["FAILURE", "FAILURE", "SUCCESS"]


def test_a_run_has_a_time_limit(service, tmp_path):
    project = service.project("p", Step("a", WAITS.format(go=tmp_path / "never"), path="a.sh"))
    job = create(service, project, policy={"timeout": 1})
    assert wait_for_job(service, job)["status"] == "FAILURE"
    row = results(service, job)["rows"][0]
    assert (row["status"], row["cause"]) == ("FAILURE", "timeout")


def test_limits_of_a_job_and_of_all(service, tmp_path):
    go = tmp_path / "go"
    project = service.project("p", Step("a", WAITS.format(go=go), path="a.sh"))
    first = create(service, project, parameters=grid(a="1..5"), policy={"parallel": 1})
    second = create(service, project, parameters=grid(a="1..5"))
    def started(job):
        return job_of(service, job)["latest_fire"]["counts"]["STARTED"]
    wait_until(lambda: started(first) + started(second) == 3, 60, "three runs")
    assert started(first) == 1
    interactive = service.submit(project)  # has a slot of its own
    wait_until(lambda: service.run(interactive["uuid"])["status"] == "STARTED", 60, "it runs")
    go.touch()
    assert wait_for_job(service, first)["status"] == wait_for_job(service, second)["status"] == "SUCCESS"


# --------------------------------------------------------------------------------------- schedules


def test_at_a_time(service):
    project = train(service)
    at = datetime.now(timezone.utc).replace(microsecond=0) + timedelta(seconds=3)
    job = create(service, project, schedule={"at": at.isoformat()})
    assert job["status"] == "PENDING" and len(job["schedule"]["next"]) == 1
    assert wait_for_job(service, job)["status"] == "SUCCESS"
    fire = job_of(service, job)["latest_fire"]
    assert fire["kind"] == "schedule"
    assert datetime.fromisoformat(fire["created_time"]) >= at


def test_cron_is_paused_resumed_triggered(service):
    project = train(service)
    job = create(service, project, schedule={"cron": "0 0 1 1 *"})
    assert job["status"] == "STARTED" and len(job["schedule"]["next"]) == 5
    assert act(service, job, "pause")["status"] == "PAUSED"
    assert service.post(f"jobs/{job['uuid']}/trigger").status_code == 409
    assert act(service, job, "resume")["status"] == "STARTED"
    fire = act(service, job, "trigger", 201)
    assert (fire["number"], fire["kind"]) == (1, "trigger")
    refused = service.request("PUT", f"jobs/{job['uuid']}", {"refresh": True})
    assert refused.status_code == 409 and "a fire of it goes on" in refused.text
    wait_until(lambda: job_of(service, job)["latest_fire"]["status"] == "SUCCESS", 60, "it ran")
    assert job_of(service, job)["status"] == "STARTED"
    (project.root / "more").write_text("more\n")
    assert service.request("PUT", f"jobs/{job['uuid']}", {"refresh": True}).json()["snapshot"]["files"] == \
        job["snapshot"]["files"] + 1


def test_killed_when_it_is_due_it_is_fired_once(service):
    project = train(service)
    at = datetime.now(timezone.utc) + timedelta(seconds=2)
    job = create(service, project, schedule={"at": at.isoformat()})
    service.kill9()
    wait_until(lambda: datetime.now(timezone.utc) > at, 10, "its time has come")
    service.start()
    wait_until(lambda: job_of(service, job)["fires_total"] == 1, 60, "it is fired")
    service.kill9()
    service.start()
    ended = wait_for_job(service, job)
    assert (ended["status"], ended["fires_total"]) == ("SUCCESS", 1)
    assert len(runs_of(service, job)) == 1


# ------------------------------------------------------------------------------------ life of a job


def test_draft_edit_confirm_duplicate(service):
    project = train(service)
    job = create(service, project, draft=True, parameters=grid(a=[1]))
    assert job["status"] == "DRAFT"
    changed = service.request("PUT", f"jobs/{job['uuid']}", {"name": "other", "parameters": grid(a=[1, 2, 3])})
    assert changed.status_code == 200, changed.text
    assert (changed.json()["name"], changed.json()["set_count"]) == ("other", 3)
    act(service, job, "confirm")
    assert service.post(f"jobs/{job['uuid']}/confirm").status_code == 409
    wait_for_job(service, job, "SUCCESS")
    twin = act(service, job, "duplicate", 201)
    assert twin["status"] == "DRAFT" and twin["duplicate_of"] == job["uuid"] and twin["set_count"] == 3
    names = {j["uuid"]: j["name"] for j in service.get("jobs").json()["jobs"]}
    assert names == {job["uuid"]: "other", twin["uuid"]: "other (copy)"}


def test_abort_ends_what_runs(service, tmp_path):
    project = service.project("p", Step("a", WAITS.format(go=tmp_path / "never"), path="a.sh"))
    job = create(service, project, parameters=grid(a="1..10"))
    wait_until(lambda: job_of(service, job)["latest_fire"]["counts"]["STARTED"] == 3, 60, "runs")
    assert act(service, job, "abort", 202)["status"] == "ABORTED"
    wait_until(lambda: job_of(service, job)["latest_fire"]["counts"]["ABORTED"] == 10, 60, "all ended")
    assert all(r["status"] == "ABORTED" for r in runs_of(service, job))


def test_deleted_while_it_runs(service, tmp_path):
    project = service.project("p", Step("a", WAITS.format(go=tmp_path / "never"), path="a.sh"))
    job = create(service, project, parameters=grid(a="1..10"))
    wait_until(lambda: job_of(service, job)["latest_fire"]["counts"]["STARTED"] == 3, 60, "runs")
    assert service.delete(f"jobs/{job['uuid']}").status_code == 204
    assert service.get(f"jobs/{job['uuid']}").status_code == 404
    wait_until(lambda: list((service.state / "jobs").iterdir()) == [], 60, "the snapshot is gone")
    wait_until(lambda: runs_of(service, job) == [], 60, "the runs are gone")
    wait_until(lambda: list((service.state / "runs").iterdir()) == [], 60, "their files, too")


def test_retention_says_what_it_will_delete(service):
    project = train(service)
    job = create(service, project, parameters=grid(a="1..5"))
    wait_for_job(service, job, "SUCCESS")
    before = {r["uuid"] for r in runs_of(service, job)}
    changed = service.request("PUT", f"jobs/{job['uuid']}", {"policy": {"retention": {"runs": 2}}}).json()
    assert changed["retention"]["runs"] == 3
    doomed = set(changed["retention"]["uuids"])
    act(service, job, "trigger", 201)
    wait_for_job(service, job, "SUCCESS")
    wait_until(lambda: len(runs_of(service, job)) == 2, 60, "two are left")
    assert doomed < before and not doomed & {r["uuid"] for r in runs_of(service, job)}
    rows = results(service, job, fire="all")["rows"]
    assert len(rows) == 10 and sum(not r["run_deleted"] for r in rows) == 2


def test_results_say_which_run_somebody_deleted(service):
    project = train(service)
    job = create(service, project, parameters=grid(a=[1, 2]))
    wait_for_job(service, job, "SUCCESS")
    first, second = results(service, job)["rows"]
    assert service.delete(f"runs/{second['run_uuid']}").status_code == 204
    wait_until(lambda: [r["run_deleted"] for r in results(service, job)["rows"]] == [False, True], 60, "it is noted")
    assert service.get(f"runs/{first['run_uuid']}").status_code == 200


def test_the_same_key_makes_one_job(service):
    project = train(service)
    first, second = (service.post("jobs", service.body_for(project), headers={"Idempotency-Key": "k1"}) for _ in range(2))
    assert first.status_code == second.status_code == 201
    assert first.json()["uuid"] == second.json()["uuid"]
    assert second.headers["Idempotency-Replayed"] == "true"
    other = service.post("jobs", service.body_for(project, name="x"), headers={"Idempotency-Key": "k1"})
    assert other.status_code == 422


# ------------------------------------------------------------------------------------------- kills


def test_killed_at_any_moment_each_set_runs_once(service, tmp_path):
    """The daemon is killed again and again while a job of 24 sets runs: each set has one run that
    succeeded, and none was begun twice."""
    service.env["COUNT_FILE"] = str(tmp_path / "count")
    service.restart()
    project = train(service, content=COUNT)
    job = create(service, project, parameters=grid(a="1..24"))
    for n in range(8):
        time.sleep(0.15 + 0.07 * n)
        service.kill9()
        service.start()
    ended = wait_for_job(service, job)
    assert ended["status"] == "SUCCESS", ended
    begun = (tmp_path / "count").read_text().split()
    assert len(begun) == len(set(begun)) == 24
    rows = results(service, job)["rows"]
    assert {r["run_uuid"] for r in rows} == set(begun)
    assert len(runs_of(service, job)) == 24


def test_killed_while_it_is_submitted(service):
    project = train(service)
    for n in range(60):
        (project.root / f"file{n}").write_text("x" * 2000)
    process = service.process
    wanted = json.dumps(service.body_for(project, parameters=grid(a="1..50"), draft=True))
    acknowledged = []
    def submit():
        while process.poll() is None:
            try:
                answer = service.post("jobs", wanted)
            except Exception:
                return
            if answer.status_code == 201:
                acknowledged.append(answer.json()["uuid"])
    threads = [threading.Thread(target=submit) for _ in range(3)]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(acknowledged) >= 5, 60, "some are there")
    service.kill9()
    for thread in threads:
        thread.join()
    service.start()
    there = {j["uuid"] for j in service.get("jobs", limit=1000).json()["jobs"]}
    assert set(acknowledged) <= there
    assert {p.name for p in (service.state / "jobs").iterdir()} == there


def test_an_interactive_run_waits_for_no_experiment(service, tmp_path):
    go = tmp_path / "go"
    project = service.project("p", Step("a", WAITS.format(go=go), path="a.sh"))
    job = create(service, project, parameters=grid(a="1..1000"))
    wait_until(lambda: job_of(service, job)["latest_fire"]["counts"]["STARTED"] == 3, 60, "runs")
    mine = service.project("mine", Step("b", "echo here\n", path="b.sh"))
    run = service.submit(mine)
    assert service.wait_for_run(run["uuid"])["status"] == "SUCCESS"
    assert job_of(service, job)["latest_fire"]["counts"]["SUCCESS"] == 0
    assert service.delete(f"jobs/{job['uuid']}").status_code == 204
    go.touch()
