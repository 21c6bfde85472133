"""Keras 1's Sequential: built here, trained on the service."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from trainyard import files, keeping, loading, running, session, steps
from trainyard.arrays import Array
from trainyard.errors import Missing
from trainyard.following import Following, check_interrupt
from trainyard.history import History, read
from trainyard.http import Client
from trainyard.preprocessing import image
from trainyard.preprocessing.image import ImageDataGenerator
from trainyard.running import Options, class_weights, data, scored
from trainyard.stepping import Stepping
from trainyard.stepwise import Scores, Stepwise

if TYPE_CHECKING:
    from engine.training.modules import Module

__all__ = ["Sequential", "load_model", "model_from_config", "model_from_json"]


class Sequential(Stepwise):
    """A linear stack of layers, in Keras 1's words.

    Layers, shapes and numbers of parameters are told here; whatever needs a tensor is a job on the service, and the
    methods wait for its end. The model's weights stay there, and come here only when they are asked for.

    Args:
        layers: The layers, of which the first declares the shape of its input.
        name: What the model is called; made from a counter when absent.
        client: The service that trains it; the one of `trainyard.connect` when absent.
    """

    @classmethod
    def attach(cls, job_id: str, client: Client | None = None, verbose: int = 1, on_interrupt: str = "ask") -> Self:
        """Come back to a job: wait for its end, and return its model with the weights and the history that it has left.

        A session, in which batches were trained, is closed first.

        Args:
            job_id: `job_…`.
            client: The service that has it.
            verbose: What is shown meanwhile, as in `fit`.
            on_interrupt: What Ctrl-C does, as in `fit`.

        Raises:
            JobFailed: It did not succeed.
            Detached: It was let go of.
        """
        check_interrupt(on_interrupt)
        made = cls(client=client)
        definition = made.client.jobs.get(job_id)["definition"]
        model = cls.from_config(definition["model"]["config"], client)
        if compiled := definition.get("compile"):
            model.compile(**compiled)
        if "session" in definition:
            Stepping(model.client, job_id, next=None).close()
        job = Following(model.client, job_id, verbose, on_interrupt=on_interrupt).to_the_end()
        trains = "fit" in definition or ("session" in definition and compiled is not None)
        keeping.keep_job(model, job_id, has_optimizer=trains, states=keeping.has_states(model, job_id))
        model.seed, model.fits, model.trained_compile = job["seed"], int(trains), compiled
        model.history = read(model.client.jobs.metrics(job_id), model=model, job=job_id, params=definition.get("fit"))
        return model

    # -- training -----------------------------------------------------------------------------

    def fit(
        self,
        x: Any,
        y: Any,
        batch_size: int = 32,
        nb_epoch: int = 10,
        verbose: int = 1,
        callbacks: Sequence[Any] | None = None,
        validation_split: float = 0.0,
        validation_data: Sequence[Any] | None = None,
        shuffle: bool | str = True,
        class_weight: Mapping[int, float] | None = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        *,
        reset_states: str = "never",
        augmentation: ImageDataGenerator | None = None,
        on_interrupt: str = "ask",
        name: str | None = None,
        labels: Mapping[str, str] | None = None,
        checkpoint: Mapping[str, Any] | None = None,
        limits: Mapping[str, Any] | None = None,
    ) -> History:
        """Train the model for epochs, and wait for the end; a second `fit` goes on from the first, optimizer and all.

        Arrays are sent once: what the project has already is only named. A connection that breaks is waited for.

        Args:
            x: The inputs: one array, a list of one for each input, or an object by input name.
            y: The targets.
            batch_size: Samples in an update.
            nb_epoch: The epoch to stop before, counted from 0.
            verbose: 0 shows nothing, 1 a bar (lines where there is no terminal or notebook), 2 a line for each epoch.
            callbacks: Those of `trainyard.callbacks`.
            validation_split: Share of the samples, the last ones, that are held out.
            validation_data: `(x, y)` or `(x, y, sample_weight)` to judge by after every epoch.
            shuffle: Whether each epoch has an order of its own; "batch" shuffles whole batches.
            class_weight: Weight of each class in the loss.
            sample_weight: Weight of each sample, or of each step with the temporal mode.
            initial_epoch: The epoch to begin with.
            reset_states: When stateful layers forget: "never", after every "epoch", or when the whole "fit" is done.
            augmentation: What is done to the images on the service, each time that they are trained on.
            on_interrupt: What Ctrl-C does: "ask" (where there is a terminal; elsewhere it detaches), "detach" lets the
                job run on, to be come back to with `attach`, "cancel" stops it.
            name: What the job is called; the model's name when absent.
            labels: What jobs can be listed by.
            checkpoint: How often the full state is kept, such as `{"every_seconds": 30}`.
            limits: When it is stopped whatever it does, such as `{"seconds": 3600}`.

        Raises:
            EngineError: The data does not fit the model; nothing was sent.
            JobFailed: The job did not succeed.
            Detached: It was let go of, and runs on.
        """
        part = scored("fit", x, y, sample_weight)
        part |= {"batch_size": batch_size, "nb_epoch": nb_epoch, "initial_epoch": initial_epoch, "shuffle": shuffle}
        part |= {"validation_split": validation_split, "verbose": verbose, "reset_states": reset_states}
        if augmentation is not None:
            part["augmentation"] = image.augmentation(augmentation)
        if validation_data is not None:
            part["validation_data"] = running.validation(validation_data)
        part |= class_weights(class_weight)
        job = {"name": name or self.name, "labels": labels, "checkpoint": checkpoint, "limits": limits}
        given = {key: value for key, value in job.items() if value is not None}
        self.history = running.fit(self, part, callbacks, verbose, Options(on_interrupt, given))
        return self.history

    def evaluate(self, x: Any, y: Any, batch_size: int = 32, verbose: int = 1, sample_weight: Any = None) -> Scores:
        """Return the loss, or a list of the loss and the metrics, averaged over the samples.

        Raises:
            EngineError: The data does not fit the model; nothing was sent.
            JobFailed: The job did not succeed.
        """
        part = scored("evaluate", x, y, sample_weight) | {"batch_size": batch_size}
        return self.scores(steps.evaluate(self, part, verbose))

    def predict(self, x: Any, batch_size: int = 32, verbose: int = 0) -> Array:
        """Return the outputs, `(n, ...)`; the model need not be compiled.

        Raises:
            EngineError: The data does not fit the model; nothing was sent.
            JobFailed: The job did not succeed.
        """
        return steps.predict(self, {"x": data(x, "predict_x"), "batch_size": batch_size}, verbose)

    def predict_proba(self, x: Any, batch_size: int = 32, verbose: int = 1) -> Array:
        """Return the outputs, as probabilities; the service warns where one is none."""
        part = {"x": data(x, "predict_x"), "batch_size": batch_size, "method": "predict_proba"}
        return steps.predict(self, part, verbose)

    def predict_classes(self, x: Any, batch_size: int = 32, verbose: int = 1) -> Array:
        """Return the class of each output: that of its largest value, or whether the only one is above a half."""
        part = {"x": data(x, "predict_x"), "batch_size": batch_size, "method": "predict_classes"}
        return steps.predict(self, part, verbose)

    # -- weights ------------------------------------------------------------------------------

    def get_weights(self) -> list[Array]:
        """Return all weights, layer by layer, in Keras 1's order."""
        return keeping.in_order(self)

    def set_weights(self, weights: Iterable[Array]) -> None:
        """Set all weights, in the order of `get_weights`; what the optimizer has gathered stays, as in Keras 1.

        Raises:
            TrainyardError: They are not as many, or not of the shapes, that there are.
        """
        keeping.put(self, weights)

    def save_weights(self, filepath: str | Path, overwrite: bool = True) -> None:
        """Write the weights as Keras 1's HDF5, or as safetensors if the name ends so.

        Raises:
            FileExistsError: There is such a file, and `overwrite` is false.
        """
        files.save_weights(self, Path(filepath), overwrite)

    def save(self, filepath: str | Path, overwrite: bool = True) -> None:
        """Write the whole model: Keras 1's HDF5 (`.h5`), Keras 3's `.keras`, or ONNX (`.onnx`); see docs/files.md.

        Raises:
            BadFile: The name ends otherwise.
            FileExistsError: There is such a file, and `overwrite` is false.
            Refused: What the model holds cannot be said in such a file.
        """
        files.save_model(self, Path(filepath), overwrite)

    def to_torch(self) -> Module:
        """Return the model, with the weights as they now are, as a `torch.nn.Module` of its own.

        It computes here as the service does when it predicts, and needs the extra `torch`. Its
        parameters are called `layer/weight`.

        Raises:
            Missing: torch is not installed.
        """
        try:
            from engine.training.modules import Module
        except ModuleNotFoundError as error:
            raise Missing(error.name, "`to_torch` computes here", "torch") from error
        return Module(self.settled, keeping.weights_of(self))

    def load_weights(self, filepath: str | Path, by_name: bool = False, kernels: str = "tensorflow") -> None:
        """Take the weights of a file: HDF5 of any Keras, `.keras` or safetensors; what the optimizer gathered stays.

        Args:
            filepath: The file.
            by_name: Whether layers are found by their names, and those that the file lacks stay as they are.
            kernels: "theano" where convolutions were trained on Theano, whose kernels are flipped.

        Raises:
            BadFile: It cannot be read.
            JobFailed: It is damaged, or does not fit the model.
        """
        files.load_weights(self, Path(filepath), by_name, kernels)


