"""Rows of a user's file or of a hub dataset, with the numbers by which the user finds them.

Cells are read as they are written: `1.50` stays "1.50" and `007` stays "007", which a data frame would
turn into other references.
"""

import csv
import gzip
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distill.errors import DataError


class Written(str):
    """A number in a JSON file, as it was written there."""


@dataclass(frozen=True, slots=True)
class Row:
    """`number` counts rows from 1; in JSONL it is the line, in CSV the first row after the header."""

    number: int
    values: dict[str, Any]


def read_file(path: str) -> list[Row]:
    """All rows of a JSONL, JSON (one list), CSV or Parquet file, plain or gzipped; the suffix says which.

    Raises:
        DataError: no such file, an unknown suffix, or a row that cannot be read.
    """
    file = Path(path).expanduser()
    suffix = file.with_suffix("").suffix if file.suffix == ".gz" else file.suffix
    if suffix.lower() not in _READERS:
        known = ", ".join(sorted(_READERS))
        raise DataError(f"expected a file whose name ends in {known} (or that and .gz), found '{path}'")
    try:
        raw = file.read_bytes()
        return _READERS[suffix.lower()](gzip.decompress(raw) if file.suffix == ".gz" else raw, path)
    except (OSError, EOFError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"expected a readable file of problems at '{path}', found: {error}") from error


def _read_jsonl(raw: bytes, path: str) -> list[Row]:
    rows = []
    for number, line in enumerate(raw.decode("utf-8-sig").split("\n"), start=1):
        if not line.strip():
            continue
        try:
            values = json.loads(line, parse_float=Written, parse_int=Written)
        except json.JSONDecodeError as error:
            raise DataError(f"expected one JSON object a line in '{path}', line {number}: {error}") from error
        if not isinstance(values, dict):
            raise DataError(
                f"expected a JSON object in '{path}', line {number}, found {type(values).__name__}. "
                'Write one {"question": ..., "answer": ...} a line.'
            )
        rows.append(Row(number, values))
    return rows


def _read_json(raw: bytes, path: str) -> list[Row]:
    found = json.loads(raw.decode("utf-8-sig"), parse_float=Written, parse_int=Written)
    if not isinstance(found, list) or not all(isinstance(values, dict) for values in found):
        raise DataError(f"expected one list of JSON objects in '{path}'. One object a line is .jsonl")
    return [Row(number, values) for number, values in enumerate(found, start=1)]


def _read_csv(raw: bytes, path: str) -> list[Row]:
    reader = csv.DictReader(io.StringIO(raw.decode("utf-8-sig"), newline=""), strict=True)
    try:
        rows = [Row(number, dict(values)) for number, values in enumerate(reader, start=1)]
    except csv.Error as error:
        raise DataError(f"expected CSV in '{path}', line {reader.line_num}: {error}") from error
    for row in rows:
        if None in row.values or None in row.values.values():
            fields = ", ".join(reader.fieldnames or ())
            raise DataError(
                f"expected the columns {fields} in every row of '{path}', found another number of cells "
                f"in row {row.number}. Quote cells that hold a comma or a line break."
            )
    return rows


def _read_parquet(raw: bytes, path: str) -> list[Row]:
    import pyarrow.parquet

    table = pyarrow.parquet.read_table(io.BytesIO(raw))
    return [Row(number, values) for number, values in enumerate(table.to_pylist(), start=1)]


_READERS: dict[str, Callable[[bytes, str], list[Row]]] = {
    ".jsonl": _read_jsonl,
    ".json": _read_json,
    ".csv": _read_csv,
    ".parquet": _read_parquet,
}


def read_hub(name: str, split: str) -> list[Row]:
    """All rows of one split of a dataset on the hub (or in a folder); `NAME:CONFIG` names a configuration.

    Raises:
        DataError: it cannot be loaded; the message carries the library's own reason.
    """
    import datasets

    dataset, _, config = name.partition(":")
    try:
        loaded = datasets.load_dataset(dataset, config or None, split=split)
    except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:
        raise DataError(
            f"expected a dataset '{name}' with a split '{split}', found: {error}. "
            "Check its name (NAME:CONFIG for a configuration), the split and the network."
        ) from error
    return [Row(number, dict(values)) for number, values in enumerate(loaded, start=1)]
