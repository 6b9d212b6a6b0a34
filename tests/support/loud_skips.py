"""A plugin for pytest: under CI a skipped test fails the session, since what it needs should be
there; elsewhere pytest's own summary names it (-ra)."""

import os


class LoudSkips:
    """Hears of every test's report, also of those that other processes of the session ran."""

    def __init__(self):
        self.skipped = []

    def pytest_runtest_logreport(self, report):
        if report.skipped and not hasattr(report, "wasxfail"):
            self.skipped.append(report.nodeid)

    def pytest_sessionfinish(self, session, exitstatus):
        if os.environ.get("CI") and self.skipped and exitstatus == 0:
            session.exitstatus = 1

    def pytest_terminal_summary(self, terminalreporter):
        if os.environ.get("CI") and self.skipped:
            terminalreporter.write_line(f"CI: {len(self.skipped)} tests skipped, which is a failure", red=True)


def pytest_configure(config):
    config.pluginmanager.register(LoudSkips(), "loud skips")
