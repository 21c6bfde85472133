"""Data files of strangers: the good ones are read exactly, the bad ones are refused with words."""

import contextlib
import io
import json
import struct
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.errors import BadDataset, UnsupportedFormat
from core.formats import FORMATS, format_of, inspect, load

X = np.arange(12, dtype="float32").reshape(4, 3)
Y = np.array([0, 1, 2, 1])


def npz(save=np.savez, **arrays):
    file = io.BytesIO()
    save(file, **arrays)
    return file.getvalue()


def npy(array, **named):
    file = io.BytesIO()
    np.save(file, array, **named)
    return file.getvalue()


def zipped(*members, **named):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", **named) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return file.getvalue()


def table(**columns):
    file = io.BytesIO()
    parquet.write_table(pa.table(columns), file)
    return file.getvalue()


@pytest.fixture
def check(tmp_path):
    def check(content, format, **named):
        path = tmp_path / "file"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return inspect(path, format, **named)

    return check


@pytest.fixture
def refusal(check):
    def refusal(content, format, **named):
        with pytest.raises(BadDataset) as error:
            check(content, format, **named)
        return error.value.detail

    return refusal


GOOD = {
    "npz": (npz(x=X, y=Y), {"x": X, "y": Y}),
    "compressed npz": (npz(np.savez_compressed, x=X, y=Y), {"x": X, "y": Y}),
    "npy": (npy(X), {"data": X}),
    "fortran npy": (npy(np.asfortranarray(X)), {"data": X}),
    "big-endian npy": (npy(X.astype(">f4")), {"data": X}),
    "half npz": (npz(x=X.astype("float16"), b=Y > 1), {"x": X.astype("float16"), "b": Y > 1}),
    "csv": ("a,b\n1,2.5\n3,-4e-2\n", {"a": np.array([1, 3]), "b": np.array([2.5, -0.04])}),
    "csv without names": ("1,2.5\n3,4\n", {"0": np.array([1, 3]), "1": np.array([2.5, 4.0])}),
    "csv from Windows": ("\ufeffa,b\r\n1,2\r\n", {"a": np.array([1]), "b": np.array([2])}),
    "quoted csv": ('"a, b",c\n"1",2\n', {"a, b": np.array([1]), "c": np.array([2])}),
    "parquet": (table(a=[1, 2], b=[0.5, 1.5]), {"a": np.array([1, 2]), "b": np.array([0.5, 1.5])}),
    "json": ('{"x": [[0, 1], [1.5, 0]], "y": [1, 0]}', {"x": np.array([[0, 1], [1.5, 0]]), "y": np.array([1, 0])}),
}  # fmt: skip


@pytest.mark.parametrize("name", GOOD)
def test_what_is_read_is_what_was_written_and_what_was_announced(name, tmp_path):
    content, arrays = GOOD[name]
    path = tmp_path / "file"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    format = next(each for each in FORMATS if each in name)

    found = inspect(path, format)

    assert set(found) == set(arrays)
    for array, expected in arrays.items():
        actual = load(path, format, array)
        assert np.array_equal(actual, expected)
        assert actual.dtype.isnative
        assert found[array] == {"shape": list(expected.shape), "dtype": actual.dtype.name}


@pytest.mark.parametrize("name", ["npz", "npy"])
def test_large_arrays_are_mapped_and_not_read(name, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(GOOD[name][0])
    assert isinstance(load(path, name, "x" if name == "npz" else "data"), np.memmap)


@pytest.mark.parametrize("name", GOOD)
def test_an_array_that_is_not_there_is_named_with_those_that_are(name, tmp_path):
    content, arrays = GOOD[name]
    path = tmp_path / "file"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(BadDataset, match="no array 'nope'") as error:
        load(path, next(each for each in FORMATS if each in name), "nope")
    assert next(iter(arrays)) in error.value.detail


@pytest.mark.parametrize("name", ["npz", "compressed npz", "npy", "parquet"])
def test_a_file_that_was_cut_short_anywhere_is_refused(name, refusal):
    content, _ = GOOD[name]
    format = next(each for each in FORMATS if each in name)
    for length in range(0, len(content), 7):
        assert refusal(content[:length], format)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_a_flipped_bit_in_the_numbers_is_noticed(save, refusal):
    content = bytearray(npz(save, x=np.random.default_rng(0).random((5_000, 3))))
    content[len(content) // 2] ^= 1
    assert "damaged" in refusal(bytes(content), "npz")


class Explosive:
    def __reduce__(self):
        return (exec, ("raise SystemExit('the pickle was read')",))


@pytest.mark.parametrize("format", ["npy", "npz"])
def test_a_pickle_is_never_read(format, refusal):
    objects = np.array([Explosive()], dtype=object)
    content = npy(objects, allow_pickle=True) if format == "npy" else npz(x=objects)
    assert "pickle" in refusal(content, format)


def test_a_bare_pickle_is_no_numpy_file(refusal):
    assert "numpy's format" in refusal(b"\x80\x04\x95\x10\x00", "npy")


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.array(["a"]), "type <U1"),
        (np.array([1j]), "complex"),
        (np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f4")]), "type"),
        (np.array(["2026-01-01"], dtype="datetime64[D]"), "datetime64"),
        (np.array(1.0), "single number"),
        (np.zeros((0, 3)), "every axis must be 1 or more"),
    ],
)
def test_only_arrays_of_plain_numbers_are_taken(array, words, refusal):
    assert words in refusal(npy(array), "npy")
    assert words in refusal(npz(x=array), "npz")


