"""The multilayer perceptron for ten classes in fewer layers."""

import numpy as np

from trainyard.layers import Dense, Dropout
from trainyard.models import Sequential
from trainyard.utils.np_utils import to_categorical

# Dummy data.
X_train = np.random.random((1000, 20))
y_train = to_categorical(np.random.randint(10, size=(1000, 1)), 10)

model = Sequential()
model.add(Dense(64, input_dim=20, activation="relu"))
model.add(Dropout(0.5))
model.add(Dense(64, activation="relu"))
model.add(Dropout(0.5))
model.add(Dense(10, activation="softmax"))

model.compile(loss="categorical_crossentropy", optimizer="adadelta", metrics=["accuracy"])

model.fit(X_train, y_train, nb_epoch=20, batch_size=16)
