"""Custom losses and metrics: what they compute, how they are logged, and where they fail."""

import inspect
import json

import numpy as np
import pytest
import torch

from engine.compiled import Compile
from engine.errors import BadArgument, BadData, DefinitionError, TooLarge
from engine.expressions import read_expression
from engine.expressions.arguments import ARGUMENTS
from engine.expressions.table import FUNCTIONS
from tests.engine.yard import Notebook, plan_of, sequential, training

T = torch.tensor([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
P = torch.tensor([[0.2, 0.9], [0.6, 0.5], [-0.5, 3.0]])
MEAN_PRED = "def mean_pred(y_true, y_pred):\n    return K.mean(y_pred)"
FALSE_RATES = """
def false_rates(y_true, y_pred):
    '''Keras 1's example, filled in.'''
    guess = K.round(K.clip(y_pred, 0, 1))  # half to even
    false_neg = K.mean(y_true * (1 - guess))
    false_pos = K.mean((1 - y_true) * guess)
    return {
        'false_neg': false_neg,
        'false_pos': false_pos,
    }
"""


def read(source, **more):
    return read_expression({"name": "f", "source": source, **more})


def value(body, t=T, p=P):
    return read(f"lambda y_true, y_pred: {body}").values(t, p)


# -- what it computes ---------------------------------------------------------------------------

MEANS = [
    ("y_true - y_pred", T - P),
    ("-y_pred + +2.5e-1", 0.25 - P),
    ("2 * y_pred / 4 ** 2", P / 8),
    ("y_pred ** 2", P**2),
    ("2 ** y_pred", 2**P),
    ("y_pred // 0.5", P // 0.5),
    ("y_pred % 0.4", P % 0.4),
    ("y_pred > y_true", (P > T).float()),
    ("0.5 <= y_pred", (P >= 0.5).float()),
    ("y_true == K.round(y_pred)", (P.round() == T).float()),
    ("y_true != 1", (T != 1).float()),
    ("(y_pred < 0.5) + (y_pred >= 0.5)", torch.ones(3, 2)),
    ("y_pred[:, 0]", P[:, 0]),
    ("y_pred[..., -1]", P[:, 1]),
    ("y_pred[1:, 0:2:2]", P[1:, 0:2:2]),
    ("K.mean(y_pred)", P.mean()),
    ("K.mean(y_pred, -1)", P.mean(-1)),
    ("K.mean(y_pred, axis=[0, 1], keepdims=True)", P.mean((0, 1), keepdim=True)),
    ("K.mean(K.equal(K.argmax(y_true), K.argmax(y_pred)))", torch.tensor(2 / 3)),
    ("K.sum(y_pred, axis=0)", P.sum(0)),
    ("K.sum(K.greater(y_pred, 0.5))", torch.tensor(3.0)),
    ("K.prod(y_pred, axis=1)", P.prod(1)),
    ("K.prod(y_pred, keepdims=True)", P.prod().reshape(1, 1)),
    ("K.max(y_pred, axis=-1) - K.min(y_pred)", P.amax(-1) - P.min()),
    ("K.abs(y_pred) + K.sign(y_pred)", P.abs() + P.sign()),
    ("K.square(y_pred)", P.square()),
    ("K.sqrt(y_pred)", P.clamp(min=0).sqrt()),
    ("K.exp(y_pred) - K.log(y_true + K.epsilon())", P.exp() - (T + 1e-7).log()),
    ("K.log(10.) * y_pred", P * np.log(10)),
    ("K.pow(y_pred, 3)", P**3),
    ("K.clip(y_pred, K.epsilon(), 1 - K.epsilon())", P.clamp(1e-7, 1 - 1e-7)),
    ("K.maximum(y_pred, 0.) + K.minimum(y_true, y_pred)", P.clamp(min=0) + torch.minimum(T, P)),
    ("K.not_equal(y_true, 1)", (T != 1).float()),
    ("K.greater_equal(y_pred, y_true) + K.less(y_pred, y_true)", torch.ones(3, 2)),
    ("K.less_equal(y_pred, y_true)", (P <= T).float()),
    ("K.cast(y_pred * 2, 'int32')", (P * 2).int().float()),
    ("K.cast(y_pred > 0, K.floatx())", (P > 0).float()),
    ("K.argmin(y_pred, axis=0)", P.argmin(0).float()),
    ("K.softmax(y_pred)", P.softmax(-1)),
    ("K.sigmoid(y_pred) + K.tanh(y_pred)", P.sigmoid() + P.tanh()),
    ("K.relu(y_pred)", P.relu()),
    ("K.relu(y_pred, alpha=0.1, max_value=2)", torch.where(P > 0, P, 0.1 * P).clamp(max=2)),
    ("K.elu(y_pred)", torch.nn.functional.elu(P)),
    ("K.hard_sigmoid(y_pred)", (0.2 * P + 0.5).clamp(0, 1)),
    ("K.softplus(y_pred) - K.softsign(y_pred)", (1 + P.exp()).log() - P / (1 + P.abs())),
    ("K.sin(y_pred) + K.cos(y_pred)", P.sin() + P.cos()),
    ("K.l2_normalize(y_pred, axis=-1)", torch.nn.functional.normalize(P)),
    ("K.dot(y_true, K.transpose(y_pred))", T @ P.T),
    ("K.batch_flatten(K.expand_dims(y_pred))", P),
    ("K.squeeze(K.expand_dims(y_pred, 1), 1)", P),
    ("K.flatten(y_pred)", P.reshape(-1)),
    ("K.concatenate([y_true, y_pred], axis=0)", torch.cat([T, P])),
    ("K.zeros_like(y_pred) + K.ones_like(y_true)", torch.ones(3, 2)),
    ("K.any(y_pred > 1, axis=-1) + K.all(y_true)", torch.tensor([0.0, 0.0, 1.0])),
    ("K.std(y_pred, axis=0) + K.var(y_pred)", P.std(0, correction=0) + P.var(correction=0)),
    ("K.in_top_k(y_pred, K.argmax(y_true), 2)", torch.ones(3)),
    ("K.switch(y_true > 0, y_pred, -1)", torch.where(T > 0, P, -torch.ones(3, 2))),
    ("K.logsumexp(y_pred, axis=-1)", P.exp().sum(-1).log()),
    ("K.gather(y_pred, K.argmax(y_true))", P[T.argmax(-1)]),
    ("K.tile(y_pred, (2, 1))", torch.cat([P, P])),
    ("K.tile(y_pred, 2)", torch.cat([P, P], 1)),
    ("K.repeat_elements(y_pred, 2, axis=1)", P[:, [0, 0, 1, 1]]),
    ("K.repeat(y_pred, 4)", torch.stack([P] * 4, 1)),
    ("K.batch_dot(y_true, y_pred, axes=1)", (T * P).sum(1, keepdim=True)),
    ("K.batch_dot(K.repeat(y_true, 3), K.repeat(y_pred, 4), [2, 2])", (T * P).sum(1)[:, None, None].expand(3, 3, 4)),
    ("K.batch_dot(K.repeat(y_true, 3), K.expand_dims(y_pred))", (T * P).sum(1)[:, None, None].expand(3, 3, 1)),
    ("K.permute_dimensions(K.repeat(y_pred, 4), (0, 2, 1))", P[:, :, None].expand(3, 2, 4)),
    ("K.reshape(y_pred, (-1, 3))", P.reshape(2, 3)),
    ("K.reverse(y_pred, 1) + K.reverse(y_true, [0, 1])", P.flip(1) + T.flip(0, 1)),
    ("K.stack([y_true, y_pred])", torch.stack([T, P])),
    ("K.one_hot(K.argmax(y_pred), 3)", torch.eye(3)[P.argmax(-1)]),
    ("K.temporal_padding(K.expand_dims(y_pred), padding=2)", torch.nn.functional.pad(P, (2, 2))[..., None]),
]  # fmt: skip


@pytest.mark.parametrize(("body", "wanted"), MEANS, ids=[body for body, _ in MEANS])
def test_s49_a_function_of_k_computes_what_keras_1s_backend_does(body, wanted):
    ours = value(body)
    assert ours.dtype == torch.float32
    torch.testing.assert_close(ours, wanted.float())


def test_s49_every_function_of_k_is_computed_in_a_test():
    texts = " ".join(body for body, _ in MEANS) + " K.binary_crossentropy( K.categorical_crossentropy("
    assert [name for name in FUNCTIONS if f"K.{name}(" not in texts] == []


@pytest.mark.parametrize("logits", [False, True])
def test_the_crossentropies_of_k_take_the_output_first(logits):
    p = P if logits else P.softmax(-1)
    binary = value(f"K.binary_crossentropy(y_pred, y_true, from_logits={logits})", p=p)
    probability = p.sigmoid() if logits else p
    torch.testing.assert_close(binary, torch.nn.functional.binary_cross_entropy(probability, T, reduction="none"))
    categorical = value(f"K.categorical_crossentropy(y_pred, y_true, {logits})", p=p)
    torch.testing.assert_close(categorical, -(T * (p.softmax(-1) if logits else p).log()).sum(-1))


def test_every_parameter_of_k_has_a_reader():
    kinds = {p.annotation for name in FUNCTIONS for p in inspect.signature(FUNCTIONS[name]).parameters.values()}
    assert kinds - {"Tensor", "Operand", "list[Tensor]"} <= set(ARGUMENTS)


def test_local_names_may_be_assigned_again_and_constants_pass_through_them():
    custom = read("def f(t, p):\n  a = 2\n  p = p * a\n  a = p + a\n  return K.clip(a, 0, 3)")
    torch.testing.assert_close(custom.values(T, P), (P * 2 + 2).clamp(0, 3))


def test_a_custom_function_can_be_traced_for_the_compiler():
    from torch.fx.experimental.proxy_tensor import make_fx

    custom = read("lambda t, p: K.mean(K.square(t - p) * (p > 0.5) + K.log(2.), axis=-1)")
    traced = make_fx(lambda t, p: custom.values(t, p), tracing_mode="fake")(T, P)
    torch.testing.assert_close(traced(T + 1, P / 2), custom.values(T + 1, P / 2))


def test_a_row_that_is_not_there_is_no_number():
    taken = value("K.gather(y_pred, y_true * 3)")
    assert taken[0, 1].isnan().all()
    torch.testing.assert_close(taken[0, 0], P[0])
    torch.testing.assert_close(value("K.gather(y_pred, -y_true)")[0, 1], P[-1])


@pytest.mark.parametrize(
    ("body", "slopes"),
    [
        ("K.max(y_pred, axis=-1)", [1, 1]),
        ("K.min(y_pred, axis=-1)", [1, 1]),
        ("K.max(y_pred)", [1, 1]),
        ("K.maximum(y_pred, y_true)", [1, 1]),
        ("K.maximum(y_true, y_pred)", [0, 0]),
        ("K.minimum(y_pred, y_true)", [1, 1]),
        ("K.minimum(y_true, y_pred)", [0, 0]),
        ("K.maximum(y_pred, 0.)", [1, 1]),
        ("K.clip(y_pred, 0, 1)", [1, 1]),
        ("K.abs(y_pred)", [0, 0]),
        ("K.relu(y_pred)", [0.5, 0.5]),
        ("K.relu(y_pred, alpha=0.5)", [0.75, 0.75]),
    ],
)
def test_slopes_at_ties_are_theanos(body, slopes):
    t, p = torch.zeros(1, 2), torch.zeros(1, 2, requires_grad=True)
    value(body, t, p).sum().backward()
    torch.testing.assert_close(p.grad, torch.tensor([slopes], dtype=torch.float32))


@pytest.mark.parametrize("body", ["K.maximum(y_true, y_pred)", "K.minimum(y_true, y_pred)"])
@pytest.mark.parametrize("which", [0, 1])
def test_what_is_no_number_is_never_passed_over(body, which):
    pair = [torch.zeros(1), torch.zeros(1)]
    pair[which] += float("nan")
    assert value(body, *pair).isnan().all()


def test_what_shall_be_optimised_has_a_slope():
    p = P.clone().requires_grad_()
    read("lambda t, p: K.mean(K.square(t - p), axis=-1)").values(T, p).mean().backward()
    torch.testing.assert_close(p.grad, (P - T) / 3)


# -- in use -------------------------------------------------------------------------------------


def compiled(loss="mse", *metrics):
    return Compile.from_config({"optimizer": "sgd", "loss": loss, "metrics": list(metrics)})


def rows(n=10, width=2):
    rng = np.random.default_rng(3)
    return {"x": rng.normal(size=(n, 4)).astype("f4"), "y": rng.integers(0, 2, size=(n, width)).astype("f4")}


def body(loss="mse", metrics=(), width=2, **fit):
    return {
        "model": sequential(("Dense", {"output_dim": width, "input_dim": 4, "activation": "sigmoid"})),
        "compile": {"optimizer": "sgd", "loss": loss, "metrics": list(metrics)},
        "fit": {"x": "d/x", "y": "d/y", "batch_size": 4, "nb_epoch": 2, **fit},
        "predict": {"x": "d/x"},
    }


def test_s48_names_in_logs_are_keras_1s():
    mixed = compiled("binary_crossentropy", "accuracy", {"source": MEAN_PRED}, {"source": FALSE_RATES})
    assert mixed.metric_names() == ["loss", "acc", "mean_pred", "false_neg", "false_pos"]
    assert len(mixed.metric_functions((None, 2))) == 4


def test_s42_a_metric_that_stands_twice_is_numbered():
    mean = {"name": "mean", "source": "lambda t, p: K.mean(p)"}
    assert compiled("mse", mean, mean).metric_names() == ["loss", "mean_1", "mean_2"]


def test_two_metrics_may_not_share_a_name_in_the_logs():
    one, other = ({"name": name, "source": "lambda t, p: K.mean(p)"} for name in ("mean", "mean_1"))
    with pytest.raises(BadArgument, match="'mean_1'") as refusal:
        compiled("mse", one, one, other)
    assert refusal.value.where == "/metrics"


def test_a_custom_function_is_written_back_as_its_text():
    loss = {"source": "lambda t, p: K.square(t - p)"}
    written = compiled(loss, "acc", {"source": MEAN_PRED}).get_config()
    assert written["loss"] == {"name": "loss", **loss}
    assert written["metrics"] == ["acc", {"name": "mean_pred", "source": MEAN_PRED}]
    again = Compile.from_config(json.loads(json.dumps(written)))
    assert again.get_config() == written


def test_s43_s44_custom_metrics_are_logged_in_training_and_validation():
    data = rows()
    run = training(
        data, **body("mse", [{"source": MEAN_PRED}, {"source": FALSE_RATES}], validation_data=["d/x", "d/y"])
    )
    run.fit(Notebook())
    series = run.history["series"]
    names = ["loss", "mean_pred", "false_neg", "false_pos"]
    assert list(series) == [*names, *(f"val_{name}" for name in names)]
    predicted = run.predict(Notebook())
    guess, y = predicted.round(), data["y"]
    assert series["val_mean_pred"][-1] == pytest.approx(predicted.mean(), rel=1e-5)
    assert series["val_false_neg"][-1] == pytest.approx((y * (1 - guess)).mean(), rel=1e-5)
    assert series["val_false_pos"][-1] == pytest.approx(((1 - y) * guess).mean(), rel=1e-5)


def test_a_metric_that_is_no_scalar_is_reduced_by_its_mean():
    run = training(rows(), **body(metrics=[{"name": "rows", "source": "lambda t, p: K.square(t - p)"}, "mse"]))
    run.fit(Notebook())
    assert run.history["series"]["rows"] == pytest.approx(run.history["series"]["mean_squared_error"])


@pytest.mark.parametrize("reduced", ["K.mean(K.square(t - p), axis=-1)", "K.mean(K.square(t - p))", "K.square(t - p)"])
def test_s39_the_mean_of_a_custom_loss_is_minimised(reduced):
    custom = training(rows(), **body({"source": f"lambda t, p: {reduced}"}))
    named = training(rows(), **body("mse"))
    for run in (custom, named):
        run.fit(Notebook())
    assert custom.history["series"]["loss"] == pytest.approx(named.history["series"]["loss"], rel=1e-5)
    np.testing.assert_allclose(custom.weights()["dense_1/W"], named.weights()["dense_1/W"], atol=1e-6)


def test_s39_a_custom_loss_takes_weights_as_a_named_one_does():
    data = rows() | {"w": np.arange(10, dtype="f4")}
    runs = [
        training(data, **body(loss, sample_weight="d/w"))
        for loss in ("mse", {"source": "lambda t, p: K.mean(K.square(t - p), axis=-1)"})
    ]
    for run in runs:
        run.fit(Notebook())
    assert runs[0].history["series"]["loss"] == pytest.approx(runs[1].history["series"]["loss"], rel=1e-5)


def test_s39_a_custom_loss_may_take_targets_of_another_shape():
    loss = {"source": "lambda t, p: K.mean(K.square(t[:, 0:2] - p) * t[:, 2:], axis=-1)"}
    training(rows(width=3), **body(loss)).fit(Notebook())


@pytest.mark.parametrize(
    ("compile_", "where"),
    [
        ({"loss": {"source": "lambda t, p: t.x"}}, "/compile/loss/source"),
        ({"loss": {"source": "lambda t, p: {'a': p}"}}, "/compile/loss/source"),
        ({"loss": {"source": "def f(t, p):\n  p = K.mean(t)\n  return p"}}, "/compile/loss/source"),
        ({"loss": {"source": "lambda t, p: p", "name": ""}}, "/compile/loss/name"),
        ({"loss": {}}, "/compile/loss"),
        ({"loss": ["mse"]}, "/compile/loss"),
        ({"metrics": ["acc", {"name": "f", "source": "lambda t, p: t.x"}]}, "/compile/metrics/1/source"),
        ({"metrics": [{"source": "lambda t, p: p"}]}, "/compile/metrics/0/source"),
        ({"metrics": [{"source": MEAN_PRED}, 3]}, "/compile/metrics/1"),
    ],
)
def test_s130_a_bad_custom_function_is_refused_before_the_run_and_pointed_at(compile_, where):
    given = body()
    given["compile"] |= compile_
    with pytest.raises(DefinitionError) as refusal:
        plan_of(rows(), **given)
    assert refusal.value.where == where


def test_a_job_logs_only_so_many_metrics():
    many = {"source": f"lambda t, p: {{{', '.join(f'{name!r}: p' for name in map(str, range(30)))}}}"}
    with pytest.raises(TooLarge, match="50 metrics") as refusal:
        plan_of(rows(), **body(metrics=[many, many]))
    assert refusal.value.where == "/compile/metrics"


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("lambda t, p: p - t[:, 0:1, 0]", "line 1, column 18"),
        ("lambda t, p: p - K.concatenate([t, t])", "must match"),
        ("lambda t, p: K.mean(K.square(p), axis=0) + 0 * p[0, 5]", "out of bounds"),
        ("lambda t, p: K.mean(K.square(p), axis=0)", "for every sample"),
        ("lambda t, p: K.argmax(p)", "no gradient"),
        ("lambda t, p: K.squeeze(p, 0)", "not the length 1"),
        ("def f(t, p):\n" + "  p = K.concatenate([p, p])\n" * 40 + "  return K.mean(p)", "values"),
        ("def f(t, p):\n" + "  p = K.dot(p, K.transpose(p)) / p\n" * 2 + "  return K.mean(p)", "must match"),
    ],
)
def test_a_loss_that_does_not_fit_its_data_ends_the_run_with_a_place(source, says):
    run = training(rows(n=4), **body({"source": source}))
    with pytest.raises(BadData, match=says) as failure:
        run.fit(Notebook())
    assert failure.value.where == "/compile/loss/source"


def test_a_short_text_cannot_ask_for_all_memory():
    wide = "lambda t, p: K.mean(K.expand_dims(K.flatten(p), 0) * K.expand_dims(K.flatten(p), 1))"
    with pytest.raises(BadData, match="values"):
        read(wide).values(torch.zeros(1), torch.zeros(20_000))
    with pytest.raises(BadData, match="in all"):
        read("lambda t, p: " + "+".join(["K.abs(p)"] * 40)).values(torch.zeros(1), torch.zeros(1).expand(2**24))


def test_a_metric_that_does_not_fit_its_data_is_pointed_at():
    run = training(rows(), **body(metrics=["mse", {"name": "f", "source": "lambda t, p: p[:, 7]"}]))
    with pytest.raises(BadData) as failure:
        run.fit(Notebook())
    assert failure.value.where == "/compile/metrics/1/source"
