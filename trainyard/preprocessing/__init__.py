"""Keras 1's preprocessing of sequences, texts and images, which computes here."""
