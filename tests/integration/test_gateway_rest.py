"""Jupyter's kernel gateway API over HTTP: kernelspecs, kernels, sessions, and who is turned away. What
is said over the WebSockets themselves is judged in tests/gateway."""

import concurrent.futures
import contextlib
import http.client
import json
import os
import re
import time
import uuid
from datetime import datetime

import pytest
from support.gateway import V1, SegueGateway
from support.notebooks import code, notebook
from support.project import Step
from support.segue import environment, wait_until, write_kernelspec

UNKNOWN = "00000000-0000-4000-8000-000000000000"
LAST_ACTIVITY = "%Y-%m-%dT%H:%M:%S.%fZ"  # as jupyter_server's gateway client reads it


@pytest.fixture
def new_gateway(tmp_path_factory, jupyter_path, segue_path):
    """Makes services that lie in a directory of their own: new_gateway("--max-kernels", 2). Not started."""

    def make(*options, more_env=None):
        root = tmp_path_factory.mktemp("g")
        env = environment(root / "state", jupyter_path, **(more_env or {}))
        gateway = SegueGateway(root, env, *options)
        made.push(lambda kind, *_: gateway.process and gateway.close(check=kind is None))
        return gateway

    with contextlib.ExitStack() as made:
        yield make


@pytest.fixture
def gateway(new_gateway):
    return new_gateway().start()


def ask(gateway, method, path, status, body=None, **more):
    """The parsed answer (None: empty), which must have this status."""
    response = gateway.request(method, path, body, **more)
    what = f"{method} {path}: {response.status_code} {response.text}"
    assert response.status_code == status, f"{what}\n{gateway.explain()}"
    return response.json() if response.content else None


def refused(gateway, method, path, status, body=None, **more):
    """The message of a refusal, which has the form that Jupyter's clients show."""
    answer = ask(gateway, method, path, status, body, **more)
    assert isinstance(answer["message"], str) and isinstance(answer["reason"], str)
    assert "traceback" not in answer
    return answer["message"]


def check_model(model, **wanted):
    assert uuid.UUID(model["id"])
    assert isinstance(model["name"], str)
    assert datetime.strptime(model["last_activity"], LAST_ACTIVITY)
    assert model["execution_state"] in ("starting", "idle", "busy", "restarting", "dead")
    assert isinstance(model["connections"], int)
    for name, value in wanted.items():
        assert model[name] == value, model
    return model


def run_code(gateway, kernel, source):
    with gateway.client(kernel) as client:
        return client.execute(source).text


def variables_of(gateway, kernel):
    """The environment of a kernel, as it sees it."""
    return json.loads(run_code(gateway, kernel, "import json, os; print(json.dumps(dict(os.environ)))"))


def put_environments(gateway, project, **environments):
    folder = gateway.projects / project / ".segue"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "environments.json").write_text(json.dumps(environments))


# ------------------------------------------------------------------------------------ who may ask it


@pytest.mark.parametrize("value", ["token {}", "Token {}", "bearer {}", "Bearer {}"])
def test_every_form_of_the_token_is_taken(gateway, value):
    ask(gateway, "GET", "/api", 200, headers={"Authorization": value.format(gateway.token)})


def test_the_token_may_be_in_the_query(gateway):
    ask(gateway, "GET", f"/api/kernels?token={gateway.token}", 200, headers={"Authorization": None})


@pytest.mark.parametrize("value", [None, "token ", "token wrong", "Basic eDp4"])
def test_without_the_token_nothing_is_told(gateway, value):
    for path in ("/api", "/api/kernels", "/api/kernelspecs", "/api/sessions", "/api/status", "/api/me",
                 "/kernelspecs/python3/logo-64x64.png", f"/api/kernels/{UNKNOWN}/channels"):
        refused(gateway, "GET", path, 401, headers={"Authorization": value})
    refused(gateway, "POST", "kernels", 401, {}, headers={"Authorization": value})
    assert ask(gateway, "GET", "kernels", 200) == []


def test_numbers_against_caches_are_let_pass(gateway):
    ask(gateway, "GET", "/api/kernels?1700000000000", 200)
    ask(gateway, "GET", "/api/kernelspecs?1700000000000", 200)


