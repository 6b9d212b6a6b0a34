"""`segue run` when the world is in order: orders, selections, parameters, data, files, events."""

import json
import shutil
import signal
import sys
import time

import pytest
from support.notebooks import code, notebook, stream_text
from support.project import Step, uuid_of
from support.segue import wait_until

def log_step(title, parents="", more=""):
    """A script that appends its title to a common file when it starts and when it ends."""
    script = (
        "import time\n"
        f"def log(what):\n    open('order.txt', 'a').write('{title} ' + what + '\\n')\n"
        f"log('start')\n{more}\nlog('end')\n"
    )
    return Step(title, script, parents)


def order(project):
    """{(title, 'start' or 'end'): position} and the most steps that ran at once."""
    text = (project.root / "order.txt").read_text()
    position, now, most = {}, 0, 0
    for index, line in enumerate(text.splitlines()):
        title, what = line.rsplit(" ", 1)
        assert (title, what) not in position, f"{title} ran twice"
        position[title, what] = index
        now += 1 if what == "start" else -1
        most = max(most, now)
    return position, most


def statuses(result):
    titles = {}
    for event in result.of("step_finished"):
        assert event["step_uuid"] not in titles, "more than one step_finished"
        titles[event["step_uuid"]] = event["status"]
    return titles


# --------------------------------------------------------------------------------- simple pipelines


def test_one_notebook(world):
    project = world.project(("a", notebook("x = 6", "x * 7", "print('done')")))
    before = (project.root / "a.ipynb").read_bytes()
    result = world.run(project)
    assert result.code == 0, result.explain()
    executed = result.notebook("a.ipynb")
    assert [cell["execution_count"] for cell in executed["cells"]] == [1, 2, 3]
    assert executed["cells"][1]["outputs"][0]["data"]["text/plain"] == ["42"]
    assert executed["metadata"]["language_info"]["name"] == "python"
    assert (project.root / "a.ipynb").read_bytes() == before, "the source was written"
    assert sorted(p.name for p in project.root.iterdir() if not p.name.startswith(".")) == [
        "a.ipynb", "pipeline.json"]


def test_notebook_and_scripts(world):
    steps = [
        Step("first", notebook("open('trace.txt', 'a').write('notebook\\n')")),
        Step("second", "print('from python')\nopen('trace.txt', 'a').write('python\\n')\n", "first"),
        Step("third", "echo from sh; echo sh >> trace.txt\n", "second", path="third.sh"),
    ]
    project = world.project(*steps)
    result = world.run(project)
    assert result.code == 0, result.explain()
    assert (project.root / "trace.txt").read_text() == "notebook\npython\nsh\n"
    printed = {}
    for event in result.of("output"):
        if event["output"]["output_type"] == "stream":
            text = event["output"]["text"]
            text = "".join(text) if isinstance(text, list) else text
            printed[event["step_uuid"]] = printed.get(event["step_uuid"], "") + text
    assert printed[uuid_of("second")] == "from python\n"
    assert printed[uuid_of("third")] == "from sh\n"


@pytest.mark.skipif(not shutil.which("node"), reason="needs node")
def test_javascript(world):
    script = "require('fs').writeFileSync('made.txt', process.env.SEGUE_STEP_UUID);\n"
    project = world.project(Step("js", script, path="js.js"))
    result = world.run(project)
    assert result.code == 0, result.explain()
    assert (project.root / "made.txt").read_text() == uuid_of("js")


@pytest.mark.skipif(not shutil.which("Rscript"), reason="needs Rscript")
def test_r(world):
    project = world.project(Step("r", "cat('x', file='made.txt')\n", path="r.R"))
    result = world.run(project)
    assert result.code == 0, result.explain()
    assert (project.root / "made.txt").read_text() == "x"


def test_no_steps(world):
    """An empty pipeline leaves no step to run."""
    result = world.run(world.project())
    assert result.code == 2
    assert "nothing to run" in result.stderr


