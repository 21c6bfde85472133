"""Short runs of the chaos suite, each with its seed; `make chaos` makes long ones."""

import random
from itertools import islice

import pytest

from tests.chaos.faults import FAULTS, schedule
from tests.chaos.report import explanation
from tests.chaos.run import TOPOLOGY, Run
from tests.servers.topology import running

SEED = 4
#: The most telling faults, and quick to recover from.
FEW = (
    *("runner_killed", "worker_frozen_beyond_its_lease", "postgres_crashed", "redis_flushed"),
    *("gateway_killed_between_commit_and_bell", "client_hangs_up", "s3_refusing"),
)

pytestmark = pytest.mark.xdist_group("production")


def promises_kept(jobs, workers, calm_seconds, kinds=()):
    with running(gateways=2, workers=workers, **TOPOLOGY) as yard:
        outcome = Run(yard, jobs, SEED, calm_seconds, kinds).to_the_end()
    assert outcome.is_good, explanation(outcome)
    return outcome


def test_a_few_faults_break_no_promise():
    outcome = promises_kept(jobs=10, workers=2, calm_seconds=1.0, kinds=FEW)
    assert {fault.kind for fault, _ in outcome.faults} == set(FEW)
    assert outcome.counts["resumes from a checkpoint"] > 0


@pytest.mark.slow
def test_every_kind_of_fault_breaks_no_promise():
    outcome = promises_kept(jobs=30, workers=4, calm_seconds=2.0)
    assert {fault.kind for fault, _ in outcome.faults} == set(FAULTS)
    assert outcome.jobs >= 30
    assert outcome.counts["resumes from a checkpoint"] > 0
    assert outcome.counts["zombie writes refused"] > 0


def test_a_seed_draws_the_same_faults_again_and_every_kind_in_each_round():
    first, again, other = (list(islice(schedule(seed, 2.0), 2 * len(FAULTS))) for seed in (1, 1, 2))
    assert first == again != other
    for half in (first[: len(FAULTS)], first[len(FAULTS) :]):
        assert {fault.kind for fault in half} == set(FAULTS)
    assert first[3].draw().random() == random.Random("1/3").random()
