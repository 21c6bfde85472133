"""What a job asks for: a model, how it is compiled, and what to fit, evaluate and predict, or a session of steps.

Everything that can be told without a tensor is told here, with a pointer to the spot.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from engine.arguments import Description, Json
from engine.compiled import Compile
from engine.definition import Note, read_model
from engine.dialects import translate_compile
from engine.errors import BadArgument, BadModel, TooLarge, within
from engine.estimate import Estimate, estimate
from engine.limits import Limits
from engine.matching import Fed, match_fit, match_scored, match_x
from engine.methods import Evaluate, Fit, Predict, Session
from engine.model import Sequential
from engine.registry import shown
from engine.sources import ArraySpec, Describe

__all__ = ["ArraySpec", "Plan"]


@dataclass(frozen=True)
class Plan:
    """A job's definition, read and checked.

    `fed_*` say which arrays go where; `definition` is the normal form, which reads back to the same plan.
    """

    model: Sequential
    compile: Compile | None
    fit: Fit | None
    evaluate: Evaluate | None
    predict: Predict | None
    session: Session | None
    fed_fit: Fed | None
    fed_validation: Fed | None
    fed_evaluate: Fed | None
    fed_predict: Fed | None
    definition: dict[str, Json]
    translated: tuple[Note, ...]
    warnings: tuple[Note, ...]

    @staticmethod
    def read(body: Mapping[str, Any], describe: Describe, limits: Limits | None = None) -> Plan:
        """Read a job's `model`, `compile`, `fit`, `evaluate` and `predict`, or `session`.

        Args:
            body: The definition; other keys are not looked at.
            describe: Tells the shape and type of a stored array, given dataset and name.
            limits: How large it may be.

        Raises:
            DefinitionError: Something is wrong with it; `where` points at the spot.
        """
        return _Reading(body, describe, limits or Limits()).plan()

    @property
    def datasets(self) -> list[str]:
        """The ids of the stored datasets it draws on, sorted."""
        fed = (self.fed_fit, self.fed_validation, self.fed_evaluate, self.fed_predict)
        return sorted({each for one in fed if one for source in one.sources() for each in source.datasets()})

    @cached_property
    def estimate(self) -> Estimate:
        """How much memory and how many steps it takes."""
        trains = self.fit is not None or self.session is not None
        return estimate(self.model, self.compile, self.fit, self.fed_fit, self._largest_batch(), trains)

    def _largest_batch(self) -> int:
        return max((each.batch_size for each in (self.fit, self.evaluate, self.predict) if each), default=32)


class _Reading:
    """One reading of a definition, part by part."""

    def __init__(self, body: Mapping[str, Any], describe: Describe, limits: Limits) -> None:
        self.body = body
        self.describe = describe
        self.limits = limits
        self.notes: list[Note] = []
        self.warnings: list[Note] = []

    def plan(self) -> Plan:
        model = self.model()
        compiled = self.part("compile", Compile)
        parts = {"fit": Fit, "evaluate": Evaluate, "predict": Predict, "session": Session}
        fit, evaluate, predict, session = (self.part(name, cls) for name, cls in parts.items())
        fit = self.settled(fit)
        self.check_parts(compiled, fit, evaluate, predict)
        if session is not None:
            self.check_session(fit, evaluate, predict)
        if fit is not None and fit.shuffle is not False and model.all_memories:
            self.warn(
                "/fit/shuffle",
                "The model is stateful: each sample goes on from the one at its place in the batch before, but "
                "`shuffle` puts the samples in another order every epoch. Set it to false to keep theirs.",
            )
        fed_fit, fed_validation, fed_evaluate, fed_predict = self.fed(model, compiled, fit, evaluate, predict)
        plan = Plan(
            model=model,
            compile=compiled,
            fit=fit,
            evaluate=evaluate,
            predict=predict,
            session=session,
            fed_fit=fed_fit,
            fed_validation=fed_validation,
            fed_evaluate=fed_evaluate,
            fed_predict=fed_predict,
            definition=self.definition(model, compiled, fit, evaluate, predict, session),
            translated=tuple(self.notes),
            warnings=tuple(self.warnings),
        )
        self.check_size(plan)
        return plan

    def model(self) -> Sequential:
        with within("dim_ordering"):
            ordering = self.body.get("dim_ordering")
            if ordering not in (None, "th", "tf"):
                raise BadArgument(f'`dim_ordering` must be "th" or "tf", but got {shown(ordering)}.')
        if self.body.get("model") is None:
            raise BadModel('A job needs a model: {"class_name": "Sequential", "config": [...]}.', "/model")
        with within("model"):
            model, notes = read_model(self.body["model"], self.limits, ordering or "tf")
        self.notes += [{**note, "pointer": "/model" + note["pointer"]} for note in notes]
        return model

    def settled(self, fit: Fit | None) -> Fit | None:
        """Put the job's `dim_ordering` into the augmentation, and warn of what predictions made apart do not know."""
        if fit is None or fit.augmentation is None:
            return fit
        if fit.augmentation.standardizes:
            self.warn(
                "/fit/augmentation",
                "All data of this job is standardized by `augmentation`. Predictions and evaluations that are asked "
                "for later, apart from it, take their data as it is sent: standardize it alike.",
            )
        return replace(fit, augmentation=fit.augmentation.ordered(self.body.get("dim_ordering") or "tf"))

    def part(self, name: str, cls: Any) -> Any:
        value = self.body.get(name)
        if value is None:
            return None
        if cls is Compile:
            return self.compiled(value)
        with within(name):
            if isinstance(value, Mapping) and "epochs" in value and cls is Fit:
                value = self.renamed(name, value, "epochs", "nb_epoch")
            return cls.from_config(value)

    def compiled(self, value: Any) -> Compile:
        with within("compile"):
            said = translate_compile(value)
            with said.pointing():
                compiled = Compile.from_config(said.value)
        self.notes += [{**note, "pointer": "/compile" + note["pointer"]} for note in said.notes]
        return compiled

    def renamed(self, part: str, value: Mapping[str, Any], old: str, new: str) -> dict[str, Any]:
        if new in value:
            raise BadArgument(f"`{old}` and `{new}` mean the same; give one.", f"/{old}")
        self.notes.append({"pointer": f"/{part}/{old}", "detail": f"`{old}` is `{new}` in Keras 1."})
        return {new if key == old else key: each for key, each in value.items()}

    def check_parts(self, compiled: Any, fit: Fit | None, evaluate: Any, predict: Any) -> None:
        for name, part in (("fit", fit), ("evaluate", evaluate)):
            if part is not None and compiled is None:
                raise BadArgument(
                    f"`{name}` needs a compiled model: give `compile` with a loss and an optimizer.",
                    "/compile",
                )
        if compiled is not None and len(compiled.metric_names()) > 1 + self.limits.max_metrics:
            raise TooLarge(f"A job may log {self.limits.max_metrics} metrics beside the loss.", "/compile/metrics")
        for name, part in (("fit", fit), ("evaluate", evaluate), ("predict", predict)):
            if part is not None and part.batch_size > self.limits.max_batch_size:
                raise TooLarge(
                    f"`batch_size` may be {self.limits.max_batch_size:,}, but is {part.batch_size:,}.",
                    f"/{name}/batch_size",
                )
        if fit is not None:
            self.check_fit(fit)

    def check_session(self, *parts: Description | None) -> None:
        for name, part in zip(("fit", "evaluate", "predict"), parts, strict=True):
            if part is not None:
                raise BadArgument(
                    f"A session is sent its steps one by one: leave out `{name}`, or `session`.", f"/{name}"
                )

    def check_fit(self, fit: Fit) -> None:
        if fit.nb_epoch > self.limits.max_epochs:
            raise TooLarge(f"`nb_epoch` may be {self.limits.max_epochs:,}, but is {fit.nb_epoch:,}.", "/fit/nb_epoch")
        if fit.nb_val_samples is not None and fit.validation_data is None:
            raise BadArgument(
                "`nb_val_samples` says how much of `validation_data` to take, and there is none.", "/fit/nb_val_samples"
            )
        if len(fit.callbacks or ()) > self.limits.max_callbacks:
            raise TooLarge(f"A job may have {self.limits.max_callbacks} callbacks.", "/fit/callbacks")
        if fit.nb_epoch <= fit.initial_epoch:
            self.warn(
                "/fit/nb_epoch",
                f"`nb_epoch` is the epoch to stop before, so {fit.nb_epoch} after `initial_epoch` "
                f"{fit.initial_epoch} trains nothing.",
            )

    def fed(
        self,
        model: Sequential,
        compiled: Compile | None,
        fit: Fit | None,
        evaluate: Evaluate | None,
        predict: Predict | None,
    ) -> tuple[Fed | None, Fed | None, Fed | None, Fed | None]:
        validation = None
        fed_fit = fed_evaluate = fed_predict = None
        if fit and compiled:
            with within("fit"):
                fed_fit, validation = match_fit(model, compiled, fit, self.describe, self.limits)
        if evaluate and compiled:
            with within("evaluate"):
                fed_evaluate = match_scored(model, compiled, evaluate, self.describe, self.limits)
        if predict:
            with within("predict"):
                fed_predict = match_x(model, predict, self.describe, self.limits)
        return fed_fit, validation, fed_evaluate, fed_predict

    def definition(self, model: Sequential, *parts: Description | None) -> dict[str, Json]:
        named = zip(("compile", "fit", "evaluate", "predict", "session"), parts, strict=True)
        definition: dict[str, Json] = {"model": model.definition()}
        definition |= {name: part.get_config() for name, part in named if part is not None}
        if self.body.get("dim_ordering") is not None:
            definition["dim_ordering"] = self.body["dim_ordering"]
        return definition

    def check_size(self, plan: Plan) -> None:
        need = plan.estimate["memory_bytes"]
        if need > self.limits.max_memory_bytes:
            raise TooLarge(
                f"This job needs about {need:,} bytes of memory with its batches, and may have "
                f"{self.limits.max_memory_bytes:,}. Make the layers or the batches smaller.",
                "/model",
            )

    def warn(self, where: str, detail: str) -> None:
        self.warnings.append({"pointer": where, "detail": detail})
