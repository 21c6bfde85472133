"""Rows S35–S57, S64–S76, S129 and S130 of the seed document, over HTTP: compiling, training, the three MLPs."""

import json
import math

import numpy as np
import pytest

from tests.seed.conftest import model_of

pytestmark = pytest.mark.xdist_group("seed")

RNG = np.random.default_rng(11)
SGD = {"class_name": "SGD", "config": {"lr": 0.1, "decay": 1e-6, "momentum": 0.9, "nesterov": True}}
MLP = model_of(
    ("Dense", {"output_dim": 64, "input_dim": 20, "init": "uniform"}),
    ("Activation", {"activation": "tanh"}),
    ("Dropout", {"p": 0.5}),
    ("Dense", {"output_dim": 64, "init": "uniform"}),
    ("Activation", {"activation": "tanh"}),
    ("Dropout", {"p": 0.5}),
    ("Dense", {"output_dim": 10, "init": "uniform"}),
    ("Activation", {"activation": "softmax"}),
)
SIMILAR = model_of(
    ("Dense", {"output_dim": 64, "input_dim": 20, "activation": "relu"}),
    ("Dropout", {"p": 0.5}),
    ("Dense", {"output_dim": 64, "activation": "relu"}),
    ("Dropout", {"p": 0.5}),
    ("Dense", {"output_dim": 10, "activation": "softmax"}),
)
BINARY = model_of(
    ("Dense", {"output_dim": 64, "input_dim": 20, "init": "uniform", "activation": "relu"}),
    ("Dropout", {"p": 0.5}),
    ("Dense", {"output_dim": 64, "activation": "relu"}),
    ("Dropout", {"p": 0.5}),
    ("Dense", {"output_dim": 1, "activation": "sigmoid"}),
)
SOFTMAX = {"optimizer": SGD, "loss": "categorical_crossentropy", "metrics": ["accuracy"]}


@pytest.fixture(scope="module")
def data(service):
    """A thousand dummy samples, as the seed makes them."""
    labels = RNG.integers(0, 10, (1000, 1))
    return service.upload(
        x=RNG.random((1000, 20)),
        x784=RNG.random((1000, 784)),
        x19=RNG.random((1000, 19)),
        labels=labels,
        y=np.eye(10)[labels[:, 0]],
        binary=RNG.integers(0, 2, (1000, 1)),
        flat=RNG.integers(0, 2, 1000),
        real=RNG.random((1000, 1)),
        x_test=RNG.random((100, 20)),
        y_test=np.eye(10)[RNG.integers(0, 10, 100)],
    )


def fit(data, x="x", y="y", **options):
    return {"x": f"{data}/{x}", "y": f"{data}/{y}"} | options


def test_s35_training_needs_a_compiled_model_and_prediction_does_not(service, data):
    service.refused(422, "/compile", "compiled model", model=MLP, fit=fit(data))
    service.run(model=MLP, predict={"x": f"{data}/x_test"})


@pytest.mark.parametrize("optimizer", ["sgd", "rmsprop", "adagrad", "adadelta", "adam", "adamax", "nadam"])
def test_s36_an_optimizer_goes_by_its_name(service, data, optimizer):
    body = {"model": MLP, "compile": SOFTMAX | {"optimizer": optimizer}, "fit": fit(data)}
    answer = service.http.post("/v1/validations", json=body)
    assert answer.status_code == 200, answer.text
    assert answer.json()["definition"]["compile"]["optimizer"]["class_name"].lower() == optimizer


def test_s36_s37_s38_s130_what_does_not_exist_is_refused_with_what_does(service, data):
    for change, pointer, says in (
        ({"optimizer": "adamm"}, "/compile/optimizer", "Did you mean 'adam'"),
        ({"optimizer": {"class_name": "SGD", "config": {"rate": 1}}}, "/compile/optimizer/config/rate", "rate"),
        ({"loss": "mean_square_error"}, "/compile/loss", "Did you mean 'mean_squared_error'"),
        ({"metrics": ["acurracy"]}, "/compile/metrics/0", "There is no metric"),
    ):
        service.refused(422, pointer, says, model=MLP, compile=SOFTMAX | change, fit=fit(data))


