"""Records to Parquet and back: exact for whatever the dataclasses can hold, refused otherwise."""

import dataclasses
import json
import math
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from distill.artifacts import read_records, write_records
from distill.errors import ArtifactError
from distill.parquet import DamagedError, read_footer
from distill.records import (
    SCHEMA_VERSION,
    Chain,
    Event,
    EventKind,
    LabelledChain,
    Outcome,
    Problem,
    ScoredChain,
    StepLabel,
    StepStatus,
    Usage,
)

TEXT = st.text(st.characters(codec="utf-8"), max_size=12)
INT = st.integers(-(2**63), 2**63 - 1)
FLOAT = st.floats()


@dataclasses.dataclass(frozen=True, slots=True)
class Odd:
    """Shapes that today's records do not use together, but may tomorrow."""

    flag: bool
    maybe: str | None
    nested: Usage | None
    many: tuple[tuple[Usage, ...], ...]
    table: dict[str, int | None]
    kinds: tuple[Outcome, ...]


STRATEGY = {
    str: TEXT,
    int: INT,
    float: FLOAT,
    int | None: st.none() | INT,
    tuple[str, ...]: st.lists(TEXT, max_size=4).map(tuple),
    tuple[int, ...]: st.lists(INT, max_size=4).map(tuple),
    tuple[float, ...]: st.lists(FLOAT, max_size=4).map(tuple),
    dict[str, tuple[float, ...]]: st.dictionaries(TEXT, st.lists(FLOAT, max_size=3).map(tuple), max_size=3),
    Outcome: st.sampled_from(Outcome),
    EventKind: st.sampled_from(EventKind),
    StepStatus: st.sampled_from(StepStatus),
}


def record(kind: type, **given_fields: st.SearchStrategy) -> st.SearchStrategy:
    names = {f.name: f.type for f in dataclasses.fields(kind)}
    fields = {k: given_fields[k] if k in given_fields else STRATEGY[t] for k, t in names.items()}
    return st.builds(kind, **fields)


USAGE = record(Usage)
LABELLED = record(
    LabelledChain,
    problem=record(Problem),
    chain=record(Chain),
    labels=st.lists(record(StepLabel), max_size=3).map(tuple),
)
ODD = st.builds(
    Odd,
    st.booleans(),
    st.none() | TEXT,
    st.none() | USAGE,
    st.lists(st.lists(USAGE, max_size=2).map(tuple), max_size=3).map(tuple),
    st.dictionaries(TEXT, st.none() | INT, max_size=3),
    st.lists(st.sampled_from(Outcome), max_size=3).map(tuple),
)
KINDS = (LABELLED, record(Event), record(ScoredChain), ODD)
SHARD = st.one_of(*(st.lists(kind, min_size=1, max_size=4) for kind in KINDS))


def same(left: object, right: object) -> bool:
    """Equal in value and type, NaN equal to NaN, 0.0 apart from -0.0, dictionaries in order."""
    if type(left) is not type(right):
        return False
    if isinstance(left, float):
        return (math.isnan(left) and math.isnan(right)) or (left == right and str(left) == str(right))
    if isinstance(left, tuple | list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict):
        return same(list(left.items()), list(right.items()))
    if dataclasses.is_dataclass(left):
        return all(same(getattr(left, f.name), getattr(right, f.name)) for f in dataclasses.fields(left))
    return left == right


