"""Keras 1's regularizers: `l1(0.01)`, `l2(0.01)`, `l1l2(0.01, 0.01)`, and their classes."""

from engine.regularizers import EigenvalueRegularizer, L1L2Regularizer

__all__ = [
    "ActivityRegularizer",
    "EigenvalueRegularizer",
    "L1L2Regularizer",
    "WeightRegularizer",
    "activity_l1",
    "activity_l1l2",
    "activity_l2",
    "l1",
    "l1l2",
    "l2",
]

WeightRegularizer = ActivityRegularizer = L1L2Regularizer


def l1(l: float = 0.01) -> L1L2Regularizer:  # noqa: E741  # Keras 1's name
    """Add `l * sum(|w|)` to the loss."""
    return L1L2Regularizer(l1=l)


def l2(l: float = 0.01) -> L1L2Regularizer:  # noqa: E741
    """Add `l * sum(w²)` to the loss."""
    return L1L2Regularizer(l2=l)


def l1l2(l1: float = 0.01, l2: float = 0.01) -> L1L2Regularizer:
    """Add both to the loss."""
    return L1L2Regularizer(l1=l1, l2=l2)


activity_l1, activity_l2, activity_l1l2 = l1, l2, l1l2
