"""Rows S42–S44, S48 and S122–S125 of the seed document, over HTTP: custom metrics, and every method of a model."""

import numpy as np
import pytest

from tests.seed.conftest import model_of

pytestmark = pytest.mark.xdist_group("seed")

RNG = np.random.default_rng(51)
BINARY = model_of(("Dense", {"output_dim": 1, "input_dim": 4, "activation": "sigmoid"}))
SOFTMAX = model_of(("Dense", {"output_dim": 3, "input_dim": 4, "activation": "softmax"}))
MEAN_PRED = "def mean_pred(y_true, y_pred):\n    return K.mean(y_pred)"
FALSE_RATES = """def false_rates(y_true, y_pred):
    said = K.round(y_pred)
    false_neg = K.mean(K.clip(y_true - said, 0, 1))
    false_pos = K.mean(K.clip(said - y_true, 0, 1))
    return {
        'false_neg': false_neg,
        'false_pos': false_pos,
    }"""


@pytest.fixture(scope="module")
def data(service):
    labels = RNG.integers(0, 3, 100)
    return service.upload(
        x=RNG.random((100, 4)), y=np.eye(3)[labels], flag=RNG.integers(0, 2, (100, 1)), labels=labels[:, None]
    )


def test_s42_s43_s44_s48_the_guides_own_metrics_are_logged_by_their_names(service, data):
    job = service.run(
        seed=5,
        model=BINARY,
        compile={
            "optimizer": "rmsprop",
            "loss": "binary_crossentropy",
            "metrics": ["accuracy", {"name": "mean_pred", "source": MEAN_PRED}, {"source": FALSE_RATES}],
        },
        fit={"x": f"{data}/x", "y": f"{data}/flag", "nb_epoch": 2, "validation_split": 0.2},
        evaluate={"x": f"{data}/x", "y": f"{data}/flag"},
    )

    names = ["loss", "acc", "mean_pred", "false_neg", "false_pos"]
    assert list(job["evaluation"]) == names
    assert set(service.series(job["id"])) == {*names, *(f"val_{name}" for name in names)}
    rows = service.predict(job["id"], f"{data}/x")
    assert job["evaluation"]["mean_pred"] == pytest.approx(rows.mean(), rel=1e-5)


@pytest.mark.parametrize(
    "optimizer",
    [
        {"class_name": "SGD", "config": {"lr": 0.1, "momentum": 0.9, "decay": 1e-6, "nesterov": True, "clipnorm": 1.0}},
        {"class_name": "RMSprop", "config": {"lr": 0.01, "rho": 0.8, "epsilon": 1e-6, "decay": 0.1, "clipvalue": 0.5}},
        {"class_name": "Adagrad", "config": {"lr": 0.02, "epsilon": 1e-6, "decay": 0.1}},
        {"class_name": "Adadelta", "config": {"lr": 0.9, "rho": 0.9, "epsilon": 1e-6, "decay": 0.1}},
        {"class_name": "Adam", "config": {"lr": 0.01, "beta_1": 0.8, "beta_2": 0.99, "epsilon": 1e-6, "decay": 0.1}},
        {"class_name": "Adamax", "config": {"lr": 0.01, "beta_1": 0.8, "beta_2": 0.99, "epsilon": 1e-6}},
        {"class_name": "Nadam", "config": {"lr": 0.01, "beta_1": 0.8, "beta_2": 0.99, "schedule_decay": 0.005}},
    ],
    ids=lambda each: each["class_name"],
)
def test_s122_every_argument_of_an_optimizer_is_taken_and_told_back(service, data, optimizer):
    body = {
        "model": SOFTMAX,
        "compile": {"optimizer": optimizer, "loss": "mse"},
        "fit": {"x": f"{data}/x", "y": f"{data}/y"},
    }
    answer = service.http.post("/v1/validations", json=body)

    assert answer.status_code == 200, answer.text
    told = answer.json()["definition"]["compile"]["optimizer"]
    assert told["class_name"] == optimizer["class_name"]
    assert told["config"].items() >= optimizer["config"].items()


def test_s123_s124_every_loss_and_metric_is_taken_by_its_name(service, data):
    told = service.get("/v1/capabilities")
    scored = {"x": f"{data}/x", "y": f"{data}/y"}
    for loss in told["losses"]:
        y = f"{data}/labels" if loss.startswith("sparse") else scored["y"]
        body = {"model": SOFTMAX, "compile": {"optimizer": "sgd", "loss": loss}, "evaluate": scored | {"y": y}}
        assert service.http.post("/v1/validations", json=body).status_code == 200, loss
    metrics = [name for name in told["metrics"] if not name.startswith("sparse") and name != "accuracy"]
    compiled = {"optimizer": "sgd", "loss": "mse", "metrics": ["accuracy", *metrics]}
    found = service.run(model=SOFTMAX, compile=compiled, evaluate=scored)["evaluation"]
    assert list(found) == ["loss", "acc", *metrics]


def test_s125_s76_classes_and_probabilities_may_be_asked_for(service, data):
    ten, two = (service.run(seed=5, model=model, predict={"x": f"{data}/x"}) for model in (SOFTMAX, BINARY))
    rows = service.predict(ten["id"], f"{data}/x")
    classes = service.predict(ten["id"], f"{data}/x", method="predict_classes")
    flags = service.predict(two["id"], f"{data}/x", method="predict_classes")

    assert classes.tolist() == rows.argmax(-1).tolist()
    assert flags.tolist() == (service.predict(two["id"], f"{data}/x") > 0.5).astype(int).tolist()
    assert service.predict(ten["id"], f"{data}/x", method="predict_proba").tolist() == rows.tolist()
    service.refused(
        422, "/method", "predict_classes", "/v1/predictions", job=ten["id"], x=f"{data}/x", method="predict_class"
    )


def test_s125_values_that_are_no_probabilities_are_warned_of(service, data):
    linear = model_of(("Dense", {"output_dim": 3, "input_dim": 4}))
    job = service.run(seed=5, model=linear, predict={"x": f"{data}/x", "method": "predict_proba"})

    events = service.get(f"/v1/jobs/{job['id']}/events")["items"]
    assert any("no probabilities" in str(event) for event in events)


def test_s125_one_epoch_of_one_batch_is_train_on_batch_and_its_score_is_of_the_weights_before(service, data):
    base = {"seed": 5, "model": SOFTMAX, "compile": {"optimizer": "sgd", "loss": "mse"}}
    whole = {"x": f"{data}/x", "y": f"{data}/y", "batch_size": 100}
    trained = service.run(**base, fit=whole | {"nb_epoch": 1}, evaluate=whole)
    untrained = service.run(**base, evaluate=whole)

    assert service.series(trained["id"])["loss"] == [pytest.approx(untrained["evaluation"]["loss"], rel=1e-5)]
    assert trained["evaluation"]["loss"] < untrained["evaluation"]["loss"]
