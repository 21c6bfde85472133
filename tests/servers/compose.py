"""The compose file, as Docker would read it."""

import re
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
#: `${NAME}`, `${NAME:-default}` and `${NAME:?why it must be set}`.
VARIABLE = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}")


def text() -> str:
    return (ROOT / "docker-compose.yml").read_text()


def variables() -> set[str]:
    """Name every variable that the file asks its environment for."""
    return {found[1] for found in VARIABLE.finditer(text())}


def read(environment: dict[str, str]) -> dict[str, Any]:
    """Read the file with its variables put in.

    Raises:
        LookupError: One that must be set is not.
    """

    def value(found: re.Match[str]) -> str:
        name, how, other = found.groups()
        if environment.get(name):
            return environment[name]
        if how != "-":
            raise LookupError(f"{name}: {other or 'it is not set'}")
        return other

    document: dict[str, Any] = yaml.safe_load(VARIABLE.sub(value, text()).replace("$$", "$"))
    return document
