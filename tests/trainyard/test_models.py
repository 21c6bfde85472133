"""What of a model is told without a service: layers, shapes, tables, JSON, compile."""

import json

import numpy as np
import pytest

from engine.errors import BadArgument, BadModel, ShapeMismatch
from engine.layer import LAYERS
from trainyard import backend as K
from trainyard.errors import TrainyardError
from trainyard.layers import GRU, LSTM, Activation, Dense, Dropout, Embedding, Merge, RepeatVector, TimeDistributed
from trainyard.models import Sequential, model_from_json
from trainyard.optimizers import SGD, get


@pytest.fixture(autouse=True)
def th():
    """Leave the setting as it was."""
    before = K.image_dim_ordering()
    yield
    K.set_image_dim_ordering(before)


def perceptron():
    return Sequential([Dense(64, input_dim=20, init="uniform"), Activation("tanh"), Dropout(0.5), Dense(10)])


def weights_of(model):
    return [each.shape for each in model.get_weights()]


def test_the_layers_are_the_engine_s_own_under_all_their_names():
    import trainyard.layers as layers

    assert Dense is LAYERS["Dense"]
    assert set(LAYERS) - {"Sequential"} <= set(layers.__all__)
    assert all(getattr(layers, name) is LAYERS[name] for name in layers.__all__)


def test_keras_1_s_modules_can_be_imported_from():
    from trainyard.layers.convolutional import Convolution2D
    from trainyard.layers.core import Dense as FromCore
    from trainyard.layers.recurrent import LSTM as FROM_RECURRENT

    assert (FromCore, FROM_RECURRENT, Convolution2D) == (Dense, LSTM, LAYERS["Convolution2D"])


def test_a_layer_that_is_not_there_cannot_be_imported():
    with pytest.raises(ImportError):
        from trainyard.layers import Dens  # noqa: F401


def test_a_list_and_add_make_the_same_model():
    listed, added = perceptron(), Sequential()
    for each in (Dense(64, input_dim=20, init="uniform"), Activation("tanh"), Dropout(0.5), Dense(10)):
        added.add(each)

    strip = [{k: v for k, v in each["config"].items() if k != "name"} for each in listed.get_config()]
    assert strip == [{k: v for k, v in each["config"].items() if k != "name"} for each in added.get_config()]
    assert (listed.input_shape, listed.output_shape, listed.count_params()) == ((None, 20), (None, 10), 1994)


@pytest.mark.parametrize("first", [{"input_shape": (784,)}, {"batch_input_shape": (None, 784)}, {"input_dim": 784}])
def test_the_three_ways_to_give_a_first_shape_are_one(first):
    assert Sequential([Dense(32, **first)]).input_shape == (None, 784)


def test_a_first_layer_without_a_shape_is_refused_when_it_is_added():
    with pytest.raises(BadModel, match="input_shape"):
        Sequential([Dense(32)])


def test_a_layer_that_does_not_fit_is_refused_when_it_is_added_and_the_model_stays():
    model = perceptron()
    with pytest.raises(ShapeMismatch, match="4 axes") as refusal:
        model.add(LAYERS["Convolution2D"](8, 3, 3))

    assert refusal.value.where.startswith("/config/4")
    assert (len(model.layers), model.output_shape) == (4, (None, 10))


def test_what_is_no_layer_is_a_type_error():
    with pytest.raises(TypeError, match="takes layers"):
        Sequential([32])
    with pytest.raises(TypeError, match="no layers"):
        Sequential().pop()


def test_pop_takes_the_last_layer_away():
    model = perceptron()
    model.compile("sgd", "mse")
    model.pop()
    assert model.output_shape == (None, 64)
    with pytest.raises(RuntimeError, match="compiled"):
        model.metrics_names  # noqa: B018


def test_two_branches_and_a_lambda_give_what_the_guide_says():
    left, right = Sequential([Dense(32, input_dim=784)]), Sequential([Dense(32, input_dim=784)])
    model = Sequential([Merge([left, right], mode=lambda x: x[0] - x[1])])
    model.add(Dense(10, activation="softmax"))

    assert model.input_shape == [(None, 784), (None, 784)]
    assert model.output_shape == (None, 10)
    assert weights_of(model) == [(784, 32), (32,), (784, 32), (32,), (32, 10), (10,)]


