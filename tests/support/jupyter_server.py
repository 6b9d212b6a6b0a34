"""jupyter_server, and JupyterLab on it, as clients of a gateway; and something between the two that
can cut their connections."""

import contextlib
import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import requests

from .gateway import Gateway, free_port
from .segue import wait_until
from .service import HANG_S, processes_below


class JupyterServer(Gateway):
    """`jupyter server`, or `jupyter lab`, whose kernels are a gateway's. It has the same API as a
    gateway, but for the token, which is its own."""

    def __init__(self, root, env, gateway_url, gateway_token, *options, app="server"):
        self.root = Path(root)
        self.files = self.root / "notebooks"
        self.files.mkdir(parents=True)
        self.env = {**env, "HOME": str(self.root), "JUPYTER_CONFIG_DIR": str(self.root / "config"),
                    "JUPYTER_DATA_DIR": str(self.root / "data"), "JUPYTER_RUNTIME_DIR": str(self.root / "runtime"),
                    "JUPYTERLAB_SETTINGS_DIR": str(self.root / "settings"),
                    "JUPYTERLAB_WORKSPACES_DIR": str(self.root / "workspaces"), "JUPYTER_PATH": ""}
        settings = self.root / "settings/@jupyterlab/apputils-extension/notification.jupyterlab-settings"
        settings.parent.mkdir(parents=True)
        settings.write_text('{"fetchNews": "false"}')  # else it asks first
        self.port, self.token = free_port(), "browser"
        # The secret is in the environment: arguments are for everybody to read.
        self.env["JUPYTER_GATEWAY_AUTH_TOKEN"] = gateway_token
        self.argv = [Path(sys.executable).parent / f"jupyter-{app}", f"--gateway-url={gateway_url}",
                     f"--port={self.port}", "--ServerApp.port_retries=0", f"--IdentityProvider.token={self.token}",
                     "--no-browser", f"--ServerApp.root_dir={self.files}", "--allow-root", *map(str, options)]
        self.log = self.root / "jupyter.log"
        self.process = None

    def __enter__(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.argv, env=self.env, cwd=self.root, stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log, start_new_session=True)
        try:
            wait_until(self._listens, HANG_S, "jupyter_server listens")
        except BaseException:
            self.__exit__()
            raise
        return self

    def _listens(self):
        assert self.process.poll() is None, self.explain()
        with contextlib.suppress(requests.ConnectionError):
            return self.request("GET", "/api").status_code == 200

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(10)
        for pid in processes_below(self.root):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()

    def explain(self):
        return f"--- {self.log}\n{self.log.read_text()[-4000:]}" if self.log.exists() else ""


class Between:
    """A TCP proxy to a port that can cut what goes through it, at any moment."""

    def __init__(self, port):
        self.target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.cuts = 0
        self.is_open = True
        self._pairs = {}
        self._to_target = set()
        self._lock = threading.Lock()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._wake, self._waker = socket.socketpair()
        self._selector.register(self._wake, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._waker.close()
        self._thread.join(10)
        self._listener.close()

    def cut(self):
        """Every connection ends now, for both sides. The target is told first; what it had sent until
        it heard of it is still given to the client, as it would be without anybody between. New
        connections are let through."""
        with self._lock:
            for one in self._to_target:
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_WR)
            self.cuts += 1

    def refuse(self, is_refusing=True):
        """Who comes is turned away."""
        self.is_open = not is_refusing

    def _drop(self, one):
        for end in (one, self._pairs.pop(one, None)):
            if end:
                self._pairs.pop(end, None)
                self._to_target.discard(end)
                with contextlib.suppress(KeyError, ValueError):
                    self._selector.unregister(end)
                end.close()

    def _admit(self):
        one, _ = self._listener.accept()
        try:
            if not self.is_open:
                raise OSError
            other = socket.create_connection(("127.0.0.1", self.target), timeout=5)
        except OSError:
            one.close()
            return
        for end in (one, other):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            end.settimeout(30)
        self._pairs.update({one: other, other: one})
        self._to_target.add(other)
        for end in (one, other):
            self._selector.register(end, selectors.EVENT_READ)

    def _work(self):
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is self._wake:
                    with self._lock:
                        for one in list(self._pairs):
                            self._drop(one)
                    return
                with self._lock:
                    if key.fileobj is self._listener:
                        self._admit()
                    elif key.fileobj in self._pairs:
                        self._pass_on(key.fileobj)

    def _pass_on(self, one):
        try:
            data = one.recv(65536)
            if data:
                with contextlib.suppress(BrokenPipeError):  # cut: the target still speaks
                    self._pairs[one].sendall(data)
                return
        except OSError:
            pass
        self._drop(one)
