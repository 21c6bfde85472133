"""What is left of a layer's translation when its arguments are there: where several decide, or an absent one does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.dialects import parts
from engine.dialects.config import Config, across
from engine.errors import BadArgument, within
from engine.registry import shown

ONE = (None, 1, [1], [1, 1], [1, 1, 1])


def border(config: Config, sizes: list[Any], strides: Any, rates: Any = 1) -> None:
    """Say `same` where TensorFlow and Theano pad alike, else `same_tf`."""
    if config.get("border_mode") != "same" or "border_mode" in config.given:
        return
    rates = across(len(sizes), rates)
    odd = all(
        isinstance(size, int) and isinstance(rate, int) and (size - 1) * rate % 2 == 0
        for size, rate in zip(sizes, rates if isinstance(rates, list) else [], strict=False)
    )
    if strides not in ONE or not odd:
        config.new["border_mode"] = "same_tf"


def _holes(config: Config, atrous: str) -> Any:
    """Take the class that has holes, if there are any."""
    rate = config.get("atrous_rate", 1)
    if rate in ONE:
        config.new.pop("atrous_rate", None)
        return 1
    config.class_name = atrous
    return rate


def steps(config: Config) -> None:
    """Finish a Conv1D."""
    rate = _holes(config, "AtrousConvolution1D")
    border(config, [config.get("filter_length")], config.get("subsample_length"), rate)


def images(config: Config) -> None:
    """Finish a convolution of images."""
    rate = _holes(config, "AtrousConvolution2D")
    border(config, [config.get("nb_row"), config.get("nb_col")], config.get("subsample"), rate)


def volumes(config: Config) -> None:
    """Finish a Conv3D."""
    border(config, [config.get(f"kernel_dim{axis}") for axis in (1, 2, 3)], config.get("subsample"))


def transposed(config: Config) -> None:
    """Finish a transposed convolution, whose output is as large as its input and its steps make it."""
    border(config, [2], 1)  # the cells that are cut off lie elsewhere whatever the kernel
    config.imply("output_shape", "auto")


def pooled(config: Config) -> None:
    """Finish a pooling layer: Theano pads another number of cells."""
    border(config, [2], 1)


def pointwise(config: Config, key: str, value: Any) -> None:
    """Refuse a second initialiser that differs from the first, for Keras 1 has one for both."""
    first = config.given.get("depthwise_initializer", "glorot_uniform")
    if parts.initializer(value) != parts.initializer(first):
        raise BadArgument(f"`{key}` must be the same as `depthwise_initializer` here, but got {shown(value)}.")
    config.drop(key)


# -- recurrent layers ---------------------------------------------------------------------------


def forget_bias(config: Config, key: str, value: Any) -> None:
    """Read how the bias of the gate that forgets starts."""
    if not isinstance(value, bool):
        raise BadArgument(f"`{key}` must be true or false, but got {shown(value)}.")
    config.put("forget_bias_init", "one" if value else "zero", key)


def recurrent(config: Config) -> None:
    """Finish a recurrent layer: its fed-back weights start orthogonal, without Keras 1's 1.1."""
    config.imply("inner_init", {"name": "Orthogonal", "gain": 1.0})
    if config.get("zero_masked") is False:
        del config.new["zero_masked"]


def _gated(config: Config) -> None:
    recurrent(config)
    if config.spoken.sigmoid_inside:
        config.imply("inner_activation", "sigmoid")


def gru(config: Config) -> None:
    """Finish a GRU; its gates lie side by side."""
    _gated(config)
    config.imply("consume_less", "gpu")
    if config.spoken.resets_after:
        config.imply("reset_after", True)


def lstm(config: Config) -> None:
    """Finish an LSTM; its gates lie side by side."""
    _gated(config)
    config.imply("consume_less", "gpu")


