"""Train one of the models in Keras 3 for a while and print each epoch's end in seconds since the start, as JSON.

Run by `benchmarks.throughput` with the peers' own Python; KERAS_BACKEND says on which backend.
"""

import json
import sys
import time
from functools import partial

import keras
import numpy as np
from keras import layers

from benchmarks import models

#: torch convolves with channels first by nature; on a CPU, TensorFlow cannot and JAX need not.
CHANNELS_FIRST = keras.backend.backend() == "torch"
keras.config.set_image_data_format("channels_first" if CHANNELS_FIRST else "channels_last")
#: Keras 1's recurrent layers in Keras 3's words.
GATES = {"recurrent_activation": "hard_sigmoid"}
GRU = GATES | {"reset_after": False}


class Clock(keras.callbacks.Callback):
    """Notes when each epoch ends, and stops when the time is up."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds, self.ends, self.start = seconds, [], time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        self.ends.append(time.perf_counter() - self.start)
        self.model.stop_training = self.ends[-1] >= self.seconds


def mlp():
    return keras.Sequential(
        [
            keras.Input((models.MLP_WIDTH,)),
            layers.Dense(64, activation="tanh"),
            layers.Dropout(0.5),
            layers.Dense(64, activation="tanh"),
            layers.Dropout(0.5),
            layers.Dense(models.CLASSES, activation="softmax"),
        ]
    )


def branches():
    inputs = [keras.Input((models.BRANCH_WIDTH,)) for _ in range(2)]
    joined = layers.concatenate([layers.Dense(32)(each) for each in inputs])
    return keras.Model(inputs, layers.Dense(models.CLASSES, activation="softmax")(joined))


def image():
    channels, rows, columns = models.IMAGE
    return keras.Input((channels, rows, columns) if CHANNELS_FIRST else (rows, columns, channels))


def convolutions(p):
    """The two blocks that read an image, with a Dropout after each where p is not 0."""
    block = []
    for filters in (32, 64):
        block += [layers.Conv2D(filters, 3, activation="relu"), layers.Conv2D(filters, 3, activation="relu")]
        block += [layers.MaxPooling2D(2), *([layers.Dropout(p)] if p else [])]
    return [*block, layers.Flatten()]


def vgg():
    return keras.Sequential(
        [
            image(),
            *convolutions(0.25),
            layers.Dense(256, activation="relu"),
            layers.Dropout(0.5),
            layers.Dense(models.CLASSES, activation="softmax"),
        ]
    )


def reviews(cell):
    return keras.Sequential(
        [
            keras.Input((models.REVIEW_LENGTH,), dtype="int32"),
            layers.Embedding(models.REVIEW_WORDS, 256),
            cell(128),
            layers.Dropout(0.5),
            layers.Dense(1, activation="sigmoid"),
        ]
    )


def stacked(cell):
    return keras.Sequential(
        [
            keras.Input((models.STEPS, models.STEP_WIDTH)),
            cell(32, return_sequences=True),
            cell(32, return_sequences=True),
            cell(32),
            layers.Dense(models.CLASSES, activation="softmax"),
        ]
    )


def captions():
    picture, words = image(), keras.Input((models.CAPTION_LENGTH,), dtype="int32")
    seen = picture
    for each in (*convolutions(0.0), layers.Dense(128), layers.RepeatVector(models.CAPTION_LENGTH)):
        seen = each(seen)
    read = layers.Embedding(models.CAPTION_WORDS, 256)(words)
    read = layers.GRU(128, return_sequences=True, **GRU)(read)
    read = layers.TimeDistributed(layers.Dense(128))(read)
    both = layers.GRU(256, **GRU)(layers.concatenate([seen, read]))
    return keras.Model([picture, words], layers.Dense(models.CAPTION_WORDS, activation="softmax")(both))


BUILDERS = {
    "mlp": mlp,
    "branches": branches,
    "vgg": vgg,
    "reviews": partial(reviews, partial(layers.LSTM, activation="sigmoid", **GATES)),
    "reviews_gru": partial(reviews, layers.GRU),
    "stacked": partial(stacked, partial(layers.LSTM, **GATES)),
    "stacked_gru": partial(stacked, layers.GRU),
    "captions": captions,
}


def optimizer(ours):
    if ours == "rmsprop":
        return keras.optimizers.RMSprop()
    config = ours["config"]
    rate = keras.optimizers.schedules.InverseTimeDecay(config["lr"], 1, config["decay"])
    return keras.optimizers.SGD(rate, momentum=config["momentum"], nesterov=config["nesterov"])


def channels_as_wanted(array):
    is_image = array.shape[1:] == models.IMAGE
    return np.ascontiguousarray(np.moveaxis(array, 1, -1)) if is_image and not CHANNELS_FIRST else array


def main(name: str, seconds: float) -> None:
    measured = models.MODELS[name]
    data = measured.data()
    x = [channels_as_wanted(data[each]) for each in measured.inputs()]
    compiled = measured.compiled
    clock = Clock(seconds)
    model = BUILDERS[name]()
    model.compile(optimizer(compiled["optimizer"]), compiled["loss"], metrics=compiled.get("metrics"))
    model.fit(
        x if len(x) > 1 else x[0],
        data["y"],
        batch_size=measured.batch,
        epochs=models.EPOCHS,
        verbose=0,
        callbacks=[clock],
    )
    print(json.dumps(clock.ends))


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
