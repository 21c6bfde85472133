"""A short run of the chaos suite, on the yard that has just served."""

import pytest

from tests.chaos.report import explanation
from tests.chaos.run import Run

FAULTS = ("runner_killed", "nursery_killed", "postgres_crashed", "redis_flushed", "s3_refusing", "client_hangs_up")

pytestmark = pytest.mark.xdist_group("production")


def test_a_few_faults_break_no_promise(yard):
    # Of this seed all faults have happened before the last of thirty jobs: no more are sent to meet them.
    outcome = Run(yard, jobs=30, seed=1, jobs_between=4.0, kinds=FAULTS, rounds=1).to_the_end()

    assert outcome.is_good, explanation(outcome)
    assert {fault.kind for fault, _ in outcome.faults} == set(FAULTS)
    assert outcome.jobs >= 30
