"""What a step reports of itself: metrics, parameters, figures.

Lines of SEGUE_IO_DIR/<step_uuid>/report.jsonl, one JSON object each:

    {"kind": "metric", "name": "loss", "value": 0.1, "step": 3, "time": "2026-01-02T03:04:05.678901Z"}
    {"kind": "param", "name": "depth", "value": 4, "time": "..."}
    {"kind": "figure", "name": "roc", "file": "figures/roc.png", "mime": "image/png", "time": "..."}

Any language can write them: open for appending, one write for each line, its newline with it. So
threads and processes of one step may report at the same time, and what was reported is there even
when the step is killed in the next moment. What is no number in JSON is text: "NaN", "Infinity",
"-Infinity". Of what was reported under one name the latest counts; of a metric all is kept.
"""

import base64
import io
import json
import math
import numbers
import operator
import os
import sys
import unicodedata

from segue import _step
from segue.errors import DataInvalidNameError, Error, SerializationError

_FILE = "report.jsonl"
_FIGURES = "figures"

# As Segue reads them; what is more is not shown.
_REPORT_BYTES = 16 << 20
_FIGURE_BYTES = 32 << 20
_NAME_LENGTH = 255

_EXTENSIONS = {  # by mime type
    "image/png": "png",
    "image/jpeg": "jpg",
    "image/svg+xml": "svg",
    "text/html": "html",
    "application/json": "json",
}
_MIMES = {".htm": "text/html", ".html": "text/html", ".json": "application/json"}  # of files


# ---- Lines --------------------------------------------------------------------------------------


def _checked_name(name):
    if not isinstance(name, str):
        raise DataInvalidNameError("the name is text, not %s" % type(name).__name__)
    if not 1 <= len(name) <= _NAME_LENGTH:
        raise DataInvalidNameError(
            "the name %.40r has %d characters; it may have 1 to %d" % (name, len(name), _NAME_LENGTH))
    if any(unicodedata.category(c) in ("Cc", "Cs") for c in name):
        raise DataInvalidNameError("the name %r has control characters" % name)
    return str(name)


def _warn_of_size(size, line):
    if size - line <= _REPORT_BYTES < size:  # once: by the line that goes over it
        print("segue: the step has reported more than %d MiB; what comes now is not shown"
              % (_REPORT_BYTES >> 20), file=sys.stderr, flush=True)


