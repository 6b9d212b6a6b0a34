"""A page of JupyterLab in a headless Chromium, driven as a user would, and read through its models.

    with Browser() as browser, browser.page(server) as page:
        page.open("a.ipynb")
        page.run(0)
        assert page.wait_for_end(0) == "1\\n"
"""

import shutil
import time
import uuid

from playwright.sync_api import sync_playwright

HANG_MS = 60_000
CURRENT = "window.jupyterapp.shell.currentWidget"
# What JupyterLab says on its console however well all goes.
KNOWN = (
    "api/me", "api/events", "favicon", "api/resolvePath",
    "header but no response was received",  # jupyter_server offers no v1 where its kernels are a gateway's
)


class Browser:
    def __enter__(self):
        self._playwright = sync_playwright().start()
        chromium = shutil.which("chromium")
        assert chromium, "there is no chromium"
        self._browser = self._playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"])
        return self

    def __exit__(self, *_):
        self._browser.close()
        self._playwright.stop()

    def page(self, server):
        return Page(self._browser.new_context(viewport={"width": 1280, "height": 900}), server)


class Page:
    """One window, with cookies of its own. `complaints` is what came on its console that is no good
    sign."""

    def __init__(self, context, server):
        self.context, self.server = context, server
        self.page = context.new_page()
        self.page.set_default_timeout(HANG_MS)
        self.complaints = []
        self.page.on("console", self._hear)
        self.received = []  # text frames of its WebSockets
        self.page.on("websocket", lambda socket: socket.on("framereceived", lambda data: self.received.append(data)))
        self.page.on("pageerror", lambda error: self.complaints.append(f"page error: {error}"))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.context.close()

    def _hear(self, message):
        text = f"{message.text} {message.location.get('url', '')}"
        if message.type == "error" and not any(known in text for known in KNOWN):
            self.complaints.append(text)

    def close(self):
        """As a user closes a tab; nothing is saved that was not saved."""
        self.page.goto("about:blank")
        self.page.close(run_before_unload=False)

    def open(self, path, *states):
        """A notebook, when its kernel is there: idle, or in one of these states."""
        self.page.goto(f"{self.server.url}/lab/workspaces/{uuid.uuid4().hex}/tree/{path}?token={self.server.token}")
        self.page.wait_for_function(f"() => window.jupyterapp && {CURRENT}?.content?.widgets?.length")
        self.wait_for_state(*(states or ["idle"]))

    def open_without(self, *_):
        """JupyterLab alone."""
        self.page.goto(f"{self.server.url}/lab/workspaces/{uuid.uuid4().hex}?token={self.server.token}")
        self.page.wait_for_function("() => window.jupyterapp")
        self.page.locator(".jp-DirListing-item").first.wait_for()

    def state(self):
        return self.page.evaluate(f"() => {CURRENT}.sessionContext.session?.kernel?.status")

    def wait_for_state(self, *states):
        self.page.wait_for_function(
            f"states => states.includes({CURRENT}?.sessionContext?.session?.kernel?.status)", arg=list(states))

    def command(self, name, arguments=None):
        return self.page.evaluate("([name, args]) => { window.jupyterapp.commands.execute(name, args); }",
                                  [name, arguments or {}])

    def run(self, number):
        """Selects a cell and runs it, by the keyboard."""
        self.page.evaluate(f"""n => {{ const notebook = {CURRENT}.content;
            notebook.deselectAll(); notebook.activeCellIndex = n; notebook.mode = 'command'; notebook.node.focus(); }}""",
                           number)
        self.page.keyboard.press("Control+Enter")

    def outputs(self, number):
        return self.page.evaluate(f"n => {CURRENT}.content.widgets[n].model.outputs.toJSON()", number)

    def text(self, number, name="stdout"):
        text = lambda value: value if isinstance(value, str) else "".join(value)  # noqa: E731
        return "".join(text(o["text"]) for o in self.outputs(number)
                       if o["output_type"] == "stream" and o["name"] == name)

    def wait_for_text(self, number, text):
        self._wait(lambda: text in self.text(number), f"cell {number} prints {text!r}", number)

    def wait_for_end(self, number):
        """The text of a cell that has run."""
        self._wait(lambda: self.page.evaluate(
            f"n => {{ const m = {CURRENT}.content.widgets[n].model; return m.executionCount !== null && "
            f"m.executionState !== 'running' }}", number), f"the end of cell {number}", number)
        return self.text(number)

    def _wait(self, condition, what, number):
        deadline = time.monotonic() + HANG_MS / 1000
        while not condition():
            assert time.monotonic() < deadline, f"{what}; it says {str(self.outputs(number))[-1000:]}; {self.complaints}"
            self.page.wait_for_timeout(50)

    def screenshot(self, path):
        self.page.screenshot(path=path)
