"""Rows S58–S63 of the seed document, over HTTP: Keras 1's example scripts, on slices of their examples' data."""

import io
import json
import math
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from examples.lstm_text_generation import generate
from examples.lstm_text_generation.data import ALPHABET
from tests.seed.conftest import EXAMPLES, model_of
from trainyard import jobfile
from trainyard.http import Client

pytestmark = pytest.mark.xdist_group("seed")

SLICES = Path(__file__).parent / "slices"


def script(name, data=None, **fit):
    """Read a script's job, with its data in place and other arguments of fit where a test asks for them."""
    job = json.loads((EXAMPLES.parent / name / "job.json").read_text())
    job["fit"] |= fit
    return jobfile.with_data(job, data or "ds")


def slice_of(service, name):
    with np.load(SLICES / f"{name}.npz") as file:
        return service.upload(**{each: file[each] for each in file.files})


def parameters(service, job):
    answer = service.http.post("/v1/models", json=job["model"])
    assert answer.status_code == 201, answer.text
    return answer.json()["parameters"]["total"]


def trained(service, name, data=None, **fit):
    """Run a script's job on its slice; return the job and its series."""
    job = service.run(**script(name, slice_of(service, data or name), **fit))
    return job, service.series(job["id"])


def test_s58_the_cifar10_convnet_has_the_scripts_parameters_on_its_colour_images(service):
    job = script("cifar10_cnn")
    job["model"]["config"][0]["config"]["input_shape"] = [32, 32, 3]

    assert parameters(service, job) == 1_250_858


def test_s58_the_convnet_trains_on_images_that_are_shifted_and_mirrored_as_they_come(service):
    fed = {"nb_epoch": 2, "samples_per_epoch": 64, "nb_val_samples": 64, "shuffle": False}
    moved, series = trained(service, "cifar10_cnn", **fed)
    again, _ = trained(service, "cifar10_cnn", **fed)
    still, _ = trained(service, "cifar10_cnn", **fed, augmentation=None)

    digests = [service.digest(job["id"], "weights.safetensors") for job in (moved, again, still)]
    assert digests[0] == digests[1] != digests[2]
    assert moved["progress"]["step"] == 4
    assert len(series["val_acc"]) == 2
    assert 0 < moved["evaluation"]["loss"] < 10


def test_s58_a_wrong_augmentation_is_refused_with_its_place(service):
    job = script("cifar10_cnn", slice_of(service, "cifar10_cnn"), augmentation={"width_shift": 0.1})
    service.refused(422, "/fit/augmentation/width_shift", "width_shift_range", **job)


def test_s59_the_imdb_lstm_reads_words_that_are_padded_in_front_to_eighty(service):
    assert parameters(service, script("imdb_lstm")) == 2_691_713
    job, series = trained(service, "imdb_lstm", nb_epoch=1, samples_per_epoch=96, nb_val_samples=64)

    assert list(series) == ["loss", "acc", "val_loss", "val_acc"]
    assert job["evaluation"]["acc"] > 0.6
    short, long = [1, 7, 9], [*range(4, 60), *range(4, 60)]
    y = service.predict(job["id"], {"pad_sequences": [short, long], "maxlen": 80})
    by_hand = service.predict(job["id"], [[0] * 77 + short, long[-80:]])
    np.testing.assert_array_equal(y, by_hand)


