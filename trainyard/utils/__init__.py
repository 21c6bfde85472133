"""Keras 1's utilities for arrays; the same as `trainyard.utils.np_utils`."""

from trainyard.utils.np_utils import (
    categorical_probas_to_classes,
    conv_output_length,
    convert_kernel,
    normalize,
    probas_to_classes,
    to_categorical,
)

__all__ = [
    "categorical_probas_to_classes",
    "conv_output_length",
    "convert_kernel",
    "normalize",
    "probas_to_classes",
    "to_categorical",
]
