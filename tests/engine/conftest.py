"""Engine tests share two cores with each other: one thread each is faster than two."""

import pytest
import torch


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    torch.set_num_threads(1)