def test_s59_words_may_be_uploaded_as_lists_of_different_lengths(service):
    words = [[3, 1, 4], [1, 5, 9, 2, 6], [5]]
    answer = service.http.post(
        "/v1/datasets",
        files={"file": ("data.json", json.dumps({"words": words, "y": [0, 1, 0]}))},
        data={"name": "words"},
    )
    assert answer.status_code == 201, answer.text
    told = answer.json()
    layers = ("Embedding", {"input_dim": 10, "output_dim": 2, "input_length": 4}), ("Flatten", {})
    sequences = {"sequences": f"{told['id']}/words", "offsets": f"{told['id']}/words.offsets"}

    job = {"model": model_of(*layers), "predict": {"x": {"pad_sequences": sequences, "maxlen": 4}}}
    ended = service.run(**job)

    assert told["arrays"]["words.offsets"]["shape"] == [4]
    by_hand = service.predict(ended["id"], [[0, 3, 1, 4], [5, 9, 2, 6], [0, 0, 0, 5]])
    found = service.http.get(f"/v1/jobs/{ended['id']}/artifacts/predictions.npz", follow_redirects=True)
    np.testing.assert_array_equal(np.load(io.BytesIO(found.content))["y"], by_hand.astype(np.float32))


def test_s59_what_the_words_lack_is_refused_with_its_place(service):
    job = script("imdb_lstm", slice_of(service, "imdb_lstm"))
    job["fit"]["x"]["pad_sequences"]["offsets"] = job["fit"]["x"]["pad_sequences"]["sequences"]
    job["fit"]["x"]["pad_sequences"]["offsets"] += "_of_nobody"
    service.refused(422, "/fit/x/pad_sequences/offsets", "words_train_of_nobody", **job)


def test_s60_the_reuters_mlp_reads_a_binary_matrix_of_a_thousand_words(service):
    job = script("reuters_mlp")
    job["model"]["config"][3]["config"]["output_dim"] = 46
    assert parameters(service, job) == 536_110

    ended, series = trained(service, "reuters_mlp")

    assert len(series["val_acc"]) == 5
    assert series["acc"][-1] > 0.3, "of 43 presidents"
    y = service.predict(ended["id"], {"sequences_to_matrix": [[1, 5, 5, 2000]], "nb_words": 1000})
    by_hand = np.zeros((1, 1000))
    by_hand[0, [1, 5]] = 1
    np.testing.assert_allclose(y, service.predict(ended["id"], by_hand.tolist()), rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "count", "epochs"), [("mnist_mlp", 669_706, 3), ("mnist_cnn", 600_810, 3)], ids=["s61_mlp", "s62_cnn"]
)
def test_s61_s62_the_mnist_networks_learn_real_digits(service, name, count, epochs):
    assert parameters(service, script(name)) == count
    job, series = trained(service, name, "mnist_mlp", nb_epoch=epochs, batch_size=32)

    assert len(series["val_acc"]) == epochs
    assert job["evaluation"]["acc"] > 0.6
    assert job["evaluation"]["acc"] == pytest.approx(series["val_acc"][-1])


def test_s63_the_character_lstm_writes_at_four_temperatures(service):
    job, series = trained(service, "lstm_text_generation", nb_epoch=2)
    console = Console(file=io.StringIO(), width=80)

    with Client(str(service.http.base_url)) as client:
        texts = generate.written(client, job["id"], length=5)
        generate.show(client, console, job["id"], length=2)

    assert series["loss"][1] < series["loss"][0]
    assert list(texts) == [0.2, 0.5, 1.0, 1.2]
    assert all(len(text) == len(generate.SEED) + 5 and set(text) <= set(ALPHABET) for text in texts.values())
    assert "temperature 1.2" in console.file.getvalue()


def test_s63_a_low_temperature_keeps_to_the_likely_and_a_high_one_strays():
    chances = np.array([0.5, 0.3, 0.2])
    rng = np.random.default_rng(0)
    share = {
        temperature: np.mean([generate.sampled(chances, temperature, rng) == 0 for _ in range(4000)])
        for temperature in (0.2, 0.5, 1.0, 1.2)
    }

    powers = {temperature: chances ** (1 / temperature) for temperature in share}
    for temperature, found in share.items():
        expected = powers[temperature][0] / powers[temperature].sum()
        assert math.isclose(found, expected, abs_tol=0.03)
    assert share[0.2] > share[0.5] > share[1.0] > share[1.2]
