"""Rows S18–S34, S54 and S56 of the seed document, over HTTP: branches and how they are merged."""

import json

import numpy as np
import pytest

from tests.seed.conftest import model_of

pytestmark = pytest.mark.xdist_group("seed")

RNG = np.random.default_rng(21)
COMPILE = {"optimizer": "rmsprop", "loss": "categorical_crossentropy"}


def dense(*shape, width=3, **config):
    return model_of(("Dense", {"output_dim": width, "input_shape": list(shape), **config}))


def merge(*branches, **config):
    return ("Merge", {"layers": list(branches), **config})


def two(mode, *after, width=32, **config):
    """The seed's two branches of 784 inputs."""
    return model_of(merge(dense(784, width=width), dense(784, width=width), mode=mode, **config), *after)


@pytest.fixture(scope="module")
def data(service):
    labels = RNG.integers(0, 10, (1000, 1))
    return service.upload(
        a=RNG.random((1000, 784)), b=RNG.random((1000, 784)), labels=labels, y=np.eye(10)[labels[:, 0]]
    )


def joined(service, model, *x):
    """Predict with fresh weights; return the rows and the weights by name."""
    job = service.run(seed=3, model=model, predict={"x": list(x)})
    return service.predict(job["id"], list(x)), service.weights(job["id"])


def test_s18_s19_s20_s34_two_branches_begin_a_model(service):
    found = service.told(two("concat", ("Dense", {"output_dim": 10, "activation": "softmax"})))

    assert [each["shape"] for each in found["inputs"]] == [[None, 784], [None, 784]]
    join, last = found["layers"]
    assert join["input_shape"] == [[None, 32], [None, 32]]
    assert join["output_shape"] == [None, 64]
    assert [[row["class_name"] for row in branch["layers"]] for branch in join["branches"]] == [["Dense"], ["Dense"]]
    assert last["output_shape"] == [None, 10]
    assert found["parameters"]["total"] == 50_890


def test_s18_a_merge_takes_two_branches_or_more(service):
    service.refused(
        422, "/config/0/config/layers", "two layers or more", "/v1/models", **model_of(merge(dense(784), mode="sum"))
    )


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("sum", lambda a, b: a + b),
        ("mul", lambda a, b: a * b),
        ("ave", lambda a, b: (a + b) / 2),
        ("max", np.maximum),
        ("concat", lambda a, b: np.concatenate([a, b], -1)),
        ("dot", lambda a, b: (a * b).sum(-1, keepdims=True)),
        ("cos", lambda a, b: (a * b).sum(-1, keepdims=True) / np.linalg.norm(a, axis=-1, keepdims=True)
            / np.linalg.norm(b, axis=-1, keepdims=True)),
    ],
)  # fmt: skip
def test_s21_s22_s23_s24_s25_s26_s27_a_mode_joins_the_branches(service, mode, expected):
    x = RNG.random((4, 5)).tolist()
    rows, weights = joined(service, model_of(merge(dense(5), dense(5), mode=mode)), x, x)
    a, b = (np.array(x) @ weights[f"dense_{n}/dense_{n}_W"] for n in (1, 2))

    np.testing.assert_allclose(rows, expected(a, b), rtol=1e-4, atol=1e-6)


def test_s21_the_mode_is_sum_unless_told_and_unequal_shapes_are_named(service):
    branches = [dense(5), dense(5)]
    assert service.told(model_of(merge(*branches)))["definition"]["config"][0]["config"]["mode"] == "sum"
    service.refused(422, "/config/0", "(None, 3)", "/v1/models", **model_of(merge(dense(5), dense(5, width=4))))


def test_s22_branches_are_concatenated_along_any_axis(service):
    found = service.told(model_of(merge(dense(2, 3), dense(5, 3), mode="concat", concat_axis=1)))
    assert found["outputs"][0]["shape"] == [None, 7, 3]
    service.refused(
        422,
        "/config/0",
        "equal but for axis 2",
        "/v1/models",
        **model_of(merge(dense(2, 3), dense(5, 3), mode="concat")),
    )


def test_s25_a_product_is_summed_over_the_axes_told_by_either_name(service):
    assert service.told(model_of(merge(dense(3), dense(3), mode="dot")))["outputs"][0]["shape"] == [None, 1]
    long = merge(dense(2, 4), dense(5, 4), mode="dot", dot_axis=-1)
    assert service.told(model_of(long))["outputs"][0]["shape"] == [None, 2, 5]
    crossed = merge(dense(3, 4, width=2), dense(3, 4, width=5), mode="dot", dot_axes=[1, 1])
    assert service.told(model_of(crossed))["outputs"][0]["shape"] == [None, 2, 5]
    three = merge(dense(3), dense(3), dense(3), mode="dot")
    service.refused(422, "/config/0/config/layers", "two layers", "/v1/models", **model_of(three))


def test_s26_the_cosine_of_equal_rows_is_one_and_of_zeros_no_nan(service):
    frozen = {"init": "identity", "bias": False}
    model = model_of(merge(dense(3, **frozen), dense(3, **frozen), mode="cos"))
    a, b = [[1.0, 2.0, 3.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]], [[2.0, 4.0, 6.0], [0.0, 5.0, 0.0], [1.0, 1.0, 1.0]]
    rows, _ = joined(service, model, a, b)

    np.testing.assert_allclose(rows, [[1.0], [0.0], [0.0]], atol=1e-6)


