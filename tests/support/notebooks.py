"""Build small notebooks as plain dictionaries, exactly as they would lie in a file."""

import json


def code(source, *tags, outputs=(), execution_count=None, **metadata):
    if tags:
        metadata["tags"] = list(tags)
    return {
        "cell_type": "code",
        "execution_count": execution_count,
        "metadata": metadata,
        "outputs": list(outputs),
        "source": source,
    }


def markdown(source, attachments=None, **metadata):
    cell = {"cell_type": "markdown", "metadata": metadata, "source": source}
    if attachments:
        cell["attachments"] = attachments
    return cell


def raw(source, **metadata):
    return {"cell_type": "raw", "metadata": metadata, "source": source}


def stream(text, name="stdout"):
    return {"output_type": "stream", "name": name, "text": text}


def notebook(*cells, minor=5, kernel="python3", metadata=None, ids="cell-{}"):
    """A version 4 notebook. A string stands for a code cell. Cells get an id each where the format
    has them (4.5 on), unless `ids` is None."""
    cells = [code(cell) if isinstance(cell, str) else dict(cell) for cell in cells]
    if minor >= 5 and ids:
        for index, cell in enumerate(cells):
            cell.setdefault("id", ids.format(index))
    meta = {}
    if kernel:
        meta["kernelspec"] = {"display_name": kernel, "language": "python", "name": kernel}
    meta.update(metadata or {})
    return {"cells": cells, "metadata": meta, "nbformat": 4, "nbformat_minor": minor}


def lines(text):
    return text.splitlines(keepends=True)


def _split(node):
    """Long strings as lists of lines, as on disk: the format's rule for which ones."""
    for cell in node["cells"]:
        if isinstance(cell["source"], str):
            cell["source"] = lines(cell["source"])
        for output in cell.get("outputs", ()):
            if isinstance(output.get("text"), str):
                output["text"] = lines(output["text"])
            for mime, value in output.get("data", {}).items():
                texty = mime.startswith("text/") or mime in (
                    "application/javascript",
                    "image/svg+xml",
                )
                if texty and isinstance(value, str):
                    output["data"][mime] = lines(value)
    return node


def text_of(node):
    """The notebook's text as nbformat would write it."""
    node = _split(json.loads(json.dumps(node)))
    return json.dumps(node, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def stream_text(executed, name="stdout"):
    """All text that the cells of an executed notebook wrote to one stream."""
    return "".join(
        "".join(output["text"])
        for cell in executed["cells"]
        for output in cell.get("outputs", ())
        if output["output_type"] == "stream" and output["name"] == name
    )
