"""Rows S126 and S128 from post to prediction: a model of Keras 3, compiled as Keras 3 saves it, is trained here."""

import numpy as np
import pytest

from tests.interop.cases import FOLDERS, Recorded, named

pytestmark = pytest.mark.xdist_group("seed")


@pytest.mark.parametrize("case", ["keras3-trained_gru", "keras3-trained_normalized"])
def test_s126_s128_a_model_of_keras_3_is_trained_and_predicts(case, service):
    recorded = Recorded(next(folder for folder in FOLDERS if named(folder) == case))
    x = service.upload(x=recorded.data["x"], y=recorded.data["target"])
    fit = {"x": f"{x}/x", "y": f"{x}/y", "epochs": 3, "batch_size": 3, "shuffle": False}

    job = service.run(seed=5, model=recorded.model, compile=recorded.model["compile_config"], fit=fit)
    rows = service.predict(job["id"], f"{x}/x")

    losses = job["metrics"]["loss"]
    assert rows.shape == recorded.data["y"].shape
    assert np.isfinite(rows).all()
    assert np.isfinite(losses).all()
    exported = service.http.get(f"/v1/jobs/{job['id']}/artifacts/model.json", follow_redirects=True).json()
    assert exported["keras_version"] == "1.2.2"
