"""Uploaded files stay as long as a job that has not ended needs them: datasets and weights, on both databases."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import select

from core.datasets import Datasets
from core.errors import DatasetInUse, NotFound, WeightsInUse
from core.ids import DEFAULT_PROJECT
from core.jobs import Jobs
from core.models import Weights
from core.tables import Job

IN_USE = {Datasets: DatasetInUse, Weights: WeightsInUse}


@pytest.fixture(params=IN_USE)
def files(request):
    """Which kind of file it is about."""
    return request.param


@pytest.fixture
def make_file(files, make_dataset, make_weights):
    return {Datasets: make_dataset, Weights: make_weights}[files]


@pytest.fixture
def make_job_with(files, make_job):
    """Make a job that needs a file."""

    def make_job_with(file_id):
        if files is Datasets:
            return make_job(datasets=[file_id, file_id])
        return make_job(definition={"weights": {"id": file_id}})

    return make_job_with


@pytest.fixture
def remove(files, sessions):
    def remove(file_id, project_id=DEFAULT_PROJECT):
        with sessions.begin() as session:
            return files(session, project_id).remove(file_id)

    return remove


def test_a_file_a_live_job_needs_is_not_deleted(files, make_file, make_job_with, remove, sessions, look):
    file_id = make_file()
    job_id = make_job_with(file_id)

    with pytest.raises(IN_USE[files], match=f"{file_id} is used by {job_id}") as refusal:
        remove(file_id)
    assert refusal.value.extra == {"job_id": job_id}

    with sessions.begin() as session:
        Jobs(session, DEFAULT_PROJECT).cancel(job_id)
    assert remove(file_id).endswith(file_id)
    assert look(select(files.need)) == look(select(files.row)) == []


def test_what_another_job_needs_is_in_nobodys_way(make_file, make_job_with, remove):
    needed, free = make_file(), make_file()
    make_job_with(needed)
    assert remove(free).endswith(free)


def test_a_file_of_another_project_can_neither_be_held_nor_deleted(
    make_file, make_job_with, remove, other_project, files, look
):
    file_id = make_file(other_project)
    with pytest.raises(NotFound):
        make_job_with(file_id)
    with pytest.raises(NotFound, match=file_id):
        remove(file_id)
    assert look(select(Job)) == []
    assert look(select(files.row.id)) == [file_id]


def test_a_job_and_a_deletion_that_race_never_both_win(files, make_file, make_job_with, remove, look):
    for _ in range(6):
        file_id = make_file()
        start = threading.Barrier(2)

        def tried(act, file_id=file_id, start=start):
            start.wait()
            try:
                return act(file_id)
            except (NotFound, IN_USE[files]):
                return None

        with ThreadPoolExecutor(2) as pool:
            made, removed = (each.result() for each in [pool.submit(tried, act) for act in (make_job_with, remove)])
        assert (made is None) != (removed is None)
        assert len(look(select(files.row).where(files.row.id == file_id))) == (1 if made else 0)