def test_unknown_paths_are_refused_as_jupyter_does(gateway):
    refused(gateway, "GET", "contents", 404)
    refused(gateway, "PUT", "kernels", 405, {})
    problem = gateway.request("GET", "/api/v1/nothing")
    assert problem.headers["Content-Type"] == "application/problem+json"


# ----------------------------------------------------------------------------------- small resources


def test_version_me_and_status(gateway):
    assert re.match(r"\d+\.\d+", ask(gateway, "GET", "/api", 200)["version"])
    me = ask(gateway, "GET", "me", 200)
    assert me["identity"]["username"] and me["permissions"] == {}
    before = ask(gateway, "GET", "status", 200)
    assert (before["kernels"], before["connections"]) == (0, 0)
    kernel = gateway.start_kernel()
    with gateway.client(kernel) as client:
        client.execute("1")
        status = wait_until(lambda: (s := ask(gateway, "GET", "status", 200))["connections"] and s, 20, "a connection")
    assert status["kernels"] == 1
    assert status["started"] == before["started"]
    for name in ("started", "last_activity"):
        assert datetime.strptime(status[name], LAST_ACTIVITY)
    assert status["last_activity"] > before["last_activity"]


def test_metrics_count_kernels(gateway):
    gateway.start_kernel()
    text = gateway.request("GET", "/metrics").text
    assert 'segue_interactive_kernels{state="idle"} 1' in text


# --------------------------------------------------------------------------------------- kernelspecs


@pytest.fixture
def own_kernels(tmp_path):
    """A directory for JUPYTER_PATH with one kernel that has everything."""
    write_kernelspec(tmp_path, "Shiny", ["shiny", "{connection_file}"], language="Shine", display_name="Shiny 1",
                     interrupt_mode="message", env={"A": "b"}, metadata={"debugger": True})
    folder = tmp_path / "kernels/Shiny"
    (folder / "logo-64x64.png").write_bytes(b"\x89PNG shiny")
    (folder / "logo-svg.svg").write_text("<svg/>")
    (folder / "kernel.js").write_text("define({})")
    (folder / "secret.txt").write_text("no")
    (folder / "logo-out.png").symlink_to("/etc/passwd")
    return tmp_path


@pytest.fixture
def shiny(new_gateway, own_kernels, jupyter_path):
    path = f"{own_kernels}:{jupyter_path}"
    return new_gateway(more_env={"JUPYTER_PATH": path}).start()


def test_kernelspecs_are_listed(shiny):
    answer = ask(shiny, "GET", "kernelspecs", 200)
    assert answer["default"] == "python3"
    assert {"python3", "bash", "shiny"} <= set(answer["kernelspecs"])
    for name, entry in answer["kernelspecs"].items():
        assert entry["name"] == name and re.fullmatch(r"[\w.\-]+", name)
        assert entry["spec"]["argv"] and all(isinstance(a, str) for a in entry["spec"]["argv"])
        for key in ("display_name", "language"):
            assert isinstance(entry["spec"][key], str)
        assert isinstance(entry["resources"], dict)
    assert answer["kernelspecs"]["shiny"] == {
        "name": "shiny",
        "spec": {"argv": ["shiny", "{connection_file}"], "display_name": "Shiny 1", "language": "Shine",
                 "interrupt_mode": "message", "env": {"A": "b"}, "metadata": {"debugger": True}},
        "resources": {"logo-64x64": "/kernelspecs/shiny/logo-64x64.png", "logo-out": "/kernelspecs/shiny/logo-out.png",
                      "logo-svg": "/kernelspecs/shiny/logo-svg.svg", "kernel.js": "/kernelspecs/shiny/kernel.js"},
    }


def test_a_single_kernelspec(shiny):
    listed = ask(shiny, "GET", "kernelspecs", 200)["kernelspecs"]
    for path in ("kernelspecs/shiny", "kernelspecs/Shiny", "kernelspecs?user=ada%2Fshiny", "kernelspecs?user=ada/shiny"):
        assert ask(shiny, "GET", path, 200) == listed["shiny"]
    assert ask(shiny, "GET", "kernelspecs?user=ada", 200)["kernelspecs"] == listed
    refused(shiny, "GET", "kernelspecs/nothing", 404)
    refused(shiny, "GET", "kernelspecs?user=ada/nothing", 404)


