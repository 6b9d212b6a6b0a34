"""`segue run` when kernels, files, disks and processes let it down.

Whatever happens: every step ends with a status and a cause from the closed list, the program ends
in time with the right exit status, and nothing is left running (the `world` fixture looks).
"""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass

import pytest
from kernels import name_of
from support.notebooks import notebook, stream_text
from support.project import Step, uuid_of
from support.segue import keepers_of, nothing_left, processes_of, program, wait_until

CAUSES = {
    "cell_error", "exit_code", "kernel_died", "kernel_start_failed", "out_of_memory", "timeout",
    "input_invalid", "environment_missing", "launcher_unavailable", "write_refused",
    "storage_failed", "step_lost", "cancelled", "upstream", "internal",
}


# -------------------------------------------------------------------------------- kernels gone wrong


@dataclass
class Expected:
    """How a notebook of two cells ends on a kernel. `causes`: empty for success; () and more than
    one where several ends are as good. `output`: the whole of stdout in the copy, or a test of it."""

    causes: tuple = ()
    output: object = None
    message: str = ""
    seconds: float = 30
    cells: int = 2
    step: dict = None
    also_success: bool = False


START = ("kernel_start_failed", "timeout")
TWO = "ran 1\nran 2\n"
GENUINE = "genuine\ngenuine\n"
SHORT = {"timeout": 4}
CELL = {"cell_timeout": 2}
NO_MORE_THAN_A_STALL = 9


def flood_is_whole(text):
    return text == "".join(f"{n}\n" for n in range(50000))


KERNELS = {
    "well_behaved": Expected(output=TWO, seconds=15),
    # at the start
    "exits_at_start": Expected(("kernel_start_failed",), message="libmissing.so", seconds=15),
    "exits_at_start_with_zero": Expected(("kernel_start_failed",), seconds=15),
    "never_opens_its_sockets": Expected(START, step=SHORT),
    "never_answers_kernel_info": Expected(START, step=SHORT),
    "late_iopub": Expected(output=TWO),
    "welcomes_subscribers": Expected(output=TWO),
    "kernel_info_without_language": Expected(("kernel_start_failed",), output=TWO, also_success=True),
    "kernel_info_error": Expected(("kernel_start_failed",), output=TWO, also_success=True, step=SHORT),
    # hangs and floods
    "hangs_in_execute": Expected(("timeout",), "before the hang\n", step=CELL),
    "ignores_interrupt": Expected(("timeout",), "before the hang\n", step=CELL),
    "ignores_interrupt_and_sigterm": Expected(("timeout",), "before the hang\n", step=CELL),
    "floods_its_descriptors": Expected(output="flooded\nflooded\n", seconds=60),
    "floods_iopub": Expected(output=flood_is_whole, cells=1, seconds=90),
    "floods_iopub_for_ever": Expected(("timeout",), cells=1, step=CELL),
    "huge_message": Expected(tuple(CAUSES - {"internal", "step_lost"}), cells=1, seconds=120,
                             also_success=True),
    # garbage
    "signs_wrongly": Expected(START, step=SHORT),
    "some_forged_messages": Expected(output=GENUINE),
    "garbage_frames": Expected(output=GENUINE),
    "invalid_json": Expected(output=GENUINE),
    "wrong_types": Expected(output=lambda text: text.count("genuine\n") == 2),
    "invalid_utf8": Expected(output=lambda text: text.count("genuine\n") == 2 and "\ufffd" in text),
    "nul_and_nan": Expected(output=lambda text: text.count("a\0b ") == 2),
    "big_integers": Expected(),
    "no_identity_frames": Expected(output="none\nfive\n" * 2),
    "unknown_message_types": Expected(output=GENUINE),
    "buffers": Expected(output="with buffers\n" * 2),
    # parents, order, replies
    "wrong_parents": Expected(output="own 1\nown 2\n"),
    "idle_before_reply": Expected(output=TWO),
    "output_after_reply": Expected(output="".join(f"late {n}\n" for n in range(5)) * 2),
    "reply_without_idle": Expected(output=TWO, seconds=40),
    "idle_without_reply": Expected(("cell_error",), "ran 1\n"),
    "replies_twice": Expected(output=TWO),
    "reply_aborted": Expected(("cell_error",)),
    "reply_abort": Expected(("cell_error",)),
    "reply_without_status": Expected(("cell_error",)),
    "reply_error_without_output": Expected(("cell_error",)),
    "reply_of_wrong_types": Expected(("cell_error",)),
    "starting_again": Expected(("kernel_died",), output=TWO, also_success=True),
    "control_chatter": Expected(output=TWO),
    "asks_for_input": Expected(("cell_error",), "asking\n"),
    "odd_clear_output": Expected(output="kept\nkept\n"),
    # the end
    "killed_in_a_cell": Expected(("kernel_died",), "last words\n", seconds=15),
    "exits_in_a_cell": Expected(("kernel_died",), "last words\n", seconds=15),
    "exits_between_cells": Expected(("kernel_died",), "ran 1\n", seconds=15),
    "dies_leaving_a_child": Expected(("kernel_died",), "last words\n", seconds=15),
    "leaves_a_daemon": Expected(output=TWO, seconds=20),
    "ignores_shutdown": Expected(output=TWO, seconds=15),
    "ignores_shutdown_and_sigterm": Expected(output=TWO, seconds=15),
    "stalls_after_shutdown": Expected(output=TWO, seconds=NO_MORE_THAN_A_STALL),
}


