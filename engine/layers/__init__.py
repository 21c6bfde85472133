"""Every layer of Keras 1, one file for each family, as there."""

from engine.layers import advanced_activations, core, dense_variants, embeddings, noise, normalization

__all__ = ["advanced_activations", "core", "dense_variants", "embeddings", "noise", "normalization"]
