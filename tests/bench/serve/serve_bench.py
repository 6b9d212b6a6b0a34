"""What `segue serve` costs, measured side by side with the least that the same job can cost.

    python tests/bench/serve/serve_bench.py [--only NAME]... [--rounds N] [--segue PATH]
                                            [--tools build/release] [--out build/bench-serve.json]

Absolute numbers belong to the machine and its other load; so each is set against a floor taken in
turn with it (A B, A B, ...) in the same session: a server of libmicrohttpd that says hello, and a
loop that appends and syncs. Needs `wrk`, and hello, append and listen (make bench builds them).
"""

import argparse
import json
import os
import re
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
sys.path.insert(0, str(HERE.parents[1]))

from support.notebooks import notebook  # noqa: E402
from support.project import Step  # noqa: E402
from support.segue import environment, write_python_kernelspecs  # noqa: E402
from support.service import Service  # noqa: E402

TICKS = os.sysconf("SC_CLK_TCK")
SECONDS = 3  # of load, in each round


class Bench:
    def __init__(self, root, segue, tools, rounds):
        self.root = root
        self.segue = segue
        self.tools = tools
        self.rounds = rounds
        self.rows = []
        self.jupyter = root / "jupyter"
        write_python_kernelspecs(self.jupyter)
        self._count = 0

    def service(self, *options):
        self._count += 1
        root = self.root / f"s{self._count}"
        root.mkdir()
        return Service(root, environment(root / "state", self.jupyter), *options, segue=self.segue)

    def row(self, what, value, unit, *, floor=None, floor_name="", aim=None, least=False, of_ratio=True):
        """`aim` bounds the ratio to the floor where there is one, else the value: from above, or
        (`least`) from below."""
        ratio = value / floor if floor else None
        judged = ratio if floor and of_ratio else value
        met = None if aim is None else judged >= aim if least else judged <= aim
        self.rows.append({"what": what, "value": value, "unit": unit, "floor": floor, "floor_name": floor_name,
                          "ratio": ratio, "aim": aim, "least": least, "of_ratio": bool(floor and of_ratio),
                          "met": met})

    def in_turn(self, contestants):
        """{name: [result of each round]}; one round before that is not counted."""
        taken = {name: [] for name in contestants}
        for number in range(self.rounds + 1):
            for name, run in contestants.items():
                result = run()
                if number:
                    taken[name].append(result)
            print(".", end="", file=sys.stderr, flush=True)
        print(file=sys.stderr)
        return taken


def median(results, key):
    return statistics.median(result[key] for result in results)


def port_of(service):
    return service.url.rpartition(":")[2]


