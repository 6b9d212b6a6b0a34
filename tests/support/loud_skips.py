"""A plugin for pytest: under CI a skipped test fails the session, since what it needs should be
there; elsewhere pytest's own summary names it (-ra)."""

import os

import pytest

_skipped = pytest.StashKey[list]()


def pytest_configure(config):
    config.stash[_skipped] = []


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    report = (yield).get_result()
    if report.skipped and not hasattr(report, "wasxfail"):
        item.config.stash[_skipped].append(item.nodeid)


def pytest_sessionfinish(session, exitstatus):
    if os.environ.get("CI") and session.config.stash[_skipped] and exitstatus == 0:
        session.exitstatus = 1


def pytest_terminal_summary(terminalreporter, config):
    skipped = config.stash[_skipped]
    if os.environ.get("CI") and skipped:
        terminalreporter.write_line(f"CI: {len(skipped)} tests skipped, which is a failure", red=True)
