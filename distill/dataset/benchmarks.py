"""Rows of the field's benchmarks: ProcessBench, PRMBench, and candidates for best-of-n.

| benchmark | columns |
|---|---|
| ProcessBench | `problem, steps, label` (0-based first error, -1 none); subset: file, split or column |
| PRMBench | `modified_question, modified_process, error_steps` (1-based), `classification, idx` (a name) |
| candidates | `question` (or `problem`), `steps` and/or `scores`, `answer`, `correct` (bool) or `reference` |

A candidate without `answer` is judged by its steps. Some rows of the published PRMBench name error steps
beyond their last step; these count nowhere, as in its own evaluation.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distill.dataset.columns import column, optional_text, text, texts
from distill.dataset.formats import from_processbench
from distill.dataset.rows import Row, data_files, read_rows
from distill.errors import DataError
from distill.records import LabelledChain

SUBSETS = ("gsm8k", "math", "olympiadbench", "omnimath")
REDUNDANCY = "redundency"
"""PRMBench's own spelling; its originals are also the benchmark's correct chains."""


@dataclass(frozen=True, slots=True)
class PRMBenchChain:
    """One PRMBench chain; `errors` are 0-based here, and may lie beyond the steps. `classification` is
    "correct" for an original."""

    id: str
    question: str
    steps: tuple[str, ...]
    errors: frozenset[int]
    classification: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """One of several chains of a problem; `correct` None is undecided, `scores` None not scored yet."""

    question: str
    steps: tuple[str, ...]
    scores: tuple[float, ...] | None
    answer: str
    correct: bool | None
    reference: str


def read_processbench(
    source: str, limit: int | None = None, split: str | None = None
) -> dict[str, list[LabelledChain]]:
    """Chains by subset, `limit` of each at most: one file a subset in a folder, else a row's `subset` (or
    `source`), else the splits of a hub dataset. `split` takes one file or split alone.

    Raises:
        DataError: nothing is there, or a row is no ProcessBench row; the message names file and row.
    """
    subsets: dict[str, list[LabelledChain]] = {}
    for name, row in _by_subset(source, split):
        found = subsets.setdefault(name, [])
        if limit is None or len(found) < limit:
            try:
                found.append(from_processbench(row.values))
            except DataError as error:
                raise DataError(f"{row.where}: {error}") from error
    if not any(subsets.values()):
        raise DataError(f"{source}: expected ProcessBench rows, found none")
    return subsets


def _by_subset(source: str, split: str | None) -> Iterator[tuple[str, Row]]:
    path = Path(source).expanduser()
    if not path.exists():
        for name in SUBSETS if split is None else (split,):
            yield from ((name, row) for row in read_rows(source, name))
        return
    for file in data_files(path, split) if path.is_dir() else [path]:
        stem = file.name.split(".")[0]
        for row in read_rows(str(file)):
            yield str(row.values.get("subset") or row.values.get("source") or stem), row


def read_prmbench(source: str, limit: int | None = None, split: str | None = None) -> list[PRMBenchChain]:
    """PRMBench's chains and, once each, the untouched originals of its redundancy rows.

    Raises:
        DataError: a row is no PRMBench row; the message names file and row.
    """
    found: dict[str, PRMBenchChain] = {}
    for number, row in enumerate(read_rows(source, split)):
        if limit is not None and number >= limit:
            break
        try:
            for chain in _prmbench_row(row.values):
                found.setdefault(chain.id, chain)
        except DataError as error:
            raise DataError(f"{row.where}: {error}") from error
    if not found:
        raise DataError(f"{source}: expected PRMBench rows, found none")
    return list(found.values())


def _prmbench_row(row: dict[str, Any]) -> Iterator[PRMBenchChain]:
    steps, kind, index = (
        texts(row, "modified_process"),
        text(row, "classification"),
        optional_text(row, "idx"),
    )
    errors = column(row, "error_steps", list)
    if any(type(step) is not int or step < 1 for step in errors):
        raise DataError(f"error_steps: expected whole numbers that count from 1, found {errors!r}")
    if not index:
        raise DataError(f"idx: expected what names the row, found none in the columns {sorted(row)}")
    question = text(row, "modified_question")
    if kind == REDUNDANCY and "original_process" in row:
        original = tuple(texts(row, "original_process"))
        yield PRMBenchChain(
            f"correct_{index}", text(row, "original_question"), original, frozenset(), "correct"
        )
    wrong = frozenset(step - 1 for step in errors)
    yield PRMBenchChain(f"{kind}_{index}", question, tuple(steps), wrong, kind)


def read_candidates(source: str, limit: int | None = None, split: str | None = None) -> list[Candidate]:
    """Candidates, scored or not; at least one.

    Raises:
        DataError: there is none, or a row lacks what is needed; the message names file and row.
    """
    found = []
    for number, row in enumerate(read_rows(source, split)):
        if limit is not None and number >= limit:
            break
        try:
            found.append(_candidate(row.values))
        except DataError as error:
            raise DataError(f"{row.where}: {error}") from error
    if not found:
        raise DataError(f"{source}: expected candidates, found none")
    return found


def _candidate(row: dict[str, Any]) -> Candidate:
    question = text(row, "question" if "question" in row else "problem")
    scores = row.get("scores")
    if scores is not None and not (isinstance(scores, list) and all(type(s) in (float, int) for s in scores)):
        raise DataError(f"scores: expected a list of numbers, found {scores!r}")
    steps = tuple(texts(row, "steps")) if "steps" in row else ()
    if scores is None and not steps:
        raise DataError(f"expected `steps` to score or `scores`, found the columns {sorted(row)}")
    if row.get("correct") is None and row.get("reference") is None:
        raise DataError(f"expected `correct` (true, false) or `reference`, found the columns {sorted(row)}")
    if row.get("correct") is None and not row.get("answer") and not steps:
        raise DataError(f"expected `answer` or `steps` to judge, found the columns {sorted(row)}")
    correct = column(row, "correct", bool) if row.get("correct") is not None else None
    numbers = None if scores is None else tuple(map(float, scores))
    answer, reference = optional_text(row, "answer"), optional_text(row, "reference")
    return Candidate(question, steps or ("",) * len(numbers or ()), numbers, answer, correct, reference)
