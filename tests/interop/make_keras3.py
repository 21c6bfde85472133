"""Record what real Keras 3 makes of models of every layer that it shares with us.

Run it in an environment of its own: `pip install keras==3.15.1 "jax[cpu]" h5py`, then
`KERAS_BACKEND=jax python -m tests.interop.make_keras3` from the repository's root.
"""

from __future__ import annotations

from pathlib import Path

import keras
from keras import Sequential, layers

from tests.interop.recording import Case, record

ROOT = Path(__file__).parent / "keras3"
L = layers


def of(shape, *each, dtype="float32", batch=None):
    """Build a Sequential; with `batch`, one of a fixed batch size."""
    first = keras.Input(batch_shape=(batch, *shape), dtype=dtype) if batch else keras.Input(shape, dtype=dtype)
    return Sequential([first, *each])


def mlp():
    return of(
        (12,),
        L.Dense(10, activation="relu", kernel_regularizer=keras.regularizers.L1L2(0.01, 0.02), name="hidden"),
        L.Dropout(0.3, seed=3),
        L.Dense(
            8, kernel_initializer="he_normal", bias_regularizer="l2", kernel_constraint=keras.constraints.MaxNorm(2)
        ),
        L.Activation("tanh"),
        L.Dense(8, use_bias=False, kernel_constraint="non_neg", activity_regularizer=keras.regularizers.L2(0.01)),
        L.ActivityRegularization(l1=0.01, l2=0.02),
        L.Dense(5, activation="softmax", kernel_constraint=keras.constraints.UnitNorm(axis=0)),
    )


def trained_mlp():
    return of(
        (6,),
        L.Dense(7, activation="tanh", kernel_regularizer=keras.regularizers.L2(0.02)),
        L.Dense(4, activation="sigmoid", activity_regularizer=keras.regularizers.L1(0.03)),
        L.ActivityRegularization(l2=0.05),
        L.Dense(3, activation="softmax"),
    )


def advanced():
    return of(
        (6, 5),
        L.LeakyReLU(negative_slope=0.2),
        L.Dense(6),
        L.ELU(alpha=0.7),
        L.PReLU(shared_axes=[1]),
        L.Dense(6),
        L.ReLU(),
        L.Dense(6),
        L.ReLU(negative_slope=0.1),
        L.Dense(6),
        L.ReLU(max_value=6.0),
        L.PReLU(),
        L.Dense(4),
        L.ReLU(threshold=0.2),
        L.Softmax(),
    )


def functions():
    names = (
        "linear relu sigmoid hard_sigmoid tanh softplus softsign elu selu silu gelu exponential relu6 leaky_relu "
        "mish hard_silu log_softmax"
    )
    return of((5,), *(L.Dense(5, activation=each) for each in names.split()), L.Activation("swish"))


def vgg():
    return of(
        (16, 14, 3),
        L.Conv2D(4, (3, 3), activation="relu"),
        L.Conv2D(4, (3, 2), use_bias=False),
        L.Activation("relu"),
        L.MaxPooling2D((2, 2)),
        L.Dropout(0.25),
        L.Conv2D(6, 3, padding="same", activation="relu"),
        L.MaxPooling2D(pool_size=2, strides=1),
        L.AveragePooling2D((2, 1)),
        L.Flatten(),
        L.Dense(6, activation="softmax"),
    )


def even_borders():
    return of(
        (9, 10, 2),
        L.Conv2D(3, (2, 4), padding="same"),
        L.Conv2D(3, (3, 4), strides=2, padding="same"),
        L.MaxPooling2D((2, 2), strides=1, padding="same"),
        L.AveragePooling2D((3, 2), strides=(1, 1), padding="same"),
        L.Conv2D(4, (2, 2), dilation_rate=(1, 2), padding="same"),
        L.MaxPooling2D((3, 3), strides=2, padding="same"),
        L.AveragePooling2D((2, 2), padding="same"),
    )


def steps():
    return of(
        (24, 3),
        L.Conv1D(4, 3, padding="causal", activation="relu"),
        L.Conv1D(4, 2, padding="same", strides=2),
        L.Conv1D(4, 3, dilation_rate=2, padding="causal"),
        L.Conv1D(4, 3, dilation_rate=2, padding="valid"),
        L.ZeroPadding1D((1, 3)),
        L.MaxPooling1D(2, padding="same", strides=1),
        L.AveragePooling1D(3, padding="same", strides=2),
        L.UpSampling1D(3),
        L.Cropping1D((1, 2)),
        L.SpatialDropout1D(0.2),
        L.MaxPooling1D(2),
        L.GlobalMaxPooling1D(),
        L.RepeatVector(3),
        L.GlobalAveragePooling1D(),
    )


