"""Records to Parquet bytes and back, exactly, with the schema version in the file's own metadata.

The Arrow schema is derived from the dataclass: str, int (64 bits), float, bool, StrEnum, nested
dataclasses, `tuple[X, ...]`, `dict[str, X]` and `X | None`. Whatever else goes along with a shard (its
stage, fingerprint and statistics) travels in the same file's footer, so that one rename or put publishes
it all.
"""

import dataclasses
import json
import operator
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum
from functools import cache, partial
from pathlib import Path
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

import pyarrow as pa
import pyarrow.parquet as pq

from distill.errors import ArtifactError, StoreError
from distill.records import SCHEMA_VERSION
from distill.remote import RemotePath, tails
from distill.storage import Place, locate

Record = TypeVar("Record")
Convert = Callable[[Any], Any]

_FOOTER_KEY = b"prm-distill"
_TAIL_BYTES = 1 << 16
"""Of a shard on a store, read to find its footer: one request, and more than footers have."""
_READERS = 16
"""Shards of a store that are fetched side by side."""


class DamagedError(ArtifactError):
    """A file is not whole: never the work of a kill (files appear by a rename), but of the disk."""


@dataclasses.dataclass(frozen=True, slots=True)
class Footer:
    """What a shard says of itself. `record` is "" for a shard of no rows whose type nobody named."""

    record: str
    rows: int
    extra: dict[str, Any]


@dataclasses.dataclass(frozen=True, slots=True)
class _Codec:
    """How one Python type is stored: its Arrow type, and the way there and back (None: as it is)."""

    arrow: pa.DataType
    encode: Convert | None = None
    decode: Convert | None = None
    nullable: bool = False

    def field(self, name: str) -> pa.Field:
        return pa.field(name, self.arrow, nullable=self.nullable)


def encode_records(
    records: Sequence[Any], extra: Mapping[str, Any], record_type: type | None = None
) -> pa.Buffer:
    """One Parquet file (zstd, page checksums) of `records`, all of one dataclass; `extra` is JSON.

    Raises:
        ArtifactError: the records are of several types, or a field does not hold what it declares.
    """
    kind = record_type or (type(records[0]) if records else None)
    table = pa.table({}) if kind is None else _to_table(records, kind)
    name = kind.__name__ if kind else ""
    footer = json.dumps({"schema": SCHEMA_VERSION, "record": name, "extra": extra}, default=plain_scalar)
    table = table.replace_schema_metadata({_FOOTER_KEY: footer.encode()})
    sink = pa.BufferOutputStream()
    try:
        pq.write_table(table, sink, compression="zstd", write_page_checksum=True)
    except pa.ArrowInvalid as error:  # a null where the dataclass allows none
        raise ArtifactError(f"cannot store these {name} records: {error}") from error
    return sink.getvalue()


def read_footer(path: Place) -> Footer:
    """The footer of a shard, its rows left unread.

    Raises:
        DamagedError: not a whole Parquet file.
        ArtifactError: absent, not one of ours, or of another schema version.
    """
    if isinstance(path, Path):
        with _opened(path) as file:
            return _footer(path, file.metadata)
    return _footer_of(path, tails([path], _TAIL_BYTES)[0])


def read_footers(paths: Sequence[Place]) -> list[Footer | None]:
    """The footer of every shard, None of a damaged one.

    Raises:
        ArtifactError: one is absent, not one of ours, or of another schema version.
    """
    remote = [path for path in paths if isinstance(path, RemotePath)]
    ends = dict(zip(remote, tails(remote, _TAIL_BYTES), strict=True))
    return [
        _or_none(partial(_footer_of, path, ends[path]))
        if isinstance(path, RemotePath)
        else _or_none(partial(read_footer, path))
        for path in paths
    ]


def read_records(path: str | Place, record_type: type[Record]) -> list[Record]:
    """Every record of a shard, equal to what was written.

    Raises:
        ArtifactError: absent, torn, of another schema version, or of another record type.
    """
    path = locate(path)
    with _opened(path) as file:
        footer = _footer(path, file.metadata)
        if footer.record == "":
            return []
        _check_type(path, footer, file, record_type)
        try:
            table = file.read()
        except (pa.ArrowException, OSError) as error:
            raise _torn(path, error) from error
    return _from_table(table, record_type)


