"""What the code of a step may ask of Segue: its parameters, its inputs, a place for its results.

    import segue

    table = segue.get_inputs()["prepared"]
    segue.output(model.score(table), name="accuracy")

Results are files: SEGUE_IO_DIR/<step_uuid>/<name>.<json|bin|arrow|pickle>, listed in `index.json`
in the same folder as [{name, file, format, run_uuid, time}]. Any language can write and read them. An
entry may also carry `python_type` where Python has more than one type for a format. Files appear by
rename, the index last, so nobody ever reads half a result.

What a step reports of itself, to be shown, sorted by and compared between runs:

    segue.log_param("depth", 4)
    segue.log_metric("loss", 0.1, step=3)
    segue.log_figure("roc", figure)

goes to `report.jsonl` in that folder, one JSON object a line, which any language can append
(segue/_report.py).

Parameters and connections are read from the frozen pipeline file of the run (SEGUE_PIPELINE_PATH).
Nothing but the standard library is needed; pyarrow and pandas are used when their data is passed.
"""

import contextlib
import fcntl
import json
import os
import pickle
import sys

from segue import _step
from segue._report import log_figure, log_metric, log_param
from segue.errors import (
    DataInvalidNameError, DeserializationError, Error, InputNameCollisionError, NotInStepError,
    OutputNotFoundError, SerializationError,
)

__all__ = [
    "get_inputs", "get_input_info", "output",
    "log_metric", "log_param", "log_figure",
    "get_step_param", "get_step_params", "get_pipeline_param", "get_pipeline_params", "get_params",
    "Error", "NotInStepError", "DataInvalidNameError", "SerializationError", "DeserializationError",
    "OutputNotFoundError", "InputNameCollisionError",
]

_UNNAMED = "unnamed"
_MISSING = object()


# ---- Parameters ---------------------------------------------------------------------------------


def get_step_params():
    """All parameters of this step, as a new dict."""
    return dict(_step.step(_step.pipeline()).get("parameters") or {})


def get_pipeline_params():
    """All parameters of the pipeline, as a new dict."""
    return dict(_step.pipeline().get("parameters") or {})


def get_params():
    """The pair (parameters of this step, parameters of the pipeline)."""
    return get_step_params(), get_pipeline_params()


def _get_param(kind, parameters, name, default):
    if name in parameters:
        return parameters[name]
    if default is not _MISSING:
        return default
    known = ", ".join(sorted(parameters)) or "none"
    raise KeyError("no %s parameter %r (there are: %s)" % (kind, name, known))


def get_step_param(name, default=_MISSING):
    """A parameter of this step; KeyError when it is not set and no default is given."""
    return _get_param("step", get_step_params(), name, default)


def get_pipeline_param(name, default=_MISSING):
    """A parameter of the pipeline; KeyError when it is not set and no default is given."""
    return _get_param("pipeline", get_pipeline_params(), name, default)


# ---- Values to bytes and back -------------------------------------------------------------------
# A format is chosen only where the very same value comes back: types, order, index, dtypes.


def _to_json(value):
    """UTF-8 JSON, or None where JSON would give back something else."""
    pending, seen = [value], set()
    while pending:
        item = pending.pop()
        kind = type(item)  # exactly these: a subclass would come back as its base
        if kind is list or kind is dict:
            if id(item) in seen:
                continue
            seen.add(id(item))
            if kind is list:
                pending.extend(item)
                continue
            if any(type(key) is not str for key in item):
                return None
            pending.extend(item.values())
        elif not (item is None or kind in (str, bool, int, float)):
            return None
    try:  # refused in here: NaN and infinities, cycles, lone surrogates, over-deep nesting
        return json.dumps(value, allow_nan=False, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError):
        return None


def _arrow_file(table):
    import pyarrow

    sink = pyarrow.BufferOutputStream()
    with pyarrow.ipc.new_file(sink, table.schema) as writer:
        writer.write(table)
    return sink.getvalue()


def _same_labels(one, other):
    def traits(index):
        dtypes = list(index.dtypes) if hasattr(index, "dtypes") else [index.dtype]
        return type(index), list(index.names), dtypes, getattr(index, "freq", None)

    return traits(one) == traits(other) and one.equals(other)


def _same_frame(one, other):
    return (
        _same_labels(one.index, other.index) and _same_labels(one.columns, other.columns)
        and list(one.dtypes) == list(other.dtypes)
        and one.attrs == other.attrs and one.flags == other.flags and one.equals(other)
    )


