"""Whether the data fits the model: Keras 1's checks, on shapes alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import Any

from engine.arguments import Shape
from engine.augmentation import MAX_WHITENED, Augmentation
from engine.compiled import Compile
from engine.errors import BadReference, ShapeMismatch, TooLarge, within
from engine.layer import Input, shape_text
from engine.limits import Limits
from engine.methods import Evaluate, Fit, Predict, Train
from engine.model import Sequential
from engine.references import is_reference, read_source
from engine.registry import shown
from engine.sources import ArraySpec, Columns, Describe, Source, Stored


@dataclass(frozen=True)
class Fed:
    """The arrays of one use of a model, found and checked.

    Args:
        x: One source for each input, in order.
        y: The targets, if there are any.
        sample_weight: The weights, if there are any.
        samples: How many rows are used; a validation split takes its share off.
        held_out: How many rows at the end are held out for validation.
        batch_size: Samples at a time, where validation data has a say in it.
    """

    x: tuple[Source, ...]
    y: Source | None
    sample_weight: Source | None
    samples: int
    held_out: int = 0
    batch_size: int | None = None

    def sources(self) -> Iterator[Source]:
        """Iterate over all sources."""
        yield from self.x
        yield from (each for each in (self.y, self.sample_weight) if each is not None)


def match_fit(
    model: Sequential, compiled: Compile, fit: Fit, describe: Describe, limits: Limits
) -> tuple[Fed, Fed | None]:
    """Check the data of a fit; the second result is what it is validated on, when given apart."""
    fed = match_scored(model, compiled, fit, describe, limits)
    _check_class_weight(model, fit)
    if fit.augmentation is not None:
        with within("augmentation"):
            _check_augmentation(model, fit.augmentation, fed.x[0].spec(describe))
    if fit.validation_data is not None:
        with within("validation_data"):
            return fed, _validation(model, compiled, fit, describe, limits)
    if not 0.0 < fit.validation_split < 1.0:
        return fed, None
    kept = int(fed.samples * (1.0 - fit.validation_split))
    if not 0 < kept < fed.samples:
        raise BadReference(
            f"`validation_split` {fit.validation_split} leaves {kept} of {fed.samples} samples to train on.",
            "/validation_split",
        )
    for part in (kept, fed.samples - kept):
        _check_batches(model, part, fit.batch_size, "/validation_split")
    return Fed(fed.x, fed.y, fed.sample_weight, kept, fed.samples - kept), None


def _validation(model: Sequential, compiled: Compile, fit: Fit, describe: Describe, limits: Limits) -> Fed:
    value = fit.validation_data
    if isinstance(value, list) and len(value) in (2, 3):  # Keras 1's tuple
        value = dict(zip(("x", "y", "sample_weight"), value, strict=False))
    if not isinstance(value, Mapping) or not {"x", "y"} <= set(value) <= {"x", "y", "sample_weight", "batch_size"}:
        raise BadReference(f'`validation_data` must be {{"x": …, "y": …}}, but got {shown(value)}.')
    use = Evaluate.from_config({"batch_size": fit.batch_size, **value})
    return replace(match_scored(model, compiled, use, describe, limits), batch_size=use.batch_size)


def match_scored(model: Sequential, compiled: Compile, use: Fit | Evaluate, describe: Describe, limits: Limits) -> Fed:
    """Check inputs, targets and weights of a fit or an evaluation."""
    x, samples = _inputs(model, use.x, describe, limits)
    _check_batches(model, samples, use.batch_size)
    _check_whole(model, use.batch_size)
    return _scored(model, compiled, use, Fed(x, None, None, samples), describe, limits)


def match_batch(model: Sequential, compiled: Compile, use: Train, describe: Describe, limits: Limits) -> Fed:
    """Check what one update is made on: all samples are one batch."""
    x, samples = _inputs(model, use.x, describe, limits)
    if samples > limits.max_batch_size:
        raise TooLarge(f"A batch may have {limits.max_batch_size:,} samples, but this one has {samples:,}.", "/x")
    for each in model.inputs():
        if each.shape[0] not in (None, samples):
            raise ShapeMismatch(
                f"The model takes batches of exactly {each.shape[0]} samples (its batch_input_shape is "
                f"{shape_text(each.shape)}), but this one has {samples}.",
                "/x",
            )
    _check_class_weight(model, use)
    return _scored(model, compiled, use, Fed(x, None, None, samples), describe, limits)


def _scored(
    model: Sequential,
    compiled: Compile,
    use: Fit | Evaluate | Train,
    fed: Fed,
    describe: Describe,
    limits: Limits,
) -> Fed:
    """Check targets and weights, and put them beside the inputs."""
    with within("y"):
        y = read_source(_only(use.y), limits)
        spec = _spec(y, describe, limits)
        _check_length(spec, fed.samples)
        _check_target(spec, compiled, model)
    weights = None
    if use.sample_weight is not None:
        with within("sample_weight"):
            weights = read_source(use.sample_weight, limits)
            _check_sample_weight(_spec(weights, describe, limits), fed.samples, compiled, model)
    return replace(fed, y=y, sample_weight=weights)


def match_x(model: Sequential, use: Predict, describe: Describe, limits: Limits) -> Fed:
    """Check the inputs of a prediction."""
    x, samples = _inputs(model, use.x, describe, limits)
    _check_batches(model, samples, use.batch_size)
    return Fed(x, None, None, samples)


def as_rows(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Give an array of one axis a second one, as Keras 1 does."""
    return (*shape, 1) if len(shape) == 1 else shape


