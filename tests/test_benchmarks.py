"""The models that are measured are jobs that a yard takes, and as large as they say."""

import json

import pytest

from benchmarks.models import MODELS
from benchmarks.throughput import rates
from engine.plan import Plan
from tests.engine.yard import describing

#: Parameters, by arithmetic on their layers.
PARAMETERS = {
    "mlp": 20 * 64 + 64 + 64 * 64 + 64 + 64 * 10 + 10,
    "branches": 2 * (784 * 32 + 32) + 64 * 10 + 10,
    "vgg": 3 * 32 * 9 + 32 + 32 * 32 * 9 + 32 + 32 * 64 * 9 + 64 + 64 * 64 * 9 + 64 + 64 * 22**2 * 256 + 256 + 2570,
    "reviews": 5_317_249,
    "stacked": 23_242,
    "captions": 9_718_960,
}


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_measured_model_is_a_job_that_fits_its_data(name):
    measured = MODELS[name]
    data = measured.data()
    plan = Plan.read(json.loads(json.dumps(measured.job("d", 1))), describing(data))
    assert {len(each) for each in data.values()} == {measured.samples}
    assert measured.samples % measured.batch == 0
    assert plan.estimate["parameters"] == PARAMETERS[name]


def test_a_rate_counts_the_start_and_the_median_epoch_of_the_later_half():
    assert rates([5.0, 8.0, 9.0, 10.0], 100) == (40.0, 100.0)
    assert rates([4.0], 100) == (25.0, 25.0)
