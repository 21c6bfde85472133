"""Datasets: uploaded, named arrays."""
