"""Compare two executed copies of one notebook, apart from what differs between any two executions.

Left out or made equal: where streams were cut into pieces and how stdout and stderr interleave;
colours in tracebacks; addresses and names of a kernel's temporary files; moments in
metadata.execution (their names and form are compared); papermill's metadata, which nbclient does
not write; random ids of widget models; cell ids that the input did not have; how a literal in an
injected cell is escaped. All else counts, floats included: they are compared as they are spelled.
"""

import ast
import hashlib
import json
import re

ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
ADDRESS = re.compile(r"\b0x[0-9a-fA-F]{6,}")
KERNEL_FILE = re.compile(r"/\S*/ipykernel_\d+/\d+\.py")
MOMENT = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$")
WIDGETS = "application/vnd.jupyter.widget-state+json"
NOT_FINITE = "<not finite>"


class Float(str):
    """A number with a fraction or an exponent, as it is spelled."""


def load(text, exact_floats=True):
    def constant(name):
        return Float(NOT_FINITE)

    return json.loads(text, parse_float=Float if exact_floats else float, parse_constant=constant)


def joined(value):
    return "".join(value) if isinstance(value, list) else value


def clean_text(text):
    return KERNEL_FILE.sub("<kernel file>", ADDRESS.sub("<address>", text))


def is_split(mime):
    return mime.startswith("text/") or mime in ("application/javascript", "image/svg+xml")


def _data(bundle):
    """A multi-line kind of value is one string, however it is stored; base64 and JSON are as is."""
    out = {}
    for mime, value in bundle.items():
        if not mime.endswith("json"):
            value = joined(value)
        if is_split(mime) and isinstance(value, str):
            value = clean_text(value)
        out[mime] = value
    return out


def _output(output):
    output = dict(output)
    if "data" in output:
        output["data"] = _data(output["data"])
    if "traceback" in output:
        output["traceback"] = clean_text(ANSI.sub("", "\n".join(output["traceback"])))
    return output


def outputs(raw):
    """Each unbroken run of stream outputs becomes at most one of stdout and one of stderr."""
    result, run = [], {}

    def end_run():
        for name in sorted(run, key=lambda name: (name != "stdout", name)):
            text = clean_text("".join(run[name]))
            if text:
                result.append({"output_type": "stream", "name": name, "text": text})
        run.clear()

    for output in raw:
        if output.get("output_type") == "stream" and set(output) == {"output_type", "name", "text"}:
            run.setdefault(output["name"], []).append(joined(output["text"]))
        else:
            end_run()
            result.append(_output(output))
    end_run()
    return result


def _replace(value, names):
    """The value with every string that is, or refers to, a widget model renamed."""
    if isinstance(value, Float):
        return value
    if isinstance(value, str):
        prefix, marker, rest = value.rpartition("IPY_MODEL_")
        return prefix + marker + names[rest] if rest in names else value
    if isinstance(value, list):
        return [_replace(v, names) for v in value]
    if isinstance(value, dict):
        return {k: _replace(v, names) for k, v in value.items()}
    return value


def _canonical(value):
    return json.dumps(value, sort_keys=True, default=str)


def model_names(state):
    """Names for widget models that follow from what they hold and what they refer to."""
    names = {key: "model" for key in state}
    for _ in range(6):
        names = {
            key: "model-"
            + hashlib.sha1(_canonical(_replace(model, names)).encode()).hexdigest()[:10]
            for key, model in state.items()
        }
    return names


def meaning(cell):
    """The source; of an injected cell in Python, which values it sets."""
    source = joined(cell["source"])
    if "injected-parameters" not in cell["metadata"].get("tags", []):
        return source
    try:
        return ast.dump(ast.parse(source))
    except SyntaxError:
        return source


