"""A kernel that does what it should not: one small function per way to misbehave.

    fake_kernel.py SCENARIO CONNECTION_FILE

It speaks the Jupyter protocol on real ZeroMQ sockets, without ipykernel, so every byte on the wire
is ours to spoil. Where a scenario says nothing it behaves well: it answers kernel_info, interrupt
and shutdown, and each cell prints `ran N` for its count N. A scenario replaces one of the handlers
on_start, on_kernel_info, on_execute, on_interrupt, on_shutdown, or sets an option, and is described
by its docstring. `SCENARIOS` has them all by name.
"""

import hashlib
import hmac
import json
import os
import signal
import sys
import time
import uuid
from datetime import datetime, timezone

import zmq

DELIMITER = b"<IDS|MSG>"
FOREVER = 3600
SCENARIOS = {}


def scenario(function):
    SCENARIOS[function.__name__] = function
    return function


class Request:
    """A message that came in, with the socket it came on."""

    def __init__(self, socket, frames):
        at = frames.index(DELIMITER)
        self.socket = socket
        self.identities = frames[:at]
        self.header, self.parent, self.metadata, self.content = map(json.loads, frames[at + 2 : at + 6])
        self.type = self.header["msg_type"]


class Kernel:
    def __init__(self, connection):
        self.connection = connection
        self.key = connection["key"].encode()
        self.session = uuid.uuid4().hex
        self.count = 0
        self.running = True
        self.interrupted = False
        self.current = None
        self.iopub_type = zmq.PUB

    # ------------------------------------------------------------------------------------- sockets

    def open(self):
        self.context = zmq.Context()
        self.shell = self._bind(zmq.ROUTER, "shell_port")
        self.control = self._bind(zmq.ROUTER, "control_port")
        self.stdin = self._bind(zmq.ROUTER, "stdin_port")
        self.heartbeat = self._bind(zmq.ROUTER, "hb_port")
        self.iopub = self._bind(self.iopub_type, "iopub_port")

    def _bind(self, kind, port):
        socket = self.context.socket(kind)
        socket.linger = 1000
        socket.sndhwm = 0
        transport, ip = self.connection["transport"], self.connection["ip"]
        separator = "-" if transport == "ipc" else ":"
        socket.bind(f"{transport}://{ip}{separator}{self.connection[port]}")
        return socket

    # ------------------------------------------------------------------------------------ messages

    def sign(self, parts):
        if not self.key:
            return b""
        scheme = self.connection.get("signature_scheme", "hmac-sha256").partition("-")[2]
        return hmac.new(self.key, b"".join(parts), getattr(hashlib, scheme)).hexdigest().encode()

    def header(self, kind):
        return {
            "msg_id": uuid.uuid4().hex,
            "msg_type": kind,
            "session": self.session,
            "username": "fake",
            "date": datetime.now(timezone.utc).isoformat().replace("+00:00", "Z"),
            "version": "5.3",
        }

    def frames(self, kind, content, parent, buffers=(), metadata=None):
        """Everything from the delimiter on. `content` and `parent` may be bytes, to be sent as they
        are; other values are encoded as JSON."""

        def encode(value):
            return value if isinstance(value, bytes) else json.dumps(value, ensure_ascii=False).encode()

        parts = [encode(v) for v in (self.header(kind), parent, metadata or {}, content)]
        return [DELIMITER, self.sign(parts), *parts, *buffers]

    def publish(self, kind, content, request=None, buffers=(), parent=None):
        """A message on iopub; its parent is the request's header unless given."""
        if parent is None:
            parent = request.header if request else {}
        self.iopub.send_multipart([kind.encode(), *self.frames(kind, content, parent, buffers)])

    def reply(self, request, content, kind=None, parent=None):
        kind = kind or request.type.replace("_request", "_reply")
        frames = self.frames(kind, content, request.header if parent is None else parent)
        request.socket.send_multipart([*request.identities, *frames])

    def status(self, state, request=None):
        self.publish("status", {"execution_state": state}, request)

    def busy(self, request):
        self.status("busy", request)

    def idle(self, request):
        self.status("idle", request)

    def print(self, request, text, name="stdout"):
        self.publish("stream", {"name": name, "text": text}, request)

    def begin(self, request):
        """What every cell starts with: busy, and its input with the next count."""
        self.count += 1
        self.current = request
        self.busy(request)
        content = {"code": request.content["code"], "execution_count": self.count}
        self.publish("execute_input", content, request)

    def ok(self, request):
        content = {"status": "ok", "execution_count": self.count, "payload": [], "user_expressions": {}}
        self.reply(request, content)

    def finish(self, request):
        self.ok(request)
        self.idle(request)
        self.current = None

    def fail(self, request, ename, evalue):
        error = {"ename": ename, "evalue": evalue, "traceback": [f"{ename}: {evalue}"]}
        self.publish("error", error, request)
        self.reply(request, {"status": "error", "execution_count": self.count, **error})
        self.idle(request)
        self.current = None

    # ------------------------------------------------------------------------------------ handlers

    def on_start(self):
        self.status("starting")

    def info(self):
        return {
            "status": "ok",
            "protocol_version": "5.3",
            "implementation": "fake",
            "implementation_version": "1",
            "language_info": {"name": "fake", "version": "1", "mimetype": "text/plain",
                              "file_extension": ".txt"},
            "banner": "fake",
            "help_links": [],
        }

    def on_kernel_info(self, request):
        self.busy(request)
        self.reply(request, self.info())
        self.idle(request)

    def on_execute(self, request):
        self.begin(request)
        self.print(request, f"ran {self.count}\n")
        self.finish(request)

    def on_interrupt(self):
        if self.current:
            self.fail(self.current, "KeyboardInterrupt", "")

    def on_shutdown(self, request):
        self.reply(request, {"status": "ok", "restart": False})
        self.running = False

    # ---------------------------------------------------------------------------------------- loop

    def handle(self, request):
        if request.type == "kernel_info_request":
            self.on_kernel_info(request)
        elif request.type == "execute_request":
            self.on_execute(request)
        elif request.type == "shutdown_request":
            self.on_shutdown(request)
        elif request.type == "interrupt_request":
            self.reply(request, {"status": "ok"})
            self.on_interrupt()
        elif request.type == "comm_info_request":
            self.busy(request)
            self.reply(request, {"status": "ok", "comms": {}})
            self.idle(request)

    def _signal(self, number, frame):
        self.interrupted = True

    def serve(self):
        signal.signal(signal.SIGINT, self._signal)
        self.open()
        self.on_start()
        poller = zmq.Poller()
        for socket in (self.control, self.shell, self.heartbeat):
            poller.register(socket, zmq.POLLIN)
        while self.running:
            for socket, _ in poller.poll(100):
                frames = socket.recv_multipart()
                if socket is self.heartbeat:
                    socket.send_multipart(frames)
                else:
                    self.handle(Request(socket, frames))
            if self.interrupted:
                self.interrupted = False
                self.on_interrupt()
        self.context.destroy(linger=1000)


