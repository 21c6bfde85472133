"""The arguments of Keras 1's fit, evaluate and predict, and of a session, which does them step by step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import engine.loggers  # noqa: F401  # so that they are registered
from engine.arguments import CountInt, Description, Fraction, Kind, PositiveInt, Wrong, number_within, one_of
from engine.augmentation import Augmentation
from engine.callbacks import Callbacks

#: Data is read by `matching`, which knows the model's inputs; until then it stays as it was written.
Data = Annotated[Any, Kind("data", lambda value: value)]


def _shuffle(value: Any) -> bool | str:
    if value != "batch" and not isinstance(value, bool):
        raise Wrong
    return value  # type: ignore[no-any-return]


def _class_weight(value: Any) -> tuple[tuple[int, float], ...]:
    pairs = value.items() if isinstance(value, Mapping) else value
    if not isinstance(value, Mapping | tuple) or not value:
        raise Wrong
    weights = []
    for key, weight in pairs:
        if not str(key).isdecimal() or isinstance(weight, bool) or not isinstance(weight, int | float):
            raise Wrong
        weights.append((int(key), float(weight)))
    return tuple(weights)


Shuffle = Annotated[bool | str, Kind('true, false or "batch"', _shuffle)]
ClassWeight = Annotated[
    tuple[tuple[int, float], ...],
    Kind(
        'an object such as {"0": 1.0, "1": 5.0}',
        _class_weight,
        lambda pairs: {str(key): weight for key, weight in pairs},
    ),
]


def _augmentation(value: Any) -> Augmentation:
    if isinstance(value, Augmentation):
        return value
    if not isinstance(value, Mapping):
        raise Wrong
    return Augmentation.from_config(value)


AUGMENTATION = Kind(
    'an object of ImageDataGenerator\'s arguments, such as {"width_shift_range": 0.1, "horizontal_flip": true}',
    _augmentation,
    lambda augmentation: augmentation.get_config(),
)


@dataclass(frozen=True)
class Fit(Description):
    """The arguments of Keras 1's `fit`.

    Args:
        x: The inputs: one reference, a list of one for each input, or an object by input name.
        y: The targets.
        batch_size: Samples in an update; the last batch of an epoch may be shorter.
        nb_epoch: The epoch to stop before, counted from 0 (not how many to run).
        verbose: Taken for compatibility; the service always reports.
        callbacks: What is asked at the edges of every epoch.
        validation_split: Share of the samples, the last ones, that are held out.
        validation_data: `{"x", "y"[, "sample_weight"]}` to judge by after every epoch; wins over the split.
        shuffle: Whether each epoch has an order of its own; "batch" shuffles whole batches.
        class_weight: Weight of each class in the loss.
        sample_weight: Weight of each sample, or of each step with the temporal mode.
        initial_epoch: The epoch to begin with.
        samples_per_epoch: Samples after which an epoch ends, as with `fit_generator`: batches come in the data's order,
            again and again, and an epoch begins where the one before it ended.
        nb_val_samples: Samples to validate on after an epoch, taken from the validation data in the same way.
        reset_states: When stateful layers forget: "never", as in Keras 1; after every "epoch" and its validation; or
            when the whole "fit" is done.
        augmentation: What is done to images in training, as by ImageDataGenerator; other data is standardized only.
    """

    x: Data
    y: Data
    batch_size: PositiveInt = 32
    nb_epoch: CountInt = 10
    verbose: CountInt = 1
    callbacks: Callbacks | None = None
    validation_split: Fraction = 0.0
    validation_data: Data | None = None
    shuffle: Shuffle = True
    class_weight: ClassWeight | None = None
    sample_weight: Data | None = None
    initial_epoch: CountInt = 0
    samples_per_epoch: PositiveInt | None = None
    nb_val_samples: PositiveInt | None = None
    reset_states: Annotated[str, one_of("never", "epoch", "fit")] = "never"
    augmentation: Annotated[Augmentation, AUGMENTATION] | None = None


@dataclass(frozen=True)
class Evaluate(Description):
    """The arguments of Keras 1's `evaluate`.

    Args:
        x: The inputs.
        y: The targets.
        batch_size: Samples at a time.
        verbose: Taken for compatibility.
        sample_weight: Weight of each sample.
        val_samples: Samples to judge on, as with `evaluate_generator`: batches in the data's order, again and again.
        reset_states: Whether stateful layers forget first.
    """

    x: Data
    y: Data
    batch_size: PositiveInt = 32
    verbose: CountInt = 1
    sample_weight: Data | None = None
    val_samples: PositiveInt | None = None
    reset_states: bool = False


@dataclass(frozen=True)
class Predict(Description):
    """The arguments of Keras 1's `predict`, `predict_classes` and `predict_proba`.

    Args:
        x: The inputs.
        batch_size: Samples at a time.
        verbose: Taken for compatibility.
        method: What is asked: the outputs; the class of each, by its largest value or by 0.5 where there is one value
            only; or the outputs with a warning if one is no probability.
        reset_states: Whether stateful layers forget first.
    """

    x: Data
    batch_size: PositiveInt = 32
    verbose: CountInt = 0
    method: Annotated[str, one_of("predict", "predict_classes", "predict_proba")] = "predict"
    reset_states: bool = False


@dataclass(frozen=True)
class Train(Description):
    """The arguments of Keras 1's `train_on_batch`: one update on exactly these samples, as one batch.

    Args:
        x: The inputs.
        y: The targets.
        sample_weight: Weight of each sample, or of each step with the temporal mode.
        class_weight: Weight of each class in the loss.
    """

    x: Data
    y: Data
    sample_weight: Data | None = None
    class_weight: ClassWeight | None = None


@dataclass(frozen=True)
class Session(Description):
    """A job that does steps as they are sent: `train`, `evaluate`, `predict` and the others; see `engine.steps`.

    Args:
        idle_seconds: After so long without a step it rests, so that its place is free; the next step wakes it up.
    """

    idle_seconds: Annotated[float, number_within(1, 86_400)] = 600
