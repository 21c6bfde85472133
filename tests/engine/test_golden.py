"""The numbers of the real Keras 1.2.2: predictions within 1e-5, losses and weights within 1e-4 relative."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from engine.model import read_model
from tests.engine.yard import GOLDEN, Golden, Notebook

CASES = sorted(path.parent.name for path in GOLDEN.glob("*/trained.h5"))


def close(ours, theirs):
    ours, theirs = np.asarray(ours, dtype=float), np.asarray(theirs, dtype=float)
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6, equal_nan=True)


def arrays_of(path: Path) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {}
    with h5py.File(path) as file:
        file.visititems(lambda name, item: found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None)
    return found


@pytest.mark.parametrize("case", CASES)
def test_the_model_reads_and_writes_as_keras_1_wrote_it(case):
    golden = Golden(case)

    model, _ = read_model(golden.model)

    assert model.definition() == golden.model
    rows = [(row["name"], row["output_shape"]) for row in model.summary()["layers"]]
    assert rows == [(row["name"], row["output_shape"]) for row in golden.facts["layers"]]


@pytest.mark.parametrize("case", CASES)
def test_predictions_and_evaluation_before_training_are_keras_1s(case):
    golden = Golden(case)
    run = golden.training()

    np.testing.assert_allclose(run.predict(Notebook()), golden.data["pred_before"], atol=1e-5)
    close(list(run.evaluate(Notebook()).values()), golden.facts["evaluate_before"])


@pytest.mark.parametrize("case", CASES)
def test_training_gives_keras_1s_losses_history_and_weights(case, tmp_path):
    golden = Golden(case)
    run = golden.training()
    batches = []

    def note() -> None:
        batches.append(run.state["totals"].tolist())

    run.fit(Notebook(note))

    close(batch_losses(batches, golden), [each["loss"] for each in golden.facts["batches"]])
    series = run.history["series"]
    assert set(series) == set(golden.facts["history"])
    for name, values in golden.facts["history"].items():
        close(series[name], values)
    run.save_weights(tmp_path / "trained.h5", "hdf5")
    ours, theirs = arrays_of(tmp_path / "trained.h5"), arrays_of(golden.folder / "trained.h5")
    assert list(ours) == list(theirs)
    for name, array in theirs.items():
        close(ours[name], array)
    np.testing.assert_allclose(run.predict(Notebook()), golden.data["pred_after"], atol=1e-5)
    close(list(run.evaluate(Notebook()).values()), golden.facts["evaluate_after"])


def batch_losses(totals: list[list[float]], golden: Golden) -> list[float]:
    """Turn the running totals of an epoch back into the loss of each batch."""
    losses, before = [], 0.0
    for (total, *_), batch in zip(totals, golden.facts["batches"], strict=True):
        before = 0.0 if batch["batch"] == 0 else before
        losses.append((total - before) / batch["size"])
        before = total
    return losses
