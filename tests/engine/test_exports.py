"""What a trained model is written for: how far the files are from ours, what they hold, and what cannot be said."""

import json
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from engine import exports
from engine.definition import read_model
from engine.errors import BadArgument, Unavailable
from engine.training import exporting, onnx_graph
from tests.engine.yard import GOLDEN, Golden, Notebook, sequential, training

INTEROP = Path(__file__).parent.parent / "interop"
KERAS_1 = sorted(path.stem for path in (INTEROP / "keras1").glob("*.json"))
KERAS_3 = json.loads((INTEROP / "keras3_exports.json").read_text())["max_difference"]
SLOW = pytest.mark.slow
#: One of each kind of computation that a graph of ONNX has to say; steps that are written one by one take their time.
GRAPHS = [
    *("deconv2d_same_s2", "embedding", "lambda_square", "merge_cos_dense", "srelu"),
    *(
        pytest.param(case, marks=SLOW)
        for case in (
            *("bidirectional_gru_ave", "conv2d_full_k24_s11", "locally_connected1d", "lstm_maskzero_left"),
            *("maxpooling2d_same_p22_sx", "nested_sequential_dense", "prelu_shared", "image_captioning"),
        )
    ),
]


def exported(case, name, tmp_path):
    run = Golden(case).training()
    path = tmp_path / exports.EXPORTS[name]
    return run, path, exporting.export(run, name, path)


# -- Keras 1 -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", KERAS_1)
def test_s127_the_original_keras_1_loads_our_models_and_goes_on_as_we_do(case, tmp_path):
    """What Keras 1.2.2 computed from the file that we had written: see `tests/interop/README.md`."""
    answer = json.loads((INTEROP / "keras1" / f"{case}.json").read_text())
    assert answer["max_difference"] < 1e-5
    golden = Golden(case)
    first = golden.training()
    first.fit(Notebook())
    first.save_model(tmp_path / "model.h5")
    body = golden.body()
    body["fit"] = body["fit"] | {"nb_epoch": 2}
    run = training(golden.data, stop_on_nan=False, **body)
    run.load_weights(tmp_path / "model.h5")
    run.load_optimizer(tmp_path / "model.h5")
    if "slot:m_schedule" in run.state:  # the original begins its product of momenta anew, and we do not
        run.state["slot:m_schedule"] = torch.ones(())

    run.fit(Notebook())

    np.testing.assert_allclose(run.history["series"]["loss"], answer["losses"], rtol=1e-4)


def test_the_originals_answers_cover_every_optimizer_and_many_layouts():
    assert len(KERAS_1) >= 20
    optimizers = {Golden(case).facts["compile"]["optimizer"]["class_name"] for case in KERAS_1}
    assert optimizers == {"SGD", "RMSprop", "Adagrad", "Adadelta", "Adam", "Adamax", "Nadam"}


def test_a_file_of_keras_1_is_ours_to_the_bit(tmp_path):
    run, path, difference = exported("merge_concat", "keras1", tmp_path)
    assert difference == 0.0
    with h5py.File(path) as file:
        config = json.loads(file.attrs["model_config"])
    assert read_model(config)[0].definition()["config"] == run.plan.model.definition()["config"]


# -- Keras 3 -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", sorted(KERAS_3))
def test_real_keras_3_predicts_from_our_files_what_we_predict(case):
    assert KERAS_3[case] < 1e-5


@pytest.mark.parametrize("case", sorted(KERAS_3))
def test_a_file_of_keras_3_is_read_back_to_the_same_predictions(case, tmp_path):
    _, path, difference = exported(case, "keras3", tmp_path)
    assert difference is not None
    assert difference < 1e-6
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == ["metadata.json", "config.json", "model.weights.h5"]


def test_equal_models_are_equal_files(tmp_path):
    contents = []
    for number in (1, 2):
        folder = tmp_path / str(number)
        folder.mkdir()
        contents.append(exported("mlp_softmax", "keras3", folder)[1].read_bytes())
    assert contents[0] == contents[1]


def test_keras_1s_hard_sigmoid_becomes_weights_that_are_larger(tmp_path):
    run, path, _ = exported("lstm_gpu", "keras3", tmp_path)
    with zipfile.ZipFile(path) as archive, h5py.File(archive.open("model.weights.h5")) as file:
        kernel = file["layers/lstm/cell/vars/0"][()]
    ours = run.weights()["lstm_1/W"]
    width = ours.shape[1] // 4
    gates, memory = [0, 1, 3], 2  # i, f, c, o
    for gate in gates:
        part = slice(gate * width, (gate + 1) * width)
        np.testing.assert_allclose(kernel[:, part], ours[:, part] * 1.2, rtol=1e-6)
    part = slice(memory * width, (memory + 1) * width)
    assert (kernel[:, part] == ours[:, part]).all()


# -- ONNX --------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
@pytest.mark.parametrize("case", GRAPHS)
def test_onnxruntime_predicts_from_our_graphs_what_we_predict(case, tmp_path):
    _, path, difference = exported(case, "onnx", tmp_path)
    assert difference is not None
    assert difference < 1e-5
    assert path.stat().st_size > 0


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
def test_a_graph_takes_any_number_of_samples(tmp_path):
    import onnxruntime

    run, path, _ = exported("mlp_softmax", "onnx", tmp_path)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    x = np.asarray(Golden("mlp_softmax").data["x"], dtype=np.float32)
    assert [session.run(None, {given.name: x[:rows]})[0].shape[0] for rows in (1, 5)] == [1, 5]
    whole = session.run(None, {given.name: x})[0]
    np.testing.assert_allclose(run.predict(Notebook()), whole, atol=1e-5)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
