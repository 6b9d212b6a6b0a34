"""Parameters of the step and of the pipeline."""

from segue import (
    get_params, get_pipeline_param, get_pipeline_params, get_step_param, get_step_params,
)

__all__ = [
    "get_params", "get_pipeline_param", "get_pipeline_params", "get_step_param", "get_step_params",
]
