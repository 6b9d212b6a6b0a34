"""What the kernel gateway costs, side by side with Jupyter Kernel Gateway and with no gateway at all.

    python tests/bench/gateway/gateway_bench.py [--only NAME]... [--rounds N] [--segue PATH]
                                                [--out build/bench-gateway.json]

All are asked by the same client, in turn (A B C, A B C, ...), on the same kernels: `quick`, which
costs nothing itself (tests/fakes/quick_kernel.c, beside the segue that is measured), and ipykernel.
Kernel Gateway is as it comes from PyPI, but for its limits on how much a kernel may say in a second,
which are off. The direct one speaks ZeroMQ with the kernel over ipc, as a keeper does. The clients do
not decode messages: they look for what they wait for in their bytes.
"""

import argparse
import contextlib
import hashlib
import hmac
import json
import os
import subprocess
import sys
import tempfile
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

import zmq

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
sys.path[:0] = [str(HERE.parents[1]), str(HERE.parent / "serve")]

import serve_bench  # noqa: E402
from support.gateway import (  # noqa: E402
    V1,
    KernelGateway,
    SegueGateway,
    encode_v1,
    execute_content,
    memory_of,
    new_message,
    open_files,
    write_kernelspecs,
)
from support.segue import environment  # noqa: E402
from support.websocket import BINARY  # noqa: E402

NO_LIMITS = ("--ZMQChannelsWebsocketConnection.limit_rate=False",)
DISPLAYS, STREAM = 2500, 100_000_000
NOTHING = {"quick": "", "python3": "pass"}
OUTPUT = {  # kernel: {what: (code, what is counted of it, how much there is, in what unit)}
    "quick": {
        "displays": (f"display {DISPLAYS}", b"display_data", DISPLAYS, "/s"),
        "stream in messages of 1 kB": (f"stream {STREAM} 1000", None, STREAM, "MB/s"),
        "stream in messages of 10 kB": (f"stream {STREAM} 10000", None, STREAM, "MB/s")},
    "python3": {
        "displays": (f"from IPython.display import display\nfor i in range({DISPLAYS}): display(i)", b"display_data",
                     DISPLAYS, "/s"),
        "stream": (f"for i in range({STREAM // 100_000}): print('x' * 99_999)", None, STREAM, "MB/s")},
}


class Bench(serve_bench.Bench):
    def __init__(self, root, segue, rounds):
        super().__init__(root, segue, None, rounds)
        write_kernelspecs(self.jupyter)

    def _root(self):
        self._count += 1
        root = self.root / f"g{self._count}"
        root.mkdir()
        return root, environment(root / "state", self.jupyter)

    def segue_gateway(self):
        root, env = self._root()
        return SegueGateway(root, env, segue=self.segue)

    def kernel_gateway(self):
        root, env = self._root()
        return KernelGateway(root, env, *NO_LIMITS)


def cpu_seconds(pids):
    """To the nanosecond, unlike what /proc/PID/stat says."""
    spent = 0
    for pid in pids:
        for task in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(OSError):
                spent += int((task / "schedstat").read_text().split()[0])
    return spent / 1e9


# ------------------------------------------------------------------------------------------ clients


class OverWebSocket:
    """One kernel of a gateway, in v1."""

    def __init__(self, gateway, name):
        self.gateway = gateway
        self.kernel = gateway.start_kernel(name)
        self.connect()

    def connect(self):
        self.session = uuid.uuid4().hex
        self.socket = self.gateway.open_socket(self.kernel, query=f"?session_id={self.session}", protocols=[V1])
        self.execute(new_message("kernel_info_request", {}, session=self.session), b"kernel_info_reply")

    def execute(self, message, reply=b"execute_reply", count=None):
        """How many bytes came for it; with `count`: how many messages of that type."""
        mark = message["header"]["msg_id"].encode()
        waiting = {reply, b'"idle"'}
        self.socket.send(BINARY, encode_v1(message))
        size = number = 0
        while waiting:
            _, data = self.socket.receive()
            size += len(data)
            head = data[:2000]
            if mark in head:
                number += count is not None and count in head
                waiting = {what for what in waiting if what not in (data if len(data) < 4000 else head)}
        return number if count else size

    def close(self):
        self.socket.close()


