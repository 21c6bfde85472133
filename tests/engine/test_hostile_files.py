"""Weight files that mean harm: each is refused with words, nothing is read or written elsewhere, memory stays small."""

import io
import shutil
import struct
import tracemalloc
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

from engine.errors import BadFile
from tests.engine.yard import GOLDEN, Golden, sequential, training

INTEROP = Path(__file__).parent.parent / "interop"
MODEL = sequential(("Dense", {"output_dim": 3, "input_dim": 4, "name": "hidden"}))
SMALL_BYTES = 16 * 2**20


def run():
    return training({"x": np.zeros((2, 4), dtype=np.float32)}, model=MODEL, predict={"x": "d/x"})


def refused(path, says):
    """Load a file, and see that it is refused within little memory and changes nothing."""
    target = run()
    before = target.weights_sha256()
    tracemalloc.start()
    try:
        with pytest.raises(BadFile, match=says) as refusal:
            target.load_weights(path)
        assert tracemalloc.get_traced_memory()[1] < SMALL_BYTES
    finally:
        tracemalloc.stop()
    assert target.weights_sha256() == before
    assert refusal.value.class_ == "user_data"
    assert refusal.value.who == "user"
    assert "root:" not in str(refusal.value)


# -- HDF5: the arrays --------------------------------------------------------------------------------


def keras1(path):
    """A good file of Keras 1: the root of its arrays."""
    run().save_weights(path, "hdf5")
    return "hidden", "hidden_W"


def keras3(path):
    """A good `.weights.h5` of Keras 3."""
    with h5py.File(path, "w") as file:
        its = file.create_group("layers/dense/vars")
        its["0"], its["1"] = np.ones((4, 3), "f4"), np.ones(3, "f4")
    return "layers/dense/vars", "0"


def external_link(group, name):
    group[name] = h5py.ExternalLink("/etc/passwd", "x")


def soft_link(group, name):
    group[name] = h5py.SoftLink("/etc/passwd")


def virtual(group, name):
    layout = h5py.VirtualLayout(shape=(4, 3), dtype="f4")
    layout[:] = h5py.VirtualSource("/etc/passwd", "x", shape=(4, 3))
    group.create_virtual_dataset(name, layout)


def external_storage(group, name):
    group.create_dataset(name, (4, 3), "f4", external=[("/etc/passwd", 0, 48)])


def petabytes(group, name):
    group.create_dataset(name, (10**9, 10**6), "f4", chunks=(100, 100))


def packed_zeros(group, name):
    group.create_dataset(name, (4, 3), "f4", maxshape=(None, None), chunks=(8192, 8192), compression="gzip")


def checksummed(group, name):
    group.create_dataset(name, data=np.ones((4, 3), "f4"), fletcher32=True)


def objects(group, name):
    group.create_dataset(name, (4, 3), dtype=h5py.vlen_dtype(np.float32))


def references(group, name):
    group.create_dataset(name, (4, 3), dtype=h5py.ref_dtype)


def strings(group, name):
    group.create_dataset(name, (4, 3), dtype=h5py.string_dtype())


def compounds(group, name):
    group.create_dataset(name, (4, 3), dtype=np.dtype([("a", "f4"), ("b", "f4")]))


def complexes(group, name):
    group.create_dataset(name, data=np.ones((4, 3), "c8"))


def nothing(group, name):
    group.create_dataset(name, data=h5py.Empty("f4"))


def scalar(group, name):
    group.create_dataset(name, data=np.float32(1.0))


def a_group(group, name):
    group.create_group(name)


def a_circle(group, name):
    group[name] = group  # a hard link to itself


def a_type(group, name):
    group[name] = np.dtype("f4")


@pytest.mark.parametrize("good", [keras1, keras3])
@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (external_link, "link that leads elsewhere"),
        (soft_link, "link that leads elsewhere"),
        (virtual, "numbers in another file"),
        (external_storage, "numbers in another file"),
        (petabytes, r"is \[1000000000, 1000000\], but"),
        (packed_zeros, "compressed or filtered"),
        (checksummed, "compressed or filtered"),
        (objects, "not numbers"),
        (references, "not numbers"),
        (strings, "not numbers"),
        (compounds, "not numbers"),
        (complexes, "not numbers"),
        (nothing, "is empty, but"),
        (scalar, r"is \[\], but"),
        (a_group, "is not a dataset"),
        (a_circle, "is not a dataset"),
        (a_type, "is not a dataset"),
    ],
)
def test_an_array_that_is_none_is_refused(good, harm, says, tmp_path):
    path = tmp_path / "weights.h5"
    where, name = good(path)
    with h5py.File(path, "r+") as file:
        del file[where][name]
        harm(file[where], name)
    refused(path, says)