def test_s40_s41_s45_s53_s64_s65_s66_s67_s68_s69_s70_the_softmax_mlp_trains_as_the_seed_says(service, data):
    job = service.run(
        seed=7,
        model=MLP,
        compile=SOFTMAX | {"metrics": ["accuracy", "mse"]},
        fit=fit(data, nb_epoch=20, batch_size=16),
        evaluate={"x": f"{data}/x_test", "y": f"{data}/y_test", "batch_size": 16},
    )
    series = service.series(job["id"])
    assert set(series) == {"loss", "acc", "mean_squared_error"}
    assert [len(each) for each in series.values()] == [20, 20, 20]
    assert series["loss"][0] == pytest.approx(math.log(10), abs=0.5)
    assert job["progress"]["step"] == job["progress"]["total_steps"] == 20 * 63
    assert list(job["evaluation"]) == ["loss", "acc", "mean_squared_error"]
    assert sum(each.size for each in service.weights(job["id"]).values()) == 6154

    again = service.http.post(
        "/v1/evaluations",
        json={"job": job["id"], "x": f"{data}/x_test", "y": f"{data}/y_test", "batch_size": 1000},
    ).json()
    assert again == pytest.approx(job["evaluation"], rel=1e-5)
    rows = [service.predict(job["id"], f"{data}/x_test") for _ in range(2)]
    assert (rows[0] == rows[1]).all()


def test_s64_weights_start_within_their_limits(service, data):
    job = service.run(model=MLP, predict={"x": f"{data}/x_test"})
    weights = service.weights(job["id"])
    assert all(np.abs(each).max() <= 0.05 for each in weights.values())
    assert any(each.any() for each in weights.values())


def test_s46_s75_s76_the_binary_mlp_takes_labels_of_one_axis_or_two(service, data):
    compiled = {"optimizer": "rmsprop", "loss": "binary_crossentropy", "metrics": ["accuracy"]}
    jobs = [
        service.run(seed=3, model=BINARY, compile=compiled, fit=fit(data, y=y, nb_epoch=2)) for y in ("binary", "flat")
    ]
    assert set(service.series(jobs[0]["id"])) == {"loss", "acc"}
    rows = service.predict(jobs[0]["id"], f"{data}/x_test")
    assert ((rows > 0) & (rows < 1)).all()
    assert (
        service.model(*[(each["class_name"], each["config"]) for each in BINARY["config"]])["parameters"]["total"]
        == 5569
    )


def test_s47_without_metrics_a_regression_is_judged_by_its_loss_alone(service, data):
    job = service.run(
        model=model_of(("Dense", {"output_dim": 1, "input_dim": 20})),
        compile={"optimizer": "rmsprop", "loss": "mse"},
        fit=fit(data, y="real", nb_epoch=1),
        evaluate=fit(data, y="real"),
    )
    assert list(job["evaluation"]) == ["loss"]
    assert list(service.series(job["id"])) == ["loss"]


def test_s50_data_is_uploaded_or_written_out_and_its_faults_name_the_shapes(service, data):
    model = model_of(("Dense", {"output_dim": 1, "input_dim": 2}))
    job = service.run(model=model, predict={"x": [[1, 2], [3, 4]]})
    assert service.predict(job["id"], [[1.0, 2.0]]).shape == (1, 1)
    service.refused(422, "/predict/x", "(None, 2)", model=model, predict={"x": f"{data}/x19"})


def test_s51_every_setting_of_fit_is_taken(service, data):
    weights = service.upload(w=np.ones(1000))
    job = service.run(
        model=MLP,
        compile=SOFTMAX,
        fit=fit(
            data,
            batch_size=100,
            epochs=4,
            verbose=2,
            callbacks=[{"class_name": "EarlyStopping", "config": {"patience": 9}}],
            validation_split=0.2,
            validation_data={"x": f"{data}/x_test", "y": f"{data}/y_test"},
            shuffle="batch",
            class_weight={str(each): 1.0 for each in range(10)},
            sample_weight=f"{weights}/w",
            initial_epoch=1,
        ),
    )
    assert service.get(f"/v1/jobs/{job['id']}/metrics")["epoch"] == [1, 2, 3]
    assert set(service.series(job["id"])) == {"loss", "acc", "val_loss", "val_acc"}


