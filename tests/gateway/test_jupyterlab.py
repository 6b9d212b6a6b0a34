"""A whole JupyterLab, in a browser, on a gateway's kernels: what a user sees.

    browser -> jupyter_server -> (something that can cut) -> gateway

Screenshots are in build/results/jupyterlab-*.png.
"""

import json
import time

import pytest
from support.jupyter_server import Between, JupyterServer
from support.lab import Browser
from support.notebooks import notebook
from support.segue import environment, wait_until

OPTIONS = ("--LabApp.expose_app_in_browser=True",
           "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate")
PRINTING = "import time\nfor i in range({}):\n    print(i, flush=True)\n    time.sleep({})"
PLOT = "%matplotlib inline\nimport matplotlib.pyplot as plt\nplt.plot([1, 3, 2])\nplt.show()"
SLIDER = """\
import ipywidgets
slider = ipywidgets.IntSlider(value=3, max=10)
label = ipywidgets.Label('untouched')
slider.observe(lambda change: setattr(label, 'value', f"now {change['new']}"), 'value')
display(slider, label)"""
IMAGE = """\
import base64, ipywidgets
dot = base64.b64decode('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==')
display(ipywidgets.Image(value=dot, format='png'))"""


def lines(start, end):
    return "".join(f"{n}\n" for n in range(start, end))


@pytest.fixture(scope="module")
def browser():
    with Browser() as made:
        yield made


@pytest.fixture
def between(gateway):
    with Between(gateway.port) as made:
        yield made


@pytest.fixture
def server(gateway, between, tmp_path, jupyter_path):
    env = environment(tmp_path / "state", jupyter_path)
    with JupyterServer(tmp_path / "server", env, between.url, gateway.token, *OPTIONS, app="lab") as made:
        yield made
        for model in gateway.kernels():
            gateway.shut_down(model["id"])


@pytest.fixture
def new_page(browser, server):
    """Opens the notebook a.ipynb with these cells, in a page of its own."""
    pages = []

    def make(*cells, states=()):
        path = server.files / "a.ipynb"
        if cells:
            path.write_text(json.dumps(notebook(*cells)))
        page = browser.page(server)
        pages.append(page)
        page.open("a.ipynb", *states)
        return page

    yield make
    for page in pages:
        page.context.close()


def test_a_day_with_a_notebook(new_page, results):
    """Cells, an error, a plot, a widget that talks back, input, much output, interrupt, restart."""
    page = new_page("x = 6 * 7\nprint(x)", "1 / 0", PLOT, SLIDER, "print(slider.value)", "print('got', input('name? '))",
                    "for i in range(20000): print(i)", "import time\nprint('on')\ntime.sleep(60)", "print(x)", IMAGE,
                    "print('still there')")
    page.run(0)
    assert page.wait_for_end(0) == "42\n"
    page.run(1)
    page.wait_for_end(1)
    assert page.outputs(1)[0]["ename"] == "ZeroDivisionError"

    page.run(2)
    page.wait_for_end(2)
    image = page.page.locator(".jp-OutputArea-output img").first
    image.wait_for()
    page.page.wait_for_function("() => document.querySelector('.jp-OutputArea-output img').naturalWidth > 100")
    page.screenshot(results / "jupyterlab-plot.png")

    page.run(3)
    handle = page.page.locator(".widget-slider .noUi-handle")
    handle.wait_for()
    handle.focus()
    page.page.keyboard.press("ArrowRight")
    page.page.keyboard.press("ArrowRight")
    page.page.locator(".widget-label", has_text="now 5").wait_for()
    page.screenshot(results / "jupyterlab-widget.png")
    page.run(4)
    assert page.wait_for_end(4) == "5\n"

    page.run(5)
    page.page.locator(".jp-Stdin-input").fill("Ada")
    page.page.keyboard.press("Enter")
    assert "got Ada\n" in page.wait_for_end(5)

    page.run(6)
    assert page.wait_for_end(6) == lines(0, 20000)

    page.run(7)
    page.wait_for_text(7, "on")
    page.command("notebook:interrupt-kernel")
    page.wait_for_end(7)
    assert page.outputs(7)[-1]["ename"] == "KeyboardInterrupt"

    assert page.complaints == []
    page.run(9)  # its bytes cannot come through jupyter_server; all else must go on
    page.wait_for_end(9)
    page.run(10)
    assert page.wait_for_end(10) == "still there\n"

    page.command("kernelmenu:restart")
    page.page.get_by_role("button", name="Confirm Kernel Restart").click()
    page.wait_for_state("idle")
    page.run(8)
    page.wait_for_end(8)
    assert page.outputs(8)[0]["ename"] == "NameError"
    page.screenshot(results / "jupyterlab-restarted.png")


