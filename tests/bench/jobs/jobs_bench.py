"""What jobs cost: making them, waiting in them, firing them, copying projects, and who waits for them.

    python tests/bench/jobs/jobs_bench.py [--only NAME]... [--rounds N] [--segue PATH]
                                          [--out build/bench-jobs.json]

Where the same can be had otherwise (1,000 runs one by one, `cp -r`, a service without jobs), that is
measured in turn, in the same session. The aims are absolute: they are what people wait for.
"""

import argparse
import http.client
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from datetime import datetime, timezone
from pathlib import Path
from statistics import median

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
sys.path[:0] = [str(HERE.parents[1]), str(HERE.parent / "serve")]

import serve_bench  # noqa: E402
from support.project import Step  # noqa: E402
from support.segue import wait_until  # noqa: E402

SETS = 1000


def project_of(service, script="true\n", name="p"):
    return service.project(name, Step("a", script, path="a.sh"))


def grid(count):
    return {"grid": {"pipeline_parameters": {"n": f"1..{count}"}}}


class Asker:
    """One connection to a service, kept open."""

    def __init__(self, service):
        self.connection = http.client.HTTPConnection(service.url.removeprefix("http://"), timeout=120)
        self.headers = service.headers(**{"Content-Type": "application/json"})

    def post(self, path, body):
        self.connection.request("POST", f"/api/v1/{path}", json.dumps(body), self.headers)
        answer = self.connection.getresponse()
        text = answer.read()
        if answer.status not in (200, 201, 202):
            raise RuntimeError(f"POST {path}: {answer.status} {text[:500]}")
        return json.loads(text)

    def close(self):
        self.connection.close()


def timed(function, *arguments):
    begin = time.perf_counter()
    function(*arguments)
    return (time.perf_counter() - begin) * 1000


def end_job(service, job):
    service.post(f"jobs/{job['uuid']}/abort")
    wait_until(lambda: not service.runs(status="PENDING,STARTED"), 60, "its runs have ended")


# ---------------------------------------------------------------------------------------- the parts


def creation(bench):
    """POST of a job with 1,000 sets, against POST of 1,000 runs one by one; held, so that nothing begins."""
    with bench.service("--hold") as service:
        asker, body = Asker(service), service.body_for(project_of(service))

        def job():
            return {"ms": timed(asker.post, "jobs", {**body, "parameters": grid(SETS)})}

        def runs():
            return {"ms": timed(lambda: [asker.post("runs", {**body, "parameters": {"pipeline_parameters": {"n": n}}})
                                         for n in range(SETS)])}

        taken = bench.in_turn({"job": job, "runs": runs})
        asker.close()
    bench.row(f"POST of a job with {SETS:,} sets", serve_bench.median(taken["job"], "ms"), "ms", aim=1000,
              floor=serve_bench.median(taken["runs"], "ms"), floor_name=f"{SETS:,} POST runs", of_ratio=False)


def memory(bench):
    """Of the daemon, with 10,000 sets of which one runs, less that with one set, which runs."""
    taken = {}
    for count in (1, 10_000):
        with bench.service("--max-background-runs", 1) as service:
            body = service.body_for(project_of(service, "sleep 600\n"))
            job = service.post("jobs", {**body, "parameters": grid(count)}).json()
            wait_until(lambda: service.runs(status="STARTED"), 60, "a run goes on")
            time.sleep(1)  # what was started has settled
            taken[count] = serve_bench.memory_of(service.pid)["Private"]
            end_job(service, job)
    bench.row("memory of the daemon for 10,000 queued sets", taken[10_000] - taken[1], "kB", aim=50 * 1024)


def fires_of(state):
    with sqlite3.connect(f"file:{state / 'jobs.db'}?mode=ro", uri=True) as database:
        return database.execute("SELECT count(*) FROM fires").fetchone()[0]


def firing(bench, count=1000):
    """Jobs that are all due at one moment: from then until the last of them has its fire and set."""
    with bench.service("--max-background-runs", 1) as service:
        asker, body = Asker(service), service.body_for(project_of(service))
        each = timed(lambda: [asker.post("jobs", {**body, "draft": True}) for _ in range(20)]) / 20
        due = int(time.time() + each * count / 1000 * 1.5 + 5)
        at = datetime.fromtimestamp(due, timezone.utc).isoformat()
        for _ in range(count):
            asker.post("jobs", {**body, "schedule": {"at": at}})
        asker.close()
        assert time.time() < due - 0.5, "the jobs were not made in time"
        assert fires_of(service.state) == 0
        time.sleep(due - time.time())
        while fires_of(service.state) < count:
            assert time.time() < due + 60, f"only {fires_of(service.state)} of {count} were fired"
            time.sleep(0.005)
        late = time.time() - due
    bench.row(f"{count:,} schedules due at once: the last fire", late * 1000, "ms", aim=1000)
    bench.row("POST of a job of one small file", each, "ms")


