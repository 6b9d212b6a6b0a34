"""The REST half of the API, as its clients ask: statuses, models, and what is refused."""

import re
import time
from datetime import datetime

import pytest
from support.segue import wait_until, write_kernelspec

MODEL = {"id", "name", "last_activity", "execution_state", "connections"}


def test_what_needs_no_kernel(gateway):
    assert set(gateway.request("GET", "/api").json()) >= {"version"}
    status = gateway.request("GET", "status")
    if gateway.kind == "segue":
        assert status.json()["kernels"] == 0 and status.json()["connections"] == 0
    specs = gateway.request("GET", "kernelspecs").json()
    assert specs["default"] in specs["kernelspecs"]
    for name, entry in specs["kernelspecs"].items():
        assert entry["name"] == name
        assert {"argv", "display_name", "language"} <= set(entry["spec"])
        assert isinstance(entry["resources"], dict)
    one = gateway.request("GET", "kernelspecs/bash").json()
    assert (one["name"], one["spec"]["display_name"]) == ("bash", "bash")
    missing = gateway.request("GET", "kernelspecs/nosuch")
    assert missing.status_code == 404


def test_the_model_of_a_kernel(gateway):
    """As jupyter_server reads it: a time with a fraction and a Z, and numbers where it wants them."""
    response = gateway.request("POST", "kernels", {"name": "quick"})
    assert response.status_code == 201
    kernel = response.json()["id"]
    assert response.headers["Location"] == f"/api/kernels/{kernel}"
    assert re.fullmatch(r"\w+-\w+-\w+-\w+-\w+", kernel)
    for model in (response.json(), gateway.kernel(kernel), gateway.kernels()[0]):
        assert set(model) >= MODEL
        datetime.strptime(model["last_activity"], "%Y-%m-%dT%H:%M:%S.%fZ")
        assert model["execution_state"] in ("starting", "idle")
        assert model["connections"] == 0


def test_busy_and_idle_are_told(gateway):
    kernel = gateway.start_kernel("quick")
    with gateway.client(kernel) as client:
        client.ask("kernel_info_request")
        gateway.wait_for_state(kernel, "idle")
        before = gateway.kernel(kernel)["last_activity"]
        cell = client.send_execute("rest 1500")
        gateway.wait_for_state(kernel, "busy")
        client.finish(cell)
        gateway.wait_for_state(kernel, "idle")
        wait_until(lambda: gateway.kernel(kernel)["last_activity"] > before, 20, "there was activity")


@pytest.mark.parametrize("name", ["Bearer {}", "token {}", pytest.param("bearer {}", marks=pytest.mark.beyond_jupyter)])
def test_the_token(gateway, name):
    if gateway.kind == "jupyter" and not name.startswith("token"):
        pytest.skip("Jupyter Kernel Gateway does not do this")
    headers = {"Authorization": name.format(gateway.token)}
    assert gateway.request("GET", "kernels", headers=headers).status_code == 200
    for wrong in ("x", "", gateway.token + "x", gateway.token[:-1]):
        headers = {"Authorization": name.format(wrong)}
        refused = gateway.request("GET", "kernels", headers=headers)
        assert refused.status_code in (401, 403)
        assert "message" in refused.json()


def test_the_token_in_the_query_beside_what_keeps_caches_away(gateway):
    headers = {"Authorization": None}
    path = f"/api/kernels?token={gateway.token}&1795338084876"
    assert gateway.request("GET", path, headers=headers).status_code == 200
    assert gateway.request("GET", "/api/kernels?1795338084876").status_code == 200
    assert gateway.request("POST", "/api/kernels?1795338084876", {"name": "quick"}).status_code == 201


@pytest.mark.parametrize(("method", "path", "body", "status"), [
    ("GET", "kernels/00000000-0000-4000-8000-000000000000", None, 404),
    ("DELETE", "kernels/00000000-0000-4000-8000-000000000000", None, 404),
    ("POST", "kernels/00000000-0000-4000-8000-000000000000/interrupt", {}, 404),
    ("POST", "kernels/00000000-0000-4000-8000-000000000000/restart", {}, (404, 500)),
    ("POST", "kernels", b"{", 400),
    ("POST", "kernels", b'{"name": 5}', (400, 500)),
    ("POST", "kernels", b"[1]", (400, 500)),
    ("POST", "kernels", b'{"name": "quick", "env": []}', 400),
    ("POST", "kernels", b'{"name": "nosuch"}', (400, 404, 500)),
    ("POST", "kernels", b'{"name": "../../etc"}', (400, 404, 500)),
    ("PUT", "kernels", b"{}", (404, 405)),
    ("GET", "nosuch", None, 404),
    ("GET", "sessions/00000000-0000-4000-8000-000000000000", None, 404),
    ("POST", "sessions", b"{}", 400),
])
def test_refusals(gateway, method, path, body, status):
    response = gateway.request(method, path, body)
    assert response.status_code in ((status,) if isinstance(status, int) else status), response.text
    told = response.json()
    assert told.get("message") or told.get("reason"), told
    if gateway.kind == "segue":
        assert "Traceback" not in response.text
    assert gateway.kernels() == []


