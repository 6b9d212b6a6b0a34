"""Programs that others wrote, as clients of the gateway, and kernels that others wrote, behind it."""

import pytest
from jupyter_kernel_client import JupyterKernelClient
from support.jupyter_server import JupyterServer
from support.segue import environment

KERNELS = {
    # name: hello, its text; an error, what is in it; something long; what has no value after a restart
    "python3": ("print('hello')", "hello\n", "1 / 0", "ZeroDivisionError", "import time; print('on'); time.sleep(60)",
                "x = 1", "x"),
    "bash": ("echo hello", "hello\n", "nosuchcommand", "not found", "echo on; sleep 60", "x=1", '[ "$x" = 1 ] || nosuchcommand'),
    "ir": ("cat('hello\\n')", "hello\n", "stop('oh no')", "oh no", "cat('on\\n'); flush.console(); Sys.sleep(60)", "x <- 1",
           "x"),
}


def everything_said(outcome):
    return outcome.stream("stdout") + outcome.stream("stderr") + str(outcome.of("error"))


@pytest.mark.parametrize("protocol", ["v1", "legacy"])
@pytest.mark.parametrize("name", KERNELS)
def test_kernels_of_others(gateway, name, protocol):
    """Hello, an error, an interrupt, a restart."""
    hello, text, error, said, long, definition, use = KERNELS[name]
    kernel = gateway.start_kernel(name)
    model = gateway.kernel(kernel)
    assert (model["id"], model["name"]) == (kernel, name)
    with gateway.client(kernel, protocol=protocol) as client:
        assert client.ask("kernel_info_request")["status"] == "ok"
        assert client.execute(hello).text == text
        assert said in everything_said(client.execute(error))

        cell = client.send_execute(long)
        client.wait_for_text(cell, "on")
        gateway.interrupt(kernel)
        client.finish(cell, seconds=20)
        assert client.execute(hello).text == text

        assert client.execute(definition).status == "ok"
        assert client.execute(use).status == "ok"
        gateway.restart_kernel(kernel)
        client.close()
        client.connect()
        assert client.execute(use).status == "error"
        assert client.execute(hello).text == text
    gateway.shut_down(kernel)
    assert gateway.kernel(kernel) is None


@pytest.mark.parametrize("protocol", ["v1", "legacy"])
def test_input(gateway, protocol):
    kernel = gateway.start_kernel("python3")
    with gateway.client(kernel, protocol=protocol) as one, gateway.client(kernel) as other:
        other.ask("kernel_info_request")
        cell = one.send_execute("print('got', input('name? '))", allow_stdin=True)
        asked = one.until(lambda m: m["header"]["msg_type"] == "input_request")
        assert (asked["channel"], asked["content"]["prompt"]) == ("stdin", "name? ")
        one.send("input_reply", {"value": "Ada", "status": "ok"}, channel="stdin", parent=asked["header"])
        assert one.finish(cell).text == "got Ada\n"
        assert all(m["channel"] != "stdin" for m in [*other.messages, *other.drain(0.2)])


@pytest.mark.beyond_jupyter
def test_jupyter_kernel_client(gateway):
    """In the legacy protocol; its v1 stumbles over a log line of its own."""
    with JupyterKernelClient(server_url=gateway.url, token=gateway.token) as client:
        assert [k["id"] for k in client.list_kernels()] == [client.id]
        reply = client.execute("import os\nprint('hello')\n6 * 7")
        assert reply["status"] == "ok"
        assert reply["outputs"][0] == {"output_type": "stream", "name": "stdout", "text": "hello\n"}
        assert reply["outputs"][1]["data"]["text/plain"] == "42"
        assert client.execute("1 / 0")["status"] == "error"
        client.set_variable("x", 7)
        assert client.execute("print(x)")["outputs"][0]["text"] == "7\n"
        client.restart()
        assert client.execute("x")["status"] == "error"
        assert client.is_alive()
        kernel = client.id
    assert gateway.kernel(kernel) is None


@pytest.fixture
def server(gateway, tmp_path, jupyter_path):
    with JupyterServer(tmp_path, environment(tmp_path / "state", jupyter_path), gateway.url, gateway.token) as made:
        yield made


def test_jupyter_servers_gateway_client(gateway, server):
    """Its whole API, through it: specs, a kernel's life, sessions, cells."""
    specs = server.request("GET", "kernelspecs").json()
    assert {"python3", "bash", "ir", "quick"} <= set(specs["kernelspecs"])
    assert specs["default"] == "python3"
    response = server.request("POST", "sessions", {"path": "a.ipynb", "name": "a.ipynb", "type": "notebook",
                                                   "kernel": {"name": "python3"}})
    assert response.status_code == 201, f"{response.text}\n{server.explain()}\n{gateway.explain()}"
    kernel = response.json()["kernel"]["id"]
    assert [k["id"] for k in gateway.kernels()] == [kernel]
    with server.client(kernel, protocol="legacy") as client:
        assert client.ask("kernel_info_request")["status"] == "ok"
        assert client.execute("print('hello')").text == "hello\n"
        cell = client.send_execute("import time; print('on'); time.sleep(60)")
        client.wait_for_text(cell, "on")
        server.interrupt(kernel)
        assert client.finish(cell, seconds=20).of("error")[0]["ename"] == "KeyboardInterrupt"
        if gateway.kind == "segue":  # the other one limits how much a second
            assert len(client.execute("print('x' * (15 * 2**20))").text) == 15 * 2**20 + 1
        assert server.restart_kernel(kernel)["id"] == kernel
    with server.client(kernel, protocol="legacy") as client:
        assert client.execute("print('again')").text == "again\n"
    assert server.kernel(kernel)["execution_state"] in ("idle", "busy")
    assert server.request("DELETE", f"sessions/{response.json()['id']}").status_code == 204
    assert gateway.kernels() == []


@pytest.mark.beyond_jupyter
def test_widgets_do_not_silence_jupyter_server(gateway, server):
    """Binary buffers are left out for it, since it would read nothing more after them."""
    kernel = server.start_kernel("python3")
    with server.client(kernel, protocol="legacy") as client:
        code = ("from ipykernel.comm import Comm\n"
                "c = Comm(target_name='t', data={'a': 1}, buffers=[b'\\x80' * 100])\n"
                "c.send({'b': 2}, buffers=[b'\\xff' * 100])\nprint('after')")
        done = client.execute(code)
        assert done.text == "after\n"
        assert [c["data"] for c in done.of("comm_open")] == [{"a": 1}]
        assert [c["data"] for c in done.of("comm_msg")] == [{"b": 2}]
        assert client.execute("print('more')").text == "more\n"
    server.shut_down(kernel)
    assert gateway.kernels() == []
