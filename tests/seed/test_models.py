"""Rows S01–S17 of the seed document, over HTTP: building a Sequential, and the shape of its input."""

import numpy as np
import pytest

from tests.seed.conftest import model_of

pytestmark = pytest.mark.xdist_group("seed")

FIRST = (
    ("Dense", {"output_dim": 32, "input_dim": 784}),
    ("Activation", {"activation": "relu"}),
    ("Dense", {"output_dim": 10}),
    ("Activation", {"activation": "softmax"}),
)


def predicted(service, x, *layers, **job):
    """Predict with fresh weights of the same seed; return the rows."""
    ran = service.run(seed=3, model=model_of(*layers), predict={"x": x}, **job)
    return service.predict(ran["id"], x), ran


def test_s01_s02_s04_a_list_of_layers_is_a_model_that_runs_in_order(service):
    told = service.model(*FIRST)
    assert told["inputs"][0]["shape"] == [None, 784]
    assert told["outputs"][0]["shape"] == [None, 10]
    assert told["parameters"]["total"] == 25450

    x = service.upload(x=np.random.default_rng(0).random((5, 784), dtype=np.float32))
    rows, job = predicted(service, f"{x}/x", *FIRST)

    np.testing.assert_allclose(rows.sum(1), 1.0, rtol=1e-5)
    assert (rows >= 0).all()
    weights = service.weights(job["id"])
    assert (weights["dense_1/dense_1_b"] == 0).all()
    assert np.abs(weights["dense_1/dense_1_W"]).max() <= np.sqrt(6 / (784 + 32))
    data = service.http.get(f"/v1/jobs/{job['id']}/artifacts/predictions.npz").content
    assert data[:2] == b"PK"


def test_s03_s05_a_model_grown_layer_by_layer_or_with_activations_inside_is_the_same(service):
    short = (
        ("Dense", {"output_dim": 32, "input_dim": 784, "activation": "relu"}),
        ("Dense", {"output_dim": 10, "activation": "softmax"}),
    )
    x = [[0.5] * 784]
    apart, _ = predicted(service, x, *FIRST)
    inside, _ = predicted(service, x, *short)
    assert apart.tolist() == inside.tolist()


def test_s06_a_first_layer_without_a_shape_is_refused_and_nothing_is_stored(service):
    before = len(service.get("/v1/models?page_size=200")["items"])
    service.refused(
        422, "/config/0/config", "batch_input_shape", "/v1/models", **model_of(("Dense", {"output_dim": 3}))
    )
    assert len(service.get("/v1/models?page_size=200")["items"]) == before


def test_s07_later_layers_infer_their_shapes(service):
    told = service.model(*FIRST)
    assert [row["output_shape"] for row in told["layers"]] == [[None, 32], [None, 32], [None, 10], [None, 10]]


def test_s08_s12_s13_s15_three_ways_to_give_the_shape_are_one_model(service):
    told = [
        service.model(("Dense", {"output_dim": 32, **shape}))
        for shape in ({"input_shape": [784]}, {"batch_input_shape": [None, 784]}, {"input_dim": 784})
    ]
    assert told[0]["definition"] == told[1]["definition"] == told[2]["definition"]
    assert told[0]["definition"]["config"][0]["config"]["batch_input_shape"] == [None, 784]
    assert told[0]["inputs"][0]["shape"] == [None, 784]
    assert {each["parameters"]["total"] for each in told} == {25120}
    assert len({each["sha256"] for each in told}) == 1


def test_s09_none_in_the_shape_is_any_length_until_a_layer_must_know(service):
    dense = ("Dense", {"output_dim": 3, "input_shape": [None, 4]})
    for length in (2, 5):
        rows, _ = predicted(service, [[[1.0] * 4] * length], dense)
        assert rows.shape == (1, length, 3)
    service.refused(422, "/config/1", "must know every axis", "/v1/models", **model_of(dense, ("Flatten", {})))


def test_s10_a_fixed_batch_takes_that_batch_only(service):
    data = service.upload(x=np.ones((32, 10), dtype=np.float32), odd=np.ones((20, 10), dtype=np.float32))
    model = model_of(("Dense", {"output_dim": 1, "batch_input_shape": [16, 10]}))
    ran = service.run(model=model, predict={"x": f"{data}/x", "batch_size": 16})
    assert ran["state"] == "succeeded"
    for array, size in (("odd", 16), ("x", 32)):
        service.refused(
            422, "/predict/batch_size", "exactly 16", model=model, predict={"x": f"{data}/{array}", "batch_size": size}
        )


def test_s11_a_stateful_layer_must_know_the_batch_size(service):
    body = model_of(("LSTM", {"output_dim": 32, "stateful": True, "input_shape": [10, 64]}))
    service.refused(422, "/config/0/config/batch_input_shape", "stateful", "/v1/models", **body)


@pytest.mark.parametrize(
    "shape",
    [{"input_shape": [10, 64]}, {"batch_input_shape": [None, 10, 64]}, {"input_length": 10, "input_dim": 64}],
)
def test_s14_s17_three_ways_to_declare_a_sequence_are_one(service, shape):
    told = service.model(("LSTM", {"output_dim": 32} | shape))
    assert told["inputs"][0]["shape"] == [None, 10, 64]
    assert told["outputs"][0]["shape"] == [None, 32]
    assert told["parameters"]["total"] == 12_416


def test_s16_a_free_batch_takes_any_number_of_rows(service):
    data = service.upload(**{f"x{rows}": np.ones((rows, 784), dtype=np.float32) for rows in (1, 7, 1000)})
    ran = service.run(model=model_of(*FIRST), predict={"x": f"{data}/x1"})
    for rows in (1, 7, 1000):
        assert service.predict(ran["id"], f"{data}/x{rows}").shape == (rows, 10)
