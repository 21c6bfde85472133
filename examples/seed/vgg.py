"""Convolutional network for images, whose channels come first."""

import numpy as np

import trainyard.backend as K
from trainyard.layers import Activation, Convolution2D, Dense, Dropout, Flatten, MaxPooling2D
from trainyard.models import Sequential
from trainyard.optimizers import SGD
from trainyard.utils.np_utils import to_categorical

K.set_image_dim_ordering("th")

# Dummy data.
X_train = np.random.random((32, 3, 100, 100))
Y_train = to_categorical(np.random.randint(10, size=(32, 1)), 10)

model = Sequential()
# input: 100x100 images with 3 channels -> (3, 100, 100) tensors.
# this applies 32 convolution filters of size 3x3 each.
model.add(Convolution2D(32, 3, 3, border_mode="valid", input_shape=(3, 100, 100)))
model.add(Activation("relu"))
model.add(Convolution2D(32, 3, 3))
model.add(Activation("relu"))
model.add(MaxPooling2D(pool_size=(2, 2)))
model.add(Dropout(0.25))

model.add(Convolution2D(64, 3, 3, border_mode="valid"))
model.add(Activation("relu"))
model.add(Convolution2D(64, 3, 3))
model.add(Activation("relu"))
model.add(MaxPooling2D(pool_size=(2, 2)))
model.add(Dropout(0.25))

model.add(Flatten())
# Note: Keras does automatic shape inference.
model.add(Dense(256))
model.add(Activation("relu"))
model.add(Dropout(0.5))

model.add(Dense(10))
model.add(Activation("softmax"))

sgd = SGD(lr=0.1, decay=1e-6, momentum=0.9, nesterov=True)
model.compile(loss="categorical_crossentropy", optimizer=sgd)

model.fit(X_train, Y_train, batch_size=32, nb_epoch=1)
