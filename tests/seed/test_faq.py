"""Row S126 of the seed document, over HTTP: what the page of frequent questions shows."""

import io

import numpy as np
import pytest

from tests.seed.conftest import model_of

pytestmark = pytest.mark.xdist_group("seed")

RNG = np.random.default_rng(21)
FIRST = ("Dense", {"output_dim": 6, "input_dim": 4, "activation": "tanh", "name": "first"})
LAST = ("Dense", {"output_dim": 1, "name": "last"})
X = RNG.random((40, 4), dtype=np.float32)
Y = X.sum(1, keepdims=True)
COMPILE = {"optimizer": {"class_name": "Adam", "config": {"lr": 0.01}}, "loss": "mse"}


@pytest.fixture(scope="module")
def data(service):
    return service.upload(x=X, y=Y, x_end=X[30:])


def fit(data, **options):
    return {"x": f"{data}/x", "y": f"{data}/y", "nb_epoch": 3, **options}


def job(data, *layers, weights=None, **options):
    return {
        "seed": 5,
        "model": model_of(*(layers or (FIRST, LAST))),
        "compile": COMPILE,
        "fit": fit(data, **options),
        **({"weights": weights} if weights else {}),
    }


@pytest.fixture(scope="module")
def done(service, data):
    return service.run(**job(data))["id"]


def artifact(service, job_id, name):
    return service.http.get(f"/v1/jobs/{job_id}/artifacts/{name}", follow_redirects=True)


def test_s126_an_architecture_is_saved_as_json_and_loaded_again(service, data, done):
    saved = artifact(service, done, "model.json").json()

    again = service.run(**job(data) | {"model": saved})

    assert service.digest(again["id"], "weights.safetensors") == service.digest(done, "weights.safetensors")


@pytest.mark.parametrize("by_name", [False, True], ids=["by position", "by name"])
def test_s126_weights_are_saved_and_loaded(service, data, done, by_name):
    file = artifact(service, done, "weights.h5").content
    answer = service.http.post("/v1/weights", files={"file": ("weights.h5", file)})
    assert answer.status_code == 201, answer.text
    weights = {"id": answer.json()["id"], "by_name": by_name}

    loaded = service.run(model=model_of(FIRST, LAST), weights=weights, predict={"x": f"{data}/x"})
    arrays = np.load(io.BytesIO(artifact(service, loaded["id"], "predictions.npz").content))

    np.testing.assert_allclose(arrays["y"], service.predict(done, f"{data}/x"), rtol=1e-6)


def test_s126_a_whole_model_goes_on_with_its_optimizer_where_it_stopped(service, data):
    straight = service.run(**job(data, nb_epoch=4, shuffle=False))
    half = service.run(**job(data, nb_epoch=2, shuffle=False))
    rest = service.run(**job(data, nb_epoch=2, shuffle=False, weights={"job": half["id"], "optimizer": True}))

    series = [service.series(each["id"])["loss"] for each in (straight, half, rest)]
    np.testing.assert_allclose(series[0], [*series[1], *series[2]], rtol=1e-5)


def test_s126_what_a_layer_in_the_middle_gives_is_asked_of_a_shorter_model_of_the_same_names(service, data, done):
    weights = {"job": done, "by_name": True}
    middle = service.run(model=model_of(FIRST), weights=weights, predict={"x": f"{data}/x"})
    arrays = np.load(io.BytesIO(artifact(service, middle["id"], "predictions.npz").content))

    found = service.weights(done)
    w, b = (next(each for name, each in found.items() if name.endswith(end)) for end in ("first_W", "first_b"))
    np.testing.assert_allclose(arrays["y"], np.tanh(X @ w + b), atol=1e-6)


def test_s126_training_stops_when_the_validation_loss_no_longer_falls(service, data):
    stop = {"class_name": "EarlyStopping", "config": {"monitor": "val_loss", "patience": 2, "min_delta": 1000}}

    ended = service.run(**job(data, nb_epoch=50, validation_split=0.25, callbacks=[stop]))

    assert len(service.series(ended["id"])["loss"]) == 4


def test_s126_the_validation_split_is_the_last_share_of_the_samples(service, data):
    split = service.run(**job(data, validation_split=0.25))
    apart = service.predict(split["id"], f"{data}/x_end")

    expected = np.square(apart - Y[30:]).mean()
    assert service.series(split["id"])["val_loss"][-1] == pytest.approx(expected, rel=1e-4)


def test_s126_a_frozen_layer_stays_as_it_is(service, data, done):
    frozen = service.run(**job(data, (FIRST[0], FIRST[1] | {"trainable": False}), LAST, weights={"job": done}))

    before, after = service.weights(done), service.weights(frozen["id"])
    assert [name for name in before if not np.array_equal(before[name], after[name])] == [
        name for name in before if "last_" in name
    ]


def test_s126_a_layer_is_popped_by_leaving_it_out(service, data, done):
    popped = job(data, FIRST, ("Dense", {"output_dim": 1, "name": "other"}), weights={"job": done, "by_name": True})

    ended = service.run(**popped | {"fit": fit(data, nb_epoch=0)})

    before, after = service.weights(done), service.weights(ended["id"])
    kept = [name for name in before if "first_" in name]
    assert kept
    assert all(np.array_equal(before[name], after[name]) for name in kept)