def volumes():
    return of(
        (7, 6, 5, 2),
        L.ZeroPadding3D((1, 0, 1)),
        L.Conv3D(3, (3, 2, 2), padding="same", activation="relu"),
        L.SpatialDropout3D(0.1),
        L.MaxPooling3D((2, 2, 1)),
        L.Conv3D(3, 2, strides=(1, 1, 2)),
        L.UpSampling3D((1, 2, 2)),
        L.Cropping3D(((0, 1), (1, 0), (0, 1))),
        L.AveragePooling3D((2, 1, 1), padding="same"),
        L.GlobalAveragePooling3D(),
    )


def global_volume():
    return of((4, 4, 4, 2), L.Conv3D(3, 3), L.GlobalMaxPooling3D(), L.Dense(2))


def separable():
    return of(
        (10, 9, 3),
        L.SeparableConv2D(4, (3, 3), depth_multiplier=2, padding="same", activation="relu"),
        L.SeparableConv2D(5, (2, 2), strides=(2, 2), padding="same", use_bias=False),
        L.GlobalAveragePooling2D(),
    )


def transposed():
    return of(
        (2, 2, 2),
        L.Conv2DTranspose(3, (3, 3), strides=(2, 2), padding="same", activation="relu"),
        L.Conv2DTranspose(3, (2, 4), strides=(1, 2), padding="same"),
        L.Conv2DTranspose(2, (3, 2), strides=(2, 3), padding="valid"),
        L.Conv2DTranspose(2, (2, 2), strides=(3, 3), padding="valid", use_bias=False),
    )


def shapes():
    return of(
        (6, 8, 2),
        L.ZeroPadding2D(((1, 2), (0, 3))),
        L.Cropping2D(((1, 0), (2, 1))),
        L.UpSampling2D((2, 1)),
        L.SpatialDropout2D(0.3),
        L.Permute((2, 1, 3)),
        L.Reshape((8, -1)),
        L.Dense(4),
        L.Reshape((8, 2, 2)),
        L.GlobalMaxPooling2D(),
        L.Rescaling(0.5, offset=0.25),
        L.Dense(3),
    )


def channels_first():
    return of(
        (3, 9, 8),
        L.Conv2D(4, (3, 3), data_format="channels_first", activation="relu"),
        L.MaxPooling2D(2, data_format="channels_first"),
        L.BatchNormalization(axis=1),
        L.GlobalAveragePooling2D(data_format="channels_first"),
        L.Dense(3),
    )


def lstm_embedding():
    return of((7,), L.Embedding(20, 6, mask_zero=True), L.LSTM(5), L.Dense(1, activation="sigmoid"), dtype="int32")


def lstm_stacked():
    return of(
        (None, 4),
        L.LSTM(5, return_sequences=True, recurrent_activation="hard_sigmoid", dropout=0.2, recurrent_dropout=0.1),
        L.LSTM(4, return_sequences=True, go_backwards=True, use_bias=False, unit_forget_bias=False),
        L.LSTM(3, activation="relu", recurrent_activation="tanh"),
        L.Dense(2),
    )


def lstm_stateful():
    return of((4, 3), L.LSTM(4, stateful=True, return_sequences=True), L.LSTM(3, stateful=True), L.Dense(2), batch=3)


def gru_reset_after():
    return of(
        (6, 3),
        L.Masking(0.0),
        L.GRU(5, return_sequences=True),
        L.GRU(4, return_sequences=True, go_backwards=True, recurrent_activation="hard_sigmoid"),
        L.GRU(3, use_bias=False),
    )


def gru_classic():
    return of((5, 3), L.GRU(4, reset_after=False, return_sequences=True), L.GRU(3, reset_after=False, use_bias=False))


def simple_rnn():
    return of(
        (5, 3),
        L.SimpleRNN(4, return_sequences=True, recurrent_initializer="glorot_uniform"),
        L.SimpleRNN(3, go_backwards=True, activation="relu"),
    )