def _frame_to_arrow(frame):
    """An arrow file, or None where the frame would come back changed (or pyarrow is missing)."""
    try:
        import pyarrow
    except ImportError:
        return None
    for column, dtype in enumerate(frame.dtypes):
        # Any Python object may lie in such a column; equal is not the same there (1 == True).
        if dtype == object and set(map(type, frame.iloc[:, column])) - {str, type(None)}:
            return None
    try:
        table = pyarrow.Table.from_pandas(frame)
        return _arrow_file(table) if _same_frame(frame, table.to_pandas()) else None
    except (pyarrow.ArrowException, ValueError, TypeError, KeyError, NotImplementedError):
        return None


def _type_name(value):
    """The type's public name for the few types that are passed as arrow, else None."""
    for module, name in (("pandas", "DataFrame"), ("pyarrow", "Table"), ("pyarrow", "RecordBatch")):
        if module in sys.modules and type(value) is getattr(sys.modules[module], name, None):
            return "%s.%s" % (module, name)
    return None


def _to_pickle(value):
    try:
        return pickle.dumps(value, protocol=5)  # read by every Python from 3.8 on
    except Exception as error:
        raise SerializationError(
            "a value of type %s cannot be passed on: %s" % (type(value).__name__, error)
        ) from error


def _encode(value):
    """(format, python_type or None, bytes)"""
    if type(value) is bytes:
        return "bin", None, value
    arrow_type = _type_name(value)
    if arrow_type == "pandas.DataFrame":
        data = _frame_to_arrow(value)
        if data is not None:
            return "arrow", arrow_type, data
    elif arrow_type is not None:
        return "arrow", arrow_type, _arrow_file(value)
    data = _to_json(value)
    if data is not None:
        return "json", None, data
    return "pickle", None, _to_pickle(value)


def _decode_arrow(path, python_type):
    try:
        import pyarrow
    except ImportError:
        raise DeserializationError("reading an arrow file needs the package pyarrow") from None
    with pyarrow.OSFile(path, "rb") as file:
        reader = pyarrow.ipc.open_file(file)
        if python_type == "pyarrow.RecordBatch":
            return reader.get_batch(0)
        table = reader.read_all()
    if python_type != "pandas.DataFrame":
        return table
    return table.to_pandas().copy()  # what comes without a copy may be read-only


def _decode(path, form, python_type):
    if form == "arrow":
        return _decode_arrow(path, python_type)
    with open(path, "rb") as file:
        if form == "json":
            return json.loads(file.read().decode("utf-8"))
        if form == "bin":
            return file.read()
        if form == "pickle":
            return pickle.load(file)
    raise DeserializationError("unknown format %r" % form)


# ---- The folder of a step -----------------------------------------------------------------------


def _read_index(folder):
    try:
        with open(os.path.join(folder, "index.json"), encoding="utf-8") as file:
            return json.load(file)
    except FileNotFoundError:
        return []


@contextlib.contextmanager
def _locked(folder):
    """Threads and child processes of one step may write at the same time."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _file_name(name, form, others):
    """Unlike every other output's file even where a file system folds upper and lower case."""
    stem = _step.stem(name)
    taken = {entry["file"].rpartition(".")[0].lower() for entry in others}
    if stem.lower() in taken:
        stem = _step.with_digest(stem, name)
    return "%s.%s" % (stem, form)


def output(data, name=None):
    """Leaves a result for the steps that come after this one.

    With a name it is `get_inputs()[name]` there, without one it is in `get_inputs()["unnamed"]`. A
    step may have several outputs; a later one of the same name replaces the earlier.
    """
    if not (name is None or isinstance(name, str)):
        raise DataInvalidNameError("an output's name is text, not %s" % type(name).__name__)
    if name is not None and (name == _UNNAMED or "; " in name):
        raise DataInvalidNameError(
            '%r cannot be an output\'s name ("unnamed" is reserved, "; " not allowed)' % name)
    name = _UNNAMED if name is None else str(name)
    run_uuid = _step.environment("SEGUE_RUN_UUID")
    folder = _step.folder(_step.environment("SEGUE_STEP_UUID"))
    form, python_type, content = _encode(data)
    os.makedirs(folder, exist_ok=True)
    with _locked(folder):
        index = _read_index(folder)
        # What an earlier run has left here under this step is no result of this run.
        others = [e for e in index if e["run_uuid"] == run_uuid and e["name"] != name]
        entry = {
            "name": name,
            "file": _file_name(name, form, others),
            "format": form,
            "run_uuid": run_uuid,
            "time": _step.now(),
        }
        if python_type:
            entry["python_type"] = python_type
        kept = others + [entry]
        _step.write_file(folder, entry["file"], content)
        _step.write_file(folder, "index.json", (json.dumps(kept, indent=1) + "\n").encode("utf-8"))
        for old in {e["file"] for e in index} - {e["file"] for e in kept}:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(folder, old))


