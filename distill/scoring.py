"""`distill score`: chains in, step scores out, a line at a time."""

import json
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import checkers
from distill.domains import judged, step_check
from distill.errors import DataError, VerifierError
from distill.first_error import predict_first_error
from distill.steps import split_steps, strip_step
from distill.verifier import Verifier, hybrid_scores

BATCH = 256

Row = dict[str, Any]


def score_lines(folder: Path, lines: Iterable[str], checks: bool = True) -> Iterator[Row]:
    """Each JSONL row with `scores` (P(step correct)), `first_error` (0-based, -1 none) and, with
    `checks`, `refuted` (what an exact check says against a step, else "").

    A row has `question` (or `problem`) and `steps` (a list, or one text that is split at newlines). Its
    `domain` (math, logic, code) says which checks; without one it is the verifier's own.

    Raises:
        DataError: a line is no such row; the message names it.
        VerifierError: the folder holds no verifier, or none fitted for checks.
    """
    verifier = Verifier.from_pretrained(folder)
    package = verifier.package
    if checks and (package is None or package.hybrid is None):
        raise VerifierError(f"{folder} was exported without a hybrid scorer; use --no-checks")
    numbered = ((i, line) for i, line in enumerate(lines, 1) if line.strip())
    with checkers.Pool(workers=1) as pool:
        while batch := [_parse(i, line) for i, line in islice(numbered, BATCH)]:
            texts = [(question, steps) for _, question, steps in batch]
            scores, threshold = verifier.score(texts), verifier.threshold
            refuted = [[""] * len(steps) for _, steps in texts]
            if checks and package and package.hybrid:
                domains = [str(row.get("domain", package.domain)) for row, _, _ in batch]
                verdicts = judged(pool, [step_check(d, q, s) for d, (q, s) in zip(domains, texts)])
                statuses = [[v.status.value for v in chain] for chain in verdicts]
                scores, threshold = hybrid_scores(package.hybrid, scores, statuses), package.hybrid.threshold
                refuted = [[_refutation(v) for v in chain] for chain in verdicts]
            for (row, _, steps), chain, against in zip(batch, scores, refuted, strict=True):
                found = {"scores": [round(s, 4) for s in chain], "steps": steps}
                found |= {"first_error": predict_first_error(chain, threshold), "threshold": threshold}
                yield row | found | ({"refuted": against} if checks else {})


def _refutation(verdict: checkers.Verdict) -> str:
    return verdict.reason if verdict.status == checkers.Status.INCORRECT else ""


def _parse(number: int, line: str) -> tuple[Row, str, list[str]]:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise DataError(f"line {number}: expected a JSON object, found {line[:60]!r} ({error})") from error
    if not isinstance(row, dict):
        raise DataError(f"line {number}: expected a JSON object, found {type(row).__name__}")
    question, steps = row.get("question", row.get("problem")), row.get("steps")
    if isinstance(steps, str):
        steps = [strip_step(step) for step in split_steps(steps, "newline") if step.strip()]
    if not isinstance(question, str) or not isinstance(steps, list) or not all(map(_is_text, steps)):
        raise DataError(
            f"line {number}: expected `question` (text) and `steps` (a list of texts, or one text), "
            f"found the keys {sorted(row)}"
        )
    return row, question, steps


def _is_text(value: Any) -> bool:
    return isinstance(value, str)
