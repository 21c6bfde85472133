"""Record what real tf.keras (Keras 2) makes of models of every layer that it shares with us.

Run it in an environment of its own: `pip install tensorflow-cpu tf_keras`, then
`python -m tests.interop.make_keras2` from the repository's root.
"""

from __future__ import annotations

from pathlib import Path

import tf_keras as keras
from tf_keras import Sequential, layers

from tests.interop.recording import Case, record

ROOT = Path(__file__).parent / "keras2"
L = layers


def of(shape, *each, batch=None):
    """Build a Sequential; with `batch`, one of a fixed batch size."""
    return Sequential([L.InputLayer(input_shape=shape, batch_size=batch), *each])


def mlp():
    return Sequential(
        [
            L.Dense(10, activation="relu", input_shape=(12,), kernel_regularizer=keras.regularizers.l1_l2(0.01, 0.02)),
            L.Dropout(0.3),
            L.Dense(8, kernel_initializer="he_normal", kernel_constraint=keras.constraints.MinMaxNorm(0.1, 2.0)),
            L.Activation("tanh"),
            L.ActivityRegularization(l1=0.01),
            L.ThresholdedReLU(0.3),
            L.Dense(5, activation="softmax", activity_regularizer="l2"),
        ]
    )


def trained_mlp():
    return of(
        (6,),
        L.Dense(7, activation="tanh", kernel_regularizer=keras.regularizers.l2(0.02)),
        L.Dense(4, activation="sigmoid", activity_regularizer=keras.regularizers.l1(0.03)),
        L.Dense(3, activation="softmax"),
    )


def images():
    return of(
        (11, 10, 2),
        L.Conv2D(4, (3, 3), padding="same", activation="relu"),
        L.MaxPooling2D(2, padding="same"),
        L.BatchNormalization(),
        L.Conv2D(3, (2, 2), strides=(2, 1), padding="same", dilation_rate=1),
        L.AveragePooling2D((2, 3), strides=(1, 2), padding="same"),
        L.SeparableConv2D(4, (2, 2), padding="same", depth_multiplier=2),
        L.Conv2DTranspose(2, (3, 2), strides=(2, 2), padding="same"),
        L.LeakyReLU(alpha=0.1),
        L.ZeroPadding2D((1, 2)),
        L.Flatten(),
        L.Dense(3),
    )


def local():
    return of(
        (8, 7, 2),
        L.LocallyConnected2D(3, (3, 2), activation="relu"),
        L.Reshape((12, -1)),
        L.LocallyConnected1D(4, 3, strides=2),
        L.PReLU(shared_axes=[1]),
        L.GlobalMaxPooling1D(),
        L.Dense(2),
    )


def steps():
    return of(
        (20, 3),
        L.Conv1D(4, 2, padding="causal", dilation_rate=2),
        L.Conv1D(4, 4, padding="same"),
        L.ELU(0.8),
        L.MaxPooling1D(2, padding="same"),
        L.AveragePooling1D(2, strides=1),
        L.ReLU(negative_slope=0.2),
        L.SpatialDropout1D(0.2),
        L.UpSampling1D(2),
        L.GlobalAveragePooling1D(),
        L.Dense(2),
    )


def volumes():
    return of((6, 5, 6, 2), L.Conv3D(3, 2, padding="same"), L.MaxPooling3D(2), L.GlobalAveragePooling3D(), L.Dense(2))


def lstm():
    return of(
        (None,),
        L.Embedding(15, 5, mask_zero=True),
        L.LSTM(5, return_sequences=True),
        L.Bidirectional(L.LSTM(3, return_sequences=True, recurrent_activation="hard_sigmoid")),
        L.LSTM(4, activation="relu", use_bias=False),
        L.Dense(2, activation="softmax"),
    )


def gru():
    return of(
        (6, 3),
        L.GRU(4, return_sequences=True),
        L.GRU(4, return_sequences=True, reset_after=False, recurrent_activation="hard_sigmoid"),
        L.SimpleRNN(3, return_sequences=True, go_backwards=True),
        L.Bidirectional(L.GRU(3, reset_after=False), merge_mode="ave"),
    )


def time_distributed():
    return of(
        (4, 6, 6, 1),
        L.TimeDistributed(L.Conv2D(2, 3, activation="relu")),
        L.ConvLSTM2D(2, (3, 3), padding="same", return_sequences=True),
        L.TimeDistributed(L.Flatten()),
        L.TimeDistributed(L.Dense(3)),
        L.GRU(2),
    )


def stateful():
    return of((4, 3), L.LSTM(4, stateful=True, return_sequences=True), L.GRU(3, stateful=True), L.Dense(2), batch=2)


def functions():
    names = "linear relu sigmoid hard_sigmoid tanh softplus softsign elu selu swish gelu exponential"
    return of((5,), *(L.Dense(5, activation=each) for each in names.split()))


def nested():
    inner = Sequential([L.Dense(4, activation="tanh", input_shape=(5,)), L.BatchNormalization()], name="inner")
    return of((6,), L.Dense(5), inner, L.GaussianNoise(0.1), L.GaussianDropout(0.2), L.Dense(2))


def trained_normalized():
    return of(
        (5, 4, 2),
        L.Conv2D(3, 2),
        L.BatchNormalization(momentum=0.8),
        L.Activation("tanh"),
        L.Flatten(),
        L.BatchNormalization(momentum=0.7),
        L.Dense(2),
    )


def functional_chain():
    x = keras.Input((6,), name="measured")
    y = L.Dense(5, activation="relu")(x)
    return keras.Model(x, L.Dense(2, name="out")(L.Dropout(0.2)(y)), name="chain")


CASES = [
    Case("mlp", mlp, whole=True),
    Case(
        "trained_mlp", trained_mlp, train={"optimizer": "adam", "loss": "categorical_crossentropy"}, whole=True, batch=4
    ),
    Case("trained_normalized", trained_normalized, train={"optimizer": "sgd", "loss": "mse"}, whole=True, batch=6),
    Case("images", images, whole=True),
    Case("local", local, whole=True),
    Case("steps", steps, whole=True),
    Case("volumes", volumes, whole=True),
    Case("lstm", lstm, high=15, masked=True, shape=(6,), whole=True),
    Case("gru", gru, whole=True),
    Case("time_distributed", time_distributed, whole=True),
    Case("stateful", stateful, whole=True),
    Case("functions", functions, whole=True),
    Case("nested", nested, whole=True),
    Case("functional_chain", functional_chain, whole=True),
]

if __name__ == "__main__":
    for case in CASES:
        keras.backend.clear_session()
        record(case, ROOT, "weights.h5", "model.h5", keras.__version__)
