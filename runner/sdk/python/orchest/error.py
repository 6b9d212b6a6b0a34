"""Errors under the names that Orchest gave them."""

from segue import (
    DataInvalidNameError, DeserializationError, Error, InputNameCollisionError,
    NotInStepError as StepUUIDResolveError, OutputNotFoundError, SerializationError,
)

__all__ = [
    "DataInvalidNameError", "DeserializationError", "Error", "InputNameCollisionError",
    "OutputNotFoundError", "SerializationError", "StepUUIDResolveError",
]