def test_every_scenario_has_an_expectation():
    from fake_kernel import SCENARIOS

    assert KERNELS.keys() == SCENARIOS.keys()


@pytest.mark.parametrize("scenario", KERNELS)
def test_kernel(world, scenario):
    expected = KERNELS[scenario]
    kernel = name_of(scenario)
    cells = [f"cell {n}" for n in range(expected.cells)]
    step = Step("a", notebook(*cells, kernel=kernel), kernel=kernel, extra=expected.step or {})
    after = Step("b", "pass\n", "a")
    project = world.project(step, after)
    result = world.run(project, seconds=expected.seconds)
    finished = result.finished(step.uuid)
    cause = (finished.get("failure") or {}).get("cause")
    if finished["status"] == "SUCCESS":
        assert not expected.causes or expected.also_success, finished
        assert result.code == 0, result.explain()
    else:
        assert finished["status"] == "FAILURE" and cause in expected.causes, finished
        assert result.code == 1, result.explain()
        assert result.finished(after.uuid)["status"] == "ABORTED"
        assert finished["failure"]["message"].strip()
        assert expected.message in finished["failure"]["message"]
    if cause != "kernel_start_failed" and expected.step is not SHORT:
        executed = result.notebook(step.path)  # valid JSON, NUL and NaN or not
        text = stream_text(executed)
        if callable(expected.output):
            assert expected.output(text), text[-300:]
        elif expected.output is not None and (finished["status"] == "SUCCESS" or not expected.also_success):
            assert text == expected.output


def test_big_integers_keep_their_digits(world):
    kernel = name_of("big_integers")
    project = world.project(Step("a", notebook("x", kernel=kernel), kernel=kernel))
    result = world.run(project)
    assert result.code == 0, result.explain()
    text = (result.output / "a.ipynb").read_text("utf-8")
    assert "123456789012345678901234567890" in text
    assert "-18446744073709551616" in text


def test_buffers_of_nobody_leave_nothing(world):
    kernel = name_of("buffers")
    project = world.project(Step("a", notebook("x", kernel=kernel), kernel=kernel))
    result = world.run(project)
    cell = result.notebook("a.ipynb")["cells"][0]
    assert cell["outputs"] == [
        {"output_type": "stream", "name": "stdout", "text": ["with buffers\n"]}]


@pytest.mark.parametrize("kernel", ["no-such-kernel", "fake-no-program", "fake-empty-argv",
                                    "fake-broken-json", "../../etc", "a\nb", "x" * 5000])
def test_kernel_that_cannot_be_started(world, kernel):
    step = Step("a", notebook("1", kernel=kernel), kernel=kernel)
    project = world.project(step)
    result = world.run(project, seconds=20)
    if result.code == 2:  # seen before anything was started
        assert result.stderr.strip() and not result.of("step_started")
    else:
        assert result.code == 1
        failure = result.finished(step.uuid)["failure"]
        assert failure["cause"] in ("kernel_start_failed", "environment_missing", "input_invalid")