def load_model(
    filepath: str | Path,
    custom_objects: Mapping[str, Callable[..., Any]] | None = None,
    *,
    kernels: str = "tensorflow",
    client: Client | None = None,
) -> Sequential:
    """Make a model of what Keras 1 or 2 (`.h5`) or Keras 3 (`.keras`) has saved whole, so that `fit` goes on there.

    The service reads the file: the layers, the weights, how it was compiled and what its optimizer has gathered, as far
    as they are in it.

    Args:
        filepath: The file.
        custom_objects: The losses and metrics that the file knows by name only.
        kernels: "theano" where convolutions were trained on Theano, whose kernels are flipped.
        client: The service that shall have it; the one of `trainyard.connect` when absent.

    Raises:
        BadFile: There is no such file.
        Refused: It holds no model, or one that cannot be made here.
        DefinitionError: It was compiled with what only `custom_objects` could say.
        JobFailed: The weights are damaged.
    """
    return loading.load(Sequential, Path(filepath), custom_objects or {}, kernels, client or session.current())


def model_from_config(config: Mapping[str, Any]) -> Sequential:
    """Make a model of Keras's object, `{"class_name": "Sequential", "config": [...]}`.

    Raises:
        DefinitionError: It is no model; `where` points at what is wrong.
    """
    return Sequential.from_definition(config)


def model_from_json(json_string: str) -> Sequential:
    """Make a model of what `to_json` writes.

    Raises:
        DefinitionError: It is no model; `where` points at what is wrong.
    """
    return Sequential.from_definition(json.loads(json_string))
