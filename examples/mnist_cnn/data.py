"""The same digits as for `mnist_mlp`."""

from examples.files import main
from examples.mnist_mlp.data import arrays

if __name__ == "__main__":
    main(arrays)
