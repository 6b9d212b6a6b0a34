"""A kernel gateway from outside: its REST API, and clients of its kernels in both protocols.

    with SegueGateway(root, env) as gateway:
        kernel = gateway.start_kernel("python3")
        with gateway.client(kernel) as client:
            assert client.execute("print(1)").text == "1\\n"

The one that is judged is Segue's. KernelGateway is Jupyter's own, to see that a test asks for what
Jupyter does (SEGUE_JUDGED=jupyter), and to be measured beside.
"""

import contextlib
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
import uuid
from pathlib import Path

import requests

from .segue import program, wait_until, write_kernelspec, write_python_kernelspecs
from .service import HANG_S, Service, processes_below
from .websocket import BINARY, PONG, TEXT, Closed, Silent, WebSocket

V1 = "v1.kernel.websocket.jupyter.org"


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def quick_kernel():
    """The program tests/fakes/quick_kernel.c, beside the segue under test."""
    path = Path(os.environ.get("QUICK_KERNEL") or program().parent / "quick_kernel")
    assert path.exists(), f"{path} is not built"
    return path


def write_kernelspecs(directory):
    """python3, bash, ir and quick, below a directory for JUPYTER_PATH."""
    write_python_kernelspecs(directory)
    write_kernelspec(directory, "ir", ["R", "--slave", "-e", "IRkernel::main()", "--args", "{connection_file}"],
                     language="R")
    write_kernelspec(directory, "quick", [str(quick_kernel()), "{connection_file}"], language="quick")


# --------------------------------------------------------------------------------------- the gateways


class Gateway:
    """What both have: `port`, `token`, and the API that they share."""

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def request(self, method, path, body=None, *, headers=None, timeout=HANG_S, **query):
        """A requests.Response; `path` is below /api/ unless it starts with a slash."""
        sent = {"Authorization": f"token {self.token}", **(headers or {})}
        if body is not None and not isinstance(body, (bytes, str)):
            body = json.dumps(body)
            sent.setdefault("Content-Type", "application/json")
        with requests.Session() as session:
            session.trust_env = False
            path = path if path.startswith("/") else f"/api/{path}"
            return session.request(method, self.url + path, data=body, headers=sent, params=query, timeout=timeout,
                                   allow_redirects=False)

    def start_kernel(self, name="python3", env=None):
        """The id of a new kernel."""
        body = {"name": name}
        if env is not None:
            body["env"] = env
        response = self.request("POST", "kernels", body)
        assert response.status_code == 201, f"{response.status_code} {response.text}\n{self.explain()}"
        return response.json()["id"]

    def kernel(self, kernel):
        """Its model; None: there is no such kernel."""
        response = self.request("GET", f"kernels/{kernel}")
        assert response.status_code in (200, 404), f"{response.status_code} {response.text}"
        return response.json() if response.status_code == 200 else None

    def kernels(self):
        response = self.request("GET", "kernels")
        assert response.status_code == 200, f"{response.status_code} {response.text}"
        return response.json()

    def interrupt(self, kernel):
        response = self.request("POST", f"kernels/{kernel}/interrupt", {})
        assert response.status_code == 204, f"{response.status_code} {response.text}"

    def restart_kernel(self, kernel):
        response = self.request("POST", f"kernels/{kernel}/restart", {})
        assert response.status_code == 200, f"{response.status_code} {response.text}\n{self.explain()}"
        return response.json()

    def shut_down(self, kernel):
        response = self.request("DELETE", f"kernels/{kernel}")
        assert response.status_code == 204, f"{response.status_code} {response.text}"

    def shut_all_down(self):
        for model in self.kernels():
            self.shut_down(model["id"])

    def open_socket(self, kernel, *, token=True, query="", **how):
        """A raw WebSocket on a kernel's channels."""
        token = self.token if token is True else token
        return WebSocket(self.port, f"/api/kernels/{kernel}/channels{query}", token=token, **how)

    def client(self, kernel, **how):
        return Client(self, kernel, **how)

    def wait_for_state(self, kernel, *states, seconds=HANG_S):
        """The model once its execution_state is one of these."""
        def look():
            model = self.kernel(kernel)
            return model if model and model["execution_state"] in states else None
        return wait_until(look, seconds, f"kernel {kernel} is {' or '.join(states)}\n{self.explain()}")


