"""A service that answers from a script: for tests of the commands that ask one.

    with FakeService() as service:
        service.script = [break_off, problem(503, "starting"), None]     # None: as it should be

It speaks the HTTP of `segue serve` on a port of its own, knows runs that the test made, and does
to each request what the script says next: breaks the connection, answers something else, or what it
should. What was asked is in `requests`. Events of a run are sent as they are put; a stream can be
broken off at any byte.
"""

import json
import re
import threading
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

TOKEN = "the-token"
TIME = "2026-11-22T01:00:%02d.000000Z"


def a_step(title, status="PENDING", **fields):
    step = {
        "step_uuid": f"step-{title}", "title": title, "file_path": f"{title}.sh", "status": status,
        "attempt": 0 if status in ("PENDING", "ABORTED") else 1, "started_time": None,
        "finished_time": None, "cells_total": 0, "cells_done": 0, "failure": None,
    }
    return {**step, **fields}


def a_run(*steps, **fields):
    run = {
        "uuid": str(uuid.uuid4()), "project": "p", "pipeline_path": "pipeline.json",
        "pipeline_uuid": "pipe", "pipeline_name": "Pipe", "run_type": "full", "uuids": [],
        "status": "PENDING", "class": "interactive", "created_time": TIME % 0,
        "started_time": None, "finished_time": None, "job_uuid": None, "rerun_of": None,
        "in_place": False, "keep_kernels": 0, "parameters": {}, "queue_position": None, "waiting_for": None,
        "steps": list(steps),
    }
    return {**run, **fields}


def break_off(handler):
    """The connection is closed without an answer."""
    handler.close_connection = True


def problem(status, detail="", errors=None, headers=()):
    def answer(handler):
        body = {"type": "about:blank", "title": "T", "status": status, "detail": detail}
        if errors:
            body["errors"] = errors
        handler.answer(status, json.dumps(body), "application/problem+json", headers)

    return answer


