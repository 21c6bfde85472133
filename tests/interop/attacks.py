"""Definitions that want something else than a model: each with the place at which it is refused."""

from __future__ import annotations

from typing import Any

Object = dict[str, Any]


def layer(class_name: str, module: str | None = "keras.layers", registered: str | None = None, **config: Any) -> Object:
    return {"module": module, "class_name": class_name, "config": config, "registered_name": registered}


def model(*layers: Object) -> Object:
    entry = layer("InputLayer", batch_shape=[None, 4], dtype="float32", name="input")
    return {
        "module": "keras",
        "class_name": "Sequential",
        "config": {"name": "sequential", "layers": [entry, *layers]},
        "registered_name": None,
    }


def dense(**config: Any) -> Object:
    return model(layer("Dense", **{"units": 3, **config}))


def nested(depth: int) -> Object:
    inner = dense()
    for _ in range(depth):
        inner = {"class_name": "Sequential", "config": {"name": "s", "layers": [inner]}}
    return inner


def functional(layers: list[tuple[str, Object, list[str]]], output: str) -> Object:
    return {
        "class_name": "Functional",
        "keras_version": "2.15.0",
        "config": {
            "name": "model",
            "layers": [
                {**each, "name": name, "inbound_nodes": [[[parent, 0, 0, {}] for parent in parents]] if parents else []}
                for name, each, parents in layers
            ],
            "input_layers": [["x", 0, 0]],
            "output_layers": [[output, 0, 0]],
        },
    }


ENTRY = ("x", {"class_name": "InputLayer", "config": {"batch_input_shape": [None, 4], "name": "x"}}, [])


def plain(name: str, class_name: str = "Dense", **config: Any) -> Object:
    return {"class_name": class_name, "config": {"name": name, **config}}


def diamonds(count: int) -> Object:
    """Write a model whose tensor is joined with itself again and again: written out it doubles every time."""
    layers, before = [ENTRY], "x"
    for index in range(count):
        layers.append((f"add{index}", plain(f"add{index}", "Add"), [before, before]))
        before = f"add{index}"
    return functional(layers, before)


def circle() -> Object:
    around = [("a", plain("a", units=4), ["b"]), ("b", plain("b", units=4), ["a"])]
    return functional([ENTRY, *around], "a")


FIRST = "/config/layers/1"
BYTECODE = {"class_name": "__lambda__", "config": {"code": "4wEAAAAA", "defaults": None, "closure": None}}
OS = {"module": "os", "class_name": "system", "config": {"command": "id"}, "registered_name": None}
ATTACKS: dict[str, tuple[Object, str]] = {
    "marshalled lambda of Keras 3": (model(layer("Lambda", function=BYTECODE)), f"{FIRST}/config/function"),
    "marshalled lambda of Keras 2": (
        {
            **model(layer("Lambda", None, function=["4wEA", None, None], function_type="lambda")),
            "keras_version": "2.9.0",
        },
        f"{FIRST}/config/function",
    ),
    "marshalled lambda of Keras 1": (
        {
            "class_name": "Sequential",
            "config": [
                {
                    "class_name": "Lambda",
                    "config": {"function": ["c\u0001", None, None], "function_type": "lambda", "input_shape": [4]},
                }
            ],
        },
        "/config/0/config/function",
    ),
    "function by name": (model(layer("Lambda", function="system")), f"{FIRST}/config/function"),
    "module of the system": (model({**OS}), f"{FIRST}/module"),
    "module of the system inside": (dense(kernel_initializer=OS), f"{FIRST}/config/kernel_initializer/module"),
    "module in a regularizer": (dense(bias_regularizer=OS), f"{FIRST}/config/bias_regularizer/module"),
    "module in a constraint": (dense(kernel_constraint=OS), f"{FIRST}/config/kernel_constraint/module"),
    "module in a type": (dense(dtype=OS), f"{FIRST}/config/dtype/module"),
    "module around the model": ({**dense(), "module": "os"}, "/module"),
    "function as an activation": (
        dense(activation={"module": "builtins", "class_name": "function", "config": "eval"}),
        f"{FIRST}/config/activation/module",
    ),
    "gadget that downloads": (model(layer("get_file", "keras.utils", origin="http://a/b")), f"{FIRST}/module"),
    "gadget without its module": (model(layer("get_file", None, origin="http://a/b")), f"{FIRST}/class_name"),
    "switch of the safe mode": (
        model(layer("enable_unsafe_deserialization", "keras.config"), layer("Lambda", function=BYTECODE)),
        f"{FIRST}/module",
    ),
    "pickled torch module": (
        model({"class_name": "TorchModuleWrapper", "config": {"module": "gASV"}}),
        f"{FIRST}/class_name",
    ),
    "saved model of another": (model(layer("TFSMLayer", filepath="/tmp/evil")), f"{FIRST}/class_name"),
    "vocabulary file": (model(layer("StringLookup", vocabulary="/etc/passwd")), f"{FIRST}/class_name"),
    "vocabulary address": (model(layer("TextVectorization", vocabulary="http://10.0.0.1/")), f"{FIRST}/class_name"),
    "shadowed class": (model(layer("Dense", registered="evil>Dense", units=3)), f"{FIRST}/registered_name"),
    "wrapped stranger": (
        model(layer("TimeDistributed", layer=layer("Dense", "subprocess", units=1))),
        f"{FIRST}/config/layer/module",
    ),
    "homoglyph": (model(layer("D\u0435nse", units=3)), f"{FIRST}/class_name"),
    "wide layer": (dense(units=10**9), FIRST),
    "many layers": (model(*(layer("Dense", units=1) for _ in range(2_000))), "/config/layers"),
    "models in models": (nested(25), "/config/layers/0" * 21),
    "holes": (
        model(
            layer("Reshape", target_shape=[4, 1]),
            layer("Conv1D", filters=1, kernel_size=2, dilation_rate=10**9, padding="causal"),
        ),
        "/config/layers/2",
    ),
    "diamonds": (diamonds(60), "/config/layers"),
    "circle": (circle(), "/config/layers"),
    "half precision": (dense(dtype="float16"), f"{FIRST}/config/dtype"),
    "mixed precision": (
        dense(dtype={"module": "keras", "class_name": "DTypePolicy", "config": {"name": "mixed_float16"}}),
        f"{FIRST}/config/dtype",
    ),
    "sparse input": (
        {"class_name": "Sequential", "config": {"layers": [layer("InputLayer", batch_shape=[None, 4], sparse=True)]}},
        "/config/layers/0/config/sparse",
    ),
    "surprise in a layer": (dense(surprise=1), f"{FIRST}/config/surprise"),
    "surprise beside a layer": (model({**layer("Dense", units=3), "surprise": 1}), f"{FIRST}/surprise"),
    "surprise around a model": ({**dense(), "surprise": 1}, "/surprise"),
    "surprise in a model": ({**dense(), "config": {**dense()["config"], "surprise": 1}}, "/config/surprise"),
    "surprise in an initialiser": (
        dense(kernel_initializer={"class_name": "Zeros", "config": {"path": "/etc/passwd"}}),
        f"{FIRST}/config/kernel_initializer/config/path",
    ),
    "two names for one": (dense(output_dim=3), f"{FIRST}/config/units"),
}