def _append(entry):
    folder = _step.folder(_step.environment("SEGUE_STEP_UUID"))
    entry["time"] = _step.now()
    line = (json.dumps(entry, allow_nan=False) + "\n").encode("ascii")
    os.makedirs(folder, exist_ok=True)
    descriptor = os.open(os.path.join(folder, _FILE),
                         os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        written = os.write(descriptor, line)
        size = os.fstat(descriptor).st_size
    finally:
        os.close(descriptor)
    if written < len(line):
        raise Error("%s could not be written: the disk is full" % os.path.join(folder, _FILE))
    _warn_of_size(size, len(line))


# ---- Values -------------------------------------------------------------------------------------


def _plain(value):
    """A scalar of numpy, torch and the like as Python's own."""
    if isinstance(value, (str, bool, int, float)) or not callable(getattr(value, "item", None)):
        return value
    try:
        return value.item()
    except (ValueError, RuntimeError, TypeError) as error:
        raise SerializationError("no single value: %s" % error) from error


def _float_value(value):
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return float(value)


def _metric_value(value):
    value = _plain(value)
    if not isinstance(value, numbers.Real) and not hasattr(type(value), "__float__"):
        raise SerializationError("a metric is a number, not %s" % type(value).__name__)
    try:
        number = float(value)
    except (OverflowError, ValueError, TypeError) as error:
        raise SerializationError("a metric is a number: %s" % error) from error
    return int(value) if isinstance(value, int) else _float_value(number)


def _param_value(value):
    value = _plain(value)
    if isinstance(value, float):
        return _float_value(value)
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise SerializationError(
            "a parameter is what JSON can hold, not %s: %s" % (type(value).__name__, error)) from error
    return value


def _step_number(step):
    try:
        number = operator.index(step)
    except TypeError:
        raise SerializationError("the step is an integer, not %s" % type(step).__name__) from None
    if not -(1 << 63) <= number < 1 << 63:
        raise SerializationError("the step %d does not fit into 64 bits" % number)
    return number


# ---- Figures ------------------------------------------------------------------------------------


def _mime_of(data):
    """Of bytes, by how they start; None: another kind."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    start = data[:1024].lstrip(b"\xef\xbb\xbf \t\r\n")
    if start.startswith(b"<svg") or (start.startswith((b"<?xml", b"<!")) and b"<svg" in start):
        return "image/svg+xml"
    return None


def _from_bytes(data):
    mime = _mime_of(data)
    if mime is None:
        raise SerializationError("bytes that are neither PNG, JPEG nor SVG are no figure")
    return mime, data


def _from_path(path):
    with open(path, "rb") as file:
        data = file.read(_FIGURE_BYTES + 1)
    mime = _mime_of(data) or _MIMES.get(os.path.splitext(os.fspath(path))[1].lower())
    if mime is None:
        raise SerializationError(
            "%s is no figure: it is neither PNG, JPEG nor SVG, and is not called .html or .json" % path)
    return mime, data


def _from_savefig(figure):
    file = io.BytesIO()
    figure.savefig(file, format="png", bbox_inches="tight")
    return "image/png", file.getvalue()


def _shown(figure, method):
    """What a method of Jupyter's display protocol gives; None: the object has no such form."""
    if not callable(getattr(figure, method, None)):
        return None
    shown = getattr(figure, method)()
    return shown[0] if isinstance(shown, tuple) else shown  # (data, metadata)


def _from_display(figure):
    """Pictures first: they look the same everywhere."""
    for method, mime in (("_repr_png_", "image/png"), ("_repr_svg_", "image/svg+xml"),
                         ("to_html", "text/html"), ("_repr_html_", "text/html")):
        shown = _shown(figure, method)
        if isinstance(shown, str) and mime == "image/png":
            return mime, base64.b64decode(shown)
        if isinstance(shown, str):
            return mime, shown.encode("utf-8")
        if isinstance(shown, (bytes, bytearray)):
            return mime, bytes(shown)
    return None


def _encode(figure):
    """(mime type, bytes)"""
    if isinstance(figure, (bytes, bytearray, memoryview)):
        return _from_bytes(bytes(figure))
    if isinstance(figure, (str, os.PathLike)):
        return _from_path(figure)
    if not hasattr(figure, "savefig") and callable(getattr(figure, "get_figure", None)):
        figure = figure.get_figure()  # axes, which is what pandas and seaborn give
    if callable(getattr(figure, "savefig", None)):
        return _from_savefig(figure)
    encoded = _from_display(figure)
    if encoded is None:
        raise SerializationError("a value of type %s is no figure: it has neither savefig nor one of "
                                 "_repr_png_, _repr_svg_, _repr_html_" % type(figure).__name__)
    return encoded


# ---- For steps ----------------------------------------------------------------------------------


def log_metric(name, value, step=None):
    """Reports a number: a loss, an accuracy, seconds.

    name: str, 1 to 255 characters without control characters. Runs of a job are sorted by it.
    value: int, float, bool (as 1 or 0), or a scalar of numpy and the like; NaN and infinities too.
        In whatever unit you choose: put it into the name.
    step: int, where on the way it was measured (an epoch, a batch). Without, they are counted from 0.

    Called again with the same name it adds a point: all are kept, the last one is the metric's value.
    It is on disk when this returns. Threads and processes of one step may report at the same time.

    DataInvalidNameError, SerializationError: a name or value that cannot be. NotInStepError: the code
    does not run as a step of a pipeline. OSError: it cannot be written.
    """
    entry = {"kind": "metric", "name": _checked_name(name), "value": _metric_value(value)}
    if step is not None:
        entry["step"] = _step_number(step)
    _append(entry)


def log_param(name, value):
    """Reports what the step worked with: a setting that it chose or found out itself. (What it was
    given by the run is known already.)

    name: str, as in log_metric.
    value: str, int, float, bool, None, a scalar of numpy, or a list or dict of such as JSON has them.

    A later value of the same name replaces the earlier. Errors as in log_metric.
    """
    _append({"kind": "param", "name": _checked_name(name), "value": _param_value(value)})


def log_figure(name, figure):
    """Reports a picture or a small page, to be looked at beside those of other runs.

    name: str, as in log_metric.
    figure: a figure or axes of matplotlib (saved as PNG), whatever shows itself in Jupyter by
        _repr_png_, _repr_svg_, to_html or _repr_html_ (PIL, plotly, pandas ...), the bytes of a PNG,
        JPEG or SVG, or the path of such a file or of one called .html or .json. 32 MiB at most.
        Scripts in HTML and SVG are not run when it is shown.

    A later figure of the same name replaces the earlier. SerializationError: none of these, or too
    large. Other errors as in log_metric; OSError also: the file cannot be read.
    """
    name = _checked_name(name)
    folder = os.path.join(_step.folder(_step.environment("SEGUE_STEP_UUID")), _FIGURES)
    mime, data = _encode(figure)
    if len(data) > _FIGURE_BYTES:
        raise SerializationError("the figure %r is larger than %d MiB" % (name, _FIGURE_BYTES >> 20))
    file = "%s.%s" % (_step.stem(name), _EXTENSIONS[mime])
    os.makedirs(folder, exist_ok=True)
    _step.write_file(folder, file, data)
    _append({"kind": "figure", "name": name, "file": "%s/%s" % (_FIGURES, file), "mime": mime})
