"""What an optimizer has gathered, kept beside the weights so that a later job can take it along."""

from pathlib import Path

from torch import Tensor

from engine.errors import BadFile
from engine.training import checkpoint
from engine.training.loop import Training

NAME = "optimizer.safetensors"


def save(training: Training, path: Path) -> None:
    """Write moments and counters; the learning rate is the next job's own."""
    checkpoint.write(path, _gathered(training), {})


def load(training: Training, path: Path) -> None:
    """Go on with moments and counters of another job.

    Raises:
        BadFile: They belong to another optimizer, or to another model.
    """
    saved, _ = checkpoint.read(path, training.device)
    if _shapes(saved) != _shapes(_gathered(training)):
        raise BadFile(
            "The other job's optimizer state belongs to another optimizer or another model; "
            "compile with the same optimizer, or leave `optimizer` out.",
            "/weights/optimizer",
        )
    training.state = {**training.state, **saved}


def _gathered(training: Training) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in training.state.items() if name == "k" or name.startswith("slot:")}


def _shapes(tensors: dict[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}