def snapshot(bench, count=10_000):
    """POST of a draft of a project of 10,000 files of 1 KB, against `cp -r` of it."""
    with bench.service("--hold") as service:
        project = project_of(service)
        for n in range(count):
            file = project.root / f"data/{n // 100}/{n}.txt"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"{n:1023}\n")
        body, number = {**service.body_for(project), "draft": True}, iter(range(100))
        asker = Asker(service)

        def copy(*then):
            target = bench.root / f"copy{next(number)}"
            ms = timed(lambda: [subprocess.run(argv, check=True)
                                for argv in (["cp", "-r", project.root, target], *(then and [[*then, target]]))])
            return {"ms": ms}

        taken = bench.in_turn({"job": lambda: {"ms": timed(asker.post, "jobs", body)}, "cp": copy,
                               "synced": lambda: copy("sync", "-f")})
        asker.close()
    ms = {name: serve_bench.median(all_taken, "ms") for name, all_taken in taken.items()}
    bench.row(f"POST of a job of {count:,} files", ms["job"], "ms", floor=ms["cp"], floor_name="cp -r")
    bench.row("it is on the disk then", ms["job"], "ms", floor=ms["synced"], floor_name="cp -r; sync -f", aim=2)


def seconds_between(run, first, last):
    first, last = (datetime.fromisoformat(run[f"{what}_time"].replace("Z", "+00:00")) for what in (first, last))
    return (last - first).total_seconds()


def interactive(bench, count=20):
    """How long a run that somebody waits for waits to begin, and takes, with 1,000 sets queued and none."""
    with bench.service() as service:
        project = project_of(service)
        experiment = service.body_for(project_of(service, "sleep 0.2\n", "experiment"))

        def runs():
            ended = [service.wait_for_run(service.submit(project)["uuid"]) for _ in range(count)]
            return {last: median(seconds_between(run, "created", last) * 1000 for run in ended)
                    for last in ("started", "finished")}

        runs()  # caches, pools
        alone = runs()
        job = service.post("jobs", {**experiment, "parameters": grid(SETS)}).json()
        wait_until(lambda: service.runs(status="STARTED"), 60, "sets are worked on")
        beside = runs()
        counts = service.get(f"jobs/{job['uuid']}").json()["latest_fire"]["counts"]
        assert counts["PENDING"] > SETS / 2, f"hardly any set waited: {counts}"
        end_job(service, job)
    bench.row(f"an interactive run waits, {SETS:,} sets queued", beside["started"], "ms", floor=alone["started"],
              floor_name="none queued", aim=100, of_ratio=False)
    bench.row("until its one script has ended", beside["finished"], "ms", floor=alone["finished"],
              floor_name="none queued")


PARTS = {f.__name__: f for f in (creation, memory, firing, snapshot, interactive)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", action="append", choices=PARTS, help="a part to measure; repeatable")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--segue", type=Path, default=ROOT / "build/release/segue")
    parser.add_argument("--out", type=Path, default=ROOT / "build/bench-jobs.json")
    options = parser.parse_args()
    problems = []
    with tempfile.TemporaryDirectory(prefix="jb") as root:
        bench = serve_bench.Bench(Path(root), options.segue.resolve(), None, options.rounds)
        for name in options.only or PARTS:
            print(f"{name}: {PARTS[name].__doc__.splitlines()[0]}", file=sys.stderr)
            try:
                PARTS[name](bench)
            except (RuntimeError, OSError, AssertionError, subprocess.SubprocessError, sqlite3.Error) as e:
                problems.append(f"{name}: {type(e).__name__} {str(e)[:2000]}")
    print(serve_bench.table(bench.rows))
    for problem in problems:
        print(problem, file=sys.stderr)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    result = {"segue": str(options.segue), "processors": os.cpu_count(), "rounds": options.rounds,
              "rows": bench.rows, "problems": problems}
    options.out.write_text(json.dumps(result, indent=1) + "\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