class SegueGateway(Service, Gateway):
    """`segue serve`. Its port stays the same when it is started again."""

    request = Gateway.request
    kind = "segue"

    def __init__(self, root, env, *options, port=None, **more):
        super().__init__(root, env, *options, **more)
        self.port = port or free_port()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    @url.setter
    def url(self, value):
        pass

    def launch(self, *options, env=None, listen=None):
        return super().launch(*options, env=env, listen=listen or f"127.0.0.1:{self.port}")

    def close(self, check=True):
        """Kernels go on when the daemon ends: they are shut down first."""
        if check and self.is_running():
            self.shut_all_down()
        super().close(check)

    def keeper_of(self, kernel):
        """The pid of the keeper of a kernel: the one whose kernel names the id in its environment, or
        which was born with its directory."""
        for pid in self.keepers():
            with contextlib.suppress(OSError):
                seen = b"".join((Path(f"/proc/{p}") / "environ").read_bytes() for p in [pid, *children_of(pid)])
                if kernel.encode() in seen or kernel in str(os.listdir(f"/proc/{pid}/fd")):
                    return pid
                if any(kernel in link for link in links_of(pid)):
                    return pid
        raise AssertionError(f"no keeper of {kernel} among {self.keepers()}\n{self.explain()}")


class KernelGateway(Gateway):
    """Jupyter Kernel Gateway of PyPI, in the Python that runs this."""

    kind = "jupyter"

    def __init__(self, root, env, *options, port=None):
        self.root = Path(root)
        self.env = env
        self.options = [str(option) for option in options]
        self.port = port or free_port()
        self.token = "judges"
        self.log = self.root / "kernelgateway.log"
        self.process = None

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, *_):
        self.close()

    @property
    def pid(self):
        return self.process.pid

    def start(self):
        argv = [Path(sys.executable).parent / "jupyter-kernelgateway", f"--KernelGatewayApp.port={self.port}",
                "--KernelGatewayApp.port_retries=0", f"--KernelGatewayApp.auth_token={self.token}",
                "--JupyterWebsocketPersonality.list_kernels=True", *self.options]
        env = {**self.env, "JUPYTER_RUNTIME_DIR": str(self.root / "runtime"), "HOME": str(self.root)}
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(argv, env=env, cwd=self.root, stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, start_new_session=True)

        def look():
            assert self.process.poll() is None, self.explain()
            with contextlib.suppress(requests.ConnectionError):
                return self.request("GET", "/api").status_code == 200
        wait_until(look, HANG_S, f"Jupyter Kernel Gateway listens\n{self.explain()}")
        return self

    def close(self):
        try:
            if self.process.poll() is None:
                self.process.send_signal(signal.SIGTERM)
                self.process.wait(HANG_S)
        finally:
            for pid in processes_below(self.root):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def explain(self):
        return f"--- {self.log}\n{self.log.read_text()[-4000:]}" if self.log.exists() else ""


def children_of(pid):
    with contextlib.suppress(OSError):
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def links_of(pid):
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            yield os.readlink(entry)


def memory_of(pid):
    """{Rss, Pss, Private} in kB."""
    kb = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        name, _, rest = line.partition(":")
        kb[name] = int(rest.split()[0])
    return {"Rss": kb["Rss"], "Pss": kb["Pss"], "Private": kb["Private_Clean"] + kb["Private_Dirty"]}


