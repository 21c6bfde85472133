"""Our layers in the words of Keras 3, with arguments that make it compute what we compute.

What only training asks for is left out: how weights start, penalties, constraints. Where Keras 3 pads or counts in
another way a layer becomes several; where it has nothing alike, the layer is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from engine.arguments import Json, Shape
from engine.errors import BadModel
from engine.layer import Layer
from engine.layers.pooling import padding_of
from engine.layers.windows import Windows

#: Keras 1's arguments that have another name in Keras 3, on whatever layer.
ARGUMENTS = {
    "output_dim": "units",
    "nb_filter": "filters",
    "bias": "use_bias",
    "p": "rate",
    "sigma": "stddev",
    "alpha": "negative_slope",
    "theta": "threshold",
    "length": "size",
    "inner_activation": "recurrent_activation",
    "dropout_W": "dropout",
    "dropout_U": "recurrent_dropout",
}
#: Activations of other names there; Keras 1's hard_sigmoid is another function, and is treated apart.
ACTIVATIONS = {"keras3_hard_sigmoid": "hard_sigmoid", "swish": "silu", "hard_swish": "hard_silu"}
FORMATS = {"th": "channels_first", "tf": "channels_last"}
#: Keras 1's hard_sigmoid is that of Keras 3 of so many times as much.
STEEPER = 1.2

#: The layers that need no more than new names: their classes there, and the arguments that are handed on.
PLAIN = {
    "Dropout": ("Dropout", ("p",)),
    "SpatialDropout1D": ("SpatialDropout1D", ("p",)),
    "SpatialDropout2D": ("SpatialDropout2D", ("p", "dim_ordering")),
    "SpatialDropout3D": ("SpatialDropout3D", ("p", "dim_ordering")),
    "GaussianDropout": ("GaussianDropout", ("p",)),
    "GaussianNoise": ("GaussianNoise", ("sigma",)),
    "Reshape": ("Reshape", ("target_shape",)),
    "Permute": ("Permute", ("dims",)),
    "RepeatVector": ("RepeatVector", ("n",)),
    "Masking": ("Masking", ("mask_value",)),
    "LeakyReLU": ("LeakyReLU", ("alpha",)),
    "PReLU": ("PReLU", ("shared_axes",)),
    "ThresholdedReLU": ("ReLU", ("theta",)),
    "Embedding": ("Embedding", ("input_dim", "output_dim", "mask_zero")),
    "UpSampling1D": ("UpSampling1D", ("length",)),
    "UpSampling2D": ("UpSampling2D", ("size", "dim_ordering")),
    "UpSampling3D": ("UpSampling3D", ("size", "dim_ordering")),
    "Cropping1D": ("Cropping1D", ("cropping",)),
    "Cropping2D": ("Cropping2D", ("cropping", "dim_ordering")),
    "Cropping3D": ("Cropping3D", ("cropping", "dim_ordering")),
    "GlobalMaxPooling1D": ("GlobalMaxPooling1D", ()),
    "GlobalAveragePooling1D": ("GlobalAveragePooling1D", ()),
    "GlobalMaxPooling2D": ("GlobalMaxPooling2D", ("dim_ordering",)),
    "GlobalAveragePooling2D": ("GlobalAveragePooling2D", ("dim_ordering",)),
    "GlobalMaxPooling3D": ("GlobalMaxPooling3D", ("dim_ordering",)),
    "GlobalAveragePooling3D": ("GlobalAveragePooling3D", ("dim_ordering",)),
    "ActivityRegularization": ("Activation", ()),
}
KERNELS = {
    "Convolution1D": "Conv1D",
    "AtrousConvolution1D": "Conv1D",
    "Convolution2D": "Conv2D",
    "AtrousConvolution2D": "Conv2D",
    "SeparableConvolution2D": "SeparableConv2D",
    "Convolution3D": "Conv3D",
}

Configs = list[dict[str, Json]]


class Inexpressible(BadModel):
    """A layer has no equal in the program that the model is to be written for."""


def inexpressible(layer: Layer, why: str) -> Inexpressible:
    """Say which layer, and why."""
    return Inexpressible(f"Layer {layer.name} ({type(layer).__name__}) cannot be written for Keras 3: {why}.")


def element(class_name: str, config: dict[str, Json], module: str = "keras.layers") -> dict[str, Json]:
    """Write one object as Keras 3 does."""
    return {"module": module, "class_name": class_name, "config": config, "registered_name": None}


def translated(layer: Layer, input_shape: Shape) -> Configs:
    """Write a layer as one of Keras 3's, or as several in a row.

    Raises:
        Inexpressible: There is nothing alike.
    """
    class_name = type(layer).__name__
    if class_name in PLAIN:
        return [_plain(layer, *PLAIN[class_name])]
    if class_name in KERNELS:
        return _convolution(layer, KERNELS[class_name])
    if class_name in SPECIAL:
        return SPECIAL[class_name](layer, input_shape)
    raise inexpressible(layer, "it has no such layer")


def _plain(layer: Layer, class_name: str, arguments: tuple[str, ...]) -> dict[str, Json]:
    config: dict[str, Json] = {"name": layer.name, "trainable": layer.trainable}
    for argument in arguments:
        value: Any = getattr(layer, argument)
        if argument == "dim_ordering":
            config["data_format"] = FORMATS[value]
        else:
            name = "output_dim" if class_name == "Embedding" and argument == "output_dim" else argument
            config[name if name == "output_dim" else ARGUMENTS.get(argument, argument)] = _value(value)
    if class_name == "Activation":
        config["activation"] = "linear"
    return element(class_name, config)


def _value(value: Any) -> Json:
    return [_value(each) for each in value] if isinstance(value, tuple) else value


def _named(layer: Layer, more: str) -> dict[str, Json]:
    return {"name": f"{layer.name}_{more}"}


def activated(layer: Layer, config: dict[str, Json], name: str) -> Configs:
    """List what follows a layer whose activation is `name`, having put that into its config where it is one of theirs.

    Keras 1's hard_sigmoid is made of a scaling and Keras 3's.
    """
    if name != "hard_sigmoid":
        config["activation"] = ACTIVATIONS.get(name, name)
        return []
    config["activation"] = "linear"
    return _hard_sigmoid(layer)


def _hard_sigmoid(layer: Layer) -> Configs:
    scale = element("Rescaling", {**_named(layer, "slope"), "scale": STEEPER, "offset": 0.0})
    return [scale, element("Activation", {**_named(layer, "activation"), "activation": "hard_sigmoid"})]


def _activation(layer: Any, input_shape: Shape) -> Configs:
    config: dict[str, Json] = {"name": layer.name}
    after = activated(layer, config, layer.activation)
    return after or [element("Activation", config)]


def _dense(layer: Any, input_shape: Shape) -> Configs:
    config: dict[str, Json] = {"name": layer.name, "trainable": layer.trainable}
    config |= {"units": layer.output_dim, "use_bias": layer.bias}
    after = activated(layer, config, layer.activation)
    return [element("Dense", config), *after]


def _padding(layer: Layer, windows: Windows) -> tuple[Configs, str]:
    """Say how a convolution pads: in a word of Keras 3's where that means the same, else by a layer before it."""
    mode, reach = windows.border_mode, windows.reach
    if mode in ("valid", "causal"):
        return [], mode
    plain = all(each % 2 for each in reach) and set(windows.stride) == {1}
    if mode == "same_tf" or (mode == "same" and plain):
        return [], "same"
    if mode == "full":
        sides = [[each - 1, each - 1] for each in reach]
    else:
        sides = [[each // 2, (each - 1) // 2] for each in reach]
    return [_zeros(layer, windows, sides)], "valid"


def _zeros(layer: Layer, windows: Windows, sides: list[list[int]]) -> dict[str, Json]:
    config: dict[str, Json] = {**_named(layer, "padding"), "padding": sides if windows.rank > 1 else sides[0]}
    if windows.rank > 1:
        config["data_format"] = FORMATS[windows.dim_ordering]
    return element(f"ZeroPadding{windows.rank}D", config)


def _convolution(layer: Any, class_name: str) -> Configs:
    windows = layer.windows
    before, padding = _padding(layer, windows)
    config: dict[str, Json] = {
        "name": layer.name,
        "trainable": layer.trainable,
        "filters": layer.nb_filter,
        "kernel_size": list(windows.size),
        "strides": list(windows.stride),
        "padding": padding,
        "dilation_rate": list(windows.rates),
        "data_format": FORMATS[windows.dim_ordering],
        "use_bias": layer.bias,
    }
    if class_name == "SeparableConv2D":
        config["depth_multiplier"] = layer.depth_multiplier
        if len(set(windows.stride)) > 1:
            raise inexpressible(layer, "its steps must be alike in rows and columns")
    after = activated(layer, config, layer.activation)
    return [*before, element(class_name, config), *after]


def _deconvolution(layer: Any, input_shape: Shape) -> Configs:
    windows = layer.windows
    config: dict[str, Json] = {
        "name": layer.name,
        "trainable": layer.trainable,
        "filters": layer.nb_filter,
        "kernel_size": list(windows.size),
        "strides": list(windows.stride),
        "data_format": FORMATS[windows.dim_ordering],
        "use_bias": layer.bias,
    }
    after = activated(layer, config, layer.activation)
    if isinstance(layer.deconvolved_shape, str):
        config["padding"] = "valid" if layer.border_mode == "valid" else "same"
        return [element("Conv2DTranspose", config), *after]
    config["padding"] = "valid"
    return [element("Conv2DTranspose", config), *after, _cut(layer, windows, input_shape)]


def _cut(layer: Any, windows: Windows, input_shape: Shape) -> dict[str, Json]:
    """Crop what Keras 3 gives to the shape that was asked for."""
    cropping: list[Json] = []
    wanted = [layer.deconvolved_shape[axis] for axis in windows.axes]
    margins = [pair[0] for pair in windows.uneven(wanted)] if layer.border_mode == "same_tf" else windows.margin
    for axis, size, stride, length, margin in zip(
        windows.axes, windows.size, windows.stride, wanted, margins, strict=True
    ):
        given = input_shape[axis]
        surplus = None if given is None else (given - 1) * stride + max(size, stride) - margin - length
        if surplus is None or surplus < 0:
            raise inexpressible(layer, "its output_shape is larger than what its kernel reaches")
        cropping.append([margin, surplus])
    return element(
        "Cropping2D", {**_named(layer, "cropping"), "cropping": cropping, "data_format": FORMATS[layer.dim_ordering]}
    )


def _pooling(layer: Any, input_shape: Shape) -> Configs:
    windows = layer.windows
    padding = {"valid": "valid", "same_tf": "same"}.get(windows.border_mode)
    if padding is None:
        if not _same_alike(windows, input_shape):
            raise inexpressible(layer, 'its border_mode "same" places the windows elsewhere than Keras 3\'s')
        padding = "same"
    config: dict[str, Json] = {
        "name": layer.name,
        "pool_size": list(windows.size),
        "strides": list(windows.stride),
        "padding": padding,
        "data_format": FORMATS[windows.dim_ordering],
    }
    return [element(type(layer).__name__, config)]


def _same_alike(windows: Windows, input_shape: Shape) -> bool:
    lengths = [input_shape[axis] for axis in windows.axes]
    if None in lengths:
        return False
    theirs = replace(windows, border_mode="same_tf").uneven([each or 0 for each in lengths])
    return all(ours == before for ours, (before, _) in zip(padding_of(windows), theirs, strict=True))


def _zero_padding(layer: Any, input_shape: Shape) -> Configs:
    config: dict[str, Json] = {"name": layer.name, "padding": [list(each) for each in layer.sides()]}
    if len(layer.sides()) == 1:
        config["padding"] = list(layer.sides()[0])
    else:
        config["data_format"] = FORMATS[layer.dim_ordering]
    return [element(type(layer).__name__, config)]


def _flatten(layer: Any, input_shape: Shape) -> Configs:
    return [element("Flatten", {"name": layer.name, "data_format": "channels_last"})]


def _elu(layer: Any, input_shape: Shape) -> Configs:
    return [element("ELU", {"name": layer.name, "alpha": layer.alpha})]


def _normalization(layer: Any, input_shape: Shape) -> Configs:
    if layer.mode != 0:
        raise inexpressible(layer, f"it has no mode {layer.mode}")
    names = ("name", "trainable", "axis", "momentum", "epsilon", "center", "scale")
    return [element("BatchNormalization", {name: getattr(layer, name) for name in names})]


def _recurrent(layer: Any, input_shape: Shape) -> Configs:
    config = _recurring(layer) | {"units": layer.output_dim, "use_bias": layer.bias, "unroll": layer.unroll}
    if type(layer).__name__ == "GRU":
        config["reset_after"] = layer.reset_after
    return [element(type(layer).__name__, config)]


def _recurring(layer: Any) -> dict[str, Json]:
    names = ("name", "trainable", "return_sequences", "go_backwards", "stateful")
    config: dict[str, Json] = {name: getattr(layer, name) for name in names}
    config |= {"dropout": layer.dropout_W, "recurrent_dropout": layer.dropout_U}
    config["zero_output_for_mask"] = layer.zero_masked
    if layer.activation == "hard_sigmoid":
        raise inexpressible(layer, "its activation hard_sigmoid has another slope there")
    config["activation"] = ACTIVATIONS.get(layer.activation, layer.activation)
    if hasattr(layer, "inner_activation"):  # Keras 1's hard_sigmoid is that of weights that are larger: see `scaled`
        config["recurrent_activation"] = ACTIVATIONS.get(layer.inner_activation, layer.inner_activation)
    return config


def _conv_lstm(layer: Any, input_shape: Shape) -> Configs:
    windows = layer.windows
    before, padding = _padding(layer, windows)
    even = any(each % 2 == 0 for each in windows.size)
    if before or (layer.inner_border_mode == "same" and even):
        raise inexpressible(layer, "its windows are padded in another way; give it odd sizes and steps of 1")
    config = _recurring(layer) | {
        "filters": layer.nb_filter,
        "kernel_size": list(windows.size),
        "strides": list(windows.stride),
        "padding": padding,
        "data_format": FORMATS[windows.dim_ordering],
    }
    return [element("ConvLSTM2D", config)]


def _time_distributed(layer: Any, input_shape: Shape) -> Configs:
    from engine.files.keras3_models import sequential
    from engine.model import Sequential

    step: Shape = (None, *input_shape[2:])
    inner = layer.layer
    parts = [sequential(inner, step)] if isinstance(inner, Sequential) else translated(inner, step)
    names = [layer.name if len(parts) == 1 else f"{layer.name}_{number}" for number in range(len(parts))]
    return [
        element("TimeDistributed", {"name": name, "trainable": layer.trainable, "layer": part})
        for name, part in zip(names, parts, strict=True)
    ]


def _bidirectional(layer: Any, input_shape: Shape) -> Configs:
    (inner,) = translated(layer.layer, input_shape)
    config = {"name": layer.name, "trainable": layer.trainable, "merge_mode": layer.merge_mode, "layer": inner}
    return [element("Bidirectional", config)]


SPECIAL: dict[str, Callable[[Any, Shape], Configs]] = {
    "Activation": _activation,
    "Dense": _dense,
    "TimeDistributedDense": _dense,
    "Deconvolution2D": _deconvolution,
    "Flatten": _flatten,
    "ELU": _elu,
    "BatchNormalization": _normalization,
    "SimpleRNN": _recurrent,
    "GRU": _recurrent,
    "LSTM": _recurrent,
    "ConvLSTM2D": _conv_lstm,
    "TimeDistributed": _time_distributed,
    "Bidirectional": _bidirectional,
    **{f"ZeroPadding{rank}D": _zero_padding for rank in (1, 2, 3)},
    **{f"{kind}Pooling{rank}D": _pooling for kind in ("Max", "Average") for rank in (1, 2, 3)},
}
