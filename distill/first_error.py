"""From step scores to the first wrong step, and how well that step was found.

A foundation that training (early stop), calibration (threshold) and evaluation share.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from distill.errors import DataError

NO_ERROR = -1
"""The first error of a chain that has none."""


@dataclass(frozen=True, slots=True)
class FirstErrorF1:
    """ProcessBench's figures, as fractions 0 to 1. A side that holds no chain has accuracy 0, so that F1
    never flatters a one-sided sample."""

    f1: float
    accuracy_erroneous: float
    accuracy_correct: float
    n_erroneous: int
    n_correct: int


def predict_first_error(scores: Sequence[float], threshold: float) -> int:
    """0-based index of the first step whose score lies below `threshold`; -1 when none does.

    A score that equals the threshold passes, and so does nan: a step that nobody could score is not
    called wrong.
    """
    return next((index for index, score in enumerate(scores) if score < threshold), NO_ERROR)


def first_error_f1(predicted: Sequence[int], truth: Sequence[int | None]) -> FirstErrorF1:
    """ProcessBench's F1 (arXiv 2412.06559, section 3): the harmonic mean of the exact-match accuracy on
    erroneous chains and the accuracy on correct chains.

    Args: one predicted and one true first error a chain (0-based, -1 for none). A chain whose truth
    is None is not judged. Raises: DataError when the two differ in length.
    """
    if len(predicted) != len(truth):
        raise DataError(
            f"first_error_f1: expected one prediction a chain, found {len(predicted)} predictions for "
            f"{len(truth)} chains; score the same chains that the truth was taken from"
        )
    erroneous = [p == t for p, t in zip(predicted, truth) if t is not None and t != -1]
    correct = [p == t for p, t in zip(predicted, truth) if t == -1]
    accuracy_erroneous, accuracy_correct = _mean(erroneous), _mean(correct)
    return FirstErrorF1(
        f1=harmonic_mean(accuracy_erroneous, accuracy_correct),
        accuracy_erroneous=accuracy_erroneous,
        accuracy_correct=accuracy_correct,
        n_erroneous=len(erroneous),
        n_correct=len(correct),
    )


def harmonic_mean(first: float, second: float) -> float:
    """2ab / (a + b); 0 when both are 0."""
    return 2 * first * second / (first + second) if first + second else 0.0


def _mean(hits: Sequence[bool]) -> float:
    return sum(hits) / len(hits) if hits else 0.0
