"""Every layer of Keras 1, one file for each family, as there."""

from engine.layers import convolutional, convolutional_variants, core, local, padding, pooling

__all__ = ["convolutional", "convolutional_variants", "core", "local", "padding", "pooling"]