def test_a_graph_that_was_traced_with_one_sample_takes_more(tmp_path):
    x = np.random.default_rng(0).random((5, 3, 4), dtype=np.float32)
    model = sequential(("LSTM", {"output_dim": 2, "input_shape": [3, 4]}))
    run = training({"x": x}, model=model, predict={"x": "d/x"})
    one = training({"x": x[:1]}, model=model, predict={"x": "d/x"})
    exporting.export(one, "onnx", tmp_path / "model.onnx")
    y = onnx_graph.run(tmp_path / "model.onnx", (torch.from_numpy(x),))
    np.testing.assert_allclose(y, run.predict(Notebook()), rtol=1e-5, atol=1e-6)


def test_without_its_packages_onnx_is_refused(monkeypatch):
    monkeypatch.setattr(exporting, "NEEDED", ("onnx", "a_package_that_is_not_there"))
    exporting.check(["keras1", "keras3"])
    with pytest.raises(Unavailable, match="lacks a_package_that_is_not_there") as refusal:
        exporting.check(["onnx"])
    assert refusal.value.where == "/exports"


# -- what cannot be said -----------------------------------------------------------------------------


def model_of(*layers):
    return read_model(sequential(*layers))[0]


LONG = ("LSTM", {"output_dim": 2, "input_shape": [500, 3]})
OPEN = ("LSTM", {"output_dim": 2, "input_dim": 3})
KEEPING = ("LSTM", {"output_dim": 2, "batch_input_shape": [4, 5, 3], "stateful": True})
AFTER = {"consume_less": "gpu", "reset_after": True}
IMAGES = {"input_shape": [4, 5, 3], "dim_ordering": "tf"}


@pytest.mark.parametrize(
    ("name", "layers", "says"),
    [
        ("keras3", [("Highway", {"input_dim": 3})], "it has no such layer"),
        ("keras3", [("MaxoutDense", {"output_dim": 3, "input_dim": 3})], "it has no such layer"),
        ("keras3", [("BatchNormalization", {"input_shape": [3], "mode": 2})], "it has no mode 2"),
        ("keras3", [("MaxPooling2D", {**IMAGES, "border_mode": "same"})], "places the windows elsewhere"),
        ("keras3", [("LSTM", {"output_dim": 2, "input_shape": [5, 3], "activation": "hard_sigmoid"})], "another slope"),
        ("keras1", [("Dense", {"output_dim": 3, "input_dim": 3, "activation": "gelu"})], "activation 'gelu'"),
        ("keras1", [("GRU", {"output_dim": 2, "input_shape": [5, 3], **AFTER})], "which Keras 1.2.2 does not know"),
        ("keras1", [("Dense", {"output_dim": 2, "input_dim": 3, "init": {"name": "Constant"}})], "has init"),
        ("keras1", [("Lambda", {"function": "lambda x: x ** 2", "input_shape": [3]})], "has function"),
        ("onnx", [LONG], "go 500 steps in all, which are written one by one; 256 may be"),
        ("onnx", [OPEN], "must know how many steps there are"),
        ("onnx", [KEEPING], "is stateful, and a graph of ONNX keeps nothing"),
    ],
)
def test_what_a_program_has_no_words_for_is_refused_before_anything_is_trained(name, layers, says):
    with pytest.raises(BadArgument, match=f"cannot be exported as {name}.*{says}") as refusal:
        exports.check(model_of(*layers), [name])
    assert refusal.value.where == "/0"


def test_an_export_that_there_is_not_is_refused_with_those_there_are():
    model = model_of(("Dense", {"output_dim": 3, "input_dim": 3}))
    with pytest.raises(BadArgument, match="no export 'keras4'; there are keras1, keras3, onnx") as refusal:
        exports.check(model, ["keras1", "keras4"])
    assert refusal.value.where == "/1"
    with pytest.raises(BadArgument, match="named twice"):
        exports.check(model, ["keras1", "keras1"])


def test_unless_told_a_file_of_keras_1_is_written_where_that_can_say_the_model():
    plain = model_of(("Dense", {"output_dim": 3, "input_dim": 3}))
    later = model_of(("Dense", {"output_dim": 3, "input_dim": 3, "activation": "gelu"}))
    assert exports.chosen(plain, None) == ["keras1"]
    assert exports.chosen(later, None) == []
    assert exports.chosen(plain, ["onnx"]) == ["onnx"]
    large = model_of(("Dense", {"output_dim": 6000, "input_dim": 6000}))
    assert exports.chosen(large, None) == []
    assert exports.chosen(large, ["keras1"]) == ["keras1"]


def test_every_golden_model_without_a_function_can_be_said_in_keras_1():
    refused = {
        path.parent.name
        for path in GOLDEN.glob("*/trained.h5")
        if exports.reason(read_model(Golden(path.parent.name).model, dim_ordering="th")[0], "keras1")
    }
    assert refused == {"lambda_square", "merge_lambda", "merge_lambda_tuple_shape"}
