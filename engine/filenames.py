"""Names of artifacts that a user makes up, with places for the epoch and the logs."""

import re
from collections.abc import Mapping

from engine.errors import BadArgument

#: `{name}` or `{name:02d}` / `{name:.4f}`: nothing that reaches into an object, and no width that fills a disk.
PLACE = re.compile(r"\{(\w+)(?::(0?\d?\d?)(?:\.(\d{1,2}))?([dfeg]))?\}")
PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+=-]{0,199}")


def check_template(template: str) -> None:
    """Refuse what could not become the name of an artifact.

    Raises:
        BadArgument: It holds a path, an odd character, or a brace that is no place.
    """
    sample = PLACE.sub("0", template)
    if not PLAIN.fullmatch(sample) or ".." in sample:
        raise BadArgument(
            "`filepath` must be a plain file name of letters, digits, '.', '_', '+', '=' and '-', with places such as "
            f"{{epoch:02d}} or {{val_loss:.2f}}, but got {template[:100]!r}.",
            "/filepath",
        )


def check_name(name: str, argument: str) -> None:
    """Refuse what could not be the name of an artifact, as it is.

    Raises:
        BadArgument: It holds a path, or an odd character.
    """
    if not PLAIN.fullmatch(name) or ".." in name:
        raise BadArgument(
            f"`{argument}` must be a plain file name of letters, digits, '.', '_', '+', '=' and '-', but got "
            f"{name[:100]!r}.",
            f"/{argument}",
        )


def fill(template: str, epoch: int, logs: Mapping[str, float]) -> str:
    """Write the name for one epoch; a log that is missing becomes its own name."""

    def place(match: re.Match[str]) -> str:
        name, width, digits, letter = match.groups()
        value: float | None = epoch if name == "epoch" else logs.get(name)
        if value is None:
            return name
        if letter in (None, "d") and value == int(value):
            return format(int(value), f"{width or ''}d")
        return format(float(value), f"{width or ''}.{digits or 6}{letter if letter in ('e', 'f') else 'g'}")

    return PLACE.sub(place, template)
