"""The names by which pipelines written for Orchest reach their data, served by `segue`."""

from orchest import error, parameters, transfer
from orchest.parameters import (
    get_params, get_pipeline_param, get_pipeline_params, get_step_param, get_step_params,
)
from orchest.transfer import get_inputs, output, output_to_disk, output_to_memory

__all__ = [
    "error", "parameters", "transfer",
    "get_params", "get_pipeline_param", "get_pipeline_params", "get_step_param", "get_step_params",
    "get_inputs", "output", "output_to_disk", "output_to_memory",
]
