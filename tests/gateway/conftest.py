"""What every judge gets: a gateway of its own, on a port of its own, with nothing left behind.

SEGUE_JUDGED=jupyter puts Jupyter Kernel Gateway in its place, as a check of the tests themselves:
those that ask for more than it can do are skipped then.
"""

import contextlib
import os

import pytest
from support.gateway import KernelGateway, SegueGateway, write_kernelspecs
from support.segue import ROOT, environment

JUDGED = os.environ.get("SEGUE_JUDGED", "segue")
RESULTS = ROOT / "build/results"


def pytest_configure(config):
    config.addinivalue_line("markers", "beyond_jupyter: Jupyter Kernel Gateway does not do this")


def pytest_collection_modifyitems(items):
    for item in items:
        if JUDGED == "jupyter" and item.get_closest_marker("beyond_jupyter"):
            item.add_marker(pytest.mark.skip(reason="Jupyter Kernel Gateway does not do this"))


@pytest.fixture(scope="session")
def jupyter_path(tmp_path_factory):
    directory = tmp_path_factory.mktemp("jupyter")
    write_kernelspecs(directory)
    return directory


@pytest.fixture(scope="session")
def results():
    """Where screenshots go."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    return RESULTS


@pytest.fixture(scope="session")
def is_soak():
    """Whether there is time for the whole of it."""
    return bool(os.environ.get("SEGUE_SOAK"))


@pytest.fixture
def new_gateway(tmp_path_factory, jupyter_path):
    """Makes gateways, each in a directory of its own: new_gateway("--max-kernels", 2). Not started."""

    def make(*options):
        root = tmp_path_factory.mktemp("g")
        env = environment(root / "state", jupyter_path)
        gateway = made.enter_context(Closing(
            KernelGateway(root, env, *options) if JUDGED == "jupyter" else SegueGateway(root, env, *options)))
        return gateway

    with contextlib.ExitStack() as made:
        yield make


class Closing:
    """Closes a gateway; whether something is left behind matters only where nothing else failed."""

    def __init__(self, gateway):
        self.gateway = gateway

    def __enter__(self):
        return self.gateway

    def __exit__(self, kind, *_):
        if self.gateway.process is not None:
            self.gateway.close(*([kind is None] if self.gateway.kind == "segue" else []))


@pytest.fixture
def gateway(new_gateway):
    """Running."""
    return new_gateway().start()
