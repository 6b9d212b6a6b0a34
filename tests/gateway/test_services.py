"""@jupyterlab/services in Node: JupyterLab's own idea of what each message and answer must be."""

import os
import re
import subprocess
from pathlib import Path

import pytest
from support.segue import ROOT

SCRIPT = Path(__file__).parent / "node/services.mjs"
CHECKS = re.findall(r"^  async (\w+)\(\)", SCRIPT.read_text(), re.MULTILINE)


@pytest.mark.parametrize("protocol", ["v1", "legacy"])
@pytest.mark.parametrize("check", CHECKS)
def test_jupyterlab_services(gateway, check, protocol):
    judge(gateway, check, protocol)


@pytest.mark.beyond_jupyter
@pytest.mark.parametrize("check", ["life", "dies", "restart", "comms"])
def test_jupyterlab_services_behind_a_proxy(gateway, check):
    judge(gateway, check, "v1", PROXIED="1")


def judge(gateway, check, protocol, **env):
    if gateway.kind == "jupyter" and check in ("reconnects", "sessions"):
        pytest.skip("Jupyter Kernel Gateway does not do this")
    modules = ROOT / "build/node"
    assert (modules / "node_modules").is_dir(), "make build/node/installed"
    done = subprocess.run(["node", SCRIPT, gateway.url, gateway.token, protocol, check], capture_output=True, text=True,
                          check=False, timeout=120, env={**os.environ, "MODULES": str(modules), **env})
    assert done.returncode == 0, f"{done.stdout[-1000:]}\n{done.stderr[-4000:]}\n{gateway.explain()}"
    if check != "tokens":  # what is refused is said on the console
        assert not [line for line in done.stderr.splitlines() if "rror" in line], done.stderr
