"""A column of JSON, and what JSON has no numbers for."""

import math
from typing import Any

from sqlalchemy import JSON, Dialect
from sqlalchemy.types import TypeDecorator


def finite(value: Any) -> Any:
    """Write NaN and the infinities as words, because JSON has no numbers for them."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return value


class Json(TypeDecorator[Any]):
    """JSON that keeps the order of its keys and never fails on a NaN."""

    impl = JSON(none_as_null=True)
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        """Make the value storable."""
        return finite(value)
