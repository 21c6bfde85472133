"""Jobs followed, let go of, and come back to."""

import asyncio
import io
import os
import signal
import threading

import pytest
from rich.console import Console

from tests.trainyard.small import RNG, X, Y, equal, make
from trainyard import AsyncClient, arrays, following
from trainyard.errors import Detached, JobCancelled, TrainyardError, Unreachable
from trainyard.following import Following, Lines
from trainyard.http import Client
from trainyard.models import Sequential


def test_a_job_is_come_back_to_by_its_id(client):
    model = make()
    history = model.fit(X, Y, nb_epoch=2, verbose=0)
    back = Sequential.attach(history.job, client, verbose=0)
    assert back.history.history == history.history
    equal(back.get_weights(), model.get_weights())
    assert back.evaluate(X, Y) == model.evaluate(X, Y)
    ends = [each.fit(X, Y, nb_epoch=1, verbose=0).history for each in (back, model)]
    assert ends[0] == ends[1]


def test_the_async_client_takes_data_there_and_weights_home(yard, data_file, tmp_path):
    dense = {"output_dim": 3, "input_dim": 4, "activation": "softmax"}
    job = {
        "model": {"class_name": "Sequential", "config": [{"class_name": "Dense", "config": dense}]},
        "compile": {"optimizer": "sgd", "loss": "sparse_categorical_crossentropy"},
    }

    async def train():
        async with AsyncClient(yard.url) as client:
            dataset = (await client.upload(data_file))["id"]
            fit = {"x": f"{dataset}/x", "y": f"{dataset}/y", "nb_epoch": 2}
            sent = await client.jobs.create(job | {"fit": fit})
            states = [each["state"] async for each in client.watch(sent["id"])]
            left = (await client.jobs.artifacts(sent["id"]))["items"]
            (weights,) = [each for each in left if each["name"] == "weights.h5"]
            return states[-1], await client.download(sent["id"], weights, tmp_path / "home")

    state, path = asyncio.run(train())
    assert state == "succeeded"
    assert path.read_bytes()[:4] == b"\x89HDF"


class Interrupting:
    """Presses Ctrl-C as soon as a job is seen to run."""

    def __init__(self, monkeypatch):
        self.jobs, watch = [], Client.watch

        def watched(client, job_id):
            for job in watch(client, job_id):
                yield job
                if job["state"] == "running" and job_id not in self.jobs:
                    self.jobs.append(job_id)
                    os.kill(os.getpid(), signal.SIGINT)
                    threading.Event().wait(60)

        monkeypatch.setattr(Client, "watch", watched)


@pytest.fixture
def listening():
    """Hear Ctrl-C even where the tests were started in the background, whose processes are born deaf to it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("listening")
@pytest.mark.parametrize(("wish", "error"), [("detach", Detached), ("cancel", JobCancelled), ("ask", Detached)])
def test_ctrl_c_does_what_was_asked(client, monkeypatch, wish, error):
    interrupting = Interrupting(monkeypatch)
    model = make()
    before = model.get_weights()
    with pytest.raises(error):
        model.fit(X, Y, nb_epoch=100_000, verbose=0, on_interrupt=wish)
    (job,) = interrupting.jobs
    state = client.jobs.get(job)["state"]
    if wish == "cancel":
        assert state == "cancelled"
    else:
        assert state in ("running", "queued")
        client.jobs.cancel(job)
    equal(model.get_weights(), before)


@pytest.mark.parametrize(("answer", "wish"), [("c", "cancel"), ("Cancel", "cancel"), ("o", "go on"), ("", "detach")])
def test_in_a_terminal_one_is_asked(monkeypatch, answer, wish):
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert following._ask(Console(), "job_1") == "detach"
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    console = Console(file=io.StringIO())
    monkeypatch.setattr(console, "input", lambda question: answer)
    assert following._ask(console, "job_1") == wish


def test_a_bar_is_drawn_in_a_terminal(client):
    console = Console(file=io.StringIO(), force_terminal=True, width=120)
    job = make().fit(X, Y, nb_epoch=2, verbose=0).job
    assert Following(client, job, verbose=1, console=console).to_the_end()["state"] == "succeeded"
    assert "succeeded" in console.file.getvalue()
    assert "100%" in console.file.getvalue()


def test_a_large_array_is_shown_on_its_way(client, monkeypatch):
    monkeypatch.setattr("trainyard.arrays.ANNOUNCED_BYTES", 100)
    console = Console(file=io.StringIO(), force_terminal=True, width=120)
    mine = arrays.here(RNG.random((64, 5)), "fit_x")
    reference = arrays.sent(client, {"x": [mine]}, console)["x"][0]
    assert reference == arrays.sent(client, mine)
    assert "Sending fit_x" in console.file.getvalue()


def test_who_loses_the_service_is_told_how_to_come_back(client, monkeypatch):
    def away(job_id):
        raise Unreachable("Nobody answers.")

    monkeypatch.setattr(client, "watch", away)
    with pytest.raises(Unreachable) as error:
        make().fit(X, Y, nb_epoch=1, verbose=0)
    (note,) = error.value.__notes__
    monkeypatch.undo()
    job = note.split()[0]
    assert Sequential.attach(job, client, verbose=0).history.job == job


def test_a_wish_that_is_none_is_refused_before_anything_is_sent(client):
    with pytest.raises(TrainyardError, match="ask, detach, cancel"):
        make().fit(X, Y, on_interrupt="stop")


def test_lines_tell_of_each_epoch_once(client, capsys):
    history = make().fit(X, Y, nb_epoch=3, verbose=2)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in lines] == [history.job, "epoch 1/3", "epoch 2/3", "epoch 3/3"]
    assert f"loss {history.history['loss'][2]:.4f}" in lines[3]
    assert Following(client, history.job, verbose=1)._report.__name__ == "<lambda>"
    assert isinstance(Following(client, history.job, verbose=1)._report(), Lines)
