"""Readers of formats that we read but do not write: soft or flipped stepwise labels, RLHFlow, PRM800K,
and our own rows.

| format | columns | a step's label |
|---|---|---|
| stepwise | `prompt, completions, labels` | bool; a float is a soft label; 0 and 1 once `positive` is named |
| RLHFlow | `conversations` | the assistant's `+` or `-` after each step |
| PRM800K | `question{problem}, label{steps}` | `rating` 1 good, -1 bad, 0 neutral (undetermined) |
| prm-distill | `question, steps, labels` | 1 good, 0 bad, -100 undetermined; `soft, low, high` beside it |
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from distill.dataset.columns import column, optional_text, text, texts
from distill.dataset.formats import Row, labelled_chain, unnumbered
from distill.errors import DataError
from distill.records import SURPRISAL, LabelledChain, Outcome, StepLabel, StepStatus

Positive = Literal["correct", "wrong"]
UNFINISHED = "length"
"""The finish reason of a chain that came to no answer."""
UNDETERMINED = StepLabel(StepStatus.UNDETERMINED)
UNKNOWN = -100
_HARD = {1: StepLabel(StepStatus.GOOD), 0: StepLabel(StepStatus.BAD), UNKNOWN: UNDETERMINED}
_SIGNS = {"+": _HARD[1], "-": _HARD[0]}


def soft_label(value: float) -> StepLabel:
    """A label that is a probability that the step is correct. It stays one: `hard` follows from its side
    of 0.5 (undetermined at 0.5), and `soft`, `low` and `high` are the value itself."""
    status = StepStatus.GOOD if value > 0.5 else StepStatus.BAD if value < 0.5 else StepStatus.UNDETERMINED
    return StepLabel(status, soft=value, low=value, high=value)


def step_labels(values: Sequence[Any], positive: Positive | None) -> list[StepLabel]:
    """Labels of one chain from values that are all of one type; nothing is rounded.

    bool: true means `positive` (by default "correct"); float in 0..1: a soft label of `positive`; int 0
    or 1: only where `positive` says what 1 means, because sets of both polarities are about; with them -100
    is undetermined.

    Raises:
        DataError: mixed types, numbers outside their range, or ints without a polarity.
    """
    kinds = {type(value) for value in values}
    if kinds <= {bool} or (kinds <= {int} and positive and set(values) <= _HARD.keys()):
        flip = positive == "wrong"
        return [_HARD[value if value == UNKNOWN else int(value) ^ flip] for value in values]
    if kinds <= {float} and all(math.isfinite(value) and 0 <= value <= 1 for value in values):
        return [soft_label(1 - value if positive == "wrong" else value) for value in values]
    unnamed = kinds == {int} and not positive
    advice = "say what 1 means: `positive: correct` or `positive: wrong`" if unnamed else "convert them"
    raise DataError(
        "labels: expected bools, or floats from 0.0 to 1.0 (soft labels), all of one type, "
        f"found {list(values)[:8]!r}; {advice}"
    )


def from_stepwise(row: Mapping[str, Any], positive: Positive | None = None) -> LabelledChain:
    """TRL's stepwise columns with hard or soft labels."""
    steps, values = texts(row, "completions"), column(row, "labels", list)
    _same_length(steps, values, "completions", "labels")
    source = optional_text(row, "source") if isinstance(row.get("source"), str) else ""
    return labelled_chain(text(row, "prompt"), steps, step_labels(values, positive), source=source)


def from_own(row: Mapping[str, Any], positive: Positive | None = None) -> LabelledChain:
    """A row of our own dataset folder, with its soft labels and counts; or plain `question, steps,
    labels`, whose labels may be bools or floats too."""
    steps, values = texts(row, "steps"), column(row, "labels", list)
    _same_length(steps, values, "steps", "labels")
    ours = "soft" in row and "successes" in row
    if ours and any(value not in _HARD or type(value) is bool for value in values):
        raise DataError(f"labels: expected 1, 0 or -100, found {values[:8]!r}")
    labels = [_own_label(row, i, values[i]) for i in range(len(steps))] if ours else None
    outcome = optional_text(row, "outcome")
    made = labelled_chain(
        text(row, "question"),
        steps,
        labels if labels is not None else step_labels(values, positive),
        chain_id=optional_text(row, "chain_id"),
        generator=optional_text(row, "generator"),
        outcome=Outcome(outcome) if outcome in set(Outcome) else Outcome.UNDECIDED,
        source=optional_text(row, "source"),
        reference=optional_text(row, "reference"),
        domain=(optional_text(row, "domain") or "math") if ours else "math",
    )
    weighed = ours and optional_text(row, "method") == SURPRISAL
    return replace(made, method=SURPRISAL) if weighed else made  # says what `soft` is