def test_resources_are_served(shiny):
    logo = shiny.request("GET", "/kernelspecs/shiny/logo-64x64.png")
    assert (logo.status_code, logo.content) == (200, b"\x89PNG shiny")
    assert logo.headers["Content-Type"] == "image/png"
    assert logo.headers["Cache-Control"] == "max-age=2592000"
    svg = shiny.request("GET", "/kernelspecs/shiny/logo-svg.svg")
    assert svg.headers["Content-Type"].startswith("image/svg+xml")
    assert shiny.request("GET", "/kernelspecs/shiny/kernel.js").text == "define({})"


@pytest.mark.parametrize("file", ["secret.txt", "kernel.json", "nothing.png", "..%2f..%2fkernels%2fShiny%2fsecret.txt",
                                  "%2e%2e", "logo-out.png", "..%2fShiny%2flogo-64x64.png"])
def test_only_listed_resources_are_served(shiny, file):
    connection = http.client.HTTPConnection("127.0.0.1", shiny.port, timeout=20)
    connection.request("GET", f"/kernelspecs/shiny/{file}", headers={"Authorization": f"token {shiny.token}"})
    answer = connection.getresponse()
    assert answer.status == 404, answer.read()
    connection.close()


def test_environments_are_kernelspecs(gateway):
    put_environments(gateway, "wine", science={"kernelspec": "python3"}, old={"launcher": "docker", "image": "no/such"})
    put_environments(gateway, ".", **{"For All": {}})
    put_environments(gateway, "broken")
    (gateway.projects / "broken/.segue/environments.json").write_text("{")
    specs = ask(gateway, "GET", "kernelspecs", 200)["kernelspecs"]
    science = specs["wine.science"]["spec"]
    assert science["display_name"] == "python3 · science (wine)"
    assert science["language"] == "python" and science["argv"]
    assert science["metadata"]["segue"] == {"project": "wine", "environment": "science", "launcher": "process"}
    assert specs["for-all"]["spec"]["metadata"]["segue"]["project"] == "."
    old = specs["wine.old"]["spec"]
    assert re.search(r"\((image missing|unavailable)\)$", old["display_name"])
    assert old["metadata"]["segue"]["problem"] and old["argv"]
    assert not any(name.startswith("broken") for name in specs)


def test_the_default_can_be_chosen(new_gateway):
    gateway = new_gateway("--default-kernel", "bash").start()
    assert ask(gateway, "GET", "kernelspecs", 200)["default"] == "bash"
    model = ask(gateway, "POST", "kernels", 201)
    assert model["name"] == "bash"


# ------------------------------------------------------------------------------------------- kernels


def test_a_kernel_s_life(gateway):
    response = gateway.request("POST", "kernels", {"name": "python3"})
    assert response.status_code == 201, response.text
    model = check_model(response.json(), name="python3", execution_state="idle", connections=0)
    kernel = model["id"]
    assert "reason" not in model
    assert response.headers["Location"] == f"/api/kernels/{kernel}"
    assert ask(gateway, "GET", "kernels", 200) == [model]
    assert check_model(ask(gateway, "GET", f"kernels/{kernel}", 200)) == model
    assert run_code(gateway, kernel, "x = 1; print(x)") == "1\n"
    assert ask(gateway, "POST", f"kernels/{kernel}/interrupt", 204, {}) is None
    restarted = ask(gateway, "POST", f"kernels/{kernel}/restart", 200, {})
    check_model(restarted, id=kernel, execution_state="idle")
    assert run_code(gateway, kernel, "print('x' in globals())") == "False\n"
    assert ask(gateway, "DELETE", f"kernels/{kernel}", 204) is None
    assert ask(gateway, "GET", "kernels", 200) == []
    for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/interrupt"), ("POST", "/restart")):
        message = refused(gateway, method, f"kernels/{kernel}{path}", 404)
        assert message == f"Kernel does not exist: {kernel}"
    gateway.nothing_left()


