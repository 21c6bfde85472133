"""Rows S09, S11, S14, S16, S17, S86–S90 and S104–S121 of the seed document, over HTTP: recurrent layers."""

import numpy as np
import pytest

from tests.seed.conftest import example, model_of

pytestmark = pytest.mark.xdist_group("seed")

RNG = np.random.default_rng(41)
STATEFUL = model_of(("LSTM", {"output_dim": 4, "stateful": True, "batch_input_shape": [2, 3, 5]}))


def test_s14_s17_three_ways_to_give_a_sequences_shape_are_one_model(service):
    found = [
        service.model(("LSTM", {"output_dim": 32, **shape}))
        for shape in (
            {"input_shape": [10, 64]},
            {"batch_input_shape": [None, 10, 64]},
            {"input_length": 10, "input_dim": 64},
        )
    ]

    assert len({each["parameters"]["total"] for each in found} | {12_416}) == 1
    assert [each["outputs"][0]["shape"] for each in found] == [[None, 32]] * 3
    first = [each["definition"]["config"][0]["config"]["batch_input_shape"] for each in found]
    assert first == [[None, 10, 64]] * 3


def test_s14_input_dim_alone_leaves_the_length_open_and_input_length_alone_is_no_shape(service):
    found = service.model(("LSTM", {"output_dim": 32, "input_dim": 64}))
    assert found["inputs"][0]["shape"] == [None, None, 64]
    body = model_of(("LSTM", {"output_dim": 32, "input_length": 10}))
    service.refused(422, "/config/0/config", "input_shape", "/v1/models", **body)


def test_s09_s16_one_model_takes_sequences_and_batches_of_any_length(service):
    model = model_of(("LSTM", {"output_dim": 2, "input_shape": [None, 4]}))
    ran = service.run(model=model, predict={"x": [[[1.0] * 4] * 5]})
    for rows, length in ((1, 5), (3, 9)):
        assert service.predict(ran["id"], [[[1.0] * 4] * length] * rows).shape == (rows, 2)


@pytest.mark.parametrize("layer", ["SimpleRNN", "GRU", "LSTM"])
def test_s11_s112_a_stateful_layer_needs_its_batch_size(service, layer):
    body = model_of((layer, {"output_dim": 3, "stateful": True, "input_shape": [8, 16]}))
    service.refused(422, "/config/0/config/batch_input_shape", "batch size", "/v1/models", **body)


def test_s86_s87_s88_s89_the_sequence_classifier_has_the_guides_parameters_and_starts(service):
    job = example("lstm_classification")
    found = service.told(job["model"])
    assert found["parameters"]["total"] == 5_317_249
    assert [row["output_shape"] for row in found["layers"][:2]] == [[None, 80, 256], [None, 128]]

    small = model_of(
        ("Embedding", {"input_dim": 50, "output_dim": 8, "input_length": 6}),
        ("LSTM", {"output_dim": 4, "activation": "sigmoid", "inner_activation": "hard_sigmoid"}),
    )
    ran = service.run(seed=1, model=small, predict={"x": [[0] * 6]})
    weights = service.weights(ran["id"])
    assert np.abs(weights["embedding_1/embedding_1_W"]).max() <= 0.05
    assert (weights["lstm_1/lstm_1_b_f"] == 1).all()
    assert (weights["lstm_1/lstm_1_b_i"] == 0).all()


def test_s86_s130_an_index_beyond_the_vocabulary_is_a_typed_failure(service):
    data = service.upload(x=np.full((4, 80), 20_000))
    job = service.ended(service.submit(model=example("lstm_classification")["model"], predict={"x": f"{data}/x"}))

    assert (job["state"], job["error"]["class"], job["error"]["who"]) == ("failed", "user_data", "user")
    assert "20000" in job["error"]["detail"]


def test_s90_the_sequence_classifier_trains_and_is_judged(service):
    job = example("lstm_classification")
    job["fit"] |= {"x": {"random": [48, 80], "seed": 1, "high": 20_000}, "y": {"random": [48, 1], "high": 2}}
    job["fit"]["nb_epoch"] = 2
    job["evaluate"] |= {"x": job["fit"]["x"], "y": job["fit"]["y"]}
    ran = service.run(**job)

    assert list(ran["evaluation"]) == ["loss", "acc"]
    assert [len(each) for each in service.series(ran["id"]).values()] == [2, 2]