class Direct:
    """A kernel without any gateway."""

    def __init__(self, bench, name):
        self.session = uuid.uuid4().hex
        self.directory = Path(tempfile.mkdtemp(dir=bench.root, prefix="z"))
        spec = json.loads((bench.jupyter / "kernels" / name / "kernel.json").read_text())
        self.key = uuid.uuid4().hex.encode()
        connection = {"transport": "ipc", "ip": str(self.directory / "s"), "key": self.key.decode(),
                      "signature_scheme": "hmac-sha256", "kernel_name": name}
        channels = ("shell", "iopub", "stdin", "control", "hb")
        connection |= {f"{channel}_port": n for n, channel in enumerate(channels, 1)}
        file = self.directory / "connection.json"
        file.write_text(json.dumps(connection))
        argv = [word.replace("{connection_file}", str(file)) for word in spec["argv"]]
        self.process = subprocess.Popen(argv, env=environment(self.directory, bench.jupyter), stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        self.context = zmq.Context()
        self.shell, self.iopub = self.context.socket(zmq.DEALER), self.context.socket(zmq.SUB)
        self.shell.identity = self.session.encode()
        self.iopub.rcvhwm = 0
        self.iopub.subscribe(b"")
        self.shell.connect(f"ipc://{self.directory / 's'}-1")
        self.iopub.connect(f"ipc://{self.directory / 's'}-2")
        self.poller = zmq.Poller()
        self.poller.register(self.shell, zmq.POLLIN)
        self.poller.register(self.iopub, zmq.POLLIN)

    def wait_until_ready(self):
        self._send(new_message("kernel_info_request", {}, session=self.session))
        self.shell.recv_multipart()
        while True:  # until it hears what is published
            self._send(new_message("kernel_info_request", {}, session=self.session))
            self.shell.recv_multipart()
            if self.iopub.poll(200):
                break
        while self.iopub.poll(100):
            self.iopub.recv_multipart()
        return self

    def _send(self, message):
        parts = [json.dumps(message[name]).encode() for name in ("header", "parent_header", "metadata", "content")]
        signature = hmac.new(self.key, b"".join(parts), hashlib.sha256).hexdigest().encode()
        self.shell.send_multipart([b"<IDS|MSG>", signature, *parts])

    def execute(self, message, reply=b"execute_reply", count=None):
        waiting = {reply, b'"idle"'}
        self._send(message)
        size = number = 0
        while waiting:
            for socket, _ in self.poller.poll():
                with contextlib.suppress(zmq.Again):
                    while waiting:
                        frames = socket.recv_multipart(zmq.DONTWAIT)
                        data = b"".join(frames) if len(frames[-1]) < 4000 else b"".join(frames[:-1])
                        size += sum(map(len, frames))
                        number += count is not None and count in data
                        waiting = {what for what in waiting if what not in data}
        return number if count else size

    def close(self):
        self.process.kill()
        self.process.wait()
        self.context.destroy(linger=0)


def request(contestant, code):
    return new_message("execute_request", execute_content(code), session=contestant.session)


def timed(contestant, code, **how):
    message = request(contestant, code)
    begin = time.perf_counter()
    result = contestant.execute(message, **how)
    return time.perf_counter() - begin, result


@contextlib.contextmanager
def contestants(bench, name):
    """{segue, kernel gateway, direct}, a kernel of this name each."""
    with bench.segue_gateway() as segue, bench.kernel_gateway() as jupyter:
        made = {"segue": OverWebSocket(segue, name), "jupyter": OverWebSocket(jupyter, name),
                "direct": Direct(bench, name).wait_until_ready()}
        try:
            yield made
        finally:
            for one in made.values():
                one.close()


def processes_of(gateway):
    return [gateway.pid, *(gateway.keepers() if gateway.kind == "segue" else [])]


# ---------------------------------------------------------------------------------------- the parts


def round_trips(bench):
    """execute of nothing, until its reply and idle are there."""
    for name, count in (("quick", 200), ("python3", 60)):
        with contestants(bench, name) as all_of_them:
            taken = {who: [] for who in all_of_them}
            for number in range(bench.rounds * count):
                for who, one in all_of_them.items():
                    seconds, _ = timed(one, NOTHING[name])
                    if number >= 20:
                        taken[who].append(seconds * 1000)
            p50 = {who: median(all_taken) for who, all_taken in taken.items()}
            bench.row(f"execute, {name}, p50", p50["segue"], "ms", floor=p50["jupyter"], floor_name="Kernel Gateway")
            bench.row("beyond direct ZeroMQ", p50["segue"] - p50["direct"], "ms", aim=1)
            bench.row("direct ZeroMQ", p50["direct"], "ms")
            bench.row("Kernel Gateway beyond direct ZeroMQ", p50["jupyter"] - p50["direct"], "ms")


def processor_time(bench):
    """Of the gateway, for an execute of nothing: the daemon's and the keeper's, or the one process's."""
    with contestants(bench, "quick") as all_of_them:
        spent = {}
        for who in ("segue", "jupyter"):
            one, results = all_of_them[who], []
            pids = processes_of(one.gateway)
            for _ in range(bench.rounds + 1):
                before = cpu_seconds(pids)
                for _ in range(200):
                    timed(one, "")
                results.append((cpu_seconds(pids) - before) / 200 * 1e6)
            spent[who] = median(results[1:])
    bench.row("processor time of an execute", spent["segue"], "us", floor=spent["jupyter"], floor_name="Kernel Gateway",
              aim=0.1)


def throughput(bench):
    """2,500 displays, and 100 MB of stream."""
    for name, outputs in OUTPUT.items():
        with contestants(bench, name) as all_of_them:
            for what, (code, counted, amount, unit) in outputs.items():
                rates = {who: [] for who in all_of_them}
                for number in range(max(2, bench.rounds - 1)):
                    for who, one in all_of_them.items():
                        seconds, came = timed(one, code, count=counted)
                        if came < amount:
                            assert who != "segue", f"only {came} came of {what}"
                            print(f"{who}, {name}: only {came} of {amount} came of {what}", file=sys.stderr)
                        if number:
                            rates[who].append(amount / seconds / (1 if counted else 1e6))
                rate = {who: median(taken) for who, taken in rates.items()}
                # With ipykernel the kernel is the limit, whoever passes it on.
                bench.row(f"{what}, {name}", rate["segue"], unit, floor=rate["jupyter"], floor_name="Kernel Gateway",
                          aim=5 if name == "quick" else None, least=True)
                bench.row("of what comes by direct ZeroMQ", rate["segue"], unit, floor=rate["direct"],
                          floor_name="direct")


def kernels(bench):
    """What ten further kernels cost, with a WebSocket each."""
    cost, keepers = {}, 0
    for make in (bench.segue_gateway, bench.kernel_gateway):
        with make() as gateway:
            held = [OverWebSocket(gateway, "quick")]
            for _ in range(5):
                timed(held[0], "")
            time.sleep(0.5)  # what was started has settled
            before, files = memory_of(gateway.pid)["Private"], open_files(gateway.pid)
            held += [OverWebSocket(gateway, "quick") for _ in range(10)]
            for one in held:
                timed(one, "")
            time.sleep(0.5)
            cost[gateway.kind] = ((memory_of(gateway.pid)["Private"] - before) / 10,
                                  (open_files(gateway.pid) - files) / 10)
            if gateway.kind == "segue":
                keepers = median(memory_of(pid)["Pss"] for pid in gateway.keepers())
            for one in held:
                one.close()
    bench.row("memory of a further kernel in the daemon", cost["segue"][0], "kB", floor=cost["jupyter"][0],
              floor_name="Kernel Gateway", aim=100, of_ratio=False)
    bench.row("descriptors of it", cost["segue"][1], "", floor=cost["jupyter"][1], floor_name="Kernel Gateway", aim=4,
              of_ratio=False)
    bench.row("memory of its keeper (Pss)", keepers, "kB", aim=4096)


def starts(bench, count=30):
    """30 ipykernels at once: until each has answered kernel_info."""
    def bare(begin):
        kernels = [Direct(bench, "python3") for _ in range(count)]
        try:
            with ThreadPoolExecutor(count) as pool:
                def ready(kernel):
                    kernel.execute(new_message("kernel_info_request", {}, session=kernel.session), b"kernel_info_reply")
                    return time.perf_counter() - begin
                return list(pool.map(ready, kernels))
        finally:
            for kernel in kernels:
                kernel.close()

    def over(gateway, begin):
        def ready(_):
            try:
                OverWebSocket(gateway, "python3").close()
                return time.perf_counter() - begin
            except (AssertionError, OSError, RuntimeError) as e:
                print(f"{gateway.kind}: a start failed: {str(e)[:200]}", file=sys.stderr)
                return None
        with ThreadPoolExecutor(count) as pool:
            return list(pool.map(ready, range(count)))

    taken = {"direct": sorted(bare(time.perf_counter()))}
    for make in (bench.segue_gateway, bench.kernel_gateway):
        with make() as gateway:
            taken[gateway.kind] = over(gateway, time.perf_counter())
    assert None not in taken["segue"], "segue lost a start"
    lost = taken["jupyter"].count(None)
    p50 = {who: median(t for t in all_taken if t is not None) for who, all_taken in taken.items()}
    bench.row(f"{count} starts at once, p50", p50["segue"], "s", floor=p50["direct"], floor_name="bare processes", aim=1.1)
    bench.row("the last of them", max(taken["segue"]), "s", floor=max(taken["direct"]), floor_name="bare processes")
    bench.row(f"p50 beside Kernel Gateway, which lost {lost}", p50["segue"], "s", floor=p50["jupyter"],
              floor_name="Kernel Gateway")


PARTS = {part.__name__: part for part in (round_trips, processor_time, throughput, kernels, starts)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", action="append", choices=PARTS, help="a part to measure; repeatable")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--segue", type=Path, default=ROOT / "build/release/segue")
    parser.add_argument("--out", type=Path, default=ROOT / "build/bench-gateway.json")
    options = parser.parse_args()
    os.environ["SEGUE"] = str(options.segue.resolve())
    problems = []
    with tempfile.TemporaryDirectory(prefix="gb") as root:
        bench = Bench(Path(root), options.segue.resolve(), options.rounds)
        for name in options.only or PARTS:
            print(f"{name}: {PARTS[name].__doc__.splitlines()[0]}", file=sys.stderr)
            try:
                PARTS[name](bench)
            except (RuntimeError, OSError, AssertionError, subprocess.SubprocessError) as e:
                problems.append(f"{name}: {type(e).__name__} {str(e)[:2000]}")
    print(serve_bench.table(bench.rows))
    for problem in problems:
        print(problem, file=sys.stderr)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    result = {"segue": str(options.segue), "processors": os.cpu_count(), "rounds": options.rounds,
              "rows": bench.rows, "problems": problems}
    options.out.write_text(json.dumps(result, indent=1) + "\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