def test_unknown_environment(world):
    step = Step("a", "pass\n", extra={"environment": "11111111-2222-3333-4444-555555555555"})
    result = world.run(world.project(step))
    if result.code == 1:
        assert result.finished(step.uuid)["failure"]["cause"] == "environment_missing"
    else:
        assert result.code == 2 and "environment" in result.stderr


# --------------------------------------------------------------------------------- time limits


def test_time_limit_of_a_step(world):
    step = Step("a", notebook("print('begun', flush=True)", "import time\ntime.sleep(60)"),
                extra={"timeout": 5})
    result = world.run(world.project(step), seconds=25)
    assert result.code == 1
    assert result.finished(step.uuid)["failure"]["cause"] == "timeout"
    assert stream_text(result.notebook("a.ipynb")) == "begun\n"


def test_time_limit_of_a_cell(world):
    """Each cell has the whole time; the one that takes longer fails the step."""
    step = Step("a", notebook("import time\ntime.sleep(1.2)", "time.sleep(1.2)", "time.sleep(60)", "1"),
                extra={"cell_timeout": 2})
    result = world.run(world.project(step), seconds=30)
    failure = result.finished(step.uuid)["failure"]
    assert (failure["cause"], failure["cell_index"]) == ("timeout", 2)
    assert result.notebook("a.ipynb")["cells"][3]["execution_count"] is None


def test_time_limit_of_a_script(world):
    """A script that ignores SIGTERM, and its child."""
    script = "trap '' TERM\nsleep 60 &\nwhile :; do sleep 1; done\n"
    step = Step("a", script, path="a.sh", extra={"timeout": 1})
    result = world.run(world.project(step), seconds=20)
    assert result.finished(step.uuid)["failure"]["cause"] == "timeout"


# ------------------------------------------------------------------------------------ wrong input


def refused(world, text, seconds=20):
    """`segue validate` and `segue run` on these bytes: both refuse, and point to a place."""
    path = world.root / "wrong.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8"))
    for command in ("validate", "run"):
        result = world.command(command, path, seconds=seconds)
        assert result.code == 2, (command, result.explain())
        said = result.stdout + result.stderr
        assert "wrong.json:" in said, said
    return said


def definition(world, *steps, **changes):
    project = world.project(*steps)
    project.definition.update(changes)
    return project.definition


def step_json(title, *parents):
    return Step(title, None, parents, path=f"{title}.py").to_json()


def pipeline_of(*steps, **changes):
    return {"steps": {step["uuid"]: step for step in steps}, **changes}


A, B, C = "abc"

WRONG = {
    "empty file": "",
    "white space": " \n ",
    "no JSON": "hello",
    "cut off": '{"steps": {',
    "trailing text": '{"steps": {}} x',
    "an array": "[]",
    "null": "null",
    "no steps": '{"name": "x"}',
    "steps is an array": '{"steps": []}',
    "steps is null": '{"steps": null}',
    "step is a number": '{"steps": {"a": 1}}',
    "NUL byte": b'{"steps": {}}\0',
    "invalid UTF-8": b'{"name": "\xff\xfe", "steps": {}}',
    "single quotes": "{'steps': {}}",
    "bare NaN": '{"steps": {}, "parameters": {"x": NaN}}',
    "trailing comma": '{"steps": {},}',
    "depth of 10,000 arrays": '{"steps": {}, "parameters": ' + "[" * 10000 + "]" * 10000 + "}",
    "depth of 10,000 objects": '{"a":' * 10000 + "1" + "}" * 10000,
    "unclosed depth": "[" * 1_000_000,
}


@pytest.mark.parametrize("name", WRONG)
def test_malformed(world, name):
    refused(world, WRONG[name])


def changed(key, value):
    step = step_json("a")
    step[key] = value
    return json.dumps(pipeline_of(step), indent=1)