class FakeService:
    def __init__(self, projects="/nowhere"):
        self.projects = str(projects)
        self.runs = []  # newest first
        self.events = {}  # run uuid -> frames, bytes each
        self.logs = {}  # (step uuid, attempt) -> bytes
        self.script = []
        self.requests = []  # (method, path with query, headers, body)
        self.made = None  # what POST runs and rerun give; a function of the body
        self.keys = {}
        self.page = 1000
        self.changed = threading.Condition()
        self.closing = False
        self.cuts = []  # for streams to come: after so many bytes of events they break off
        handler = type("Bound", (Handler,), {"service": self})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with self.changed:
            self.closing = True
            self.changed.notify_all()
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server.server_port}"

    def add(self, run):
        self.runs.insert(0, run)
        self.events[run["uuid"]] = []
        return run

    def put_event(self, run, event, step=None, **fields):
        """Sends an event to whoever follows the run."""
        with self.changed:
            frames = self.events[run["uuid"]]
            number = len(frames) + 1
            data = {"id": number, "run_uuid": run["uuid"], "time": TIME % min(number, 59),
                    "event": event, **({"step_uuid": f"step-{step}"} if step else {}), **fields}
            frames.append(f"id: {number}\nevent: {event}\ndata: {json.dumps(data)}\n\n".encode())
            self.changed.notify_all()

    def put_log(self, step, text, attempt=1):
        with self.changed:
            key = (f"step-{step}", attempt)
            self.logs[key] = self.logs.get(key, b"") + text

    def asked(self, method, path):
        """The requests that began so: their headers and bodies."""
        return [(headers, body) for m, p, headers, body in self.requests
                if m == method and p.startswith(path)]

    def wait_for(self, condition, seconds=30):
        """Until the condition is true of what was asked."""
        with self.changed:
            assert self.changed.wait_for(condition, seconds), self.requests


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    service = None

    def log_message(self, *_):
        pass

    def answer(self, status, body="", kind="application/json", headers=()):
        body = body.encode() if isinstance(body, str) else body
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def serve(self):
        service = self.service
        length = int(self.headers.get("Content-Length") or 0)
        self.body = self.rfile.read(length).decode() if length else ""
        with service.changed:
            service.requests.append((self.command, self.path, dict(self.headers), self.body))
            step = service.script.pop(0) if service.script else None
            service.changed.notify_all()
        if step:
            step(self)
        elif self.headers.get("Authorization") != f"Bearer {TOKEN}":
            problem(401, "no", headers=[("WWW-Authenticate", "Bearer")])(self)
        else:
            self.route()

    do_GET = do_POST = do_DELETE = serve

    def route(self):
        parts = urlsplit(self.path)
        self.query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        for method, pattern, function in ROUTES:
            found = re.fullmatch(pattern, parts.path)
            if found and method == self.command:
                return function(self, *found.groups())
        return problem(404, f"no {self.path}")(self)

    def find(self, run_uuid):
        found = [run for run in self.service.runs if run["uuid"] == run_uuid]
        if not found:
            problem(404, f'no run "{run_uuid}"')(self)
        return found[0] if found else None

    # --------------------------------------------------------------------------------------- routes

    def get_service(self):
        self.answer(200, json.dumps({"version": "0", "projects": self.service.projects,
                                     "state": "/s"}))

    def get_runs(self):
        start, limit = int(self.query.get("cursor", 0)), int(self.query.get("limit", 50))
        statuses = self.query.get("status", "").split(",") if "status" in self.query else None
        runs = [run for run in self.service.runs if statuses is None or run["status"] in statuses]
        end = start + min(limit, self.service.page)
        page = [{k: v for k, v in run.items() if k != "steps"} for run in runs[start:end]]
        cursor = str(end) if end < len(runs) else None
        self.answer(200, json.dumps({"runs": page, "next_cursor": cursor, "last_event_id": 0},
                                    indent=1))

    def get_run(self, run_uuid):
        if run := self.find(run_uuid):
            last = len(self.service.events[run_uuid])
            self.answer(200, json.dumps({**run, "last_event_id": last}, indent=1))

    def make(self, *_):
        service = self.service
        key = self.headers.get("Idempotency-Key")
        if key is None or key not in service.keys:
            service.keys[key] = service.add(service.made(json.loads(self.body)))
        self.answer(201, json.dumps(service.keys[key]))

    def cancel(self, run_uuid):
        if run := self.find(run_uuid):
            if run["finished_time"]:
                problem(409, "the run has ended")(self)
            else:
                self.answer(202, json.dumps(run))

    def rerun(self, run_uuid):
        if self.find(run_uuid):
            self.make()

    def delete(self, run_uuid):
        if run := self.find(run_uuid):
            self.service.runs.remove(run)
            self.answer(204)

    def get_log(self, run_uuid, step_uuid):
        data = self.service.logs.get((step_uuid, int(self.query.get("attempt", 1))))
        if data is None:
            return problem(404, "the step has not started")(self)
        first, last = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers["Range"]).groups()
        part = data[int(first):int(last) + 1]
        if not part:
            return problem(416, "no such range")(self)
        where = f"bytes {first}-{int(first) + len(part) - 1}/{len(data)}"
        return self.answer(206, part, "text/plain; charset=utf-8", [("Content-Range", where)])

    def get_events(self):
        """In chunks, as the real one: an end that was cut off can be told from one in order."""
        service, run_uuid = self.service, self.query["run"]
        if not self.find(run_uuid):
            return
        sent = int(self.headers.get("Last-Event-ID") or 0)
        with service.changed:
            frames, cut = service.events[run_uuid], service.cuts.pop(0) if service.cuts else None
        if sent >= len(frames) > 0 and b"event: run_finished" in frames[-1]:
            self.answer(204)
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.chunk(b"retry: 1000\n\n")
        self.close_connection = True
        while True:
            with service.changed:
                service.changed.wait_for(lambda: len(frames) > sent or service.closing)
                if service.closing:
                    return
                frame = frames[sent]
                sent += 1
            if cut is not None and cut < len(frame):
                self.chunk(frame[:cut])
                return
            cut = None if cut is None else cut - len(frame)
            self.chunk(frame)
            if b"event: run_finished" in frame or b"event: run_deleted" in frame:
                self.chunk(b"")
                return

    def chunk(self, data):
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))


RUN = r"/api/v1/runs/([^/]+)"
ROUTES = [
    ("GET", r"/api/v1/service", Handler.get_service),
    ("GET", r"/api/v1/runs", Handler.get_runs),
    ("POST", r"/api/v1/runs", Handler.make),
    ("GET", RUN, Handler.get_run),
    ("POST", RUN + "/cancel", Handler.cancel),
    ("POST", RUN + "/rerun", Handler.rerun),
    ("DELETE", RUN, Handler.delete),
    ("GET", RUN + r"/steps/([^/]+)/log", Handler.get_log),
    ("GET", r"/api/v1/events", Handler.get_events),
]
