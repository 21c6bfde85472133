"""Constants that Keras 1 fixes once."""

#: Keras 1's `K.epsilon()`: written 10e-8 there, so 1e-7, whatever its documentation says.
EPSILON = 1e-7
