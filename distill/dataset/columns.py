"""Columns of a row, each exactly of the type that is asked for: nothing is converted."""

from collections.abc import Mapping
from typing import Any

from distill.errors import DataError


def column(row: Mapping[str, Any], name: str, kind: type) -> Any:
    """The value of a column, if it is exactly of `kind` (True is no int)."""
    if name not in row:
        raise DataError(f"expected a column {name!r}, found {sorted(row)}")
    if type(row[name]) is not kind:
        raise DataError(f"{name}: expected {kind.__name__}, found {type(row[name]).__name__} {row[name]!r}")
    return row[name]


def text(row: Mapping[str, Any], name: str) -> str:
    """A column of text."""
    return str(column(row, name, str))


def texts(row: Mapping[str, Any], name: str) -> list[str]:
    """A column that is a list of texts."""
    found = column(row, name, list)
    if not all(isinstance(item, str) for item in found):
        raise DataError(f"{name}: expected a list of texts, found {found!r}")
    return list(found)


def optional_text(row: Mapping[str, Any], name: str) -> str:
    """A text that may be absent or null (""); a whole number, such as an id, is read as its digits."""
    value = row.get(name)
    return "" if value is None else str(value) if type(value) is int else text(row, name)
