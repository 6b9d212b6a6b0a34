"""Starts a Python kernel: what `python -m ipykernel_launcher` finds in a step, before ipykernel's own.

It starts the same kernel, but sooner, and the kernel ends sooner:

- The debugger, a fifth of what a kernel loads, is left out: nobody attaches one to a step. Notebooks
  may import debugpy all the same.
- What is loaded before the first cell stays until the end, so the garbage collector need not look at
  it: not while it is loaded, not between cells, and not several times over at the end.
"""

import gc
import sys
from pathlib import Path

if __name__ == "__main__":
    # As in ipykernel's own: a module beside the notebook must not be taken for one of the kernel's.
    # InteractiveShellApp.init_path() puts the directory back.
    if sys.path[0] == "" or Path(sys.path[0]) == Path.cwd():
        del sys.path[0]

    gc.disable()
    sys.modules["debugpy"] = None  # what makes an import of it fail

    from ipykernel.kernelapp import IPKernelApp

    app = IPKernelApp.instance()
    app.initialize()

    del sys.modules["debugpy"]
    gc.freeze()
    gc.enable()

    app.start()
