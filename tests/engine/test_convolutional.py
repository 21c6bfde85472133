"""Convolution, pooling, padding and locally connected layers: shapes, kernels, ties, refusals; rows S77–S84."""

import numpy as np
import pytest

from engine.definition import read_model
from engine.errors import BadArgument, ShapeMismatch
from engine.plan import Plan
from tests.engine.yard import Notebook, describing, sequential, training

IMAGE = {"input_shape": [3, 100, 100]}
VGG = (
    ("Convolution2D", {"nb_filter": 32, "nb_row": 3, "nb_col": 3, "border_mode": "valid", **IMAGE}),
    ("Activation", {"activation": "relu"}),
    ("Convolution2D", {"nb_filter": 32, "nb_row": 3, "nb_col": 3}),
    ("Activation", {"activation": "relu"}),
    ("MaxPooling2D", {"pool_size": [2, 2]}),
    ("Dropout", {"p": 0.25}),
    ("Convolution2D", {"nb_filter": 64, "nb_row": 3, "nb_col": 3, "border_mode": "valid"}),
    ("Activation", {"activation": "relu"}),
    ("Convolution2D", {"nb_filter": 64, "nb_row": 3, "nb_col": 3}),
    ("Activation", {"activation": "relu"}),
    ("MaxPooling2D", {"pool_size": [2, 2]}),
    ("Dropout", {"p": 0.25}),
    ("Flatten", {}),
    ("Dense", {"output_dim": 256}),
    ("Activation", {"activation": "relu"}),
    ("Dropout", {"p": 0.5}),
    ("Dense", {"output_dim": 10}),
    ("Activation", {"activation": "softmax"}),
)


def model_of(*layers, dim_ordering="th"):
    return read_model(sequential(*layers), dim_ordering=dim_ordering)[0]


def shape_of(*layers, dim_ordering="th"):
    return model_of(*layers, dim_ordering=dim_ordering).placed[-1].output_shape


def predictor(x, *layers, dim_ordering="th"):
    return training({"x": x}, model=sequential(*layers), predict={"x": "d/x"}, dim_ordering=dim_ordering)


def predictions(x, *layers, dim_ordering="th", weights=None):
    run = predictor(x, *layers, dim_ordering=dim_ordering)
    run.take(weights or {})
    return run.predict(Notebook())


