"""The only way from a string in a request to code."""

from collections.abc import Callable, Iterator
from difflib import get_close_matches
from typing import Generic, TypeVar

from engine.errors import UnknownName

T = TypeVar("T")


class Registry(Generic[T]):
    """An explicit table of what a request may name.

    Only what was registered can be reached: no module globals, no imports by string, no pickles.

    Args:
        kind: The noun used in refusals, such as `"optimizer"`.
        beside: Names that are taken too, though nothing is registered under them; refusals may suggest them.
    """

    def __init__(self, kind: str, beside: tuple[str, ...] = ()) -> None:
        self.kind, self._beside = kind, beside
        self._items: dict[str, T] = {}
        self._names: dict[int, str] = {}

    def register(self, name: str, *aliases: str) -> Callable[[T], T]:
        """Add the decorated thing under `name`, which it is called by, and under `aliases`."""

        def add(item: T) -> T:
            for each in (name, *aliases):
                if each in self._items:
                    raise KeyError(f"{self.kind} {each!r} is registered twice")
                self._items[each] = item
            self._names[id(item)] = name
            return item

        return add

    def __getitem__(self, name: str) -> T:
        if name in self._items:
            return self._items[name]
        close = get_close_matches(name[:100], (*self._items, *self._beside), n=1)
        hint = f" Did you mean {close[0]!r}?" if close else f" There are: {', '.join(self)}."
        raise UnknownName(f"There is no {self.kind} named {shown(name)}.{hint}")

    def canonical(self, name: str) -> str:
        """Return the name that an alias stands for.

        Raises:
            UnknownName: Nothing is registered under `name`.
        """
        return self._names[id(self[name])]

    def __contains__(self, name: object) -> bool:
        return name in self._items

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names, without aliases."""
        return iter(sorted(self._names.values()))

    def aliases(self, name: str) -> list[str]:
        """List the other names of what `name` stands for."""
        item = self._items[name]
        return sorted(other for other, its in self._items.items() if its is item and other != name)


def shown(value: object) -> str:
    """Show a stranger's value in a message, cut to a readable length."""
    try:
        text = repr(value)
    except (RecursionError, ValueError):  # too deep, or an integer of too many digits
        text = f"a {type(value).__name__}"
    return text if len(text) <= 80 else text[:77] + "…"
