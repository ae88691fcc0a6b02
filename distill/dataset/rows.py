"""Rows of labelled data from wherever they lie: a file, a folder of files, or a dataset on the hub.

Values keep their JSON type (`generators.tables` reads problems and keeps spellings instead), because a
label that is `true`, `1` or `0.9` means three different things.
"""

import gzip
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distill.errors import DataError

SUFFIXES = (".jsonl", ".json", ".parquet")
SPLITS = ("train", "training", "validation", "valid", "val", "dev", "test", "eval")
"""What files are named after where a folder holds several splits."""
DESCRIPTIONS = ("dataset_dict.json", "dataset_info.json", "dataset_infos.json", "manifest.json")


@dataclass(frozen=True, slots=True)
class Row:
    """One row and where it stands ("chains.jsonl, row 3"), counted from 1."""

    values: dict[str, Any]
    where: str


def read_rows(source: str, split: str | None = "train") -> Iterator[Row]:
    """Every row of a file (JSONL, a JSON array, Parquet; gzipped or not), of all such files of a folder,
    or of one split of a dataset that `datasets` loads (a hub name, NAME:CONFIG, or its saved folder).

    A folder that has files named after splits gives those of `split` only; None is for what has but one.

    Raises:
        DataError: nothing is there, not this split, several with `split` None, or a row cannot be read; the
            message names the splits, or file and row.
    """
    path = Path(source).expanduser()
    if path.is_file():
        yield from _file_rows(path)
    elif path.is_dir():
        for file in data_files(path, split):
            yield from _file_rows(file)
    else:
        yield from _hub_rows(source, split)


def data_files(folder: Path, split: str | None) -> list[Path]:
    """The data files of a folder (or of its `data` folder): those named after `split`, or all where no file
    is named after a split (`train`, `dev-00000-of-00002`, ...).

    Raises:
        DataError: it holds none, none of this split, or several splits where `split` is None.
    """
    places = [folder / "data", folder]
    found = [sorted(file for file in place.glob("*") if is_data(file)) for place in places]
    files = next((group for group in found if group), [])
    named = [file for file in files if _split_of(file) == split]
    if not files:
        raise DataError(
            f"expected files ending in {', '.join(SUFFIXES)} (or that and .gz) in {folder}, found none; "
            "name the file itself, or the folder that holds it"
        )
    there = sorted({_split_of(file) for file in files})
    splits = there if set(there) & set(SPLITS) else []
    if not named and (len(splits) > 1 if split is None else splits or split != "train"):
        raise several_splits(str(folder), split, there)
    return named or files


def _split_of(file: Path) -> str:
    return file.name.split(".")[0].split("-")[0]


def several_splits(source: str, split: str | None, there: Sequence[str]) -> DataError:
    """The error for a source that holds not the one split that was meant."""
    asked = f"the split '{split}'" if split else "the name of one split"
    return DataError(f"{source}: expected {asked}, found {', '.join(there)}; name one of these (`split`)")


def is_data(file: Path) -> bool:
    """Whether a file is one of rows, and not one that describes others."""
    return _suffix(file) in SUFFIXES and file.name not in DESCRIPTIONS


def _suffix(file: Path) -> str:
    return (file.with_suffix("").suffix if file.suffix == ".gz" else file.suffix).lower()


def _file_rows(file: Path) -> Iterator[Row]:
    readers = {".jsonl": _jsonl, ".json": _json, ".parquet": _parquet}
    if _suffix(file) not in readers:
        raise DataError(f"expected a file ending in {', '.join(SUFFIXES)} (or that and .gz), found '{file}'")
    try:
        raw = file.read_bytes()
        values = readers[_suffix(file)](gzip.decompress(raw) if file.suffix == ".gz" else raw)
        for number, value in values:
            where = f"{file.name}, row {number}"
            if not isinstance(value, dict):
                raise DataError(f"{where}: expected a JSON object, found {type(value).__name__}")
            yield Row(value, where)
    except (OSError, EOFError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{file}: expected readable rows, found: {error}. Is the file whole?") from error


def _jsonl(raw: bytes) -> Iterator[tuple[int, Any]]:
    for number, line in enumerate(raw.decode("utf-8-sig").split("\n"), 1):
        if not line.strip():
            continue
        try:
            yield number, json.loads(line)
        except ValueError as error:
            raise ValueError(f"row {number}: {error}") from error


def _json(raw: bytes) -> Iterator[tuple[int, Any]]:
    """A JSON array; a `.json` file that is JSONL inside is read as that."""
    text = raw.decode("utf-8-sig")
    if not text.lstrip().startswith("["):
        yield from _jsonl(raw)
    else:
        yield from enumerate(json.loads(text), 1)


def _parquet(raw: bytes) -> Iterator[tuple[int, Any]]:
    import pyarrow as pa
    import pyarrow.parquet

    yield from enumerate(pyarrow.parquet.read_table(pa.BufferReader(raw)).to_pylist(), 1)


def _hub_rows(name: str, split: str | None) -> Iterator[Row]:
    import datasets

    dataset, _, config = name.partition(":")
    wanted = f"a split '{split}'" if split else "one split"
    try:
        if split is None:
            there = datasets.get_dataset_split_names(dataset, config or None)
            if len(there) != 1:
                raise several_splits(name, None, there)
            split = there[0]
        loaded = datasets.load_dataset(dataset, config or None, split=split)
    except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(
            f"expected a file, a folder, or a dataset '{name}' with {wanted}, found: {error}. "
            "Check the path or the name (NAME:CONFIG for a configuration), the split and the network."
        ) from error
    for number, values in enumerate(loaded, 1):
        yield Row(dict(values), f"{name} ({split}), row {number}")
