"""Execute the judge's notebooks with nbclient, the way Segue means to execute them."""

import asyncio
import os
import tempfile
from dataclasses import dataclass

import nbformat
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError
from papermill.parameterize import parameterize_notebook

# An attempt that takes this long, or fails for a reason that is no notebook's, is made again: nbclient
# now and then waits for ever for a reply, most often while it plays the part of an Output widget.
SECONDS = 60
ATTEMPTS = 3


class Manager(AsyncKernelManager):
    """A queue with a limit, as jupyter_client has them, drops what does not fit and says nothing."""

    def client(self, **kwargs):
        client = super().client(**kwargs)
        client.context.rcvhwm = 0
        return client


class Client(NotebookClient):
    """nbclient, with `skip` beside `skip-execution` as a tag of cells to pass over."""

    async def async_execute_cell(self, cell, cell_index, **kwargs):
        if "skip" in cell.metadata.get("tags", []):
            return cell
        return await super().async_execute_cell(cell, cell_index, **kwargs)


@dataclass
class Reference:
    """What nbclient made of a notebook: the file's text, how it ended, the failing cell's error."""

    text: str
    status: str
    cause: str | None = None
    ename: str | None = None


def inject(node, case):
    values = {**case.pipeline_parameters, **case.parameters}
    values = {name: value for name, value in values.items() if name.isidentifier()}
    if not values:
        return node
    # Papermill expects what its own reader adds to a notebook; it is taken away again.
    for cell in node.cells:
        cell.metadata.setdefault("tags", [])
    node.metadata.papermill = {}
    node = parameterize_notebook(node, values)
    del node.metadata["papermill"]
    for cell in node.cells:
        if not cell.metadata["tags"]:
            del cell.metadata["tags"]
    return node


def is_run(cell):
    tags = cell.metadata.get("tags", [])
    skipped = "skip" in tags or "skip-execution" in tags
    return cell.cell_type == "code" and cell.source.strip() and not skipped


def prepare(node):
    """What Segue does otherwise than nbclient on its own, and like papermill: it writes nbformat
    4.5, and clears the cells that are to run before the first one runs, so that a failed copy
    shows nothing stale."""
    node = nbformat.v4.upgrade(node, 4, node.nbformat_minor)
    for cell in filter(is_run, node.cells):
        cell.outputs, cell.execution_count = [], None
        cell.metadata.pop("execution", None)
    return node


async def execute(case, text, directory, env, sockets):
    """`sockets`: a short path for the kernel's own. (With TCP, nbclient chooses ports that somebody
    else may take before the kernel does.)"""
    node = prepare(inject(nbformat.reads(text, as_version=4), case))
    client = Client(
        node,
        kernel_name=case.kernel,
        kernel_manager_class=Manager,
        resources={"metadata": {"path": str(directory)}},
        timeout=None,
        startup_timeout=SECONDS,
        iopub_timeout=30,
        record_timing=True,
        store_widget_state=True,
    )
    client.create_kernel_manager()
    client.km.transport, client.km.ip = "ipc", f"{sockets}/k"
    status, cause, ename = "SUCCESS", None, None
    task = asyncio.ensure_future(client.async_execute(env=env))
    done, _ = await asyncio.wait({task}, timeout=SECONDS)
    if not done:
        task.cancel()
        await asyncio.wait({task}, timeout=10)
        raise TimeoutError(f"nbclient had not ended after {SECONDS} s")
    try:
        task.result()
    except CellExecutionError as e:
        status, cause, ename = "FAILURE", "cell_error", e.ename
    except DeadKernelError:
        status, cause = "FAILURE", "kernel_died"
    text = nbformat.writes(node)
    return Reference(text if text.endswith("\n") else text + "\n", status, cause, ename)


async def attempt(case, directory, env):
    directory.mkdir(parents=True)
    for name, content in case.files.items():
        (directory / name).write_text(content, "utf-8")
    try:
        with tempfile.TemporaryDirectory(prefix="jk") as sockets:
            return await execute(case, case.text(), directory, env, sockets)
    except Exception as e:  # shown by the test of this case
        return e


async def _execute_all(cases, root, env, ret):
    some = asyncio.Semaphore(os.cpu_count() or 1)

    async def one(case):
        async with some:
            for number in range(ATTEMPTS):
                ret[case.name] = await attempt(case, root / f"{case.name}-{number}", env)
                if not isinstance(ret[case.name], Exception):
                    break

    await asyncio.gather(*(one(case) for case in cases))


def execute_all(cases, root, env):
    """{name: Reference, or the exception that kept it from being made}. As many at a time as there
    are processors."""
    results = {}
    asyncio.run(_execute_all(cases, root, env, results))
    return results