def floats(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def test_s78_to_s84_the_seeds_image_model_has_its_shapes_and_parameters():
    summary = model_of(*VGG).summary()

    shapes = [row["output_shape"][1:] for row in summary["layers"] if row["class_name"][:4] in ("Conv", "MaxP")]
    assert shapes == [[32, 98, 98], [32, 96, 96], [32, 48, 48], [64, 46, 46], [64, 44, 44], [64, 22, 22]]
    assert summary["layers"][12]["output_shape"] == [None, 30976]
    assert summary["parameters"]["total"] == 7_998_250


def test_s77_channels_first_under_tf_is_refused_with_the_way_out():
    with pytest.raises(ShapeMismatch, match=r'dim_ordering is "tf".*the last axis.*"dim_ordering": "th"') as refusal:
        model_of(*VGG, dim_ordering="tf")
    assert refusal.value.where == "/config/2"


def test_a_jobs_dim_ordering_is_the_default_of_its_layers_and_is_written_out():
    body = {"model": sequential(*VGG[:3]), "predict": {"x": "d/x"}}
    describe = describing({"x": np.zeros((2, 3, 100, 100), dtype=np.float32)})

    plan = Plan.read(body | {"dim_ordering": "th"}, describe)

    assert [each.dim_ordering for each in plan.model.layers[::2]] == ["th", "th"]
    assert Plan.read(plan.definition, describe).definition == plan.definition
    alone = {key: plan.definition[key] for key in ("model", "predict")}
    assert Plan.read(alone, describe).model == plan.model


def test_a_layers_own_dim_ordering_wins():
    conv = ("Convolution2D", {"nb_filter": 5, "nb_row": 2, "nb_col": 2, "dim_ordering": "tf", "input_shape": [6, 7, 3]})
    assert shape_of(conv) == (None, 5, 6, 5)
    assert [each.shape for each in model_of(conv).all_weights] == [(2, 2, 3, 5), (5,)]


IMAGES = {
    "Convolution2D": {"nb_filter": 4, "nb_row": 3, "nb_col": 2, "border_mode": "same", "subsample": [2, 1]},
    "AtrousConvolution2D": {"nb_filter": 4, "nb_row": 3, "nb_col": 2, "atrous_rate": [2, 3]},
    "MaxPooling2D": {"pool_size": [3, 2], "border_mode": "same"},
    "AveragePooling2D": {"pool_size": [3, 2], "border_mode": "same"},
    "GlobalMaxPooling2D": {},
    "GlobalAveragePooling2D": {},
    "ZeroPadding2D": {"padding": [1, 2, 3, 4]},
    "Cropping2D": {"cropping": [[1, 2], [0, 3]]},
    "UpSampling2D": {"size": [2, 3]},
}
VOLUMES = {
    "Convolution3D": {"nb_filter": 4, "kernel_dim1": 3, "kernel_dim2": 2, "kernel_dim3": 1},
    "MaxPooling3D": {},
    "AveragePooling3D": {"border_mode": "same"},
    "GlobalMaxPooling3D": {},
    "GlobalAveragePooling3D": {},
    "ZeroPadding3D": {"padding": [1, 0, 2]},
    "Cropping3D": {},
    "UpSampling3D": {},
}


@pytest.mark.parametrize("name", [*IMAGES, *VOLUMES])
def test_both_dim_orderings_compute_the_same(name):
    config = (IMAGES | VOLUMES)[name]
    x = floats(2, 3, 8, 9) if name in IMAGES else floats(2, 3, 4, 5, 6)
    first = predictor(x, (name, {**config, "input_shape": list(x.shape[1:])}))
    turned = np.moveaxis(x, 1, -1)
    last = predictor(turned, (name, {**config, "input_shape": list(turned.shape[1:])}), dim_ordering="tf")
    last.take(
        {
            key: (np.moveaxis(array, (0, 1), (-1, -2)) if array.ndim > 1 else array).copy()
            for key, array in first.weights().items()
        }
    )

    theirs, ours = first.predict(Notebook()), last.predict(Notebook())

    assert (None, *theirs.shape[1:]) == first.plan.model.placed[-1].output_shape
    assert (None, *ours.shape[1:]) == last.plan.model.placed[-1].output_shape
    np.testing.assert_allclose(np.moveaxis(ours, -1, 1), theirs, atol=1e-5)


def test_a_convolution_is_a_correlation_as_on_tensorflow():
    conv = ("Convolution1D", {"nb_filter": 1, "filter_length": 2, "input_shape": [3, 1]})
    weights = {"convolution1d_1/W": np.array([10.0, 1.0], dtype=np.float32).reshape(2, 1, 1, 1)}
    x = np.array([[[1.0], [2.0], [3.0]]], dtype=np.float32)
    assert predictions(x, conv, weights=weights).ravel().tolist() == [12.0, 23.0]


@pytest.mark.parametrize(
    ("border_mode", "step", "expected"),
    [("valid", 1, [31, 42]), ("same", 2, [20, 42]), ("full", 1, [10, 20, 31, 42, 3, 4])],
)
def test_a_convolution_may_have_holes_and_pads_both_sides_alike(border_mode, step, expected):
    """The kernel is 1 and 10 with a hole between, the input 1 2 3 4."""
    config = {"nb_filter": 1, "filter_length": 2, "atrous_rate": 2, "border_mode": border_mode}
    layer = ("AtrousConvolution1D", {**config, "subsample_length": step, "input_shape": [4, 1]})
    weights = {"atrousconvolution1d_1/W": np.array([1.0, 10.0], dtype=np.float32).reshape(2, 1, 1, 1)}
    x = np.array([1.0, 2.0, 3.0, 4.0], dtype=np.float32).reshape(1, 4, 1)
    assert predictions(x, layer, weights=weights).ravel().tolist() == expected
    assert shape_of(layer) == (None, len(expected), 1)


def test_an_axis_of_any_length_is_convolved_and_pooled():
    layers = (
        ("Convolution1D", {"nb_filter": 4, "filter_length": 3, "input_dim": 2}),
        ("MaxPooling1D", {}),
        ("GlobalAveragePooling1D", {}),
    )
    assert [each.output_shape for each in model_of(*layers).placed] == [(None, None, 4), (None, None, 4), (None, 4)]
    assert predictions(floats(2, 9, 2), *layers).shape == (2, 4)


def test_input_dim_with_input_length_declares_the_shape_of_steps():
    conv = {"nb_filter": 4, "filter_length": 3, "input_dim": 2, "input_length": 9}
    assert model_of(("Convolution1D", conv)).inputs()[0].shape == (None, 9, 2)
    assert model_of(("Conv1D", conv), ("Conv1D", conv)).definition()["config"][1]["config"]["input_dim"] is None


def test_only_theano_s_kernels_are_turned_around_on_load(tmp_path):
    x = floats(2, 2, 5, 5)
    layers = (
        ("Convolution2D", {"nb_filter": 3, "nb_row": 2, "nb_col": 3, "input_shape": [2, 5, 5]}),
        ("LocallyConnected2D", {"nb_filter": 2, "nb_row": 2, "nb_col": 2}),
    )
    run = predictor(x, *layers)
    before = run.weights()
    run.save_weights(tmp_path / "w.h5", "hdf5")

    run.load_weights(tmp_path / "w.h5", kernels="theano")

    after = run.weights()
    conv, local = "convolution2d_1/W", "locallyconnected2d_1/W"
    assert (after[conv] == before[conv][:, :, ::-1, ::-1]).all()
    assert (after[local] == before[local]).all()
    run.load_weights(tmp_path / "w.h5")
    assert (run.weights()[conv] == before[conv]).all()


@pytest.mark.parametrize("pooling", ["MaxPooling1D", "GlobalMaxPooling1D"])
def test_every_tied_maximum_gets_the_whole_gradient(pooling):
    """With two equal steps the kernel's gradient is twice that of one step."""
    x = np.ones((1, 2, 1), dtype=np.float32)
    layers = (("Convolution1D", {"nb_filter": 1, "filter_length": 1, "input_shape": [2, 1]}), (pooling, {}))
    layers += (("Flatten", {}),) if pooling == "MaxPooling1D" else ()
    body = {
        "model": sequential(*layers),
        "compile": {"loss": "mse", "optimizer": {"class_name": "SGD", "config": {"lr": 1.0}}},
        "fit": {"x": "d/x", "y": "d/y", "nb_epoch": 1},
    }
    run = training({"x": x, "y": np.array([[2.0]], dtype=np.float32)}, **body)
    run.take({"convolution1d_1/W": np.full((1, 1, 1, 1), 3.0, dtype=np.float32)})

    run.fit(Notebook())

    assert run.weights()["convolution1d_1/W"].item() == 3.0 - 2 * 2.0  # d loss / d output is 2


def test_locally_connected_has_a_kernel_at_every_place_in_both_orderings():
    config = {"nb_filter": 2, "nb_row": 2, "nb_col": 3}
    th = model_of(("LocallyConnected2D", {**config, "input_shape": [3, 5, 6]}))
    tf = model_of(("LocallyConnected2D", {**config, "input_shape": [5, 6, 3]}), dim_ordering="tf")
    assert (
        [each.shape for each in th.all_weights] == [each.shape for each in tf.all_weights] == [(16, 18, 2), (4, 4, 2)]
    )
    x = floats(2, 5, 6, 3)
    run = predictor(x, ("LocallyConnected2D", {**config, "input_shape": [5, 6, 3]}), dim_ordering="tf")
    kernel = run.weights()["locallyconnected2d_1/W"]
    by_hand = x[:, 1:3, 2:5].reshape(2, -1) @ kernel[1 * 4 + 2]
    np.testing.assert_allclose(run.predict(Notebook())[:, 1, 2], by_hand, atol=1e-5)


@pytest.mark.parametrize(
    ("padding", "length"), [(2, 9), ([1, 3], 9), ({"left_pad": 1, "right_pad": 3}, 9), ({"left_pad": 1}, 6)]
)
def test_padding_may_be_a_number_a_pair_or_an_object(padding, length):
    assert shape_of(("ZeroPadding1D", {"padding": padding, "input_shape": [5, 2]})) == (None, length, 2)


@pytest.mark.parametrize(
    ("layer", "error", "where", "says"),
    [
        (("MaxPooling2D", {"pool_size": [2], "input_shape": [1, 4, 4]}), BadArgument, "pool_size", "list of 2"),
        (("MaxPooling2D", {"pool_size": [0, 2], "input_shape": [1, 4, 4]}), BadArgument, "pool_size", "1 or more"),
        (("MaxPooling1D", {"border_mode": "full", "input_shape": [4, 1]}), BadArgument, "border_mode", "'valid'"),
        (("MaxPooling1D", {"pool_length": 5, "input_shape": [4, 1]}), ShapeMismatch, None, "does not fit"),
        (("MaxPooling1D", {"pool_length": 50, "border_mode": "same", "input_shape": [4, 1]}), ShapeMismatch, None, "4"),
        (("UpSampling1D", {"input_shape": [4]}), ShapeMismatch, None, "input of 3 axes"),
        (("Cropping1D", {"cropping": [2, 2], "input_shape": [4, 1]}), ShapeMismatch, None, "nothing is left"),
        (("Cropping2D", {"cropping": [1, 2], "input_shape": [1, 4, 4]}), BadArgument, "cropping", "2 pairs"),
        (("ZeroPadding1D", {"padding": -1, "input_shape": [4, 1]}), BadArgument, "padding", "0 or more"),
        (("ZeroPadding1D", {"padding": {"top_pad": 1}, "input_shape": [4, 1]}), BadArgument, "padding", "left_pad"),
        (("ZeroPadding2D", {"padding": [1, 2, 3], "input_shape": [1, 4, 4]}), BadArgument, "padding", "list of 4"),
        (("Convolution2D", {"nb_filter": 1, "nb_row": 1, "nb_col": 1, "input_shape": [None, 4, 4]}), ShapeMismatch,
         None, "axis 1"),
        (("LocallyConnected1D", {"nb_filter": 1, "filter_length": 1, "input_dim": 3}), ShapeMismatch, None, "in full"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_and_pointed_at(layer, error, where, says):
    with pytest.raises(error, match=says) as refusal:
        model_of(layer)
    assert refusal.value.where == "/config/0" + (f"/config/{where}" if where else "")


DECONV = {"nb_filter": 3, "nb_row": 2, "nb_col": 3, "subsample": [2, 2]}


@pytest.mark.parametrize("border_mode", ["valid", "same"])
def test_a_deconvolution_is_the_gradient_of_the_convolution_that_leads_back(border_mode):
    forth = {**DECONV, "nb_filter": 2, "border_mode": border_mode, "bias": False}
    x = floats(1, 3, 8, 9)
    conv = predictor(x, ("Convolution2D", {**forth, "input_shape": [3, 8, 9]}))
    y = conv.predict(Notebook())
    back = floats(*y.shape, seed=1)
    deconv = {**forth, "nb_filter": 3, "output_shape": [None, 3, 8, 9], "input_shape": list(back.shape[1:])}
    run = predictor(back, ("Deconvolution2D", deconv))
    run.take({"deconvolution2d_1/W": conv.weights()["convolution2d_1/W"].swapaxes(0, 1).copy()})

    turned = run.predict(Notebook())

    assert turned.shape == x.shape
    np.testing.assert_allclose((turned * x).sum(), (back * y).sum(), rtol=1e-4)


@pytest.mark.parametrize(
    ("shape", "error", "where"),
    [
        (None, BadArgument, "/config/0/config/output_shape"),
        ([None, 3, 8], BadArgument, "/config/0/config/output_shape"),
        ([None, 3, None, 9], BadArgument, "/config/0/config/output_shape"),
        ([None, 3, 50, 9], ShapeMismatch, "/config/0"),
        ([None, 4, 8, 9], ShapeMismatch, "/config/0"),
    ],
)
def test_a_deconvolution_into_an_impossible_shape_is_refused(shape, error, where):
    with pytest.raises(error, match=r"output_shape|cannot turn") as refusal:
        model_of(("Deconv2D", {**DECONV, "output_shape": shape, "input_shape": [2, 4, 4]}))
    assert refusal.value.where == where


@pytest.mark.parametrize("dim_ordering", ["th", "tf"])
def test_a_separable_convolution_is_a_convolution_with_the_product_of_its_kernels(dim_ordering):
    config = {"nb_filter": 4, "nb_row": 2, "nb_col": 3, "border_mode": "same"}
    x = floats(2, 3, 6, 7) if dim_ordering == "th" else floats(2, 6, 7, 3)
    shape = {"input_shape": list(x.shape[1:])}
    separable = ("SeparableConvolution2D", {**config, "depth_multiplier": 2, **shape})
    run = predictor(x, separable, dim_ordering=dim_ordering)
    depthwise, pointwise = (
        run.weights()[f"separableconvolution2d_1/{name}_kernel"] for name in ("depthwise", "pointwise")
    )
    if dim_ordering == "th":
        assert (depthwise.shape, pointwise.shape) == ((2, 3, 2, 3), (4, 6, 1, 1))
        kernel = np.einsum("mirc,fim->firc", depthwise, pointwise.reshape(4, 3, 2))
    else:
        assert (depthwise.shape, pointwise.shape) == ((2, 3, 3, 2), (1, 1, 6, 4))
        kernel = np.einsum("rcim,imf->rcif", depthwise, pointwise.reshape(3, 2, 4))

    whole = predictions(
        x,
        ("Convolution2D", {**config, **shape}),
        dim_ordering=dim_ordering,
        weights={"convolution2d_1/W": np.ascontiguousarray(kernel)},
    )

    np.testing.assert_allclose(run.predict(Notebook()), whole, atol=1e-5)
