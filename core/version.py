"""Which version of this service it is."""

from importlib.metadata import PackageNotFoundError, version


def our_version(otherwise: str = "unknown") -> str:
    """Name the version of this service; one that is run from its sources has none."""
    try:
        return version("trainyard")
    except PackageNotFoundError:
        return otherwise
