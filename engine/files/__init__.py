"""Weights as files: Keras 1's HDF5 and safetensors, read as what strangers send."""
