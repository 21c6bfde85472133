"""Every layer of Keras 2 and 3 that can be said in the Keras 1 form: its class there, and where its arguments go."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.dialects import finishing
from engine.dialects.config import (
    Config,
    Way,
    bound,
    dropped,
    each_axis,
    function,
    one_axis,
    only,
    ordering,
    output_penalty,
    penalty,
    spread_over,
    start,
    started_with,
    to,
    turned,
    typed,
)


@dataclass(frozen=True)
class Rule:
    """How a class is translated.

    Args:
        name: Keras 1's class.
        ways: What becomes of each argument.
        finish: What is left to do when all arguments are there.
    """

    name: str
    ways: Mapping[str, Way] = field(default_factory=dict)
    finish: Callable[[Config], None] = lambda config: None


#: Arguments that any layer may have.
COMMON: dict[str, Way] = {
    "dtype": typed,
    "batch_shape": to("batch_input_shape"),
    "seed": dropped,
    "autocast": dropped,
    "quantization_config": only(None, advice="Weights are kept in float32."),
    "lora_rank": only(None),
}
NO_CHANNELS_FIRST = "Put a Permute of [2, 1] before and after it."
LAST: dict[str, Way] = {"data_format": only("channels_last", None, advice=NO_CHANNELS_FIRST)}
WHERE: dict[str, Way] = {"data_format": ordering}
RATE: dict[str, Way] = {"rate": to("p"), "noise_shape": only(None)}


def weighted(plain: bool = True) -> dict[str, Way]:
    """Return the arguments of layers with a kernel and a bias."""
    return {
        "activation": function("activation"),
        "use_bias": to("bias"),
        "kernel_initializer": start("init", plain),
        "bias_initializer": started_with("zero"),
        "kernel_regularizer": penalty("W_regularizer"),
        "bias_regularizer": penalty("b_regularizer"),
        "activity_regularizer": output_penalty,
        "kernel_constraint": bound("W_constraint"),
        "bias_constraint": bound("b_constraint"),
    }


CONV: dict[str, Way] = {"filters": to("nb_filter"), "padding": to("border_mode"), "groups": only(1)}
FLAT: dict[str, Way] = {"dilation_rate": only(1, [1], [1, 1], [1, 1, 1])}
STEPS = CONV | LAST | {"kernel_size": one_axis("filter_length"), "strides": one_axis("subsample_length")}
IMAGES = CONV | WHERE | {"kernel_size": spread_over("nb_row", "nb_col"), "strides": each_axis("subsample", 2)}
VOLUMES = CONV | WHERE | {"kernel_size": spread_over("kernel_dim1", "kernel_dim2", "kernel_dim3")}
RECURRENT: dict[str, Way] = weighted() | {
    "units": to("output_dim"),
    "recurrent_activation": function("inner_activation"),
    "recurrent_initializer": start("inner_init"),
    "recurrent_regularizer": penalty("U_regularizer"),
    "activity_regularizer": only(None),
    "kernel_constraint": only(None),
    "recurrent_constraint": only(None),
    "bias_constraint": only(None),
    "unit_forget_bias": finishing.forget_bias,
    "dropout": to("dropout_W"),
    "recurrent_dropout": to("dropout_U"),
    "implementation": dropped,
    "use_cudnn": dropped,
    "return_state": only(False, advice="A Sequential hands on one tensor."),
    "time_major": only(False, advice="Samples come first here."),
    "zero_output_for_mask": to("zero_masked"),
}
IMAGE_MEMORY = RECURRENT | IMAGES | FLAT
IMAGE_MEMORY |= {
    f"{part}_regularizer": only(None, advice="It has no effect in Keras 1.2.2 and is not computed here.")
    for part in ("kernel", "recurrent", "bias")
}
IMAGE_MEMORY |= {"use_bias": only(True), "unroll": dropped, "kernel_initializer": start("init", plain=False)}
NORMAL: dict[str, Way] = {
    "axis": one_axis("axis"),
    "beta_initializer": start("beta_init"),
    "gamma_initializer": start("gamma_init"),
    "moving_mean_initializer": started_with("zero"),
    "moving_variance_initializer": started_with("one"),
    "beta_regularizer": penalty("beta_regularizer"),
    "gamma_regularizer": penalty("gamma_regularizer"),
    "beta_constraint": only(None),
    "gamma_constraint": only(None),
    "renorm": only(False),
    "renorm_clipping": only(None),
    "renorm_momentum": dropped,
    "fused": dropped,
    "virtual_batch_size": only(None),
    "synchronized": only(False),
}
SEPARABLE: dict[str, Way] = (
    weighted()
    | IMAGES
    | FLAT
    | {
        "kernel_initializer": dropped,  # printed, and used by none of the two kernels
        "kernel_regularizer": only(None),
        "kernel_constraint": only(None),
        "depthwise_initializer": start("init"),
        "pointwise_initializer": finishing.pointwise,
        "depthwise_regularizer": penalty("depthwise_regularizer"),
        "pointwise_regularizer": penalty("pointwise_regularizer"),
        "depthwise_constraint": bound("depthwise_constraint"),
        "pointwise_constraint": bound("pointwise_constraint"),
    }
)
EMBEDDED: dict[str, Way] = {
    "embeddings_initializer": start("init"),
    "embeddings_regularizer": penalty("W_regularizer"),
    "embeddings_constraint": bound("W_constraint"),
    "activity_regularizer": output_penalty,
    "sparse": only(False),
}
LEARNED: dict[str, Way] = {
    "alpha_initializer": start("init"),
    "alpha_regularizer": only(None),
    "alpha_constraint": only(None),
}

RULES: dict[str, Rule] = {
    "Dense": Rule("Dense", weighted() | {"units": to("output_dim")}),
    "Conv1D": Rule(
        "Convolution1D", weighted(False) | STEPS | {"dilation_rate": one_axis("atrous_rate")}, finishing.steps
    ),
    "Conv2D": Rule(
        "Convolution2D", weighted() | IMAGES | {"dilation_rate": each_axis("atrous_rate", 2)}, finishing.images
    ),
    "Conv3D": Rule(
        "Convolution3D", weighted(False) | VOLUMES | FLAT | {"strides": each_axis("subsample", 3)}, finishing.volumes
    ),
    "SeparableConv2D": Rule("SeparableConvolution2D", SEPARABLE, finishing.images),
    "Conv2DTranspose": Rule(
        "Deconvolution2D",
        weighted() | IMAGES | FLAT | {"kernel_initializer": turned, "output_padding": only(None)},
        finishing.transposed,
    ),
    "LocallyConnected1D": Rule("LocallyConnected1D", weighted(False) | STEPS | {"implementation": dropped}),
    "LocallyConnected2D": Rule("LocallyConnected2D", weighted(False) | IMAGES | {"implementation": dropped}),
    "ConvLSTM2D": Rule("ConvLSTM2D", IMAGE_MEMORY, finishing.image_memory),
    "SimpleRNN": Rule("SimpleRNN", RECURRENT, finishing.recurrent),
    "GRU": Rule("GRU", RECURRENT, finishing.gru),
    "LSTM": Rule("LSTM", RECURRENT, finishing.lstm),
    "Embedding": Rule("Embedding", EMBEDDED),
    "BatchNormalization": Rule("BatchNormalization", NORMAL, finishing.normal),
    "Activation": Rule("Activation", {"activation": function("activation")}),
    "Dropout": Rule("Dropout", RATE),
    "GaussianDropout": Rule("GaussianDropout", RATE),
    "GaussianNoise": Rule("GaussianNoise", {"stddev": to("sigma")}),
    "Flatten": Rule("Flatten", {"data_format": only("channels_last", None, advice="Put a Permute before it.")}),
    "LeakyReLU": Rule("LeakyReLU", {"negative_slope": to("alpha")}),
    "PReLU": Rule("PReLU", LEARNED),
    "ReLU": Rule("Activation", {}, finishing.relu),
    "Softmax": Rule("Activation", {"axis": only(-1)}, finishing.softmax),
    "Rescaling": Rule("Lambda", {}, finishing.rescaling),
    "ActivityRegularization": Rule("ActivityRegularization", {}, finishing.by_sample),
    "Lambda": Rule("Lambda", {"function": finishing.only_text}),
    "ZeroPadding1D": Rule("ZeroPadding1D", LAST),
    "ZeroPadding2D": Rule("ZeroPadding2D", WHERE | {"padding": to("padding", finishing.around_images)}),
    "ZeroPadding3D": Rule("ZeroPadding3D", WHERE | {"padding": to("padding", finishing.around_volumes)}),
    "Cropping1D": Rule("Cropping1D", {"cropping": each_axis("cropping", 2)}),
    "Cropping2D": Rule("Cropping2D", WHERE | {"cropping": to("cropping", lambda value: finishing.pairs(2, value))}),
    "Cropping3D": Rule("Cropping3D", WHERE | {"cropping": to("cropping", lambda value: finishing.pairs(3, value))}),
    "UpSampling1D": Rule("UpSampling1D", {"size": to("length")}),
    "UpSampling2D": Rule("UpSampling2D", WHERE | {"size": each_axis("size", 2), "interpolation": only("nearest")}),
    "UpSampling3D": Rule("UpSampling3D", WHERE | {"size": each_axis("size", 3)}),
    "SpatialDropout1D": Rule("SpatialDropout1D", RATE | LAST),
    "SpatialDropout2D": Rule("SpatialDropout2D", RATE | WHERE),
    "SpatialDropout3D": Rule("SpatialDropout3D", RATE | WHERE),
}
for _name in (
    "Reshape",
    "Permute",
    "RepeatVector",
    "Masking",
    "ELU",
    "ThresholdedReLU",
    "TimeDistributed",
    "Bidirectional",
):
    RULES[_name] = Rule(_name)
for _kind in ("Max", "Average"):
    _pools: dict[str, Any] = {"pool_size": one_axis("pool_length"), "strides": one_axis("stride")}
    RULES[f"{_kind}Pooling1D"] = Rule(
        f"{_kind}Pooling1D", LAST | _pools | {"padding": to("border_mode")}, finishing.pooled
    )
    RULES[f"Global{_kind}Pooling1D"] = Rule(f"Global{_kind}Pooling1D", LAST | {"keepdims": finishing.no_dims})
    for _rank in (2, 3):
        _pools = {"pool_size": each_axis("pool_size", _rank), "strides": each_axis("strides", _rank)}
        RULES[f"{_kind}Pooling{_rank}D"] = Rule(
            f"{_kind}Pooling{_rank}D", WHERE | _pools | {"padding": to("border_mode")}, finishing.pooled
        )
        RULES[f"Global{_kind}Pooling{_rank}D"] = Rule(
            f"Global{_kind}Pooling{_rank}D", WHERE | {"keepdims": finishing.no_dims}
        )
#: Names that Keras 2 and 3 have beside those above.
ALIASES = {
    "Convolution1D": "Conv1D",
    "Convolution2D": "Conv2D",
    "Convolution3D": "Conv3D",
    "SeparableConvolution2D": "SeparableConv2D",
    "Convolution2DTranspose": "Conv2DTranspose",
    **{
        f"{where}{short}Pool{rank}D": f"{where}{kind}Pooling{rank}D"
        for where in ("", "Global")
        for short, kind in (("Max", "Max"), ("Avg", "Average"))
        for rank in (1, 2, 3)
    },
}

_WITHOUT = "Keras 1 has no such layer."
#: What cannot be said in the Keras 1 form, and what to do instead.
REFUSED: dict[str, str] = {
    **dict.fromkeys(
        ("LayerNormalization", "RMSNormalization", "GroupNormalization", "UnitNormalization", "SpectralNormalization"),
        f"{_WITHOUT} BatchNormalization is what there is: with `mode` 1 it normalises each sample.",
    ),
    **dict.fromkeys(
        ("DepthwiseConv1D", "DepthwiseConv2D", "SeparableConv1D", "Conv1DTranspose", "Conv3DTranspose"),
        f"{_WITHOUT} There are Conv1D, Conv2D, Conv3D, SeparableConv2D and Conv2DTranspose.",
    ),
    **dict.fromkeys(("ConvLSTM1D", "ConvLSTM3D"), f"{_WITHOUT} There is ConvLSTM2D."),
    **dict.fromkeys(
        ("RNN", "StackedRNNCells", "LSTMCell", "GRUCell", "SimpleRNNCell"),
        "A cell is written as its layer here: LSTM, GRU or SimpleRNN, one after the other with `return_sequences`.",
    ),
    **dict.fromkeys(
        ("CuDNNLSTM", "CuDNNGRU"),
        'Write an LSTM with `recurrent_activation` "sigmoid", or a GRU with it and `reset_after` true: they compute '
        "the same on any device.",
    ),
    **dict.fromkeys(
        ("Attention", "AdditiveAttention", "MultiHeadAttention", "GroupQueryAttention"),
        f"{_WITHOUT} A Sequential has one tensor, and attention needs several.",
    ),
    **dict.fromkeys(
        ("StringLookup", "IntegerLookup", "TextVectorization", "Hashing", "CategoryEncoding", "Discretization"),
        "Layers that look words up read files or text; send numbers instead, and prepare them before the upload.",
    ),
    **dict.fromkeys(
        ("TorchModuleWrapper", "TFSMLayer", "JaxLayer", "FlaxLayer", "Wrapper"),
        "A layer that wraps another program's code cannot be used: no stranger's code is run.",
    ),
    **dict.fromkeys(
        ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate", "Dot"),
        "It joins several tensors: a functional model's branches, or a Merge with `layers` in the Keras 1 form.",
    ),
    "AlphaDropout": f"{_WITHOUT} There are Dropout, GaussianDropout and GaussianNoise.",
    "Normalization": f"{_WITHOUT} Normalise the data before the upload, or use Rescaling or BatchNormalization.",
    "Identity": "Leave it out: it does nothing.",
}


def later_names() -> dict[str, str]:
    """Map every layer of later Keras that can be read to the layer of Keras 1 that it becomes."""
    return {name: RULES[known].name for name, known in sorted({**{each: each for each in RULES}, **ALIASES}.items())}
