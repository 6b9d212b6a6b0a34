"""Run `segue serve` from outside: start, ask, follow, kill, start again, and see what it leaves.

    with Service(root, env) as service:
        project = service.project("p", Step("a", "print(1)\\n"))
        run = service.submit(project)
        assert service.wait_for_run(run["uuid"])["status"] == "SUCCESS"

A service lies in a directory of its own, `root`: projects/, state/, and serve.log with everything
that it ever wrote to standard error. Nothing here polls the service: runs are waited for by
following their events.
"""

import contextlib
import http.client
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import requests

from .project import Project, Step
from .segue import program, wait_until

HANG_S = 60  # longer than anything takes on a busy machine; reached only by what hangs
LAST_EVENTS = ("run_finished", "run_deleted")


@dataclass
class Frame:
    """One event of a stream as it was sent. `data` is its JSON, parsed."""

    id: int
    event: str
    data: dict


class StreamEnded(Exception):
    """The connection of a stream broke: the service was killed, or it stopped."""


class EventStream:
    """Server-sent events. Iterating gives Frames and waits for the next; it ends when the service
    ends the stream in order, and raises StreamEnded when the connection breaks."""

    def __init__(self, url, headers, path, timeout=HANG_S):
        parts = urlsplit(url)
        self._connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout)
        try:
            self._connection.request("GET", path, headers=headers)
            self._socket = self._connection.sock  # the response takes it away
            self.response = self._connection.getresponse()
        except (OSError, http.client.HTTPException) as e:
            self._connection.close()
            raise StreamEnded(str(e)) from e
        self.status = self.response.status
        self.last_id = None
        self.retry_ms = None
        self.heartbeats = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self._connection.close()

    def shut(self):
        """From another thread: whoever reads sees the end of the connection."""
        with contextlib.suppress(OSError, AttributeError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def __iter__(self):
        if self.status != 200:
            return
        event, data, number = "", [], None
        for line in self._lines():
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if line.startswith(":"):
                self.heartbeats += 1
            elif name == "retry":
                self.retry_ms = int(value)
            elif name == "id":
                number = int(value)
            elif name == "event":
                event = value
            elif name == "data":
                data.append(value)
            elif not line and data:
                self.last_id = number
                yield Frame(number, event, json.loads("\n".join(data)))
                event, data, number = "", [], None

    def _lines(self):
        rest = b""
        for chunk in self._chunks():
            *lines, rest = (rest + chunk).split(b"\n")
            yield from (line.decode("utf-8") for line in lines)
        assert not rest, f"the stream ended in the middle of a line: {rest!r}"

    def _chunks(self):
        """Of our own, because http.client takes a connection that was cut off for an end."""
        body = self.response.fp
        assert self.response.getheader("Transfer-Encoding") == "chunked"
        try:
            while size := int(body.readline() or b"none", 16):
                chunk = body.read(size + 2)
                if len(chunk) < size + 2:
                    raise StreamEnded("in the middle of a chunk")
                yield chunk[:-2]
        except TimeoutError:
            raise AssertionError("the stream was silent for too long") from None
        except (OSError, ValueError) as e:
            raise StreamEnded(str(e)) from e


def processes_below(root):
    """Every live process that names something below `root` in its environment or command line, but
    for this one: daemon, nursery, keepers, kernels and what they started. {pid: command line}"""
    mark = os.fsencode(f"{root}/")
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            environ = (entry / "environ").read_bytes()
            command = (entry / "cmdline").read_bytes()
            name = (entry / "comm").read_text().strip()
            state = (entry / "stat").read_text().rsplit(")", 1)[1].split()[0]
        except (OSError, IndexError):
            continue
        if state not in "ZX" and (mark in environ or mark in command):
            text = command.replace(b"\0", b" ").decode("utf-8", "replace")
            found[int(entry.name)] = f"{name}: {text}"
    return found


class Service:
    """`segue serve` on a state directory. start() and restart() give it a new process; everything
    else asks the one that runs."""

    def __init__(self, root, env, *options, projects=None, state=None, segue=None):
        self.root = Path(root)
        self.projects = Path(projects or self.root / "projects")
        self.state = Path(state or self.root / "state")
        self.projects.mkdir(parents=True, exist_ok=True)
        self.env = {**env, "SEGUE_STATE": str(self.state), "XDG_STATE_HOME": str(self.state)}
        self.options = [str(o) for o in options]
        self.segue = segue or program()
        self.stderr = self.root / "serve.log"
        self.process = None
        self.url = None
        self._log_start = 0

    def __enter__(self):
        try:
            return self if self.process else self.start()
        except BaseException:
            self.close(check=False)
            raise

    def __exit__(self, kind, *_):
        self.close(check=kind is None)

    # ----------------------------------------------------------------------------------------- life

    def launch(self, *options, env=None, listen="127.0.0.1:0"):
        """A process, not waited for: one that should be refused, or that is about to be killed."""
        self.url = None
        argv = [self.segue, "serve", "--listen", listen, "--projects", self.projects,
                "--state", self.state, *self.options, *options]
        self._log_start = self.stderr.stat().st_size if self.stderr.exists() else 0
        with open(self.stderr, "ab") as log:
            self.process = subprocess.Popen(
                [str(a) for a in argv], env=env or self.env, cwd=self.root,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        return self.process

    def start(self, *options, env=None, seconds=HANG_S):
        """Starts it and waits until it listens."""
        assert not self.is_running(), "it is running"
        self.launch(*options, env=env)
        assert self.wait_until_listening(seconds), f"it ended at its start\n{self.explain()}"
        return self

    def wait_until_listening(self, seconds=HANG_S):
        """The URL; None when the process ended before it listened."""

        def look():
            ended = self.process.poll() is not None
            found = self.logged("listening")
            return found[-1]["url"] if found else "" if not ended else "ended"

        url = wait_until(look, seconds, f"`segue serve` listens\n{self.explain()}")
        self.url = None if url == "ended" else url
        return self.url

    @property
    def pid(self):
        return self.process.pid

    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def wait(self, seconds=HANG_S):
        """The exit status of a process that is about to end."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"segue serve had not ended after {seconds} s\n{self.explain()}") from None

    def kill9(self):
        self.process.kill()
        self.process.wait()
        self.url = None

    def restart(self, *options, env=None):
        """Another process on the same state: after kill9(), or else after an orderly stop."""
        if self.is_running():
            self.stop()
        return self.start(*options, env=env)

    def stop(self, seconds=HANG_S):
        """SIGTERM. It ends by itself; steps that run go on."""
        self.process.send_signal(signal.SIGTERM)
        code = self.wait(seconds)
        assert code == 0, f"exit status {code} after SIGTERM\n{self.explain()}"

    def close(self, check=True):
        """Stops it; whatever of it is left running is killed, and is an error when `check`ed."""
        try:
            if self.is_running() and check:
                self.stop()
            if check:
                self.nothing_left()
        finally:
            if self.is_running():
                self.kill9()
            for pid in processes_below(self.root):
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass

    def nothing_left(self, seconds=20):
        """Every process is gone but the daemon and its nursery, or goes within a moment."""
        deadline = time.monotonic() + seconds
        while left := self._left():
            assert time.monotonic() < deadline, f"left running: {left}\n{self.explain()}"
            time.sleep(0.02)

    def _left(self):
        left = processes_below(self.root)
        if self.is_running():
            left.pop(self.process.pid, None)
            left = {pid: what for pid, what in left.items() if not is_child(pid, self.process.pid)}
        return left

    def keepers(self):
        return [pid for pid, what in processes_below(self.root).items() if what.startswith("segue-keeper")]

    def everything(self):
        """All that it started, and itself: {pid: command line}."""
        return processes_below(self.root)

    def nurseries(self):
        """The pids of the daemon's nurseries, of steps and of notebooks' kernels; one that was killed
        is missing until something begins there."""
        mine = [pid for pid in processes_below(self.root) if is_child(pid, self.process.pid)]
        assert len(mine) <= 2, f"children of the daemon: {mine}"
        return mine

    # ------------------------------------------------------------------------------------------ log

    def errors(self):
        """What the newest process wrote to standard error."""
        if not self.stderr.exists():
            return ""
        return self.stderr.read_bytes()[self._log_start:].decode("utf-8", "replace")

    def logged(self, event=None):
        """Its lines as dictionaries; those of one event."""
        lines = self.errors().rpartition("\n")[0].split("\n")
        parsed = [pairs for line in lines if (pairs := parse_log_line(line))]
        return [pairs for pairs in parsed if event in (None, pairs.get("event"))]

    def explain(self):
        return f"--- {self.stderr}\n{self.errors()[-4000:]}"

    # ------------------------------------------------------------------------------------- requests

    @property
    def token(self):
        return (self.state / "token").read_text("ascii").strip()

    def headers(self, **more):
        return {"Authorization": f"Bearer {self.token}", **more}

    def request(self, method, path, body=None, *, headers=None, timeout=HANG_S, **query):
        """A requests.Response. `path` is below /api/v1/ unless it starts with a slash; `body` is sent
        as JSON, bytes and text as they are."""
        if not path.startswith("/"):
            path = f"/api/v1/{path}"
        sent = self.headers(**(headers or {}))
        if body is not None:
            sent.setdefault("Content-Type", "application/json")
            if not isinstance(body, (bytes, str)):
                body = json.dumps(body)
        with requests.Session() as session:
            session.trust_env = False  # no proxies, no .netrc
            return session.request(method, self.url + path, data=body, headers=sent, params=query,
                                   timeout=timeout, allow_redirects=False)

    def get(self, path, **query):
        return self.request("GET", path, **query)

    def post(self, path, body=None, **options):
        return self.request("POST", path, body, **options)

    def delete(self, path):
        return self.request("DELETE", path)

    def project(self, name, *steps, **options):
        """A Project below --projects; a plain pair (title, content) will do for a step."""
        steps = [step if isinstance(step, Step) else Step(*step) for step in steps]
        return Project(self.projects / name, steps, **options)

    def body_for(self, project, **fields):
        """The body of POST runs for a project's pipeline.json."""
        path = str(Path(project.root).relative_to(self.projects))
        return {"project": path, "pipeline_path": project.pipeline.name, **fields}

    def submit(self, project, key=None, **fields):
        """POST runs; the run that was accepted."""
        headers = {"Idempotency-Key": key} if key else None
        response = self.post("runs", self.body_for(project, **fields), headers=headers)
        assert response.status_code == 201, f"{response.status_code} {response.text}\n{self.explain()}"
        run = response.json()
        assert response.headers["Location"] == f"/api/v1/runs/{run['uuid']}"
        return run

    def run(self, uuid):
        response = self.get(f"runs/{uuid}")
        assert response.status_code == 200, f"{response.status_code} {response.text}\n{self.explain()}"
        return response.json()

    def runs(self, **query):
        """All runs, newest first, page by page."""
        found, cursor = [], {}
        while True:
            response = self.get("runs", **query, **cursor)
            assert response.status_code == 200, response.text
            page = response.json()
            found += page["runs"]
            if page["next_cursor"] is None:
                return found
            cursor = {"cursor": page["next_cursor"]}

    def cancel(self, uuid):
        response = self.post(f"runs/{uuid}/cancel")
        assert response.status_code == 202, response.text
        return response.json()

    # --------------------------------------------------------------------------------------- events

    def follow(self, run=None, after=None, last_event_id=None, timeout=HANG_S):
        """An EventStream: of one run or of all."""
        query = {name: value for name, value in (("run", run), ("after", after)) if value is not None}
        headers = self.headers()
        if last_event_id is not None:
            headers["Last-Event-ID"] = str(last_event_id)
        path = "/api/v1/events" + (f"?{urlencode(query)}" if query else "")
        url = self.url
        if not url:
            raise StreamEnded("it does not listen")
        return EventStream(url, headers, path, timeout)

    def events(self, run, after=None):
        """All events of a run, up to its last: waits until it has ended."""
        with self.follow(run, after) as stream:
            assert stream.status in (200, 204), f"{stream.status} {stream.response.read()}"
            return [frame.data for frame in stream]

    def wait_for_event(self, run, wanted, seconds=HANG_S):
        """The first event of a run that `wanted` is: a name, or a function of the event."""
        deadline = time.monotonic() + seconds
        seen = []
        with self.follow(run, timeout=seconds) as stream:
            for frame in stream:
                seen.append(frame.event)
                if frame.event == wanted or callable(wanted) and wanted(frame.data):
                    return frame.data
                assert time.monotonic() < deadline, f"not within {seconds} s: {wanted}; came: {seen}"
        raise AssertionError(f"the run ended without {wanted}; came: {seen}\n{self.explain()}")

    def wait_for_run(self, uuid, seconds=HANG_S):
        """The run when it has ended."""
        self.wait_for_event(uuid, lambda event: event["event"] in LAST_EVENTS, seconds)
        return self.run(uuid)


class Follower:
    """Somebody who follows events for as long as it takes, in a thread: when the connection breaks,
    he connects again with the last id that he saw, as a browser does. `frames` is what he was sent,
    in that order. Of one run (ends with it), or of all (ends with stop)."""

    def __init__(self, service, run=None, after=None):
        self.service, self.run, self.after = service, run, after
        self.frames = []
        self.connections = 0
        self._stopped = threading.Event()
        self._error = None
        self._stream = None
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def _work(self):
        try:
            while not self._stopped.is_set() and not self._read():
                self._stopped.wait(0.02)
        except Exception as e:
            self._error = e

    def _read(self):
        """True: there is nothing more to come."""
        last = self.frames[-1].id if self.frames else None
        try:
            with self.service.follow(self.run, self.after if last is None else None, last) as stream:
                self._stream = stream
                assert stream.status in (200, 204, 500, 503), f"{stream.status} {stream.response.read()}"
                self.connections += stream.status == 200
                for frame in stream:
                    self.frames.append(frame)
                return stream.status == 204 or self.run is not None and self._saw_the_end()
        except StreamEnded:
            return False

    def _saw_the_end(self):
        return bool(self.frames) and self.frames[-1].event in LAST_EVENTS

    @property
    def events(self):
        return [frame.data for frame in self.frames]

    def wait(self, seconds=HANG_S):
        """All events of the run."""
        self._thread.join(seconds)
        assert not self._thread.is_alive(), (
            f"the run {self.run} had not ended after {seconds} s; last came "
            f"{self.frames[-1:]}\n{self.service.explain()}")
        if self._error:
            raise self._error
        self.check()
        return self.events

    def wait_for(self, condition, seconds=HANG_S, what="an event"):
        wait_until(lambda: condition(self.events) or self._error, seconds, what)
        if self._error:
            raise self._error

    def stop(self):
        self._stopped.set()
        if self._stream:
            self._stream.shut()
        return self.wait()

    def check(self):
        ids = [frame.id for frame in self.frames]
        assert ids == sorted(set(ids)), f"ids do not rise: {ids}"
        for frame in self.frames:
            assert (frame.id, frame.event) == (frame.data["id"], frame.data["event"])


def is_child(pid, parent):
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1]) == parent
    except (OSError, IndexError):
        return False


def parse_log_line(line):
    """key=value pairs, values with spaces quoted; None for anything else."""
    if not re.match(r"[a-z_]+=", line):
        return None
    try:
        words = shlex.split(line)
    except ValueError:
        return None
    return dict(word.partition("=")[::2] for word in words)