@pytest.mark.parametrize("body", [None, "", {}, {"name": None}, {"name": ""}, "null"])
def test_an_empty_wish_gets_the_default(gateway, body):
    check_model(ask(gateway, "POST", "kernels", 201, body), name="python3")


@pytest.mark.parametrize(("body", "says"), [
    ("{", "Invalid JSON in body of request"),
    ("[]", "object"),
    ({"env": []}, "env"),
    ({"env": {"KERNEL_A": 1}}, "env"),
    ({"env": {"KERNEL_A": "x" * 140000}}, "KERNEL_A"),
    ({"kernel_id": "../../etc"}, "uuid"),
    ({"name": 3}, "name"),
    ({"path": ["a"]}, "path"),
])
def test_bad_wishes_are_refused(gateway, body, says):
    assert says in refused(gateway, "POST", "kernels", 400, body)
    assert ask(gateway, "GET", "kernels", 200) == []


def test_an_unknown_kernelspec_names_the_others(gateway):
    message = refused(gateway, "POST", "kernels", 404, {"name": "basic"})
    assert '"basic"' in message and "python3" not in message.split(";")[0] and "bash" in message


def test_the_body_s_size_is_bounded(gateway):
    refused(gateway, "POST", "kernels", 413, {"env": {"OTHER": "x" * (1 << 20)}})
    environ = {f"VARIABLE_{i}": "x" * 1000 for i in range(500)}  # what old clients send
    ask(gateway, "POST", "kernels", 201, {"env": environ})


@pytest.mark.parametrize(("name", "says"), [
    ("fake-no-program", "/nonexistent/kernel"),
    ("fake-exits-at-start", "exit status"),
])
def test_a_kernel_that_cannot_start_says_why(gateway, name, says):
    answer = ask(gateway, "POST", "kernels", 500, {"name": name})
    assert answer["reason"] and says in answer["message"], answer
    wait_until(lambda: gateway.kernels() == [], 20, "nothing is left of it")


def test_clients_may_choose_the_id(gateway):
    wanted = str(uuid.uuid4())
    assert ask(gateway, "POST", "kernels", 201, {"env": {"KERNEL_ID": wanted.upper()}})["id"] == wanted
    answer = ask(gateway, "POST", "kernels", 409, {"env": {"KERNEL_ID": wanted}})
    assert answer["message"]
    other = str(uuid.uuid4())
    assert ask(gateway, "POST", "kernels", 201, {"kernel_id": other})["id"] == other
    assert ask(gateway, "POST", "kernels", 201, {"env": {"KERNEL_ID": "mine"}})["id"] not in ("mine", wanted, other)


def test_too_many_kernels_are_refused(new_gateway):
    gateway = new_gateway("--max-kernels", 3, "--max-kernels-per-user", 1).start()
    ada, bob = ({"env": {"KERNEL_USERNAME": name}} for name in ("ada", "bob"))
    first = ask(gateway, "POST", "kernels", 201, ada)["id"]
    for limit in (ada, ada):
        answer = ask(gateway, "POST", "kernels", 403, limit)
        assert answer["reason"] == "Resource Limit" and answer["message"]
    ask(gateway, "POST", "kernels", 201, bob)
    ask(gateway, "DELETE", f"kernels/{first}", 204)
    ask(gateway, "POST", "kernels", 201, ada)


def test_many_at_once_all_start(new_gateway):
    gateway = new_gateway("--max-starting-kernels", 2).start()
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        kernels = list(pool.map(lambda _: gateway.start_kernel(), range(6)))
    assert {model["id"] for model in ask(gateway, "GET", "kernels", 200)} == set(kernels)


def test_idle_kernels_are_culled(new_gateway):
    gateway = new_gateway("--cull-idle-timeout", 1, "--cull-interval", 1).start()
    gateway.start_kernel()
    wait_until(lambda: gateway.kernels() == [], 30, "it is culled")


def test_kernels_outlive_the_daemon(gateway):
    kernel = gateway.start_kernel()
    assert run_code(gateway, kernel, "x = 6 * 7; print(x)") == "42\n"
    gateway.kill9()
    gateway.start()
    check_model(ask(gateway, "GET", f"kernels/{kernel}", 200), id=kernel, name="python3")
    assert run_code(gateway, kernel, "print(x)") == "42\n"