def test_diamond_in_order(world):
    project = world.project(
        log_step("a"), log_step("b", "a"), log_step("c", "a"), log_step("d", "b c"), log_step("e"))
    result = world.run(project)
    assert result.code == 0, result.explain()
    position, _ = order(project)
    for parent, child in ("ab", "ac", "bd", "cd"):
        assert position[parent, "end"] < position[child, "start"]


def test_parallel_at_most_two(world):
    steps = [log_step(f"s{n}", more="time.sleep(0.4)") for n in range(6)]
    project = world.project(*steps, settings={"max_steps_parallelism": 2})
    result = world.run(project)
    assert result.code == 0, result.explain()
    assert order(project)[1] == 2


def test_parallel_one_is_a_queue(world):
    steps = [log_step(f"s{n}", more="time.sleep(0.1)") for n in range(4)]
    project = world.project(*steps, settings={"max_steps_parallelism": 1})
    result = world.run(project)
    assert result.code == 0, result.explain()
    assert order(project)[1] == 1


def test_independent_steps_overlap(world):
    """Two steps that wait for each other: only possible side by side."""
    wait = ("import os, time\nopen('{0}.here', 'w')\nend = time.time() + 30\n"
            "while not os.path.exists('{1}.here'):\n    assert time.time() < end\n    time.sleep(0.01)\n")
    project = world.project(("x", wait.format("x", "y")), ("y", wait.format("y", "x")),
                            settings={"max_steps_parallelism": 2})
    assert world.run(project).code == 0


def test_repeated_connection_counts_once(world):
    step = log_step("b", "a")
    step.extra["incoming_connections"] = [uuid_of("a")] * 3
    project = world.project(log_step("a"), step)
    result = world.run(project)
    assert result.code == 0, result.explain()


def test_old_spellings(world):
    """`name` for `title`, `image`, `experiment_json`, stray keys; no uuid, no version."""
    project = world.project(log_step("a"))
    step = project.step("a")
    step["name"] = step.pop("title")
    step.update(image={"image_name": "x"}, experiment_json="", outgoing_connections=[], own={"x": 1})
    for key in ("uuid", "version", "parameters", "settings", "services", "name"):
        project.definition.pop(key, None)
    del step["environment"], step["kernel"], step["meta_data"]
    project.save()
    before = project.pipeline.read_bytes()
    result = world.run(project)
    assert result.code == 0, result.explain()
    assert project.pipeline.read_bytes() == before


# ---------------------------------------------------------------------------------------- failures


def test_failing_cell(world):
    project = world.project(
        ("a", notebook("print('before')", "raise ValueError('no good')", "print('never')")))
    result = world.run(project)
    assert result.code == 1
    finished = result.finished(uuid_of("a"))
    assert finished["status"] == "FAILURE"
    failure = finished["failure"]
    assert (failure["cause"], failure["cell_index"]) == ("cell_error", 1)
    assert (failure["ename"], failure["evalue"]) == ("ValueError", "no good")
    cells = result.notebook("a.ipynb")["cells"]
    assert cells[1]["outputs"][-1]["ename"] == "ValueError"
    assert "".join(cells[1]["outputs"][-1]["traceback"])
    assert cells[2]["execution_count"] is None and cells[2]["outputs"] == []
    assert result.of("run_finished")[0]["status"] == "FAILURE"


def test_failing_script(world):
    project = world.project(Step("a", "echo words; exit 7\n", path="a.sh"))
    result = world.run(project)
    assert result.code == 1
    failure = result.finished(uuid_of("a"))["failure"]
    assert failure["cause"] == "exit_code"
    assert "7" in failure["message"]


def test_script_killed_by_a_signal(world):
    project = world.project(Step("a", "kill -9 $$\n", path="a.sh"))
    result = world.run(project)
    assert result.code == 1
    assert result.finished(uuid_of("a"))["failure"]["cause"] in ("exit_code", "kernel_died")


