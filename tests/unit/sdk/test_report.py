"""runner/sdk/python/segue/_report.py: what a step reports is there at once, whole, and as it was."""

import decimal
import json
import math
import os
import stat
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import pytest

SDK = Path(__file__).resolve().parents[3] / "runner" / "sdk" / "python"
sys.path.insert(0, str(SDK))

import segue  # noqa: E402

PNG = b"\x89PNG\r\n\x1a\n" + b"rest"
JPEG = b"\xff\xd8\xff\xe0rest"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"/>'


class Step:
    def __init__(self, folder):
        self.folder = folder

    def lines(self):
        text = (self.folder / "report.jsonl").read_text()
        assert text.endswith("\n")
        return [json.loads(line) for line in text.splitlines()]

    def line(self):
        """The only one, without its time."""
        (line,) = self.lines()
        assert len(line.pop("time")) == len("2026-01-02T03:04:05.678901Z")
        return line


@pytest.fixture
def step(tmp_path, monkeypatch):
    monkeypatch.setenv("SEGUE_IO_DIR", str(tmp_path / "io"))
    monkeypatch.setenv("SEGUE_STEP_UUID", "a")
    return Step(tmp_path / "io" / "a")


# ---- Metrics and parameters ---------------------------------------------------------------------


def test_metric(step):
    segue.log_metric("loss", 0.1, step=3)
    assert step.line() == {"kind": "metric", "name": "loss", "value": 0.1, "step": 3}


@pytest.mark.parametrize("value, written", [
    (1, 1), (-1.5, -1.5), (True, 1), (False, 0), (math.nan, "NaN"), (math.inf, "Infinity"),
    (-math.inf, "-Infinity"), (2 ** 60, 2 ** 60), (decimal.Decimal("1.5"), 1.5), (Fraction(1, 4), 0.25),
])
def test_values_of_metrics(step, value, written):
    segue.log_metric("m", value)
    found = step.line()["value"]
    assert found == written and type(found) is type(written)


def test_scalars_of_numpy(step):
    numpy = pytest.importorskip("numpy")
    segue.log_metric("a", numpy.float32(0.5), step=numpy.int64(7))
    segue.log_metric("b", numpy.int8(3))
    segue.log_metric("c", numpy.bool_(True))
    segue.log_metric("d", numpy.float64("nan"))
    segue.log_metric("e", numpy.array([2.5]))
    segue.log_param("f", numpy.int32(4))
    assert [(line["value"], line.get("step")) for line in step.lines()] == [
        (0.5, 7), (3, None), (1, None), ("NaN", None), (2.5, None), (4, None)]
    with pytest.raises(segue.SerializationError, match="no single value"):
        segue.log_metric("many", numpy.array([1, 2]))


@pytest.mark.parametrize("value", ["0.1", None, 1j, [1], {}, object(), 10 ** 400])
def test_what_is_no_metric_is_refused(step, value):
    with pytest.raises(segue.SerializationError):
        segue.log_metric("m", value)
    assert not step.folder.exists()


@pytest.mark.parametrize("number", ["1", 1.0, 1 << 63, -(1 << 63) - 1])
def test_steps_that_are_none_are_refused(step, number):
    with pytest.raises(segue.SerializationError, match="step"):
        segue.log_metric("m", 1, step=number)
    assert not step.folder.exists()


@pytest.mark.parametrize("value", [
    None, True, 3, 0.5, "text\n\u2028", [64, 32], {"a": [1, None]}, "\U0001f600",
])
def test_values_of_params(step, value):
    segue.log_param("p", value)
    assert step.line() == {"kind": "param", "name": "p", "value": value}


@pytest.mark.parametrize("value", [{1, 2}, object(), [math.nan], b"x"])
def test_what_json_cannot_hold_is_refused(step, value):
    with pytest.raises(segue.SerializationError):
        segue.log_param("p", value)
    assert not step.folder.exists()


@pytest.mark.parametrize("name", ["", "x" * 256, "a\nb", "\0", "\x7f", "\x85", "\ud800", 7, None, b"x"])
@pytest.mark.parametrize("log", [segue.log_metric, segue.log_param, segue.log_figure])
def test_names_that_cannot_be_are_refused(step, log, name):
    with pytest.raises(segue.DataInvalidNameError):
        log(name, PNG if log is segue.log_figure else 1)
    assert not step.folder.exists()


