"""A step's Python kernel is started by a launcher of ours: it must be no different for notebooks."""

import json

from support.notebooks import notebook, stream_text
from support.project import Step


def run(world, *cells):
    project = world.project(Step("a", notebook(*cells)))
    result = world.run(project)
    assert result.code == 0, result.explain()
    return project, result.notebook("a.ipynb")


def test_what_a_notebook_sees_is_what_ipykernel_shows(world):
    _, executed = run(
        world,
        "import gc, json, sys, os\n"
        "print(json.dumps({'argv': os.path.basename(sys.argv[0]), 'gc': gc.isenabled(),\n"
        "                  'path': '' in sys.path or os.getcwd() in sys.path,\n"
        "                  'hidden': 'debugpy' in sys.modules, 'main': __name__}))",
    )
    assert json.loads(stream_text(executed)) == {
        "argv": "ipykernel_launcher.py", "gc": True, "path": True, "hidden": False,
        "main": "__main__"}


def test_a_notebook_may_import_the_debugger(world):
    run(world, "import importlib.util\nif importlib.util.find_spec('debugpy'): import debugpy")


def test_a_module_beside_the_notebook_does_not_hide_one_of_the_kernel(world):
    project = world.project(Step("a", notebook("import tornado\nprint(tornado.mine)")))
    project.write("tornado.py", "mine = True\n")
    result = world.run(project)
    assert result.finished(project.steps["a"].uuid)["failure"]["ename"] == "AttributeError"


def test_garbage_of_the_notebook_is_collected(world):
    _, executed = run(
        world,
        "import gc\n"
        "class Loop:\n    def __init__(self): self.me = self\n    def __del__(self): print('gone')\n"
        "Loop()\n"
        "gc.collect();",
    )
    assert "gone" in stream_text(executed)


def test_what_the_notebook_left_open_is_finished_at_the_end(world):
    project, _ = run(
        world,
        "import atexit, tempfile\n"
        "left = open('left', 'w')\n"
        "left.write('flushed')\n"
        "folder = tempfile.TemporaryDirectory()\n"
        "open('folder', 'w').write(folder.name)\n"
        "atexit.register(lambda: open('exit', 'w').write('ran'))",
        "class Loop:\n"
        "    def __init__(self): self.me = self\n"
        "    def __del__(self, open=open): open('loop', 'w').write('deleted')\n"
        "loop = Loop()",
    )
    assert (project.root / "left").read_text() == "flushed"
    assert (project.root / "exit").read_text() == "ran"
    assert (project.root / "loop").read_text() == "deleted"
    assert not (project.root / (project.root / "folder").read_text()).exists()