def test_a_branch_is_taken_as_it_is_when_it_is_merged():
    images = Sequential([Dense(128, input_dim=50)])
    images.add(RepeatVector(16))
    words = Sequential([Embedding(100, 8, input_length=16), GRU(12, return_sequences=True)])
    words.add(TimeDistributed(Dense(128)))
    merged = Merge([images, words], mode="concat", concat_axis=-1)
    images.pop()

    assert Sequential([merged]).output_shape == (None, 16, 256)


def test_a_model_within_a_model_is_a_layer_of_it():
    inner = Sequential([Dense(8, input_dim=4), Dense(3)])
    model = Sequential([inner, Dense(2)])
    assert model.output_shape == (None, 2)
    assert model.count_params() == inner.count_params() + 8
    assert weights_of(model) == [*weights_of(inner), (3, 2), (2,)]


def test_a_layer_that_stands_twice_has_one_set_of_weights():
    shared = Dense(4, input_dim=4)
    assert weights_of(Sequential([shared, shared])) == [(4, 4), (4,)]


def test_names_do_not_repeat_those_that_a_loaded_model_brings():
    loaded = Sequential.from_config([{"class_name": "Dense", "config": {"output_dim": 3, "input_dim": 3}}])
    loaded = model_from_json(loaded.to_json())
    loaded.add(Dense(3))
    assert len({each.name for each in loaded.layers}) == 2


def test_json_goes_round():
    left, right = Sequential([LSTM(3, input_shape=(5, 2))]), Sequential([LSTM(3, input_shape=(5, 2))])
    model = Sequential([Merge([left, right], mode="concat"), Dense(2)])
    again = model_from_json(model.to_json(indent=1))
    assert json.loads(again.to_json()) == json.loads(model.to_json())
    assert json.loads(model.to_json())["keras_version"] == "1.2.2"


def test_the_summary_is_keras_1_s_table(capsys):
    left, right = Sequential([Dense(32, input_dim=784, name="a")]), Sequential([Dense(32, input_dim=784, name="b")])
    model = Sequential([Merge([left, right], mode="concat", name="joined"), Dense(10, name="c")])
    model.summary()

    lines = capsys.readouterr().out.splitlines()
    assert {len(line) for line in lines if line[0] in "_="} == {100}
    assert lines[1].split("  ")[0] == "Layer (type)"
    rows = [line.split() for line in lines if "(Dense)" in line]
    assert rows == [
        ["a", "(Dense)", "(None,", "32)", "25120", "a_input[0][0]"],
        ["b", "(Dense)", "(None,", "32)", "25120", "b_input[0][0]"],
        ["c", "(Dense)", "(None,", "10)", "650", "joined[0][0]"],
    ]
    assert lines[-4:-1] == ["Total params: 50,890", "Trainable params: 50,890", "Non-trainable params: 0"]


def test_a_row_of_the_summary_is_cut_into_its_columns(capsys):
    Sequential([Dense(2, input_dim=2, name="a_layer_with_a_name_of_forty_characters_or")]).summary(60)
    row = capsys.readouterr().out.splitlines()[3]
    assert len(row) == 60
    assert row[18:19] == " "


def test_a_layer_of_a_model_knows_its_place_and_can_be_frozen():
    model = perceptron()
    first = model.layers[0]
    assert (first.input_shape, first.output_shape, first.count_params()) == ((None, 20), (None, 64), 1344)
    assert (first.activation, first.get_config()["init"]) == ("linear", "uniform")
    first.trainable = False
    assert model.layers[0].trainable is False
    assert model.settled.summary()["parameters"] == {"trainable": 650, "frozen": 1344, "total": 1994}
    assert model.get_layer(first.name).name == model.get_layer(index=0).name == first.name
    with pytest.raises(ValueError, match="no layer"):
        model.get_layer("other")


def test_weights_are_drawn_here_as_numpy_s_seed_says():
    drawn = []
    for _ in range(2):
        np.random.seed(7)
        drawn.append(perceptron().get_weights())
    assert all((a == b).all() for a, b in zip(*drawn, strict=True))
    assert np.abs(drawn[0][0]).max() <= 0.05