def test_s52_s53_the_seeds_binary_example_takes_320_steps(service, data):
    job = service.run(
        model=model_of(("Dense", {"output_dim": 1, "input_dim": 784, "activation": "sigmoid"})),
        compile={"optimizer": "rmsprop", "loss": "binary_crossentropy", "metrics": ["accuracy"]},
        fit=fit(data, x="x784", y="binary", nb_epoch=10, batch_size=32),
    )
    series = service.series(job["id"])
    assert {name: len(values) for name, values in series.items()} == {"loss": 10, "acc": 10}
    assert job["progress"]["step"] == 320
    assert sum(each.size for each in service.weights(job["id"]).values()) == 785


def test_s54_s55_labels_become_one_hot_and_bare_labels_are_refused_with_the_remedy(service, data):
    service.refused(422, "/fit/y", "to_categorical", model=MLP, compile=SOFTMAX, fit=fit(data, y="labels", nb_epoch=1))
    one_hot = {"to_categorical": f"{data}/labels", "nb_classes": 10}
    both = [
        service.run(seed=1, model=MLP, compile=SOFTMAX, fit=fit(data, nb_epoch=1) | {"y": y})
        for y in (one_hot, f"{data}/y")
    ]
    assert service.series(both[0]["id"]) == service.series(both[1]["id"])


def test_s56_x_may_be_a_list_or_named_by_its_input(service, data):
    for x in ([f"{data}/x_test"], {"dense_1_input": f"{data}/x_test"}):
        service.run(model=MLP, predict={"x": x})
    service.refused(422, "/predict/x", "lists 2 arrays", model=MLP, predict={"x": [f"{data}/x_test"] * 2})


def test_s57_s129_the_same_seed_gives_the_same_run_and_another_does_not(service, data):
    jobs = [
        service.run(seed=seed, model=MLP, compile=SOFTMAX, fit=fit(data, nb_epoch=2, batch_size=100))
        for seed in (5, 5, 6)
    ]
    histories = [json.dumps(service.series(job["id"])) for job in jobs]
    assert histories[0] == histories[1] != histories[2]
    digests = [
        next(
            each["sha256"] for each in service.get(f"/v1/jobs/{job['id']}/artifacts")["items"] if "safe" in each["name"]
        )
        for job in jobs
    ]
    assert digests[0] == digests[1] != digests[2]


def test_s71_data_of_another_width_is_refused_with_the_expected_shape(service, data):
    service.refused(422, "/fit/x", "(None, 20)", model=MLP, compile=SOFTMAX, fit=fit(data, x="x19"))


def test_s72_s73_s74_the_similar_mlp_trains_with_adadelta_by_name(service, data):
    job = service.run(
        model=SIMILAR, compile=SOFTMAX | {"optimizer": "adadelta"}, fit=fit(data, nb_epoch=2, batch_size=16)
    )
    assert job["definition"]["compile"]["optimizer"] == {
        "class_name": "Adadelta",
        "config": {"lr": 1.0, "rho": 0.95, "epsilon": 1e-8, "decay": 0.0},
    }
    assert sum(each.size for each in service.weights(job["id"]).values()) == 6154


def test_s130_what_only_the_data_can_show_ends_the_job_with_a_typed_failure(service, data):
    labels = RNG.integers(0, 10, 1000)
    labels[123] = 10
    bad = service.upload(labels=labels)
    one_hot = {"to_categorical": f"{bad}/labels", "nb_classes": 10}
    job = service.ended(service.submit(model=MLP, compile=SOFTMAX, fit=fit(data) | {"y": one_hot}))
    assert job["state"] == "failed"
    assert (job["error"]["class"], job["error"]["who"], job["error"]["retryable"]) == ("user_data", "user", False)
    assert "row 123" in job["error"]["detail"]
    service.run(model=MLP, predict={"x": f"{data}/x_test"})


def test_s130_a_loss_that_is_no_number_ends_the_job_and_not_the_worker(service, data):
    compiled = {"optimizer": {"class_name": "SGD", "config": {"lr": 1e30}}, "loss": "mse"}
    model = model_of(("Dense", {"output_dim": 1, "input_dim": 20}))
    job = service.ended(service.submit(model=model, compile=compiled, fit=fit(data, y="real", nb_epoch=3)))
    assert (job["state"], job["error"]["class"]) == ("failed", "numeric_divergence")
    service.run(model=model, predict={"x": f"{data}/x_test"})
