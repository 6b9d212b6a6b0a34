"""What a step printed, and its notebook, over HTTP: while it runs, when it has ended, for each of
its attempts, and when somebody edits the notebook meanwhile."""

import json
import os
import signal
from pathlib import Path

import nbformat
import pytest
from support.notebooks import notebook, stream_text
from support.project import Step, uuid_of

WAITS = "import os, time\nwhile not os.path.exists('go'): time.sleep(0.02)\nprint('went on')"
FAILS_ONCE = ("import pathlib\np = pathlib.Path('tries')\nn = len(p.read_text()) if p.exists() else 0\n"
              "p.write_text('x' * (n + 1))\nprint('try', n + 1)\nassert n == 1, 'the first try'")


def log(service, run, step="a", headers=None, **query):
    return service.request("GET", f"runs/{run['uuid']}/steps/{uuid_of(step)}/log", headers=headers, **query)


def executed(service, run, step="a", **query):
    return service.get(f"runs/{run['uuid']}/steps/{uuid_of(step)}/notebook", **query)


def valid_notebook(response):
    """As Jupyter reads it."""
    assert response.status_code == 200, response.text
    assert response.headers["Content-Type"].startswith("application/x-ipynb+json")
    node = nbformat.reads(response.text, as_version=4)
    nbformat.validate(node)
    return node


def check_missing(response, said):
    assert response.status_code == 404, response.text
    assert response.headers["Content-Type"].startswith("application/problem+json")
    assert said in response.json()["detail"], response.text


def printed(text):
    return lambda event: event["event"] == "output" and text in json.dumps(event["output"])


def test_log_has_what_a_person_wants_to_read(service):
    cells = ["import sys\nprint('printed')\nprint('to stderr', file=sys.stderr)", "6 * 7",
             "from IPython.display import display, HTML\ndisplay({'a': 1})\ndisplay(HTML('<b>x</b>'))",
             "print('no end of line', end='')", "raise ValueError('on purpose')", "print('never')"]
    run = service.submit(service.project("p", Step("a", notebook(*cells))))
    assert service.wait_for_run(run["uuid"])["status"] == "FAILURE"
    response = log(service, run)
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "text/plain; charset=utf-8"
    text = response.content.decode("utf-8")
    before, _, traceback = text.partition("no end of line\n")
    lines = before.splitlines()
    assert {"printed", "to stderr"} == set(lines[:2])
    assert lines[2:] == ["42", "{'a': 1}", "<IPython.core.display.HTML object>"]
    assert "\033[" in traceback and "on purpose" in traceback
    assert text.endswith("[segue] FAILURE, cell_error in cell 4: ValueError: on purpose\n")
    assert "never" not in text


def test_log_is_followed_by_ranges(service):
    project = service.project("p", Step("a", notebook("print('one')", WAITS)))
    run = service.submit(project)
    service.wait_for_event(run["uuid"], printed("one"))
    first = log(service, run)
    assert first.text == "one\n"
    (project.root / "go").touch()
    assert service.wait_for_run(run["uuid"])["status"] == "SUCCESS"
    rest = log(service, run, headers={"Range": "bytes=4-", "If-Range": first.headers["ETag"]})
    assert rest.status_code == 206
    assert rest.headers["Content-Range"] == "bytes 4-11/12"
    assert rest.text == "went on\n"
    assert log(service, run).text == first.text + rest.text
    nothing = log(service, run, headers={"Range": "bytes=12-"})
    assert nothing.status_code == 416
    head = service.request("HEAD", f"runs/{run['uuid']}/steps/{uuid_of('a')}/log")
    assert head.headers["Content-Length"] == "12" and not head.content


def test_log_of_a_script(service):
    run = service.submit(service.project("p", Step("a", "echo héllo\nexit 3\n", path="a.sh")))
    service.wait_for_run(run["uuid"])
    text = log(service, run).content.decode("utf-8")
    assert text.startswith("héllo\n[segue] FAILURE, exit_code: "), text
    check_missing(executed(service, run), "script")


