"""What the module `segue` raises."""


class Error(Exception):
    """Everything that this module raises by itself."""


class NotInStepError(Error):
    """The code does not run as a step of a pipeline."""


class DataInvalidNameError(Error):
    """An output, or what is reported, cannot have this name."""


class SerializationError(Error):
    """A value that cannot be written to a file."""


class DeserializationError(Error):
    """A file whose value cannot be read here."""


class OutputNotFoundError(Error):
    """An incoming step has left no output."""


class InputNameCollisionError(Error):
    """Two incoming steps have left outputs of the same name."""