def test_failure_aborts_descendants_only(world):
    project = world.project(
        log_step("bad", more="raise SystemExit(1)"), log_step("child", "bad"),
        log_step("grandchild", "child other"), log_step("other"), log_step("after other", "other"))
    result = world.run(project)
    assert result.code == 1
    assert statuses(result) == {
        uuid_of("bad"): "FAILURE", uuid_of("child"): "ABORTED", uuid_of("grandchild"): "ABORTED",
        uuid_of("other"): "SUCCESS", uuid_of("after other"): "SUCCESS"}
    started = {title for title, what in order(project)[0] if what == "start"}
    assert started == {"bad", "other", "after other"}
    started = {e["step_uuid"] for e in result.of("step_started")}
    assert started == {uuid_of(t) for t in ("bad", "other", "after other")}
    child = result.finished(uuid_of("child"))
    assert child["failure"]["cause"] == "upstream"


def test_retries_until_it_works(world):
    """The third attempt succeeds; between attempts the step stays started."""
    script = ("import pathlib\np = pathlib.Path('tries.txt')\nn = len(p.read_text()) if p.exists() else 0\n"
              "p.write_text('x' * (n + 1))\nraise SystemExit(0 if n == 2 else 1)\n")
    project = world.project(
        Step("a", script, extra={"retries": {"limit": 3, "delay": 0}}), log_step("b", "a"))
    result = world.run(project)
    assert result.code == 0, result.explain()
    assert (project.root / "tries.txt").read_text() == "xxx"
    assert statuses(result) == {uuid_of("a"): "SUCCESS", uuid_of("b"): "SUCCESS"}


def test_retries_run_out(world):
    script = "open('tries.txt', 'a').write('x')\nraise SystemExit(1)\n"
    project = world.project(Step("a", script, extra={"retries": {"limit": 2, "delay": 0}}))
    result = world.run(project)
    assert result.code == 1
    assert (project.root / "tries.txt").read_text() == "xxx"
    assert result.finished(uuid_of("a"))["failure"]["cause"] == "exit_code"


def test_notebook_retried_from_its_source(world):
    """A second attempt executes the notebook as it was, not the first attempt's copy."""
    source = ("import os\nfirst = not os.path.exists('tried')\nopen('tried', 'w').close()\n"
              "assert not first, 'first attempt'\nprint('second attempt')")
    project = world.project(Step("a", notebook(source), extra={"retries": {"limit": 1, "delay": 0}}))
    result = world.run(project)
    assert result.code == 0, result.explain()
    cell = result.notebook("a.ipynb")["cells"][0]
    assert cell["outputs"] == [{"output_type": "stream", "name": "stdout", "text": ["second attempt\n"]}]
    assert cell["execution_count"] == 1


def test_time_limit_of_the_whole_run(world):
    """What runs is stopped, what waits never starts; a retry that is left makes it no longer."""
    project = world.project(
        Step("a", notebook("print('begun', flush=True)\nimport time\ntime.sleep(600)"),
             extra={"timeout": 60, "retries": {"limit": 3, "delay": 0}}), log_step("b", "a"), log_step("c"))
    result = world.run(project, "--timeout", "3s", seconds=30)
    assert result.code == 1, result.explain()
    assert statuses(result) == {uuid_of("a"): "FAILURE", uuid_of("b"): "ABORTED", uuid_of("c"): "SUCCESS"}
    failure = result.finished(uuid_of("a"))["failure"]
    assert (failure["cause"], failure["message"]) == ("timeout", "the run took longer than its limit of 3 s")
    assert result.finished(uuid_of("b"))["failure"]["cause"] == "cancelled"
    assert [event["cause"] for event in result.of("cancel_requested")] == ["timeout"]
    assert result.of("run_finished")[0]["status"] == "FAILURE"
    assert stream_text(result.notebook("a.ipynb")) == "begun\n"


@pytest.mark.parametrize("limit", ["0", "31d", "soon", "-1", "1.5"])
def test_time_limit_that_is_none(world, limit):
    result = world.run(world.project(log_step("a")), "--timeout", limit)
    assert result.code == 2
    assert "--timeout" in result.stderr


# ------------------------------------------------------------------------------------- partial runs
#
#        a ── b ── d ── e        f (alone)
#         └── c ──┘