@pytest.mark.parametrize("key, value", [
    ("uuid", 5), ("title", 5), ("title", []), ("file_path", 7), ("file_path", {}),
    ("incoming_connections", "a"), ("incoming_connections", [1]), ("incoming_connections", [None]),
    ("incoming_connections", {}), ("parameters", []), ("parameters", 4), ("kernel", []),
    ("timeout", "5"), ("timeout", -1), ("cell_timeout", []), ("retries", 3), ("retries", {"limit": -1}),
    ("retries", {"limit": "2"}), ("resources", []), ("environment", 5),
], ids=str)
def test_wrong_type(world, key, value):
    said = refused(world, changed(key, value))
    assert key in said
    line = int(said.split("wrong.json:")[1].split(":")[0])
    assert line > 1, "points to where it is"


def test_unknown_connection(world):
    step = step_json("a")
    step["incoming_connections"] = [uuid_of("nobody")]
    assert uuid_of("nobody") in refused(world, json.dumps(pipeline_of(step), indent=1))


@pytest.mark.parametrize("edges", [{A: A}, {A: B, B: A}, {A: B, B: C, C: A}], ids=["own", "two", "three"])
def test_cycle(world, edges):
    """A cycle is named with its path."""
    steps = [step_json(title, edges[title]) for title in edges]
    said = refused(world, json.dumps(pipeline_of(*steps), indent=1))
    assert "cycle" in said or "waits for itself" in said
    for title in edges:
        assert title in said or uuid_of(title) in said


def test_cycle_of_many(world):
    count = 20000
    steps = [step_json(f"s{n}", f"s{(n + 1) % count}") for n in range(count)]
    assert "cycle" in refused(world, json.dumps(pipeline_of(*steps)), seconds=60)


def test_long_chain_is_planned(world):
    """No recursion on what a user made: 50,000 steps one behind the other."""
    count = 50000
    steps = [step_json("s0")] + [step_json(f"s{n}", f"s{n - 1}") for n in range(1, count)]
    path = world.root / "long.json"
    path.write_text(json.dumps(pipeline_of(*steps)))
    result = world.command("validate", path, seconds=60)
    assert result.code == 0, result.explain()


def test_many_problems_are_listed(world):
    steps = [step_json("a"), step_json("b"), step_json("c")]
    for step in steps:
        step["incoming_connections"] = [uuid_of("nobody")]
    said = refused(world, json.dumps(pipeline_of(*steps), indent=1))
    assert said.count("wrong.json:") >= 3


def test_pipeline_file_is_a_directory(world):
    assert world.command("run", world.root).code == 2


def test_pipeline_file_is_a_fifo(world):
    """A file that never ends is not waited for."""
    path = world.root / "fifo.json"
    os.mkfifo(path)
    assert world.command("validate", path, seconds=10).code == 2


# ----------------------------------------------------------------------------------- files of steps


def test_missing_file(world):
    project = world.project(Step("a", None, path="missing.ipynb"), ("b", "open('ran', 'w')\n"))
    result = world.run(project)
    assert result.code == 2
    assert "missing.ipynb" in result.stderr
    assert not (project.root / "ran").exists(), "something ran all the same"


def test_missing_file_of_a_step_that_would_not_run(world):
    project = world.project(Step("a", None, path="missing.ipynb"), ("b", "open('ran', 'w')\n"))
    result = world.run(project, "--only", "b")
    assert result.code == 0, result.explain()


@pytest.mark.parametrize("path", ["../outside.py", "/etc/hostname", "deep/../../outside.py", "link.py",
                                  "dir/outside.py", ".", "", "deep"])
def test_outside_the_project(world, path):
    (world.root / "outside.py").write_text("open('ran', 'w')\n")
    step = Step("a", None, path="x")
    project = world.project(step)
    (project.root / "deep").mkdir()
    (project.root / "link.py").symlink_to(world.root / "outside.py")
    (project.root / "dir").symlink_to(world.root)
    project.step("a")["file_path"] = path
    project.save()
    result = world.run(project, "--project", project.root)
    assert result.code == 2, result.explain()
    assert not (world.root / "ran").exists() and not (project.root / "ran").exists()


def test_link_inside_the_project(world):
    project = world.project(Step("a", "open('ran', 'w')\n", path="real/a.py"),
                            Step("b", None, path="link.py"))
    (project.root / "link.py").symlink_to("real/a.py")
    result = world.run(project)
    assert result.code == 0, result.explain()