def test_the_daemon_does_not_wait_for_a_kernel_to_stop(gateway):
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        kernel = pool.submit(gateway.request, "POST", "kernels", {"name": "fake-never-answers-kernel-info"})
        session = pool.submit(gateway.request, "POST", "sessions", {
            "path": "a.ipynb", "type": "notebook", "kernel": {"name": "fake-never-answers-kernel-info"}})
        wait_until(lambda: len(gateway.kernels()) == 2, 30, "they start")
        gateway.stop(20)
        for answer in (kernel, session):
            assert answer.exception() or answer.result().status_code >= 500
    gateway.start()
    assert {model["execution_state"] for model in gateway.kernels()} == {"starting"}
    assert ask(gateway, "GET", "sessions", 200) == []


# ----------------------------------------------------------------------- what kernels get, and where


def test_variables_are_filtered(new_gateway):
    gateway = new_gateway("--kernel-env", "ALLOWED", "--kernel-env", "AWS_*").start()
    given = {"KERNEL_X": "$(touch x) `y` ${HOME}\n'\"", "ALLOWED": "1", "ALLOWED2": "no", "AWS_KEY": "k", "OTHER": "no",
             "PATH": "/nowhere", "LD_PRELOAD": "/nowhere.so", "PYTHONSTARTUP": "/nowhere.py", "SEGUE_ATTEMPT": "x"}
    seen = variables_of(gateway, gateway.start_kernel(env=given))
    assert seen["KERNEL_X"] == given["KERNEL_X"]
    assert (seen["ALLOWED"], seen["AWS_KEY"]) == ("1", "k")
    assert not {"ALLOWED2", "OTHER", "LD_PRELOAD", "PYTHONSTARTUP"} & set(seen)
    assert seen["PATH"] != "/nowhere" and seen["SEGUE_ATTEMPT"] != "x"
    assert "$(touch" not in gateway.errors()


def test_nobody_gets_another_s_variables(gateway):
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        envs = [{"KERNEL_SECRET": "a"}, {"KERNEL_OTHER": "b"}, None]
        kernels = list(pool.map(lambda env: gateway.start_kernel(env=env), envs))
    a, b, none = (variables_of(gateway, kernel) for kernel in kernels)
    assert (a.get("KERNEL_SECRET"), a.get("KERNEL_OTHER")) == ("a", None)
    assert (b.get("KERNEL_SECRET"), b.get("KERNEL_OTHER")) == (None, "b")
    assert not {"KERNEL_SECRET", "KERNEL_OTHER"} & set(none)


def test_an_environment_s_kernel(gateway):
    put_environments(gateway, "wine", science={"kernelspec": "python3", "env": {"MODE": "calm", "KERNEL_Y": "own"}})
    kernel = gateway.start_kernel("wine.science", {"KERNEL_Y": "client"})
    assert check_model(gateway.kernel(kernel))["name"] == "wine.science"
    seen = variables_of(gateway, kernel)
    assert (seen["MODE"], seen["KERNEL_Y"]) == ("calm", "client")
    assert seen["SEGUE_PROJECT_DIR"] == str(gateway.projects / "wine")
    assert seen["SEGUE_DATA_DIR"]
    assert run_code(gateway, kernel, "import os, segue; print(os.getcwd())") == f"{gateway.projects}/wine\n"


def test_an_environment_that_cannot_be_used_says_why(gateway):
    put_environments(gateway, "wine", old={"launcher": "docker", "image": "no/such"})
    assert "wine" in refused(gateway, "POST", "kernels", 500, {"name": "wine.old"})
    assert ask(gateway, "GET", "kernels", 200) == []