def graph(world):
    return world.project(log_step("a"), log_step("b", "a"), log_step("c", "a"), log_step("d", "b c"),
                         log_step("e", "d"), log_step("f"))


SELECTIONS = [
    ("full", [], "a b c d e f"),
    ("only one", ["--only", "b"], "b"),
    ("only some that are not neighbours", ["--only", "a", "--only", "e"], "a e"),
    ("only both ends of an edge", ["--only", "d", "--only", "e"], "d e"),
    ("incoming", ["--incoming", "d"], "a b c"),
    ("incoming of two", ["--incoming", "b", "--incoming", "e"], "a c d"),
    ("upto", ["--upto", "d"], "a b c d"),
    ("upto two", ["--upto", "b", "--upto", "f"], "a b f"),
    ("from", ["--from", "b"], "b d e"),
    ("from two", ["--from", "c", "--from", "f"], "c d e f"),
]


@pytest.mark.parametrize("arguments, expected", [s[1:] for s in SELECTIONS],
                         ids=[s[0] for s in SELECTIONS])
def test_selection(world, arguments, expected):
    project = graph(world)
    result = world.run(project, *arguments)
    assert result.code == 0, result.explain()
    ran = {title for title, what in order(project)[0] if what == "end"}
    assert ran == set(expected.split())
    assert statuses(result) == {uuid_of(t): "SUCCESS" for t in expected.split()}


def test_step_named_by_uuid_and_by_path(world):
    project = graph(world)
    result = world.run(project, "--only", uuid_of("b"), "--only", "c.py")
    assert result.code == 0, result.explain()
    assert statuses(result).keys() == {uuid_of("b"), uuid_of("c")}


@pytest.mark.parametrize("arguments", [
    ["--only", "nobody"], ["--only", uuid_of("nobody")], ["--incoming", "a"], ["--only"],
    ["--only", "a", "--upto", "b"], ["--no-such-option"]],
    ids=["unknown title", "unknown uuid", "nothing to run", "no value", "two kinds", "unknown option"])
def test_selection_refused(world, arguments):
    project = graph(world)
    result = world.run(project, *arguments)
    assert result.code == 2
    assert result.stderr.strip()
    assert not (project.root / "order.txt").exists()


def test_ambiguous_title_refused(world):
    project = world.project(log_step("a"), log_step("b"))
    project.step("a")["title"] = project.step("b")["title"] = "same"
    project.save()
    assert world.run(project, "--only", "same").code == 2


def test_plan_agrees_with_run(world):
    project = graph(world)
    result = world.command("plan", project.pipeline, "--from", "b", "--json")
    assert result.code == 0, result.stderr
    plan = json.loads(result.stdout)
    titles = [step["title"] for step in plan["steps"]]
    assert titles == ["b", "d", "e"]
    assert [step["rank"] for step in plan["steps"]] == [0, 1, 2]
    assert plan["run_type"] == "from"
    assert plan["steps"][0]["incoming_connections"] == []
    assert plan["steps"][1]["incoming_connections"] == [uuid_of("b")]
    assert plan["sentinel"]["incoming_connections"] == [uuid_of("e")]
    assert not (project.root / "order.txt").exists(), "a plan ran something"


# --------------------------------------------------------------------------------------- parameters


SHOW = code("x = 'default'\ny = 'default'", "parameters"), "import json\nprint(json.dumps([x, y]))"


def shown(result, path="a.ipynb"):
    return json.loads(stream_text(result.notebook(path)))


def test_parameters_from_the_pipeline_file(world):
    project = world.project(Step("a", notebook(*SHOW), parameters={"y": [1, None]}),
                            parameters={"x": 1.5, "y": "hidden"})
    assert shown(world.run(project)) == [1.5, [1, None]]


def test_parameters_from_the_command_line(world):
    project = world.project(Step("a", notebook(*SHOW), parameters={"y": "step"}), parameters={"x": "file"})
    result = world.run(project, "-p", "x=7")
    assert shown(result) == [7, "step"]


