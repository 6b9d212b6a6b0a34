"""The fakes themselves, seen by jupyter_client: they are a kernel, and they misbehave as they say."""

import json
import queue
import time

import pytest
import zmq
from fake_kernel import SCENARIOS
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import KernelManager
from kernels import name_of, write_fake_kernelspecs


@pytest.fixture(scope="module")
def specs(tmp_path_factory):
    directory = tmp_path_factory.mktemp("fakes")
    write_fake_kernelspecs(directory)
    return KernelSpecManager(kernel_dirs=[str(directory / "kernels")])


@pytest.fixture
def start(specs):
    started = []

    def start(scenario):
        manager = KernelManager(kernel_name=name_of(scenario), kernel_spec_manager=specs)
        manager.start_kernel()
        client = manager.blocking_client()
        client.start_channels(hb=False)
        started.append((manager, client))
        return manager, client

    yield start
    for manager, client in started:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def execute(client, seconds=20):
    """(stdout, status of the reply or None, whether idle came) of one cell."""
    sent = client.execute("cell")
    deadline = time.monotonic() + seconds
    out, status, idle = "", None, False
    while time.monotonic() < deadline and not (status and idle):
        for get, wait in ((client.get_iopub_msg, 0.05), (client.get_shell_msg, 0)):
            try:
                message = get(timeout=wait)
            except queue.Empty:
                continue
            if message["parent_header"].get("msg_id") != sent:
                continue
            content = message["content"]
            if message["msg_type"] == "stream" and "text" in content:
                out += str(content["text"])
            elif message["msg_type"] == "execute_reply":
                status = content.get("status", "missing")
            elif message["msg_type"] == "status" and content.get("execution_state") == "idle":
                idle = True
    return out, status, idle


def test_every_scenario_is_described():
    assert all(function.__doc__ for function in SCENARIOS.values())


FINE = ["well_behaved", "floods_its_descriptors", "idle_before_reply", "no_identity_frames",
        "unknown_message_types", "buffers", "wrong_parents", "control_chatter", "odd_clear_output",
        "starting_again", "output_after_reply", "big_integers"]


@pytest.mark.parametrize("scenario", FINE)
def test_two_cells_run(start, scenario):
    manager, client = start(scenario)
    client.wait_for_ready(timeout=20)
    for _ in range(2):
        out, status, idle = execute(client)
        assert (status, idle) == ("ok", True)
    assert out or scenario == "big_integers"


@pytest.mark.parametrize("scenario, status, idle", [
    ("reply_without_idle", "ok", False),
    ("idle_without_reply", None, True),
    ("reply_aborted", "aborted", True),
    ("reply_without_status", "missing", True),
    ("hangs_in_execute", None, False),
    ("asks_for_input", None, False),
])
def test_ends_of_a_cell(start, scenario, status, idle):
    _, client = start(scenario)
    client.wait_for_ready(timeout=20)
    seconds = 20 if status and idle else 2
    assert execute(client, seconds)[1:] == (status, idle)


@pytest.mark.parametrize("scenario", ["exits_at_start", "exits_at_start_with_zero", "killed_in_a_cell",
                                      "exits_in_a_cell"])
def test_dies(start, scenario):
    manager, client = start(scenario)
    if "cell" in scenario:
        client.wait_for_ready(timeout=20)
        assert execute(client, 2)[0] == "last words\n"
    deadline = time.monotonic() + 10
    while manager.is_alive():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("scenario", ["never_answers_kernel_info", "never_opens_its_sockets"])
def test_is_never_ready(start, scenario):
    manager, client = start(scenario)
    with pytest.raises(RuntimeError):
        client.wait_for_ready(timeout=2)
    assert manager.is_alive()


def test_flood_is_complete(start):
    """Read without a limit on the queue, as a careful client does: every line, in order."""
    manager, client = start("floods_iopub")
    client.wait_for_ready(timeout=20)
    with zmq.Context() as context, context.socket(zmq.SUB) as socket:
        socket.rcvhwm = 0
        socket.subscribe(b"")
        socket.connect(f"tcp://{manager.ip}:{manager.iopub_port}")
        client.kernel_info()
        while not socket.poll(100):  # not subscribed yet
            client.kernel_info()
        client.execute("flood")
        lines = []
        while len(lines) < 50000:
            assert socket.poll(20000), f"nothing more after {len(lines)} lines"
            frames = socket.recv_multipart()
            if frames[0] == b"stream":
                lines.append(json.loads(frames[6])["text"])
    assert lines == [f"{n}\n" for n in range(50000)]
