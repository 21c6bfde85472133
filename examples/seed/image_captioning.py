"""Images and the words said of them so far, joined to tell the next word."""

import numpy as np

import trainyard.backend as K
from trainyard.layers import (
    GRU,
    Activation,
    Convolution2D,
    Dense,
    Embedding,
    Flatten,
    MaxPooling2D,
    Merge,
    RepeatVector,
    TimeDistributed,
)
from trainyard.models import Sequential
from trainyard.utils.np_utils import to_categorical

K.set_image_dim_ordering("th")

max_caption_len = 16
vocab_size = 10000

# Dummy data: pictures, the words so far, the next one; and weights that an image model has left before.
images = np.random.random((2, 3, 100, 100))
partial_captions = np.random.randint(vocab_size, size=(2, max_caption_len))
next_words = to_categorical(np.random.randint(vocab_size, size=(2, 1)), vocab_size)
Sequential(
    [
        Convolution2D(32, 3, 3, input_shape=(3, 100, 100)),
        Convolution2D(32, 3, 3),
        MaxPooling2D(),
        Convolution2D(64, 3, 3),
        Convolution2D(64, 3, 3),
        MaxPooling2D(),
        Flatten(),
        Dense(128),
    ]
).save_weights("weight_file.h5")

# first, let's define an image model that
# will encode pictures into 128-dimensional vectors.
# it should be initialized with pre-trained weights.
image_model = Sequential()
image_model.add(Convolution2D(32, 3, 3, border_mode="valid", input_shape=(3, 100, 100)))
image_model.add(Activation("relu"))
image_model.add(Convolution2D(32, 3, 3))
image_model.add(Activation("relu"))
image_model.add(MaxPooling2D(pool_size=(2, 2)))

image_model.add(Convolution2D(64, 3, 3, border_mode="valid"))
image_model.add(Activation("relu"))
image_model.add(Convolution2D(64, 3, 3))
image_model.add(Activation("relu"))
image_model.add(MaxPooling2D(pool_size=(2, 2)))

image_model.add(Flatten())
image_model.add(Dense(128))

# let's load the weights from a save file.
image_model.load_weights("weight_file.h5")

# next, let's define a RNN model that encodes sequences of words
# into sequences of 128-dimensional word vectors.
language_model = Sequential()
language_model.add(Embedding(vocab_size, 256, input_length=max_caption_len))
language_model.add(GRU(output_dim=128, return_sequences=True))
language_model.add(TimeDistributed(Dense(128)))

# let's repeat the image vector to turn it into a sequence.
image_model.add(RepeatVector(max_caption_len))

# the output of both models will be tensors of shape (samples, max_caption_len, 128).
# let's concatenate these 2 vector sequences.
model = Sequential()
model.add(Merge([image_model, language_model], mode="concat", concat_axis=-1))
# let's encode this vector sequence into a single vector
model.add(GRU(256, return_sequences=False))
# which will be used to compute a probability
# distribution over what the next word in the caption should be!
model.add(Dense(vocab_size))
model.add(Activation("softmax"))

model.compile(loss="categorical_crossentropy", optimizer="rmsprop")

model.fit([images, partial_captions], next_words, batch_size=16, nb_epoch=100)