@pytest.mark.parametrize("given, value", [
    ("x=text", "text"), ("x=1e3", 1000), ("x=true", True), ('x={"a": [1]}', {"a": [1]}), ("x=", ""),
    ('x="5"', "5"), ("x=a=b", "a=b"), ("x=null", None), ("x=héé 😀", "héé 😀"), ("x=01", "01")])
def test_parameter_values(world, given, value):
    project = world.project(("a", notebook(*SHOW)))
    result = world.run(project, "-p", given)
    assert result.code == 0, result.explain()
    assert shown(result)[0] == value


def test_parameter_of_one_step(world):
    project = world.project(("a", notebook(*SHOW)), ("b", notebook(*SHOW)))
    result = world.run(project, "-p", "a:x=1", "-p", f"{uuid_of('b')}:x=2")
    assert shown(result)[0] == 1
    assert shown(result, "b.ipynb")[0] == 2


@pytest.mark.parametrize("given", ["novalue", "=5", "nobody:x=1"])
def test_parameter_refused(world, given):
    result = world.run(world.project(("a", notebook(*SHOW))), "-p", given)
    assert result.code == 2


def test_parameters_through_the_sdk(world):
    script = ("import segue, json\nprint(json.dumps([segue.get_step_param('two words'), "
              "segue.get_pipeline_param('p'), segue.get_step_param('none', 'fallback')]))\n")
    project = world.project(Step("a", notebook(script), parameters={"two words": 2}), parameters={"p": 3})
    result = world.run(project)
    assert result.code == 0, result.explain()
    assert shown(result) == [2, 3, "fallback"]


# ----------------------------------------------------------------------------- data between the steps


def test_data_passes_between_steps(world):
    project = world.project(
        Step("a", notebook("import segue\nsegue.output({'n': 1}, name='numbers')")),
        Step("b", "import segue\nsegue.output([1, 2, {'t': None}], name='list')\n"),
        Step("c", notebook("import segue\ni = segue.get_inputs()\nprint(i['numbers'], i['list'])"), "a b"))
    result = world.run(project)
    assert result.code == 0, result.explain()
    assert stream_text(result.notebook("c.ipynb")) == "{'n': 1} [1, 2, {'t': None}]\n"


def test_unnamed_data_in_the_order_of_the_connections(world):
    out = "import segue\nsegue.output('{}', name=None)\n"
    show = "import segue\nprint(segue.get_inputs()['unnamed'])"
    project = world.project(("x", out.format("from x")), ("y", out.format("from y")),
                            Step("c", notebook(show), "y x"))
    result = world.run(project)
    assert result.code == 0, result.explain()
    assert stream_text(result.notebook("c.ipynb")) == "['from y', 'from x']\n"


def test_data_that_json_cannot_hold(world):
    project = world.project(
        ("a", "import segue\nsegue.output({(1, 2): b'bytes'}, name='v')\n"),
        Step("b", notebook("import segue\nprint(segue.get_inputs()['v'])"), "a"))
    result = world.run(project)
    assert result.code == 0, result.explain()
    assert stream_text(result.notebook("b.ipynb")) == "{(1, 2): b'bytes'}\n"


def test_orchest_sdk(world):
    project = world.project(
        ("a", "import orchest\norchest.output(5, name='v')\n"),
        Step("b", "import orchest\nassert orchest.get_inputs()['v'] == 5\n", "a"))
    result = world.run(project)
    assert result.code == 0, result.explain()


def test_data_of_an_earlier_run(world):
    """A parent that is not part of this run: its newest earlier result."""
    project = world.project(
        ("a", "import segue, pathlib\np = pathlib.Path('n')\nn = int(p.read_text()) + 1 if p.exists() else 1\n"
              "p.write_text(str(n))\nsegue.output(n, name='n')\n"),
        Step("b", notebook("import segue\nprint(segue.get_inputs()['n'])"), "a"))
    for number in (1, 2):
        result = world.run(project)
        assert result.code == 0, result.explain()
        assert stream_text(result.notebook("b.ipynb")) == f"{number}\n"
    result = world.run(project, "--only", "b")
    assert result.code == 0, result.explain()
    assert stream_text(result.notebook("b.ipynb")) == "2\n"
    assert (project.root / "n").read_text() == "2"


