"""The service's own packages, imported only by the commands that run it."""

import importlib
import importlib.util
from typing import Any

from trainyard.errors import Missing

#: What the service cannot run without, beyond what the client needs.
PACKAGES = ("sqlalchemy", "alembic", "fastapi", "uvicorn", "celery", "obstore", "pydantic_settings", "torch")


def check_packages() -> None:
    """Refuse early when the service is not installed.

    Raises:
        Missing: A package the service needs is not there.
    """
    for package in PACKAGES:
        if importlib.util.find_spec(package) is None:
            raise Missing(package)


def core(module: str) -> Any:
    """Import a part of the service only now that it is asked for.

    Raises:
        Missing: The service's packages are not installed.
    """
    try:
        return importlib.import_module(f"core.{module}")
    except ModuleNotFoundError as error:
        raise Missing(error.name) from error
