"""A WebSocket client of our own, because the tests need what libraries forbid: frames that are not
masked, cut in the middle, of wrong lengths, or not sent at all.

    with WebSocket(port, "/api/kernels/ID/channels", token="secret", protocols=["v1..."]) as socket:
        socket.send(TEXT, b"...")
        opcode, data = socket.receive()

Blocking, one thread. Pings are answered while something is waited for.
"""

import base64
import contextlib
import os
import socket
import struct
import time

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
HANG_S = 60


class Refused(Exception):
    """The handshake was answered with something else than 101."""

    def __init__(self, status, headers, body):
        super().__init__(f"{status}: {body[:300]!r}")
        self.status, self.headers, self.body = status, headers, body


class Closed(Exception):
    """The other side closed: `code` is its close code, None when the connection just ended."""

    def __init__(self, code, reason=""):
        super().__init__(f"{code} {reason}")
        self.code, self.reason = code, reason


class Silent(AssertionError):
    """Nothing came for as long as was waited."""


def masked(payload, key):
    if key == b"\0\0\0\0" or not payload:
        return payload
    long_key = (key * (len(payload) // 4 + 1))[: len(payload)]
    mixed = int.from_bytes(payload, "big") ^ int.from_bytes(long_key, "big")
    return mixed.to_bytes(len(payload), "big")


def frame(opcode, payload=b"", *, fin=True, mask=True, reserved=0, length=None):
    """The bytes of one frame; `length` says another one than it has."""
    length = len(payload) if length is None else length
    first = fin << 7 | reserved << 4 | opcode
    bit = mask << 7
    if length < 126:
        head = struct.pack("!BB", first, bit | length)
    elif length < 65536:
        head = struct.pack("!BBH", first, bit | 126, length)
    else:
        head = struct.pack("!BBQ", first, bit | 127, length)
    if not mask:
        return head + payload
    key = os.urandom(4) if len(payload) < 4096 else b"\0\0\0\0"  # no key costs nothing
    return head + key + masked(payload, key)


class WebSocket:
    def __init__(self, port, path, *, host="127.0.0.1", token=None, protocols=(), origin=None, headers=None,
                 timeout=HANG_S, receive_buffer=None):
        self.timeout = timeout
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(timeout)
        self.socket.connect((host, port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._data = bytearray()
        self._at = 0
        self._parts = []
        self._opcode = None
        self.pings = 0
        try:
            self._shake_hands(host, port, path, token, protocols, origin, headers or {})
        except BaseException:
            self.socket.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.cut()

    def _shake_hands(self, host, port, path, token, protocols, origin, more):
        headers = {"Host": f"{host}:{port}", "Upgrade": "websocket", "Connection": "Upgrade",
                   "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
                   "Sec-WebSocket-Version": "13"}
        if token is not None:
            headers["Authorization"] = f"token {token}"
        if protocols:
            headers["Sec-WebSocket-Protocol"] = ", ".join(protocols)
        if origin is not None:
            headers["Origin"] = origin
        headers.update(more)
        lines = [f"{name}: {value}\r\n" for name, value in headers.items() if value is not None]
        self.socket.sendall(f"GET {path} HTTP/1.1\r\n{''.join(lines)}\r\n".encode())
        while b"\r\n\r\n" not in self._data:
            self._fill()
        head, _, rest = bytes(self._data).partition(b"\r\n\r\n")
        self._data = bytearray(rest)
        first, *lines = head.decode("latin-1").split("\r\n")
        self.headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        status = int(first.split()[1])
        if status != 101:
            body = rest + self._rest(int(self.headers.get("content-length", 0)) - len(rest))
            raise Refused(status, self.headers, body)
        self.protocol = self.headers.get("sec-websocket-protocol")

    def _rest(self, size):
        got = b""
        with contextlib.suppress(OSError):
            while len(got) < size and (more := self.socket.recv(65536)):
                got += more
        return got

    # ---------------------------------------------------------------------------------------- sending

    def send_raw(self, data):
        self.socket.sendall(data)

    def send(self, opcode, payload=b"", **how):
        self.send_raw(frame(opcode, payload, **how))

    # -------------------------------------------------------------------------------------- receiving

    def _fill(self):
        if self._at > 1 << 20:
            del self._data[: self._at]
            self._at = 0
        try:
            more = self.socket.recv(1 << 18)
        except TimeoutError:
            raise Silent(f"nothing came for {self.socket.gettimeout():.1f} s") from None
        except OSError as e:
            raise Closed(None, str(e)) from e
        if not more:
            raise Closed(None, "end of the connection")
        self._data += more

    def _take(self, size):
        while len(self._data) - self._at < size:
            self._fill()
        taken = bytes(memoryview(self._data)[self._at : self._at + size])
        self._at += size
        return taken

    def receive_frame(self):
        """(fin, opcode, payload)"""
        first, second = self._take(2)
        assert not first & 0x70, "reserved bits"
        assert not second & 0x80, "a server's frame is masked"
        size = second & 127
        if size == 126:
            (size,) = struct.unpack("!H", self._take(2))
        elif size == 127:
            (size,) = struct.unpack("!Q", self._take(8))
        return bool(first & 0x80), first & 15, self._take(size)

    def receive(self, timeout=None):
        """The next message: (opcode, data). Closed when the other side has closed."""
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        try:
            while True:
                self.socket.settimeout(max(0.01, deadline - time.monotonic()))
                fin, opcode, payload = self.receive_frame()
                if opcode == CLOSE:
                    code = struct.unpack("!H", payload[:2])[0] if len(payload) >= 2 else None
                    with contextlib.suppress(OSError):
                        self.send(CLOSE, payload[:2])
                    raise Closed(code, payload[2:].decode("utf-8"))
                if opcode == PING:
                    self.pings += 1
                    self.send(PONG, payload)
                elif opcode == PONG:
                    return PONG, payload
                elif fin and opcode:
                    assert not self._parts, "a message in the middle of another"
                    return opcode, payload
                else:
                    assert bool(opcode) != bool(self._parts), "a continuation of nothing, or no continuation"
                    self._opcode = opcode or self._opcode
                    self._parts.append(payload)
                    if fin:
                        whole, self._parts = b"".join(self._parts), []
                        return self._opcode, whole
        finally:
            self.socket.settimeout(self.timeout)

    def closes(self, seconds=HANG_S):
        """Reads on until the other side closes; its Closed."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                self.receive(timeout=max(0.01, deadline - time.monotonic()))
            except Closed as closed:
                return closed
        raise AssertionError(f"not closed within {seconds} s")

    def close(self, code=1000):
        """In order: a close frame, and the other side's."""
        with contextlib.suppress(OSError):
            self.send(CLOSE, struct.pack("!H", code))
            closed = self.closes()
            self.cut()
            return closed

    def cut(self, reset=False):
        """The connection just ends, as when a machine goes to sleep or a cable is pulled."""
        if reset:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()
