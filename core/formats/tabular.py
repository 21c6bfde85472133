"""`.csv` and `.parquet`: one array per column, read batch by batch and never whole."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as arrow_csv
import pyarrow.parquet as parquet

from core.errors import BadDataset
from core.formats.checks import MAX_ARRAYS, check_names, check_total, describe, no_such_array

#: One row must fit into a block.
BLOCK_BYTES = 4 * 2**20
BATCH_ROWS = 65_536
#: Up to here a float64 holds every integer exactly.
EXACT = 2**53


def inspect_csv(path: Path, max_bytes: int) -> dict[str, Any]:
    """See `core.formats.inspect`; a column of whole numbers is int64, any other float64."""
    names, _ = _columns(path)
    check_total(path.stat().st_size * 4, max_bytes)
    whole = dict.fromkeys(names, True)
    rows = 0
    for batch in _csv_batches(path, names):
        rows += batch.num_rows
        for name, column in zip(names, batch.columns, strict=True):
            whole[name] = whole[name] and _is_whole(column.to_numpy(zero_copy_only=False))
    if rows == 0:
        raise BadDataset("the table has no rows")
    return {name: describe((rows,), np.dtype("int64" if whole[name] else "float64")) for name in names}


def load_csv(path: Path, array: str) -> np.ndarray:
    """See `core.formats.load`."""
    names, _ = _columns(path)
    if array not in names:
        raise no_such_array(array, names)
    parts = [batch.column(0).to_numpy(zero_copy_only=False) for batch in _csv_batches(path, [array])]
    column = np.concatenate(parts)
    return column.astype("int64") if _is_whole(column) else column


def inspect_parquet(path: Path, max_bytes: int) -> dict[str, Any]:
    """See `core.formats.inspect`."""
    with _open_parquet(path) as file:
        check_names(file.schema_arrow.names)
        rows = file.metadata.num_rows
        found = {field.name: describe((rows,), _dtype(field)) for field in file.schema_arrow}
        check_total(rows * sum(_dtype(field).itemsize for field in file.schema_arrow), max_bytes)
        if rows == 0:
            raise BadDataset("the table has no rows")
        _check_cells(file)
    return found


def load_parquet(path: Path, array: str) -> np.ndarray:
    """See `core.formats.load`."""
    with _open_parquet(path) as file:
        if array not in file.schema_arrow.names:
            raise no_such_array(array, file.schema_arrow.names)
        _dtype(file.schema_arrow.field(array))
        column = file.read([array], use_threads=False).column(0)
        return np.asarray(column.to_numpy())


def _columns(path: Path) -> tuple[list[str], bool]:
    """Name the columns, and say whether the first row did; a first row of numbers is data."""
    with path.open("rb") as file:
        line = file.readline(BLOCK_BYTES)
    try:
        # Only the first line: a quoted name with a line break in it is not worth reading the file for.
        row = next(csv.reader([line.decode("utf-8-sig")]), [])
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadDataset("the file is not a comma-separated table in UTF-8") from error
    if not row:
        raise BadDataset("the file's first line is empty; begin with the names of the columns")
    if len(row) > MAX_ARRAYS:
        raise BadDataset(f"the table has {len(row):,} columns; {MAX_ARRAYS:,} are the most")
    if all(_is_number(cell) for cell in row):
        return [str(index) for index in range(len(row))], False
    return check_names([name.strip() for name in row]), True


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return "_" not in cell


def _is_whole(column: np.ndarray) -> bool:
    with np.errstate(invalid="ignore"):
        return bool(np.all((np.abs(column) < EXACT) & (column == np.floor(column))))


def _csv_batches(path: Path, wanted: list[str]) -> Iterator[pa.RecordBatch]:
    names, has_header = _columns(path)
    try:
        reader = arrow_csv.open_csv(
            path,
            arrow_csv.ReadOptions(
                use_threads=False, block_size=BLOCK_BYTES, column_names=names, skip_rows=int(has_header)
            ),
            arrow_csv.ParseOptions(),
            arrow_csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.float64()), null_values=[], include_columns=wanted
            ),
        )
        with reader:
            yield from reader
    except (pa.ArrowInvalid, pa.ArrowKeyError) as error:
        raise BadDataset(_first_fault(path, names, has_header)) from error


def _first_fault(path: Path, names: list[str], has_header: bool) -> str:
    """Look for what Arrow stumbled over, to say where it is."""
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        for number, row in enumerate(csv.reader(file), start=1):
            if number == 1 and has_header:
                continue
            if fault := _fault(number, row, names):
                return fault
    return "the table cannot be read; check its quotes and line ends"


def _fault(number: int, row: list[str], names: list[str]) -> str | None:
    if row and len(row) != len(names):
        return f"row {number} has {len(row)} cells and the first row has {len(names)}"
    for name, cell in zip(names, row, strict=False):
        if not _is_number(cell):
            what = f"holds {cell[:40]!r}, which is not a number" if cell.strip() else "is empty"
            return f"row {number}, column {name!r} {what}; every cell must be a number"
    return None


def _open_parquet(path: Path) -> parquet.ParquetFile:
    try:
        return parquet.ParquetFile(path, memory_map=False)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise BadDataset("the file is not Parquet, or was cut short; upload it again") from error


def _dtype(field: pa.Field) -> np.dtype[Any]:
    kind = field.type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
        raise BadDataset(f"column {field.name!r} is of type {kind}; cast it to a number before uploading")
    dtype: np.dtype[Any] = np.dtype(kind.to_pandas_dtype())
    return dtype


def _check_cells(file: parquet.ParquetFile) -> None:
    row = 0
    try:
        for batch in file.iter_batches(BATCH_ROWS, use_threads=False):
            for name, column in zip(batch.schema.names, batch.columns, strict=True):
                if column.null_count:
                    first = row + int(np.argmax(column.is_null().to_numpy(zero_copy_only=False))) + 1
                    raise BadDataset(f"row {first}, column {name!r} is empty; every cell must be a number")
            row += batch.num_rows
    except (pa.ArrowException, OSError) as error:
        raise BadDataset("the file is damaged; upload it again") from error
