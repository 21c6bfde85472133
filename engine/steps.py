"""What a session may be asked for: one step each, read and checked as far as that goes without a tensor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Annotated, Any

from engine.arguments import Description, Name, NonNegative, one_of
from engine.compiled import Compile
from engine.errors import BadArgument, TooLarge, pointer, within
from engine.filenames import check_name
from engine.limits import Limits
from engine.matching import Fed, match_batch, match_scored, match_x
from engine.methods import Evaluate, Predict, Train
from engine.model import Sequential
from engine.registry import Registry, shown
from engine.sources import Describe

#: By the end of a file's name, which format weights are saved in.
FORMATS = {".h5": "hdf5", ".safetensors": "safetensors"}
#: What every session leaves at its end, and later jobs go on from.
TAKEN = ("optimizer.safetensors", "states.safetensors")
#: The step that nothing follows.
CLOSE = "close"

STEPS: Registry[type[Description]] = Registry("step")
STEPS.register("train")(Train)
STEPS.register("evaluate")(Evaluate)


@STEPS.register("predict")
@dataclass(frozen=True)
class Answered(Predict):
    """The arguments of a prediction that is answered at once.

    Args:
        encoding: How the answer is written: as a "list" of lists, or as the bytes of an array, "base64".
    """

    encoding: Annotated[str, one_of("list", "base64")] = "list"


@STEPS.register("reset_states")
@dataclass(frozen=True)
class ResetStates(Description):
    """Has stateful layers forget.

    Args:
        layer: The name of the only one that shall; all of them when absent.
    """

    layer: Name | None = None


@STEPS.register("set")
@dataclass(frozen=True)
class Set(Description):
    """Sets what training goes by.

    Args:
        lr: The optimizer's learning rate, before decay.
    """

    lr: NonNegative


@STEPS.register("save")
@dataclass(frozen=True)
class Save(Description):
    """Keeps the weights as they now are as an artifact of the job.

    Args:
        name: What it is called; by its end, ".h5" or ".safetensors", it is written in that format.
    """

    name: str

    @property
    def format(self) -> str:
        """The format that the name asks for."""
        return FORMATS["." + self.name.rpartition(".")[2]]

    def check(self) -> None:
        check_name(self.name, "name")
        if not self.name.endswith(tuple(FORMATS)):
            raise BadArgument(f"`name` must end in {' or '.join(FORMATS)}, but is {shown(self.name)}.", "/name")
        if self.name in TAKEN:
            raise BadArgument(f"{self.name} is what the session itself leaves at its end; choose another.", "/name")


@STEPS.register(CLOSE)
@dataclass(frozen=True)
class Close(Description):
    """Ends the session as a finished training ends; nothing follows it."""


@dataclass(frozen=True)
class Asked:
    """A step that may be done.

    Args:
        kind: Its name.
        what: Its arguments.
        fed: The arrays that it is fed, if any.
    """

    kind: str
    what: Any
    fed: Fed | None = None

    def datasets(self) -> set[str]:
        """Name the stored datasets that it draws on."""
        return {each for source in self.fed.sources() for each in source.datasets()} if self.fed else set()


def read_step(
    value: Any, model: Sequential, compiled: Compile | None, describe: Describe, limits: Limits | None = None
) -> Asked:
    """Read one step of a session of a model.

    Raises:
        DefinitionError: Something is wrong with it; `where` points at the spot.
    """
    kind = _kind(value)
    with within(kind):
        what = STEPS[kind].from_config(value[kind])
        return Asked(kind, what, _fed(what, model, compiled, describe, limits or Limits()))


def _kind(value: Any) -> str:
    if not isinstance(value, Mapping) or len(value) != 1:
        raise BadArgument(f"A step is an object with one key, of {', '.join(STEPS)}, but this is {shown(value)}.")
    (kind,) = value
    with within(kind):
        return STEPS.canonical(kind)


def _fed(what: Any, model: Sequential, compiled: Compile | None, describe: Describe, limits: Limits) -> Fed | None:
    if isinstance(what, Train | Evaluate | Set) and compiled is None:
        raise BadArgument("This needs a compiled model: submit the session with `compile`.")
    if isinstance(what, Evaluate | Answered) and what.batch_size > limits.max_batch_size:
        raise TooLarge(
            f"`batch_size` may be {limits.max_batch_size:,}, but is {what.batch_size:,}.", pointer("batch_size")
        )
    if isinstance(what, Train) and compiled:
        return match_batch(model, compiled, what, describe, limits)
    if isinstance(what, Evaluate) and compiled:
        return match_scored(model, compiled, what, describe, limits)
    if isinstance(what, Answered):
        fed = match_x(model, what, describe, limits)
        check_answer(fed.samples * prod(each or 1 for each in model.placed[-1].output_shape[1:]), limits)
        return fed
    if isinstance(what, ResetStates):
        _check_layer(what, model)
    return None


def check_answer(values: int, limits: Limits) -> None:
    """Refuse a prediction whose answer would be too large.

    Raises:
        TooLarge: It would be.
    """
    if values > limits.max_answer_values:
        raise TooLarge(
            f"A step may answer with {limits.max_answer_values:,} numbers, but this one would have {values:,}. Ask for "
            "fewer samples at a time, or submit a job with `predict`.",
            "/x",
        )


def _check_layer(what: ResetStates, model: Sequential) -> None:
    stateful = dict.fromkeys(part for each in model.all_memories for part in each.name.split("/")[:-1])
    if what.layer is not None and what.layer not in stateful:
        names = ", ".join(stateful) or "none"
        raise BadArgument(f"There is no stateful layer {what.layer!r}; there are: {names}.", "/layer")
