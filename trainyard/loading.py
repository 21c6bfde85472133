"""A model made of a file that holds all of it; the service reads the file, and nothing of it is run."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import UnknownName
from trainyard import files, keeping, running
from trainyard.calls import Json
from trainyard.http import Client

if TYPE_CHECKING:
    from trainyard.models import Sequential

Functions = Mapping[str, Callable[..., Any]]
#: What `compile` takes of what a file says.
_COMPILE = ("optimizer", "loss", "metrics", "sample_weight_mode")


def load(kind: type[Sequential], path: Path, functions: Functions, kernels: str, client: Client) -> Sequential:
    """See `trainyard.models.load_model`."""
    file = files.sent(client, path, kernels)
    told = client.weights.model(file)
    model = kind.from_definition(told["definition"], client)
    if told["compile"] is not None:
        _compile(model, told["compile"], functions)
    for each in told["warnings"]:
        warnings.warn(f"{path.name} cannot be compiled as it was: {each['detail']}", stacklevel=4)
    goes_on = model.is_compiled and told["optimizer"]
    job = running.resting_in(model, {"weights": {"id": file, "optimizer": goes_on}}, model.is_compiled)
    keeping.keep_job(model, job, has_optimizer=goes_on)
    model.trained_compile = model.compiled.get_config() if model.is_compiled else None
    return model


def _compile(model: Sequential, said: Json, functions: Functions) -> None:
    given = {key: said[key] for key in _COMPILE if said.get(key) is not None}
    given["loss"] = _resolved(given["loss"], functions)
    given["metrics"] = [_resolved(each, functions) for each in given.get("metrics", ())]
    try:
        model.compile(**given)
    except UnknownName as error:
        error.add_note("A file has functions by their names alone: say which they are with `custom_objects`.")
        raise


def _resolved(name: Any, functions: Functions) -> Any:
    return functions.get(name, name) if isinstance(name, str) else name
