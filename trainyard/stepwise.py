"""What a Sequential does batch by batch, and what it remembers between two calls."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from trainyard import generators, keeping, steps
from trainyard.arrays import Array
from trainyard.built import Built
from trainyard.history import History
from trainyard.running import class_weights, data, rows_of, scored

if TYPE_CHECKING:
    from trainyard.models import Sequential

Scores = float | list[float]


class Stepwise(Built):
    """A model that is trained, judged and asked a batch at a time.

    The first batch opens a session on the service, which stays open, so that the batches after it are done at once. It
    is closed by `close`, by a `fit`, and by whatever else needs the files that a training leaves. One thread at a time
    may use a model.
    """

    def train_on_batch(
        self, x: Any, y: Any, class_weight: Mapping[int, float] | None = None, sample_weight: Any = None
    ) -> Scores:
        """Do one update, and return the loss, or the loss and the metrics, from before it.

        Raises:
            EngineError: The data does not fit the model; nothing was sent.
            StepFailed: The data cannot be used; nothing was changed.
        """
        part = scored("train", x, y, sample_weight) | class_weights(class_weight)
        return self.scores(steps.train(self, part))

    def test_on_batch(self, x: Any, y: Any, sample_weight: Any = None) -> Scores:
        """Return the loss, or the loss and the metrics, of one batch."""
        part = scored("evaluate", x, y, sample_weight)
        part["batch_size"] = rows_of(part)
        steps.check(self, "evaluate", part)
        return self.scores(steps.opened(self).evaluate(part))

    def predict_on_batch(self, x: Any) -> Array:
        """Return the outputs of one batch."""
        part = {"x": data(x, "predict_x")}
        part["batch_size"] = rows_of(part)
        steps.check(self, "predict", part)
        return steps.opened(self, judges=False).predict(part)

    def fit_generator(
        self,
        generator: Iterator[Any],
        samples_per_epoch: int,
        nb_epoch: int,
        verbose: int = 1,
        callbacks: Any = None,
        validation_data: Any = None,
        nb_val_samples: int | None = None,
        class_weight: Mapping[int, float] | None = None,
        max_q_size: int = 10,
        nb_worker: int = 1,
        pickle_safe: bool = False,
        initial_epoch: int = 0,
    ) -> History:
        """Train on what a generator yields here, `(x, y)` or `(x, y, sample_weight)`, a batch at a time.

        Batches are sent ahead of the training, and no more than `max_q_size` of them are in memory. Where a callback
        hears of batches, each is trained on before the next one is drawn.

        Args:
            generator: Yields batches for ever.
            samples_per_epoch: An epoch ends when it has seen as many.
            nb_epoch: The epoch to stop before, counted from 0.
            verbose: 0 shows nothing, 1 and 2 a line for each epoch.
            callbacks: Those of `trainyard.callbacks`, all of which run here, in the moment they are about.
            validation_data: `(x, y[, sample_weight])`, or a generator of them.
            nb_val_samples: How many samples are drawn of a generator to judge by after every epoch.
            class_weight: Weight of each class in the loss.
            max_q_size: How many batches may be on their way.
            nb_worker: Taken for compatibility; batches are drawn by this thread, when they are due.
            pickle_safe: Taken for compatibility.
            initial_epoch: The epoch to begin with.

        Raises:
            TrainyardError: The generator ended, or yields something else.
        """
        model = self._whole
        validation = generators.Validation(model, validation_data, nb_val_samples, max_q_size)
        fitting = generators.Fitting(model, validation, class_weight, max_q_size)
        self.history = fitting.run(generator, samples_per_epoch, range(initial_epoch, nb_epoch), callbacks, verbose)
        return self.history

    def evaluate_generator(
        self,
        generator: Iterator[Any],
        val_samples: int,
        max_q_size: int = 10,
        nb_worker: int = 1,
        pickle_safe: bool = False,
    ) -> Scores:
        """Return what `evaluate` does, over batches that a generator yields until there are `val_samples`."""
        return self.scores(generators.evaluate(self._whole, generator, val_samples, max_q_size))

    def predict_generator(
        self,
        generator: Iterator[Any],
        val_samples: int,
        max_q_size: int = 10,
        nb_worker: int = 1,
        pickle_safe: bool = False,
    ) -> Array:
        """Return the outputs for batches that a generator yields, of inputs or of `(x, y)`, `val_samples` rows."""
        return generators.predict(self._whole, generator, val_samples)

    @property
    def _whole(self) -> Sequential:
        return cast("Sequential", self)

    def scores(self, logs: Mapping[str, float]) -> Scores:
        """Write logs as Keras 1 returns them: the loss, or a list of the loss and the metrics."""
        values = [logs[name] for name in self.metrics_names]
        return values if len(values) > 1 else values[0]

    # -- between two calls --------------------------------------------------------------------

    def reset_states(self) -> None:
        """Have stateful layers forget; until then they go on, from call to call, from what they remember."""
        self.kept = replace(self.kept, states=False)

    def close(self) -> None:
        """End the session in which batches are trained, if one is open; its job then leaves all that a training leaves.

        The model can be used on as before: whatever comes next goes on from that job.

        Raises:
            JobFailed: The session did not end well; the model is as it was when that had begun.
        """
        keeping.close(self)
