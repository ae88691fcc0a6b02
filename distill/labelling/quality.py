"""How right the labels are, where the exact first error is known."""

from collections.abc import Mapping, Sequence
from typing import Any

from distill.labelling.posterior import share
from distill.records import SURPRISAL, LabelledChain, StepLabel, StepStatus


def label_accuracy(labelled: Sequence[LabelledChain], truth: Mapping[str, int]) -> dict[str, Any]:
    """Accuracy of derived labels against the exact first error of each chain (0-based, -1 none).

    Every figure but the first is `{value, low, high, hits, n}`: a fraction with Wilson's 95% interval.
    An undetermined chain or step is left out of accuracy, precision and recall, and counted as coverage:

    - `first_error_accuracy`: the value of `first_error` as a plain number, None without chains;
    - `first_error`, `first_error_wrong`, `first_error_right`: exact match over all determined chains,
      over those that truly have an error, over those that have none;
    - `coverage`, `coverage_wrong`: chains (with an error) whose first error was determined;
    - `step_precision`, `step_recall`: of the steps called bad, how many are (at or after the true first
      error); of the determined steps that are bad, how many were called so; `step_coverage`: steps
      that were determined.

    Chains that are not in `truth` are counted in `without_truth` and otherwise ignored.
    """
    judged = [(item, truth[item.chain.id]) for item in labelled if item.chain.id in truth]
    found = [(item.first_error, true) for item, true in judged if item.first_error is not None]
    wrong = [true for _, true in judged if true >= 0]
    return {
        "chains": len(judged),
        "without_truth": len(labelled) - len(judged),
        "first_error_accuracy": _exact(found)["value"],
        "first_error": _exact(found),
        "first_error_wrong": _exact([pair for pair in found if pair[1] >= 0]),
        "first_error_right": _exact([pair for pair in found if pair[1] < 0]),
        "coverage": share(len(found), len(judged)),
        "coverage_wrong": share(sum(true >= 0 for _, true in found), len(wrong)),
        **_step_figures(judged),
    }


def _exact(pairs: Sequence[tuple[int, int]]) -> dict[str, Any]:
    return share(sum(called == true for called, true in pairs), len(pairs))


def _step_figures(judged: Sequence[tuple[LabelledChain, int]]) -> dict[str, Any]:
    """Precision and recall of "bad", over determined steps."""
    steps = [
        (label.status, true >= 0 and step >= true)
        for item, true in judged
        for step, label in enumerate(item.labels)
    ]
    determined = [
        (status == StepStatus.BAD, bad) for status, bad in steps if status != StepStatus.UNDETERMINED
    ]
    hits = sum(called and bad for called, bad in determined)
    return {
        "step_precision": share(hits, sum(called for called, _ in determined)),
        "step_recall": share(hits, sum(bad for _, bad in determined)),
        "step_coverage": share(len(determined), len(steps)),
    }


def describe_all(row: LabelledChain) -> list[str]:
    """The evidence behind each label of a chain in a few words."""
    return [describe(label, row.method == SURPRISAL) for label in row.labels]


def describe(label: StepLabel, weighed: bool = False) -> str:
    """The evidence behind one label in a few words; `weighed`: along with the teacher's surprisal."""
    trials = label.successes + label.failures
    parts = [f"{label.status}"]
    if weighed:
        parts.append(f"right up to here with probability {label.soft:.2f}")
    if trials:
        parts.append(f"{label.successes} of {trials} reach the answer [{label.low:.2f}, {label.high:.2f}]")
    if label.undecided:
        parts.append(f"{label.undecided} undecided")
    if label.refutation:
        parts.append(f"refuted: {label.refutation}")
    return "; ".join(parts)
