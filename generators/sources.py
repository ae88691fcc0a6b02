"""Problems for a run: from the exact world, from a file, or from a hub dataset.

The two parts of a run, `label` and `heldout`, never share a problem. In a file or hub dataset every
problem is placed by a hash of its text and the seed: the lowest hashes are held out, the next ones are
labelled. So the parts do not depend on the order of the rows, and asking for more problems to label
never moves a held-out one.
"""

import logging
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from distill.config import ProblemSettings
from distill.errors import DataError
from distill.records import Problem, content_id, derived_seed
from generators.logic_files import CONTEXT, OPTIONS, logic_problem
from generators.tables import Row, read_file, read_hub
from generators.truth import world

_log = logging.getLogger(__name__)

Part = Literal["label", "heldout"]
_WORLD_SPLITS: dict[Part, Literal["distil", "test"]] = {"label": "distil", "heldout": "test"}
_WORLD_TRIES = 20
_ROWS_NAMED = 10


def load_problems(settings: ProblemSettings, seed: int, part: Part) -> list[Problem]:
    """Exactly `count` problems to label, or `heldout` problems to evaluate on, without duplicates.

    A function of (settings, seed, part). A reference is kept as it is written, so that its checker can
    read forms such as `... #### 18`; in the domain `logic` it is True, False or Unknown
    (`generators.logic_files`).

    Raises:
        DataError: the data cannot be read, lacks a column, has rows without a question or reference, or
            holds too few problems.
    """
    if settings.source == "world":
        return _world_problems(settings, seed, part)
    path = settings.path or ""
    rows = read_file(path) if settings.source == "file" else read_hub(path, settings.split)
    found = _code_problems(rows, settings) if settings.domain == "code" else _problems(rows, settings)
    problems = _distinct(found, path)
    return _part(problems, settings, seed, part)


def normalised(question: str) -> str:
    """The form in which two questions count as the same: NFKC, no case, single spaces."""
    return " ".join(unicodedata.normalize("NFKC", question).casefold().split())


def _world_problems(settings: ProblemSettings, seed: int, part: Part) -> list[Problem]:
    worlds = [world(f"{name}-world") for name in settings.worlds]
    wanted = settings.count if part == "label" else settings.heldout
    found: dict[str, Problem] = {}
    for number in range(wanted * _WORLD_TRIES):
        if len(found) == wanted:
            break
        source = worlds[number % len(worlds)]
        problem = source.sample_problem(derived_seed(seed, part, number), _WORLD_SPLITS[part])
        found.setdefault(normalised(problem.question), problem)
    if len(found) < wanted:
        raise DataError(
            f"expected {wanted} different problems for the part '{part}', found {len(found)} in the world "
            f"after {wanted * _WORLD_TRIES} draws. Ask for fewer problems."
        )
    return list(found.values())


def _problems(rows: Sequence[Row], settings: ProblemSettings) -> Iterator[tuple[int, Problem]]:
    """Row numbers (from 1) and problems, after all rows were seen to have what they need."""
    if not rows:
        raise DataError(f"expected problems in '{settings.path}', found no rows")
    _check_columns(rows, settings)
    for field in settings.columns:
        _check_filled(rows, settings, field)
    make = _logic_problem if settings.domain == "logic" else _problem
    for row in rows:
        try:
            yield row.number, make(row.values, settings)
        except ValueError as fault:
            raise DataError(f"row {row.number} of '{settings.path}': {fault}") from fault


def _code_problems(rows: Sequence[Row], settings: ProblemSettings) -> Iterator[tuple[int, Problem]]:
    """Programming tasks in the shapes of `generators.code_files`, which know their own columns; rows without
    tests are dropped, and their number is logged."""
    from generators.code_files import code_problem

    if not rows:
        raise DataError(f"expected problems in '{settings.path}', found no rows")
    dropped = 0
    for row in rows:
        try:
            problem = code_problem(row.values, f"{settings.source}:{settings.path}")
        except DataError as error:
            raise DataError(f"row {row.number} of '{settings.path}': {error}") from None
        if problem is not None:
            yield row.number, problem
        dropped += problem is None
    if dropped == len(rows):
        raise DataError(
            f"expected programming tasks with tests in '{settings.path}', found {dropped} without"
        )
    if dropped:
        _log.warning("%s: dropped %d rows whose tests are empty", settings.path, dropped)


