"""What of a training lies in files: its weights, and what its optimizer remembers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray

from engine.errors import BadFile
from engine.files import keras1, memory
from engine.plan import Plan
from engine.training import checkpoint, weights
from engine.training.step import State, Step


class Stored:
    """A state that can be filled from files and written to them."""

    plan: Plan
    step: Step
    state: State
    device: torch.device

    def weights(self) -> weights.Weights:
        """Return a copy of every weight by its key."""
        tensors = self.step.weights(self.state)
        return {each.name: tensors[each.name].cpu().numpy().copy() for each in self.plan.model.all_weights}

    def weights_sha256(self) -> str:
        """Digest all weights: equal digests mean equal bits."""
        return weights.digest(self.weights())

    def take(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Put arrays in the place of the weights of the same keys; the optimizer starts anew."""
        tensors = {key: torch.from_numpy(array).to(self.device) for key, array in arrays.items()}
        self.state = self.step.start(self.step.weights(self.state) | tensors)

    def load_weights(
        self, path: Path, kernels: str = "tensorflow", by_name: bool = False, into: str | None = None
    ) -> None:
        """Take weights from a file, as `weights.load` reads it; the optimizer starts anew.

        Raises:
            BadFile: The file is damaged, hostile, or does not fit the model.
        """
        self.take(weights.load(path, self.plan.model, kernels, by_name, into))

    def save_weights(self, path: Path, format: str) -> None:
        """Write the weights as Keras 1's "hdf5" or as "safetensors"."""
        weights.save(path, self.plan.model, self.weights(), format)

    def save_model(self, path: Path) -> None:
        """Write definition, weights and optimizer in one file, as Keras 1's `model.save`."""
        keras1.write(path, self.plan.model, self.weights(), self.plan.compile, self.remembered())

    def save_optimizer(self, path: Path) -> None:
        """Write the optimizer's memory and counter for a run that goes on from this one."""
        checkpoint.write(path, self.step.memory(self.state), {})

    def load_optimizer(self, path: Path, kernels: str = "tensorflow") -> None:
        """Take another run's optimizer memory and counter, or those in a model that Keras has saved.

        The learning rate stays this run's own.

        Raises:
            BadFile: They are damaged, missing, or of another model or optimizer.
        """
        if weights.is_kept_by_keras(path):
            loaded = self._remembered(path, kernels)
        else:
            loaded, _ = checkpoint.read(path, self.device)
        if {k: v.shape for k, v in loaded.items()} != {k: v.shape for k, v in self.step.memory(self.state).items()}:
            raise BadFile(
                "The other run's optimizer state is of another model or another optimizer. Compile with the same "
                "optimizer, or leave `optimizer` out.",
                "/weights/optimizer",
            )
        self.state = self.step.remembering(self.state, loaded)

    def save_states(self, path: Path) -> None:
        """Write what stateful layers remember, for a run that goes on from this one."""
        checkpoint.write(path, self.step.remembered(self.state), {})

    def load_states(self, path: Path) -> None:
        """Have stateful layers begin with what those of another run remembered.

        Raises:
            BadFile: It is damaged, or of other layers.
        """
        loaded, _ = checkpoint.read(path, self.device)
        if {k: v.shape for k, v in loaded.items()} != {k: v.shape for k, v in self.step.remembered(self.state).items()}:
            raise BadFile(
                "The states are of other layers: stateful layers must have the names, widths and batch sizes that they "
                "had in the job that is gone on from. Leave `states` out to begin with zeros.",
                "/weights/states",
            )
        self.state = self.state | loaded

    def remembered(self) -> memory.Memory:
        """Return what the optimizer remembers, weight by weight."""
        return memory.apart(self.plan.model, {k: v.cpu().numpy() for k, v in self.step.memory(self.state).items()})

    def _remembered(self, path: Path, kernels: str) -> State:
        if self.plan.compile is None:
            raise BadFile("Nothing is compiled, so there is no optimizer to go on with.", "/weights/optimizer")
        found = weights.load_memory(path, self.plan.model, self.plan.compile.optimizer, kernels)
        joined = memory.joined(self.plan.model, found)
        return {key: torch.from_numpy(array).to(self.device) for key, array in joined.items()}