@pytest.mark.parametrize("link", [h5py.ExternalLink("/etc/passwd", "/"), h5py.SoftLink("/elsewhere")])
@pytest.mark.parametrize("at", ["layers", "layers/dense", "layers/dense/vars"])
def test_no_group_of_keras_3_may_be_a_link(link, at, tmp_path):
    path = tmp_path / "weights.h5"
    keras3(path)
    with h5py.File(path, "r+") as file:
        del file[at]
        file[at] = link
    refused(path, "link that leads elsewhere|no `layer_names` and no `layers`|missing")


def test_circles_of_links_lead_nowhere(tmp_path):
    path = tmp_path / "weights.h5"
    keras3(path)
    with h5py.File(path, "r+") as file:
        for name in ("cell", "layer", "layers", "forward_layer"):
            file["layers/dense"][name] = file["layers"]
        file["layers/other"] = file["layers"]
    target = run()
    target.load_weights(path)
    assert (target.weights()["hidden/W"] == 1.0).all()
    with h5py.File(path, "r+") as file:
        file["layers/dense_1"] = file["layers/dense"]
    refused(path, "holds the layers dense, dense_1, other")


def test_an_optimizers_state_is_looked_at_as_hard(tmp_path):
    golden = Golden("opt_adam_default")
    for harm, says in ((external_link, "leads elsewhere"), (petabytes, "is \\[1000000000")):
        path = tmp_path / f"{harm.__name__}.h5"
        shutil.copy(GOLDEN / "opt_adam_default" / "model.h5", path)
        with h5py.File(path, "r+") as file:
            del file["optimizer_weights/param_1"]
            harm(file["optimizer_weights"], "param_1")
        with pytest.raises(BadFile, match=says):
            golden.training().load_optimizer(path)


# -- HDF5: the attributes ----------------------------------------------------------------------------


def change(path, attribute, value, **kind):
    keras1(path)
    with h5py.File(path, "r+") as file:
        del file.attrs[attribute]
        file.attrs.create(attribute, value, **kind)


def test_more_names_than_any_model_has_are_refused(tmp_path):
    with h5py.File(tmp_path / "w.h5", "w", libver="latest") as file:
        file.attrs["layer_names"] = np.array([b"hidden"] * 20_000)
    refused(tmp_path / "w.h5", "`layer_names` lists 20,000 names, and may list 10,000")


def test_names_as_long_as_books_are_refused(tmp_path):
    with h5py.File(tmp_path / "w.h5", "w", libver="latest") as file:
        file.attrs.create("layer_names", np.zeros(100, dtype="S1000000"))
    refused(tmp_path / "w.h5", "100,000,000 bytes of text")


def test_many_names_that_point_at_one_long_text_are_refused(tmp_path):
    path = tmp_path / "w.h5"
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = ["x" * 2**20, *(f"layer_{number}" for number in range(1000))]
    content = bytearray(path.read_bytes())
    refused(path, "bytes of text, and may have 64 MiB")
    assert len(content) < 4 * 2**20


@pytest.mark.parametrize("value", [[1.0, 2.0], [True], 7])
def test_names_that_are_no_text_are_refused(value, tmp_path):
    change(tmp_path / "w.h5", "layer_names", value)
    refused(tmp_path / "w.h5", "`layer_names` of the file holds .*, not text")


def test_names_that_are_references_are_refused(tmp_path):
    keras1(tmp_path / "w.h5")
    with h5py.File(tmp_path / "w.h5", "r+") as file:
        file.attrs.create("layer_names", [file["hidden"].ref], dtype=h5py.ref_dtype)
    refused(tmp_path / "w.h5", "not text")


@pytest.mark.parametrize("count", [-1, 10**9, 2.5])
def test_a_count_of_layers_that_is_none_is_refused(count, tmp_path):
    with h5py.File(tmp_path / "w.h5", "w") as file:
        file.attrs["nb_layers"] = count
    refused(tmp_path / "w.h5", "`nb_layers` of the file is not a number of up to 10,000")


def test_names_that_climb_are_no_members(tmp_path):
    change(tmp_path / "w.h5", "layer_names", np.array([b"../../hidden"]))
    refused(tmp_path / "w.h5", "missing from the file")


# -- .keras ------------------------------------------------------------------------------------------

SOURCE = INTEROP / "keras3" / "trained_mlp" / "model.keras"


