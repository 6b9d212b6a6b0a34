"""Ratios between Segue and its neighbours, measured side by side on this machine.

    python tests/bench/bench.py [--only NAME]... [--rounds N] [--segue PATH] [--out build/bench.json]

Absolute times say more about the machine and its other load than about the program; so every number
here is a ratio of medians of runs that were taken in turn (A B C, A B C, ...) within one session.
Needs nbclient, nbconvert, papermill, ipykernel and pyzmq in this Python, and `parallel` and `make`
on the path; what is missing is named in the table and its rows are left out.
"""

import argparse
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from support.notebooks import notebook, text_of  # noqa: E402
from support.project import Project, Step  # noqa: E402
from support.segue import (  # noqa: E402
    environment,
    keepers_of,
    parse_events,
    program,
    write_kernelspec,
    write_python_kernelspecs,
)

PYTHON = sys.executable
BIN = Path(PYTHON).parent

LIMIT_S = 300  # for one command: the slowest contestants need a tenth of it

NBCLIENT = """\
import sys, nbformat
from nbclient import NotebookClient
source, target = sys.argv[1:]
node = nbformat.read(source, as_version=4)
NotebookClient(node, timeout=None).execute()
nbformat.write(node, target)
"""


class Bench:
    def __init__(self, root, segue, rounds):
        self.root = root
        self.segue = segue
        self.rounds = rounds
        self.jupyter = root / "jupyter"
        write_python_kernelspecs(self.jupyter)
        self.lives = root / "lives"
        write_kernelspec(self.jupyter, "timed", [
            "bash", "-c", f'echo $EPOCHREALTIME >>{self.lives}; "$@"; echo $EPOCHREALTIME >>{self.lives}',
            "bash", PYTHON, "-m", "ipykernel_launcher", "-f", "{connection_file}"])
        self.env = environment(root / "state", self.jupyter)
        self.rows = []
        self.missing = []
        self._count = 0

    def fresh(self):
        """A directory that nothing has used yet."""
        self._count += 1
        directory = self.root / f"t{self._count}"
        directory.mkdir()
        return directory

    def timed(self, argv, cwd):
        """Seconds that a command takes; what it prints goes to CWD/printed."""
        begin = time.monotonic()
        with open(cwd / "printed", "wb") as printed:
            done = subprocess.run(
                [str(a) for a in argv], cwd=cwd, env=self.env, stdin=subprocess.DEVNULL,
                stdout=printed, stderr=subprocess.PIPE, text=True, errors="replace", check=False,
                timeout=LIMIT_S)
        took = time.monotonic() - begin
        if done.returncode:
            raise RuntimeError(f"{argv[0]} ended with {done.returncode}: {done.stderr[-800:]}")
        return took

    def has(self, *programs):
        for name in programs:
            if not shutil.which(name, path=self.env["PATH"]):
                self.missing.append(name)
                return False
        return True

    def in_turn(self, contestants, rounds=None):
        """{name: median seconds} of functions that return seconds, A B C A B C. One round before
        that warms the caches and is not counted."""
        taken = {name: [] for name in contestants}
        for number in range((rounds or self.rounds) + 1):
            for name, run in contestants.items():
                seconds = run()
                if number:
                    taken[name].append(seconds)
            print(".", end="", file=sys.stderr, flush=True)
        print(file=sys.stderr)
        return {name: statistics.median(values) for name, values in taken.items()}

    def row(self, what, ours, other, theirs, aim, unit="s"):
        """`aim` is a bound on ours / theirs: at most."""
        ratio = ours / theirs
        self.rows.append({
            "what": what, "segue": ours, "against": other, "other": theirs, "unit": unit,
            "ratio": ratio, "aim": aim, "met": ratio <= aim})

    def bound(self, what, ours, aim, unit):
        """`aim` is a bound on ours itself: at most."""
        self.rows.append({"what": what, "segue": ours, "against": None, "other": None, "unit": unit,
                          "ratio": None, "aim": aim, "met": ours <= aim})

    # ------------------------------------------------------------------------------- contestants

    def run_segue(self, *steps, **settings):
        directory = self.fresh()
        project = Project(directory / "p", steps, settings=settings)
        took = self.timed([self.segue, "run", project.pipeline, "--output", directory / "out", "--json"],
                          directory)
        events = parse_events((directory / "printed").read_text("utf-8"))
        done = [e for e in events if e["event"] == "step_finished" and e["status"] == "SUCCESS"]
        if len(done) != len(steps):
            raise RuntimeError(f"segue finished {len(done)} of {len(steps)} steps")
        return took

    def run_nbclient(self, text):
        directory = self.fresh()
        (directory / "n.ipynb").write_text(text, "utf-8")
        return self.timed([PYTHON, "-c", NBCLIENT, "n.ipynb", "out.ipynb"], directory)

    def run_papermill(self, text):
        directory = self.fresh()
        (directory / "n.ipynb").write_text(text, "utf-8")
        return self.timed([BIN / "papermill", "--no-progress-bar", "n.ipynb", "out.ipynb"], directory)

    def run_nbconvert(self, text):
        directory = self.fresh()
        (directory / "n.ipynb").write_text(text, "utf-8")
        return self.timed([BIN / "jupyter-nbconvert", "--to", "notebook", "--execute", "n.ipynb",
                           "--output", "out.ipynb"], directory)

    def run_floor(self, sources):
        """A kernel, driven by nothing but frames on sockets: what no executor can go below."""
        directory = self.fresh()
        (directory / "cells.json").write_text(json.dumps(sources))
        return self.timed([PYTHON, HERE / "raw_client.py", "cells.json"], directory)