def read_shards(paths: Sequence[Place], record_type: type[Record]) -> Iterator[list[Record]]:
    """The records of every shard, in order; those of a store are fetched side by side.

    Raises:
        ArtifactError: as `read_records`.
    """
    if not paths or isinstance(paths[0], Path):
        yield from (read_records(path, record_type) for path in paths)
        return
    with ThreadPoolExecutor(_READERS) as pool:
        yield from pool.map(lambda path: read_records(path, record_type), paths)


def check_schema(where: Place, found: Any) -> None:
    """Refuse what another schema version wrote, and say what to do.

    Raises:
        ArtifactError: `found` is not this version's `SCHEMA_VERSION`.
    """
    if found == SCHEMA_VERSION:
        return
    newer = isinstance(found, int) and found > SCHEMA_VERSION
    writer = "a newer prm-distill" if newer else "an older prm-distill"
    raise ArtifactError(
        f"{where} was written by {writer}: expected record schema {SCHEMA_VERSION}, found {found}. "
        "A run folder cannot be carried over: start a new one (another `name` or `runs` in the recipe), or "
        "delete this one and give the same command again, or go back to the version that wrote it."
    )


def _to_table(records: Sequence[Any], kind: type) -> pa.Table:
    strangers = sorted({type(record).__name__ for record in records if type(record) is not kind})
    if strangers:
        raise ArtifactError(f"expected {kind.__name__} records only, found {', '.join(strangers)} too")
    columns = []
    for name, codec in _columns(kind).items():
        values = [getattr(record, name) for record in records]
        columns.append(_to_column(f"{kind.__name__}.{name}", values, codec))
    return pa.Table.from_arrays(columns, schema=_arrow_schema(kind))


def _to_column(name: str, values: list[Any], codec: _Codec) -> pa.Array:
    try:
        if codec.encode is not None:
            values = [codec.encode(value) for value in values]
        return pa.array(values, codec.arrow)
    except (pa.ArrowException, TypeError, ValueError, OverflowError, AttributeError) as error:
        raise ArtifactError(f"{name} cannot be stored as {codec.arrow}: {error}") from error


def _from_table(table: pa.Table, kind: Any) -> list[Any]:
    columns = []
    for name, codec in _columns(kind).items():
        values = table.column(name).to_pylist()
        columns.append(values if codec.decode is None else [codec.decode(value) for value in values])
    return [kind(*row) for row in zip(*columns)]


def _opened(path: Place) -> pq.ParquetFile:
    try:
        # Arrow would take a path apart as a URI; an open file means the same for every name.
        source = pa.OSFile(str(path)) if isinstance(path, Path) else pa.BufferReader(path.read_bytes())
        return pq.ParquetFile(source, page_checksum_verification=True)
    except FileNotFoundError as error:
        raise ArtifactError(f"expected a shard at {path}, found nothing there") from error
    except (pa.ArrowException, OSError) as error:
        raise _torn(path, error) from error


def _footer_of(path: RemotePath, end: bytes | Exception) -> Footer:
    """The footer in the last bytes of a shard; Arrow reads it there as in the whole file."""
    if isinstance(end, FileNotFoundError):
        raise ArtifactError(f"expected a shard at {path}, found nothing there") from end
    if isinstance(end, Exception):
        raise StoreError(f"cannot read {path}: {type(end).__name__}: {end}") from end
    try:
        metadata = pq.read_metadata(pa.BufferReader(end))
    except (pa.ArrowException, OSError):  # cut short, or a footer longer than that
        with _opened(path) as file:
            metadata = file.metadata
    return _footer(path, metadata)


def _or_none(read: Callable[[], Footer]) -> Footer | None:
    try:
        return read()
    except DamagedError:
        return None


def _footer(path: Place, metadata: pq.FileMetaData) -> Footer:
    try:
        stored = json.loads((metadata.metadata or {})[_FOOTER_KEY])
    except (KeyError, ValueError) as error:
        raise ArtifactError(f"{path} is a Parquet file, but not one that prm-distill wrote") from error
    check_schema(path, stored.get("schema"))
    return Footer(stored["record"], metadata.num_rows, stored["extra"])


