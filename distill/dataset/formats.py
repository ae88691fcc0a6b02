"""Labelled chains to and from the rows of the field's datasets.

| format | a step's label | what it cannot express |
|---|---|---|
| TRL stepwise | `labels`: bool, true is correct | an undetermined step: the chain ends before it |
| Math-Shepherd | `+` correct, `-` wrong, in place of the tag | the same; a text that holds the tag itself |
| ProcessBench | `label`: 0-based first error, -1 none | a first error or a final answer that is open |

Outer white space of questions and steps is stripped on the way out. Readers are strict: a label of
another type (0.9, 1, "true") raises and is never converted. What comes back holds what the row holds:
question, steps and hard labels, without counts.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from distill.dataset.columns import column, optional_text, text, texts
from distill.errors import DataError
from distill.records import Chain, LabelledChain, Outcome, Problem, StepLabel, StepStatus, content_id
from distill.steps import strip_step

Row = dict[str, Any]

TAG = "ки"
TASK = "prm-distill"
_TAG_WORD = re.compile(rf"(?:^|\s){TAG}(?:\s|$)")
_FIRST_STEP = " Step 1: "
_STATUS = {True: StepStatus.GOOD, False: StepStatus.BAD}


@dataclass(frozen=True, slots=True)
class Export:
    """Rows of one format, and the chains (by reason) and steps that it could not express."""

    rows: list[Row]
    skipped_chains: dict[str, int]
    cut_steps: int


class _Inexpressible(Exception):
    """This chain has no row in this format; the message is the reason."""


def to_trl(item: LabelledChain) -> Row:
    """TRL's stepwise row: `prompt`, `completions` (one text a step), `labels` (one bool a step).

    Raises:
        DataError: the first step is undetermined, so nothing can be expressed.
    """
    return _row_or_raise(_trl_row, item)


def from_trl(row: Mapping[str, Any]) -> LabelledChain:
    """The labelled chain of a TRL stepwise row.

    Raises:
        DataError: a column is missing, or of another type or length.
    """
    prompt, steps = text(row, "prompt"), texts(row, "completions")
    labels = column(row, "labels", list)
    if any(type(label) is not bool for label in labels) or len(labels) != len(steps):
        raise DataError(
            f"labels: expected one bool a completion ({len(steps)}), found {labels!r}; "
            "say which values mean correct (for example label >= 0.5) before loading"
        )
    return labelled_chain(prompt, steps, [StepLabel(_STATUS[good]) for good in labels])


def to_math_shepherd(item: LabelledChain) -> Row:
    """Math-Shepherd's row (arXiv 2312.08935): `input` is the question and the numbered steps, each ending
    in the tag; `label` the same text with `+` or `-` in place of the tag.

    Steps are numbered "Step 1: ", as in the published data, unless they are already.

    Raises:
        DataError: the first step is undetermined, a text holds the tag, or the question "Step 1: ".
    """
    return _row_or_raise(_math_shepherd_row, item)


def from_math_shepherd(row: Mapping[str, Any]) -> LabelledChain:
    """The labelled chain of a Math-Shepherd row, without the steps' numbers.

    Raises:
        DataError: a column is missing, a step lacks its tag or mark, or the two texts differ elsewhere.
    """
    tagged, marked = text(row, "input").rstrip(), text(row, "label").rstrip()
    if not tagged.endswith(f" {TAG}") or _FIRST_STEP not in tagged:
        raise DataError(
            f"input: expected a question, then 'Step 1: ' and steps that each end in ' {TAG}', "
            f"found {tagged[:60]!r} ... {tagged[-20:]!r}"
        )
    bodies = tagged.removesuffix(f" {TAG}").split(f" {TAG}\n")
    labels = _marks(bodies, marked)
    question, _, first = bodies[0].partition(_FIRST_STEP)
    steps = [f"Step 1: {first}", *bodies[1:]]
    bare = [unnumbered(step, i) for i, step in enumerate(steps)]
    marks = [StepLabel(_STATUS[good]) for good in labels]
    return labelled_chain(question, bare, marks, source=optional_text(row, "task"))


def to_processbench(item: LabelledChain) -> Row:
    """ProcessBench's row (arXiv 2412.06559): `id, generator, problem, steps, final_answer_correct, label`.

    Raises:
        DataError: the first error or the chain's outcome is undetermined.
    """
    return _row_or_raise(_processbench_row, item)


def from_processbench(row: Mapping[str, Any]) -> LabelledChain:
    """The labelled chain of a ProcessBench row; steps at and after the first error are bad.

    Sets made in its style may lack `id`, `generator` and `final_answer_correct` (or have null there),
    call the problem `question`, and name a `source`.

    Raises:
        DataError: a column is missing or of another type, or `label` lies beyond the steps.
    """
    steps, label = texts(row, "steps"), column(row, "label", int)
    known = row.get("final_answer_correct") is not None
    right = column(row, "final_answer_correct", bool) if known else None
    if not -1 <= label < len(steps):
        raise DataError(f"label: expected the 0-based first error in -1..{len(steps) - 1}, found {label}")
    labels = [label < 0 or step < label for step in range(len(steps))]
    return labelled_chain(
        text(row, "question" if "problem" not in row and "question" in row else "problem"),
        steps,
        [StepLabel(_STATUS[good]) for good in labels],
        chain_id=optional_text(row, "id"),
        generator=optional_text(row, "generator"),
        outcome=Outcome.UNDECIDED if right is None else Outcome.CORRECT if right else Outcome.INCORRECT,
        source=optional_text(row, "source"),
    )


def export(labelled: Sequence[LabelledChain], name: str) -> Export:
    """Every chain that format `name` (a key of FORMATS) can express, and counts of the rest.

    Raises:
        DataError: no such format.
    """
    if name not in FORMATS:
        raise DataError(f"expected a format out of {sorted(FORMATS)}, found {name!r}")
    rows: list[Row] = []
    skipped: dict[str, int] = {}
    cut = 0
    for item in labelled:
        try:
            rows.append(FORMATS[name](item))
        except _Inexpressible as reason:
            skipped[str(reason)] = skipped.get(str(reason), 0) + 1
        else:
            cut += 0 if name == "processbench" else len(item.labels) - len(_determined(item))
    return Export(rows, skipped, cut)


def _trl_row(item: LabelledChain) -> Row:
    labels = _determined(item)
    steps = _stripped(item)[: len(labels)]
    return {"prompt": item.problem.question.strip(), "completions": steps, "labels": labels}


def _math_shepherd_row(item: LabelledChain) -> Row:
    labels = _determined(item)
    question = item.problem.question.strip()
    steps = [_numbered(step, i) for i, step in enumerate(_stripped(item)[: len(labels)])]
    head = f"{question} {steps[0]}"
    if head.partition(_FIRST_STEP)[0] != question or any(map(_TAG_WORD.search, (question, *steps))):
        raise _Inexpressible("text_holds_tag")

    def joined(marks: Sequence[str]) -> str:
        return "\n".join(f"{text} {mark}" for text, mark in zip([head, *steps[1:]], marks))

    signs = ["+" if label else "-" for label in labels]
    return {"input": joined([TAG] * len(steps)), "label": joined(signs), "task": item.problem.source or TASK}


def _processbench_row(item: LabelledChain) -> Row:
    if item.first_error is None:
        raise _Inexpressible("first_error_undetermined")
    if item.chain.outcome == Outcome.UNDECIDED:
        raise _Inexpressible("outcome_undecided")
    return {
        "id": item.chain.id,
        "generator": item.chain.generator,
        "problem": item.problem.question.strip(),
        "steps": _stripped(item),
        "final_answer_correct": item.chain.outcome == Outcome.CORRECT,
        "label": item.first_error,
    }


FORMATS: dict[str, Callable[[LabelledChain], Row]] = {
    "trl_stepwise": _trl_row,
    "math_shepherd": _math_shepherd_row,
    "processbench": _processbench_row,
}


def _row_or_raise(make: Callable[[LabelledChain], Row], item: LabelledChain) -> Row:
    try:
        return make(item)
    except _Inexpressible as reason:
        raise DataError(
            f"chain {item.chain.id}: this format cannot express it ({reason}); `export` leaves such chains "
            "out and counts them"
        ) from None


def _determined(item: LabelledChain) -> list[bool]:
    """Labels up to the first undetermined step."""
    labels: list[bool] = []
    for label in item.labels:
        if label.hard is None:
            break
        labels.append(bool(label.hard))
    if not labels:
        raise _Inexpressible("first_step_undetermined")
    return labels


def _stripped(item: LabelledChain) -> list[str]:
    return [strip_step(step) for step in item.chain.steps]


def _numbered(step: str, index: int) -> str:
    number = f"Step {index + 1}: "
    return step if step.startswith(number) else number + step


def unnumbered(step: str, index: int) -> str:
    number = f"Step {index + 1}: "
    while step.startswith(number):
        step = step.removeprefix(number)
    return step


def _marks(bodies: Sequence[str], marked: str) -> list[bool]:
    """The mark after each body in the label text, true for `+`."""
    labels, at = [], 0
    for index, body in enumerate(bodies):
        end = at + len(body) + 2
        tail = "" if index == len(bodies) - 1 else "\n"
        found = marked[at : end + len(tail)]
        if found not in (f"{body} +{tail}", f"{body} -{tail}"):
            raise DataError(
                f"label, step {index + 1}: expected {body[-30:]!r} and then ' +' or ' -', "
                f"found {found[-33:]!r}"
            )
        labels.append(found[len(body) + 1] == "+")
        at = end + len(tail)
    if marked[at:]:
        raise DataError(
            f"label: expected the text to end after step {len(bodies)}, found {marked[at:][:30]!r}"
        )
    return labels


def labelled_chain(
    question: str,
    steps: Sequence[str],
    labels: Sequence[StepLabel],
    chain_id: str = "",
    generator: str = "",
    outcome: Outcome = Outcome.UNDECIDED,
    source: str = "",
    reference: str = "",
    domain: str = "math",
    finish_reason: str = "stop",
) -> LabelledChain:
    """An imported chain. Its problem is known by its question alone, so that two sources share it."""
    problem = Problem(content_id("problem", question), question, reference, domain, source)
    chain = Chain(
        id=chain_id or content_id("chain", question, list(steps)),
        problem_id=problem.id,
        steps=tuple(steps),
        outcome=outcome,
        generator=generator,
        finish_reason=finish_reason,
    )
    return LabelledChain(problem, chain, tuple(labels), first_error_of(labels), method="imported")


def first_error_of(labels: Sequence[StepLabel]) -> int | None:
    """0-based first bad step when every step before it is good, -1 when all are, None otherwise."""
    for index, label in enumerate(labels):
        if label.hard != 1:
            return index if label.hard == 0 else None
    return -1