def ten_cells():
    return [f"x{n} = {n}\nx{n}" for n in range(10)]


def whole_process(bench):
    """(1) One notebook of ten cells, from the start of the process to its end."""
    node = notebook(*ten_cells())
    text = text_of(node)
    median = bench.in_turn({
        "segue": lambda: bench.run_segue(Step("a", node)),
        "nbclient": lambda: bench.run_nbclient(text),
        "papermill": lambda: bench.run_papermill(text),
        "nbconvert": lambda: bench.run_nbconvert(text),
        "floor": lambda: bench.run_floor(ten_cells()),
    })
    for other in ("nbclient", "papermill", "nbconvert"):
        bench.row("10 cells, whole process", median["segue"], other, median[other], 0.4)
    bench.row("10 cells, whole process", median["segue"], "bare client", median["floor"], 1.15)


def much_output(bench):
    """(3) 60 cells of 200 kB each: writing after each cell must not cost more than running it."""
    sources = [f"print(('{n:02}' * 49 + 'x\\n') * 2020)" for n in range(60)]
    node = notebook(*sources)
    text = text_of(node)
    median = bench.in_turn({
        "segue": lambda: bench.run_segue(Step("a", node)),
        "papermill": lambda: bench.run_papermill(text),
        "nbclient": lambda: bench.run_nbclient(text),
        "floor": lambda: bench.run_floor(sources),
    }, rounds=max(2, bench.rounds // 2))
    bench.row("60 x 200 kB", median["segue"], "bare client", median["floor"], 1.2)
    bench.row("60 x 200 kB", median["segue"], "nbclient", median["nbclient"], 0.8)
    bench.row("60 x 200 kB", median["segue"], "papermill", median["papermill"], 0.3)


def overhead(bench):
    """(2) What comes on top of the kernels' own lives, from spawn to exit, for each notebook."""
    count = 10
    node = notebook(*ten_cells(), kernel="timed")
    steps = [Step(f"s{n}", node, f"s{n - 1}" if n else "") for n in range(count)]

    def more_than_kernels(steps):
        bench.lives.write_text("")
        took = bench.run_segue(*steps)
        times = [float(line) for line in bench.lives.read_text().split()]
        assert len(times) == 2 * len(steps), "a kernel did not note its start and end"
        return (took - sum(times[1::2]) + sum(times[::2])) / len(steps)

    median = bench.in_turn({
        "chain": lambda: more_than_kernels(steps), "single": lambda: more_than_kernels(steps[:1])})
    bench.bound("added to a kernel's life, in a chain", 1000 * median["chain"], 30, "ms")
    bench.bound("added to a kernel's life, whole process", 1000 * median["single"], 60, "ms")


def many_notebooks(bench):
    """(4) Twenty notebooks in a row, and side by side, two at a time."""
    node = notebook("1 + 1")
    text = text_of(node)
    count = 20

    def steps(chained):
        return [Step(f"s{n}", node, f"s{n - 1}" if chained and n else "") for n in range(count)]

    def papermill_jobs(jobs):
        directory = bench.fresh()
        for n in range(count):
            (directory / f"s{n}.ipynb").write_text(text, "utf-8")
        names = [f"s{n}" for n in range(count)]
        return bench.timed(["parallel", "--will-cite", f"-j{jobs}", str(BIN / "papermill"),
                            "--no-progress-bar", "{}.ipynb", "{}-out.ipynb", ":::", *names], directory)

    def floor_in_a_row():
        return sum(bench.run_floor(["1 + 1"]) for _ in range(count))

    rounds = max(1, bench.rounds // 3)
    contestants = {"segue": lambda: bench.run_segue(*steps(True)), "floor": floor_in_a_row}
    if bench.has("parallel"):
        contestants["papermill"] = lambda: papermill_jobs(1)
    median = bench.in_turn(contestants, rounds)
    bench.row("chain of 20 notebooks", median["segue"], "20 bare clients", median["floor"], 1.1)
    if "papermill" in median:
        bench.row("chain of 20 notebooks", median["segue"], "papermill", median["papermill"], 0.5)
    if bench.has("parallel"):
        median = bench.in_turn({
            "segue": lambda: bench.run_segue(*steps(False), max_steps_parallelism=2),
            "papermill": lambda: papermill_jobs(2)}, rounds)
        bench.row("fan of 20 notebooks, 2 at a time", median["segue"], "parallel -j2 papermill",
                  median["papermill"], 0.5)


def many_scripts(bench):
    """(5) A thousand scripts that do nothing."""
    count = 1000

    def files(directory):
        for n in range(count):
            (directory / f"s{n}.sh").write_text("true\n")

    def gnu_parallel():
        directory = bench.fresh()
        files(directory)
        names = "\n".join(f"s{n}.sh" for n in range(count))
        (directory / "names").write_text(names)
        return bench.timed(["parallel", "--will-cite", "-j2", "-a", "names", "sh"], directory)

    def make():
        directory = bench.fresh()
        files(directory)
        targets = " ".join(f"t{n}" for n in range(count))
        rules = f"all: {targets}\nt%: s%.sh\n\t@sh $<\n"
        (directory / "Makefile").write_text(rules)
        return bench.timed(["make", "-j2"], directory)

    steps = [Step(f"s{n}", "true\n", path=f"s{n}.sh") for n in range(count)]
    contestants = {"segue": lambda: bench.run_segue(*steps, max_steps_parallelism=2)}
    if bench.has("parallel"):
        contestants["parallel"] = gnu_parallel
    if bench.has("make"):
        contestants["make"] = make
    median = bench.in_turn(contestants, max(2, bench.rounds // 2))
    for other, aim in (("parallel", 1.0), ("make", 5.0)):
        if other in median:
            bench.row("1,000 scripts that do nothing", median["segue"], f"{other} -j2", median[other], aim)


def pss_kb(pid):
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(re.search(r"^Pss:\s+(\d+)", text, re.MULTILINE).group(1))


def keeper_memory(bench):
    """(6) Proportional memory of the keepers of ten running notebooks, against one kernel's."""
    directory = bench.fresh()
    source = "import os, time\nopen(f'{os.getpid()}.ready', 'w').close()\ntime.sleep(600)"
    steps = [Step(f"s{n}", notebook(source)) for n in range(10)]
    project = Project(directory / "p", steps, settings={"max_steps_parallelism": 10})
    process = subprocess.Popen(
        [bench.segue, "run", project.pipeline, "--max-parallel", "10", "--json"], cwd=directory, env=bench.env,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    drain = threading.Thread(target=lambda: [None for _ in process.stdout])
    drain.start()
    try:
        deadline = time.monotonic() + 120
        while len(ready := list(project.root.glob("*.ready"))) < 10:
            if time.monotonic() > deadline or process.poll() is not None:
                raise RuntimeError("ten notebooks did not start")
            time.sleep(0.1)
        time.sleep(1)
        keepers = [pss_kb(pid) for pid in keepers_of(bench.root)]
        kernels = [pss_kb(int(path.stem)) for path in ready]
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)
        drain.join()
    if len(keepers) != 10:
        raise RuntimeError(f"{len(keepers)} keepers instead of 10")
    bench.bound("memory (Pss) of a keeper", statistics.mean(keepers), 8000, "kB")
    bench.row("memory (Pss) of a keeper", statistics.mean(keepers), "its kernel",
              statistics.mean(kernels), 0.06, "kB")


PARTS = {f.__name__: f for f in (
    whole_process, overhead, much_output, many_notebooks, many_scripts, keeper_memory)}


def amount(value, unit):
    return f"{value:.3f} s" if unit == "s" else f"{value:.0f} {unit}"


def table(rows):
    lines = [("what", "segue", "against", "other", "ratio", "aim", "")]
    for row in rows:
        unit = row["unit"]
        if row["against"]:
            other = row["against"], amount(row["other"], unit), f"{row['ratio']:.3f}"
            aim = f"<= {row['aim']}"
        else:
            other = "", "", ""
            aim = f"<= {row['aim']} {unit}"
        lines.append((row["what"], amount(row["segue"], unit), *other, aim,
                      "met" if row["met"] else "MISSED"))
    widths = [max(len(line[column]) for line in lines) for column in range(7)]
    return "\n".join("  ".join(c.ljust(w) for c, w in zip(line, widths)).rstrip() for line in lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", action="append", choices=PARTS, help="a part to measure; repeatable")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--segue", type=Path)
    parser.add_argument("--out", type=Path, default=HERE.parents[1] / "build" / "bench.json")
    options = parser.parse_args()
    release = HERE.parents[1] / "build" / "release" / "segue"
    segue = options.segue or (release if release.exists() and "SEGUE" not in os.environ else program())
    with tempfile.TemporaryDirectory(prefix="sb") as root:
        bench = Bench(Path(root), segue.resolve(), options.rounds)
        problems = []
        for name in options.only or PARTS:
            print(f"{name}: {PARTS[name].__doc__.splitlines()[0]}", file=sys.stderr)
            try:
                PARTS[name](bench)
            except (RuntimeError, OSError, AssertionError, subprocess.SubprocessError) as e:
                problems.append(f"{name}: {e}")
    print(table(bench.rows))
    for name in sorted(set(bench.missing)):
        problems.append(f"not measured against {name}: it is not installed")
    for problem in problems:
        print(problem, file=sys.stderr)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    result = {"segue": str(segue), "processors": os.cpu_count(), "rounds": options.rounds,
              "rows": bench.rows, "problems": problems}
    options.out.write_text(json.dumps(result, indent=1) + "\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