def test_unknown_kind_of_file(world):
    project = world.project(Step("a", "x\n", path="a.docx"))
    assert world.run(project).code == 2


@pytest.mark.parametrize("content", [
    b"", b"{", b"[]", b"null", b'{"cells": []}', b'{"nbformat": 4}',
    b'{"cells": {}, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}',
    b'{"cells": [1], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}',
    b'{"cells": [{"cell_type": "code", "source": 5, "metadata": {}, "outputs": []}], "metadata": {}, '
    b'"nbformat": 4, "nbformat_minor": 5}',
    b'{"cells": [], "metadata": {}, "nbformat": 99, "nbformat_minor": 0}',
    b"\xff\xfe\x00", b"[" * 200_000, b'{"a":' * 100_000, b"\0" * 100_000, b"\x89PNG\r\n",
], ids=range(15))
def test_notebook_that_is_none(world, content):
    step = Step("a", content, path="a.ipynb")
    result = world.run(world.project(step))
    if result.code == 2:
        assert "a.ipynb" in result.stderr
    else:
        assert result.code == 1
        assert result.finished(step.uuid)["failure"]["cause"] == "input_invalid"


def test_notebook_removed_before_its_turn(world):
    project = world.project(("a", "import os\nos.remove('b.ipynb')\n"), Step("b", notebook("1"), "a"))
    result = world.run(project)
    assert result.code == 1
    assert result.finished(uuid_of("b"))["failure"]["cause"] == "input_invalid"


def test_script_without_interpreter(world):
    """The language's interpreter is not on the path."""
    world.env["PATH"] = str(world.root)
    step = Step("a", "true\n", path="a.jl")
    result = world.run(world.project(step))
    assert result.code == 1
    assert result.finished(step.uuid)["failure"]["cause"] in (
        "kernel_start_failed", "environment_missing", "launcher_unavailable")


def test_state_path_too_long(world):
    world.env["SEGUE_STATE"] = str(world.root / ("s" * 90))
    result = world.run(world.project(("a", notebook("1"))))
    assert result.code in (2, 3), result.explain()
    assert result.stderr.strip()


def test_output_directory_cannot_be_made(world):
    (world.root / "file").write_text("")
    project = world.project(("a", notebook("1")))
    result = world.command("run", project.pipeline, "--output", world.root / "file" / "deep", "--json")
    assert result.code in (1, 2), result.explain()


# --------------------------------------------------------------------------------------- full disk


@pytest.fixture
def tiny_disk(world, as_root):
    mounted = world.root / "tiny"
    mounted.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", mounted],
                          capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.skip(f"cannot mount a tmpfs here: {made.stderr.strip()}")
    yield mounted
    nothing_left(world.root)
    subprocess.run(["umount", "-l", mounted], check=True)


def test_state_on_a_full_disk(world, tiny_disk):
    """More output than the state directory holds: said so, and ended."""
    world.env["SEGUE_STATE"] = world.env["XDG_STATE_HOME"] = str(tiny_disk)
    step = Step("a", notebook("for i in range(40):\n    print('x' * 100_000, flush=True)"))
    result = world.run(world.project(step), seconds=60)
    assert result.code in (1, 3), result.explain()
    for event in result.of("step_finished", step.uuid):
        assert event["failure"]["cause"] == "storage_failed"


def test_output_on_a_full_disk(world, tiny_disk):
    step = Step("a", notebook("print('x' * 3_000_000)"))
    project = world.project(step)
    running = world.start(project, "--output", tiny_disk, with_output=False)
    result = world.finish(running)
    assert result.code == 1, result.explain()
    assert not list(tiny_disk.rglob("*.ipynb")), "half a notebook was left"


def test_io_on_a_full_disk(world, tiny_disk):
    """The script fills the disk itself: its own failure, not ours."""
    script = f"open('{tiny_disk}/big', 'wb').write(bytes(5_000_000))\n"
    step = Step("a", script)
    result = world.run(world.project(step))
    assert result.finished(step.uuid)["failure"]["cause"] == "exit_code"


