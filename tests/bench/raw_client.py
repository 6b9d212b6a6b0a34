"""The least that can execute cells on a Python kernel: raw frames over ipc, no Jupyter library.

    raw_client.py CELLS.json      a list of sources; starts the kernel, runs them, kills it
"""

import hashlib
import hmac
import json
import os
import shutil
import subprocess
import sys
import tempfile
import uuid
from datetime import datetime, timezone

import zmq

KEY = b"bench"


def request(kind, content):
    """(message id, frames) of a signed request."""
    header = {
        "msg_id": uuid.uuid4().hex,
        "msg_type": kind,
        "session": "bench",
        "username": "bench",
        "date": datetime.now(timezone.utc).isoformat(),
        "version": "5.3",
    }
    parts = [json.dumps(part).encode() for part in (header, {}, {}, content)]
    signature = hmac.new(KEY, b"".join(parts), hashlib.sha256).hexdigest().encode()
    return header["msg_id"], [b"<IDS|MSG>", signature, *parts]


class Client:
    def __init__(self, directory):
        self.context = zmq.Context()
        self.iopub = self.connect(zmq.SUB, directory, 2)
        self.iopub.subscribe(b"")
        self.shell = self.connect(zmq.DEALER, directory, 1)
        self.poller = zmq.Poller()
        for socket in (self.iopub, self.shell):
            self.poller.register(socket, zmq.POLLIN)

    def connect(self, kind, directory, port):
        socket = self.context.socket(kind)
        socket.rcvhwm = socket.linger = 0
        socket.reconnect_ivl = 5
        socket.connect(f"ipc://{directory}/k-{port}")
        return socket

    def ask(self, kind, content, needs_idle):
        """Send a request and wait for its reply, and for idle; False: a second without idle."""
        identity, frames = request(kind, content)
        self.shell.send_multipart(frames)
        replied, idle = False, not needs_idle
        while not (replied and idle):
            ready = self.poller.poll(50 if replied and kind == "kernel_info_request" else None)
            if not ready:
                return False
            for socket, _ in ready:
                frames = socket.recv_multipart()
                at = frames.index(b"<IDS|MSG>")
                if json.loads(frames[at + 3]).get("msg_id") != identity:
                    continue
                if socket is self.shell:
                    replied = True
                elif json.loads(frames[at + 5]).get("execution_state") == "idle":
                    idle = True
        return True


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        cells = json.load(file)
    directory = tempfile.mkdtemp(prefix="bk")
    connection = {f"{name}_port": port for port, name in
                  enumerate(("shell", "iopub", "stdin", "control", "hb"), 1)}
    connection.update(transport="ipc", ip=f"{directory}/k", key=KEY.decode(), signature_scheme="hmac-sha256")
    path = os.path.join(directory, "connection.json")
    with open(path, "w", encoding="utf-8") as file:
        json.dump(connection, file)
    kernel = subprocess.Popen(
        [sys.executable, "-m", "ipykernel_launcher", "-f", path, "--HistoryManager.hist_file=:memory:"],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        client = Client(directory)
        while not client.ask("kernel_info_request", {}, True):
            pass
        for source in cells:
            content = {"code": source, "silent": False, "store_history": True, "user_expressions": {},
                       "allow_stdin": False, "stop_on_error": True}
            client.ask("execute_request", content, True)
    finally:
        kernel.kill()
        kernel.wait()
        shutil.rmtree(directory)


if __name__ == "__main__":
    main()
