"""Every notebook of the corpus, executed by nbclient and by segue on the same kernel, gives the
same notebook."""

import nbformat
import pytest
from compare import compare
from corpus import CASES

NAMES = list(CASES)


def reference_of(name, references):
    found = references[name]
    if isinstance(found, Exception):
        raise AssertionError(f"nbclient could not execute {name}") from found
    return found


def executed_of(name, executed):
    found = executed[name]
    if isinstance(found, Exception):
        raise AssertionError(f"segue could not run the pipeline of {name}: {found}") from found
    return found


def assert_valid(text):
    """A file that nbformat accepts as it is, without repairing anything."""
    node = nbformat.reads(text, as_version=nbformat.NO_CONVERT)
    nbformat.validate(node)
    if (node.nbformat, node.nbformat_minor) >= (4, 5):
        ids = [cell["id"] for cell in node.cells]
        assert len(set(ids)) == len(ids), f"repeated cell ids: {ids}"


def assert_stable(text):
    """Reading the file with nbformat and writing it again changes no byte."""
    again = nbformat.writes(nbformat.reads(text, as_version=nbformat.NO_CONVERT))
    again += "" if again.endswith("\n") else "\n"
    if again != text:
        at = next((i for i, (a, b) in enumerate(zip(again, text)) if a != b), min(len(again), len(text)))
        around = slice(max(0, at - 80), at + 80)
        raise AssertionError(f"nbformat writes {again[around]!r}, the file has {text[around]!r}")


@pytest.mark.parametrize("name", NAMES)
def test_declared(name, references):
    """nbclient alone: the notebook behaves as the corpus says."""
    case, made = CASES[name], reference_of(name, references)
    assert (made.status, made.cause) == (case.status, case.cause)
    if case.ename:
        assert made.ename == case.ename


@pytest.mark.parametrize("name", NAMES)
def test_same(name, references, executed):
    case, made = CASES[name], reference_of(name, references)
    ours = executed_of(name, executed)
    assert len(ours.events) == 1, f"{len(ours.events)} step_finished events\n{ours.run.explain()}"
    finished = ours.events[0]
    failure = finished.get("failure") or {}
    assert finished["status"] == case.status, finished
    assert failure.get("cause") == case.cause, finished
    if case.cell is not None:
        assert failure["cell_index"] == case.cell, finished
    if case.ename:
        assert failure["ename"] == case.ename, finished
    assert ours.text is not None, "no executed copy was written"
    assert_valid(ours.text)
    found = compare(case.text(), made.text, ours.text, case)
    assert not found, "\n".join([case.rule, *found])
    if case.stable:
        assert_stable(ours.text)
