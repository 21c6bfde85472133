"""Callbacks: on the service, and here."""

import csv

import numpy as np
import pytest

from engine.callbacks import CALLBACKS
from engine.errors import BadArgument
from tests.engine.event_files import events_in
from tests.trainyard.small import X, Y, make
from trainyard.callbacks import (
    Callback,
    CSVLogger,
    EarlyStopping,
    History,
    LambdaCallback,
    LearningRateScheduler,
    ModelCheckpoint,
    ReduceLROnPlateau,
    TensorBoard,
)
from trainyard.errors import TrainyardError
from trainyard.models import Sequential


class Diary(Callback):
    def __init__(self):
        self.pages = []

    def on_train_begin(self, logs=None):
        self.pages.append(("begin", self.params["nb_epoch"], self.model.name))

    def on_epoch_begin(self, epoch, logs=None):
        self.pages.append(("epoch", epoch))

    def on_epoch_end(self, epoch, logs=None):
        self.pages.append(("end", epoch, logs["loss"]))

    def on_train_end(self, logs=None):
        self.pages.append(("over",))


def test_the_service_s_callbacks_are_the_engine_s():
    assert EarlyStopping is CALLBACKS["EarlyStopping"]
    assert ReduceLROnPlateau(factor=0.5).factor == 0.5


def test_early_stopping_stops_on_the_service(client):
    model = make(optimizer="sgd")
    model.learning_rate = 0.0
    history = model.fit(X, Y, 64, 20, 0, shuffle=False, callbacks=[EarlyStopping("loss", patience=1)])
    assert history.epoch == [0, 1, 2]


def test_a_schedule_is_asked_beforehand_for_every_epoch(client):
    asked = []

    def schedule(epoch):
        asked.append(epoch)
        return 0.1 / (epoch + 1)

    watched = ReduceLROnPlateau("loss", patience=100)
    history = make(optimizer="sgd").fit(
        X, Y, nb_epoch=3, verbose=0, callbacks=[LearningRateScheduler(schedule), watched]
    )
    assert asked == [0, 1, 2]
    np.testing.assert_allclose(history.history["lr"], [0.1, 0.05, 0.1 / 3], rtol=1e-6)


def test_our_own_hear_of_everything_in_order(client):
    diary, ends = Diary(), []
    model = make()
    both = [diary, LambdaCallback(on_epoch_end=lambda epoch, logs: ends.append(epoch))]
    losses = model.fit(X, Y, nb_epoch=2, verbose=0, callbacks=both).history["loss"]
    assert diary.pages == [
        ("begin", 2, model.name),
        ("epoch", 0),
        ("end", 0, losses[0]),
        ("epoch", 1),
        ("end", 1, losses[1]),
        ("over",),
    ]
    assert ends == [0, 1]


def test_a_log_is_written_as_a_table(client, tmp_path):
    path = tmp_path / "log.csv"
    model = make()
    first = model.fit(X, Y, nb_epoch=2, verbose=0, callbacks=[CSVLogger(str(path))]).history
    model.fit(X, Y, nb_epoch=1, verbose=0, callbacks=[CSVLogger(str(path), append=True)])
    with path.open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["epoch", "acc", "loss"]
    assert [row[0] for row in rows[1:]] == ["0", "1", "0"]
    assert float(rows[2][2]) == first["loss"][1]


def test_checkpoints_come_home_to_their_folder(client, tmp_path):
    model = make()
    model.fit(X, Y, nb_epoch=2, verbose=0, callbacks=[ModelCheckpoint(str(tmp_path / "kept" / "w.{epoch:02d}.h5"))])
    assert sorted(path.name for path in (tmp_path / "kept").iterdir()) == ["w.00.h5", "w.01.h5"]
    again = Sequential([each.as_layer() for each in model.layers])
    again.load_weights(tmp_path / "kept" / "w.01.h5")
    assert all((a == b).all() for a, b in zip(again.get_weights(), model.get_weights(), strict=True))


def batches():
    while True:
        yield X[:32], Y[:32]


