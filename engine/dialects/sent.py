"""Objects of the Keras 1 form that remember which value of the client's each of their values came from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.errors import pointer


class Sent(dict[str, Any]):
    """An object made from one of the client's.

    Args:
        origin: JSON pointer to the client's object.
    """

    def __init__(self, origin: str) -> None:
        super().__init__()
        self.origin = origin
        self.came: dict[str, str] = {}

    def put(self, key: str, value: Any, came: str) -> None:
        """Set a value that came from the pointer `came`."""
        self[key] = value
        self.came[key] = came

    @staticmethod
    def branch(layers: list[Any], came: str) -> Sent:
        """Write a Sequential around layers that came from several places."""
        model = Sent(came)
        model.put("class_name", "Sequential", came)
        model.put("config", layers, came)
        return model


def pointer_in(tree: Any, where: str) -> str:
    """Say where the client wrote what stands at the pointer `where` of a translated tree."""
    said, here = (tree.origin if isinstance(tree, Sent) else ""), tree
    for part in where.split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        said = here.came.get(key, here.origin + pointer(key)) if isinstance(here, Sent) else said + pointer(key)
        here = _inside(here, key)
        said = here.origin if isinstance(here, Sent) else said
    return said


def _inside(tree: Any, key: str) -> Any:
    if isinstance(tree, Mapping):
        return tree.get(key)
    if isinstance(tree, list) and key.isdecimal() and int(key) < len(tree):
        return tree[int(key)]
    return None