# ---------------------------------------------------------------------------- where the copies go


def test_in_place(world):
    project = world.project(("a", notebook("1 + 1")))
    result = world.command("run", project.pipeline, "--in-place")
    assert result.code == 0, result.stderr
    cell = project.read("a.ipynb")["cells"][0]
    assert cell["outputs"][0]["data"]["text/plain"] == ["2"]


def test_in_place_keeps_mode_and_link_count(world):
    project = world.project(("a", notebook("1 + 1")))
    path = project.root / "a.ipynb"
    path.chmod(0o640)
    assert world.command("run", project.pipeline, "--in-place").code == 0
    assert path.stat().st_mode & 0o7777 == 0o640
    assert list(project.root.glob("*a.ipynb*")) == [path], "a temporary file was left"


def test_in_place_refuses_a_changed_file(world):
    """Somebody saved the notebook while it ran: theirs stays, the step says so."""
    source = ("import json\nn = json.load(open('a.ipynb'))\nn['metadata']['edited'] = True\n"
              "json.dump(n, open('a.ipynb', 'w'))")
    project = world.project(("a", notebook(source)))
    running = world.start(project, "--in-place", with_output=False)
    result = world.finish(running)
    assert result.code == 1
    assert result.finished(uuid_of("a"))["failure"]["cause"] == "write_refused"
    assert project.read("a.ipynb")["metadata"]["edited"] is True


def test_output_keeps_relative_paths(world):
    project = world.project(Step("a", notebook("1"), path="one/two/a.ipynb"),
                            Step("b", notebook("2"), path="three/a.ipynb"))
    result = world.run(project)
    assert result.code == 0, result.explain()
    found = {str(p.relative_to(result.output)) for p in result.output.rglob("*.ipynb")}
    assert found == {"one/two/a.ipynb", "three/a.ipynb"}


def test_one_notebook_in_two_steps(world):
    """Two steps may name one file: both run, with their own parameters."""
    both = notebook(code("x = 0", "parameters"), "open(f'ran-{x}', 'w').close()")
    project = world.project(Step("a", both, path="n.ipynb", parameters={"x": 1}),
                            Step("b", None, path="n.ipynb", parameters={"x": 2}))
    result = world.run(project)
    assert result.code == 0, result.explain()
    assert (project.root / "ran-1").exists() and (project.root / "ran-2").exists()


def test_unusual_file_names(world):
    name = "ä b/it's \"quoted\" $HOME\n😀.ipynb"
    project = world.project(Step("a", notebook("1"), path=name))
    result = world.run(project)
    assert result.code == 0, result.explain()
    assert result.notebook(name)["cells"][0]["execution_count"] == 1


# --------------------------------------------------------------------------------- inside a step


def test_environment_inside(world):
    names = ["SEGUE_RUN_UUID", "SEGUE_STEP_UUID", "SEGUE_PIPELINE_UUID", "SEGUE_PROJECT_DIR",
             "SEGUE_PIPELINE_PATH", "SEGUE_DATA_DIR", "SEGUE_IO_DIR"]
    show = f"import os, json\nprint(json.dumps([os.getcwd()] + [os.environ.get(n) for n in {names}]))"
    project = world.project(Step("a", notebook(show), path="deep/a.ipynb"),
                            Step("b", show.replace("print(", "open('b.txt', 'w').write("), path="deep/b.py"))
    result = world.run(project)
    assert result.code == 0, result.explain()
    script = json.loads((project.root / "deep/b.txt").read_text())
    for values, title in ((shown(result, "deep/a.ipynb"), "a"), (script, "b")):
        cwd, run, step, pipeline, directory, path, data, io = values
        assert cwd == str(project.root / "deep")
        assert run == result.events[0]["run_uuid"]
        assert step == uuid_of(title)
        assert pipeline == project.definition["uuid"]
        assert directory == str(project.root)
        assert path and path.endswith("pipeline.json")
        assert data and io