def header(shape, descr="<f8"):
    text = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


@pytest.mark.parametrize("shape", ["(10000000000000,)", "(-1,)", "(2, -3)", "(9223372036854775807, 8)", "('a',)"])
def test_a_header_that_declares_what_is_not_there_is_refused(shape, refusal):
    assert refusal(header(shape) + b"\0" * 16, "npy")
    assert refusal(zipped(("x.npy", header(shape) + b"\0" * 16)), "npz")


EMPTY = b"{'descr': (), 'fortran_order': False, 'shape': ()}"


@pytest.mark.parametrize("text", [EMPTY, b"__import__('os').abort()", b"(" * 5000, b"\xff\xfe"])
def test_a_header_is_never_evaluated(text, refusal):
    content = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text
    assert refusal(content, "npy")


LITERALS = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.just("<f8")),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.lists(inner, max_size=3).map(tuple)),
    max_leaves=6,
)
HEADERS = st.fixed_dictionaries({"descr": LITERALS, "fortran_order": LITERALS, "shape": LITERALS}).map(repr)
SLOW = settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@SLOW
@given(text=st.one_of(st.text(max_size=60), HEADERS))
def test_any_header_is_either_read_or_refused_with_words(check, text):
    body = text.encode()
    content = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(body)) + body + b"\0" * 64
    for each, format in ((content, "npy"), (zipped(("x.npy", content)), "npz")):
        with contextlib.suppress(BadDataset):
            check(each, format)


@SLOW
@given(
    name=st.sampled_from(sorted(GOOD)),
    damage=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=8),
)
def test_a_damaged_file_is_either_read_or_refused_with_words(tmp_path, name, damage):
    content, _ = GOOD[name]
    content = bytearray(content.encode() if isinstance(content, str) else content)
    for place, value in damage:
        content[min(int(place * len(content)), len(content) - 1)] = value
    path, format = tmp_path / "file", next(each for each in FORMATS if each in name)
    path.write_bytes(content)
    with contextlib.suppress(BadDataset):
        for array in inspect(path, format):
            load(path, format, array)


def test_a_member_that_declares_more_than_it_holds_is_refused(refusal):
    content = bytearray(zipped(("x.npy", npy(X))))
    size = len(npy(X))
    at = content.rfind(struct.pack("<I", size))
    content[at : at + 4] = struct.pack("<I", 2**31)
    assert refusal(bytes(content), "npz")


def test_a_bomb_is_refused_by_what_it_would_unpack_to(refusal):
    content = npz(np.savez_compressed, x=np.zeros(10_000_000))
    assert len(content) < 100_000
    assert "80,000" in refusal(content, "npz", max_bytes=50_000_000)


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ([("../x.npy", npy(X))], "only plain arrays"),
        ([("a/x.npy", npy(X))], "only plain arrays"),
        ([("x.txt", b"hello")], "only plain arrays"),
        ([("x.npy", npy(X)), ("evil.pkl", b"")], "only plain arrays"),
        ([("x.npz", npz(x=X))], "only plain arrays"),
        ([(".npy", npy(X))], "only plain arrays"),
        ([("a\x07.npy", npy(X))], "printable"),
        ([], "no array"),
    ],
)
def test_an_archive_holds_named_arrays_and_nothing_else(members, words, refusal):
    assert words in refusal(zipped(*members), "npz")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_is_there_twice_is_refused(refusal):
    assert "twice" in refusal(zipped(("x.npy", npy(X)), ("x.npy", npy(X))), "npz")


def test_an_encrypted_member_is_refused(refusal):
    content = bytearray(zipped(("x.npy", npy(X))))
    content[content.rfind(b"PK\x01\x02") + 8] |= 1
    assert "encrypted" in refusal(bytes(content), "npz")


def test_a_foreign_compression_is_refused(refusal):
    assert "compressed in a way" in refusal(zipped(("x.npy", npy(X)), compression=zipfile.ZIP_BZIP2), "npz")