def test_with_a_generator_the_service_s_callbacks_run_here_and_do_the_same(client, tmp_path):
    model = make(optimizer="sgd")
    model.learning_rate = 0.0
    (tmp_path / "kept").mkdir()
    kept = ModelCheckpoint(str(tmp_path / "kept" / "w.{epoch}.h5"), monitor="loss", save_best_only=True)
    history = model.fit_generator(batches(), 32, 20, 0, callbacks=[EarlyStopping("loss", patience=1), kept])
    assert history.epoch == [0, 1, 2]
    assert [path.name for path in (tmp_path / "kept").iterdir()] == ["w.0.h5"]


def test_tensorboard_s_file_comes_home_to_its_folder(client, tmp_path):
    history = make().fit(X, Y, nb_epoch=2, verbose=0, callbacks=[TensorBoard(str(tmp_path / "logs"))])
    (path,) = (tmp_path / "logs").iterdir()
    assert path.name.startswith("events.out.tfevents.")
    assert scalars_of(path) == series_of(history)
    assert path.name in {each["name"] for each in client.jobs.artifacts(history.job)["items"]}


def test_with_a_generator_tensorboard_s_file_is_written_here(client, tmp_path):
    board = TensorBoard(str(tmp_path / "some" / "logs"))
    history = make().fit_generator(batches(), 32, 2, 0, callbacks=[board])
    (path,) = (tmp_path / "some" / "logs").iterdir()
    assert scalars_of(path) == series_of(history)


def series_of(history):
    """A history as a file holds it, whose numbers have fewer bits."""
    series = history.history.items()
    return {name: [float(np.float32(each)) for each in values] for name, values in series}


def scalars_of(path):
    _, *epochs = events_in(path.read_bytes())
    return {name: [each.scalars[name] for each in epochs] for name in epochs[0].scalars}


def test_tensorboard_writes_no_histograms():
    with pytest.raises(BadArgument, match="must be 0, but got 1"):
        TensorBoard(histogram_freq=1)


def test_with_a_generator_our_own_may_stop_the_training(client):
    model = make()

    def stop(epoch, logs):
        model.stop_training = epoch == 1

    history = model.fit_generator(batches(), 32, 20, 0, callbacks=[LambdaCallback(on_epoch_end=stop)])
    assert isinstance(history, History)
    assert history.epoch == [0, 1]


def test_a_history_that_was_given_is_filled(client):
    given = History()
    history = make().fit(X, Y, nb_epoch=2, verbose=0, callbacks=[given])
    assert (given.epoch, given.history, given.job) == (history.epoch, history.history, history.job)


def test_who_raises_in_a_callback_is_told_that_the_job_runs_on(client):
    def fail(epoch, logs):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) as error:
        make().fit(X, Y, nb_epoch=1, verbose=0, callbacks=[LambdaCallback(on_epoch_end=fail)])
    assert "Sequential.attach" in error.value.__notes__[0]


def test_our_own_may_stop_a_job_which_keeps_what_it_has_learnt(client):
    model = make()

    def stop(epoch, logs):
        model.stop_training = epoch >= 2

    history = model.fit(X, Y, nb_epoch=100_000, verbose=0, callbacks=[LambdaCallback(on_epoch_end=stop)])
    job = client.jobs.get(history.job)
    assert (job["state"], job["reason"]) == ("succeeded", "stopped_by_user")
    assert 3 <= len(history.epoch) < 100_000
    assert len(history.history["loss"]) == len(history.epoch)
    again = model.fit(X, Y, nb_epoch=1, verbose=0)
    assert again.history["loss"][0] < history.history["loss"][0]


def test_a_stop_that_comes_when_all_is_done_is_no_fault(client):
    model = make()

    def stop(epoch, logs):
        model.stop_training = True

    history = model.fit(X, Y, nb_epoch=2, verbose=0, callbacks=[LambdaCallback(on_epoch_end=stop)])
    assert 1 <= len(history.epoch) <= 2


def test_a_fit_does_not_tell_of_batches_and_what_is_no_callback_is_refused(client):
    hears = LambdaCallback(on_batch_end=lambda batch, logs: None)
    with pytest.warns(UserWarning, match="not called by `fit`"):
        make().fit(X, Y, nb_epoch=1, verbose=0, callbacks=[hears])
    with pytest.raises(TrainyardError, match="callback"):
        make().fit(X, Y, callbacks=["EarlyStopping"])
