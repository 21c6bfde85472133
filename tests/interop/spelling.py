"""Models of the Keras 1 form as Keras 2 and 3 print them: the layers that the guide's examples are made of."""

from __future__ import annotations

from typing import Any

Object = dict[str, Any]

#: Keras 1's arguments by their later names, where only the name differs.
RENAMED = {
    "output_dim": "units",
    "nb_filter": "filters",
    "bias": "use_bias",
    "border_mode": "padding",
    "subsample": "strides",
    "atrous_rate": "dilation_rate",
    "p": "rate",
    "init": "kernel_initializer",
    "inner_init": "recurrent_initializer",
    "inner_activation": "recurrent_activation",
    "W_regularizer": "kernel_regularizer",
    "U_regularizer": "recurrent_regularizer",
    "b_regularizer": "bias_regularizer",
    "W_constraint": "kernel_constraint",
    "b_constraint": "bias_constraint",
    "dropout_W": "dropout",
    "dropout_U": "recurrent_dropout",
}
CLASSES = {"Convolution2D": "Conv2D"}
INITIALIZERS: dict[str, tuple[str, Object]] = {
    "glorot_uniform": ("GlorotUniform", {"seed": None}),
    "uniform": ("RandomUniform", {"minval": -0.05, "maxval": 0.05, "seed": None}),
    "orthogonal": ("Orthogonal", {"gain": 1.1, "seed": None}),
}
EMBEDDED = {"init": "embeddings_initializer", "W_regularizer": "embeddings_regularizer"} | {
    "W_constraint": "embeddings_constraint",
    "output_dim": "output_dim",
}


class Speller:
    """Writes what one version prints."""

    def __init__(self, version: int) -> None:
        self.version = version

    def object(self, name: str, config: Object, module: str, **beside: Any) -> Object:
        plain = {"class_name": name, "config": config}
        return plain if self.version == 2 else {"module": module, **plain, "registered_name": None, **beside}

    @property
    def dtype(self) -> Any:
        return "float32" if self.version == 2 else self.object("DTypePolicy", {"name": "float32"}, "keras")

    def initializer(self, name: str) -> Object:
        class_name, config = INITIALIZERS[name]
        return self.object(class_name, config, "keras.initializers")

    def layer(self, layer: Object) -> Object:
        given, name = dict(layer["config"]), layer["class_name"]
        for key in ("batch_input_shape", "input_dtype", "input_dim") if name != "Embedding" else ("batch_input_shape",):
            given.pop(key, None)
        config = {"name": given.pop("name"), "trainable": given.pop("trainable"), "dtype": self.dtype}
        if "nb_row" in given:
            config["kernel_size"] = [given.pop("nb_row"), given.pop("nb_col")]
        if "layer" in given:
            given["layer"] = self.layer(given["layer"])
        if name == "GRU":
            config |= {"reset_after": False}
        if "forget_bias_init" in given:
            config |= {"unit_forget_bias": given.pop("forget_bias_init") == "one", "return_state": False}
        renamed = RENAMED | EMBEDDED if name == "Embedding" else RENAMED
        for key, value in given.items():
            config |= self.argument(renamed.get(key, key), value)
        beside = {"build_config": {"input_shape": [None, 3]}}
        return self.object(CLASSES.get(name, name), config, "keras.layers", **beside)

    def argument(self, key: str, value: Any) -> Object:
        if key.endswith("_initializer"):
            return {key: self.initializer(value)}
        if key == "dim_ordering":
            return {"data_format": {"th": "channels_first", "tf": "channels_last"}[value]}
        gone = key in ("consume_less", "input_dtype") or (key == "dropout" and value is None)
        return {} if gone or (key == "input_length" and self.version == 3) else {key: value}

    def entry(self, layer: Object, name: str = "input_1") -> Object:
        shape = "batch_shape" if self.version == 3 else "batch_input_shape"
        dtype = layer["config"]["input_dtype"]
        config = {shape: layer["config"]["batch_input_shape"], "dtype": dtype, "sparse": False, "name": name}
        return self.object("InputLayer", config, "keras.layers")

    def around(self, name: str, config: Object) -> Object:
        whole = self.object(name, config, "keras", build_config={}, compile_config={})
        return whole if self.version == 3 else {**whole, "keras_version": "2.3.1", "backend": "tensorflow"}

    def sequential(self, model: Object) -> Object:
        layers = model["config"]
        rows = [self.entry(layers[0]), *(self.layer(each) for each in layers)]
        return self.around("Sequential", {"name": "sequential", "layers": rows})

    def branches(self, model: Object) -> Object:
        """Write a Sequential that begins with a Merge of rows as a functional model."""
        merge, *rest = model["config"]
        layers: list[Object] = []
        ends, inputs = [], []
        for index, branch in enumerate(merge["config"]["layers"]):
            inputs.append(f"input_{index + 1}")
            layers.append(self.entry(branch["config"][0], inputs[-1]) | {"name": inputs[-1], "inbound_nodes": []})
            before = inputs[-1]
            for each in branch["config"]:
                layers.append(self.called(self.layer(each), [before]))
                before = each["config"]["name"]
            ends.append(before)
        config = {"name": merge["config"]["name"], "axis": -1, "dtype": self.dtype}
        layers.append(self.called(self.object("Concatenate", config, "keras.layers"), ends))
        before = merge["config"]["name"]
        for each in rest:
            layers.append(self.called(self.layer(each), [before]))
            before = each["config"]["name"]
        entries = [[name, 0, 0] for name in inputs]
        graph = {"name": "model", "layers": layers, "input_layers": entries, "output_layers": [[before, 0, 0]]}
        return self.around("Functional" if self.version == 3 else "Model", graph)

    def called(self, layer: Object, names: list[str]) -> Object:
        if self.version == 2:
            nodes: Any = [[[name, 0, 0, {}] for name in names]]
        else:
            tensors = [
                {"class_name": "__keras_tensor__", "config": {"shape": [None], "keras_history": [name, 0, 0]}}
                for name in names
            ]
            nodes = [{"args": [tensors if len(names) > 1 else tensors[0]], "kwargs": {}}]
        return layer | {"name": layer["config"]["name"], "inbound_nodes": nodes}
