"""Train the MLP in Keras 3 for a while and print each epoch's end in seconds since the start, as JSON.

Run by `benchmarks.throughput` with the peers' own Python; KERAS_BACKEND says on which backend.
"""

import json
import sys
import time

import keras
import numpy as np

SAMPLES, WIDTH, CLASSES, BATCH = 16_000, 20, 10, 16


class Clock(keras.callbacks.Callback):
    """Notes when each epoch ends, and stops when the time is up."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds, self.ends, self.start = seconds, [], time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        self.ends.append(time.perf_counter() - self.start)
        self.model.stop_training = self.ends[-1] >= self.seconds


def main(seconds: float) -> None:
    rng = np.random.default_rng(0)
    x = rng.random((SAMPLES, WIDTH), dtype=np.float32)
    y = np.eye(CLASSES, dtype=np.float32)[rng.integers(0, CLASSES, SAMPLES)]
    clock = Clock(seconds)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((WIDTH,)),
            layers.Dense(64, activation="tanh"),
            layers.Dropout(0.5),
            layers.Dense(64, activation="tanh"),
            layers.Dropout(0.5),
            layers.Dense(CLASSES, activation="softmax"),
        ]
    )
    rate = keras.optimizers.schedules.InverseTimeDecay(0.1, 1, 1e-6)
    model.compile(
        keras.optimizers.SGD(rate, momentum=0.9, nesterov=True), "categorical_crossentropy", metrics=["accuracy"]
    )
    model.fit(x, y, batch_size=BATCH, epochs=10_000, verbose=0, callbacks=[clock])
    print(json.dumps({"version": keras.__version__, "ends": clock.ends, "samples": SAMPLES}))


if __name__ == "__main__":
    main(float(sys.argv[1]))
