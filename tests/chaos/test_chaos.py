"""A run of the chaos suite under every kind of fault; `make chaos` makes long ones."""

import random
from itertools import islice

import pytest

from tests.chaos.faults import FAULTS, schedule
from tests.chaos.report import explanation
from tests.chaos.run import TOPOLOGY, Run
from tests.servers.topology import running

SEED = 4


@pytest.mark.slow
@pytest.mark.xdist_group("production")
def test_every_kind_of_fault_breaks_no_promise():
    with running(gateways=2, workers=4, **TOPOLOGY) as yard:
        outcome = Run(yard, jobs=30, seed=SEED, jobs_between=1.0).to_the_end()

    assert outcome.is_good, explanation(outcome)
    assert {fault.kind for fault, _ in outcome.faults} == set(FAULTS)
    assert outcome.jobs >= 30
    assert outcome.counts["resumes from a checkpoint"] > 0


def test_a_seed_draws_the_same_faults_again_and_every_kind_in_each_round():
    first, again, other = (list(islice(schedule(seed, 2.0), 2 * len(FAULTS))) for seed in (1, 1, 2))
    assert first == again != other
    for half in (first[: len(FAULTS)], first[len(FAULTS) :]):
        assert {fault.kind for fault in half} == set(FAULTS)
    assert first[3].draw().random() == random.Random("1/3").random()
