"""The numbers of the real Keras 1.2.2: predictions within 1e-5, losses and weights within 1e-4 relative."""

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

from engine.definition import read_model
from engine.errors import BadArgument
from engine.training import weights
from tests.engine.yard import GOLDEN, SOURCES, Golden, Notebook, training

CASES = sorted(path.parent.name for path in GOLDEN.glob("*/trained.h5"))
PREDICTED = sorted(path.parent.name for path in GOLDEN.glob("*/initial.h5") if path.parent.name not in CASES)
#: In these, two cells of a pooling window are equal but for a rounding, and which of them learns depends on it:
#: torch's plain convolution rounds as Theano's does, oneDNN's does not. Weights nudged by 1e-7 go either way.
ON_THE_EDGE = {"vgg_small"}
#: Keras 1 declares `(n, 1)` for the cosine of two vectors, as we give it, but computes `(n, 1, 1)`.
EXTRA_AXIS = {"merge_cos", "merge_cos_dense_direct"}


def close(ours, theirs):
    ours, theirs = np.asarray(ours, dtype=float), np.asarray(theirs, dtype=float)
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6, equal_nan=True)


def arrays_of(path: Path) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {}
    with h5py.File(path) as file:
        file.visititems(lambda name, item: found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None)
    return found


def as_far_as(theirs: Any, ours: Any) -> Any:
    """Leave out what Keras 1 does not write: some layers' `dim_ordering`, and the name of a nested model."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        left_out = {"dim_ordering"} | ({"name"} if ours.get("class_name") == "Sequential" else set())
        kept = {key: each for key, each in ours.items() if key in theirs or key not in left_out}
        return {key: as_far_as(theirs.get(key), each) for key, each in kept.items()}
    if isinstance(theirs, list) and isinstance(ours, list) and len(theirs) == len(ours):
        return [as_far_as(*each) for each in zip(theirs, ours, strict=True)]
    return ours


@pytest.mark.parametrize("case", [*CASES, *PREDICTED])
def test_the_model_reads_and_writes_as_keras_1_wrote_it(case):
    golden = Golden(case)

    model, _ = read_model(golden.model, dim_ordering="th")

    assert as_far_as(golden.model, model.definition()) == golden.model
    rows = [(each.layer.name, list(each.output_shape)) for each in model.leaves()]
    assert rows == [(row["name"], row["output_shape"]) for row in golden.facts["layers"]]


@pytest.mark.parametrize("case", SOURCES)
def test_a_function_that_keras_1_saved_is_refused_with_words_of_what_to_give_instead(case):
    golden = Golden(case)
    index, (argument, *_) = SOURCES[case]

    with pytest.raises(BadArgument, match="bytecode of one version of Python") as refusal:
        read_model(golden.recorded)

    assert refusal.value.where == f"/config/{index}/config/{argument}"


@pytest.mark.parametrize("case", PREDICTED)
def test_predictions_of_a_model_that_keras_1_could_not_train_are_keras_1s(case):
    golden = Golden(case)
    run = training(golden.data, model=golden.model, predict={"x": golden.x()}, dim_ordering="th")
    run.load_weights(golden.folder / "initial.h5", kernels="theano")
    wanted = golden.data["pred_before"].squeeze(1) if case in EXTRA_AXIS else golden.data["pred_before"]

    ours = run.predict(Notebook())

    assert ours.shape == wanted.shape
    np.testing.assert_allclose(ours, wanted, atol=1e-5)


@pytest.mark.parametrize("case", CASES)
def test_predictions_and_evaluation_before_training_are_keras_1s(case):
    golden = Golden(case)
    run = golden.training()

    np.testing.assert_allclose(run.predict(Notebook()), golden.data["pred_before"], atol=1e-5)
    close(list(run.evaluate(Notebook()).values()), golden.facts["evaluate_before"])


@pytest.mark.filterwarnings("ignore:TF32 acceleration")
@pytest.mark.parametrize("case", CASES)
def test_training_gives_keras_1s_losses_history_and_weights(case, tmp_path):
    golden = Golden(case)
    run = golden.training()
    batches = []

    def note() -> None:
        batches.append(run.state["totals"].tolist())

    with torch.backends.mkldnn.flags(enabled=False) if case in ON_THE_EDGE else nullcontext():
        run.fit(Notebook(note))

    close(batch_losses(batches, golden), [each["loss"] for each in golden.facts["batches"]])
    series = run.history["series"]
    assert set(series) == set(golden.facts["history"])
    for name, values in golden.facts["history"].items():
        close(series[name], values)
    weights.save(tmp_path / "trained.h5", run.plan.model, weights.flipped(run.plan.model, run.weights()), "hdf5")
    ours, theirs = arrays_of(tmp_path / "trained.h5"), arrays_of(golden.folder / "trained.h5")
    assert list(ours) == list(theirs)
    for name, array in theirs.items():
        close(ours[name], array)
    if "pred_after_noreset" in golden.data:  # a stateful model goes on from what it remembers of the fit
        np.testing.assert_allclose(run.predict(Notebook()), golden.data["pred_after_noreset"], atol=1e-5)
        run.reset_states()
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
