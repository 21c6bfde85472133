"""Predictions and evaluations: short runs on trained weights, answered at once."""
