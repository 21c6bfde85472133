"""Keras 1's ImageDataGenerator: on the service by `fit(augmentation=…)`, or drawing here for `fit_generator`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from engine.augmentation import Augmentation, draw
from trainyard import backend
from trainyard.errors import TrainyardError
from trainyard.preprocessing.moving import Array, Statistics, moved

__all__ = ["ImageDataGenerator", "NumpyArrayIterator"]


class ImageDataGenerator:
    """Moves and standardizes images, anew each time that they are trained on.

    `Augmentation` of the engine says what each argument does; they are Keras 1's, in its order.

    Args:
        preprocessing_function: What is done to each image before it is standardized; it runs here, so a generator that
            has one can only be drawn from by `flow`.
        dim_ordering: Where images keep their channels; "default" is what `backend.image_dim_ordering` says.

    Raises:
        BadArgument: An argument is none.
    """

    def __init__(
        self,
        featurewise_center: bool = False,
        samplewise_center: bool = False,
        featurewise_std_normalization: bool = False,
        samplewise_std_normalization: bool = False,
        zca_whitening: bool = False,
        rotation_range: float = 0.0,
        width_shift_range: float = 0.0,
        height_shift_range: float = 0.0,
        shear_range: float = 0.0,
        zoom_range: Any = 0.0,
        channel_shift_range: float = 0.0,
        fill_mode: str = "nearest",
        cval: float = 0.0,
        horizontal_flip: bool = False,
        vertical_flip: bool = False,
        rescale: float | None = None,
        preprocessing_function: Callable[[Array], ArrayLike] | None = None,
        dim_ordering: str = "default",
    ) -> None:
        given = {key: value for key, value in locals().items() if key not in ("self", "preprocessing_function")}
        self.preprocessing_function = preprocessing_function
        self.described = Augmentation(**given).ordered(backend.image_dim_ordering())
        self._statistics = Statistics()

    def to_json(self) -> dict[str, Any]:
        """Return it as the option of a job.

        Raises:
            TrainyardError: It does what only Python here can do.
        """
        if self.preprocessing_function is not None:
            raise TrainyardError(
                "`preprocessing_function` runs here, and the augmentation of a fit on the service. Leave it out, or "
                "draw the images here: model.fit_generator(generator.flow(X, y), …)."
            )
        return self.described.get_config()

    def fit(self, x: ArrayLike, augment: bool = False, rounds: int = 1, seed: int | None = None) -> None:
        """Take the statistics of training images, for `featurewise_…` and `zca_whitening`.

        Args:
            x: The images, `(n, rows, columns, channels)` or as `dim_ordering` has it.
            augment: Whether they are moved first.
            rounds: How many times each is moved.
            seed: Where the moves come from.

        Raises:
            ValueError: They are no images.
        """
        images = self._images(x)
        if augment:
            start = _seed(seed)
            images = np.concatenate([self._moved(images, start, step) for step in range(rounds)])
        self._statistics = Statistics.of(self.described, images)

    def flow(
        self,
        X: ArrayLike,  # noqa: N803  # as in Keras 1
        y: ArrayLike | None = None,
        batch_size: int = 32,
        shuffle: bool = True,
        seed: int | None = None,
    ) -> NumpyArrayIterator:
        """Yield batches for ever: `(x, y)`, or the images alone without `y`.

        Raises:
            ValueError: They are no images, or not as many as targets.
        """
        return NumpyArrayIterator(self, self._images(X), y, batch_size, shuffle, seed)

    def random_transform(self, x: ArrayLike) -> Array:
        """Move one image by chance."""
        image: Array = self._moved(np.asarray(x, np.float32)[None], _seed(None), 0)[0]
        return image

    def standardize(self, x: ArrayLike) -> Array:
        """Standardize one image, or a batch of them.

        Raises:
            TrainyardError: It goes by statistics that `fit` has not taken yet.
        """
        images = np.asarray(x, np.float32)
        done: Array = self._standardized(images if images.ndim == 4 else images[None])
        return done if images.ndim == 4 else done.reshape(done.shape[1:])

    def batch(self, images: Array, seed: int, step: int) -> Array:
        """Move and standardize a batch by the draws of a step."""
        return self._standardized(self._moved(images, seed, step))

    def _moved(self, images: Array, seed: int, step: int) -> Array:
        axis = self.described.channel_axis
        planes = np.moveaxis(images, axis, 1)
        rows, columns = planes.shape[2:]
        moves = draw(self.described, seed, step, len(planes), (rows, columns, planes.shape[1]))
        return np.moveaxis(moved(planes, moves, self.described), 1, axis)

    def _standardized(self, images: Array) -> Array:
        if self.preprocessing_function is not None:
            images = np.stack([np.asarray(self.preprocessing_function(each), np.float32) for each in images])
        return self._statistics.standardized(self.described, images)

    def _images(self, x: ArrayLike) -> Array:
        images = np.asarray(x)
        if images.ndim != 4 or images.shape[self.described.channel_axis] not in (1, 3, 4):
            raise ValueError(
                "Images are an array of 4 axes with 1, 3 or 4 channels, which stand on axis "
                f"{self.described.channel_axis}, but the shape is {images.shape}."
            )
        return images.astype(np.float32)


class NumpyArrayIterator(Iterator[Any]):
    """Batches of images that a generator moves, for ever; the last one of a round may be smaller.

    With the same seed it yields the same; the moves are those that a job of that seed makes.

    Args:
        generator: What moves the images.
        images: The images.
        y: Their targets, if there are any.
        batch_size: Images in a batch.
        shuffle: Whether every round has an order of its own.
        seed: Where orders and moves come from; numpy's own generator when absent.
    """

    def __init__(
        self,
        generator: ImageDataGenerator,
        images: Array,
        y: ArrayLike | None,
        batch_size: int = 32,
        shuffle: bool = True,
        seed: int | None = None,
    ) -> None:
        self.y = None if y is None else np.asarray(y)
        if self.y is not None and len(self.y) != len(images):
            raise ValueError(f"There must be a target for every image, but got {len(images)} and {len(self.y)}.")
        if not len(images) or batch_size < 1:
            raise ValueError(f"Batches hold at least one image, but got {len(images)} images, {batch_size} to a batch.")
        self.X, self.N, self.batch_size, self.shuffle = images, len(images), batch_size, shuffle
        self.seed, self._generator = _seed(seed), generator
        self._drawn = 0
        self.reset()

    def reset(self) -> None:
        """Begin a round anew."""
        self._round, self._left = 0, np.arange(0)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        if not len(self._left):
            self._left = self._order(self._round)
            self._round += 1
        rows, self._left = self._left[: self.batch_size], self._left[self.batch_size :]
        x = self._generator.batch(self.X[rows], self.seed, self._drawn)
        self._drawn += 1
        return x if self.y is None else (x, self.y[rows])

    next = __next__

    def _order(self, number: int) -> Array:
        if not self.shuffle:
            return np.arange(self.N)
        return np.random.Generator(np.random.PCG64(np.random.SeedSequence([self.seed, 1, number]))).permutation(self.N)


def _seed(given: int | None) -> int:
    return int(np.random.randint(2**32, dtype=np.uint64)) if given is None else int(given)


def augmentation(given: Any) -> dict[str, Any]:
    """Read `fit`'s argument of that name.

    Raises:
        TrainyardError: It is no generator, or does what only Python here can do.
    """
    if isinstance(given, ImageDataGenerator):
        return given.to_json()
    if isinstance(given, Augmentation):
        return given.get_config()
    raise TrainyardError(
        f"`augmentation` is an ImageDataGenerator of trainyard.preprocessing.image, but got {given!r}."
    )