# ------------------------------------------------------------------------------- signals and deaths


STUBBORN = ("import signal, time, subprocess\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
            "subprocess.Popen(['sleep', '600'], start_new_session=True)\n"
            "print('ready', flush=True)\n"
            "while True:\n    try:\n        time.sleep(600)\n    except KeyboardInterrupt:\n        pass\n")


def three_steps(world):
    """A notebook, a notebook that does not want to end, a script like it; and one behind them."""
    return world.project(
        ("plain", notebook("print('ready', flush=True)\nimport time\ntime.sleep(600)")),
        ("stubborn", notebook(STUBBORN)), Step("script", STUBBORN), Step("later", "pass\n", "plain"),
        settings={"max_steps_parallelism": 3})


def started(world, project, titles="plain stubborn script"):
    running = world.start(project, "--max-parallel", "3")
    for title in titles.split():
        running.wait_for(lambda e, step=uuid_of(title): e["event"] == "output" and e["step_uuid"] == step,
                         what=f"output of {title}")
    return running


@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["INT", "TERM"])
def test_signal_stops_everything(world, number, code):
    project = three_steps(world)
    running = started(world, project)
    sent = time.monotonic()
    running.signal(number)
    result = world.finish(running)
    assert time.monotonic() - sent < 5
    assert result.code == code, result.explain()
    nothing_left(world.root, seconds=1)
    ends = {e["step_uuid"]: e for e in result.of("step_finished")}
    assert len(ends) == 4
    assert ends[uuid_of("later")]["status"] == "ABORTED"
    assert {e["failure"]["cause"] for e in ends.values()} <= {"cancelled", "upstream"}
    assert stream_text(result.notebook("plain.ipynb")) == "ready\n"


def test_signal_twice(world):
    """Impatience does not leave more behind."""
    running = started(world, three_steps(world))
    running.signal(signal.SIGINT)
    running.signal(signal.SIGINT)
    running.signal(signal.SIGTERM)
    result = world.finish(running)
    assert result.code in (130, 143)
    nothing_left(world.root, seconds=2)


def test_signal_at_the_very_start(world):
    project = three_steps(world)
    running = world.start(project)
    running.wait_for(lambda e: e["event"] in ("run_queued", "run_started", "step_started"))
    running.signal(signal.SIGTERM)
    result = world.finish(running, seconds=20)
    assert result.code == 143, result.explain()


def test_kill_9_of_the_program(world):
    """Keepers and kernels notice and go."""
    running = started(world, three_steps(world))
    assert processes_of(world.root)
    running.signal(signal.SIGKILL)
    world.finish(running)
    nothing_left(world.root, seconds=10)


