import numpy as np
import pytest

from core.errors import NotFound
from core.ids import DEFAULT_PROJECT
from worker.inputs import Cache, Inputs
from worker.patience import Patience


@pytest.fixture
def cache(tmp_path, blobs):
    return Cache(tmp_path / "cache", blobs)


@pytest.fixture
def inputs(sessions, cache):
    return Inputs(Patience(sessions, 10.0), cache, DEFAULT_PROJECT)


def test_an_array_is_described_without_fetching_it(inputs, make_dataset, tmp_path):
    dataset_id = make_dataset(x=np.zeros((5, 3), np.float32))

    spec = inputs.describe(dataset_id, "x")

    assert (spec.shape, spec.dtype) == ((5, 3), "float32")
    assert list((tmp_path / "cache").iterdir()) == []


def test_an_array_arrives_as_it_was_uploaded(inputs, make_dataset):
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert np.array_equal(inputs.load(make_dataset(x=x), "x"), x)


@pytest.mark.parametrize(("array", "told"), [("z", "it has x, y"), ("x", None)])
def test_what_is_not_there_is_a_lookup_error(inputs, make_dataset, array, told):
    dataset_id = make_dataset(x=np.zeros(1), y=np.zeros(1)) if told else "ds_none"
    with pytest.raises(LookupError, match=told or "ds_none"):
        inputs.describe(dataset_id, array)


def test_another_projects_dataset_does_not_exist(sessions, cache, make_dataset):
    dataset_id = make_dataset(x=np.zeros(1))
    with pytest.raises(LookupError):
        Inputs(Patience(sessions, 10.0), cache, "prj_other").describe(dataset_id, "x")


def test_weights_that_are_gone_are_named(inputs):
    with pytest.raises(NotFound, match="wts_none"):
        inputs.weights({"id": "wts_none"})


def test_a_blob_is_fetched_once(cache, blobs, tmp_path):
    _, sha256 = blobs.put("a", b"content")
    first = cache.fetch("a", sha256)
    blobs.delete("a")

    assert cache.fetch("a", sha256) == first
    assert first.read_bytes() == b"content"


def test_damaged_bytes_are_not_kept(cache, blobs, tmp_path):
    blobs.put("a", b"content")
    with pytest.raises(OSError, match="not the ones"):
        cache.fetch("a", "0" * 64)

    assert list((tmp_path / "cache").iterdir()) == []


def test_the_longest_unused_file_makes_room(blobs, tmp_path):
    import os

    cache = Cache(tmp_path / "cache", blobs, keep_bytes=8)
    hashes = [blobs.put(name, name.encode() * 5)[1] for name in "abc"]
    for age, (name, sha256) in enumerate(zip("ab", hashes, strict=False)):
        os.utime(cache.fetch(name, sha256), (1000 + age, 1000 + age))
    cache.fetch("c", hashes[2])

    assert {path.name for path in (tmp_path / "cache").iterdir()} == {hashes[1], hashes[2]}
