"""What an optimizer remembers, in the models that Keras 1, 2 and 3 save and load whole.

Keras 1 lists its arrays in the order of the trained weights' names, Keras 2 and 3 in the order of the model; the
counter of updates comes first where there is one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import h5py
import numpy as np
from numpy.typing import NDArray

from engine.errors import BadFile
from engine.files import keras3
from engine.files.hdf5 import version_of, weights_of
from engine.files.layout import groups
from engine.files.safe import Opened, opened
from engine.files.slots import Arrays, Slot
from engine.model import Sequential
from engine.optimizers import Nadam, Optimizer

WHERE = "/weights/optimizer"
#: The optimizers whose counter of updates Keras 1 saves.
COUNTING = ("SGD", "Adam", "Adamax", "Nadam")
#: What later versions call the slots, in the names of their arrays.
WORDS: dict[str, dict[str, tuple[str, ...]]] = {
    "SGD": {"v": ("momentum", "m")},
    "RMSprop": {"a": ("rms", "velocity", "a", "accumulator")},
    "Adagrad": {"a": ("accumulator", "a")},
    "Adadelta": {
        "a": ("accum_grad", "accumulated_grad", "a"),
        "d": ("accum_var", "accumulated_delta_var", "d"),
    },
    "Adam": {"m": ("m", "momentum"), "v": ("v", "velocity")},
    "Adamax": {"m": ("m", "momentum"), "u": ("v", "u", "norm")},
    "Nadam": {"m": ("m", "momentum"), "v": ("v", "velocity")},
}
#: After so many updates Nadam's product of momenta has long been zero.
VANISHED = 10_000


@dataclass(frozen=True)
class Memory:
    """The counter of updates, each slot by the weights' keys, and the slots that are one number."""

    updates: float
    moments: dict[str, Arrays]
    scalars: dict[str, float]

    def turned(self, turn: Callable[[Arrays], Arrays]) -> Memory:
        """Return it with the arrays of every slot changed alike."""
        return Memory(self.updates, {name: turn(each) for name, each in self.moments.items()}, self.scalars)


def apart(model: Sequential, joined: Mapping[str, NDArray[Any]]) -> Memory:
    """Take a training's memory apart: each slot's one vector into the arrays of the trained weights."""
    learned = [each for each in model.all_weights if each.trainable]
    ends: list[int] = np.cumsum([each.size for each in learned])[:-1].tolist()
    moments: dict[str, Arrays] = {}
    scalars: dict[str, float] = {}
    for key, value in joined.items():
        name = key.removeprefix("slot:")
        if value.ndim == 0 and key != "k":
            scalars[name] = float(value)
        elif key != "k":
            pieces = zip(learned, np.split(value, ends), strict=True) if learned else ()
            moments[name] = {each.name: piece.reshape(each.shape) for each, piece in pieces}
    return Memory(float(joined["k"]) if "k" in joined else 0.0, moments, scalars)


def joined(model: Sequential, memory: Memory) -> dict[str, NDArray[Any]]:
    """Put a memory together as a training has it."""
    learned = [each for each in model.all_weights if each.trainable]
    whole: dict[str, NDArray[Any]] = {"k": np.array(memory.updates, dtype=np.float64)}
    for name, value in memory.scalars.items():
        whole[f"slot:{name}"] = np.array(value, dtype=np.float32)
    for name, arrays in memory.moments.items():
        pieces = [arrays[each.name].reshape(-1) for each in learned]
        whole[f"slot:{name}"] = np.concatenate(pieces) if pieces else np.zeros(0, dtype=np.float32)
    return whole


def by_name(model: Sequential) -> list[Slot]:
    """List the trained weights as Keras 1's optimizers do: sorted by what its files call them."""
    trained = {each.name for each in model.all_weights if each.trainable}
    slots = [slot for group in groups(model) for slot in group.slots if slot.keys[0] in trained]
    return sorted(slots, key=lambda slot: slot.name)


def in_order(model: Sequential) -> list[Slot]:
    """List the trained weights as the optimizers of Keras 2 and 3 do: in the order of the model."""
    trained = {each.name for each in model.all_weights if each.trainable}
    return [slot for group in groups(model, version=2) for slot in group.slots if slot.keys[0] in trained]


def read(source: Path | IO[bytes], model: Sequential, optimizer: Optimizer) -> Memory:
    """Read what the optimizer of a saved model remembered.

    Raises:
        BadFile: The file has no such thing, is damaged, hostile, or is of another model or optimizer.
    """
    with opened(source) as file:
        if keras3.is_one(file) and "layer_names" not in file.root.attrs:
            return _of_keras_3(file, model, optimizer)
        if not file.has(file.root, "optimizer_weights"):
            raise BadFile(
                "The file has no optimizer state: only a whole model has one, as `model.save` writes it after a fit. "
                "Leave `optimizer` out, or upload such a file.",
                WHERE,
            )
        _check_optimizer(file, optimizer)
        group = file.child(file.root, "optimizer_weights", h5py.Group)
        arrays = [(name, group) for name in file.names(group, "weight_names")]
        if version_of(file, weights_of(file)) == 1:
            return _of_keras_1(file, arrays, by_name(model), optimizer)
        return _of_names(file, arrays, in_order(model), optimizer)


Found = list[tuple[str, Any]]


def _check_optimizer(file: Opened, optimizer: Optimizer) -> None:
    said = _class_name(file.text(file.root, "training_config") or "{}")
    if said is None:
        return  # the arrays will tell
    if said.rpartition(">")[2].lower() != type(optimizer).__name__.lower():
        raise BadFile(
            f"The file's optimizer is {said[:40]}, but the job compiles with {type(optimizer).__name__}. Compile "
            "with the same, or leave `optimizer` out.",
            WHERE,
        )