def each_cell(kernel):
    """Decorates what happens inside each cell, between its beginning and its ordinary end."""

    def install(body):
        def on_execute(request):
            kernel.begin(request)
            body(request)
            kernel.finish(request)

        kernel.on_execute = on_execute

    return install


# --------------------------------------------------------------------------------- the start of it


@scenario
def well_behaved(kernel):
    """Nothing wrong: what the other scenarios differ from."""


@scenario
def exits_at_start(kernel):
    """Says why on stderr and exits with 3 before a socket is open."""
    print("fake kernel: cannot find libmissing.so", file=sys.stderr, flush=True)
    sys.exit(3)


@scenario
def exits_at_start_with_zero(kernel):
    """Ends at once, as if all were well."""
    sys.exit(0)


@scenario
def never_opens_its_sockets(kernel):
    """Lives, and nothing else."""
    time.sleep(FOREVER)


@scenario
def never_answers_kernel_info(kernel):
    """Reads requests for kernel_info and forgets them."""
    kernel.on_kernel_info = lambda request: None


@scenario
def late_iopub(kernel):
    """What it publishes before the second kernel_info is lost: the subscription came too late."""
    publish, asked = kernel.publish, []

    def on_kernel_info(request):
        asked.append(request)
        if len(asked) > 1:
            kernel.publish = publish
        Kernel.on_kernel_info(kernel, request)

    kernel.publish = lambda *arguments, **options: None
    kernel.on_kernel_info = on_kernel_info


