"""The judge judged: a planted difference of any kind is seen, an allowed one is not."""

import copy
import json

import pytest
from compare import compare, differences, load, normalise
from corpus import Case
from support.notebooks import code, markdown, notebook, stream

STATE = "application/vnd.jupyter.widget-state+json"
VIEW = "application/vnd.jupyter.widget-view+json"
CASE = Case("x", None, "rule")


def model(value, **state):
    return {"model_name": value, "model_module": "m", "model_module_version": "1", "state": state}


def executed(a="a" * 32, b="b" * 32):
    """An executed notebook with something of everything in it."""
    display = {"output_type": "display_data", "metadata": {"m": 1},
               "data": {"text/plain": ["<X at 0x7f00aabb00>"], "application/json": {"f": 0.5, "n": 2**70}}}
    view = {"output_type": "display_data", "metadata": {}, "data": {VIEW: {"model_id": b}}}
    error = {"output_type": "error", "ename": "E", "evalue": "v", "traceback": ["\x1b[31mE\x1b[0m", "t"]}
    widgets = {STATE: {"version_major": 2, "version_minor": 0, "state": {
        a: model("Layout", width="1px"),
        b: {**model("Image", layout=f"IPY_MODEL_{a}"),
            "buffers": [{"data": "AAA=", "encoding": "base64", "path": ["value"]}]}}}}
    times = {"iopub.status.busy": "2024-01-01T00:00:00.000000Z"}
    return notebook(
        markdown("text"),
        code("one", outputs=[stream("a\nb\n"), stream("e\n", "stderr"), display, stream("c\n")],
             execution_count=1, execution=times),
        code("two", outputs=[view, error], execution_count=2),
        metadata={"widgets": widgets, "language_info": {"name": "python"}},
    )


def found(a, b):
    return compare(json.dumps(a), json.dumps(a), json.dumps(b), CASE)


def test_equal_to_itself():
    assert found(executed(), executed()) == []


def change(path, value):
    def apply(node):
        *parents, last = path
        for key in parents:
            node = node[key]
        node[last] = value

    return apply


OUT = ("cells", 1, "outputs")
WIDGET = ("metadata", "widgets", STATE, "state")
PLANTED = {
    "source": change(("cells", 1, "source"), "other"),
    "markdown source": change(("cells", 0, "source"), "other"),
    "cell type": change(("cells", 0, "cell_type"), "raw"),
    "cell id": change(("cells", 1, "id"), "other"),
    "cell metadata": change(("cells", 1, "metadata", "own"), 1),
    "count": change(("cells", 1, "execution_count"), 2),
    "no count": change(("cells", 1, "execution_count"), None),
    "stream text": change((*OUT, 0, "text"), "a\nB\n"),
    "one line less": change((*OUT, 0, "text"), "a\n"),
    "stream name": change((*OUT, 1, "name"), "stdout"),
    "stream moved behind a display": lambda n: n["cells"][1]["outputs"].append(
        n["cells"][1]["outputs"].pop(0)),
    "display dropped": lambda n: n["cells"][1]["outputs"].pop(2),
    "output twice": lambda n: n["cells"][2]["outputs"].append(n["cells"][2]["outputs"][1]),
    "output type": change((*OUT, 2, "output_type"), "execute_result"),
    "text of a display": change((*OUT, 2, "data", "text/plain"), ["<Y at 0x7f00aabb00>"]),
    "mime type": change((*OUT, 2, "data", "text/html"), "x"),
    "output metadata": change((*OUT, 2, "metadata"), {}),
    "integer to float": change((*OUT, 2, "data", "application/json", "n"), 2.0**70),
    "integer off by one": change((*OUT, 2, "data", "application/json", "n"), 2**70 + 1),
    "float": change((*OUT, 2, "data", "application/json", "f"), 0.5000000000000001),
    "float to text": change((*OUT, 2, "data", "application/json", "f"), "0.5"),
    "number to bool": change((*OUT, 2, "metadata", "m"), True),
    "transient kept": change((*OUT, 2, "transient"), {}),
    "error name": change(("cells", 2, "outputs", 1, "ename"), "F"),
    "error value": change(("cells", 2, "outputs", 1, "evalue"), ""),
    "traceback": change(("cells", 2, "outputs", 1, "traceback"), ["E"]),
    "view of another model": change(("cells", 2, "outputs", 0, "data", VIEW), {"model_id": "a" * 32}),
    "no timing": change(("cells", 1, "metadata", "execution"), {}),
    "timing that is no moment": change(("cells", 1, "metadata", "execution"), {"iopub.status.busy": "1 s"}),
    "notebook metadata": change(("metadata", "own"), 1),
    "language_info": change(("metadata", "language_info"), {"name": "r"}),
    "minor version": change(("nbformat_minor",), 4),
    "widget state": change((*WIDGET, "a" * 32, "state", "width"), "2px"),
    "widget reference": change((*WIDGET, "b" * 32, "state", "layout"), "IPY_MODEL_" + "c" * 32),
    "widget buffer": change((*WIDGET, "b" * 32, "buffers"), []),
    "widget model dropped": lambda n: n["metadata"]["widgets"][STATE]["state"].pop("a" * 32),
    "no widgets": lambda n: n["metadata"].pop("widgets"),
    "cell dropped": lambda n: n["cells"].pop(),
    "cells swapped": lambda n: n["cells"].reverse(),
}


