"""Load the models that `write_exports.py` wrote with the original Keras 1.2.2, predict, and train on.

It runs on Python 3.6: `pip install Keras==1.2.2 Theano==1.0.5 numpy==1.19.5 scipy==1.5.4 h5py==2.10.0 PyYAML==5.4.1`,
then `KERAS_BACKEND=theano THEANO_FLAGS=floatX=float32 python load_keras1.py FOLDER [ANSWERS]`. Our kernels are
TensorFlow's, and the backend is Theano, so they are turned around first.
"""

# ruff: noqa: UP010, UP031, F401  # it is read by Python 3.6, and Keras 1 itself calls its backend K
from __future__ import print_function

import glob
import json
import os
import sys

import numpy as np
import theano.ifelse  # Keras 1 uses it, and takes its import for granted
from keras import backend as K
from keras.models import load_model

K.set_image_dim_ordering("th")


def inputs(data):
    """Return the input, or a list of several."""
    count = len([name for name in data.files if name.startswith("x_")])
    return [data["x_%d" % number] for number in range(count)] if count else data["x"]


def turn(layer):
    """Turn a layer's kernels around; Keras 1's own function for it takes the wrong axes of a Convolution1D."""
    kind = layer.__class__.__name__
    if kind == "TimeDistributed":
        turn(layer.layer)
    for weight in layer.trainable_weights if "Conv" in kind or "Deconv" in kind else []:
        value = K.get_value(weight)
        if value.ndim == 4:
            steps = "1D" in kind
            K.set_value(weight, value[::-1] if steps else value[:, :, ::-1, ::-1])


def main(root, answers):
    """Tell for each case how far the original's predictions are from ours, and record what it then computes."""
    for path in sorted(glob.glob(os.path.join(root, "keras1", "*", "model.h5"))):
        case = os.path.basename(os.path.dirname(path))
        data = np.load(os.path.join(os.path.dirname(path), "data.npz"))
        model = load_model(path)
        for layer in model.flattened_layers:
            turn(layer)
        x = inputs(data)
        size = int(data["batch"])
        predicted = model.predict(x, batch_size=size)
        difference = float(np.abs(predicted - data["ours"]).max())
        losses = model.fit(x, data["y"], nb_epoch=2, batch_size=size, shuffle=False, verbose=0).history["loss"]
        print("%-28s %.2e %s" % (case, difference, losses))
        if answers:
            if not os.path.isdir(answers):
                os.makedirs(answers)
            with open(os.path.join(answers, case + ".json"), "w") as file:
                told = {"max_difference": difference, "losses": [float(each) for each in losses]}
                json.dump(told, file, indent=1, sort_keys=True)
                file.write("\n")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None)
