"""Embedding: whole numbers in, rows out; what the data may hold is checked before training."""

import numpy as np
import pytest
import torch

from engine.definition import read_model
from engine.errors import BadData, ShapeMismatch
from engine.layer import LAYERS
from engine.layers import embeddings
from engine.run import Recorder, Run
from tests.engine.yard import Notebook, sequential, training

INDICES = np.array([[0, 1, 2], [11, 3, 0]])
EMBEDDING = {"input_dim": 12, "output_dim": 4, "input_length": 3}
TABLE = np.arange(48, dtype=np.float32).reshape(12, 4)


def embedding(x, *before, **config):
    model = sequential(*before, ("Embedding", EMBEDDING | {"name": "e"} | config))
    run = training(
        {"x": x, "y": np.zeros((len(x), 3, 4), dtype=np.float32)},
        model=model,
        compile={"optimizer": "sgd", "loss": "mse"},
        fit={"x": "d/x", "y": "d/y", "nb_epoch": 1},
        evaluate={"x": "d/x", "y": "d/y"},
        predict={"x": "d/x"},
    )
    run.take({"e/W": TABLE})
    return run


def test_s86_an_embedding_takes_integers_and_gives_rows_that_start_small():
    model, _ = read_model(sequential(("Embedding", {"input_dim": 1000, "output_dim": 256, "input_length": 16})))
    assert (model.inputs()[0].shape, model.inputs()[0].dtype) == ((None, 16), "int32")
    assert model.placed[-1].output_shape == (None, 16, 256)
    run = embedding(INDICES)
    assert (run.predict(Notebook()) == TABLE[INDICES]).all()
    drawn = training({"x": INDICES}, model=sequential(("Embedding", EMBEDDING)), predict={"x": "d/x"}).weights()
    assert 0.03 < np.abs(drawn["embedding_1/W"]).max() <= 0.05


def test_s50_floats_are_cut_to_integers():
    assert (embedding(INDICES + 0.75).predict(Notebook()) == TABLE[INDICES]).all()
    run = embedding((INDICES + 0.75).astype(np.float32), input_dtype="float32")
    assert (run.predict(Notebook()) == TABLE[INDICES]).all()


@pytest.mark.parametrize("bad", [12, -1, float("nan")])
@pytest.mark.parametrize("use", ["fit", "evaluate", "predict"])
def test_s86_an_index_out_of_range_is_the_users_error_and_names_its_row(use, bad, monkeypatch):
    monkeypatch.setattr(embeddings, "BLOCK_ROWS", 2)
    x = np.tile(INDICES.astype(type(bad)), (3, 1))
    x[4, 2] = bad
    run = embedding(x)
    with pytest.raises(BadData, match=rf"Row 4 of the input holds {bad}.* at position 2.*from 0 to 11") as refusal:
        getattr(run, use)(Notebook())
    assert (refusal.value.who, refusal.value.retryable) == ("user", False)
    assert run.steps == 0


def test_the_data_of_a_model_that_begins_with_a_nested_one_is_checked_too():
    inner = sequential(("Embedding", EMBEDDING))
    run = training({"x": INDICES + 1}, model={"class_name": "Sequential", "config": [inner]}, predict={"x": "d/x"})
    with pytest.raises(BadData, match="Row 1"):
        run.predict(Notebook())


def test_an_index_that_a_layer_computes_out_of_range_gives_nan():
    doubled = embedding(INDICES.astype(np.float32), ("Dense", {"output_dim": 3, "input_dim": 3, "name": "d"}))
    doubled.take({"d/W": 2 * np.eye(3, dtype=np.float32), "d/b": np.zeros(3, dtype=np.float32)})
    out = doubled.predict(Notebook())
    assert (out[0] == TABLE[[0, 2, 4]]).all()
    assert np.isnan(out[1, 0]).all()
    assert (out[1, 1:] == TABLE[[6, 0]]).all()


def test_a_nested_model_may_begin_with_an_embedding_of_what_came_before():
    model = sequential(("Reshape", {"target_shape": [3], "input_shape": [3, 1]}))
    model["config"].append(sequential(("Embedding", EMBEDDING | {"name": "e"})))
    run = training({"x": (INDICES + 1)[:, :, None]}, model=model, predict={"x": "d/x"})
    run.take({"sequential_1/e/W": TABLE})
    out = run.predict(Notebook())
    assert (out[0] == TABLE[INDICES[0] + 1]).all()
    assert np.isnan(out[1, 0]).all()


def test_dropout_drops_whole_rows_of_the_table_and_scales_the_rest():
    torch.manual_seed(2)
    layer = LAYERS["Embedding"](500, 4, dropout=0.2, batch_input_shape=(None, None))
    x = torch.arange(500).repeat(2, 1)
    out = layer.call(x, {"W": torch.ones(500, 4)}, Run(Recorder("cpu")))
    assert torch.equal(out[0], out[1])
    np.testing.assert_allclose(out.unique().tolist(), [0.0, 1.25])
    assert torch.equal(out.amin(-1), out.amax(-1))
    assert (out == 0).float().mean().item() == pytest.approx(0.2, abs=0.06)
    assert (layer.call(x, {"W": torch.ones(500, 4)}, Run()) == 1).all()


def test_its_output_and_its_table_may_be_punished():
    zero = embedding(INDICES, activity_regularizer={"name": "l1", "l": 0.5}, W_regularizer={"name": "l1", "l": 0.25})
    wanted = np.square(TABLE[INDICES]).mean() + 0.5 * TABLE[INDICES].sum() + 0.25 * TABLE.sum()
    assert zero.evaluate(Notebook())["loss"] == pytest.approx(wanted, rel=1e-5)


def test_a_constraint_holds_after_training():
    run = embedding(INDICES, W_constraint={"name": "UnitNorm", "axis": 1})
    run.fit(Notebook())
    np.testing.assert_allclose(np.linalg.norm(run.weights()["e/W"], axis=1), 1.0, rtol=1e-4)


def test_any_length_goes_where_none_is_given_and_no_other_where_one_is():
    free = sequential(("Embedding", {"input_dim": 12, "output_dim": 4}))
    for length in (1, 5):
        run = training({"x": np.zeros((2, length), dtype=int)}, model=free, predict={"x": "d/x"})
        assert run.predict(Notebook()).shape == (2, length, 4)
    with pytest.raises(ShapeMismatch, match="`input_length` of 3"):
        read_model(sequential(("Embedding", EMBEDDING | {"batch_input_shape": [None, 7]})))