def normalise(node, with_ids, not_finite=False):
    """The notebook as it is compared: plain dictionaries and lists."""
    metadata = dict(node["metadata"])
    metadata.pop("papermill", None)
    state = metadata.get("widgets", {}).get(WIDGETS, {}).get("state", {})
    names = model_names(state)
    if state:
        for model in state.values():
            inner = model.get("state", {})
            if isinstance(inner.get("outputs"), list):
                inner["outputs"] = outputs(inner["outputs"])
            if "buffers" in model:
                model["buffers"] = sorted(model["buffers"], key=_canonical)
        names = model_names(state)
        widgets = dict(metadata["widgets"][WIDGETS])
        widgets["state"] = sorted((_replace(m, names) for m in state.values()), key=_canonical)
        metadata["widgets"] = {**metadata["widgets"], WIDGETS: widgets}
    cells = []
    for cell in node["cells"]:
        cell = dict(cell)
        if not with_ids:
            cell.pop("id", None)
        cell["source"] = meaning(cell)
        cell["metadata"] = {k: v for k, v in cell["metadata"].items() if k != "papermill"}
        if isinstance(times := cell["metadata"].get("execution"), dict):
            cell["metadata"]["execution"] = {
                k: bool(MOMENT.match(v)) if isinstance(v, str) else v for k, v in times.items()
            }
        if "outputs" in cell:
            cell["outputs"] = _replace(outputs(cell["outputs"]), names)
        cells.append(cell)
    version = {key: node[key] for key in ("nbformat", "nbformat_minor")}
    result = {"metadata": metadata, "cells": cells, **version}
    return _without_not_finite(result) if not_finite else result


def _without_not_finite(value):
    if isinstance(value, list):
        return [_without_not_finite(v) for v in value]
    if isinstance(value, dict):
        return {k: _without_not_finite(v) for k, v in value.items()}
    odd = (None, NOT_FINITE, "NaN", "Infinity", "-Infinity")
    return NOT_FINITE if value is None or value in odd else value


def _short(value):
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) < 300 else f"{text[:140]} ... {text[-140:]} ({len(text)} characters)"


def differences(expected, actual, where="notebook"):
    """One line per difference, at most 20, each with the place where it is."""
    found = []

    def look(a, b, place):
        if len(found) >= 20:
            return
        if type(a) is not type(b) or isinstance(a, Float) or not isinstance(a, (dict, list)):
            if type(a) is not type(b) or a != b:
                found.append(f"{place}: expected {_short(a)}, got {_short(b)}")
        elif isinstance(a, dict):
            for key in sorted(a.keys() | b.keys()):
                if key not in b:
                    found.append(f"{place}: {key!r} is missing, expected {_short(a[key])}")
                elif key not in a:
                    found.append(f"{place}: {key!r} is too much: {_short(b[key])}")
                else:
                    look(a[key], b[key], f"{place}.{key}")
        else:
            for index, (x, y) in enumerate(zip(a, b)):
                look(x, y, f"{place}[{index}]")
            for index in range(len(b), len(a)):
                found.append(f"{place}[{index}] is missing, expected {_short(a[index])}")
            for index in range(len(a), len(b)):
                found.append(f"{place}[{index}] is too much: {_short(b[index])}")

    look(expected, actual, where)
    return found


def has_good_ids(node):
    ids = [cell.get("id") for cell in node["cells"]]
    return all(ids) and len(set(ids)) == len(ids)


def compare(source, expected, actual, case):
    """Differences between the judge's copy and the other, both as the text of a file."""
    with_ids = has_good_ids(json.loads(source)) and not (case.parameters or case.pipeline_parameters)
    options = {
        "with_ids": with_ids,
        "not_finite": case.not_finite,
    }
    a = normalise(load(expected, case.exact_floats), **options)
    b = normalise(load(actual, case.exact_floats), **options)
    if case.status != "SUCCESS":
        # Widget state is saved at the end of a success; a failed copy may have it or not.
        a["metadata"].pop("widgets", None)
        b["metadata"].pop("widgets", None)
    return differences(a, b)