def wrk(url, connections, *, method="GET", body=None, token="", seconds=SECONDS):
    """One load by wrk: {requests, seconds, p50_ms, p99_ms, max_ms, errors, rate}."""
    env = {**os.environ, "METHOD": method, "TOKEN": token}
    if body is not None:
        env["BODY"] = json.dumps(body)
    done = subprocess.run(
        ["wrk", f"-t{min(2, connections)}", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s", "-s", HERE / "load.lua", url],
        env=env, capture_output=True, text=True, check=False, timeout=seconds + 60)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode or not lines:
        raise RuntimeError(f"wrk: {done.stdout[-500:]}{done.stderr[-500:]}")
    result = json.loads(lines[-1])
    result["rate"] = result["requests"] / result["seconds"]
    if result["errors"]:
        raise RuntimeError(f"{url}: {result['errors']} of {result['requests']} requests failed")
    return result


class Hello:
    """The floor of every request: the same number of bytes, and nothing done for them."""

    def __init__(self, bench, size):
        self.process = subprocess.Popen([bench.tools / "hello", "0", str(size)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.url = f"http://127.0.0.1:{self.process.stdout.readline().strip()}/"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait(30)
        self.process.stdout.close()


class Listeners:
    """Open streams; `result` when they have ended."""

    def __init__(self, bench, service, path, count, event=""):
        self.process = subprocess.Popen(
            [bench.tools / "listen", port_of(service), path, service.token, str(count), event],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if self.process.stdout.readline().strip() != "open":
            raise RuntimeError("the streams were not opened")

    def end(self, at_once=True):
        """At once, or when the service has ended them."""
        if at_once:
            self.process.stdin.close()
        text = self.process.stdout.read()
        self.process.wait(60)
        self.process.stdout.close()
        return json.loads(text)


def cpu_seconds(pid, thread=None):
    """Of a process, or of one of its threads; the engine's is the first."""
    where = f"/proc/{pid}/task/{thread}/stat" if thread else f"/proc/{pid}/stat"
    fields = Path(where).read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def io_of(pid, name):
    return int(re.search(rf"^{name}: (\d+)", Path(f"/proc/{pid}/io").read_text(), re.MULTILINE).group(1))


def memory_of(pid):
    """{Rss, Pss, Private} in kB."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    kb = {name: int(n) for name, n in re.findall(r"^(\w+):\s+(\d+) kB", text, re.MULTILINE)}
    return {"Rss": kb["Rss"], "Pss": kb["Pss"], "Private": kb["Private_Clean"] + kb["Private_Dirty"]}


def small_project(service, name="p"):
    return service.project(name, Step("a", "true\n", path="a.sh"))


# ---------------------------------------------------------------------------------------- the parts


def requests(bench):
    """GET runs/{run} against a server that says hello: 64 connections, then 1,000."""
    with bench.service("--max-runs", 1) as service:
        run = service.submit(small_project(service))
        service.wait_for_run(run["uuid"])
        path = f"/api/v1/runs/{run['uuid']}"
        size = len(service.get(path).content)
        with Hello(bench, size) as hello:
            def segue(connections):
                before = cpu_seconds(service.pid)
                result = wrk(service.url + path, connections, token=service.token)
                result["cpu_us"] = (cpu_seconds(service.pid) - before) / result["requests"] * 1e6
                return result

            def floor(connections):
                before = cpu_seconds(hello.process.pid)
                result = wrk(hello.url, connections)
                result["cpu_us"] = (cpu_seconds(hello.process.pid) - before) / result["requests"] * 1e6
                return result

            few = bench.in_turn({"segue": lambda: segue(64), "hello": lambda: floor(64)})
            many = bench.in_turn({"segue": lambda: segue(1000), "hello": lambda: floor(1000)})
    bench.row("GET runs/{run}, 64 connections", median(few["segue"], "rate"), "/s",
              floor=median(few["hello"], "rate"), floor_name="hello", aim=0.5, least=True)
    bench.row("processor time of it", median(few["segue"], "cpu_us"), "us",
              floor=median(few["hello"], "cpu_us"), floor_name="hello")
    bench.row("GET runs/{run}, 1,000 connections", median(many["segue"], "rate"), "/s",
              floor=median(many["hello"], "rate"), floor_name="hello")
    bench.row("p99 of it", median(many["segue"], "p99_ms"), "ms",
              floor=median(many["hello"], "p99_ms"), floor_name="hello", aim=1.5)


def submissions(bench):
    """POST runs, held: accepted and synced, from 64 connections."""
    cost = {}

    def post():
        with bench.service("--hold") as service:
            body = service.body_for(small_project(service))
            cpu, written = cpu_seconds(service.pid), io_of(service.pid, "write_bytes")
            engine = cpu_seconds(service.pid, service.pid)
            before = memory_of(service.pid)["Private"]
            result = wrk(service.url + "/api/v1/runs", 64, method="POST", body=body, token=service.token)
            count = result["requests"]
            cost.update(
                cpu_us=(cpu_seconds(service.pid) - cpu) / count * 1e6,
                engine_us=(cpu_seconds(service.pid, service.pid) - engine) / count * 1e6,
                written=(io_of(service.pid, "write_bytes") - written) / count,
                memory=(memory_of(service.pid)["Private"] - before) * 1024 / count,
                disk=sum(f.stat().st_blocks * 512 for f in service.state.rglob("*") if f.is_file()) / count)
            return result

    def append():
        done = subprocess.run([bench.tools / "append", bench.root / "appended", "4096", str(SECONDS)],
                              capture_output=True, text=True, check=True, timeout=60)
        return {"rate": float(done.stdout)}

    taken = bench.in_turn({"segue": post, "append": append})
    bench.row("POST runs, durable, 64 connections", median(taken["segue"], "rate"), "/s",
              floor=median(taken["append"], "rate"), floor_name="append + fdatasync", aim=3000, least=True,
              of_ratio=False)
    bench.row("p99 of it", median(taken["segue"], "p99_ms"), "ms")
    bench.row("processor time of it", cost["cpu_us"], "us")
    bench.row("of that by the engine's thread", cost["engine_us"], "us")
    bench.row("bytes written for it", cost["written"], "B")
    bench.row("bytes on disk of it", cost["disk"], "B")
    bench.row("memory of a waiting run", cost["memory"], "B")


PRINTS = """\
import time
time.sleep(1)
for i in range({count}):
    print(i, flush=True)
    time.sleep({pause})
"""


def latency(bench):
    """From a kernel's message, as its keeper noted it, to whoever follows: 10 streams, 1,000 streams."""
    for streams, aim in ((10, 5), (1000, 50)):
        results = []
        with bench.service() as service:
            for _ in range(bench.rounds):
                source = PRINTS.format(count=200, pause=0.02 if streams < 100 else 0.1)
                project = service.project(f"p{streams}", Step("a", notebook(source)))
                run = service.submit(project)
                path = f"/api/v1/events?run={run['uuid']}"
                service.wait_for_event(run["uuid"], "cell_started")
                listeners = Listeners(bench, service, path, streams, "output")
                cpu = cpu_seconds(service.pid)
                results.append(listeners.end(at_once=False))
                results[-1]["cpu_us"] = (cpu_seconds(service.pid) - cpu) / results[-1]["events"] * 1e6
                service.wait_for_run(run["uuid"])
        bench.row(f"event to {streams:,} streams, p99", median(results, "p99_ms"), "ms", aim=aim)
        bench.row(f"event to {streams:,} streams, median", median(results, "p50_ms"), "ms")
        bench.row("processor time of an event to a stream", median(results, "cpu_us"), "us")


def streams_beside_load(bench):
    """GET runs/{run} with 1,000 silent streams open, against without."""
    with bench.service() as service:
        run = service.submit(small_project(service))
        service.wait_for_run(run["uuid"])
        url = f"{service.url}/api/v1/runs/{run['uuid']}"
        alone = memory_of(service.pid)["Private"]
        memory = []

        def without():
            return wrk(url, 64, token=service.token)

        def beside():
            listeners = Listeners(bench, service, "/api/v1/events", 1000)
            try:
                memory.append((memory_of(service.pid)["Private"] - alone) * 1024 / 1000)
                return wrk(url, 64, token=service.token)
            finally:
                listeners.end()

        taken = bench.in_turn({"beside": beside, "without": without})
    bench.row("GET runs/{run} beside 1,000 streams", median(taken["beside"], "rate"), "/s",
              floor=median(taken["without"], "rate"), floor_name="without streams", aim=0.8, least=True)
    bench.row("memory of an open stream", memory[0], "B")


def idle(bench):
    """Memory and processor time of a service that has nothing to do."""
    with bench.service() as service:
        service.get("runs")
        cpu = cpu_seconds(service.pid)
        time.sleep(3)  # what is measured is doing nothing
        spent = cpu_seconds(service.pid) - cpu
        memory = memory_of(service.pid)
        both = memory["Pss"] + sum(memory_of(pid)["Pss"] for pid in service.nurseries())
    bench.row("idle: resident memory", memory["Rss"], "kB")
    bench.row("idle: private memory", memory["Private"], "kB")
    bench.row("idle: proportional, with its nurseries", both, "kB")
    bench.row("idle: processor time in 3 s", spent * 1000, "ms", aim=10)


def multiply(path, count):
    """Fills a database with copies of its only run. Knows of the schema only which columns name the
    run: so it stays right when others are added."""
    with sqlite3.connect(path) as database:
        (first,) = database.execute("SELECT max(id) FROM runs").fetchone()
        columns = [row[1] for row in database.execute("PRAGMA table_info(runs)") if row[1] not in ("id", "uuid")]
        names = ",".join(columns)
        numbers = f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})"
        database.execute(
            f"{numbers} INSERT INTO runs(id, uuid, {names}) SELECT {first} + i,"
            f" printf('%08x-0000-4000-8000-%012x', i, i), {names} FROM n JOIN runs ON id = {first}")
        tables = [row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            columns = [row[1] for row in database.execute(f"PRAGMA table_info({table})")]
            others = [name for name in columns if name not in ("run", "id")]
            if "run" not in columns or table in ("requests", "trash"):
                continue
            if table == "events":  # lists do not look at them: the states are enough
                continue
            names = ",".join(others)
            database.execute(f"{numbers} INSERT INTO {table}(run{''.join(',' + o for o in others)})"
                             f" SELECT {first} + i{''.join(',' + o for o in others)}"
                             f" FROM n JOIN {table} ON run = {first}")
    database.close()


def lists(bench):
    """The first page of 100,000 finished runs, against that of one."""
    count = 100_000
    with bench.service() as service:
        run = service.submit(small_project(service))
        service.wait_for_run(run["uuid"])
        one = wrk(service.url + "/api/v1/runs", 1, token=service.token)
        service.stop()
        multiply(service.state / "segue.db", count)
        begin = time.monotonic()
        service.start()
        started = time.monotonic() - begin
        results = {}
        for name, query in (("", ""), (", of one project", "?project=p"), (", finished", "?status=SUCCESS"),
                            (", with steps", "?include=steps")):
            results[name] = wrk(f"{service.url}/api/v1/runs{query}", 1, token=service.token)
        memory = memory_of(service.pid)["Private"]
    for name, result in results.items():
        bench.row(f"first page of 100,000 runs{name}", result["p50_ms"], "ms", aim=10)
    bench.row("first page of one run", one["p50_ms"], "ms")
    bench.row("start with 100,000 runs", started * 1000, "ms")
    bench.row("private memory with 100,000 runs", memory, "kB")


def growth(bench, count=None):
    """Runs of one script each, one after the other: what of them stays in memory and on disk."""
    count = count or (20_000 if os.environ.get("SEGUE_SOAK") else 1500)
    with bench.service("--max-runs", 8, "--max-steps", 8) as service:
        bodies = [service.body_for(small_project(service, f"p{n}")) for n in range(8)]

        def some(number):
            for n in range(number):
                assert service.post("runs", bodies[n % 8]).status_code == 201
            left = number
            with service.follow(after=seen[-1]) as stream:
                for frame in stream:
                    left -= frame.event == "run_finished"
                    if not left:
                        seen.append(frame.id)
                        return

        seen = [0]
        some(500)  # caches, pools, first pages
        before, fds, disk = memory_of(service.pid)["Private"], open_files(service), size_of(service.state)
        begin = time.monotonic()
        some(count)
        seconds = time.monotonic() - begin
        after = memory_of(service.pid)["Private"]
        bench.row(f"memory that {count:,} runs leave, each", (after - before) * 1024 / count, "B",
                  aim=200 if count >= 20_000 else None)  # before that SQLite's caches still fill
        bench.row("descriptors that they leave", open_files(service) - fds, "", aim=4)
        bench.row("bytes on disk of a run of one script", (size_of(service.state) - disk) / count, "B")
        bench.row("runs of one script", count / seconds, "/s")


def open_files(service):
    return len(list(Path(f"/proc/{service.pid}/fd").iterdir()))


def size_of(directory):
    done = subprocess.run(["du", "-s", "-B1", directory], capture_output=True, text=True, check=True)
    return int(done.stdout.split()[0])


PARTS = {f.__name__: f for f in (
    requests, submissions, latency, streams_beside_load, idle, lists, growth)}


def amount(value, unit):
    if value is None:
        return ""
    digits = 0 if abs(value) >= 100 else 2 if abs(value) >= 1 else 3
    return f"{value:,.{digits}f} {unit}".strip()


def aim_of(row):
    if row["aim"] is None:
        return ""
    sign = ">=" if row["least"] else "<="
    return f"{sign} {row['aim']}" if row["of_ratio"] else f"{sign} {amount(row['aim'], row['unit'])}"


def table(rows):
    lines = [("what", "segue", "floor", "", "ratio", "aim", "")]
    for row in rows:
        lines.append((row["what"], amount(row["value"], row["unit"]), row["floor_name"],
                      amount(row["floor"], row["unit"]), f"{row['ratio']:.2f}" if row["ratio"] else "",
                      aim_of(row), {None: "", True: "met", False: "MISSED"}[row["met"]]))
    widths = [max(len(line[column]) for line in lines) for column in range(7)]
    return "\n".join("  ".join(c.ljust(w) for c, w in zip(line, widths)).rstrip() for line in lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", action="append", choices=PARTS, help="a part to measure; repeatable")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--segue", type=Path, default=ROOT / "build/release/segue")
    parser.add_argument("--tools", type=Path, default=ROOT / "build/release")
    parser.add_argument("--out", type=Path, default=ROOT / "build/bench-serve.json")
    options = parser.parse_args()
    problems = []
    with tempfile.TemporaryDirectory(prefix="sb") as root:
        bench = Bench(Path(root), options.segue.resolve(), options.tools.resolve(), options.rounds)
        for name in options.only or PARTS:
            print(f"{name}: {PARTS[name].__doc__.splitlines()[0]}", file=sys.stderr)
            try:
                PARTS[name](bench)
            except (RuntimeError, OSError, AssertionError, subprocess.SubprocessError, sqlite3.Error) as e:
                problems.append(f"{name}: {e}")
    print(table(bench.rows))
    for problem in problems:
        print(problem, file=sys.stderr)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    result = {"segue": str(options.segue), "processors": os.cpu_count(), "rounds": options.rounds,
              "rows": bench.rows, "problems": problems}
    options.out.write_text(json.dumps(result, indent=1) + "\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
