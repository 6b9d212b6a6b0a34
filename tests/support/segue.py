"""Run the program `segue` from outside: find it, start it, read its events, see what it leaves."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def program():
    """SEGUE, or else the newest of the debug and the release build."""
    named = os.environ.get("SEGUE")
    if named:
        return Path(named).resolve()
    built = [ROOT / "build" / variant / "segue" for variant in ("debug", "release")]
    built = [path for path in built if path.exists()]
    if not built:
        raise FileNotFoundError("no segue in build/debug or build/release; run make, or set SEGUE")
    return max(built, key=lambda path: path.stat().st_mtime)


def write_kernelspec(directory, name, argv, language="python", **extra):
    """One kernel.json below a directory that JUPYTER_PATH may name."""
    spec_dir = Path(directory) / "kernels" / name
    spec_dir.mkdir(parents=True, exist_ok=True)
    spec = {"argv": argv, "display_name": name, "language": language, **extra}
    (spec_dir / "kernel.json").write_text(json.dumps(spec, indent=1) + "\n")


def write_python_kernelspecs(directory):
    """The kernels of the interpreter that runs the tests, whatever else the machine has."""
    launcher = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    write_kernelspec(directory, "python3", launcher, interrupt_mode="signal")
    bash = [sys.executable, "-m", "bash_kernel", "-f", "{connection_file}"]
    write_kernelspec(directory, "bash", bash, language="bash")


def environment(state, jupyter_path, **more):
    """The environment of both executors. Terminal sizes and colours are fixed because kernels look
    at them, and pytest's own variable goes because ipykernel behaves differently when it sees it."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "SEGUE_"))}
    env.update(
        JUPYTER_PATH=str(jupyter_path),
        PATH=os.pathsep.join([str(Path(sys.executable).parent), env.get("PATH", "")]),
        COLUMNS="80",
        LINES="24",
        PYTHONHASHSEED="0",
        JUPYTER_PLATFORM_DIRS="1",
        MPLBACKEND="module://matplotlib_inline.backend_inline",
        SEGUE_STATE=str(state),
        XDG_STATE_HOME=str(state),
    )
    env.pop("FORCE_COLOR", None)
    env.update(more)
    return env


def processes_of(mark):
    """Live processes of a run: those that carry SEGUE_ATTEMPT, or are keepers, and name `mark` (a
    directory of this test alone, with something below it) in their environment or command line.
    Returns {pid: name and command line}."""
    mark = os.fsencode(f"{mark}/")
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            environ = (entry / "environ").read_bytes()
            # A keeper is forked, not executed: only its name is its own.
            command = (entry / "comm").read_bytes().strip() + b" " + (entry / "cmdline").read_bytes()
            state = (entry / "stat").read_text().rsplit(")", 1)[1].split()[0]
        except (OSError, IndexError):
            continue
        ours = b"SEGUE_ATTEMPT=" in environ or b"segue-keeper" in command
        if ours and state not in "ZX" and (mark in environ or mark in command):
            found[int(entry.name)] = command.replace(b"\0", b" ").decode("utf-8", "replace")
    return found


def keepers_of(mark):
    return [pid for pid, command in processes_of(mark).items() if "segue-keeper" in command]


def wait_until(condition, seconds, what):
    """Wait for a condition that no descriptor announces. Fails, naming `what`, when time is up."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.02)


def nothing_left(mark, seconds=5):
    """Every process of the run is gone, or goes within a moment."""
    deadline = time.monotonic() + seconds
    while left := processes_of(mark):
        assert time.monotonic() < deadline, f"left running: {left}"
        time.sleep(0.02)


@dataclass
class Result:
    code: int
    stdout: str
    stderr: str
    seconds: float
    output: Path
    events: list = field(default_factory=list)

    def of(self, event, step=None):
        return [
            e
            for e in self.events
            if e["event"] == event and (step is None or e.get("step_uuid") == step)
        ]

    def finished(self, step_uuid):
        """The step's one step_finished event."""
        found = self.of("step_finished", step_uuid)
        assert len(found) == 1, f"{len(found)} step_finished events\n{self.explain()}"
        return found[0]

    def notebook(self, path):
        return json.loads((self.output / path).read_text("utf-8"))

    def explain(self):
        tail = "\n".join(json.dumps(e)[:400] for e in self.events[-30:])
        return f"exit status {self.code}\n{tail}\n--- stderr\n{self.stderr[-4000:]}"


def parse_events(text):
    """One JSON object a line, and nothing else on standard output."""
    events = []
    # Not splitlines: a line of JSON may hold U+2028 and the like as they are.
    for number, line in enumerate(text.rstrip("\n").split("\n") if text else [], 1):
        try:
            events.append(json.loads(line))
        except ValueError as e:
            raise AssertionError(f"line {number} of --json output: {e}: {line[:200]!r}") from e
    return events


class Running:
    """A `segue` that has been started; wait() gives its Result."""

    def __init__(self, argv, env, cwd, output):
        self.output = Path(output)
        self.started = time.monotonic()
        self._out = open(f"{output}.stdout", "w+b")
        self._err = open(f"{output}.stderr", "w+b")
        self.process = subprocess.Popen(
            [str(a) for a in argv],
            env=env,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=self._out,
            stderr=self._err,
            start_new_session=True,
        )

    @property
    def pid(self):
        return self.process.pid

    def signal(self, number):
        self.process.send_signal(number)

    def errors_so_far(self):
        return Path(self._err.name).read_text("utf-8")

    def events_so_far(self):
        """Whole lines only: the last one may still be on its way."""
        self._out.flush()
        text = Path(self._out.name).read_bytes().rpartition(b"\n")[0]
        return parse_events(text.decode("utf-8"))

    def wait_for(self, predicate, seconds=60, what="an event"):
        def look():
            found = next((e for e in self.events_so_far() if predicate(e)), None)
            if found is None and self.process.poll() is not None:
                found = next((e for e in self.events_so_far() if predicate(e)), None)
                assert found, f"segue ended before {what}\n{self.wait(5).explain()}"
            return found

        return wait_until(look, seconds, what)

    def wait(self, seconds):
        try:
            code = self.process.wait(max(0.1, self.started + seconds - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            stderr = Path(self._err.name).read_text("utf-8", "replace")
            stdout = Path(self._out.name).read_text("utf-8", "replace")
            raise AssertionError(
                f"segue had not ended after {seconds} s\n{stdout[-3000:]}\n{stderr[-3000:]}"
            ) from None
        took = time.monotonic() - self.started
        stdout = Path(self._out.name).read_text("utf-8", "surrogateescape")
        stderr = Path(self._err.name).read_text("utf-8", "replace")
        return Result(code, stdout, stderr, took, self.output)

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._out.close()
        self._err.close()


def run_pipeline(project, env, output, *arguments, seconds=60):
    """`segue run PIPELINE --output OUTPUT --json ...` to its end."""
    argv = [program(), "run", project.pipeline, "--output", output, "--json", *arguments]
    running = Running(argv, env, project.root, output)
    try:
        result = running.wait(seconds)
    finally:
        running.close()
    result.events = parse_events(result.stdout)
    return result