@pytest.mark.parametrize(("body", "where"), [
    ({}, "."),
    ({"path": "a/deep/n.ipynb"}, "a/deep"),
    ({"path": "a/deep"}, "a/deep"),
    ({"path": "../outside/n.ipynb"}, "."),
    ({"path": "out/n.ipynb"}, "."),
    ({"env": {"KERNEL_WORKING_DIR": "{}/a/deep"}}, "a/deep"),
    ({"env": {"KERNEL_WORKING_DIR": "/"}}, "."),
    ({"env": {"KERNEL_WORKING_DIR": "{}/out"}}, "."),
])
def test_where_a_kernel_starts(gateway, body, where):
    (gateway.projects / "a/deep").mkdir(parents=True)
    (gateway.root / "outside").mkdir()
    (gateway.projects / "out").symlink_to(gateway.root / "outside")
    body = json.loads(json.dumps(body).replace("{}/", f"{gateway.projects}/"))
    kernel = ask(gateway, "POST", "kernels", 201, body)["id"]
    cwd = run_code(gateway, kernel, "import os; print(os.getcwd())").strip()
    assert cwd == os.path.normpath(gateway.projects / where)


# ------------------------------------------------------------------------------------- the handshake

KEY = "dGhlIHNhbXBsZSBub25jZQ=="


def shake(gateway, kernel, *, query="", **headers):
    """The answer to a WebSocket handshake; the connection is closed."""
    sent = {"Authorization": f"token {gateway.token}", "Upgrade": "websocket", "Connection": "Upgrade",
            "Sec-WebSocket-Key": KEY, "Sec-WebSocket-Version": "13",
            **{name.replace("_", "-"): value for name, value in headers.items()}}
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=20)
    connection.request("GET", f"/api/kernels/{kernel}/channels{query}",
                       headers={name: value for name, value in sent.items() if value is not None})
    answer = connection.getresponse()
    connection.close()
    return answer


@pytest.fixture
def kernel(gateway):
    return gateway.start_kernel()


