"""Parquet files, through pyarrow (extra `parquet`)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from miabench.errors import UserError
from miabench.files.delimited import MOST_CELLS

PARQUET = b"PAR1"


def parquet_columns(path: Path) -> dict[int, tuple[str, Sequence[str]]]:
    """Name and cells of every column, by position; cells are text as in a CSV file, empty where there is no value.

    Times become whole numbers since 1970, in the unit of the file.

    Raises:
        UserError: pyarrow is not installed; a damaged file; a column of lists, structures or bytes.
    """
    try:
        import pyarrow
        from pyarrow.parquet import ParquetFile
    except ImportError:
        raise UserError(
            f"{path} is a Parquet file; reading it needs pyarrow: pip install 'miabench[parquet]', or save it as CSV"
        ) from None
    try:
        with ParquetFile(path) as file:
            rows, columns = file.metadata.num_rows, file.metadata.num_columns
            if rows * columns > MOST_CELLS:
                raise UserError(f"{path} has {rows:,} rows of {columns:,} columns; at most {MOST_CELLS:,} cells")
            table = file.read()
    except (pyarrow.ArrowException, OSError) as error:
        raise UserError(f"{path} is a Parquet file that is damaged or cut off: {error}") from None
    names = ["" if name.startswith("__index_level_") else name for name in table.column_names]
    nested = [name for name, column in zip(names, table.columns, strict=True) if _nested(column.type)]
    if nested:
        raise UserError(f"{path}: columns {nested[:8]} hold lists, structures or bytes; leave them out of the file")
    return {i: (name, _text(table.column(i))) for i, name in enumerate(names)}


def _nested(kind: Any) -> bool:
    from pyarrow import types

    return any(check(kind) for check in (types.is_nested, types.is_binary, types.is_large_binary))


def _text(column: Any) -> list[str]:
    import pyarrow
    from pyarrow import types

    if types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if types.is_temporal(column.type) and column.type.bit_width in (32, 64):
        column = column.cast(pyarrow.int64() if column.type.bit_width == 64 else pyarrow.int32())
    return ["" if cell is None else cell for cell in column.cast(pyarrow.string()).to_pylist()]
