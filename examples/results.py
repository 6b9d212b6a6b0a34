"""Shows what the step `compare` of examples/wine handed on:   results.py STATE PIPELINE OUT

STATE is the directory that segue kept its state in; its newest results are copied into OUT.
"""

import json
import shutil
import sys
from pathlib import Path

COLUMNS = {"model": "MODEL", "parameters": "PARAMETERS", "accuracy": "ACCURACY", "f1": "F1"}


def result_file(state, pipeline, title, name):
    """The file of a step's newest result: the steps' indexes say which it is."""
    steps = json.loads(pipeline.read_text("utf-8"))["steps"].values()
    uuid = next(step["uuid"] for step in steps if step["title"] == title)
    index = next(state.glob(f"latest/*/{uuid}/index.json"))
    entry = next(entry for entry in json.loads(index.read_text("utf-8")) if entry["name"] == name)
    return index.parent / entry["file"]


def text_of(value):
    if isinstance(value, dict):
        return ", ".join(f"{name} {part}" for name, part in value.items())
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def print_table(results):
    rows = [list(COLUMNS.values())] + [[text_of(row[key]) for key in COLUMNS] for row in results]
    widths = [max(map(len, column)) for column in zip(*rows)]
    for row in rows:
        print("  " + "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths)).rstrip())


def main():
    state, pipeline, out = map(Path, sys.argv[1:])
    found = result_file(state, pipeline, "Compare", "results")
    shutil.copyfile(found, out / "results.json")
    print()
    print_table(json.loads(found.read_text("utf-8")))
    print(f"\nresults:            {out / 'results.json'}")
    print(f"executed notebooks: {out / 'executed'}/ (compare.ipynb has the plots)")


if __name__ == "__main__":
    main()