def test_standard_input_is_empty(world):
    project = world.project(("a", "import sys\nassert sys.stdin.read() == ''\n"))
    assert world.run(project).code == 0


def test_project_directory_found_upwards(world):
    """The nearest parent with .git is the project; the pipeline lies deeper."""
    project = world.project(("a", "import os\nprint(os.environ['SEGUE_PROJECT_DIR'])\n"))
    (world.root / ".git").mkdir()
    result = world.run(project)
    assert result.code == 0, result.explain()
    text = result.of("output")[0]["output"]["text"]
    assert "".join(text).strip() == str(world.root)


# ------------------------------------------------------------------------------------------- events


def test_events_of_a_notebook(world):
    project = world.project(("a", notebook("print('x')", "1", "")))
    result = world.run(project)
    kinds = [event["event"] for event in result.events]
    assert kinds.count("run_started") == kinds.count("run_finished") == 1
    assert kinds[-1] == "run_finished"
    ids = [event["id"] for event in result.events]
    assert ids == sorted(set(ids)), "ids do not increase"
    assert len({event["run_uuid"] for event in result.events}) == 1
    for event in result.events:
        moment = event["time"]
        assert moment[10] == "T" and moment.endswith("Z"), moment
    own = [event for event in result.events if event.get("step_uuid") == uuid_of("a")]
    kinds = [event["event"] for event in own]
    assert kinds[0] == "step_started" and kinds[-1] == "step_finished"
    assert kinds.index("kernel_ready") < kinds.index("cell_started")
    for index in (0, 1):
        cell = [e["event"] for e in own if e.get("cell_index") == index]
        assert cell == ["cell_started", "output", "cell_finished"]
    assert {e["cells_total"] for e in own if e["event"].startswith("cell_")} == {2}
    output = next(e["output"] for e in own if e["event"] == "output" and e["cell_index"] == 1)
    assert output["output_type"] == "execute_result"


def test_events_come_while_it_runs(world):
    """The first cell's output is there before the second cell, which waits for us, has ended."""
    wait = "import os, time\nwhile not os.path.exists('go'):\n    time.sleep(0.01)"
    project = world.project(("a", notebook("print('first')", wait)))
    running = world.start(project)
    running.wait_for(lambda e: e["event"] == "output", what="the first output")
    (project.root / "go").touch()
    assert world.finish(running).code == 0


def test_partial_copy_while_it_runs(world):
    """After each cell of an ordinary notebook the copy on disk has it."""
    wait = "import os, time\nwhile not os.path.exists('go'):\n    time.sleep(0.01)"
    project = world.project(("a", notebook("print('first')", wait)))
    running = world.start(project)
    running.wait_for(lambda e: e["event"] == "cell_started" and e["cell_index"] == 1)
    deadline = time.monotonic() + 10
    copies = []
    while not copies and time.monotonic() < deadline:
        copies = [p for p in [*world.state.rglob("*.ipynb"), *running.output.rglob("*.ipynb")]
                  if "first\\n" in p.read_text("utf-8", "replace").replace("print('first')", "")]
        time.sleep(0.02)
    (project.root / "go").touch()
    assert world.finish(running).code == 0
    assert copies, "no copy with the first cell's output while the second ran"


def test_each_kept_step_finishes_once(world):
    project = graph(world)
    project.write("b.py", "raise SystemExit(1)\n")
    result = world.run(project)
    assert result.code == 1
    assert statuses(result) == {uuid_of("a"): "SUCCESS", uuid_of("b"): "FAILURE",
                                uuid_of("c"): "SUCCESS", uuid_of("d"): "ABORTED",
                                uuid_of("e"): "ABORTED", uuid_of("f"): "SUCCESS"}