@scenario
def welcomes_subscribers(kernel):
    """XPUB: a welcome without a topic frame for each subscription, several times over."""
    kernel.iopub_type = zmq.XPUB

    def welcome():
        for _ in range(3):
            frames = kernel.frames("iopub_welcome", {"subscription": ""}, {})
            kernel.iopub.send_multipart(frames)

    def on_kernel_info(request):
        while kernel.iopub.poll(0):
            if kernel.iopub.recv()[:1] == b"\1":
                welcome()
        Kernel.on_kernel_info(kernel, request)

    kernel.on_kernel_info = on_kernel_info


@scenario
def kernel_info_without_language(kernel):
    """A kernel_info_reply without language_info."""
    kernel.info = lambda: {"status": "ok", "protocol_version": "5.0"}


@scenario
def kernel_info_error(kernel):
    """kernel_info fails."""
    kernel.info = lambda: {"status": "error", "ename": "E", "evalue": "not today", "traceback": []}


# ----------------------------------------------------------------------------------- hangs and floods


@scenario
def hangs_in_execute(kernel):
    """Busy, one line of output, then nothing; an interrupt ends the cell as it should."""

    def on_execute(request):
        kernel.begin(request)
        kernel.print(request, "before the hang\n")

    kernel.on_execute = on_execute


@scenario
def ignores_interrupt(kernel):
    """Hangs in a cell and hears neither SIGINT nor interrupt_request."""
    hangs_in_execute(kernel)
    kernel.on_interrupt = lambda: None


@scenario
def ignores_interrupt_and_sigterm(kernel):
    """Only SIGKILL helps."""
    ignores_interrupt(kernel)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


@scenario
def floods_its_descriptors(kernel):
    """30 MB on standard output and standard error of the process in a cell."""

    @each_cell(kernel)
    def body(request):
        line = b"x" * 1023 + b"\n"
        for _ in range(15 * 1024):
            os.write(1, line)
            os.write(2, line)
        kernel.print(request, "flooded\n")


@scenario
def floods_iopub(kernel):
    """50,000 stream messages as fast as they go."""

    @each_cell(kernel)
    def body(request):
        for number in range(50000):
            kernel.print(request, f"{number}\n")


@scenario
def floods_iopub_for_ever(kernel):
    """Never stops publishing; an interrupt does not reach it."""

    @each_cell(kernel)
    def body(request):
        while True:
            kernel.print(request, "y" * 1000 + "\n")
            time.sleep(0.0005)


@scenario
def huge_message(kernel):
    """300 MB of text in one message."""

    @each_cell(kernel)
    def body(request):
        kernel.print(request, "z" * 300_000_000)


# ----------------------------------------------------------------------------------- garbage on the wire


@scenario
def signs_wrongly(kernel):
    """No signature is right."""
    kernel.key = b"another key"


@scenario
def some_forged_messages(kernel):
    """Between good messages, some with a wrong or an empty signature."""

    @each_cell(kernel)
    def body(request):
        for signature in (b"", b"0" * 64, b"not hex", b"0" * 5000):
            frames = kernel.frames("stream", {"name": "stdout", "text": "FORGED"}, request.header)
            frames[1] = signature
            kernel.iopub.send_multipart([b"stream", *frames])
            frames = kernel.frames("execute_reply", {"status": "error", "ename": "FORGED"}, request.header)
            frames[1] = signature
            request.socket.send_multipart([*request.identities, *frames])
        kernel.print(request, "genuine\n")


@scenario
def garbage_frames(kernel):
    """No delimiter, too few frames, empty frames, random bytes, on iopub and on shell."""

    @each_cell(kernel)
    def body(request):
        whole = kernel.frames("stream", {"name": "stdout", "text": "GARBAGE"}, request.header)
        pieces = [[b""], [b"a", b"b", b"c"], [DELIMITER], [DELIMITER, b""], whole[:3], whole[:5],
                  whole[1:], [b"stream", *whole[:4]], [b"\xff" * 1000] * 20, [DELIMITER] * 8]
        for piece in pieces:
            kernel.iopub.send_multipart(piece)
            request.socket.send_multipart([*request.identities, *piece])
        kernel.print(request, "genuine\n")


