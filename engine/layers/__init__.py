"""Every layer of Keras 1, one file for each family, as there."""

from engine.layers import convolutional, core, local, padding, pooling

__all__ = ["convolutional", "core", "local", "padding", "pooling"]
