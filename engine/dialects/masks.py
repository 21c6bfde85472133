"""Where masks go in later Keras: through a Dense, and as zeros out of a Bidirectional."""

from __future__ import annotations

from typing import Any

from engine.dialects.sent import Sent
from engine.dialects.speech import Spoken

MEMORIES = frozenset({"SimpleRNN", "GRU", "LSTM", "ConvLSTM2D"})


def carry(layers: Any, spoken: Spoken, masked: bool = False) -> bool:
    """Tell those layers of a row that treat a mask as later Keras does; return whether one comes out."""
    if spoken.version == 1:
        return masked
    for each in layers if isinstance(layers, list) else ():
        config = each.get("config") if isinstance(each, Sent) else None
        if isinstance(config, list):
            masked = carry(config, spoken, masked)
        elif isinstance(config, Sent):
            masked = _through(str(each.get("class_name")), config, spoken, masked)
    return masked


def _through(name: str, config: Sent, spoken: Spoken, masked: bool) -> bool:
    if name == "Masking" or (name == "Embedding" and config.get("mask_zero") is True):
        return True
    if name == "Merge":
        for branch in config.get("layers", ()):
            carry(branch.get("config") if isinstance(branch, Sent) else None, spoken)
        return False
    if name in MEMORIES:
        return masked and config.get("return_sequences") is True
    if name == "Dense" and masked:
        config["passes_mask"] = True
    return _both_ways(config, spoken, masked) if name == "Bidirectional" else masked


def _both_ways(config: Sent, spoken: Spoken, masked: bool) -> bool:
    inner = config.get("layer")
    inside = inner.get("config") if isinstance(inner, Sent) else None
    if not masked or not isinstance(inside, Sent) or inside.get("return_sequences") is not True:
        return False
    if spoken.version == 3 or spoken.tensorflow:
        inside["zero_masked"] = True
    return True