@pytest.mark.parametrize("name", PLANTED)
def test_planted_difference_is_seen(name):
    changed = copy.deepcopy(executed())
    PLANTED[name](changed)
    assert found(executed(), changed)


def more_pieces(node):
    node["cells"][1]["outputs"][:1] = [stream("a"), stream("\nb\n")]


def other_interleaving(node):
    node["cells"][1]["outputs"][:2] = [stream("a\n"), stream("e\n", "stderr"), stream("b\n")]


ALLOWED = {
    "streams in more pieces": more_pieces,
    "streams in another order": other_interleaving,
    "text as a list": change((*OUT, 0, "text"), ["a\n", "b\n"]),
    "address": change((*OUT, 2, "data", "text/plain"), "<X at 0x55eeddccbbaa>"),
    "colours": change(("cells", 2, "outputs", 1, "traceback"), ["E", "\x1b[1mt\x1b[0m"]),
    "moment": change(("cells", 1, "metadata", "execution"),
                     {"iopub.status.busy": "2025-06-01T10:00:00.123Z"}),
}


@pytest.mark.parametrize("name", ALLOWED)
def test_allowed_difference_is_not(name):
    changed = copy.deepcopy(executed())
    ALLOWED[name](changed)
    assert found(executed(), changed) == []


def test_random_model_ids_do_not_matter():
    assert found(executed(), executed("1" * 32, "0" * 32)) == []


def test_ids_that_the_input_lacked_do_not_matter():
    source = json.dumps(notebook("1", ids=None))
    a, b = (json.dumps(notebook("1", ids=ids)) for ids in ("a{}", "b{}"))
    assert compare(source, a, b, CASE) == []


def test_floats_are_compared_as_they_are_spelled():
    a, b = load('{"x": 1e22}'), load('{"x": 1e+22}')
    assert differences(a, b)
    assert not differences(load('{"x": 1e22}', False), load('{"x": 1e+22}', False))


def test_bare_nan_equals_null_only_where_allowed():
    a, b = '{"v": NaN}', '{"v": null}'

    def make(data):
        output = {"output_type": "display_data", "metadata": {}, "data": {"application/json": "DATA"}}
        return json.dumps(notebook(code("x", outputs=[output]))).replace('"DATA"', data)

    strict = [normalise(load(make(t)), True) for t in (a, b)]
    loose = [normalise(load(make(t)), True, not_finite=True) for t in (a, b)]
    assert differences(*strict) and not differences(*loose)