def _check_columns(rows: Iterable[Row], settings: ProblemSettings) -> None:
    """Every mapped column exists somewhere."""
    present = {name: None for row in rows for name in row.values}
    wanted: list[tuple[str, str]] = [*settings.columns.items()]
    if settings.domain == "logic":
        wanted.append(("facts and rules", CONTEXT))
    absent = [f"{name} (for {field})" for field, name in wanted if name not in present]
    if absent:
        raise DataError(
            f"expected column {', '.join(absent)} in '{settings.path}', found {', '.join(present)}. "
            "Set problems.columns in the recipe, for example columns: {question: problem, reference: answer}."
        )


def _check_filled(rows: Sequence[Row], settings: ProblemSettings, field: str) -> None:
    column = settings.columns[field]  # type: ignore[index]
    empty = [row.number for row in rows if not _text(row.values.get(column)).strip()]
    if empty:
        named = ", ".join(str(number) for number in empty[:_ROWS_NAMED])
        more = f" and {len(empty) - _ROWS_NAMED} more" if len(empty) > _ROWS_NAMED else ""
        raise DataError(
            f"expected a {field} in column '{column}' of every row of '{settings.path}', found it missing or "
            f"empty in {len(empty)} of {len(rows)} rows: {named}{more}. Fill or remove these rows."
        )


def _problem(values: Mapping[str, Any], settings: ProblemSettings) -> Problem:
    columns = settings.columns
    question, reference = _text(values[columns["question"]]), _text(values[columns["reference"]])
    own_id = _text(values[columns["id"]]) if "id" in columns else ""
    return Problem(
        id=own_id or content_id("problem", settings.domain, question, reference),
        question=question,
        reference=reference,
        domain=settings.domain,
        source=f"{settings.source}:{settings.path}",
    )


def _logic_problem(values: Mapping[str, Any], settings: ProblemSettings) -> Problem:
    row = {name: values.get(name) for name in (CONTEXT, OPTIONS)}
    for field, column in settings.columns.items():
        row["answer" if field == "reference" else field] = _text(values[column])
    return replace(logic_problem(row), source=f"{settings.source}:{settings.path}")


def _text(value: Any) -> str:
    """A cell as text; numbers as they were written (`generators.tables`), nothing as ""."""
    return "" if value is None else str(value)


def _distinct(problems: Iterable[tuple[int, Problem]], path: str) -> list[Problem]:
    """The first of every set of problems with the same question; the number dropped is logged.

    Raises:
        DataError: different questions share an id.
    """
    by_text: dict[str, Problem] = {}
    rows_by_id: dict[str, int] = {}
    dropped = 0
    for number, problem in problems:
        if normalised(problem.question) in by_text:
            dropped += 1
            continue
        if problem.id in rows_by_id:
            raise DataError(
                f"expected every problem of '{path}' to have an id of its own, found '{problem.id}' in rows "
                f"{rows_by_id[problem.id]} and {number}. Make them unique or leave problems.columns.id out."
            )
        by_text[normalised(problem.question)] = problem
        rows_by_id[problem.id] = number
    if dropped:
        _log.warning("%s: dropped %d rows whose question is that of an earlier row", path, dropped)
    return list(by_text.values())


def _part(problems: list[Problem], settings: ProblemSettings, seed: int, part: Part) -> list[Problem]:
    """The held-out problems are those with the lowest hashes, the labelled ones come next."""
    wanted = settings.heldout + settings.count
    if len(problems) < wanted:
        raise DataError(
            f"expected at least {wanted} different problems in '{settings.path}' (heldout: "
            f"{settings.heldout} and count: {settings.count}), found {len(problems)}. "
            "Lower problems.count or problems.heldout."
        )
    ordered = sorted(problems, key=lambda p: content_id("part", seed, normalised(p.question)))
    return ordered[: settings.heldout] if part == "heldout" else ordered[settings.heldout : wanted]
