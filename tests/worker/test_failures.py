import errno

import pytest
import torch

from core.errors import BadDataset
from engine.errors import BadArgument, BadData, Diverged
from worker.failures import BrokenInput, LostInput, failure_of


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
        (type("OutOfMemoryError", (RuntimeError,), {})("no"), "out_of_memory", "user", False),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling"), "out_of_memory", "user", False),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "out_of_memory", "user", False),
        (OSError(errno.ENOSPC, "No space left on device"), "disk_full", "system", True),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "disk_full", "system", True),
        (ValueError("no space left on device"), "internal", "system", True),
        (OSError("connection reset"), "infra_storage", "system", True),
        (LostInput("dataset ds_1", "are gone"), "input_lost", "system", False),
        (BrokenInput("dataset ds_1", "are not the ones"), "input_damaged", "system", False),
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


def test_a_full_disk_is_recognised_behind_the_error_that_it_has_become():
    error = OSError("the blob could not be stored")
    error.__cause__ = OSError(errno.ENOSPC, "No space left on device")
    assert failure_of(error)["class"] == "disk_full"


def test_torch_tells_of_memory_in_a_way_that_is_recognised():
    with pytest.raises(Exception, match="memory") as refusal:
        torch.empty(2**60)
    assert failure_of(refusal.value)["class"] == "out_of_memory"
    assert issubclass(torch.OutOfMemoryError, RuntimeError), "and on a GPU by the name of this class"