def test_set_weights_takes_what_get_weights_gives_and_nothing_else():
    model = perceptron()
    model.set_weights([each + 1 for each in model.get_weights()])
    assert (model.get_weights()[1] == 1).all()
    model.layers[3].set_weights([np.zeros((64, 10)), np.full(10, 5)])
    assert (model.get_weights()[3] == 5).all()
    assert (model.layers[0].get_weights()[1] == 1).all()
    with pytest.raises(TrainyardError, match="4 arrays"):
        model.set_weights(model.get_weights()[:2])


def test_a_branch_s_weights_are_those_of_the_model_that_it_stands_in():
    left, right = Sequential([Dense(3, input_dim=2)]), Sequential([Dense(3, input_dim=2)])
    model = Sequential([Merge([left, right], mode="sum")])
    left.set_weights([np.ones((2, 3)), np.ones(3)])
    assert (model.get_weights()[0] == 1).all()
    model.set_weights([np.full(each.shape, 2.0) for each in model.get_weights()])
    assert (model.get_weights()[0] == 2).all()
    left.set_weights([np.full((2, 3), 4.0), np.ones(3)])
    assert [each.flat[0] for each in model.get_weights()] == [4, 1, 2, 2]


def test_weights_stay_where_layers_come_and_go():
    model = Sequential([Dense(3, input_dim=2)])
    model.set_weights([np.ones((2, 3)), np.ones(3)])
    model.add(Dense(2))
    assert (model.get_weights()[0] == 1).all()
    assert model.get_weights()[2].std() > 0


def test_images_have_their_channels_where_the_backend_says():
    K.set_image_dim_ordering("th")
    convolution = LAYERS["Convolution2D"]
    assert Sequential([convolution(4, 3, 3, input_shape=(3, 10, 12))]).output_shape == (None, 4, 8, 10)
    K.set_image_dim_ordering("tf")
    assert Sequential([convolution(4, 3, 3, input_shape=(10, 12, 3))]).output_shape == (None, 8, 10, 4)
    with pytest.raises(TrainyardError, match="dim_ordering"):
        K.set_image_dim_ordering("channels_first")


def test_compile_checks_what_it_is_given():
    model = perceptron()
    model.compile(optimizer=SGD(0.1, momentum=0.9), loss="mse", metrics=["accuracy", "mae"])
    assert model.metrics_names == ["loss", "acc", "mean_absolute_error"]
    assert model.optimizer == get({"class_name": "SGD", "config": {"lr": 0.1, "momentum": 0.9}})
    model.learning_rate = 0.5
    assert (model.learning_rate, model.optimizer.momentum) == (0.5, 0.9)


def test_a_learning_rate_is_read_and_set_in_keras_1_s_words_too():
    model, other = Sequential([Dense(1, input_dim=5)]), Sequential([Dense(1, input_dim=5)])
    shared = SGD(lr=0.1)
    for each in (model, other):
        each.compile(shared, "mse")
    K.set_value(model.optimizer.lr, K.get_value(model.optimizer.lr) * 0.5)
    assert (model.learning_rate, other.learning_rate, shared.lr) == (0.05, 0.1, 0.1)
    assert json.loads(json.dumps(model.optimizer.get_config()))["lr"] == 0.05
    with pytest.raises(TrainyardError, match=r"model\.optimizer\.lr"):
        K.set_value(0.1, 0.2)
    with pytest.raises(TypeError, match="list"):
        model.compile("sgd", "mse", metrics="accuracy")
    with pytest.raises(BadArgument, match="lr"):
        SGD(lr=-1)


def test_the_backend_says_why_it_computes_nothing_here():
    with pytest.raises(TrainyardError, match="computes where the model is trained"):
        K.mean([1, 2])
    with pytest.raises(AttributeError, match="no K function"):
        K.men  # noqa: B018
    assert (K.floatx(), K.epsilon()) == ("float32", 1e-7)


def test_an_untrained_model_says_what_it_lacks():
    with pytest.raises(TypeError, match="no layers yet"):
        Sequential().get_weights()
