"""Kernels of notebooks in containers: what is offered, what they find inside, and that nothing is left."""

import json
import os
import signal

import pytest
from support.segue import wait_until
from test_docker import engine  # noqa: F401
from test_gateway_rest import ask, check_model, new_gateway, put_environments, refused, run_code  # noqa: F401

OWNER = 1000


@pytest.fixture
def gateway(new_gateway, engine):  # noqa: F811
    """A service with a project whose environments are images; its owner is not the service's user."""
    made = new_gateway(more_env={"DOCKER_HOST": engine.host})
    put_environments(
        made, "wine",
        python={"launcher": "docker", "image": "segue/python", "env": {"MODE": "calm"},
                "resources": {"memory": "512 MiB"}},
        r={"launcher": "docker", "image": "segue/r", "kernelspec": "ir"},
        gone={"launcher": "docker", "image": "segue/no-such-image"},
        wrong={"launcher": "docker", "image": "segue/bash", "kernelspec": "ir"})
    (made.projects / "wine/deep").mkdir()
    (made.projects / "other").mkdir()
    for path in [made.projects / "wine", *(made.projects / "wine").rglob("*")]:
        os.chown(path, OWNER, OWNER)
    yield made.start()
    made.shut_all_down()
    state = (made.state / "id").read_text()
    wait_until(lambda: not engine.docker("ps", "-aq", "--filter", f"label=segue.state={state}"), 20,
               "no container is left")


def containers(engine, gateway):  # noqa: F811
    state = (gateway.state / "id").read_text()
    return engine.docker("ps", "-q", "--filter", f"label=segue.state={state}").split()


def test_images_are_offered(gateway):
    specs = ask(gateway, "GET", "kernelspecs", 200)["kernelspecs"]
    python, r = specs["wine.python"]["spec"], specs["wine.r"]["spec"]
    assert python["display_name"] == "Python 3 · python (wine)"
    assert (python["language"], r["language"]) == ("python", "R")
    assert "ipykernel_launcher" in python["argv"]
    assert python["metadata"]["debugger"] is True
    assert python["metadata"]["segue"] == {"project": "wine", "environment": "python", "launcher": "docker",
                                           "image": "segue/python"}
    gone, wrong = specs["wine.gone"]["spec"], specs["wine.wrong"]["spec"]
    assert gone["display_name"].endswith(" · gone (wine) (image missing)")
    assert "segue/no-such-image" in gone["metadata"]["segue"]["problem"]
    assert wrong["display_name"].endswith(" (unavailable)")
    assert '"ir"' in wrong["metadata"]["segue"]["problem"]


def test_what_cannot_start_says_why(gateway):
    assert "segue/no-such-image" in refused(gateway, "POST", "kernels", 500, {"name": "wine.gone"})
    assert '"ir"' in refused(gateway, "POST", "kernels", 500, {"name": "wine.wrong"})
    wait_until(lambda: gateway.kernels() == [], 20, "nothing is left of them")


LOOK = """
import json, os, segue
print(json.dumps({"cwd": os.getcwd(), "uid": os.getuid(), "env": dict(os.environ), "files": os.listdir("/project-dir"),
                  "memory": open("/sys/fs/cgroup/memory.max").read() if os.path.exists("/sys/fs/cgroup/memory.max") else
                            open("/sys/fs/cgroup/memory/memory.limit_in_bytes").read()}))
open("/project-dir/made", "w").close()
open("/data/made", "w").close()
"""


def test_what_a_kernel_finds_inside(gateway, engine):  # noqa: F811
    body = {"name": "wine.python", "env": {"KERNEL_X": "$(x)", "KERNEL_USERNAME": "ada",
                                           "KERNEL_WORKING_DIR": str(gateway.projects / "wine/deep")}}
    model = check_model(ask(gateway, "POST", "kernels", 201, body), name="wine.python")
    (container,) = containers(engine, gateway)
    seen = json.loads(run_code(gateway, model["id"], LOOK))
    assert seen["cwd"] == "/project-dir/deep"
    assert seen["uid"] == OWNER
    assert "deep" in seen["files"]
    assert int(seen["memory"]) == 512 << 20
    env = seen["env"]
    assert (env["MODE"], env["KERNEL_X"]) == ("calm", "$(x)")
    assert (env["SEGUE_PROJECT_DIR"], env["SEGUE_DATA_DIR"]) == ("/project-dir", "/data")
    assert (gateway.projects / "wine/made").stat().st_uid == OWNER
    assert (gateway.state / "data/made").exists()
    ask(gateway, "POST", f"kernels/{model['id']}/restart", 200, {})
    assert containers(engine, gateway) != [container]
    assert run_code(gateway, model["id"], "print('MODE' in __import__('os').environ)") == "True\n"


def test_a_directory_of_another_project_is_not_there(gateway):
    body = {"name": "wine.python", "env": {"KERNEL_WORKING_DIR": str(gateway.projects / "other")}}
    kernel = ask(gateway, "POST", "kernels", 201, body)["id"]
    assert run_code(gateway, kernel, "import os; print(os.getcwd())") == "/project-dir\n"


def test_a_container_outlives_the_daemon(gateway, engine):  # noqa: F811
    kernel = gateway.start_kernel("wine.python")
    assert run_code(gateway, kernel, "x = 41; print(x)") == "41\n"
    before = containers(engine, gateway)
    gateway.kill9()
    gateway.start()
    assert run_code(gateway, kernel, "print(x + 1)") == "42\n"
    assert containers(engine, gateway) == before


def test_a_killed_keeper_leaves_no_container(gateway, engine):  # noqa: F811
    kernel = gateway.start_kernel("wine.python")
    os.kill(gateway.keeper_of(kernel), signal.SIGKILL)
    wait_until(lambda: not containers(engine, gateway), 30, "the container is gone")
    wait_until(lambda: gateway.kernels() == [], 30, "the kernel is gone")


def test_out_of_memory_is_told_where_it_happened(gateway):
    eat = "x = bytearray(900_000_000)\nfor i in range(0, len(x), 4096): x[i] = 1\n"
    kernel = gateway.start_kernel("wine.python")
    with gateway.client(kernel) as client:
        request = client.send_execute(eat)
        client.until(lambda m: m["content"].get("execution_state") == "restarting", 60)
        assert "out of memory" in client.outcome(request).stream("stderr")
    wait_until(lambda: ask(gateway, "GET", f"kernels/{kernel}", 200)["execution_state"] == "idle", 60, "it is back")
    assert "out of memory" in ask(gateway, "GET", f"kernels/{kernel}", 200)["reason"]
    assert run_code(gateway, kernel, "print('x' in globals())") == "False\n"
