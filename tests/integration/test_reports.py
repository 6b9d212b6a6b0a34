"""What steps report, by the SDK and otherwise, and two runs side by side: with real kernels, through
the API."""

import json
from urllib.parse import quote

import pytest
import requests
from support.notebooks import code, notebook
from support.project import Step, uuid_of

TRAIN = notebook(
    code("depth = 1", "parameters"),
    "import segue, numpy\n"
    "for epoch in range(3):\n"
    "    segue.log_metric('loss', numpy.float64(1 / depth / (epoch + 1)), step=10 * epoch)\n"
    "segue.log_metric('bad', float('nan'))\n"
    "segue.log_param('layers', [depth, depth])",
    "import matplotlib; matplotlib.use('Agg')\n"
    "from matplotlib import pyplot\n"
    "pyplot.plot([depth, 2]); segue.log_figure('roc / test', pyplot.gcf())",
    # As scrapbook's glue does.
    "from IPython.display import display\n"
    "def glue(name, data):\n"
    "    display({'application/scrapbook.scrap.json+json': {'name': name, 'data': data, 'version': 1}},\n"
    "            raw=True)\n"
    "glue('score', depth / 2); glue('loss', 99); glue('big', [1])",
    "print('depth', depth)",
    "print('always')",
)
SHELL = (
    'mkdir -p "$SEGUE_IO_DIR/$SEGUE_STEP_UUID"\n'
    'echo \'{"kind":"metric","name":"lines","value":3}\' >>"$SEGUE_IO_DIR/$SEGUE_STEP_UUID/report.jsonl"\n'
    'echo oops >>"$SEGUE_IO_DIR/$SEGUE_STEP_UUID/report.jsonl"\n'
)
SILENT = "print('nothing to say')\n"
STEPS = (Step("train", TRAIN), Step("shell", SHELL, "train", path="shell.sh"), Step("silent", SILENT))


def done(service, project, **fields):
    run = service.submit(project, **fields)["uuid"]
    ended = service.wait_for_run(run)
    assert ended["status"] == "SUCCESS", service.get(f"runs/{run}").text
    return run


def report(service, run):
    response = service.get(f"runs/{run}/report")
    assert response.status_code == 200, response.text
    return {step["title"]: step for step in response.json()["steps"]}


def figure_path(run, step, name):
    return f"runs/{run}/steps/{uuid_of(step)}/figures/{quote(name, safe='')}"


def test_what_steps_reported(service):
    project = service.project("p", *STEPS)
    run = done(service, project)
    steps = report(service, run)
    assert list(steps) == ["train", "shell"], "a silent step is left out"
    train = steps["train"]
    assert train["step_uuid"] == uuid_of("train")
    metrics = {metric["name"]: metric for metric in train["metrics"]}
    assert {name: metric["value"] for name, metric in metrics.items()} == {
        "loss": 1 / 3, "bad": "NaN", "score": 0.5}
    assert [(p["step"], p["value"]) for p in metrics["loss"]["points"]] == [
        (0, 1.0), (10, 0.5), (20, 1 / 3)]
    assert all(point["time"].startswith("20") for metric in metrics.values() for point in metric["points"])
    assert train["params"] == [{"name": "layers", "value": [1, 1]}]
    assert train["figures"] == [{"name": "roc / test", "mime": "image/png"}]
    assert train["passed_over"] == 0
    assert [m["value"] for m in steps["shell"]["metrics"]] == [3] and steps["shell"]["passed_over"] == 1


def test_figures_do_nothing_in_a_browser(service):
    project = service.project("p", Step(
        "plot", "import segue\nsegue.log_figure('page', type('P', (), {'to_html': "
                "lambda self: '<script>1</script>'})())\nsegue.log_figure('svg', b'<svg/>')\n"))
    run = done(service, project)
    for name, kind, content in (("page", "text/html; charset=utf-8", b"<script>1</script>"),
                                ("svg", "image/svg+xml", b"<svg/>")):
        response = service.get(figure_path(run, "plot", name))
        assert (response.status_code, response.content) == (200, content)
        assert response.headers["Content-Type"] == kind
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["Content-Security-Policy"] == (
            "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:")
        again = service.request("GET", figure_path(run, "plot", name),
                                headers={"If-None-Match": response.headers["ETag"]})
        assert again.status_code == 304
    url = f"{service.url}/api/v1/{figure_path(run, 'plot', 'page')}"
    assert requests.get(url, timeout=30).status_code == 401