@pytest.mark.parametrize("name", ["x" * 255, "/", "Güte \u00a0日", '"', ".."])
def test_other_names_stay_as_they_are(step, name):
    segue.log_metric(name, 1)
    segue.log_figure(name, PNG)
    metric, figure = step.lines()
    assert metric["name"] == figure["name"] == name
    path = step.folder / figure["file"]
    assert path.read_bytes() == PNG and path.parent == step.folder / "figures"


def test_outside_of_a_step(monkeypatch):
    for name in ("SEGUE_IO_DIR", "SEGUE_STEP_UUID"):
        monkeypatch.delenv(name, raising=False)
    for log, value in ((segue.log_metric, 1), (segue.log_param, 1), (segue.log_figure, PNG)):
        with pytest.raises(segue.NotInStepError):
            log("x", value)


def test_numpy_is_not_needed(tmp_path):
    """Nor anything else: an interpreter that has nothing but the standard library."""
    code = "import segue; segue.log_metric('a', 1); segue.log_param('b', 'c')"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", "import sys; sys.path.insert(0, %r); %s; "
         "assert 'numpy' not in sys.modules" % (str(SDK), code)],
        env={"SEGUE_IO_DIR": str(tmp_path), "SEGUE_STEP_UUID": "a"}, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert len(Step(tmp_path / "a").lines()) == 2


# ---- How lines are written ----------------------------------------------------------------------


def test_each_line_is_one_write(step, monkeypatch):
    written = []
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: written.append(data) or real(fd, data))
    segue.log_metric("a", 1)
    segue.log_metric("b", 2)
    assert b"".join(written) == (step.folder / "report.jsonl").read_bytes()
    assert [data.count(b"\n") for data in written] == [1, 1]


def test_a_line_that_does_not_fit_is_told(step, monkeypatch):
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, data[:5]))
    with pytest.raises(segue.Error, match="the disk is full"):
        segue.log_metric("a", 1)


def test_processes_of_a_step_report_at_the_same_time(step):
    code = ("import sys; sys.path.insert(0, %r); import segue\n"
            "for i in range(300): segue.log_metric(sys.argv[1], i, step=i)" % str(SDK))
    workers = [subprocess.Popen([sys.executable, "-c", code, name * 100]) for name in "abcd"]
    assert [worker.wait(60) for worker in workers] == [0] * 4
    lines = step.lines()
    for name in "abcd":
        assert [line["step"] for line in lines if line["name"] == name * 100] == list(range(300))


def test_a_report_that_grows_too_long_is_told_once(step, capsys):
    segue.log_metric("a", 1)
    os.truncate(step.folder / "report.jsonl", (16 << 20) - 10)
    assert capsys.readouterr().err == ""
    segue.log_metric("a", 2)
    assert "more than 16 MiB" in capsys.readouterr().err
    segue.log_metric("a", 3)
    assert capsys.readouterr().err == ""


# ---- Figures ------------------------------------------------------------------------------------


@pytest.mark.parametrize("data, mime, extension", [
    (PNG, "image/png", "png"), (JPEG, "image/jpeg", "jpg"), (SVG, "image/svg+xml", "svg"),
    (b'<?xml version="1.0"?>\n<!DOCTYPE svg>' + SVG, "image/svg+xml", "svg"),
    (bytearray(PNG), "image/png", "png"), (memoryview(PNG), "image/png", "png"),
])
def test_bytes(step, data, mime, extension):
    segue.log_figure("roc", data)
    assert step.line() == {"kind": "figure", "name": "roc", "file": "figures/roc." + extension, "mime": mime}
    assert (step.folder / "figures" / ("roc." + extension)).read_bytes() == bytes(data)


