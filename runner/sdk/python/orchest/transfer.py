"""Data from step to step. There is one way for it, so that disk and memory are the same here."""

from segue import get_inputs, output

__all__ = ["get_inputs", "output", "output_to_disk", "output_to_memory"]


def output_to_disk(data, name=None, serialization=None):
    """As `output`; what is already serialized is refused, since `output` chooses the format."""
    if serialization is not None:
        raise ValueError("serialized data is not accepted; pass the object itself")
    output(data, name)


def output_to_memory(data, name=None, disk_fallback=True):
    """As `output`; there is no store in memory."""
    output(data, name)
