"""What a model is asked for step by step, in a session that goes on from one call to the next."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.steps import read_step
from trainyard import arrays, keeping, running
from trainyard.arrays import Array, Here, arrays_in, here
from trainyard.building import ANY_SIZE
from trainyard.calls import Json
from trainyard.errors import Refused, TrainyardError
from trainyard.history import number_of
from trainyard.http import Client
from trainyard.running import Options, rows_of
from trainyard.stepping import WAIT_SECONDS, Stepping

if TYPE_CHECKING:
    from trainyard.built import Built

#: After so long without a step a session's place on the worker is free for others; the next step wakes it up.
_IDLE_SECONDS = 60
#: More is sent as datasets than within a step.
_STEP_BYTES = 2 * 2**20
#: More is predicted by several steps than by one.
_ANSWER_VALUES = 250_000


class Steps:
    """The steps of one model in one session.

    Args:
        model: The model, which the session has just begun from.
        stepping: The session.
    """

    def __init__(self, model: Built, stepping: Stepping) -> None:
        self.stepping = stepping
        self._model = model
        self._compilation = model.compilations
        self._rate = model.learning_rate if model.is_compiled else None
        self._remembers = model.kept.states
        self._has_trained = False

    @property
    def is_current(self) -> bool:
        """Whether the model is compiled as it was when the session began."""
        return self._compilation == self._model.compilations

    def train(self, part: Json) -> dict[str, float]:
        """Do one update; return the logs from before it."""
        return self._logs(self._do("train", part))

    def evaluate(self, part: Json) -> dict[str, float]:
        """Judge the model."""
        return self._logs(self._do("evaluate", part))

    def predict(self, part: Json) -> Array:
        """Predict, with as many steps as the inputs and the outputs need."""
        outputs = [
            arrays.decoded(self._do("predict", each | {"encoding": "base64"})["y"])
            for each in _pieces(part, prod(axis or 1 for axis in self._model.output_shape[1:]))
        ]
        joined = outputs[0] if len(outputs) == 1 else np.concatenate(outputs)
        return joined.astype(running.type_of(self._model, part), copy=False)

    def written(self, kind: str, part: Json) -> list[Json]:
        """Write a step down, and before it those that bring the session to where the model is."""
        written = [*self._before(kind), {kind: packed(self._model.client, part)}]
        self._remembers = bool(self._model.settled.all_memories)
        self._model.kept = replace(self._model.kept, states=self._remembers)
        return written

    def send(self, steps: Sequence[Json], wait_seconds: int = 0) -> range:
        """Send steps that are written down; return their numbers."""
        if any("train" in each for each in steps):
            self._trains()
        try:
            return self.stepping.send(steps, wait_seconds)
        except BaseException as error:
            self._rate = None  # to be said once more, for who knows whether it arrived
            if isinstance(error, Refused) and {"reset_states": {}} in steps:
                self._model.kept = replace(self._model.kept, states=False)
            raise

    def _do(self, kind: str, part: Json) -> Json:
        numbers = self.send(self.written(kind, part), WAIT_SECONDS)
        return [self.stepping.result(number) for number in numbers][-1]

    def _logs(self, result: Json) -> dict[str, float]:
        return {name: number_of(result[name]) for name in self._model.metrics_names}

    def _before(self, kind: str) -> Iterator[Json]:
        if kind == "train" and self._rate != self._model.learning_rate:
            self._rate = self._model.learning_rate
            yield {"set": {"lr": self._rate}}
        if self._remembers and not self._model.kept.states:
            yield {"reset_states": {}}

    def _trains(self) -> None:
        """Note that weights change from here on, and the optimizer with them; whether it arrives may never be known."""
        model = self._model
        keeping.keep_job(model, self.stepping.job_id, True, model.kept.states, self.stepping)
        model.fits += not self._has_trained
        self._has_trained = True


# -- a model's calls ----------------------------------------------------------------------------


def train(model: Built, part: Json) -> dict[str, float]:
    """Do one update; return the logs from before it."""
    check(model, "train", part)
    return opened(model).train(part)


def evaluate(model: Built, part: Json, verbose: int = 0) -> dict[str, float]:
    """Judge the model, by a step where that is how it is asked, or else as a job does."""
    if not goes_by_steps(model, judges=True):
        return running.evaluate(model, part, verbose)
    check(model, "evaluate", part)
    return opened(model).evaluate(part)


def predict(model: Built, part: Json, verbose: int = 0) -> Array:
    """Predict, by steps where that is how it is asked, or else as a job does; very much is for a job of its own."""
    has_memories = bool(model.settled.all_memories)
    if not goes_by_steps(model, judges=False) or (running.is_large(model, part) and not has_memories):
        return running.predict(model, part, verbose)
    check(model, "predict", part)
    return opened(model, judges=False).predict(part)


def forget(model: Built, layer: str) -> None:
    """Have one stateful layer forget.

    Raises:
        TrainyardError: It is not stateful.
    """
    if not any(layer in each.name.split("/")[:-1] for each in model.settled.all_memories):
        raise TrainyardError(f"{layer} of {model.name} is not stateful, so it has nothing to forget.")
    if model.kept.states:
        opened(model, judges=False).stepping.do({"reset_states": {"layer": layer}})


def check(model: Built, kind: str, part: Json) -> None:
    """Check a step before anything is sent.

    Raises:
        RuntimeError: The model must be compiled for it.
        EngineError: It does not fit the model.
    """
    compiled = None if kind == "predict" and not model.is_compiled else model.compiled
    with running.noting_where():
        read_step({kind: part}, model.settled, compiled, running.describing(part), ANY_SIZE)


# -- which session ------------------------------------------------------------------------------


def opened(model: Built, judges: bool = True) -> Steps:
    """Return the model's open session, or begin one from what the model now is.

    Args:
        model: The model.
        judges: Whether it must be compiled as the model now is.
    """
    return _open_one(model, judges) or _begun(model)


def goes_by_steps(model: Built, judges: bool) -> bool:
    """Tell whether what need not be a step is one: where a session is open, or where layers remember."""
    return bool(model.settled.all_memories) or _open_one(model, judges) is not None


def _open_one(model: Built, judges: bool) -> Steps | None:
    steps, stepping = model.steps, keeping.session_of(model)
    if steps is None or stepping is not steps.stepping or (judges and not steps.is_current):
        return None
    return steps


def _begun(model: Built) -> Steps:
    body = running.definition(model, running.seed_of(model), Options(), compiled=model.is_compiled)
    body |= {"session": {"idle_seconds": _IDLE_SECONDS}, **keeping.start(model, goes_on=True)}
    stepping = Stepping(model.client, model.client.jobs.create(arrays.sent(model.client, body))["id"])
    keeping.keep_session(model, stepping)
    model.trained_compile = body.get("compile")
    model.steps = Steps(model, stepping)
    return model.steps


# -- data ---------------------------------------------------------------------------------------


def packed(client: Client, part: Json) -> Any:
    """Write the arrays of a step into it, or have them sent as datasets where they are large."""
    if sum(each.array.nbytes for each in arrays_in(part)) > _STEP_BYTES:
        return arrays.sent(client, part)
    return _inline(part)


def _inline(value: Any) -> Any:
    if isinstance(value, Here):
        return arrays.encoded(value.array)
    if isinstance(value, Mapping):
        return {key: _inline(each) for key, each in value.items()}
    return [_inline(each) for each in value] if isinstance(value, list) else arrays.plain(value)


def _pieces(part: Json, values_of_a_row: int) -> Iterator[Json]:
    """Cut the inputs of a prediction between two of its batches."""
    rows, size = rows_of(part), int(part["batch_size"])
    bytes_of_a_row = sum(each.array.nbytes for each in arrays_in(part["x"])) // max(rows, 1)
    fitting = min(_ANSWER_VALUES // values_of_a_row, _STEP_BYTES // max(bytes_of_a_row, 1))
    step = max(fitting // size, 1) * size
    for start in range(0, max(rows, 1), step):
        yield part | {"x": _cut(part["x"], start, start + step)}


def _cut(value: Any, start: int, stop: int) -> Any:
    if isinstance(value, Here):
        return here(value.array[start:stop], value.removeprefix("here/"))
    if isinstance(value, Mapping):
        return {key: _cut(each, start, stop) for key, each in value.items()}
    return [_cut(each, start, stop) for each in value]