@pytest.mark.beyond_jupyter
def test_the_connection_is_cut_in_the_middle_of_a_cell(new_page, between, results):
    page = new_page(PRINTING.format(500, 0.01), "print(i)")
    page.run(0)
    for number in (50, 250):
        page.wait_for_text(0, f"\n{number}\n")
        between.cut()
    assert page.wait_for_end(0) == lines(0, 500)
    page.run(1)
    assert page.wait_for_end(1) == "499\n"
    assert between.cuts == 2
    page.screenshot(results / "jupyterlab-cut.png")


@pytest.mark.beyond_jupyter
def test_the_daemon_is_killed_in_the_middle_of_a_cell(new_page, gateway, results, is_soak):
    """It is away for a while, and comes back."""
    page = new_page(PRINTING.format(800, 0.01), "print(i)")
    page.run(0)
    page.wait_for_text(0, "\n50\n")
    gateway.kill9()
    page.wait_for_text(0, "\n300\n")
    time.sleep(15 if is_soak else 0)  # longer than JupyterLab waits to ask how kernels are
    gateway.start()
    assert page.wait_for_end(0) == lines(0, 800)
    page.run(1)
    assert page.wait_for_end(1) == "799\n"
    assert len(gateway.kernels()) == 1
    page.screenshot(results / "jupyterlab-killed.png")


@pytest.mark.beyond_jupyter
def test_a_kernel_that_dies_is_told_and_comes_back(new_page, gateway, results):
    page = new_page("import os, time\nprint('last words')\ntime.sleep(0.5)\nos.kill(os.getpid(), 9)", "print('again')")
    page.run(0)
    wait_until(lambda: "SIGKILL" in page.text(0, "stderr") or page.page.wait_for_timeout(100), 30, "the cell says why")
    assert page.text(0) == "last words\n"
    page.screenshot(results / "jupyterlab-died.png")
    page.page.get_by_role("button", name="Ok").click()  # "Kernel Restarting"
    page.wait_for_state("idle")
    page.run(1)
    assert page.wait_for_end(1) == "again\n"


@pytest.mark.beyond_jupyter
def test_the_tab_is_closed_in_the_middle_of_a_cell(new_page, browser, server, gateway, results):
    """A page knows nothing of the requests of the one before it, so JupyterLab itself does not show
    what comes for them in the notebook; it does in its log. The new page gets everything that was
    said while there was none, in order, once; and the notebook goes on with the same kernel."""
    first = new_page(PRINTING.format(400, 0.01), "print(i)")
    first.run(0)
    first.wait_for_text(0, "\n100\n")
    first.close()
    heard = numbers(first).count("\n")
    gateway.wait_for_state(gateway.kernels()[0]["id"], "idle")

    with browser.page(server) as page:
        page.open_without()
        page.command("logconsole:open", {"source": "a.ipynb"})
        page.page.get_by_label("Log level").select_option("info")  # before there is something to log
        page.command("docmanager:open", {"path": "a.ipynb"})
        page.wait_for_state("idle")
        wait_until(lambda: numbers(page).endswith("399\n") or page.page.wait_for_timeout(100), 20,
                   f"all of it; came: {numbers(page)!r}")
        page.screenshot(results / "jupyterlab-log.png")
        came = numbers(page)
        start = int(came.partition("\n")[0])
        assert came == lines(start, 400)
        assert abs(start - heard) < 50  # in the moment of closing, jupyter_server may still take some for the page
        log = page.page.locator(".jp-LogConsolePanel .jp-OutputArea-output").all_inner_texts()
        shown = "\n".join(log).split()
        assert [n for n in shown if n.isdigit()] == came.split()
        page.run(1)
        assert page.wait_for_end(1) == "399\n"
        page.screenshot(results / "jupyterlab-came-back.png")


def numbers(page):
    """What a page was sent of the numbers that cells print."""
    messages = [json.loads(frame) for frame in page.received if isinstance(frame, str) and '"stream"' in frame]
    return "".join(m["content"]["text"] for m in messages
                   if m["header"]["msg_type"] == "stream" and m["content"]["name"] == "stdout")