@scenario
def invalid_json(kernel):
    """Signed rightly, but the JSON is none, or is no object."""

    @each_cell(kernel)
    def body(request):
        for content in (b"", b"{", b"{'a': 1}", b'{"name": "stdout", "text": }', b"[]", b"null", b"7",
                        b'"text"', b"{} trailing", b"[" * 100_000, b'{"a":' * 5000 + b"1" + b"}" * 5000):
            kernel.publish("stream", content, request)
        kernel.publish("stream", {"name": "stdout", "text": "x"}, parent=b"{")
        kernel.publish("stream", {"name": "stdout", "text": "x"}, parent=b"[1]")
        kernel.print(request, "genuine\n")


@scenario
def wrong_types(kernel):
    """JSON objects whose members are of the wrong type, or are missing."""

    @each_cell(kernel)
    def body(request):
        for kind, content in (
            ("stream", {}), ("stream", {"name": 1, "text": 2}), ("stream", {"name": "stdout"}),
            ("status", {}), ("status", {"execution_state": None}), ("status", {"execution_state": 4}),
            ("display_data", {}), ("display_data", {"data": [], "metadata": 1}),
            ("display_data", {"data": None, "metadata": {}, "transient": 3}),
            ("update_display_data", {"data": {}, "metadata": {}, "transient": {"display_id": 5}}),
            ("execute_result", {"data": "x"}), ("clear_output", {}), ("clear_output", []),
            ("comm_open", {}), ("comm_msg", {"comm_id": 1}), ("comm_close", {}),
            ("comm_open", {"comm_id": "c", "target_name": "jupyter.widget", "data": {}}),
            ("comm_msg", {"comm_id": "c", "data": {"state": 1, "buffer_paths": 2}}),
            ("execute_input", {}),
        ):
            kernel.publish(kind, content, request)
        kernel.print(request, "genuine\n")


@scenario
def invalid_utf8(kernel):
    """Bytes that are no UTF-8 inside signed JSON."""

    @each_cell(kernel)
    def body(request):
        kernel.publish("stream", b'{"name": "stdout", "text": "a\xff\xfe\xc3(b\\n"}', request)
        kernel.print(request, "genuine\n")


@scenario
def nul_and_nan(kernel):
    """NUL characters, bare NaN and Infinity, a lone surrogate."""

    @each_cell(kernel)
    def body(request):
        kernel.publish("stream", b'{"name": "stdout", "text": "a\\u0000b \\ud800 c\\n"}', request)
        data = b'{"data": {"application/json": {"v": [NaN, Infinity, -Infinity]}}, "metadata": {}}'
        kernel.publish("display_data", data, request)


@scenario
def big_integers(kernel):
    """Integers of more than 64 bits, and floats in unusual spellings."""

    @each_cell(kernel)
    def body(request):
        data = (b'{"data": {"application/json": [123456789012345678901234567890, -18446744073709551616, '
                b'0.1, 1E5, 1e-400]}, "metadata": {}}')
        kernel.publish("display_data", data, request)


@scenario
def no_identity_frames(kernel):
    """iopub messages that begin with the delimiter, and some with five frames before it."""

    @each_cell(kernel)
    def body(request):
        frames = kernel.frames("stream", {"name": "stdout", "text": "none\n"}, request.header)
        kernel.iopub.send_multipart(frames)
        frames = kernel.frames("stream", {"name": "stdout", "text": "five\n"}, request.header)
        kernel.iopub.send_multipart([b"a", b"", b"\x00\xff", b"b", b"c", *frames])


@scenario
def unknown_message_types(kernel):
    """Types that nobody has heard of, on iopub, shell and control."""

    @each_cell(kernel)
    def body(request):
        for kind in ("novelty", "debug_event", "iopub_welcome", "", "x" * 10000):
            kernel.publish(kind, {"a": 1}, request)
            if kind:
                kernel.reply(request, {"status": "ok"}, kind=kind)
        kernel.print(request, "genuine\n")