def _check_type(path: Place, footer: Footer, file: pq.ParquetFile, kind: type) -> None:
    if footer.record != kind.__name__:
        raise ArtifactError(f"expected {kind.__name__} records in {path}, found {footer.record}")
    if not file.schema_arrow.remove_metadata().equals(_arrow_schema(kind)):
        raise ArtifactError(
            f"{path} has other {kind.__name__} fields than this code, under the same schema version: it was "
            "written by another development version. Delete the run folder, or start a new one."
        )


def _torn(path: Place, error: Exception) -> DamagedError:
    return DamagedError(
        f"{path} is damaged (not a whole Parquet file: {error}). Delete it and give the same command again: "
        "only this shard is made anew."
    )


@cache
def _columns(kind: Any) -> dict[str, _Codec]:
    hints = get_type_hints(kind)
    return {field.name: _codec(hints[field.name]) for field in dataclasses.fields(kind)}


@cache
def _arrow_schema(kind: Any) -> pa.Schema:
    return pa.schema([codec.field(name) for name, codec in _columns(kind).items()])


def _codec(hint: Any) -> _Codec:
    """The codec of one type hint; TypeError for a hint that records must not use."""
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType) and len(args) == 2 and args[1] is type(None):
        inner = _codec(args[0])
        return _Codec(inner.arrow, _optional(inner.encode), _optional(inner.decode), nullable=True)
    if origin is tuple and len(args) == 2 and args[1] is Ellipsis:
        return _tuple_codec(_codec(args[0]))
    if origin is dict and args[0] is str:
        return _dict_codec(_codec(args[1]))
    if dataclasses.is_dataclass(hint):
        return _struct_codec(hint)  # type: ignore[arg-type]
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return _Codec(pa.string(), lambda value: hint(value).value, hint)
    if hint is int:  # Arrow would cut 1.5 down to 1 without a word
        return _Codec(pa.int64(), operator.index)
    plain = {str: pa.string(), float: pa.float64(), bool: pa.bool_()}
    if hint not in plain:
        raise TypeError(f"records hold str, int, float, bool, StrEnum, dataclass, tuple, dict; found {hint}")
    return _Codec(plain[hint])


def _optional(convert: Convert | None) -> Convert | None:
    if convert is None:
        return None
    return lambda value: None if value is None else convert(value)


def _tuple_codec(item: _Codec) -> _Codec:
    encode, decode = item.encode, item.decode

    def to_list(values: Any) -> Any:
        if not isinstance(values, tuple | list):  # Arrow would store None as an empty list
            raise TypeError(f"expected a tuple, found {values!r}")
        return values if encode is None else [encode(value) for value in values]

    return _Codec(
        pa.list_(item.field("item")),
        to_list,
        tuple if decode is None else lambda values: tuple(decode(value) for value in values),
    )


def _dict_codec(item: _Codec) -> _Codec:
    encode, decode = item.encode or _same, item.decode or _same
    return _Codec(
        pa.map_(pa.string(), item.field("value")),
        lambda mapping: [(key, encode(value)) for key, value in mapping.items()],
        lambda pairs: {key: decode(value) for key, value in pairs},
    )


def _struct_codec(kind: type) -> _Codec:
    columns = _columns(kind)
    encoders = {name: codec.encode or _same for name, codec in columns.items()}
    decoders = {name: codec.decode or _same for name, codec in columns.items()}
    return _Codec(
        pa.struct([codec.field(name) for name, codec in columns.items()]),
        lambda value: {name: encode(getattr(value, name)) for name, encode in encoders.items()},
        lambda stored: kind(**{name: decode(stored[name]) for name, decode in decoders.items()}),
    )


def _same(value: Any) -> Any:
    return value


def plain_scalar(value: Any) -> Any:
    """Statistics may hold NumPy or torch scalars; JSON may not."""
    if hasattr(value, "item"):
        return value.item()
    raise ArtifactError(f"statistics must be JSON, found {type(value).__name__}: {value!r}")