def test_closed_standard_output(world):
    """Nobody reads the events any more: the run does not hang."""
    project = world.project(("a", notebook("for i in range(2000):\n    print(i, flush=True)")))
    process = subprocess.Popen([program(), "run", project.pipeline, "--json"], env=world.env,
                               cwd=project.root, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    process.stdout.readline()
    process.stdout.close()
    try:
        process.wait(60)
    finally:
        process.kill()
        process.wait()


def test_kill_9_of_a_keeper(world):
    """The step is lost, and said so; what it started is cleaned up."""
    project = world.project(("a", notebook("print('ready', flush=True)\nimport time\ntime.sleep(600)")),
                            Step("b", "pass\n", "a"), ("other", "print('fine')\n"))
    running = started(world, project, "a")
    running.wait_for(lambda e: e["event"] == "step_finished" and e["step_uuid"] == uuid_of("other"))
    wait_until(lambda: len(keepers_of(world.root)) == 1, 10, "one keeper, that of the running step")
    os.kill(keepers_of(world.root)[0], signal.SIGKILL)
    result = world.finish(running, seconds=60)
    assert result.code == 1
    assert result.finished(uuid_of("a"))["failure"]["cause"] == "step_lost"
    assert result.finished(uuid_of("b"))["status"] == "ABORTED"
    assert result.finished(uuid_of("other"))["status"] == "SUCCESS"
    nothing_left(world.root, seconds=5)


LOST_TWICE = """printf x >>tries.txt
case $(cat tries.txt) in
x | xx) echo waiting; sleep 600 ;;
xxx) exit 1 ;;
esac
"""


def test_lost_attempts_use_up_no_retries(world):
    """Two keepers are killed; the one retry is still there when the step itself fails."""
    project = world.project(Step("a", LOST_TWICE, path="a.sh", extra={"retries": {"limit": 1, "delay": 0}}))
    tried = project.root / "tries.txt"
    running = world.start(project)
    for tries in ("x", "xx"):
        wait_until(lambda t=tries: tried.exists() and tried.read_text() == t, 30, f"try {len(tries)}")
        (keeper,) = keepers_of(world.root)
        os.kill(keeper, signal.SIGKILL)
    result = world.finish(running, seconds=90)
    assert result.code == 0, result.explain()
    causes = [event["failure"]["cause"] for event in result.of("step_retrying")]
    assert causes == ["step_lost", "step_lost", "exit_code"]
    assert result.finished(uuid_of("a"))["attempt"] == 4
    assert tried.read_text() == "xxxx"
    nothing_left(world.root, seconds=5)


def test_kill_9_of_a_kernel(world):
    """In the middle of a cell: the partial output is on disk."""
    source = "import os, time\nprint(os.getpid(), flush=True)\ntime.sleep(600)"
    project = world.project(("a", notebook("print('first')", source)))
    running = world.start(project)
    event = running.wait_for(lambda e: e["event"] == "output" and e["cell_index"] == 1)
    os.kill(int("".join(event["output"]["text"])), signal.SIGKILL)
    result = world.finish(running)
    assert result.code == 1
    failure = result.finished(uuid_of("a"))["failure"]
    assert (failure["cause"], failure["cell_index"]) == ("kernel_died", 1)
    text = stream_text(result.notebook("a.ipynb"))
    assert text == "first\n" + "".join(event["output"]["text"])


def test_kernel_that_is_stopped(world):
    """SIGSTOP: alive, silent. Only the time limit sees it."""
    source = "import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)"
    step = Step("a", notebook(source), extra={"cell_timeout": 2})
    result = world.run(world.project(step), seconds=40)
    assert result.finished(step.uuid)["failure"]["cause"] == "timeout"


def test_retry_after_a_dead_kernel(world):
    source = ("import os, time\nfirst = not os.path.exists('tried')\nopen('tried', 'w').close()\n"
              "if first:\n    os.kill(os.getpid(), 9)\nprint('alive')")
    step = Step("a", notebook(source), extra={"retries": {"limit": 1, "delay": 0}})
    result = world.run(world.project(step))
    assert result.code == 0, result.explain()
    assert stream_text(result.notebook("a.ipynb")) == "alive\n"


def test_background_processes_of_a_script(world):
    """A script leaves a daemon behind: success, and it goes with the step."""
    script = "setsid sh -c 'trap \"\" TERM HUP; sleep 600' >/dev/null 2>&1 &\nexit 0\n"
    result = world.run(world.project(Step("a", script, path="a.sh")), seconds=30)
    assert result.code == 0, result.explain()
    nothing_left(world.root, seconds=2)


def test_flood_of_a_script(world):
    """50 MB of lines, then a line without an end."""
    script = "import sys\nfor _ in range(500):\n    sys.stdout.write(('y' * 99 + '\\n') * 1000)\nsys.stdout.write('z' * 999)\n"
    step = Step("a", script)
    result = world.run(world.project(step), seconds=90)
    assert result.code == 0, result.explain()
    size = sum(len("".join(e["output"]["text"])) for e in result.of("output", step.uuid))
    assert size == 50_000_000 + 999


def test_script_writes_bytes(world):
    """Output that is no UTF-8 is still one JSON line per event."""
    step = Step("a", "import os\nos.write(1, bytes(range(256)) + b'\\n')\n")
    result = world.run(world.project(step))
    assert result.code == 0, result.explain()
    assert "\ufffd" in "".join("".join(e["output"]["text"]) for e in result.of("output"))


def test_python_itself_is_as_expected():
    """The tests' own interpreter has what the kernels need."""
    subprocess.run([sys.executable, "-c", "import ipykernel, zmq, ipywidgets"], check=True)
