"""Training a model of two inputs, for ten classes; and branches joined by a function."""

from trainyard.layers import Dense, Merge
from trainyard.models import Sequential

# for a multi-input model with 10 classes:

left_branch = Sequential()
left_branch.add(Dense(32, input_dim=784))

right_branch = Sequential()
right_branch.add(Dense(32, input_dim=784))

merged = Merge([left_branch, right_branch], mode="concat")

model = Sequential()
model.add(merged)
model.add(Dense(10, activation="softmax"))

model.compile(optimizer="rmsprop", loss="categorical_crossentropy", metrics=["accuracy"])

# generate dummy data
import numpy as np  # noqa: E402

from trainyard.utils.np_utils import to_categorical  # noqa: E402

data_1 = np.random.random((1000, 784))
data_2 = np.random.random((1000, 784))

# these are integers between 0 and 9
labels = np.random.randint(10, size=(1000, 1))
# we convert the labels to a binary matrix of size (1000, 10)
# for use with categorical_crossentropy
labels = to_categorical(labels, 10)

# train the model
# note that we are passing a list of Numpy arrays as training data
# since the model has 2 inputs
model.fit([data_1, data_2], labels, nb_epoch=10, batch_size=32)

merged = Merge([left_branch, right_branch], mode=lambda x: x[0] - x[1])

final_model = Sequential()
final_model.add(merged)
final_model.add(Dense(10, activation="softmax"))
final_model.compile(optimizer="rmsprop", loss="categorical_crossentropy")
final_model.fit([data_1, data_2], labels)  # we pass one data array per model input
