"""runner/sdk/python: what one step puts out, another gets back, and nothing else."""

import datetime
import decimal
import enum
import json
import math
import os
import random
import stat
import subprocess
import sys
from pathlib import Path

import pytest

SDK = Path(__file__).resolve().parents[3] / "runner" / "sdk" / "python"
sys.path.insert(0, str(SDK))

import orchest  # noqa: E402
import segue  # noqa: E402

RUN = "11111111-1111-4111-8111-111111111111"
EARLIER_RUN = "22222222-2222-4222-8222-222222222222"


class Steps:
    """A run's pipeline file and result folder; `enter` makes this process one of its steps."""

    def __init__(self, folder, monkeypatch):
        self.folder, self.environment = folder, monkeypatch
        self.io = folder / "io"
        self.definition = {"name": "p", "uuid": "p", "parameters": {}, "steps": {}}

    def add(self, uuid, incoming=(), **keys):
        self.definition["steps"][uuid] = {
            "uuid": uuid, "title": "Step " + uuid, "file_path": uuid + ".py",
            "incoming_connections": list(incoming), "parameters": {}, **keys}

    def enter(self, uuid, run=RUN):
        path = self.folder / "pipeline.json"
        path.write_text(json.dumps(self.definition))
        for name, value in {"RUN_UUID": run, "STEP_UUID": uuid, "PIPELINE_UUID": "p",
                            "PIPELINE_PATH": str(path), "IO_DIR": str(self.io)}.items():
            self.environment.setenv("SEGUE_" + name, value)

    def output(self, uuid, *args, run=RUN, **keys):
        self.enter(uuid, run)
        segue.output(*args, **keys)

    def index(self, uuid):
        return json.loads((self.io / uuid / "index.json").read_text())


@pytest.fixture
def steps(tmp_path, monkeypatch):
    steps = Steps(tmp_path, monkeypatch)
    steps.add("a")
    steps.add("b")
    steps.add("c", ["b", "a"])
    return steps


def passed(steps, value):
    """What `value` is after the way through a file, and the format that was chosen."""
    steps.output("a", value, "x")
    steps.output("b", None)
    steps.enter("c")
    return segue.get_inputs()["x"], steps.index("a")[0]["format"]


# ---- Formats ------------------------------------------------------------------------------------


class Colour(enum.IntEnum):
    RED = 1


class Text(str):
    pass


SHARED = ["twice"]


@pytest.mark.parametrize("value, form", [
    (None, "json"), (True, "json"), (0, "json"), (-(10 ** 40), "json"), (0.1, "json"),
    (-0.0, "json"), (5e-324, "json"), ("", "json"), ("ä\u2028\0\U0001f600", "json"),
    ([], "json"), ({}, "json"), ({"b": 1, "a": [1, 2.0, None, {"": False}]}, "json"),
    ([SHARED, SHARED], "json"),
    (b"", "bin"), (b"\0\xff\n", "bin"), (bytearray(b"x"), "pickle"),
    ((), "pickle"), ([1, (2, 3)], "pickle"), ({1: "int key"}, "pickle"), ({None: 0}, "pickle"),
    ({True: 0}, "pickle"), (math.nan, "pickle"), ([math.inf], "pickle"),
    ({"k": -math.inf}, "pickle"),
    ("\ud800", "pickle"), ({1, 2}, "pickle"), (1 + 2j, "pickle"),
    (Colour.RED, "pickle"), ([Text("x")], "pickle"), ({Text("x"): 1}, "pickle"),
    (decimal.Decimal("1.10"), "pickle"), (datetime.date(2026, 1, 2), "pickle"),
], ids=lambda value: None if isinstance(value, str) else repr(value)[:20])
def test_value_comes_back_as_it_was(steps, value, form):
    back, chosen = passed(steps, value)
    assert chosen == form
    assert type(back) is type(value)
    assert repr(back) == repr(value)


def test_cycle_comes_back(steps):
    cycle = []
    cycle.append(cycle)
    back, chosen = passed(steps, cycle)
    assert chosen == "pickle" and back[0] is back


