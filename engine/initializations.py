"""How weights start: Keras 1's initialisations, drawn with numpy so that no tensor is needed."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.registry import Registry

Array = NDArray[np.float32]
Initializer = Callable[[tuple[int, ...], np.random.Generator, str], NDArray[Any]]

INITIALIZATIONS: Registry[Initializer] = Registry("initialization")


def initialize(name: str, shape: tuple[int, ...], rng: np.random.Generator, dim_ordering: str = "th") -> Array:
    """Draw a weight of `shape` in float32; `dim_ordering` says where a kernel keeps its filters."""
    return np.ascontiguousarray(INITIALIZATIONS[name](shape, rng, dim_ordering), dtype=np.float32)


def check_initialization(name: str, shape: tuple[int, ...]) -> str | None:
    """Say why a weight of this shape cannot start so, if it cannot."""
    if name == "identity" and (len(shape) != 2 or shape[0] != shape[1]):
        return "`identity` starts square matrices only"
    if name == "orthogonal" and len(shape) < 2:
        return "`orthogonal` starts matrices and kernels only"
    return None


def fans(shape: tuple[int, ...], dim_ordering: str = "th") -> tuple[float, float]:
    """Count what flows into and out of a weight, by Keras 1.2.2's rules.

    A `tf` kernel's receptive field is its first two axes even where it has three, as there.
    """
    if len(shape) == 2:
        return shape[0], shape[1]
    if len(shape) in (4, 5):
        if dim_ordering == "th":
            field = np.prod(shape[2:])
            return float(shape[1] * field), float(shape[0] * field)
        field = np.prod(shape[:2])
        return float(shape[-2] * field), float(shape[-1] * field)
    root = float(np.sqrt(np.prod(shape)))
    return root, root


def _uniform(shape: tuple[int, ...], rng: np.random.Generator, limit: float) -> NDArray[Any]:
    return rng.uniform(-limit, limit, shape)


@INITIALIZATIONS.register("uniform")
def uniform(shape: tuple[int, ...], rng: np.random.Generator, dim_ordering: str) -> NDArray[Any]:
    """Even in ±0.05."""
    return _uniform(shape, rng, 0.05)


@INITIALIZATIONS.register("normal")
def normal(shape: tuple[int, ...], rng: np.random.Generator, dim_ordering: str) -> NDArray[Any]:
    """Normal with deviation 0.05, not truncated."""
    return rng.normal(0.0, 0.05, shape)


@INITIALIZATIONS.register("lecun_uniform")
def lecun_uniform(shape: tuple[int, ...], rng: np.random.Generator, dim_ordering: str) -> NDArray[Any]:
    """Even in `±sqrt(3 / fan_in)`."""
    return _uniform(shape, rng, np.sqrt(3.0 / fans(shape, dim_ordering)[0]))


@INITIALIZATIONS.register("glorot_uniform")
def glorot_uniform(shape: tuple[int, ...], rng: np.random.Generator, dim_ordering: str) -> NDArray[Any]:
    """Even in `±sqrt(6 / (fan_in + fan_out))`."""
    return _uniform(shape, rng, np.sqrt(6.0 / sum(fans(shape, dim_ordering))))


@INITIALIZATIONS.register("glorot_normal")
def glorot_normal(shape: tuple[int, ...], rng: np.random.Generator, dim_ordering: str) -> NDArray[Any]:
    """Normal with variance `2 / (fan_in + fan_out)`, not truncated."""
    return rng.normal(0.0, np.sqrt(2.0 / sum(fans(shape, dim_ordering))), shape)


@INITIALIZATIONS.register("he_uniform")
def he_uniform(shape: tuple[int, ...], rng: np.random.Generator, dim_ordering: str) -> NDArray[Any]:
    """Even in `±sqrt(6 / fan_in)`."""
    return _uniform(shape, rng, np.sqrt(6.0 / fans(shape, dim_ordering)[0]))


@INITIALIZATIONS.register("he_normal")
def he_normal(shape: tuple[int, ...], rng: np.random.Generator, dim_ordering: str) -> NDArray[Any]:
    """Normal with variance `2 / fan_in`, not truncated."""
    return rng.normal(0.0, np.sqrt(2.0 / fans(shape, dim_ordering)[0]), shape)


@INITIALIZATIONS.register("orthogonal")
def orthogonal(shape: tuple[int, ...], rng: np.random.Generator, dim_ordering: str) -> NDArray[Any]:
    """A random orthogonal matrix, times 1.1."""
    flat = (shape[0], int(np.prod(shape[1:])))
    u, _, v = np.linalg.svd(rng.normal(0.0, 1.0, flat), full_matrices=False)
    q = u if u.shape == flat else v
    return np.asarray(1.1 * q.reshape(shape))


@INITIALIZATIONS.register("identity")
def identity(shape: tuple[int, ...], rng: np.random.Generator, dim_ordering: str) -> NDArray[Any]:
    """The identity."""
    return np.eye(shape[0])


@INITIALIZATIONS.register("zero")
def zero(shape: tuple[int, ...], rng: np.random.Generator, dim_ordering: str) -> NDArray[Any]:
    """All zeros."""
    return np.zeros(shape)


@INITIALIZATIONS.register("one")
def one(shape: tuple[int, ...], rng: np.random.Generator, dim_ordering: str) -> NDArray[Any]:
    """All ones."""
    return np.ones(shape)