def test_without_json_says_how_it_ended(world):
    project = world.project(("good", "pass\n"), ("bad", "raise SystemExit(4)\n"))
    result = world.command("run", project.pipeline)
    assert result.code == 1
    said = result.stdout + result.stderr
    assert "good" in said and "bad" in said
    assert "exit_code" in said or "4" in said


# ------------------------------------------------------------------------------------- other commands


def test_validate_good(world):
    project = graph(world)
    result = world.command("validate", project.pipeline, project.pipeline)
    assert result.code == 0, result.stderr


def test_usage_errors(world):
    for arguments in ([], ["run"], ["no-such-command"], ["plan"], ["validate"],
                      ["run", "/nonexistent/pipeline.json"]):
        result = world.command(*arguments)
        assert result.code == 2, arguments
        assert result.stderr.strip(), arguments


def test_help_and_version(world):
    for arguments in (["--help"], ["run", "--help"], ["--version"]):
        result = world.command(*arguments)
        assert result.code == 0, arguments
        assert result.stdout.strip(), arguments


def a_run_that_waits_for_a_file(world):
    wait = "import pathlib, time\nprint('here', flush=True)\nwhile not pathlib.Path('go').exists(): time.sleep(0.01)\n"
    project = world.project(("a", wait))
    running = world.start(project)
    running.wait_for(lambda e: e["event"] == "output")
    return project, running


def waiting(world, project):
    running = world.start(project)
    wait_until(lambda: "waiting for it to end" in running.errors_so_far(), 20, "the second run to wait")
    assert running.events_so_far() == []
    return running


def test_runs_of_one_pipeline_take_turns(world):
    """On the live project there is one at a time."""
    project, first = a_run_that_waits_for_a_file(world)
    second = waiting(world, project)
    (project.root / "go").touch()
    before, after = world.finish(first), world.finish(second)
    assert before.code == after.code == 0, after.explain()
    assert before.of("run_finished")[0]["time"] <= after.of("run_queued")[0]["time"]


@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["INT", "TERM"])
def test_signal_while_waiting_for_a_turn(world, number, code):
    project, first = a_run_that_waits_for_a_file(world)
    second = waiting(world, project)
    second.signal(number)
    assert world.finish(second).code == code
    (project.root / "go").touch()
    assert world.finish(first).code == 0


@pytest.mark.parametrize("name, file", [("julia", "a.jl"), ("Rscript", "a.R"), ("node", "a.js")])
def test_interpreter_from_the_path(world, name, file):
    """The script's language decides what it is run by, where PATH finds it first."""
    stand_in = world.root / "bin" / name
    stand_in.parent.mkdir()
    stand_in.write_text(f'#!/bin/sh\necho {name} "$1"\n')
    stand_in.chmod(0o755)
    world.env["PATH"] = f"{stand_in.parent}:{world.env['PATH']}"
    result = world.run(world.project(Step("a", "x", path=file)))
    assert result.code == 0, result.explain()
    printed = "".join(e["output"]["text"] for e in result.of("output"))
    assert printed.split()[0] == name and printed.split()[1].endswith(f"/{file}"), printed


def test_docker_is_not_there(world):
    world.env["DOCKER_HOST"] = "unix:///nonexistent.sock"
    project = world.project(("a", "pass\n"))
    result = world.run(project, "--launcher", "docker")
    assert result.code in (1, 3), result.explain()
    if result.code == 1:
        assert result.finished(uuid_of("a"))["failure"]["cause"] in (
            "launcher_unavailable", "environment_missing")


def test_many_script_steps(world):
    count = 150
    steps = [Step(f"s{n}", "true\n", f"s{n - 1}" if n % 10 else "", path=f"s{n}.sh") for n in range(count)]
    project = world.project(*steps)
    result = world.run(project, seconds=120)
    assert result.code == 0, result.explain()
    assert len(statuses(result)) == count


def test_interpreter_is_the_kernels(world):
    """A notebook runs on the interpreter that the kernelspec names."""
    project = world.project(("a", notebook("import sys\nprint(sys.executable)")))
    result = world.run(project)
    assert stream_text(result.notebook("a.ipynb")).strip() == sys.executable
