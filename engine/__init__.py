"""Keras 1's Sequential system on torch: descriptions first, tensors only where they are needed."""