def test_s104_s106_s107_s108_s109_the_stacked_lstm_trains_on_soft_targets(service):
    job = example("stacked_lstm")
    found = service.told(job["model"])
    assert [row["output_shape"] for row in found["layers"][:3]] == [[None, 8, 32], [None, 8, 32], [None, 32]]
    assert found["parameters"]["total"] == 23_242

    series = service.series(service.run(**job)["id"])
    assert {name: len(each) for name, each in series.items()} == dict.fromkeys(
        ["loss", "acc", "val_loss", "val_acc"], 5
    )
    assert series["loss"][0] == pytest.approx(11.5, abs=0.5)
    for shape in ([100, 9, 16], [100, 8, 15]):
        wrong = job["fit"] | {"x": {"random": shape}}
        service.refused(422, "/fit/x", "(None, 8, 16)", **job | {"fit": wrong})


def test_s105_an_lstm_takes_no_input_without_steps(service):
    body = model_of(
        ("LSTM", {"output_dim": 3, "input_shape": [8, 16]}),
        ("LSTM", {"output_dim": 3}),
    )
    service.refused(422, "/config/1", "takes sequences", "/v1/models", **body)


def test_s110_s111_s113_s114_s117_a_stateful_layer_goes_on_where_the_batch_before_ended(service):
    x = RNG.random((2, 3, 5)).tolist()
    longer = RNG.random((2, 3, 5)).tolist()
    run = service.run(seed=2, model=STATEFUL, predict={"x": x + x, "batch_size": 2})
    twice = service.predict(run["id"], x + x, batch_size=2)
    assert not np.allclose(twice[:2], twice[2:])
    assert service.predict(run["id"], x, batch_size=2).tolist() == twice[:2].tolist()  # a prediction begins anew

    parts = service.predict(run["id"], x + longer, batch_size=2)[2:]
    whole = model_of(("LSTM", {"output_dim": 4, "input_shape": [6, 5]}))
    joined = [[*a, *b] for a, b in zip(x, longer, strict=True)]
    once = service.run(model=whole, weights={"job": run["id"]}, predict={"x": joined})
    np.testing.assert_allclose(parts, service.predict(once["id"], joined), atol=1e-6)

    swapped = service.predict(run["id"], x + longer[::-1], batch_size=2)[2:]
    assert not np.allclose(swapped[::-1], parts)


def test_s112_s114_s115_s116_the_stateful_stack_trains_with_a_warning_of_shuffling(service):
    job = example("stateful_lstm")
    checked = service.http.post("/v1/validations", json=job)
    assert checked.status_code == 200, checked.text
    assert any("shuffle" in each["detail"] for each in checked.json()["warnings"])

    series = service.series(service.run(**job)["id"])
    assert {name: len(each) for name, each in series.items()} == dict.fromkeys(
        ["loss", "acc", "val_loss", "val_acc"], 5
    )


@pytest.mark.parametrize(
    ("change", "says"),
    [({"x": {"random": [330, 8, 16]}, "y": {"random": [330, 10]}}, "330"), ({"batch_size": 16}, "exactly 32")],
)
def test_s115_s116_stateful_batches_must_come_out_even(service, change, says):
    job = example("stateful_lstm")
    service.refused(422, "/fit/batch_size", says, **job | {"fit": job["fit"] | change})


def test_s116_s117_states_are_forgotten_when_the_job_says_so(service):
    base = {
        "seed": 4,
        "model": STATEFUL,
        "compile": {"optimizer": {"class_name": "SGD", "config": {"lr": 0.0}}, "loss": "mse"},
    }
    fit = {"x": {"random": [4, 3, 5]}, "y": {"random": [4, 4]}, "batch_size": 2, "nb_epoch": 3, "shuffle": False}
    losses = {
        when: service.series(service.run(**base, fit=fit | {"reset_states": when})["id"])["loss"]
        for when in ("never", "epoch")
    }

    assert losses["epoch"][0] == losses["epoch"][1] == losses["epoch"][2]
    assert losses["never"][0] == losses["epoch"][0] != losses["never"][1]


def test_s118_s119_s120_s121_two_encoders_train_with_validation_of_two_inputs(service):
    job = example("two_encoders")
    found = service.told(job["model"])
    assert found["parameters"]["total"] == 14_954
    assert [each["shape"] for each in found["inputs"]] == [[None, 8, 16], [None, 8, 16]]
    assert found["layers"][0]["output_shape"] == [None, 64]
    assert [branch["name"] for branch in found["layers"][0]["branches"]] == ["encoder_a", "encoder_b"]

    series = service.series(service.run(**job)["id"])
    assert {name: len(each) for name, each in series.items()} == dict.fromkeys(
        ["loss", "acc", "val_loss", "val_acc"], 5
    )
