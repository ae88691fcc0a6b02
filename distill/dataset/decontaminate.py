"""Keep problems out of training that stand in evaluation files.

A problem is contaminated when its normalised text equals an evaluation problem's, or when the two share
a run of n words (n = 13 follows GPT-3, arXiv 2005.14165, appendix C). Only questions are compared. What
this does not catch: paraphrases, translations, changed numbers, and questions shorter than n words that
differ by a word. Word problems made from templates can share n words without being the same: the counts
by reason show it.
"""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distill.dataset.text import Gram, ngrams, normalise, words
from distill.errors import DataError

COLUMNS = ("question", "problem")


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The problems of one evaluation file, as they are compared."""

    path: str
    rows: int
    texts: frozenset[str]
    grams: frozenset[Gram]
    n: int

    def reason(self, question: str) -> str:
        """Why a question is contaminated: "exact", "ngram" or "" (it is not)."""
        if normalise(question) in self.texts:
            return "exact"
        return "" if self.grams.isdisjoint(ngrams(words(question), self.n)) else "ngram"


def read_evaluation(path: str, n: int) -> Evaluation:
    """Read a JSONL file (or one JSON list) whose rows hold `question` or `problem`.

    Raises:
        DataError: the file is missing, empty or no JSON, or a row lacks both columns; with its line.
    """
    questions = [_question(path, line, row) for line, row in _rows(path)]
    if not questions:
        raise DataError(
            f"{path}: expected evaluation problems, found none; take it out of dataset.decontaminate"
        )
    grams = frozenset().union(*(ngrams(words(question), n) for question in questions))
    return Evaluation(path, len(questions), frozenset(map(normalise, questions)), grams, n)


def contamination(
    questions: Sequence[str], files: Sequence[Evaluation]
) -> tuple[list[str], list[dict[str, Any]]]:
    """The reason for each question ("" clean; "exact" in any file goes before "ngram"), and one report a
    file: its `rows` and how many of the questions it hits, by reason. A question may hit several files."""
    found = [[file.reason(question) for question in questions] for file in files]
    reasons = (
        [min(filter(None, hits), default="") for hits in zip(*found)] if files else [""] * len(questions)
    )
    reports = [
        {"path": file.path, "rows": file.rows, "exact": counts["exact"], "ngram": counts["ngram"]}
        for file, counts in zip(files, map(Counter, found))
    ]
    return reasons, reports


def _rows(path: str) -> list[tuple[int, Any]]:
    """(1-based line or row, parsed row) of the file."""
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"{path}: expected a UTF-8 JSONL file of evaluation problems, found: {error}; "
            "correct the path in dataset.decontaminate"
        ) from error
    if text.lstrip().startswith("["):
        return list(enumerate(_parse(path, 1, text), start=1))
    lines = enumerate(text.split("\n"), start=1)
    return [(number, _parse(path, number, line)) for number, line in lines if line.strip()]


def _parse(path: str, line: int, text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(f"{path}, line {line}: expected JSON, found: {error}") from error


def _question(path: str, line: int, row: Any) -> str:
    found = next((row[name] for name in COLUMNS if name in row), None) if isinstance(row, dict) else None
    if isinstance(found, str):
        return found
    has = sorted(row) if isinstance(row, dict) else type(row).__name__
    raise DataError(
        f"{path}, row {line}: expected a text column {' or '.join(map(repr, COLUMNS))}, found {has}; "
        "rename the column that holds the question"
    )