@scenario
def buffers(kernel):
    """Messages with binary buffers, small, empty and many."""

    @each_cell(kernel)
    def body(request):
        content = {"name": "stdout", "text": "with buffers\n"}
        kernel.publish("stream", content, request, buffers=[b"", b"\x00" * 1000, b"x"] * 50)


# ---------------------------------------------------------------------------- parents, order, replies


@scenario
def wrong_parents(kernel):
    """Output of other requests, of none, and of the cell before."""
    before = []

    @each_cell(kernel)
    def body(request):
        other = {**request.header, "msg_id": "other"}
        for parent in (other, {}, {"msg_id": None}, {"msg_id": 7}, *before):
            kernel.publish("stream", {"name": "stdout", "text": "FOREIGN"}, parent=parent)
            kernel.publish("status", {"execution_state": "idle"}, parent=parent)
            kernel.reply(request, {"status": "error", "ename": "FOREIGN"}, parent=parent)
        before.append(request.header)
        kernel.print(request, f"own {kernel.count}\n")


@scenario
def idle_before_reply(kernel):
    """The two ends of a cell in the other order, with a pause between."""

    def on_execute(request):
        kernel.begin(request)
        kernel.print(request, f"ran {kernel.count}\n")
        kernel.idle(request)
        time.sleep(0.2)
        kernel.ok(request)

    kernel.on_execute = on_execute


@scenario
def output_after_reply(kernel):
    """The reply comes first; output follows it for a while before idle."""

    def on_execute(request):
        kernel.begin(request)
        kernel.ok(request)
        for number in range(5):
            time.sleep(0.05)
            kernel.print(request, f"late {number}\n")
        kernel.idle(request)

    kernel.on_execute = on_execute


@scenario
def reply_without_idle(kernel):
    """A reply, and never idle; other requests get theirs."""

    def on_execute(request):
        kernel.begin(request)
        kernel.print(request, f"ran {kernel.count}\n")
        kernel.ok(request)

    kernel.on_execute = on_execute


@scenario
def idle_without_reply(kernel):
    """Idle, and never a reply."""

    def on_execute(request):
        kernel.begin(request)
        kernel.print(request, f"ran {kernel.count}\n")
        kernel.idle(request)

    kernel.on_execute = on_execute


@scenario
def replies_twice(kernel):
    """Every reply and every idle comes twice, the second time in the next cell."""
    last = []

    def on_execute(request):
        for earlier in last:
            kernel.ok(earlier)
            kernel.idle(earlier)
        last[:] = [request]
        kernel.begin(request)
        time.sleep(0.2)
        kernel.print(request, f"ran {kernel.count}\n")
        kernel.finish(request)
        kernel.ok(request)
        kernel.idle(request)

    kernel.on_execute = on_execute


def _reply_with(kernel, content):
    def on_execute(request):
        kernel.begin(request)
        kernel.reply(request, content)
        kernel.idle(request)

    kernel.on_execute = on_execute


@scenario
def reply_aborted(kernel):
    """Status aborted, without a count."""
    _reply_with(kernel, {"status": "aborted"})


@scenario
def reply_abort(kernel):
    """The other spelling."""
    _reply_with(kernel, {"status": "abort"})


@scenario
def reply_without_status(kernel):
    """A reply that does not say how it went."""
    _reply_with(kernel, {"execution_count": 1})


@scenario
def reply_error_without_output(kernel):
    """Status error with nothing else, and no error output."""
    _reply_with(kernel, {"status": "error"})


@scenario
def reply_of_wrong_types(kernel):
    """A status that is a number, and a count that is text."""
    _reply_with(kernel, {"status": 1, "execution_count": "one"})


@scenario
def starting_again(kernel):
    """Announces a start in the middle of a cell, as after a restart inside the kernel."""

    @each_cell(kernel)
    def body(request):
        kernel.status("starting")
        kernel.print(request, f"ran {kernel.count}\n")