@pytest.fixture(scope="module")
def shard(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("röm 100%") / "a b:c é 漢.parquet"


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(records=SHARD)
def test_round_trip_is_exact(shard: Path, records: list) -> None:
    write_records(shard, records)
    assert same(read_records(shard, type(records[0])), records)


def test_same_tells_apart_what_it_must() -> None:
    assert same((float("nan"),), (float("nan"),))
    assert not same(0.0, -0.0)
    assert not same((1,), (1.0,))
    assert not same(Outcome.CORRECT, "correct")
    assert not same({"a": 1, "b": 2}, {"b": 2, "a": 1})


def test_a_shard_of_no_rows_reads_as_any_type(shard: Path) -> None:
    write_records(shard, [])
    assert read_records(shard, Chain) == []
    assert read_footer(shard).rows == 0


def test_statistics_travel_in_the_footer_numpy_scalars_too(shard: Path) -> None:
    import numpy as np

    write_records(shard, [Usage(1, 2, 3)], {"stats": {"n": np.int64(7), "share": np.float32(0.5)}})
    assert read_footer(shard).extra == {"stats": {"n": 7, "share": 0.5}}


@pytest.mark.parametrize(
    "bad",
    [
        Usage(prompt_tokens=None),
        Usage(prompt_tokens=1.5),  # Arrow alone would store 1
        Usage(prompt_tokens=2**63),
        Problem("p", "lone \ud800", "r"),
        Problem("p", None, "r"),
        Event("c", "p", 0, EventKind.ROLLOUT, "corect"),
        Chain("c", "p", None, Outcome.CORRECT),
        Chain("c", "p", "abc", Outcome.CORRECT),
        Chain("c", "p", ("a", None), Outcome.CORRECT),
        ScoredChain("p", "c", (), "", Outcome.CORRECT, None, scores={"v": (0.1, None)}),
        LabelledChain(Problem("p", "q", "r"), None, (), -1, "m"),
    ],
    ids=str,
)
def test_what_a_field_does_not_declare_is_refused(shard: Path, bad: object) -> None:
    write_records(shard, [Usage(1)])
    with pytest.raises(ArtifactError, match="cannot"):
        write_records(shard, [bad])
    assert read_records(shard, Usage) == [Usage(1)], "the earlier file must stay"


def test_two_types_in_one_shard_are_refused(shard: Path) -> None:
    with pytest.raises(ArtifactError, match="expected Usage records only, found Problem too"):
        write_records(shard, [Usage(), Problem("p", "q", "r")])


def test_reading_as_another_type_names_both(shard: Path) -> None:
    write_records(shard, [Usage()])
    with pytest.raises(ArtifactError, match=r"expected Chain records .* found Usage"):
        read_records(shard, Chain)


@pytest.mark.parametrize(("version", "word"), [(SCHEMA_VERSION - 1, "older"), (SCHEMA_VERSION + 1, "newer")])
def test_another_schema_version_says_what_to_do(shard: Path, version: int, word: str) -> None:
    write_records(shard, [Usage()])
    rewrite_footer(shard, schema=version)
    for read in (read_footer, lambda path: read_records(path, Usage)):
        with pytest.raises(ArtifactError) as caught:
            read(shard)
        message = str(caught.value)
        assert str(shard) in message
        assert f"an {word}" in message or f"a {word}" in message
        assert f"expected record schema {SCHEMA_VERSION}, found {version}" in message
        assert "start a new one" in message
        assert "delete" in message
        assert not isinstance(caught.value, DamagedError)


def test_the_same_version_with_other_fields_is_refused(shard: Path) -> None:
    renamed = dataclasses.make_dataclass("Usage", [("prompt", int)], frozen=True)
    write_records(shard, [renamed(1)])
    with pytest.raises(ArtifactError, match="other Usage fields"):
        read_records(shard, Usage)


def test_every_truncation_and_any_flipped_page_is_noticed(shard: Path) -> None:
    records = [Problem(f"p{i}", "question " * 9, "r") for i in range(40)]
    write_records(shard, records)
    whole = shard.read_bytes()
    for size in [0, 1, 4, *range(8, len(whole), 97), len(whole) - 1]:
        shard.write_bytes(whole[:size])
        with pytest.raises(DamagedError, match="damaged"):
            read_records(shard, Problem)
    shard.write_bytes(whole[:60] + bytes([whole[60] ^ 0xFF]) + whole[61:])
    with pytest.raises(DamagedError):
        read_records(shard, Problem)


def test_a_foreign_parquet_file_and_an_absent_one(shard: Path, tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [1]}), tmp_path / "foreign.parquet")
    with pytest.raises(ArtifactError, match="not one that prm-distill wrote"):
        read_records(tmp_path / "foreign.parquet", Usage)
    with pytest.raises(ArtifactError, match="found nothing there"):
        read_records(tmp_path / "absent.parquet", Usage)


def rewrite_footer(path: Path, **changes: object) -> None:
    table = pq.ParquetFile(pa.OSFile(str(path))).read()
    (key, stored), *_ = [(k, v) for k, v in table.schema.metadata.items() if k == b"prm-distill"]
    changed = json.dumps({**json.loads(stored), **changes}).encode()
    with path.open("wb") as file:
        pq.write_table(table.replace_schema_metadata({key: changed}), file)
