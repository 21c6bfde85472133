"""Models of lists and of `add`, the ways to give a first shape, and how a model is compiled."""

import trainyard.backend as K
from trainyard.layers import LSTM, Activation, Dense
from trainyard.models import Sequential

model = Sequential(
    [
        Dense(32, input_dim=784),
        Activation("relu"),
        Dense(10),
        Activation("softmax"),
    ]
)

model = Sequential()
model.add(Dense(32, input_dim=784))
model.add(Activation("relu"))

# Three ways to say the same:
model = Sequential()
model.add(Dense(32, input_shape=(784,)))

model = Sequential()
model.add(Dense(32, batch_input_shape=(None, 784)))
# note that batch dimension is "None" here,
# so the model will be able to process batches of any size.

model = Sequential()
model.add(Dense(32, input_dim=784))

# And three more:
model = Sequential()
model.add(LSTM(32, input_shape=(10, 64)))

model = Sequential()
model.add(LSTM(32, batch_input_shape=(None, 10, 64)))

model = Sequential()
model.add(LSTM(32, input_length=10, input_dim=64))

# for a multi-class classification problem
model.compile(optimizer="rmsprop", loss="categorical_crossentropy", metrics=["accuracy"])

# for a binary classification problem
model.compile(optimizer="rmsprop", loss="binary_crossentropy", metrics=["accuracy"])

# for a mean squared error regression problem
model.compile(optimizer="rmsprop", loss="mse")


# for custom metrics
def mean_pred(y_true, y_pred):
    return K.mean(y_pred)


def false_rates(y_true, y_pred):
    false_neg = K.mean(K.clip(y_true - K.round(y_pred), 0, 1))
    false_pos = K.mean(K.clip(K.round(y_pred) - y_true, 0, 1))
    return {
        "false_neg": false_neg,
        "false_pos": false_pos,
    }


model.compile(optimizer="rmsprop", loss="binary_crossentropy", metrics=["accuracy", mean_pred, false_rates])
