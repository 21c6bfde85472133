import io

import pytest
from rich.console import Console

from trainyard.progress import TrainingBar, brief, headline, moving, numbers, speed


def running(**progress):
    return {"id": "job_1", "state": "running", "progress": progress, "metrics": {"loss": 0.25, "acc": 0.5}}


def test_a_running_job_shows_its_epoch_counted_from_one():
    assert "epoch 3/20" in headline(running(epoch=2, nb_epoch=20))


def test_a_job_that_waits_for_the_compiler_says_so():
    assert "compiling" in headline(running(phase="compile", epoch=0, nb_epoch=20))


def test_the_last_epoch_is_not_passed_when_all_are_done():
    assert "epoch 20/20" in headline(running(epoch=20, nb_epoch=20))


def test_a_session_shows_how_many_steps_are_done_and_no_share_of_what_nobody_knows():
    job = running(phase="session", epoch=0, nb_epoch=0, step=1200, total_steps=None, fraction=None, eta_seconds=None)
    assert "session, 1,200 steps" in headline(job)
    assert speed(job) == ""
    console = Console(file=io.StringIO(), force_terminal=True, width=160)
    with TrainingBar(console) as bar:
        bar.show(job)
    assert "0%" in console.file.getvalue()


def test_a_job_that_waits_again_says_why():
    assert "queued (worker_lost)" in headline({"state": "queued", "reason": "worker_lost"})


def test_loss_and_accuracy_stand_before_other_numbers():
    told = numbers({"val_acc": 1.0, "acc": 0.5, "mean_pred": 0.1, "loss": 2.0})

    assert told == "loss 2.0000  acc 0.5000  val_acc 1.0000  mean_pred 0.1000"


@pytest.mark.parametrize(("value", "told"), [(1e-5, "1e-05"), (0, "0.0000"), ("NaN", "NaN"), (None, "None")])
def test_numbers_are_brief(value, told):
    assert brief(value) == told


def test_speed_and_time_left_are_shown_while_running():
    assert speed(running(samples_per_second=12345.6, eta_seconds=61.2)) == "12,346 samples/s  ETA 0:01:01"


def test_a_job_without_progress_has_no_speed():
    assert speed({"state": "queued", "progress": None}) == ""


def test_the_bar_draws_a_whole_run():
    console = Console(file=io.StringIO(), force_terminal=True, width=160)
    with TrainingBar(console) as bar:
        bar.show({"state": "queued"})
        bar.show(running(epoch=0, nb_epoch=2, fraction=0.25, samples_per_second=10, eta_seconds=3))
        bar.show({"state": "succeeded", "metrics": {"loss": 0.1}})

    drawn = console.file.getvalue()
    assert "succeeded" in drawn
    assert "100%" in drawn


def test_moving_bytes_are_counted():
    console = Console(file=io.StringIO(), force_terminal=True, width=80)
    with moving(console, "Uploading [x].npz", 100) as moved:
        moved(100)

    assert "100/100 bytes" in console.file.getvalue()
