"""Two LSTMs that read two sequences, joined."""

import numpy as np

from trainyard.layers import LSTM, Dense, Merge
from trainyard.models import Sequential

data_dim = 16
timesteps = 8
nb_classes = 10

encoder_a = Sequential()
encoder_a.add(LSTM(32, input_shape=(timesteps, data_dim)))

encoder_b = Sequential()
encoder_b.add(LSTM(32, input_shape=(timesteps, data_dim)))

decoder = Sequential()
decoder.add(Merge([encoder_a, encoder_b], mode="concat"))
decoder.add(Dense(32, activation="relu"))
decoder.add(Dense(nb_classes, activation="softmax"))

decoder.compile(loss="categorical_crossentropy", optimizer="rmsprop", metrics=["accuracy"])

# generate dummy training data
x_train_a = np.random.random((1000, timesteps, data_dim))
x_train_b = np.random.random((1000, timesteps, data_dim))
y_train = np.random.random((1000, nb_classes))

# generate dummy validation data
x_val_a = np.random.random((100, timesteps, data_dim))
x_val_b = np.random.random((100, timesteps, data_dim))
y_val = np.random.random((100, nb_classes))

decoder.fit([x_train_a, x_train_b], y_train, batch_size=64, nb_epoch=5, validation_data=([x_val_a, x_val_b], y_val))
