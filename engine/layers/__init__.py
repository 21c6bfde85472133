"""Every layer of Keras 1, one file for each family, as there."""

from engine.layers import (
    advanced_activations,
    convolutional,
    convolutional_recurrent,
    convolutional_variants,
    core,
    dense_variants,
    embeddings,
    lambda_,
    local,
    merge,
    noise,
    normalization,
    padding,
    pooling,
    recurrent,
    wrappers,
)

__all__ = [
    "advanced_activations",
    "convolutional",
    "convolutional_recurrent",
    "convolutional_variants",
    "core",
    "dense_variants",
    "embeddings",
    "lambda_",
    "local",
    "merge",
    "noise",
    "normalization",
    "padding",
    "pooling",
    "recurrent",
    "wrappers",
]