def test_handshakes(gateway, kernel):
    answer = shake(gateway, kernel)
    assert answer.status == 101
    assert answer.headers["Sec-WebSocket-Accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    assert answer.headers["Sec-WebSocket-Protocol"] is None
    assert shake(gateway, kernel, Sec_WebSocket_Protocol=f"x, {V1}").headers["Sec-WebSocket-Protocol"] == V1
    assert shake(gateway, kernel, Sec_WebSocket_Protocol="x").headers["Sec-WebSocket-Protocol"] is None
    assert shake(gateway, kernel, Authorization=None, query=f"?session_id=s&token={gateway.token}").status == 101
    assert shake(gateway, kernel, query=f"?session_id={'x' * 5000}").status == 101


def test_refused_handshakes(gateway, kernel):
    assert shake(gateway, kernel, Authorization=None).status == 401
    assert shake(gateway, UNKNOWN).status == 404
    assert shake(gateway, kernel, Upgrade=None, Connection=None).status in (400, 426)
    assert shake(gateway, kernel, Sec_WebSocket_Key=None).status == 400
    assert shake(gateway, kernel, Sec_WebSocket_Version="12").status in (400, 426)
    assert ask(gateway, "GET", f"kernels/{kernel}", 200)["id"] == kernel


def test_origins(new_gateway):
    gateway = new_gateway("--allow-origin", "https://lab.example.org").start()
    kernel = gateway.start_kernel()
    for origin, status in ((f"http://127.0.0.1:{gateway.port}", 101), ("https://lab.example.org", 101),
                           ("https://lab.example.org.evil.org", 403), ("http://lab.example.org", 403), ("null", 403)):
        assert shake(gateway, kernel, Origin=origin).status == status, origin
    allowed = gateway.request("GET", "kernels", headers={"Origin": "https://lab.example.org"})
    assert allowed.headers["Access-Control-Allow-Origin"] == "https://lab.example.org"
    other = gateway.request("GET", "kernels", headers={"Origin": "https://other.example.org"})
    assert "Access-Control-Allow-Origin" not in other.headers


# ------------------------------------------------------------------------------------------ sessions


def begin(gateway, path="a.ipynb", status=201, **more):
    body = {"path": path, "type": "notebook", "name": "", "kernel": {"name": "python3"}, **more}
    return ask(gateway, "POST", "sessions", status, body)


def test_a_session_s_life(gateway):
    session = begin(gateway, "wine/a.ipynb", name="A")
    check_model(session["kernel"], name="python3")
    assert {name: session[name] for name in ("path", "name", "type", "notebook")} == {
        "path": "wine/a.ipynb", "name": "A", "type": "notebook", "notebook": {"path": "wine/a.ipynb", "name": "A"}}
    assert begin(gateway, "wine/a.ipynb")["id"] == session["id"]
    assert len(ask(gateway, "GET", "kernels", 200)) == 1
    assert ask(gateway, "GET", "sessions", 200) == [ask(gateway, "GET", f"sessions/{session['id']}", 200)]
    renamed = ask(gateway, "PATCH", f"sessions/{session['id']}", 200, {"path": "wine/b.ipynb", "name": "B"})
    assert (renamed["id"], renamed["path"], renamed["name"]) == (session["id"], "wine/b.ipynb", "B")
    assert renamed["kernel"]["id"] == session["kernel"]["id"]
    assert ask(gateway, "DELETE", f"sessions/{session['id']}", 204) is None
    assert ask(gateway, "GET", "sessions", 200) == ask(gateway, "GET", "kernels", 200) == []
    for method in ("GET", "DELETE", "PATCH"):
        refused(gateway, method, f"sessions/{session['id']}", 404, {} if method == "PATCH" else None)


def test_a_session_of_a_kernel_that_is_there(gateway, kernel):
    session = begin(gateway, type="console", kernel={"id": kernel})
    assert session["kernel"]["id"] == kernel
    assert "notebook" not in session
    assert len(gateway.kernels()) == 1


def test_a_session_gets_another_kernel(gateway):
    session = begin(gateway)
    changed = ask(gateway, "PATCH", f"sessions/{session['id']}", 200, {"kernel": {"name": "bash"}})
    assert changed["kernel"]["name"] == "bash" and changed["id"] == session["id"]
    new = changed["kernel"]["id"]
    wait_until(lambda: [k["id"] for k in gateway.kernels()] == [new], 30, "the old kernel is gone")
    other = gateway.start_kernel()
    ask(gateway, "PATCH", f"sessions/{session['id']}", 200, {"kernel": {"id": other}})
    wait_until(lambda: [k["id"] for k in gateway.kernels()] == [other], 30, "the old kernel is gone")
    answer = ask(gateway, "PATCH", f"sessions/{session['id']}", 501, {"kernel": {"id": UNKNOWN}})
    assert answer["message"] and answer["short_message"]
    assert gateway.kernel(other)


def test_sessions_without_kernels_vanish(gateway):
    listed, asked = begin(gateway), begin(gateway, "b.ipynb")
    for session in (listed, asked):
        ask(gateway, "DELETE", f"kernels/{session['kernel']['id']}", 204)
    refused(gateway, "DELETE", f"sessions/{asked['id']}", 410)
    assert ask(gateway, "GET", "sessions", 200) == []
    refused(gateway, "DELETE", f"sessions/{listed['id']}", 404)
    assert begin(gateway)["id"] != listed["id"]


@pytest.mark.parametrize(("body", "says"), [
    ({"type": "notebook"}, "path"),
    ({"path": "", "type": "notebook"}, "path"),
    ({"path": "a.ipynb"}, "type"),
    ({"path": "x" * 5000, "type": "notebook"}, "too long"),
    ({"path": "a.ipynb", "type": "notebook", "env": 1}, "env"),
    ({"path": "a.ipynb", "type": "notebook", "kernel": {"name": 1}}, "name"),
    ({"path": 1, "type": "notebook"}, "path"),
    ("{", "Invalid JSON"),
])
def test_bad_sessions_are_refused(gateway, body, says):
    assert says in refused(gateway, "POST", "sessions", 400, body)
    assert gateway.kernels() == []


@pytest.mark.parametrize("kernel", [{"name": "nothing"}, {"id": UNKNOWN}, {"name": "fake-no-program"}])
def test_a_session_whose_kernel_cannot_start(gateway, kernel):
    answer = begin(gateway, status=501, kernel=kernel)
    assert answer["message"] and answer["short_message"]
    assert ask(gateway, "GET", "sessions", 200) == []
    wait_until(lambda: gateway.kernels() == [], 20, "nothing is left of it")


def test_the_old_form_of_a_session(gateway):
    session = ask(gateway, "POST", "sessions", 201, {"notebook": {"path": "a.ipynb"}})
    assert (session["path"], session["type"]) == ("a.ipynb", "notebook")


def test_one_path_has_one_session(gateway):
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        sessions = list(pool.map(lambda _: begin(gateway), range(4)))
    assert len({session["id"] for session in sessions}) == 1
    wait_until(lambda: len(gateway.kernels()) == 1, 30, "there is one kernel")


def test_sessions_outlive_the_daemon(gateway):
    kept, ended = begin(gateway), begin(gateway, "b.ipynb")
    ask(gateway, "DELETE", f"sessions/{ended['id']}", 204)
    gateway.kill9()
    gateway.start()
    (session,) = ask(gateway, "GET", "sessions", 200)
    assert (session["id"], session["kernel"]["id"]) == (kept["id"], kept["kernel"]["id"])


# ------------------------------------------------------------------------------------ steps' kernels


def kernel_of_step(gateway):
    return wait_until(lambda: next((k for k in gateway.kernels() if "segue" in k), None), 30, "a step's kernel")


def post_run(gateway, project, **fields):
    run = ask(gateway, "POST", "/api/v1/runs", 201, gateway.body_for(project, **fields))
    return run["uuid"]


def end_of(gateway, run):
    def look():
        found = ask(gateway, "GET", f"/api/v1/runs/{run}", 200)
        return found if found["finished_time"] else None
    return wait_until(look, 60, "the run has ended")


def test_a_running_step_s_kernel(gateway, tmp_path):
    flag = tmp_path / "flag"
    cell = f"import os, time\nwhile not os.path.exists({str(flag)!r}): time.sleep(0.02)"
    run = post_run(gateway, gateway.project("p", Step("a", notebook(code(cell)))))
    model = check_model(kernel_of_step(gateway), name="python3")
    assert model["segue"]["run_uuid"] == run and model["segue"]["step_uuid"]
    kernel = model["id"]
    assert ask(gateway, "GET", f"kernels/{kernel}", 200)["segue"] == model["segue"]
    assert "cancel the run" in refused(gateway, "DELETE", f"kernels/{kernel}", 403)
    refused(gateway, "POST", f"kernels/{kernel}/restart", 403)
    session = begin(gateway, "a.ipynb", kernel={"id": kernel})
    ask(gateway, "DELETE", f"sessions/{session['id']}", 204)
    answer = ask(gateway, "POST", "kernels", 409, {"env": {"KERNEL_ID": kernel}})
    assert kernel in answer["message"]
    flag.touch()
    assert end_of(gateway, run)["status"] == "SUCCESS"
    wait_until(lambda: gateway.kernels() == [], 30, "it is gone")


def test_a_step_s_kernel_can_be_interrupted(gateway):
    cell = "print('here', flush=True)\nimport time\ntime.sleep(600)"
    run = post_run(gateway, gateway.project("p", Step("a", notebook(code(cell)))))
    kernel = kernel_of_step(gateway)["id"]
    wait_until(lambda: (gateway.kernel(kernel) or {}).get("execution_state") == "busy", 30, "it runs")

    def look():  # an interrupt that comes before the cell has begun to sleep may be lost in an import
        gateway.request("POST", f"kernels/{kernel}/interrupt", {})
        time.sleep(0.2)
        return gateway.kernel(kernel) is None
    wait_until(look, 30, "the step has ended")
    assert end_of(gateway, run)["status"] == "FAILURE"


def test_a_kept_kernel_can_be_let_go(gateway):
    project = gateway.project("p", Step("a", notebook(code("x = 41\nraise SystemError(x)"))))
    run = post_run(gateway, project, keep_kernels=600)
    assert end_of(gateway, run)["status"] == "FAILURE"
    kernel = kernel_of_step(gateway)["id"]
    ask(gateway, "DELETE", f"kernels/{kernel}", 204)
    wait_until(lambda: gateway.kernels() == [], 30, "it is gone")
    gateway.nothing_left()
