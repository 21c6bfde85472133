from types import SimpleNamespace

import pytest

from tests.worker.fakes import Clock
from worker.meter import Meter


def at(step, total_steps=100, phase="fit"):
    return SimpleNamespace(phase=phase, epoch=0, nb_epoch=10, step=step, total_steps=total_steps, samples=step * 16)


@pytest.fixture
def clock():
    return Clock()


def test_the_first_reading_knows_the_place_but_no_speed(clock):
    progress = Meter(clock).read(at(1))

    assert progress["fraction"] == 0.01
    assert progress["samples_per_second"] is None
    assert progress["eta_seconds"] is None


def test_the_second_reading_knows_speed_and_time_left(clock):
    meter = Meter(clock)
    meter.read(at(0))
    clock.seconds = 2.0
    progress = meter.read(at(20))

    assert progress["samples_per_second"] == 160.0
    assert progress["eta_seconds"] == 8.0


def test_speed_follows_what_is_new_but_does_not_jump(clock):
    meter = Meter(clock)
    meter.read(at(0))
    clock.seconds = 1.0
    meter.read(at(10))
    clock.seconds = 2.0

    assert meter.read(at(40))["samples_per_second"] == 320.0


def test_a_run_without_training_is_not_divided_by_nothing(clock):
    assert Meter(clock).read(at(0, total_steps=0))["fraction"] == 0.0


def test_the_time_a_first_step_waits_for_the_compiler_does_not_count(clock):
    meter = Meter(clock)
    assert meter.read(at(0, phase="compile"))["phase"] == "compile"
    for seconds, step in ((20.0, 1), (21.0, 11)):
        clock.seconds = seconds
        progress = meter.read(at(step))
    assert progress["samples_per_second"] == pytest.approx(160)