def open_files(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


# ----------------------------------------------------------------------------------------- the wire


def encode_v1(message):
    parts = [message["channel"].encode()]
    parts += [json.dumps(message[name]).encode() for name in ("header", "parent_header", "metadata", "content")]
    return join_v1(parts + list(message["buffers"]))


def join_v1(parts):
    at = 8 * (len(parts) + 2)
    offsets = [at]
    for part in parts:
        at += len(part)
        offsets.append(at)
    return struct.pack(f"<{len(offsets) + 1}Q", len(offsets), *offsets) + b"".join(parts)


def split_v1(data):
    (count,) = struct.unpack_from("<Q", data)
    offsets = struct.unpack_from(f"<{count}Q", data, 8)
    assert offsets[0] == 8 * (1 + count) and offsets[-1] == len(data), (count, offsets, len(data))
    return [data[a:b] for a, b in zip(offsets, offsets[1:])]


def decode_v1(data):
    channel, *parts = split_v1(data)
    names = ("header", "parent_header", "metadata", "content")
    message = {name: json.loads(part) for name, part in zip(names, parts, strict=False)}
    return {**message, "channel": channel.decode(), "buffers": parts[4:]}


def encode_legacy(message):
    """(opcode, data)"""
    text = json.dumps({**message, "buffers": []}).encode()
    if not message["buffers"]:
        return TEXT, text
    parts = [text, *message["buffers"]]
    at, offsets = 4 * (len(parts) + 1), []
    for part in parts:
        offsets.append(at)
        at += len(part)
    return BINARY, struct.pack(f"!{len(parts) + 1}I", len(parts), *offsets) + b"".join(parts)


def decode_legacy(opcode, data):
    if opcode == TEXT:
        message = json.loads(data)
        assert not message.setdefault("buffers", [])
        return message
    (count,) = struct.unpack_from("!I", data)
    offsets = struct.unpack_from(f"!{count}I", data, 4)
    assert offsets[0] == 4 * (count + 1)
    text, *buffers = [data[a:b] for a, b in zip(offsets, [*offsets[1:], len(data)])]
    return {**json.loads(text), "buffers": buffers}


def new_message(kind, content, *, session, channel="shell", buffers=(), metadata=None, parent=None):
    header = {"msg_id": uuid.uuid4().hex, "msg_type": kind, "username": "judge", "session": session,
              "date": time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime()), "version": "5.3"}
    return {"header": header, "parent_header": parent or {}, "metadata": metadata or {}, "content": content,
            "channel": channel, "buffers": list(buffers)}


def execute_content(code, **more):
    return {"code": code, "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": False,
            "stop_on_error": True, **more}


# ------------------------------------------------------------------------------------------- clients


class Outcome:
    """What a request brought: its reply, and what was published for it, in that order."""

    def __init__(self, messages, msg_id):
        self.messages = [m for m in messages if m["parent_header"].get("msg_id") == msg_id]
        replies = [m for m in self.messages if m["channel"] in ("shell", "control")]
        assert len(replies) <= 1, f"{len(replies)} replies"
        self.reply = replies[0] if replies else None

    def of(self, kind):
        return [m["content"] for m in self.messages if m["header"]["msg_type"] == kind]

    def stream(self, name):
        return "".join(c["text"] for c in self.of("stream") if c["name"] == name)

    @property
    def text(self):
        return self.stream("stdout")

    @property
    def status(self):
        return self.reply["content"]["status"]


