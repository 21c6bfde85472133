"""Every layer of Keras 1, one file for each family, as there."""

from engine.layers import core

__all__ = ["core"]
