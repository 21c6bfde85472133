"""Constants that Keras 1 fixes once."""

#: Keras 1's `K.epsilon()`: written 10e-8 there, so 1e-7, whatever its documentation says.
EPSILON = 1e-7

#: The smallest normal float32: keeps a division by a vector of zeros from giving NaN, and touches nothing else.
TINY = 1.1754944e-38
