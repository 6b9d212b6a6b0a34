"""Kernelspecs for the fake kernel: one directory per scenario, named fake-SCENARIO."""

import sys
from pathlib import Path

from support.segue import write_kernelspec

PROGRAM = Path(__file__).resolve().parent / "fake_kernel.py"


def name_of(scenario):
    return "fake-" + scenario.replace("_", "-")


def write_fake_kernelspecs(directory):
    """Below a directory for JUPYTER_PATH: every scenario, and specs that are broken themselves."""
    from fake_kernel import SCENARIOS

    for scenario in SCENARIOS:
        argv = [sys.executable, str(PROGRAM), scenario, "{connection_file}"]
        write_kernelspec(directory, name_of(scenario), argv, language="fake")
    write_kernelspec(directory, "fake-no-program", ["/nonexistent/kernel", "{connection_file}"])
    write_kernelspec(directory, "fake-empty-argv", [])
    broken = Path(directory) / "kernels" / "fake-broken-json"
    broken.mkdir(parents=True)
    (broken / "kernel.json").write_text('{"argv": [')
