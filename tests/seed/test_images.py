"""Rows S77–S85 and S91–S103 of the seed document, over HTTP: the VGG-like network and image captioning."""

import io
import math

import h5py
import numpy as np
import pytest

from tests.seed.conftest import example, model_of

pytestmark = pytest.mark.xdist_group("seed")

RNG = np.random.default_rng(31)


def summary(service, job):
    """What the service tells of a job's model, channels first."""
    answer = service.http.post("/v1/validations", json=job)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_s77_s78_s79_s80_s82_s83_s84_the_convnet_infers_its_shapes_channels_first(service):
    job = example("vgg")
    layers = summary(service, job)["layers"]

    shapes = {row["name"]: row["output_shape"][1:] for row in layers}
    assert shapes["convolution2d_1"] == [32, 98, 98]
    assert shapes["convolution2d_2"] == [32, 96, 96]
    assert shapes["maxpooling2d_1"] == [32, 48, 48]
    assert shapes["convolution2d_3"] == [64, 46, 46]
    assert shapes["convolution2d_4"] == [64, 44, 44]
    assert shapes["maxpooling2d_2"] == [64, 22, 22]
    assert shapes["flatten_1"] == [30_976]
    assert sum(row["parameters"] for row in layers) == 7_998_250


def test_s77_the_same_convnet_channels_last_is_refused_with_the_remedy(service):
    service.refused(422, "/model/config/2", "dim_ordering", **example("vgg") | {"dim_ordering": "tf"})


@pytest.mark.slow
def test_s81_s85_the_convnet_trains_for_an_epoch(service):
    job = service.run(**example("vgg"))

    series = service.series(job["id"])
    assert list(series) == ["loss"]
    assert len(series["loss"]) == 1
    assert job["progress"]["step"] == 3


def test_s91_s92_s95_s96_s97_s98_s99_s100_s101_s103_the_captioning_model_has_the_guides_shapes(service):
    found = summary(service, example("image_captioning"))

    join, gru, dense, _ = found["layers"]
    image, language = join["branches"]
    assert sum(row["parameters"] for row in image["layers"]) == 4_030_624
    assert sum(row["parameters"] for row in language["layers"]) == 2_724_352
    assert [row["output_shape"] for row in image["layers"][-2:]] == [[None, 128], [None, 16, 128]]
    assert [row["output_shape"] for row in language["layers"]] == [[None, 16, 256], [None, 16, 128], [None, 16, 128]]
    assert join["output_shape"] == [None, 16, 256]
    assert gru["output_shape"] == [None, 256]
    assert dense["output_shape"] == [None, 10_000]
    assert sum(row["parameters"] for row in found["layers"]) == 9_718_960


def captioning(vocabulary=50, side=20, words=6):
    """The captioning model, smaller."""
    image = model_of(
        ("Convolution2D", {"nb_filter": 4, "nb_row": 3, "nb_col": 3, "input_shape": [3, side, side]}),
        ("MaxPooling2D", {}),
        ("Flatten", {}),
        ("Dense", {"output_dim": 8}),
    )
    language = model_of(
        ("Embedding", {"input_dim": vocabulary, "output_dim": 7, "input_length": words}),
        ("GRU", {"output_dim": 8, "return_sequences": True}),
        ("TimeDistributed", {"layer": {"class_name": "Dense", "config": {"output_dim": 8}}}),
    )
    repeated = image | {
        "name": "image_model",
        "config": [*image["config"], {"class_name": "RepeatVector", "config": {"n": words}}],
    }
    whole = model_of(
        ("Merge", {"layers": [repeated, language | {"name": "language_model"}], "mode": "concat"}),
        ("GRU", {"output_dim": 9}),
        ("Dense", {"output_dim": vocabulary, "activation": "softmax"}),
    )
    return image, whole


@pytest.fixture(scope="module")
def captions(service):
    return service.upload(
        images=RNG.random((32, 3, 20, 20)), words=RNG.integers(0, 50, (32, 6)), next=RNG.integers(0, 50, (32, 1))
    )


def fitted(captions, **options):
    next_words = {"to_categorical": f"{captions}/next", "nb_classes": 50}
    return {
        "x": [f"{captions}/images", f"{captions}/words"],
        "y": next_words,
        "batch_size": 16,
        "nb_epoch": 2,
    } | options


def test_s93_s94_s98_a_branch_takes_weights_from_a_file_of_theanos_and_can_be_frozen(service, captions):
    image, whole = captioning()
    trained = service.run(seed=8, dim_ordering="th", model=image, predict={"x": f"{captions}/images"})
    answer = service.http.get(f"/v1/jobs/{trained['id']}/artifacts/weights.h5", follow_redirects=True)
    theanos = io.BytesIO(answer.content)
    with h5py.File(theanos, "r+") as file:  # Theano reads a kernel backwards
        kernel = file["convolution2d_1/convolution2d_1_W"]
        kernel[...] = kernel[()][:, :, ::-1, ::-1]
    uploaded = service.http.post(
        "/v1/weights", files={"file": ("weight_file.h5", theanos.getvalue())}, data={"kernels": "theano"}
    ).json()
    whole["config"][0]["config"]["layers"][0]["trainable"] = False

    job = service.run(
        dim_ordering="th",
        model=whole,
        weights={"id": uploaded["id"], "into": "image_model"},
        compile={"optimizer": "rmsprop", "loss": "categorical_crossentropy"},
        fit=fitted(captions),
    )

    before, after = service.weights(trained["id"]), service.weights(job["id"])
    for name in before:
        np.testing.assert_array_equal(before[name], after[name])
    assert (after["gru_1/gru_1_W_z"] != 0).any()


def test_s93_weights_that_do_not_fit_the_branch_are_a_typed_failure(service, captions):
    other = service.run(model=model_of(("Dense", {"output_dim": 3, "input_dim": 2})), predict={"x": [[1.0, 2.0]]})
    _, whole = captioning()
    job = service.ended(
        service.submit(
            dim_ordering="th",
            model=whole,
            weights={"job": other["id"], "into": "image_model"},
            predict={"x": [f"{captions}/images", f"{captions}/words"]},
        )
    )

    assert job["state"] == "failed"
    assert job["error"]["who"] == "user"


def test_s99_s101_s102_images_and_words_train_together_by_either_crossentropy(service, captions):
    _, whole = captioning()
    jobs = [
        service.run(
            seed=9,
            dim_ordering="th",
            model=whole,
            compile={"optimizer": "rmsprop", "loss": loss},
            fit=fitted(captions, y=y),
        )
        for loss, y in (
            ("categorical_crossentropy", {"to_categorical": f"{captions}/next", "nb_classes": 50}),
            ("sparse_categorical_crossentropy", f"{captions}/next"),
        )
    ]

    one, other = (service.series(job["id"])["loss"] for job in jobs)
    assert one[0] == pytest.approx(math.log(50), abs=0.3)
    assert one == pytest.approx(other, rel=1e-4)


@pytest.mark.slow
def test_s101_s102_the_guides_captioning_model_begins_near_the_logarithm_of_its_vocabulary(service):
    job = example("image_captioning")
    job["fit"]["nb_epoch"] = 3
    ran = service.run(**job)

    assert service.series(ran["id"])["loss"][0] == pytest.approx(math.log(10_000), abs=0.1)
