import pytest

from core.errors import BadDataset
from engine.errors import BadArgument, BadData, Diverged
from worker.failures import failure_of


@pytest.mark.parametrize(
    ("error", "class_", "who", "retryable"),
    [
        (Diverged("the loss is NaN"), "numeric_divergence", "user", False),
        (BadData("label 7 of 3"), "user_data", "user", False),
        (BadDataset("row 3 is damaged"), "user_data", "user", False),
        (BadArgument("no"), "user_config", "user", False),
        (MemoryError(), "out_of_memory", "user", False),
        (RuntimeError("CUDA out of memory. Tried to"), "out_of_memory", "user", False),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you"), "out_of_memory", "user", False),
        (RuntimeError("something else"), "internal", "system", True),
        (KeyError("secret"), "internal", "system", True),
    ],
)
def test_every_failure_has_a_class_and_somebody_who_can_mend_it(error, class_, who, retryable):
    told = failure_of(error)

    assert (told["class"], told["who"], told["retryable"]) == (class_, who, retryable)


def test_an_unforeseen_failure_says_nothing_of_its_cause():
    assert "secret" not in failure_of(KeyError("secret"))["detail"]


def test_a_refusal_keeps_its_pointer():
    assert failure_of(BadData("label 7 of 3", "/fit/y"))["pointer"] == "/fit/y"