def image_memory(config: Config) -> None:
    """Finish a ConvLSTM2D."""
    recurrent(config)
    if config.spoken.version == 3:
        config.imply("inner_activation", "sigmoid")
    images(config)
    if any(isinstance(size := config.get(name), int) and size % 2 == 0 for name in ("nb_row", "nb_col")):
        config.imply("inner_border_mode", "same_tf")


# -- others -------------------------------------------------------------------------------------


def normal(config: Config) -> None:
    """Finish a BatchNormalization: it keeps its averages as its version does."""
    config.imply("version", config.spoken.version)
    for key in ("center", "scale"):
        if config.get(key) is True:
            del config.new[key]


def by_sample(config: Config) -> None:
    """Finish an ActivityRegularization."""
    if config.spoken.by_sample:
        config.imply("per_sample", True)


def relu(config: Config) -> None:
    """Say a ReLU by the activation or the layer that computes it."""
    given = {key: config.new.pop(key, None) for key in ("max_value", "negative_slope", "alpha", "threshold")}
    told = {key: value for key, value in given.items() if value not in (None, 0, 0.0)}
    slope = told.get("negative_slope")
    if not told:
        config.imply("activation", "relu")
    elif told == {"max_value": 6}:
        config.imply("activation", "relu6")
    elif set(told) == {"negative_slope"}:
        config.class_name = "LeakyReLU"
        config.put("alpha", slope, "negative_slope")
    elif set(told) == {"threshold"}:
        config.class_name = "ThresholdedReLU"
        config.put("theta", told["threshold"], "threshold")
    else:
        raise BadArgument(
            "A ReLU may have a `negative_slope`, or a `threshold`, or a `max_value` of 6, but this one has "
            f"{shown(told)}.",
            f"/{next(iter(told))}",
        )


def softmax(config: Config) -> None:
    """Say a Softmax as an activation."""
    config.imply("activation", "softmax")


def rescaling(config: Config) -> None:
    """Say a Rescaling as a function."""
    scale, offset = config.new.pop("scale", None), config.new.pop("offset", 0.0)
    for key, value in (("scale", scale), ("offset", offset)):
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise BadArgument(f"`{key}` of a Rescaling must be one number here, but got {shown(value)}.", f"/{key}")
    config.put("function", {"source": f"lambda x: x * {float(scale or 0)!r} + {float(offset)!r}"}, "scale")


def only_text(config: Config, key: str, value: Any) -> None:
    """Refuse a function that is bytecode, or to be found by its name."""
    if not isinstance(value, Mapping) or "source" not in value:
        raise BadArgument(
            "A Lambda holds a function as bytecode or by its name, and neither is run here. Write its text: "
            '{"source": "lambda x: x ** 2"}.'
        )
    config.put(key, value, key)


def no_dims(config: Config, key: str, value: Any) -> None:
    """Refuse to keep the axes that are pooled."""
    if value is not False:
        raise BadArgument(f"`{key}` must be false here. Put a Reshape after it, which gives the axes back.")
    config.drop(key)


def around_images(value: Any) -> Any:
    """Write what is added around images as Keras 1 does."""
    if isinstance(value, list) and len(value) == 2 and all(isinstance(each, list) for each in value):
        return [amount for pair in value for amount in pair]
    return across(2, value)


def around_volumes(value: Any) -> Any:
    """Write what is added around volumes as Keras 1 does: alike on both sides."""
    if not isinstance(value, list) or not all(isinstance(each, list) for each in value):
        return across(3, value)
    for axis, pair in enumerate(value):
        with within(axis):
            if len(pair) != 2 or pair[0] != pair[1]:
                raise BadArgument(
                    f"A ZeroPadding3D adds as many cells before an axis as after it, but got {shown(pair)}."
                )
    return [pair[0] for pair in value]


def pairs(count: int, value: Any) -> Any:
    """Write what is cut off both ends of each axis."""
    whole = across(count, value)
    return [[each, each] if isinstance(each, int) else each for each in whole] if isinstance(whole, list) else whole