@pytest.mark.parametrize("name, data, mime", [
    ("a.png", PNG, "image/png"), ("a", JPEG, "image/jpeg"), ("a.HTML", b"<b>x</b>", "text/html"),
    ("a.json", b"{}", "application/json"), ("a.txt", SVG, "image/svg+xml"),
])
@pytest.mark.parametrize("kind", [str, Path])
def test_paths(step, tmp_path, name, data, mime, kind):
    (tmp_path / name).write_bytes(data)
    segue.log_figure("f", kind(tmp_path / name))
    line = step.line()
    assert line["mime"] == mime and (step.folder / line["file"]).read_bytes() == data


class Shown:
    """Shows itself in Jupyter by the given methods."""

    def __init__(self, **methods):
        for name, shown in methods.items():
            setattr(self, name, lambda shown=shown: shown)


@pytest.mark.parametrize("figure, mime, data", [
    (Shown(_repr_png_=PNG, _repr_html_="<b>"), "image/png", PNG),
    (Shown(_repr_png_=(PNG, {"width": 1})), "image/png", PNG),
    (Shown(_repr_png_="aGk="), "image/png", b"hi"),
    (Shown(_repr_png_=None, _repr_svg_="<svg/>"), "image/svg+xml", b"<svg/>"),
    (Shown(_repr_html_="<b>ä</b>"), "text/html", "<b>ä</b>".encode()),
    (Shown(_repr_html_="part", to_html="whole"), "text/html", b"whole"),
])
def test_what_shows_itself(step, figure, mime, data):
    segue.log_figure("f", figure)
    line = step.line()
    assert line["mime"] == mime and (step.folder / line["file"]).read_bytes() == data


def test_matplotlib(step):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots()
    axes.plot([1, 2])
    for name, value in (("figure", figure), ("axes", axes), ("module", pyplot)):
        segue.log_figure(name, value)
    pyplot.close(figure)
    for line in step.lines():
        assert line["mime"] == "image/png"
        assert (step.folder / line["file"]).read_bytes().startswith(PNG[:8])


@pytest.mark.parametrize("figure", [b"", b"GIF89a", 7, None, [1], Shown(_repr_html_=None)])
def test_what_is_no_figure_is_refused(step, figure):
    with pytest.raises(segue.SerializationError):
        segue.log_figure("f", figure)
    assert not (step.folder / "report.jsonl").exists()


def test_a_file_that_is_no_figure_is_refused(step, tmp_path):
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(segue.SerializationError, match="a.txt is no figure"):
        segue.log_figure("f", tmp_path / "a.txt")
    with pytest.raises(FileNotFoundError):
        segue.log_figure("f", tmp_path / "missing.png")


def test_a_figure_that_is_too_large_is_refused(step, tmp_path):
    with open(tmp_path / "a.png", "wb") as file:
        file.write(PNG)
        file.truncate((32 << 20) + 1)
    with pytest.raises(segue.SerializationError, match="larger than 32 MiB"):
        segue.log_figure("f", tmp_path / "a.png")
    assert not (step.folder / "figures").exists()


def test_the_latest_figure_replaces_the_earlier(step):
    segue.log_figure("f", PNG)
    segue.log_figure("f", PNG + b"2")
    assert (step.folder / "figures/f.png").read_bytes() == PNG + b"2"
    assert os.listdir(step.folder / "figures") == ["f.png"]
    assert stat.S_IMODE((step.folder / "figures/f.png").stat().st_mode) & 0o400


def test_a_figure_is_there_before_its_line(step, monkeypatch):
    def refuse(*_, **__):
        raise OSError("no")

    monkeypatch.setattr(os, "write", refuse)
    with pytest.raises(OSError):
        segue.log_figure("f", PNG)
    assert (step.folder / "figures/f.png").read_bytes() == PNG


def test_reports_and_outputs_do_not_meet(step, monkeypatch):
    monkeypatch.setenv("SEGUE_RUN_UUID", "r")
    segue.log_metric("a", 1)
    segue.log_figure("index", PNG)
    for name in ("report", "figures", "report.jsonl"):
        segue.output(1, name)
    segue.output(2, "report")
    assert [line["kind"] for line in step.lines()] == ["metric", "figure"]
    names = [entry["name"] for entry in json.loads((step.folder / "index.json").read_text())]
    assert sorted(names) == ["figures", "report", "report.jsonl"]