def test_integer_that_is_too_long_for_text_comes_back(steps):
    assert passed(steps, 10 ** 5000)[0] == 10 ** 5000


def random_value(rng, depth):
    kinds = [
        lambda: rng.choice([None, True, False]), lambda: rng.randint(-10 ** 20, 10 ** 20),
        lambda: rng.choice([rng.gauss(0, 1e9), math.inf, -0.0, 1e308]),
        lambda: "".join(chr(rng.choice([0, 9, 34, 65, 0xE4, 0x2028, 0x1F600])) for _ in range(3)),
        lambda: bytes(rng.randrange(256) for _ in range(3)),
    ]
    nested = [
        lambda: [random_value(rng, depth - 1) for _ in range(rng.randrange(4))],
        lambda: tuple(random_value(rng, depth - 1) for _ in range(rng.randrange(3))),
        lambda: {random_value(rng, 0): random_value(rng, depth - 1) for _ in range(2)},
        lambda: {str(i): random_value(rng, depth - 1) for i in range(rng.randrange(4))},
    ]
    return rng.choice(kinds + (nested * 2 if depth else []))()


def test_random_values_come_back_as_they_were(steps):
    rng = random.Random(20260101)
    formats = set()
    for _ in range(300):
        value = random_value(rng, 3)
        back, chosen = passed(steps, value)
        formats.add(chosen)
        assert repr(back) == repr(value)
    assert formats == {"json", "bin", "pickle"}


def test_what_cannot_be_written_is_refused_and_leaves_nothing(steps):
    steps.enter("a")
    with pytest.raises(segue.SerializationError, match="generator"):
        segue.output((x for x in []), "x")
    assert not (steps.io / "a").exists()


# ---- Tables -------------------------------------------------------------------------------------

pandas = pytest.importorskip("pandas")
pyarrow = pytest.importorskip("pyarrow")


def frames():
    plain = pandas.DataFrame({"i": [1, 2], "f": [0.5, None], "s": ["x", None], "b": [True, False]})
    moments = pandas.date_range("2026-01-01", periods=2, tz="Europe/Paris")
    yield "plain", plain, "arrow"
    yield "no_rows", plain.iloc[:0], "arrow"
    yield "small_types", plain[["i"]].astype("int8"), "arrow"
    yield "float32", plain[["f"]].astype("float32"), "arrow"
    yield "nullable", plain.convert_dtypes(), "arrow"
    yield "times", pandas.DataFrame({"t": moments, "d": moments - moments[0]}), "arrow"
    yield "category", pandas.DataFrame({"c": pandas.Categorical(
        ["b", None], categories=["b", "a"], ordered=True)}), "arrow"
    yield "text_index", plain.set_index(pandas.Index(["p", "q"], name="key")), "arrow"
    yield "range_index", plain.set_index(pandas.RangeIndex(5, 9, 2, name="r")), "arrow"
    yield "multi_index", plain.set_index(pandas.MultiIndex.from_tuples(
        [("x", 1), ("y", 2)], names=["k", None])), "arrow"
    yield "int_columns", pandas.DataFrame([[1, 2]], columns=[3, 1]), "arrow"
    # What arrow would change:
    yield "empty", pandas.DataFrame(), "pickle"
    yield "frequency", pandas.DataFrame({"x": [1, 2]}, index=moments), "pickle"
    yield "objects", pandas.DataFrame({"o": [1, "x"]}), "pickle"
    yield "object_bools", pandas.DataFrame({"o": [1, True]}, dtype=object), "pickle"
    yield "lists", pandas.DataFrame({"o": [[1], [2, 3]]}), "pickle"
    yield "same_column_twice", pandas.DataFrame([[1, 2]], columns=["x", "x"]), "pickle"
    yield "mixed_columns", pandas.DataFrame([[1, 2]], columns=["x", 1]), "pickle"
    with_attributes = plain.copy()
    with_attributes.attrs = {1: {2}}
    yield "attributes", with_attributes, "pickle"


