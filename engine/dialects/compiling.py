"""What later Keras compiles a model with, in Keras 1's words: its optimizers, losses and metrics.

It is read as later Keras's where its optimizer is written so (`learning_rate`), or where it is what Keras saves beside
a model. A bare name, such as "adam", is Keras 1's optimizer with Keras 1's defaults.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.dialects.config import Config, Way, dropped, only, to, translated
from engine.dialects.parts import check_dtype, opened
from engine.dialects.sent import Sent
from engine.dialects.speech import Spoken
from engine.dialects.translation import Note, Translation
from engine.errors import BadArgument, within
from engine.registry import shown

#: Keys that only later optimizers print; those without them are of before TensorFlow 2.11.
MODERN = frozenset({"weight_decay", "use_ema", "loss_scale_factor", "gradient_accumulation_steps", "global_clipnorm"})
ONE_NORM = 'Here one norm is taken of all gradients together: write "global_clipnorm".'


def _rate(config: Config, key: str, value: Any) -> None:
    if isinstance(value, Mapping):
        raise BadArgument(
            "A schedule of learning rates is given by the callback LearningRateScheduler of `fit`, as a table; write a "
            "number here."
        )
    config.put("lr", value, key)


OPTIMIZER: dict[str, Way] = {
    "name": dropped,
    "learning_rate": _rate,
    "clipnorm": only(None, advice=ONE_NORM),
    "global_clipnorm": to("clipnorm"),
    "weight_decay": only(None, advice="Give the layers a regularizer instead."),
    "use_ema": only(False),
    "ema_momentum": dropped,
    "ema_overwrite_frequency": dropped,
    "loss_scale_factor": only(None),
    "gradient_accumulation_steps": only(None),
    "jit_compile": dropped,
    "is_legacy_optimizer": dropped,
    "amsgrad": only(False),
    "centered": only(False),
    "initial_accumulator_value": to("start"),
}
#: What Keras 3 has where nothing is said, and what its formulas are called here.
MODERN_DEFAULTS: dict[str, dict[str, Any]] = {
    "SGD": {},
    "Adam": {"epsilon": 1e-7},
    "Adamax": {"lr": 0.001, "epsilon": 1e-7},
    "Nadam": {"lr": 0.001, "epsilon": 1e-7, "schedule_decay": 1.0},
    "RMSprop": {"epsilon": 1e-7, "epsilon_inside": True},
    "Adagrad": {"lr": 0.001, "epsilon": 1e-7, "epsilon_inside": True, "start": 0.1},
    "Adadelta": {"lr": 0.001, "epsilon": 1e-7},
}
#: The classes of losses and metrics, by Keras 1's name.
LOSSES = {
    "MeanSquaredError": "mean_squared_error",
    "MeanAbsoluteError": "mean_absolute_error",
    "MeanAbsolutePercentageError": "mean_absolute_percentage_error",
    "MeanSquaredLogarithmicError": "mean_squared_logarithmic_error",
    "BinaryCrossentropy": "binary_crossentropy",
    "CategoricalCrossentropy": "categorical_crossentropy",
    "SparseCategoricalCrossentropy": "sparse_categorical_crossentropy",
    "Hinge": "hinge",
    "SquaredHinge": "squared_hinge",
    "KLDivergence": "kullback_leibler_divergence",
    "Poisson": "poisson",
}
METRICS = LOSSES | {
    "BinaryAccuracy": "binary_accuracy",
    "CategoricalAccuracy": "categorical_accuracy",
    "SparseCategoricalAccuracy": "sparse_categorical_accuracy",
    "TopKCategoricalAccuracy": "top_k_categorical_accuracy",
}
NAMES = {"kl_divergence": "kullback_leibler_divergence", "kld": "kullback_leibler_divergence"}
ABSENT = ("cosine_similarity", "huber", "huber_loss", "log_cosh", "logcosh", "categorical_hinge")
#: Arguments of losses and metrics that may only say what Keras 1 does.
ARGUMENTS: Mapping[str, tuple[Any, ...]] = {
    "reduction": ("sum_over_batch_size", "auto", None),
    "from_logits": (False,),
    "label_smoothing": (0, 0.0),
    "axis": (-1,),
    "ignore_class": (None,),
    "threshold": (0.5,),
    "k": (5,),
}
#: What stands beside optimizer and loss, and means nothing to the numbers or must say nothing.
BESIDE: dict[str, Way] = {
    "optimizer_config": to("optimizer"),
    "loss_weights": only(None, [1.0]),
    "weighted_metrics": only(None, []),
    "run_eagerly": dropped,
    "steps_per_execution": dropped,
    "jit_compile": dropped,
    "auto_scale_loss": dropped,
}


def translate_compile(value: Any) -> Translation:
    """Read what a model is compiled with, as Keras 1, 2 or 3 has it.

    Raises:
        DefinitionError: It cannot be said in Keras 1's words; `where` points at the spot.
    """
    if not isinstance(value, Mapping):
        return Translation(value)
    config = Config("compile", value, "", Spoken(1))
    translated(config, BESIDE)
    new, notes = config.new, []
    if config.renamed or config.dropped:
        notes.append({"pointer": "", "detail": "Read as what Keras saves beside a model."})
    if isinstance(new.get("optimizer"), Mapping):
        key = "optimizer_config" if "optimizer_config" in value else "optimizer"
        with within(key):
            new["optimizer"] = _optimizer(new["optimizer"], f"/{key}", notes)
    if "loss" in new:
        with within("loss"):
            new["loss"] = _named(new["loss"], LOSSES, "loss", notes, "/loss")
    if isinstance(new.get("metrics"), list):
        new["metrics"] = [_metric(each, index, notes) for index, each in enumerate(new["metrics"])]
    return Translation(new, notes)


def _metric(value: Any, index: int, notes: list[Note]) -> Any:
    with within("metrics", index):
        return _named(value, METRICS, "metric", notes, f"/metrics/{index}")


def _optimizer(value: Mapping[str, Any], at: str, notes: list[Note]) -> Any:
    name, given = value.get("class_name"), value.get("config", {})
    if not isinstance(name, str) or not isinstance(given, Mapping):
        return value
    name = name.removeprefix("Custom>")
    modern = "module" in value or bool(MODERN & set(given))
    if not modern and "learning_rate" not in given:
        return value
    opened({**value, "class_name": name})
    config = Config(name, given, f"{at}/config", Spoken(3))
    with within("config"):
        translated(config, _ways(name, modern))
    for key, default in (MODERN_DEFAULTS.get(name, {}) if modern else {"epsilon": 1e-7}).items():
        if name != "SGD":
            config.imply(key, default)
    new = Sent(at)
    new.put("class_name", name, f"{at}/class_name")
    new.put("config", config.new, f"{at}/config")
    whose = "Keras 3" if modern else "Keras 2"
    notes.append(
        {"pointer": at, "detail": f"{name} as {whose} has it: `learning_rate` is `lr`, and its own formulas hold."}
    )
    return new


def _ways(name: str, modern: bool) -> dict[str, Way]:
    ways = dict(OPTIMIZER)
    if name == "RMSprop":
        ways["momentum"] = only(0, 0.0)
    if name == "Nadam" and not modern:
        ways["decay"] = to("schedule_decay")
    return ways


def _named(value: Any, classes: Mapping[str, str], what: str, notes: list[Note], at: str) -> Any:
    """Read a loss or a metric, which may be an object."""
    if isinstance(value, str):
        if value in ABSENT:
            raise BadArgument(
                f"Keras 1 has no {what} {shown(value)}. Write it as a function of (y_true, y_pred): "
                '{"name": …, "source": "lambda t, p: …"}.'
            )
        return NAMES.get(value, value)
    if not isinstance(value, Mapping) or "class_name" not in value:
        return value
    name, config = opened(value)
    if name not in classes:
        raise BadArgument(f"There is no {what} {shown(name)} here; there are: {', '.join(classes)}.", "/class_name")
    for key, each in config.items():
        with within("config", key):
            _check_argument(key, each)
    notes.append({"pointer": at, "detail": f"{name} is `{classes[name]}` in Keras 1."})
    return classes[name]


def _check_argument(key: str, value: Any) -> None:
    if key == "dtype":
        check_dtype(value)
    elif key not in ("name", "fn") and value not in ARGUMENTS.get(key, ()):
        told = ARGUMENTS.get(key)
        hint = f"it must be {shown(told[0])}" if told else "there is no such argument here"
        advice = " Let the last layer have the activation, sigmoid or softmax." if key == "from_logits" else ""
        raise BadArgument(f"`{key}` is {shown(value)}, but {hint}.{advice}")
