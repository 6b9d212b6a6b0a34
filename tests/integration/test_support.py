"""The tests' own instruments: what they look for, they find."""

import os
import subprocess
import sys

import pytest
from support.segue import Running, nothing_left, parse_events, processes_of


@pytest.fixture
def planted(tmp_path):
    """A process as a forgetful program would leave it."""
    env = {**os.environ, "SEGUE_ATTEMPT": "x", "SEGUE_STATE": str(tmp_path / "state")}
    process = subprocess.Popen(["sleep", "60"], env=env, start_new_session=True)
    yield process
    process.kill()
    process.wait()


def test_what_is_left_is_found(planted, tmp_path):
    assert list(processes_of(tmp_path)) == [planted.pid]
    with pytest.raises(AssertionError, match="left running"):
        nothing_left(tmp_path, seconds=0)


def test_what_is_gone_is_not(planted, tmp_path):
    planted.kill()
    nothing_left(tmp_path)  # a zombie is gone
    planted.wait()
    nothing_left(tmp_path)


def test_another_test_s_processes_are_not_ours(planted, tmp_path):
    assert processes_of(tmp_path.with_name(tmp_path.name[:-1])) == {}


def test_a_program_that_does_not_end_is_ended(tmp_path):
    argv = [sys.executable, "-c", "import time; time.sleep(60)"]
    running = Running(argv, os.environ, tmp_path, tmp_path / "out")
    with pytest.raises(AssertionError, match="had not ended after"):
        running.wait(0.5)
    assert running.process.poll() is not None
    running.close()


def test_waiting_for_an_event_that_never_comes(tmp_path):
    argv = [sys.executable, "-c", "print('{\"event\": \"a\"}')"]
    running = Running(argv, os.environ, tmp_path, tmp_path / "out")
    with pytest.raises(AssertionError, match="ended before"):
        running.wait_for(lambda e: e["event"] == "b", seconds=20)
    running.close()


def test_events_are_one_object_a_line():
    assert parse_events('{"a": 1}\n{"b": 2}\n') == [{"a": 1}, {"b": 2}]
    with pytest.raises(AssertionError, match="line 2"):
        parse_events('{"a": 1}\nwarning: hello\n')