@pytest.mark.parametrize("frame, form", [pytest.param(f, form, id=i) for i, f, form in frames()])
@pytest.mark.filterwarnings("ignore")
def test_frame_comes_back_with_index_and_types(steps, frame, form):
    back, chosen = passed(steps, frame)
    pandas.testing.assert_frame_equal(
        back, frame, check_exact=True, check_freq=True, check_index_type="exact",
        check_column_type="exact", check_categorical=True)
    assert list(back.dtypes) == list(frame.dtypes) and back.attrs == frame.attrs
    assert chosen == form


def test_frame_that_came_back_can_be_written_to(steps):
    back, _ = passed(steps, pandas.DataFrame({"x": [1.0, 2.0]}))
    back.loc[0, "x"] = 7.0
    assert list(back["x"]) == [7.0, 2.0]


@pytest.mark.parametrize("table", [
    pyarrow.table({"x": [1, None], "y": [["p"], []]}),
    pyarrow.Table.from_pandas(pandas.DataFrame({"x": [1]})),
    pyarrow.record_batch({"x": [1, 2]}),
    pyarrow.record_batch({"x": pyarrow.array([], pyarrow.int8())}),
], ids=["table", "table_from_pandas", "batch", "empty_batch"])
def test_arrow_comes_back(steps, table):
    back, chosen = passed(steps, table)
    assert chosen == "arrow" and type(back) is type(table)
    assert back.equals(table) and back.schema.equals(table.schema, check_metadata=True)