@scenario
def control_chatter(kernel):
    """Busy and idle of requests on control between those of the cell."""

    @each_cell(kernel)
    def body(request):
        control = kernel.header("kernel_info_request")
        for state in ("busy", "idle", "busy", "idle"):
            kernel.publish("status", {"execution_state": state}, parent=control)
        kernel.print(request, f"ran {kernel.count}\n")
        kernel.publish("status", {"execution_state": "busy"}, request)


def send_surely(socket, frames):
    """A ROUTER drops what is for somebody who has not connected yet: until he has."""
    socket.router_mandatory = True
    while True:
        try:
            return socket.send_multipart(frames)
        except zmq.ZMQError as e:
            if e.errno != zmq.EHOSTUNREACH:
                raise
            time.sleep(0.01)


@scenario
def asks_for_input(kernel):
    """input_request although the request forbids it; waits for an answer for ever."""

    def on_execute(request):
        kernel.begin(request)
        kernel.print(request, "asking\n")
        frames = kernel.frames("input_request", {"prompt": "? ", "password": False}, request.header)
        send_surely(kernel.stdin, [*request.identities, *frames])
        request.socket.send_multipart([*request.identities, *frames])

    kernel.on_execute = on_execute


@scenario
def odd_clear_output(kernel):
    """clear_output without wait, and with waits that are no booleans."""

    @each_cell(kernel)
    def body(request):
        kernel.print(request, "GONE\n")
        kernel.publish("clear_output", {}, request)
        kernel.print(request, "GONE\n")
        kernel.publish("clear_output", {"wait": None}, request)
        kernel.print(request, "GONE\n")
        kernel.publish("clear_output", {"wait": True}, request)
        kernel.publish("clear_output", {"wait": True}, request)
        kernel.print(request, "kept\n")
        kernel.publish("clear_output", {"wait": True}, request)


# --------------------------------------------------------------------------------------- how it ends


def _dies(kernel, die):
    def on_execute(request):
        kernel.begin(request)
        kernel.print(request, "last words\n")
        time.sleep(0.3)
        die()

    kernel.on_execute = on_execute


@scenario
def killed_in_a_cell(kernel):
    """SIGKILL to itself in the middle of a cell."""
    _dies(kernel, lambda: os.kill(os.getpid(), signal.SIGKILL))


@scenario
def exits_in_a_cell(kernel):
    """Exit status 0 in the middle of a cell."""
    _dies(kernel, lambda: os._exit(0))


@scenario
def exits_between_cells(kernel):
    """Finishes a cell properly and is gone."""

    def on_execute(request):
        Kernel.on_execute(kernel, request)
        kernel.running = False

    kernel.on_execute = on_execute


@scenario
def dies_leaving_a_child(kernel):
    """Dies in a cell; a child in a session of its own, with the sockets' descriptors, lives on."""

    def die():
        if os.fork() == 0:
            os.setsid()
            time.sleep(FOREVER)
        os._exit(1)

    _dies(kernel, die)


@scenario
def leaves_a_daemon(kernel):
    """Succeeds, and leaves a process that ignores SIGTERM and SIGHUP in a session of its own."""

    @each_cell(kernel)
    def body(request):
        if os.fork() == 0:
            os.setsid()
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
            time.sleep(FOREVER)
            os._exit(0)
        kernel.print(request, f"ran {kernel.count}\n")


@scenario
def ignores_shutdown(kernel):
    """Does not answer shutdown_request and goes on living."""
    kernel.on_shutdown = lambda request: None


@scenario
def ignores_shutdown_and_sigterm(kernel):
    """Nor does SIGTERM move it."""
    ignores_shutdown(kernel)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


@scenario
def stalls_after_shutdown(kernel):
    """Answers shutdown_request and takes ten seconds to go."""

    def on_shutdown(request):
        kernel.reply(request, {"status": "ok", "restart": False})
        time.sleep(10)
        kernel.running = False

    kernel.on_shutdown = on_shutdown


def main(arguments):
    name, path = arguments
    with open(path, encoding="utf-8") as file:
        kernel = Kernel(json.load(file))
    SCENARIOS[name](kernel)
    kernel.serve()


if __name__ == "__main__":
    main(sys.argv[1:])