def test_notebook_while_it_runs_and_after(service):
    project = service.project("p", Step("a", notebook("print('one')", WAITS, "print('three')")))
    run = service.submit(project)
    service.wait_for_event(run["uuid"], lambda event: event["event"] == "cell_started" and event["cell_index"] == 1)
    running = executed(service, run)
    node = valid_notebook(running)
    assert stream_text(node) == "one\n"
    assert [cell.get("execution_count") for cell in node["cells"]] == [1, None, None]
    (project.root / "go").touch()
    service.wait_for_run(run["uuid"])
    ended = executed(service, run)
    assert stream_text(valid_notebook(ended)) == "one\nwent on\nthree\n"
    assert ended.headers["ETag"] != running.headers["ETag"]


def test_an_edited_notebook_is_not_what_runs(service):
    """Somebody saves another notebook meanwhile: what runs, is looked at and is kept is the old one."""
    project = service.project("p", Step("a", notebook("print('one')", WAITS)))
    run = service.submit(project)
    service.wait_for_event(run["uuid"], printed("one"))
    project.write("a.ipynb", notebook("edited", "edited", "edited"))
    node = valid_notebook(executed(service, run))
    assert [cell["source"] for cell in node["cells"]] == ["print('one')", WAITS]
    (project.root / "go").touch()
    service.wait_for_run(run["uuid"])
    node = valid_notebook(executed(service, run))
    assert [cell["source"] for cell in node["cells"]] == ["print('one')", WAITS]
    assert "edited" in (project.root / "a.ipynb").read_text()


def keeper_of(service, run):
    journal = f"/runs/{run['uuid']}/steps/{uuid_of('a')}/1/journal"
    for pid in service.keepers():
        if any(os.readlink(fd).endswith(journal) for fd in Path(f"/proc/{pid}/fd").iterdir()):
            return pid
    raise AssertionError(f"no keeper has {journal} open")


def test_a_lost_step_keeps_its_own_notebook(service):
    """The same when its keeper is killed, and its notebook completed from the journal."""
    project = service.project("p", Step("a", notebook("print('one')", WAITS)))
    run = service.submit(project)
    service.wait_for_event(run["uuid"], printed("one"))
    project.write("a.ipynb", notebook("edited"))
    os.kill(keeper_of(service, run), signal.SIGKILL)
    step = service.wait_for_run(run["uuid"])["steps"][0]
    assert step["failure"]["cause"] == "step_lost"
    node = valid_notebook(executed(service, run))
    assert [cell["source"] for cell in node["cells"]] == ["print('one')", WAITS]
    assert stream_text(node) == "one\n"
    assert log(service, run).text == "one\n"


@pytest.mark.parametrize("last", ["1", None])
def test_every_attempt_is_kept(service, last):
    step = Step("a", notebook(FAILS_ONCE), extra={"retries": {"limit": 3, "delay": 0}})
    run = service.submit(service.project("p", step))
    assert service.wait_for_run(run["uuid"])["status"] == "SUCCESS"
    query = {"attempt": last} if last else {}
    expected = "try 1\n" if last else "try 2\n"
    assert log(service, run, **query).text.startswith(expected)
    assert stream_text(valid_notebook(executed(service, run, **query))) == expected
    check_missing(log(service, run, attempt=3), "the latest is 2")
    for wrong in ("0", "x", ""):
        assert log(service, run, attempt=wrong).status_code == 400


def test_what_is_not_there_is_explained(service):
    run = service.submit(service.project("p", Step("a", "exit 1\n", path="a.sh"),
                                         Step("b", notebook("1"), "a")))
    service.wait_for_run(run["uuid"])
    for ask in (log, executed):
        check_missing(ask(service, run, "b"), "never started")
        check_missing(ask(service, run, "no step"), "no step")
        check_missing(ask(service, {"uuid": uuid_of("no run")}), "no run")


def test_log_survives_the_service(service):
    """A kill of the service loses nothing of a log, and a step that goes on meanwhile is read on."""
    project = service.project("p", Step("a", notebook("print('one')", WAITS)))
    run = service.submit(project)
    service.wait_for_event(run["uuid"], printed("one"))
    first = log(service, run)
    service.kill9()
    (project.root / "go").touch()
    service.start()
    service.wait_for_run(run["uuid"])
    rest = log(service, run, headers={"Range": "bytes=4-", "If-Range": first.headers["ETag"]})
    assert (first.text, rest.status_code, rest.text) == ("one\n", 206, "went on\n")