def _inputs(model: Sequential, x: Any, describe: Describe, limits: Limits) -> tuple[tuple[Source, ...], int]:
    inputs = model.inputs()
    with within("x"):
        given = _by_input(x, inputs)
        sources, samples = [], 0
        for position, (step, value) in enumerate(given):
            with within(*step):
                source = read_source(value, limits)
                spec = _spec(source, describe, limits)
                samples = samples or spec.shape[0]
                _check_length(spec, samples)
                _check_input(spec, inputs[position])
                sources.append(source)
    return tuple(sources), samples


def _spec(source: Source, describe: Describe, limits: Limits) -> ArraySpec:
    """Tell an array's shape and type; refuse one that would be made, on the way too, larger than the limits allow."""
    spec = source.spec(describe)
    for each in source.inner():
        _spec(each, describe, limits)
    if not isinstance(source, Stored | Columns) and spec.bytes > limits.max_made_bytes:
        raise TooLarge(
            f"An array that is made of another may take {limits.max_made_bytes:,} bytes, but one of shape "
            f"{list(spec.shape)} takes {spec.bytes:,}. Upload it ready made, or make it smaller."
        )
    return spec


def _by_input(x: Any, inputs: tuple[Input, ...]) -> list[tuple[tuple[str | int, ...], Any]]:
    """Put what was given for x in the order of the inputs, with the pointer to each."""
    names = [each.name for each in inputs]
    if isinstance(x, Mapping) and not is_reference(x):
        if set(x) != set(names):
            raise BadReference(f"`x` names {sorted(x)}, but the model's inputs are {names}.")
        return [((name,), x[name]) for name in names]
    several = isinstance(x, list) and (len(names) > 1 or (x and isinstance(x[0], str | Mapping)))
    if not several:
        if len(names) > 1:
            raise BadReference(f"The model has {len(names)} inputs, {names}, but `x` is one array. Give a list.")
        return [((), x)]
    if len(x) != len(names):
        raise BadReference(f"The model has {len(names)} inputs, {names}, but `x` lists {len(x)} arrays.")
    return [((index,), each) for index, each in enumerate(x)]


def _only(y: Any) -> Any:
    """Unwrap Keras's list of one target."""
    return y[0] if isinstance(y, list) and len(y) == 1 and isinstance(y[0], str | Mapping) else y


def _check_length(spec: ArraySpec, samples: int) -> None:
    if spec.shape[0] != samples:
        raise BadReference(
            f"All arrays must have the same number of samples, but this one has {spec.shape[0]} and the first of x "
            f"has {samples}."
        )


def _fits(shape: tuple[int, ...], wanted: Shape) -> bool:
    return len(shape) == len(wanted) and all(
        (axis is None and length > 0) or axis == length for axis, length in zip(wanted[1:], shape[1:], strict=True)
    )


def _check_input(spec: ArraySpec, wanted: Input) -> None:
    if not _fits(as_rows(spec.shape), wanted.shape):
        raise ShapeMismatch(
            f"Expected {wanted.name} to have the shape {shape_text((None, *wanted.shape[1:]))}, but got an array of "
            f"shape {shape_text(spec.shape)}."
        )