# ---- Inputs -------------------------------------------------------------------------------------


def _parents(pipeline):
    """Incoming steps in the order of the connections, each once."""
    return list(dict.fromkeys(_step.step(pipeline).get("incoming_connections") or []))


def get_input_info():
    """What the incoming steps have left: a list of {step_uuid, name, run_uuid, time, is_stale}.

    `is_stale`: it comes from an earlier run, since that step was no part of this one. The name of
    an unnamed output is None.
    """
    run_uuid = _step.environment("SEGUE_RUN_UUID")
    return [
        {
            "step_uuid": parent,
            "name": None if entry["name"] == _UNNAMED else entry["name"],
            "run_uuid": entry["run_uuid"],
            "time": entry["time"],
            "is_stale": entry["run_uuid"] != run_uuid,
        }
        for parent in _parents(_step.pipeline())
        for entry in _read_index(_step.folder(parent))
    ]


def _warn_of_stale(pipeline):
    stale = [
        "%s of %s (run %s, %s)" % (
            "an unnamed output" if info["name"] is None else repr(info["name"]),
            _step.title(pipeline, info["step_uuid"]), info["run_uuid"], info["time"])
        for info in get_input_info() if info["is_stale"]
    ]
    if stale:
        print("segue: inputs from an earlier run: " + "; ".join(stale), file=sys.stderr, flush=True)


def _refuse_collisions(pipeline, entries):
    makers = {}
    for parent, entry in entries:
        if entry is not None and entry["name"] != _UNNAMED:
            makers.setdefault(entry["name"], []).append(_step.title(pipeline, parent))
    clashes = ["%r by %s" % (name, " and ".join(titles))
               for name, titles in makers.items() if len(titles) > 1]
    if clashes:
        raise InputNameCollisionError(
            "more than one incoming step has an output named " + ", ".join(clashes))


def _load(pipeline, parent, entry):
    path = os.path.join(_step.folder(parent), entry["file"])
    try:
        return _decode(path, entry["format"], entry.get("python_type"))
    except FileNotFoundError:
        raise OutputNotFoundError("output %r of step %s is gone (%s)" % (
            entry["name"], _step.title(pipeline, parent), path)) from None
    except Exception as error:  # unpickling can raise anything
        raise DeserializationError("output %r of step %s cannot be read here: %s: %s" % (
            entry["name"], _step.title(pipeline, parent), type(error).__name__, error)) from error


def get_inputs(ignore_failure=False, verbose=False, silence_multiple_calls_warning=True):
    """The results of the incoming steps: {name: value, ..., "unnamed": [value, ...]}.

    The unnamed ones are in the order of the incoming connections. A step without output is an
    OutputNotFoundError; with `ignore_failure` it is a None among the unnamed ones, and a result
    that cannot be read is None in its place. Two outputs of one name are an InputNameCollisionError.
    `silence_multiple_calls_warning` has no effect: inputs may be read any number of times.
    """
    pipeline = _step.pipeline()
    entries = []
    for parent in _parents(pipeline):
        index = _read_index(_step.folder(parent))
        if not index and not ignore_failure:
            raise OutputNotFoundError("incoming step %s (%s) has left no output; run it first" % (
                _step.title(pipeline, parent), parent))
        entries += [(parent, entry) for entry in index] or [(parent, None)]
    _refuse_collisions(pipeline, entries)
    _warn_of_stale(pipeline)

    inputs = {_UNNAMED: []}
    for parent, entry in entries:
        value = None
        if entry is not None:
            try:
                value = _load(pipeline, parent, entry)
            except (OutputNotFoundError, DeserializationError):
                if not ignore_failure:
                    raise
        if entry is None or entry["name"] == _UNNAMED:
            inputs[_UNNAMED].append(value)
        else:
            inputs[entry["name"]] = value
        if verbose:
            print("input from step %s: %s" % (
                _step.title(pipeline, parent), "none" if entry is None else entry["name"]))
    return inputs
