"""Parquet files, through pyarrow (extra `parquet`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from miabench.errors import UserError
from miabench.files.delimited import MOST_CELLS

PARQUET = b"PAR1"


NESTED = "holds lists, structures or bytes"
UNREAD = "unread"  # in place of what a cell holds


@dataclass(frozen=True)
class ParquetColumn:
    """One column.

    Attributes:
        name: empty where the file has none.
        cells: N texts as in a CSV file, empty where there is no value.
        times: whether its cells stand for times: whole numbers since 1970, in the unit of the file.
        problem: why it cannot be read, or empty.
    """

    name: str
    cells: Sequence[str]
    times: bool = False
    problem: str = ""


def parquet_columns(path: Path) -> list[ParquetColumn]:
    """All columns, in order.

    Raises:
        UserError: pyarrow is not installed; a damaged file.
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
    return [_column(name, column) for name, column in zip(table.column_names, table.columns, strict=True)]


def _column(name: str, column: Any) -> ParquetColumn:
    from pyarrow import types

    name = "" if name.startswith("__index_level_") else name
    if any(check(column.type) for check in (types.is_nested, types.is_binary, types.is_large_binary)):
        return ParquetColumn(name, [UNREAD] * len(column), problem=NESTED)
    return ParquetColumn(name, _text(column), types.is_temporal(column.type))


def _text(column: Any) -> list[str]:
    import pyarrow
    from pyarrow import types

    if types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if types.is_temporal(column.type) and column.type.bit_width in (32, 64):
        column = column.cast(pyarrow.int64() if column.type.bit_width == 64 else pyarrow.int32())
    return ["" if cell is None else cell for cell in column.cast(pyarrow.string()).to_pylist()]