def _check_batches(model: Sequential, samples: int, batch_size: int, where: str = "/batch_size") -> None:
    for each in model.inputs():
        fixed = each.shape[0]
        sizes = {min(batch_size, samples), samples % batch_size} - {0}
        if fixed is not None and sizes != {fixed}:
            raise ShapeMismatch(
                f"The model takes batches of exactly {fixed} samples (its batch_input_shape is "
                f"{shape_text(each.shape)}), but batch_size is {batch_size} and there are {samples} samples"
                f"{' on one side of the split' if where != '/batch_size' else ''}. Set batch_size to {fixed}, and give "
                f"a multiple of {fixed} samples.",
                where,
            )


def _check_whole(model: Sequential, batch_size: int) -> None:
    """Refuse a batch size that is larger than the batches of a stateful model, as Keras 1 does but for predictions."""
    fixed = {memory.shape[0] for memory in model.all_memories} - {batch_size}
    if fixed:
        raise ShapeMismatch(
            f"The model is stateful and takes batches of exactly {max(fixed)} samples, but batch_size is {batch_size}. "
            f"Set it to {max(fixed)}.",
            "/batch_size",
        )


def _check_target(spec: ArraySpec, compiled: Compile, model: Sequential) -> None:
    if not isinstance(compiled.loss, str):
        return  # as in Keras 1: a custom loss may take targets of any shape
    output = model.placed[-1].output_shape
    sparse = compiled.loss == "sparse_categorical_crossentropy"
    wanted = (*output[:-1], 1) if sparse else output
    shape = as_rows(spec.shape)
    if _fits(shape, wanted):
        return
    hint = ""
    if compiled.loss == "categorical_crossentropy" and shape[-1] == 1:
        hint = (
            " categorical_crossentropy takes one-hot rows: write "
            f'{{"to_categorical": <these labels>, "nb_classes": {output[-1]}}}, or use '
            "sparse_categorical_crossentropy for class numbers."
        )
    elif sparse:
        hint = " sparse_categorical_crossentropy takes one class number for each output row."
    raise ShapeMismatch(
        f"Expected the target of {model.layers[-1].name} to have the shape {shape_text((None, *wanted[1:]))}, but got "
        f"an array of shape {shape_text(spec.shape)}.{hint}"
    )


def _check_sample_weight(spec: ArraySpec, samples: int, compiled: Compile, model: Sequential) -> None:
    _check_length(spec, samples)
    output = model.placed[-1].output_shape
    if compiled.sample_weight_mode == "temporal":
        if len(output) < 3:
            raise ShapeMismatch(f"Temporal weights need sequences, but the output is {shape_text(output)}.")
        if len(spec.shape) != 2 or output[1] not in (None, spec.shape[1]):
            raise ShapeMismatch(
                f"Temporal weights must have the shape {shape_text((None, output[1]))}, but have "
                f"{shape_text(spec.shape)}."
            )
    elif len(spec.shape) != 1:
        raise ShapeMismatch(
            f"Sample weights must have the shape (n,), but have {shape_text(spec.shape)}. For a weight a step, compile "
            'with sample_weight_mode "temporal".'
        )


def _check_class_weight(model: Sequential, use: Fit | Train) -> None:
    output = model.placed[-1].output_shape
    if use.class_weight is not None and len(output) != 2:
        raise ShapeMismatch(
            f"`class_weight` needs targets of two axes, but the output is {shape_text(output)}.",
            "/class_weight",
        )


def _check_augmentation(model: Sequential, augmentation: Augmentation, spec: ArraySpec) -> None:
    inputs = model.inputs()
    if len(inputs) > 1 or len(spec.shape) != 4:
        raise ShapeMismatch(
            "Augmentation takes a model with one input of images, (samples, rows, columns, channels) or with the "
            f"channels first, but this one has {len(inputs)} of shape {shape_text(inputs[0].shape)}."
        )
    channels = spec.shape[augmentation.channel_axis]
    if augmentation.learns and channels not in (1, 3, 4):
        raise ShapeMismatch(
            f"Images have 1, 3 or 4 channels, but with the dim_ordering {augmentation.dim_ordering!r} these of shape "
            f"{shape_text(spec.shape)} have {channels}.",
            "/dim_ordering",
        )
    if augmentation.zca_whitening and prod(spec.shape[1:]) > MAX_WHITENED:
        raise TooLarge(
            f"Whitening takes images of up to {MAX_WHITENED:,} values, but these have {prod(spec.shape[1:]):,}.",
            "/zca_whitening",
        )