def archive(path, change=lambda members: None, kind=zipfile.ZIP_STORED):
    """Write the good archive anew, its members changed."""
    with zipfile.ZipFile(SOURCE) as old:
        members = [(zipfile.ZipInfo(name), old.read(name)) for name in old.namelist()]
    change(members)
    with zipfile.ZipFile(path, "w", kind) as new:
        for info, content in members:
            info.compress_type = kind
            new.writestr(info, content)
    return path


def added(name, content=b"x", mode=0):
    def change(members):
        info = zipfile.ZipInfo(name)
        info.external_attr = mode << 16
        members.append((info, content))

    return change


@pytest.mark.parametrize(
    ("name", "mode", "says"),
    [
        ("../../evil", 0, "would lead out of it"),
        ("/etc/evil", 0, "would lead out of it"),
        ("..\\evil", 0, "would lead out of it"),
        ("assets/../../evil", 0, "would lead out of it"),
        ("C:/evil", 0, "would lead out of it"),
        ("assets/link", 0o120777, "is a link or a device"),
        ("assets/device", 0o020666, "is a link or a device"),
    ],
)
def test_an_archive_that_would_lead_elsewhere_is_refused(name, mode, says, tmp_path):
    refused(archive(tmp_path / "m.keras", added(name, mode=mode)), says)
    assert [each.name for each in tmp_path.iterdir()] == ["m.keras"]


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_members_of_one_name_are_refused(tmp_path):
    refused(archive(tmp_path / "m.keras", added("model.weights.h5")), "2 members of the name 'model.weights.h5'")


@pytest.mark.parametrize("name", ["model.weights.h5", "config.json"])
def test_an_archive_that_lacks_a_part_is_refused(name, tmp_path):
    def without(members):
        members[:] = [each for each in members if each[0].filename != name]

    refused(archive(tmp_path / "m.keras", without), "is no .keras file: it lacks")


def test_weights_that_unpack_to_far_more_than_the_model_holds_are_refused(tmp_path):
    def grown(members):
        members[:] = [(i, bytes(300 * 2**20) if i.filename == "model.weights.h5" else c) for i, c in members]

    path = archive(tmp_path / "m.keras", grown, zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 2**20
    target = run()
    tracemalloc.start()
    try:
        with pytest.raises(BadFile, match=r"larger than the .* bytes that the model has room for"):
            target.load_weights(path)
        assert tracemalloc.get_traced_memory()[1] < 100 * 2**20
    finally:
        tracemalloc.stop()


def test_a_size_that_is_a_lie_does_not_help(tmp_path):
    path = archive(tmp_path / "m.keras", kind=zipfile.ZIP_DEFLATED)
    content = path.read_bytes()
    at = content.index(b"PK\x01\x02", content.index(b"PK\x01\x02", content.index(b"PK\x01\x02") + 4) + 4)
    lie = content[: at + 24] + struct.pack("<L", 10) + content[at + 28 :]
    path.write_bytes(lie)
    refused(path, "cannot be read|larger than")


def test_thousands_of_members_are_refused_before_they_are_listed(tmp_path):
    def many(members):
        members += [(zipfile.ZipInfo(f"assets/{number}"), b"") for number in range(2000)]

    refused(archive(tmp_path / "m.keras", many), "too many members")


def test_an_encrypted_or_oddly_packed_member_is_refused(tmp_path):
    refused(archive(tmp_path / "m.keras", kind=zipfile.ZIP_LZMA), "encrypted, or packed in an unusual way")
    path = archive(tmp_path / "e.keras")
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    refused(path, "encrypted")


@pytest.mark.parametrize("keep", [0.2, 0.9, 0.999])
def test_an_archive_that_was_cut_short_is_refused(keep, tmp_path):
    content = SOURCE.read_bytes()
    (tmp_path / "m.keras").write_bytes(content[: int(len(content) * keep)])
    refused(tmp_path / "m.keras", "cut short")


def test_an_npz_with_a_pickle_is_no_weights(tmp_path):
    class Harm:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "harm",))

    content = io.BytesIO()
    np.savez(content, x=np.array([Harm()], dtype=object))
    (tmp_path / "m.npz").write_bytes(content.getvalue())
    refused(tmp_path / "m.npz", "is no .keras file")
    assert not (tmp_path / "harm").exists()


def test_hostile_hdf5_inside_an_archive_is_refused_too(tmp_path):
    inner = tmp_path / "inner.h5"
    where, name = keras3(inner)
    with h5py.File(inner, "r+") as file:
        del file[where][name]
        external_link(file[where], name)

    def swapped(members):
        members[:] = [(i, inner.read_bytes() if i.filename == "model.weights.h5" else c) for i, c in members]

    refused(archive(tmp_path / "m.keras", swapped), "link that leads elsewhere")