@pytest.mark.beyond_jupyter
def test_clients_name_variables_and_only_some_are_taken(new_gateway):
    """As data: nothing of them is expanded, and nothing of one kernel's is in another's."""
    gateway = new_gateway("--kernel-env", "LAB_*").start()
    odd = "a b'c\"d$(touch /nothing)`id`\\ {{7*7}} \u00e9"
    kernel = gateway.start_kernel("python3", {"KERNEL_USERNAME": "ada", "KERNEL_ODD": odd, "LAB_COLOUR": "red",
                                              "LD_PRELOAD": "/nothing.so", "SECRET": "s"})
    other = gateway.start_kernel("python3", {})
    look = ("import os; print({k: v for k, v in os.environ.items() if k.startswith(('KERNEL_', 'LAB_', 'LD_', 'SECRET',"
            " 'SEGUE_TOKEN', 'JUPYTER_TOKEN'))})")
    with gateway.client(kernel) as client, gateway.client(other) as another:
        seen = eval(client.execute(look).text)  # noqa: S307
        assert seen["KERNEL_ODD"] == odd and seen["LAB_COLOUR"] == "red"
        assert not {"LD_PRELOAD", "SECRET"} & set(seen)
        assert not {"KERNEL_ODD", "LAB_COLOUR"} & set(eval(another.execute(look).text))  # noqa: S307
        assert gateway.token not in client.execute("import os; print(dict(os.environ))").text


@pytest.mark.beyond_jupyter
def test_as_many_kernels_as_there_may_be(new_gateway):
    gateway = new_gateway("--max-kernels", 3, "--max-kernels-per-user", 2).start()
    for _ in range(2):
        gateway.start_kernel("quick", {"KERNEL_USERNAME": "ada"})
    refused = gateway.request("POST", "kernels", {"name": "quick", "env": {"KERNEL_USERNAME": "ada"}})
    assert refused.status_code == 403, refused.text
    kernel = gateway.start_kernel("quick", {"KERNEL_USERNAME": "bob"})
    refused = gateway.request("POST", "kernels", {"name": "quick", "env": {"KERNEL_USERNAME": "eve"}})
    assert refused.status_code == 403 and refused.json()["message"]
    gateway.shut_down(kernel)
    gateway.start_kernel("quick", {"KERNEL_USERNAME": "eve"})


@pytest.mark.beyond_jupyter
def test_idle_kernels_are_culled(new_gateway):
    gateway = new_gateway("--cull-idle-timeout", 2, "--cull-interval", 1).start()
    idle, busy, connected = (gateway.start_kernel("quick") for _ in range(3))
    with gateway.client(connected) as client, gateway.client(busy) as working:
        client.ask("kernel_info_request")
        working.send_execute("rest 100000")
        gateway.wait_for_state(busy, "busy")
        working.close()
        wait_until(lambda: gateway.kernel(idle) is None, 30, "the idle one is gone")
        time.sleep(2)
        assert {model["id"] for model in gateway.kernels()} == {busy, connected}


@pytest.mark.beyond_jupyter
def test_pages_of_configured_origins_may_ask(new_gateway):
    ours, others = "https://lab.example.org", "https://evil.example.org"
    gateway = new_gateway("--allow-origin", ours).start()
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}
    told = gateway.request("OPTIONS", "kernels", headers={"Origin": ours, "Authorization": None, **asked})
    assert told.status_code in (200, 204)
    assert told.headers["Access-Control-Allow-Origin"] == ours
    assert "authorization" in told.headers["Access-Control-Allow-Headers"].lower()
    assert "POST" in told.headers["Access-Control-Allow-Methods"]
    assert gateway.request("GET", "kernels", headers={"Origin": ours}).headers["Access-Control-Allow-Origin"] == ours
    told = gateway.request("GET", "kernels", headers={"Origin": others})
    assert told.headers.get("Access-Control-Allow-Origin") not in (others, "*")
    kernel = gateway.start_kernel("quick")
    with gateway.client(kernel, origin=ours) as client:
        assert client.ask("kernel_info_request")["status"] == "ok"


@pytest.mark.beyond_jupyter
def test_a_kernel_that_cannot_start_says_why(new_gateway, jupyter_path):
    write_kernelspec(jupyter_path, "broken", ["sh", "-c", "echo no libmissing.so here >&2; exit 3", "{connection_file}"])
    gateway = new_gateway().start()
    refused = gateway.request("POST", "kernels", {"name": "broken"})
    assert refused.status_code >= 400
    assert "libmissing.so" in refused.text, refused.text
    wait_until(lambda: gateway.kernels() == [], 20, "it is gone again")
    (jupyter_path / "kernels/broken/kernel.json").unlink()


@pytest.mark.beyond_jupyter
def test_metrics_know_of_kernels(gateway):
    gateway.start_kernel("quick")
    text = gateway.request("GET", "/metrics", headers={"Authorization": f"Bearer {gateway.token}"}).text
    assert "kernel" in text
