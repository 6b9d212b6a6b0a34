"""`segue supervise`: the service is started again when it crashes, and what ends it ends both."""

import contextlib
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
from pathlib import Path

import pytest
from support.project import Step
from support.segue import wait_until
from support.service import Service, is_child, processes_below

WAITS = "echo waiting\nwhile [ ! -e go ]; do sleep 0.05; done\necho went on\n"


class Supervised(Service):
    """`segue supervise`; the service itself is `daemon()`. With FIRST_PROCESS it is the first
    process of a pid namespace, as in a container."""

    FIRST_PROCESS = ("unshare", "--pid", "--fork", "--kill-child", "--mount", "--mount-proc", "--")

    def __init__(self, *arguments, inside=()):
        super().__init__(*arguments)
        self.inside = inside

    def launch(self, *options, env=None, listen="127.0.0.1:0"):
        argv = [*self.inside, self.segue, "supervise", "--listen", listen, "--projects", self.projects,
                "--state", self.state, *self.options, *options]
        self._log_start = self.stderr.stat().st_size if self.stderr.exists() else 0
        with open(self.stderr, "ab") as log:
            self.process = subprocess.Popen([str(a) for a in argv], env=env or self.env, cwd=self.root,
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        return self.process

    def supervisor(self):
        return self._child_of(self.process.pid) if self.inside else self.process.pid

    def _child_of(self, parent):
        found = [pid for pid, what in processes_below(self.root).items()
                 if is_child(pid, parent) and not what.startswith("segue-keeper")]
        return found[0] if found else None

    def daemon(self):
        return self._child_of(self.supervisor())

    def crash(self):
        """The daemon is killed with -9; returns when another listens."""
        before = len(self.logged("listening"))
        os.kill(self.daemon(), signal.SIGKILL)
        wait_until(lambda: len(self.logged("listening")) > before, 60, "another service listens")
        self.url = self.logged("listening")[-1]["url"]

    def stop(self, seconds=60):
        os.kill(self.supervisor(), signal.SIGTERM)
        code = self.wait(seconds)
        assert code == 0, f"exit status {code} after SIGTERM\n{self.explain()}"

    def _left(self):
        left = processes_below(self.root)
        if self.is_running():
            daemon = self.daemon()
            ours = (self.process.pid, self.supervisor(), daemon)
            left = {pid: what for pid, what in left.items()
                    if pid not in ours and not (daemon and is_child(pid, daemon))}
        return left


def make(new_service, *options, inside=()):
    """In the place of a service, so that it is closed as that would be."""
    plain = new_service(*options)
    made = Supervised(plain.root, plain.env, *options, inside=inside)
    plain.close = lambda *_: None
    return made


@pytest.fixture
def supervised(new_service):
    made = make(new_service)
    yield made
    made.close()


@pytest.fixture
def first_process(new_service):
    if os.geteuid() != 0 or not shutil.which("unshare"):
        pytest.skip("needs root and unshare: makes a pid namespace")
    made = make(new_service, inside=Supervised.FIRST_PROCESS)
    yield made
    made.close()


def waiting_run(service):
    """A run whose one step waits for let_go."""
    project = service.project("p", Step("a", WAITS, path="a.sh"))
    uuid = service.submit(project)["uuid"]
    service.wait_for_event(uuid, "output")
    return project, uuid


def let_go(project):
    (project.root / "go").touch()


def test_crashed_service_is_started_again_and_goes_on(supervised):
    supervised.start()
    project, uuid = waiting_run(supervised)
    supervised.crash()
    assert supervised.run(uuid)["status"] == "STARTED"
    supervised.crash()
    let_go(project)
    run = supervised.wait_for_run(uuid)
    assert (run["status"], run["steps"][0]["attempt"]) == ("SUCCESS", 1), run
    crashes = supervised.logged("service_crashed")
    assert [(c["status"], c["again_in_ms"]) for c in crashes] == [("Killed", "100"), ("Killed", "200")]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_both_and_no_step(supervised, number):
    supervised.start()
    project, _ = waiting_run(supervised)
    daemon = supervised.daemon()
    supervised.process.send_signal(number)
    assert supervised.wait() == 0
    assert daemon and not Path(f"/proc/{daemon}").exists()
    assert len(supervised.keepers()) == 1, "the step goes on"
    let_go(project)


def test_signal_before_the_service_is_up(supervised):
    supervised.launch()
    wait_until(supervised.daemon, 60, "the service is started")
    supervised.process.send_signal(signal.SIGTERM)
    assert supervised.wait() == 0


def test_second_signal_is_harmless(supervised):
    supervised.start()
    supervised.process.send_signal(signal.SIGTERM)
    supervised.process.send_signal(signal.SIGTERM)
    assert supervised.wait() == 0


@pytest.mark.parametrize("options", [("--stat",), ("--max-runs", "0"), ("left over",)])
def test_wrong_option_is_not_tried_again(supervised, options):
    assert supervised.launch(*options).wait(60) == 2
    assert supervised.errors().count("segue serve --help tells more") == 1, supervised.errors()
    assert not supervised.logged("service_crashed")


def test_directory_that_is_missing_is_not_waited_for(supervised):
    supervised.projects = supervised.root / "missing"
    assert supervised.launch().wait(60) == 2
    assert not supervised.logged("service_crashed")


def test_database_of_a_newer_version_is_not_tried_again(supervised):
    supervised.start()
    supervised.stop()
    with contextlib.closing(sqlite3.connect(supervised.state / "segue.db")) as database:
        database.execute("PRAGMA user_version = 9999")
    assert supervised.launch().wait(60) == 2
    assert "newer Segue" in supervised.logged("failed")[0]["error"]
    assert not supervised.logged("service_crashed")


def test_port_that_is_taken_is_waited_for(supervised):
    """It may be a service before us that is on its way out. Each time the pause is longer."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        supervised.launch(listen="127.0.0.1:%d" % taken.getsockname()[1])
        wait_until(lambda: len(supervised.logged("service_crashed")) > 2, 60, "three tries")
    assert supervised.wait_until_listening()
    pauses = [int(pairs["again_in_ms"]) for pairs in supervised.logged("service_crashed")]
    assert pauses[:3] == [100, 200, 400]


def test_signal_between_two_tries(supervised):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        supervised.launch(listen="127.0.0.1:%d" % taken.getsockname()[1])
        wait_until(lambda: len(supervised.logged("service_crashed")) > 3, 60, "four tries")
        supervised.process.send_signal(signal.SIGTERM)
        assert supervised.wait() == 0
    assert not supervised.logged("listening")


def test_killed_supervisor_takes_the_service_along(supervised):
    """Else nobody could start another on the same state. Steps go on."""
    supervised.start()
    project, uuid = waiting_run(supervised)
    supervised.kill9()
    wait_until(lambda: supervised.logged("stopped"), 60, "the service has stopped in order")
    supervised.start()
    let_go(project)
    assert supervised.wait_for_run(uuid)["status"] == "SUCCESS"


# ------------------------------------------------------------------ as the first process of a container


def test_orphans_are_reaped(first_process):
    """The keeper of a step becomes the supervisor's child when the service is killed."""
    first_process.start()
    project, uuid = waiting_run(first_process)
    [keeper] = first_process.keepers()
    first_process.crash()
    wait_until(lambda: is_child(keeper, first_process.supervisor()), 60, "it is the supervisor's child")
    let_go(project)
    assert first_process.wait_for_run(uuid)["status"] == "SUCCESS"
    wait_until(lambda: not Path(f"/proc/{keeper}").exists(), 60, "the ended keeper is reaped")


def test_end_of_the_container_is_the_end_of_its_steps(first_process):
    first_process.start()
    _, uuid = waiting_run(first_process)
    first_process.stop()
    first_process.nothing_left()
    first_process.start()
    run = first_process.wait_for_run(uuid)
    assert run["status"] == "FAILURE"
    assert run["steps"][0]["failure"]["cause"] == "step_lost", run
