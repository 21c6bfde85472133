"""A training that does steps as they are asked for: each of them whole, or not at all."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from engine.arguments import Json
from engine.errors import BadData, TooLarge, within
from engine.limits import Limits
from engine.methods import Evaluate, Train
from engine.sources import Packed
from engine.steps import Answered, Asked, ResetStates, Save, Set, check_answer
from engine.training.loop import Training
from engine.training.watching import Watcher


class Stepping:
    """Does the steps of a session on its training.

    Args:
        training: Of a plan with a session.
        watcher: Keeps what is saved, and hears warnings.
        limits: How large an answer may be.
    """

    def __init__(self, training: Training, watcher: Watcher, limits: Limits) -> None:
        self.training, self.watcher, self.limits = training, watcher, limits
        training.watch(watcher)

    def do(self, asked: Asked) -> Json:
        """Do the next step and return its answer; one that fails has changed nothing but the count.

        Raises:
            EngineError: The step cannot be done; the next one can.
        """
        training = self.training
        before = training.state, training.steps, training.samples, training.latest
        training.number += 1
        try:
            with within(asked.kind), torch.no_grad():
                return self._answer(asked)
        except BaseException:
            training.state, training.steps, training.samples, training.latest = before
            raise

    def redo(self, asked: Asked) -> None:
        """Do a step again whose answer is known: only what later steps depend on."""
        passes = isinstance(asked.what, Evaluate | Answered) and self.training.plan.model.all_memories
        if passes or isinstance(asked.what, Train | ResetStates | Set):
            self.do(asked)
        else:
            self.skip()

    def skip(self) -> None:
        """Count a step that changes nothing."""
        self.training.number += 1

    def _answer(self, asked: Asked) -> Json:
        what: Any = asked.what
        if isinstance(what, Train):
            return self._train(asked)
        if isinstance(what, Evaluate):
            return self._evaluate(asked)
        if isinstance(what, Answered):
            return self._predict(asked)
        if isinstance(what, Set):
            self.training.state = self.training.state | {"lr": torch.full_like(self.training.state["lr"], what.lr)}
            return {"lr": what.lr}
        if isinstance(what, Save):
            self.watcher.artifact(what.name, lambda path: self.training.save_weights(path, what.format))
            return {"artifact": what.name}
        if isinstance(what, ResetStates):
            self.training.reset_states(what.layer)
        return {}

    def _train(self, asked: Asked) -> Json:
        training = self.training
        if asked.fed is None:
            raise RuntimeError("an update needs data")
        feed, _ = training.loader.feed(asked.fed, asked.what)
        batch = next(feed.batches(asked.fed.samples))
        training.train_on(batch)
        totals = training.state["totals"]
        training.state = training.state | {"totals": torch.zeros_like(totals)}
        training.latest = dict(zip(training.names, (totals / batch.size).tolist(), strict=True))
        return training.latest

    def _evaluate(self, asked: Asked) -> Json:
        if asked.fed is None:
            raise RuntimeError("an evaluation needs data")
        if asked.what.reset_states:
            self.training.reset_states()
        return self.training.judged(asked.what, asked.fed, None)

    def _predict(self, asked: Asked) -> Json:
        if asked.fed is None:
            raise RuntimeError("a prediction needs data")
        if asked.what.reset_states:
            self.training.reset_states()
        y = self.training.predicted(asked.what, asked.fed, None)
        try:
            check_answer(int(np.prod(y.shape)), self.limits)
        except TooLarge as error:  # an axis of any length has turned out to be a long one
            raise BadData(str(error), error.where) from None
        return {"y": Packed.of(y).to_json() if asked.what.encoding == "base64" else y.tolist()}