def test_a_table_of_contents_that_would_fill_the_memory_is_refused(refusal):
    content = bytearray(npz(x=X))
    at = content.rfind(b"PK\x05\x06")
    content[at + 12 : at + 16] = struct.pack("<I", 2**31)
    assert "table of contents" in refusal(bytes(content), "npz")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("a,b\n1,2\n3,x\n", "row 3, column 'b' holds 'x'"),
        ("a,b\n1,2\n3,\n", "row 3, column 'b' is empty"),
        ("1,2\n3,x\n", "row 2, column '1' holds 'x'"),
        ("a,b\n1,2\n3\n", "row 3 has 1 cells and the first row has 2"),
        ("a,b\n1,2,3\n", "row 2 has 3 cells"),
        ("a,b\n1,true\n", "holds 'true'"),
        ("a,a\n1,2\n", "twice"),
        ("a,\n1,2\n", "no name"),
        ("a,b\n", "no rows"),
        ("", "empty"),
        ("\n1,2\n", "empty"),
        ("a;b\n1;2\n", "holds '1;2'"),
        ("=cmd|'/c calc'!A1,b\nx,1\n", "not a number"),
        (b"\xff\xfea\x00,\x00b\x00", "UTF-8"),
        ("a\n" + "9" * 100 + "x\n", "not a number"),
        ("a,b\n1,2\n3,\xe9\n".encode("latin-1"), "not a number"),
    ],
)
def test_a_table_with_a_fault_is_refused_with_its_row_and_column(content, words, refusal):
    assert words in refusal(content, "csv")


def test_a_fault_far_into_a_table_is_found(refusal):
    rows = "".join(f"{number},{number / 2}\n" for number in range(300_000))
    assert "row 300002, column 'b' holds 'oops'" in refusal(f"a,b\n{rows}1,oops\n", "csv")


def test_a_column_of_fractions_that_begins_with_whole_numbers_is_a_float(check):
    rows = "1\n" * 1_000_000
    assert check(f"a\n{rows}1.5\n", "csv")["a"] == {"shape": [1_000_001], "dtype": "float64"}


def test_a_table_with_too_many_columns_is_refused(refusal):
    assert "10,001 columns" in refusal(",".join(f"c{number}" for number in range(10_001)) + "\n", "csv")


@pytest.mark.parametrize(
    ("column", "words"),
    [
        (["x"], "type string"),
        ([1, None], "row 2, column 'a' is empty"),
        ([[1], [2]], "type list"),
        (pa.array([], pa.int8()), "no rows"),
        (pa.array([1], pa.timestamp("s")), "timestamp"),
    ],
)
def test_a_parquet_column_must_hold_numbers(column, words, refusal):
    assert words in refusal(table(a=column), "parquet")


def test_a_parquet_table_is_measured_by_its_declared_size(refusal):
    content = table(a=np.zeros(1_000_000))
    assert "8,000,000" in refusal(content, "parquet", max_bytes=4_000_000)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('{"x": [[[1], [2, 3]], [[4]]]}', "one length"),
        ('{"x": [[1], 2]}', "one length"),
        ('{"x": [[1], [2, "a"]]}', "not a number"),
        ('{"x": [[1], [2, 3]], "x.offsets": [0, 1, 2]}', "twice"),
        ('{"x": [NaN]}', "NaN is not a JSON number"),
        ('{"x": [1], "x": [2]}', "twice"),
        ("[1]", "object of arrays"),
        ('{"x": ["a"]}', "not a number"),
        ('{"x": [1, null]}', "not a number"),
        ('{"x": [99999999999999999999999]}', "64 bits"),
        ('{"x": 1}', "single number"),
        ('{"x": []}', "every axis"),
        ('{"x": {"y": [1]}}', "not a number"),
        ("{", "not JSON"),
        ('{"x":' + "[" * 100_000, "not JSON"),
        (b"\xff", "not JSON"),
        ("{}", "no array"),
    ],
)
def test_json_must_hold_rectangles_of_numbers(content, words, refusal):
    assert words in refusal(content, "json")


def test_json_lists_of_different_lengths_become_values_and_offsets(tmp_path):
    path = tmp_path / "data.json"
    path.write_text('{"x": [[1], [], [2, 3]], "y": [0, 1, 0]}')

    assert inspect(path, "json") == {
        "x": {"shape": [3], "dtype": "int64"},
        "x.offsets": {"shape": [4], "dtype": "int64"},
        "y": {"shape": [3], "dtype": "int64"},
    }
    assert load(path, "json", "x").tolist() == [1, 2, 3]
    assert load(path, "json", "x.offsets").tolist() == [0, 1, 1, 3]


def test_large_json_is_sent_elsewhere(refusal, monkeypatch):
    monkeypatch.setattr("core.formats.nested.MAX_JSON_BYTES", 10)
    assert ".npz" in refusal(json.dumps({"x": [1] * 10}), "json")


@pytest.mark.parametrize(("name", "format"), [("a.npz", "npz"), ("A.B.NPZ", "npz"), ("x.parquet", "parquet")])
def test_the_format_is_told_by_the_end_of_the_name(name, format):
    assert format_of(name) == format


@pytest.mark.parametrize("name", ["a.pkl", "a", "", "a.pt", "a.npz.exe"])
def test_a_file_of_another_kind_is_not_read(name):
    with pytest.raises(UnsupportedFormat, match="npz, npy, csv, parquet, json"):
        format_of(name)