def _class_name(text: str) -> str | None:
    config: Any
    try:
        config = json.loads(text)["optimizer_config"]["class_name"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return str(config)


def _of_keras_1(file: Opened, arrays: Found, slots: list[Slot], optimizer: Optimizer) -> Memory:
    counts = type(optimizer).__name__ in COUNTING
    _check_count(len(arrays), int(counts) + len(optimizer.moments) * len(slots), optimizer)
    updates = _number(file, *arrays.pop(0)) if counts else 0.0
    moments: dict[str, Arrays] = {}
    for number, moment in enumerate(optimizer.moments):
        own = arrays[number * len(slots) : (number + 1) * len(slots)]
        moments[moment] = _read_all(file, own, slots, moment)
    return Memory(updates, moments, _scalars(optimizer, updates))


def _of_names(file: Opened, arrays: Found, slots: list[Slot], optimizer: Optimizer) -> Memory:
    """Read the arrays of Keras 2, or of Keras 3's `.h5`, told apart by their names where these say something."""
    large = [(name, group) for name, group in arrays if file.shape(group, name) != ()]
    small = [(name, group) for name, group in arrays if file.shape(group, name) == ()]
    updates = _number(file, *small[0]) if small else 0.0
    moments: dict[str, Arrays] = {}
    if not large and type(optimizer).__name__ == "SGD":
        return Memory(updates, {"v": _zeros(slots)}, {})
    _check_count(len(large), len(optimizer.moments) * len(slots), optimizer)
    for number, moment in enumerate(optimizer.moments):
        told = [each for each in large if _is_of(each[0], WORDS[type(optimizer).__name__][moment])]
        own = told if len(told) == len(slots) else large[number * len(slots) : (number + 1) * len(slots)]
        moments[moment] = _read_all(file, own, slots, moment)
    return _from_zero(Memory(updates, moments, _scalars(optimizer, updates)), optimizer)


def _from_zero(memory: Memory, optimizer: Optimizer) -> Memory:
    """Take off what later Keras's Adagrad begins with: ours adds it when it is used."""
    start = np.float32(getattr(optimizer, "start", None) or 0.0)
    return memory.turned(lambda arrays: {key: each - start for key, each in arrays.items()}) if start else memory


def _of_keras_3(file: Opened, model: Sequential, optimizer: Optimizer) -> Memory:
    if not file.has(file.root, "optimizer"):
        raise BadFile("The file has no optimizer state: it holds the weights of a model alone.", WHERE)
    group = file.child(file.root, "optimizer/vars", h5py.Group)
    _check_optimizer_name(file.text(group, "name"), optimizer)
    slots, count = in_order(model), len(optimizer.moments)
    arrays = [(str(number), group) for number in range(len(group))]
    updates = _number(file, *arrays[0]) if arrays else 0.0
    if len(arrays) == 2 and type(optimizer).__name__ == "SGD":
        return Memory(updates, {"v": _zeros(slots)}, {})
    large = arrays[2 : 2 + count * len(slots)]  # the second is the learning rate
    _check_count(len(arrays) - len(optimizer.scalars), 2 + count * len(slots), optimizer)
    moments = {
        moment: _read_all(file, large[number::count], slots, moment) for number, moment in enumerate(optimizer.moments)
    }
    scalars = {name: _number(file, str(2 + len(large) + at), group) for at, name in enumerate(optimizer.scalars)}
    return _from_zero(Memory(updates, moments, scalars), optimizer)


def _check_optimizer_name(said: str | None, optimizer: Optimizer) -> None:
    named = {name.lower() for name in WORDS}
    if said in named and said != type(optimizer).__name__.lower():
        raise BadFile(f"The file's optimizer is {said}, but the job compiles with {type(optimizer).__name__}.", WHERE)


def _check_count(found: int, wanted: int, optimizer: Optimizer) -> None:
    if found != wanted:
        raise BadFile(
            f"The file's optimizer state has {found} arrays, but {type(optimizer).__name__} has {wanted} for this "
            "model.",
            WHERE,
        )


def _read_all(file: Opened, arrays: Found, slots: list[Slot], moment: str) -> Arrays:
    read: Arrays = {}
    for (name, group), slot in zip(arrays, slots, strict=True):
        read |= slot.split(file.array(group, name, slot.shape, f"{moment} of {slot.keys[0]}"))
    return read


def _zeros(slots: list[Slot]) -> Arrays:
    return {key: np.zeros(slot.part, dtype=np.float32) for slot in slots for key in slot.keys}


def _number(file: Opened, name: str, group: Any) -> float:
    value = float(file.array(group, name, (), "the counter of updates"))
    if not 0 <= value < 2**53:
        raise BadFile(f"The counter of updates, {name}, is {value}.", WHERE)
    return value


def _is_of(name: str, words: tuple[str, ...]) -> bool:
    """Tell by an array's name whether it is of a slot: `adam/m/dense/kernel`, `Adam/dense/kernel/m`, `…_velocity`."""
    parts = name.partition(":")[0].lower().split("/")
    ends = re.sub(r"_\d+$", "", parts[-1])
    return any(word in parts[1:] or ends == word or ends.endswith(f"_{word}") for word in words)


def _scalars(optimizer: Optimizer, updates: float) -> dict[str, float]:
    """Work out what no file has: the product of Nadam's momenta so far."""
    if not isinstance(optimizer, Nadam):
        return {}
    product = np.float32(1.0)
    for t in range(1, min(int(updates), VANISHED) + 1):
        product *= np.float32(optimizer.beta_1 * (1.0 - 0.5 * 0.96 ** (t * optimizer.schedule_decay)))
    return {"m_schedule": float(product)}
