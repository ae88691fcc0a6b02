"""The most uncertain labels for people to look at, and their answers back as evidence.

A row of `review.jsonl` is one chain. A reviewer fills in `answer` (0-based first wrong step, -1 for none)
and `reviewer`, and leaves the rest as it is.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import count
from typing import Any

from distill.errors import DataError
from distill.labelling.evidence import prefix_id
from distill.labelling.quality import describe_all
from distill.records import SURPRISAL, Chain, Event, EventKind, LabelledChain, Outcome, StepStatus
from distill.storage import Place, locate, move_file, write_bytes

UNANSWERED = {"answer": None, "reviewer": ""}
OPEN = 2.0  # an undetermined chain is more uncertain than any determined one


def uncertainty(row: LabelledChain) -> float:
    """How little the evidence carries the first error of a chain: 0 certain, above 1 undetermined.

    - Undetermined: 2 and the share of its steps that are undetermined.
    - Where the teacher's surprisal was weighed: the probability that the first error is another.
    - Without an error: the width of the 95% interval of the whole chain (its last prefix). Where nothing but
      the chain's own right answer speaks for it that is 1, the most: an error that does no harm to the
      answer hides there. (A proof of its steps is not seen here.)
    - With an error: the wider interval of the two prefixes that meet there, when they rest on rollouts.
    - Told by people: 0.
    """
    if row.first_error is None:
        return OPEN + sum(label.status == StepStatus.UNDETERMINED for label in row.labels) / len(row.labels)
    if any(label.review for label in row.labels):
        return 0.0
    if row.method == SURPRISAL:
        return 1.0 - _probability(row, row.first_error)
    if row.first_error < 0:
        return row.labels[-1].high - row.labels[-1].low
    sides = [row.labels[i] for i in (row.first_error - 1, row.first_error) if i >= 0]
    return max((x.high - x.low for x in sides if x.tokens and not x.refutation), default=0.0)


def _probability(row: LabelledChain, first_error: int) -> float:
    """Of this first error, from the probability that there is none up to each step."""
    none_before = (1.0, *(label.soft for label in row.labels))
    if first_error < 0:
        return none_before[-1]
    return none_before[first_error] - none_before[first_error + 1]


def review_rows(labelled: Sequence[LabelledChain], most: int) -> list[dict[str, Any]]:
    """The `most` most uncertain chains as JSON rows, the most uncertain first."""
    ranked = sorted(labelled, key=lambda row: (-uncertainty(row), row.chain.id))
    return [
        {
            "chain_id": row.chain.id,
            "question": row.problem.question,
            "reference": row.problem.reference,
            "steps": list(row.chain.steps),
            "evidence": describe_all(row),
            "first_error": row.first_error,
            "uncertainty": round(uncertainty(row), 4),
            **UNANSWERED,
        }
        for row in ranked[:most]
        if uncertainty(row) > 0
    ]


def write_review(folder: Place, rows: Sequence[Mapping[str, Any]]) -> Place | None:
    """Write `review.jsonl` of a run folder, unless one with these rows, or with answers to some of them, is
    there. Another that people have begun to fill in is moved to a free `review-N.jsonl` first, which is then
    returned."""
    place, kept = folder / "review.jsonl", None
    there = place.read_bytes().decode(errors="replace") if place.exists() else ""
    if _asks(there, rows):
        return None
    if _begun(there):
        kept = next(name for n in count(1) if not (name := folder / f"review-{n}.jsonl").exists())
        move_file(place, kept)
    write_bytes(place, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode())
    return kept


def _asks(text: str, rows: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the lines ask these rows: all of them, or those that somebody left while answering."""
    by_id = {row["chain_id"]: row for row in rows}
    asked = [_row(line) | UNANSWERED for line in text.splitlines() if line.strip()]
    own = all(by_id.get(str(row.get("chain_id"))) == row for row in asked)
    return own and bool(asked) and (len(asked) == len(rows) or _begun(text))


def _begun(text: str) -> bool:
    """Whether any line has an answer, or is no row of ours any more (somebody's edit)."""
    return any(_row(line).get("answer", "") is not None for line in text.splitlines() if line.strip())


def read_answers(
    path: str | Place, chains: Mapping[str, Chain], others: bool = False
) -> list[dict[str, Any]]:
    """The answered rows of a file, checked against the chains that they speak of.

    `others`: rows of chains that are not in `chains` are taken as they are (stored answers outlive the
    chains of one run); otherwise they are faults.

    Raises:
        DataError: the file cannot be read, or a row has no chain, reviewer or possible answer; every
            fault is told with its line.
    """
    try:
        lines = locate(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read {path}: {error}") from error
    rows = [(n, _row(line)) for n, line in enumerate(lines, start=1) if line.strip()]
    faults = [f"line {n}: {fault}" for n, row in rows if (fault := _fault(row, chains, others))]
    if faults:
        raise DataError(f"{path}: nothing was taken from it.\n" + "\n".join(faults))
    return [row for _, row in rows if row["answer"] is not None]


def _row(line: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except json.JSONDecodeError:
        return {}
    return row if isinstance(row, dict) else {}


def _fault(row: Mapping[str, Any], chains: Mapping[str, Chain], others: bool) -> str:
    if "chain_id" not in row or "answer" not in row:
        return "expected a JSON object with chain_id, answer and reviewer (a row of review.jsonl)"
    chain = chains.get(str(row["chain_id"]))
    if chain is None:
        return "" if others else f"expected a chain of this run, found chain_id {row['chain_id']!r}"
    answer, last = row["answer"], len(chain.steps) - 1
    if answer is None:
        return ""
    if type(answer) is not int or not -1 <= answer <= last:
        return f"expected answer -1 (no wrong step) or 0 to {last} (the first wrong step), found {answer!r}"
    return "" if str(row.get("reviewer", "")).strip() else "expected the reviewer's name beside an answer"


def review_events(rows: Iterable[Mapping[str, Any]], chains: Mapping[str, Chain]) -> list[Event]:
    """People's answers as evidence, with who, when and from which file in `detail`; rows of other chains
    are left out."""
    return [
        Event(
            chain_id=chain.id,
            prefix_id=prefix_id(chain.problem_id, chain.steps[: row["answer"] + 1]),
            step=row["answer"],
            kind=EventKind.REVIEW,
            outcome=Outcome.CORRECT if row["answer"] < 0 else Outcome.INCORRECT,
            detail=f"{row['reviewer']}, {row.get('imported', '')} from {row.get('file', '')}",
        )
        for row in rows
        if (chain := chains.get(str(row["chain_id"]))) is not None
    ]
