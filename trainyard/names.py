"""Makes the engine's registries importable: what is registered there is there, under every name it has."""

from collections.abc import Callable
from typing import Any

from engine.errors import UnknownName
from engine.registry import Registry


def names_of(registry: Registry[Any], without: frozenset[str] = frozenset()) -> list[str]:
    """List every name of a registry, aliases too, that can stand in an import."""
    every = {name for canonical in registry for name in (canonical, *registry.aliases(canonical))}
    return sorted(name for name in every - without if name.isidentifier())


def finder(registry: Registry[Any], module: str, without: frozenset[str] = frozenset()) -> Callable[[str], Any]:
    """Make a module's `__getattr__`."""

    def find(name: str) -> Any:
        if name.startswith("__") or name in without:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        try:
            return registry[name]
        except UnknownName as error:
            raise AttributeError(error.message) from None

    return find
