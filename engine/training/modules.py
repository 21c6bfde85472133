"""A trained model as a `torch.nn.Module` of its own: the engine's computation over registered parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.model import Sequential
from engine.run import Run
from engine.training.data import dtype_of


class Module(torch.nn.Module):
    """A model as torch has it: what is trained as parameters, the other weights as buffers, by the key `layer/weight`.

    The names are those of the job's `weights.safetensors`, save that torch wants no dots in them. It predicts, in the
    mode of training as well: dropout and the like stay off, and what a normalization has learned of the data stands.
    Gradients flow to the parameters. Stateful layers remember from call to call, as numbers without a gradient.

    Args:
        model: The model.
        weights: All its weights, by their keys.
    """

    def __init__(self, model: Sequential, weights: Mapping[str, NDArray[Any]]) -> None:
        super().__init__()
        self._model = model
        self._names: dict[str, str] = {}
        for each in model.all_weights:
            name, tensor = self._name(each.name), torch.tensor(weights[each.name])
            if each.trainable:
                self.register_parameter(name, torch.nn.Parameter(tensor))
            else:
                self.register_buffer(name, tensor)
        for memory in model.all_memories:
            self.register_buffer(self._name(memory.name), torch.zeros(memory.shape), persistent=False)

    def _name(self, key: str) -> str:
        name = key.replace(".", "_")
        while name in self._names.values():
            name += "_"
        self._names[key] = name
        return name

    def reset_states(self) -> None:
        """Make stateful layers forget."""
        for memory in self._model.all_memories:
            name = self._names[memory.name]
            setattr(self, name, torch.zeros_like(getattr(self, name)))

    def forward(self, *inputs: Tensor) -> Tensor:
        """Predict from one tensor for each input, in the model's order.

        Raises:
            TypeError: There are not as many as the model has inputs.
        """
        wanted = self._model.inputs()
        if len(inputs) != len(wanted):
            names = ", ".join(each.name for each in wanted)
            raise TypeError(f"The model takes {len(wanted)} tensors, {names}, but got {len(inputs)}.")
        x = tuple(given.to(dtype_of(each)) for given, each in zip(inputs, wanted, strict=True))
        run = Run()
        weights = {key: getattr(self, name) for key, name in self._names.items()}
        y = self._model.call(x if len(x) > 1 else x[0], weights, run)
        self._remember(run)
        return y

    def _remember(self, run: Run) -> None:
        for memory in self._model.all_memories:
            if memory.name in run.updates:
                setattr(self, self._names[memory.name], run.updates[memory.name].detach().clone())