def bidirectional():
    return of(
        (6, 3),
        L.Masking(),
        L.Bidirectional(L.LSTM(4, return_sequences=True)),
        L.Bidirectional(L.GRU(3, return_sequences=True), merge_mode="sum"),
        L.Bidirectional(L.SimpleRNN(3), merge_mode="mul"),
    )


def time_distributed():
    return of(
        (4, 8, 7, 2),
        L.TimeDistributed(L.Conv2D(3, (3, 2), padding="same", activation="relu")),
        L.TimeDistributed(L.MaxPooling2D(2)),
        L.TimeDistributed(L.Flatten()),
        L.TimeDistributed(L.Dense(3)),
        L.Bidirectional(L.LSTM(2), merge_mode="ave"),
    )


def conv_lstm():
    return of(
        (3, 6, 5, 2),
        L.ConvLSTM2D(3, (3, 3), padding="same", return_sequences=True),
        L.ConvLSTM2D(2, (2, 3), recurrent_activation="hard_sigmoid"),
    )


def normalized():
    return of(
        (6, 5, 3),
        L.BatchNormalization(epsilon=1e-2, momentum=0.9),
        L.Conv2D(4, 2),
        L.BatchNormalization(center=False),
        L.GaussianNoise(0.1),
        L.Flatten(),
        L.BatchNormalization(scale=False),
        L.GaussianDropout(0.2),
        L.Dense(3),
        L.BatchNormalization(),
    )


def trained_normalized():
    frozen = L.BatchNormalization(name="frozen", trainable=False)
    return of((4,), L.Dense(5), L.BatchNormalization(momentum=0.8), L.Activation("tanh"), frozen, L.Dense(2))


def nested():
    inner = Sequential([keras.Input((5,)), L.Dense(4, activation="tanh"), L.BatchNormalization()], name="inner")
    return of((6,), L.Dense(5), inner, L.Dense(2))


def trained_gru():
    return of((5, 3), L.GRU(4), L.Dense(2))


def functional_chain():
    x = keras.Input((6,), name="measured")
    y = L.Dense(5, activation="relu")(x)
    return keras.Model(x, L.Dense(2, name="out")(L.Dropout(0.2)(y)), name="chain")


def functional_branches():
    x = keras.Input((6,), name="measured")
    left, right = L.Dense(4, activation="relu", name="left")(x), L.Dense(4, activation="tanh", name="right")(x)
    return keras.Model(x, L.Dense(2)(L.Concatenate()([left, right])))


CASES = [
    Case("mlp", mlp, whole=True),
    Case(
        "trained_mlp", trained_mlp, train={"optimizer": "adam", "loss": "categorical_crossentropy"}, whole=True, batch=4
    ),
    Case(
        "trained_normalized",
        trained_normalized,
        train={"optimizer": keras.optimizers.SGD(0.05, 0.9), "loss": "mse"},
        batch=6,
    ),
    Case(
        "trained_gru", trained_gru, train={"optimizer": "rmsprop", "loss": keras.losses.MeanAbsoluteError()}, whole=True
    ),
    Case("trained_adagrad", trained_gru, train={"optimizer": keras.optimizers.Adagrad(0.05), "loss": "mse"}),
    Case("trained_nadam", trained_gru, train={"optimizer": keras.optimizers.Nadam(global_clipnorm=0.1), "loss": "mse"}),
    Case("advanced", advanced),
    Case("functions", functions),
    Case("vgg", vgg, whole=True),
    Case("even_borders", even_borders),
    Case("steps", steps),
    Case("volumes", volumes),
    Case("global_volume", global_volume),
    Case("separable", separable),
    Case("transposed", transposed),
    Case("shapes", shapes),
    Case("channels_first", channels_first),
    Case("lstm_embedding", lstm_embedding, high=20, masked=True, whole=True),
    Case("lstm_stacked", lstm_stacked, shape=(5, 4)),
    Case("lstm_stateful", lstm_stateful),
    Case("gru_reset_after", gru_reset_after, masked=True),
    Case("gru_classic", gru_classic),
    Case("simple_rnn", simple_rnn),
    Case("bidirectional", bidirectional, masked=True),
    Case("time_distributed", time_distributed),
    Case("conv_lstm", conv_lstm),
    Case("normalized", normalized),
    Case("nested", nested),
    Case("functional_chain", functional_chain),
    Case("functional_branches", functional_branches),
]

if __name__ == "__main__":
    for case in CASES:
        keras.backend.clear_session()
        record(case, ROOT, "model.weights.h5", "model.keras", keras.__version__)
