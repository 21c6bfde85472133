"""Weights: files that a job may start from."""