def _own_label(row: Mapping[str, Any], step: int, value: int) -> StepLabel:
    names = ("successes", "failures", "undecided", "soft", "low", "high")
    try:
        fields = {name: row[name][step] for name in names}
    except (KeyError, IndexError, TypeError) as error:
        raise DataError(f"expected one value a step in {', '.join(names)}, found none at {error}") from error
    refutation, review = _said(row, "refutations", step), _said(row, "reviews", step)
    return StepLabel(_HARD[value].status, **fields, refutation=refutation, review=review)


def _said(row: Mapping[str, Any], name: str, step: int) -> str:
    """The text of a step in a column that older folders may lack."""
    found = row.get(name)
    return str(found[step] or "") if found else ""


def from_rlhflow(row: Mapping[str, Any], first_step: str = "Step 1:") -> LabelledChain:
    """RLHFlow's turns: question and first step, `+` or `-`, next step, `+` or `-`, ...

    `first_step` is the text that the first step begins with; what precedes it is the question.
    """
    turns = column(row, "conversations", list)
    roles = [turn.get("role") if isinstance(turn, dict) else None for turn in turns]
    if not turns or len(turns) % 2 or roles != ["user", "assistant"] * (len(turns) // 2):
        raise DataError(f"conversations: expected user and assistant in turn, found the roles {roles[:6]}")
    said = [text(turn, "content") for turn in turns]
    marks = [mark.strip() for mark in said[1::2]]
    if any(mark not in _SIGNS for mark in marks):
        raise DataError(f"conversations: expected '+' or '-' after each step, found {marks[:8]}")
    question, found, rest = said[0].partition(first_step)
    if not found:
        raise DataError(
            f"conversations: expected the first step to begin with {first_step!r}, found {said[0][:80]!r}; "
            "name the text that it begins with (`first_step`)"
        )
    steps = [unnumbered(step.strip(), i) for i, step in enumerate([found + rest, *said[2::2]])]
    return labelled_chain(question.strip(), steps, [_SIGNS[mark] for mark in marks])


def from_prm800k(row: Mapping[str, Any]) -> list[LabelledChain]:
    """PRM800K (arXiv 2305.20050): the chosen chain with all of its labels, and one chain an alternative
    that was not gone on from: its own rating after the ratings of the chosen steps before it, so that the
    first error of a rejected alternative is known.

    A neutral rating (0), a flagged completion and an unrated human one are undetermined. Only the chosen
    chain of a row that ended in a solution came to an answer: all others are marked as unfinished.
    """
    problem = column(row, "question", dict)
    label = column(row, "label", dict)
    question, steps = text(problem, "problem"), column(label, "steps", list)
    prefix: list[str] = []
    labels: list[StepLabel] = []
    chains: list[LabelledChain] = []
    reference = optional_text(problem, "ground_truth_answer")
    for step in steps:
        chosen, others = _completions(step)
        for other in others:
            own, marks = [*prefix, text(other, "text")], [*labels, _rated(other)]
            chains.append(labelled_chain(question, own, marks, reference=reference, finish_reason=UNFINISHED))
        if chosen is None:
            break
        prefix, labels = [*prefix, text(chosen, "text")], [*labels, _rated(chosen)]
    ended = "stop" if label.get("finish_reason") == "solution" else UNFINISHED
    main = labelled_chain(question, prefix, labels, reference=reference, finish_reason=ended)
    return [main, *chains] if prefix else chains


def _completions(step: Any) -> tuple[dict[str, Any] | None, list[dict[str, Any]]]:
    """The completion that the chain goes on with (None: it ends here), and the others."""
    found = column(step, "completions", list) if step.get("completions") is not None else []
    index, human = step.get("chosen_completion"), step.get("human_completion")
    if index is None:
        return human, found
    if type(index) is not int or not 0 <= index < len(found):
        raise DataError(f"chosen_completion: expected 0..{len(found) - 1} or null, found {index!r}")
    return found[index], [item for i, item in enumerate(found) if i != index]


def _rated(completion: Row) -> StepLabel:
    rating = completion.get("rating")
    if rating is not None and (type(rating) is not int or rating not in (-1, 0, 1)):
        raise DataError(f"rating: expected -1, 0, 1 or null, found {rating!r}")
    if not rating or completion.get("flagged"):
        return UNDETERMINED
    return _HARD[int(rating > 0)]


def _same_length(steps: Sequence[Any], values: Sequence[Any], name: str, other: str) -> None:
    if len(steps) != len(values):
        raise DataError(f"expected one of {other} a step of {name}, found {len(values)} for {len(steps)}")