def test_frame_without_pyarrow_is_pickled(steps, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    frame = pandas.DataFrame([[1, 2]])   # no text in it, which pandas itself keeps in arrow
    back, chosen = passed(steps, frame)
    assert chosen == "pickle" and back.equals(frame)


def test_arrow_file_without_pyarrow_says_what_is_missing(steps, monkeypatch):
    steps.output("a", pyarrow.table({"x": [1]}), "x")
    steps.output("b", 0)
    steps.enter("c")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(segue.DeserializationError, match="package pyarrow"):
        segue.get_inputs()


# ---- Names and files ----------------------------------------------------------------------------


NAMES = ["plain", "with blank", "a/b", "../../etc/passwd", "..", ".", ".hidden", "index", "INDEX",
         "index.json", "ä", "a\\b", "a\0b", "%41", "A", "a", "x;y", "", "~", "long" * 100,
         "long" * 100 + "!", "\ud800", "a%-b", "new\nline", "Unnamed", "CON"]


def test_any_name_is_a_file_of_its_own_inside_the_folder(steps):
    for number, name in enumerate(NAMES):
        steps.output("a", number, name)
    steps.output("b", None)
    steps.enter("c")
    inputs = segue.get_inputs()
    assert {name: inputs[name] for name in NAMES} == {n: i for i, n in enumerate(NAMES)}
    files = [entry["file"] for entry in steps.index("a")]
    assert len({file.lower() for file in files}) == len(NAMES)   # also where case is folded
    assert sorted(os.listdir(steps.io / "a")) == sorted(files + ["index.json"])
    assert os.listdir(steps.folder) and not (steps.folder.parent / "etc").exists()


def test_plain_names_are_plain_files(steps):
    steps.output("a", 1, "accuracy")
    steps.output("a", b"", "image.png")
    steps.output("a", 2)
    assert [entry["file"] for entry in steps.index("a")] == [
        "accuracy.json", "image.png.bin", "unnamed.json"]


@pytest.mark.parametrize("name", ["unnamed", "a; b", 7, b"bytes"])
def test_name_is_refused(steps, name):
    steps.enter("a")
    with pytest.raises(segue.DataInvalidNameError):
        segue.output(1, name)
    assert not (steps.io / "a").exists()


def test_index_entry(steps):
    before = datetime.datetime.now(datetime.timezone.utc)
    steps.output("a", [1], "x")
    (entry,) = steps.index("a")
    time = datetime.datetime.strptime(entry.pop("time"), "%Y-%m-%dT%H:%M:%S.%f%z")
    assert before <= time <= datetime.datetime.now(datetime.timezone.utc)
    assert entry == {"name": "x", "file": "x.json", "format": "json", "run_uuid": RUN}
    assert json.loads((steps.io / "a" / "x.json").read_text()) == [1]


def test_last_output_of_a_name_wins_and_others_stay(steps):
    steps.output("a", 1, "x")
    steps.output("a", "kept", "y")
    steps.output("a", (2,), "x")
    steps.output("a", 3)
    steps.output("a", 4)
    steps.output("b", None)
    steps.enter("c")
    assert segue.get_inputs() == {"x": (2,), "y": "kept", "unnamed": [None, 4]}
    assert sorted(os.listdir(steps.io / "a")) == [
        "index.json", "unnamed.json", "x.pickle", "y.json"]


def test_outputs_of_an_earlier_run_of_the_same_step_are_dropped(steps):
    steps.output("a", 1, "old", run=EARLIER_RUN)
    steps.output("a", 2, "new")
    assert [entry["name"] for entry in steps.index("a")] == ["new"]
    assert sorted(os.listdir(steps.io / "a")) == ["index.json", "new.json"]


def test_files_get_the_mode_of_the_umask(steps):
    old = os.umask(0o027)
    try:
        steps.output("a", 1, "x")
    finally:
        os.umask(old)
    for name in ("x.json", "index.json"):
        assert stat.S_IMODE((steps.io / "a" / name).stat().st_mode) == 0o640


def test_processes_of_one_step_may_write_at_the_same_time(steps):
    steps.enter("a")
    program = "import segue, sys\nfor i in range(20): segue.output(i, sys.argv[1] + str(i))"
    writers = [subprocess.Popen([sys.executable, "-c", program, str(number) + "-"],
                                env={**os.environ, "PYTHONPATH": str(SDK)}) for number in range(3)]
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    assert len(steps.index("a")) == 60


# ---- Inputs -------------------------------------------------------------------------------------


def test_unnamed_inputs_follow_the_connections(steps):
    steps.output("a", "from a")
    steps.output("b", "from b")
    steps.enter("c")
    assert segue.get_inputs() == {"unnamed": ["from b", "from a"]}


def test_connection_given_twice_counts_once(steps):
    steps.add("d", ["a", "a"])
    steps.output("a", 1, "x")
    steps.output("a", 2)
    steps.enter("d")
    assert segue.get_inputs() == {"x": 1, "unnamed": [2]}


def test_step_without_parents_has_no_inputs(steps):
    steps.enter("a")
    assert segue.get_inputs() == {"unnamed": []} and segue.get_input_info() == []


def test_name_collision_names_both_steps(steps):
    steps.output("a", 1, "x")
    steps.output("b", 2, "x")
    steps.enter("c")
    with pytest.raises(segue.InputNameCollisionError, match="'x' by Step b and Step a"):
        segue.get_inputs(ignore_failure=True)


def test_missing_output(steps):
    steps.output("b", 1, "x")
    steps.enter("c")
    with pytest.raises(segue.OutputNotFoundError, match="Step a"):
        segue.get_inputs()
    assert segue.get_inputs(ignore_failure=True) == {"x": 1, "unnamed": [None]}


def test_unreadable_output(steps):
    steps.output("a", (1,), "x")
    steps.output("b", "fine")
    (steps.io / "a" / "x.pickle").write_bytes(b"no pickle")
    steps.enter("c")
    with pytest.raises(segue.DeserializationError, match="'x' of step Step a"):
        segue.get_inputs()
    assert segue.get_inputs(ignore_failure=True) == {"x": None, "unnamed": ["fine"]}
    (steps.io / "a" / "x.pickle").unlink()
    with pytest.raises(segue.OutputNotFoundError, match="is gone"):
        segue.get_inputs()


def test_input_from_an_earlier_run_is_marked(steps, capsys):
    steps.output("a", 1, "x", run=EARLIER_RUN)
    steps.output("b", 2)
    steps.enter("c")
    assert segue.get_inputs() == {"x": 1, "unnamed": [2]}
    (line,) = capsys.readouterr().err.splitlines()
    assert "'x' of Step a" in line and EARLIER_RUN in line and steps.index("a")[0]["time"] in line
    assert [(i["step_uuid"], i["name"], i["run_uuid"], i["is_stale"])
            for i in segue.get_input_info()] == [
        ("b", None, RUN, False), ("a", "x", EARLIER_RUN, True)]


def test_inputs_of_this_run_are_not_warned_about(steps, capsys):
    steps.output("a", 1)
    steps.output("b", 2)
    steps.enter("c")
    segue.get_inputs()
    assert capsys.readouterr() == ("", "")


def test_files_of_other_languages_are_read(steps):
    folder = steps.io / "a"
    folder.mkdir(parents=True)
    (folder / "x.json").write_text("[1, 2.5]")
    (folder / "index.json").write_text(json.dumps([
        {"name": "x", "file": "x.json", "format": "json", "run_uuid": RUN,
         "time": "2026-01-01T00:00:00Z"}]))
    steps.output("b", None)
    steps.enter("c")
    assert segue.get_inputs()["x"] == [1, 2.5]


# ---- Parameters, and being no step --------------------------------------------------------------


def test_parameters(steps):
    steps.add("d", parameters={"depth": 3, "none": None})
    steps.definition["parameters"] = {"seed": [1]}
    steps.enter("d")
    assert segue.get_step_param("depth") == 3
    assert segue.get_step_param("none", "default") is None
    assert segue.get_step_param("absent", "default") == "default"
    assert segue.get_pipeline_param("seed") == [1]
    assert segue.get_params() == ({"depth": 3, "none": None}, {"seed": [1]})
    with pytest.raises(KeyError, match="no step parameter 'absent' .*depth, none"):
        segue.get_step_param("absent")
    with pytest.raises(KeyError, match="no pipeline parameter 'depth'"):
        segue.get_pipeline_param("depth")


def test_absent_parameters_are_empty(steps):
    del steps.definition["parameters"], steps.definition["steps"]["a"]["parameters"]
    steps.enter("a")
    assert segue.get_params() == ({}, {})


@pytest.mark.parametrize("call", [
    segue.get_inputs, segue.get_input_info, segue.get_params, lambda: segue.output(1),
    lambda: segue.get_pipeline_param("x"),
], ids=["get_inputs", "get_input_info", "get_params", "output", "get_pipeline_param"])
def test_outside_a_step(monkeypatch, call):
    for name in [name for name in os.environ if name.startswith("SEGUE_")]:
        monkeypatch.delenv(name)
    with pytest.raises(segue.NotInStepError, match="segue run"):
        call()


def test_step_that_the_pipeline_does_not_have(steps):
    steps.enter("nobody")
    with pytest.raises(segue.NotInStepError, match="nobody"):
        segue.get_step_params()


def test_pipeline_file_that_is_gone(steps):
    steps.enter("a")
    (steps.folder / "pipeline.json").unlink()
    with pytest.raises(segue.NotInStepError, match="cannot be read"):
        segue.get_inputs()


# ---- Names that existing pipelines import -------------------------------------------------------


def test_orchest_names(steps):
    from orchest import transfer
    from orchest.error import InputNameCollisionError, OutputNotFoundError
    from orchest.parameters import get_step_param

    assert OutputNotFoundError is segue.OutputNotFoundError
    assert InputNameCollisionError is segue.InputNameCollisionError
    steps.add("d", ["a", "b"], parameters={"k": 1})
    steps.enter("a")
    transfer.output_to_disk(1, name="x")
    with pytest.raises(ValueError):
        orchest.output_to_disk(b"", "y", "PICKLE")
    steps.enter("b")
    orchest.output(2, None)
    steps.enter("d")
    assert orchest.transfer.get_inputs() == orchest.get_inputs() == {"x": 1, "unnamed": [2]}
    assert get_step_param("k") == orchest.get_step_param("k") == 1
    assert orchest.get_params() == ({"k": 1}, {})
    assert orchest.get_step_params() == {"k": 1} and orchest.get_pipeline_params() == {}
    assert orchest.get_pipeline_param("none", 5) == 5


def test_needs_the_standard_library_alone():
    subprocess.run([sys.executable, "-S", "-c", "import segue, orchest"], check=True,
                   env={"PYTHONPATH": str(SDK)})