ESCAPES = """
import json, os
folder = os.path.join(os.environ["SEGUE_IO_DIR"], os.environ["SEGUE_STEP_UUID"])
os.makedirs(folder + "/figures")
os.symlink("/etc", folder + "/figures/etc")
os.symlink("/etc/passwd", folder + "/figures/link.png")
os.mkfifo(folder + "/figures/pipe.png")
files = {"absolute": "/etc/passwd", "up": "../../pipeline.json", "link": "figures/link.png",
         "below": "figures/etc/passwd", "pipe": "figures/pipe.png", "directory": "figures",
         "missing": "figures/none.png"}
with open(folder + "/report.jsonl", "w") as out:
    for name, file in files.items():
        print(json.dumps({"kind": "figure", "name": name, "file": file, "mime": "image/png"}), file=out)
"""


def test_figures_lead_nowhere_else(service):
    project = service.project("p", Step("trick", ESCAPES))
    run = done(service, project)
    names = [figure["name"] for figure in report(service, run)["trick"]["figures"]]
    assert len(names) == 7
    for name in [*names, "unknown", "../report.jsonl", "figures/link.png"]:
        response = service.get(figure_path(run, "trick", name))
        assert response.status_code == 404, (name, response.text)
    assert service.get(f"runs/{run}/steps/{uuid_of('other')}/figures/link").status_code == 404


def test_a_report_can_be_read_while_the_step_runs(service):
    project = service.project("p", Step(
        "slow", "import os, segue, time\nsegue.log_metric('loss', 1)\nprint('said', flush=True)\n"
                "while not os.path.exists('go'): time.sleep(0.02)\nsegue.log_metric('loss', 2)\n"))
    run = service.submit(project)["uuid"]
    service.wait_for_event(run, "output")
    assert [m["value"] for m in report(service, run)["slow"]["metrics"]] == [1]
    (project.root / "go").touch()
    service.wait_for_run(run)
    assert [m["value"] for m in report(service, run)["slow"]["metrics"]] == [2]


def test_two_runs_side_by_side(service):
    project = service.project("p", *STEPS)
    runs = [done(service, project, parameters={uuid_of("train"): {"depth": depth}}) for depth in (1, 2)]
    response = service.get(f"runs/{runs[0]}/compare", to=runs[1])
    assert response.status_code == 200, response.text
    found = response.json()
    assert [found[side]["uuid"] for side in "ab"] == runs
    assert found["a"]["status"] == "SUCCESS" and 0 < found["a"]["duration"] < 600
    assert found["parameters"] == [{"step_uuid": uuid_of("train"), "name": "depth", "a": 1, "b": 2}]
    metrics = {metric["name"]: metric for metric in found["metrics"]}
    assert {name: (m["a"], m["b"], m["delta"]) for name, m in metrics.items()} == {
        "loss": (1 / 3, 1 / 6, 1 / 6 - 1 / 3), "bad": ("NaN", "NaN", None), "score": (0.5, 1.0, 0.5),
        "lines": (3, 3, 0)}
    steps = {step["title"]: step for step in found["steps"]}
    assert set(steps) == {"train", "shell", "silent"}
    train = steps["train"]
    assert train["cells_total"] == 7, "six, and the injected one"
    changed = {cell["index"]: cell for cell in train["cells"]}
    assert train["cells_changed"] == 2 and set(changed) == {1, 5}
    assert changed[1]["source_changed"] and "depth = 2" in changed[1]["source_b"]
    assert (changed[5]["a"], changed[5]["b"]) == ("depth 1\n", "depth 2\n")
    assert not changed[5]["source_changed"] and "source_a" not in changed[5]
    assert steps["silent"]["cells"] == [] and steps["silent"]["a"]["status"] == "SUCCESS"

    same = service.get(f"runs/{runs[0]}/compare", to=runs[0]).json()
    assert same["parameters"] == [] and all(step["cells_changed"] == 0 for step in same["steps"])


@pytest.mark.parametrize("path, query, status", [
    ("runs/{}/compare", {}, 400),
    ("runs/{}/compare", {"to": "nobody"}, 404),
    ("runs/nobody/compare", {"to": "{}"}, 404),
    ("runs/nobody/report", {}, 404),
    ("runs/nobody/steps/x/figures/y", {}, 404),
    ("runs/{}/steps/x/figures/y", {}, 404),
])
def test_what_is_not_there(service, path, query, status):
    run = done(service, service.project("p", Step("a", SILENT)))
    response = service.get(path.format(run), **{k: v.format(run) for k, v in query.items()})
    assert response.status_code == status, response.text


def test_a_deleted_run_has_no_report(service):
    run = done(service, service.project("p", Step("a", "import segue\nsegue.log_metric('m', 1)\n")))
    assert json.dumps(report(service, run)["a"]["metrics"])
    assert service.delete(f"runs/{run}").status_code == 204
    assert service.get(f"runs/{run}/report").status_code == 404