def test_s28_s54_s55_s56_a_model_of_two_inputs_trains_on_a_list_or_on_names(service, data):
    model = two("concat", ("Dense", {"output_dim": 10, "activation": "softmax"}))
    one_hot = {"to_categorical": f"{data}/labels", "nb_classes": 10}
    x = [f"{data}/a", f"{data}/b"]
    named = {"dense_1_input": x[0], "dense_2_input": x[1]}
    jobs = [
        service.run(
            seed=5, model=model, compile=COMPILE, fit={"x": each, "y": one_hot, "nb_epoch": 2, "batch_size": 32}
        )
        for each in (x, named)
    ]

    series = service.series(jobs[0]["id"])
    assert list(series) == ["loss"]
    assert series["loss"][0] > 2.0
    assert series == service.series(jobs[1]["id"])
    for wrong, says in ((x[:1], "lists 1 array"), (x[0], "is one array"), ([*x, x[0]], "lists 3 arrays")):
        service.refused(422, "/fit/x", says, model=model, compile=COMPILE, fit={"x": wrong, "y": one_hot})


def test_s29_s30_any_function_may_join_and_needs_no_output_shape(service, data):
    mode = {"source": "lambda x: x[0] - x[1]"}
    assert service.told(two(mode))["outputs"][0]["shape"] == [None, 32]

    x = [RNG.random((4, 784)).tolist() for _ in range(2)]
    rows, weights = joined(service, two(mode), *x)
    a, b = (np.array(x[n]) @ weights[f"dense_{n + 1}/dense_{n + 1}_W"] for n in range(2))
    np.testing.assert_allclose(rows, a - b, rtol=1e-4, atol=1e-5)

    model = two(mode, ("Dense", {"output_dim": 10, "activation": "softmax"}))
    fit = {"x": [f"{data}/a", f"{data}/b"], "y": f"{data}/y", "nb_epoch": 1}
    before, after = (
        service.weights(service.run(seed=5, model=each, compile=COMPILE, fit=fit | {"nb_epoch": epochs})["id"])
        for epochs, each in ((0, model), (1, service.told(model)["definition"]))
    )
    assert all((before[f"dense_{n}/dense_{n}_W"] != after[f"dense_{n}/dense_{n}_W"]).any() for n in (1, 2))


def test_s29_s31_functions_of_k_and_their_shapes_are_checked(service):
    mode = {"source": "lambda x: K.concatenate([x[0] * x[1], x[0]], axis=-1)"}
    for shape in (None, [64], {"source": "lambda shapes: (shapes[0][0], 2 * shapes[0][1])"}):
        assert service.told(two(mode, output_shape=shape))["outputs"][0]["shape"] == [None, 64]
    service.refused(422, "/config/0/config/output_shape", "64", "/v1/models", **two(mode, output_shape=[65]))


def test_s30_s130_code_that_is_no_arithmetic_is_refused_with_its_place(service):
    for source in (
        "lambda x: __import__('os').system('true')",
        "lambda x: x[0].__class__",
        "lambda x: open('/etc/passwd')",
    ):
        answer = service.http.post("/v1/models", json=two({"source": source}))
        problem = answer.json()
        assert answer.status_code == 422
        assert problem["errors"][0]["pointer"] == "/config/0/config/mode/source"
        assert "Line 1, column" in problem["errors"][0]["detail"]


def test_s32_branches_nest_and_inputs_are_in_depth_first_order(service):
    inner = model_of(merge(dense(2), dense(3), mode="sum"), ("Activation", {"activation": "tanh"}))
    found = service.told(model_of(merge(inner, dense(4), dense(5), mode="ave"), ("Dense", {"output_dim": 2})))

    assert [each["shape"][1] for each in found["inputs"]] == [2, 3, 4, 5]
    assert found["outputs"][0]["shape"] == [None, 2]


def test_s32_a_branch_that_stands_twice_is_one_branch_with_one_input(service):
    shared = dense(4, name="shared")
    found = service.told(model_of(merge(shared, shared, mode="concat")))

    assert len(found["inputs"]) == 1
    assert found["parameters"]["total"] == 4 * 3 + 3
    assert found["outputs"][0]["shape"] == [None, 6]


def test_s33_a_functional_model_without_an_output_is_refused_in_words(service):
    functional = {
        "class_name": "Model",
        "config": {"name": "model_1", "layers": [], "input_layers": [], "output_layers": []},
    }
    service.refused(422, "/config/output_layers", "must have one output", "/v1/models", **functional)


def test_s30_s126_a_trained_merge_is_loaded_again_by_its_exported_definition(service, data):
    model = two({"source": "lambda x: x[0] - x[1]"}, ("Dense", {"output_dim": 10, "activation": "softmax"}))
    fit = {"x": [f"{data}/a", f"{data}/b"], "y": f"{data}/y", "nb_epoch": 1}
    job = service.run(seed=5, model=model, compile=COMPILE, fit=fit)
    exported = service.http.get(f"/v1/jobs/{job['id']}/artifacts/model.json", follow_redirects=True).json()
    x = [RNG.random((4, 784)).tolist() for _ in range(2)]

    again = service.run(model=exported, weights={"job": job["id"]}, predict={"x": x})

    assert json.dumps(exported)
    assert service.predict(again["id"], x).tolist() == service.predict(job["id"], x).tolist()