class Client:
    """A session on a kernel. It may connect again: then `messages` goes on, and a message that came
    twice is an error at once, or (`may_repeat`) passed over."""

    def __init__(self, gateway, kernel, *, protocol="v1", session=None, user_agent=None, connect=True,
                 may_repeat=False, **how):
        self.gateway, self.kernel, self.protocol = gateway, kernel, protocol
        self.may_repeat = may_repeat
        self.session = session or uuid.uuid4().hex
        self.how = how
        if user_agent:
            how.setdefault("headers", {})["User-Agent"] = user_agent
        self.messages = []
        self._seen = set()
        self._doubtful = set()
        self.frames = {TEXT: 0, BINARY: 0}
        self.biggest = 0
        self.socket = None
        if connect:
            self.connect()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.cut()

    def connect(self):
        assert self.socket is None
        offered = [V1] if self.protocol == "v1" else []
        self.socket = self.gateway.open_socket(self.kernel, query=f"?session_id={self.session}", protocols=offered,
                                               **self.how)
        assert self.socket.protocol == (V1 if offered else None)
        return self

    def cut(self, reset=False):
        if self.socket:
            self.socket.cut(reset)
            self.socket = None

    def hang_up(self):
        """Ends the connection without a word, and notes what is still in it: whatever its TCP has
        acknowledged, it has got. Of what was on its way, the other side cannot know: only that may
        come again."""
        self.socket.socket.shutdown(socket.SHUT_WR)
        with contextlib.suppress(Closed):
            while True:
                self._doubtful.add(self.receive()["header"]["msg_id"])
        self.cut()

    def close(self):
        if self.socket:
            self.socket.close()
            self.socket = None

    # --------------------------------------------------------------------------------------- messages

    def send_message(self, message):
        if self.protocol == "v1":
            self.socket.send(BINARY, encode_v1(message))
        else:
            self.socket.send(*encode_legacy(message))
        return message["header"]["msg_id"]

    def send(self, kind, content, **more):
        """The id of the message."""
        return self.send_message(new_message(kind, content, session=self.session, **more))

    def send_execute(self, code, **more):
        return self.send("execute_request", execute_content(code, **more))

    def receive(self, timeout=None):
        """The next message, noted."""
        opcode, data = self.socket.receive(timeout)
        while opcode == PONG:
            opcode, data = self.socket.receive(timeout)
        self.frames[opcode] += 1
        self.biggest = max(self.biggest, len(data))
        if self.protocol == "v1":
            assert opcode == BINARY, "v1 is always binary"
            message = decode_v1(data)
        else:
            message = decode_legacy(opcode, data)
        number = message["header"]["msg_id"]
        if number not in self._seen:
            self.messages.append(message)
        else:
            assert self.may_repeat or number in self._doubtful, f"came twice: {message['header']}"
        self._seen.add(number)
        return message

    def until(self, wanted, seconds=HANG_S):
        """The first message that `wanted` is, of those that come from now on."""
        deadline = time.monotonic() + seconds
        count = len(self.messages)
        while True:
            left = deadline - time.monotonic()
            assert left > 0, f"not within {seconds} s; came: {shown(self.messages[count:])}\n{self.gateway.explain()}"
            try:
                message = self.receive(timeout=left)
            except Silent as e:
                raise AssertionError(f"{e}; came: {shown(self.messages[count:])}\n{self.gateway.explain()}") from e
            if wanted(message):
                return message

    def finish(self, msg_id, seconds=HANG_S):
        """The Outcome of a request when its reply is there and the kernel is idle again."""
        def is_reply(m):
            return m["channel"] in ("shell", "control") and m["parent_header"].get("msg_id") == msg_id

        def is_idle(m):
            return (m["header"]["msg_type"] == "status" and m["content"]["execution_state"] == "idle"
                    and m["parent_header"].get("msg_id") == msg_id)
        missing = [test for test in (is_reply, is_idle) if not any(map(test, self.messages))]

        def is_over(message):
            missing[:] = [test for test in missing if not test(message)]
            return not missing
        if missing:
            self.until(is_over, seconds)
        return self.outcome(msg_id)

    def outcome(self, msg_id):
        """What has come for a request so far."""
        return Outcome(self.messages, msg_id)

    def execute(self, code, seconds=HANG_S, **more):
        return self.finish(self.send_execute(code, **more), seconds)

    def ask(self, kind, content=None, channel="shell", seconds=HANG_S):
        """The content of the reply to a request."""
        return self.finish(self.send(kind, content or {}, channel=channel), seconds).reply["content"]

    def wait_for_text(self, msg_id, text, seconds=HANG_S):
        """Until a request has printed this."""
        if text not in self.outcome(msg_id).text:
            self.until(lambda _: text in self.outcome(msg_id).text, seconds)

    def drain(self, seconds=1):
        """What comes until nothing has come for so long."""
        count = len(self.messages)
        with contextlib.suppress(Silent, Closed):
            while True:
                self.receive(timeout=seconds)
        return self.messages[count:]


def shown(messages, count=12):
    """The last of them, shortened."""
    return [(m["channel"], m["header"]["msg_type"], str(m["content"])[:80]) for m in messages[-count:]]
