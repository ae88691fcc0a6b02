"""The first wrong step that a chain's scores imply, and ProcessBench's F1 over such predictions."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

NO_ERROR = -1


@dataclass(frozen=True, slots=True)
class FirstErrorF1:
    """ProcessBench's figures (arXiv 2412.06559, section 3.3), fractions of 1.

    `accuracy_erroneous`: share of chains with an error whose first wrong step was named exactly;
    `accuracy_correct`: share of chains without one that were let pass; `f1`: their harmonic mean.
    A side that holds no chain has accuracy 0, so that the F1 never flatters a one-sided sample.
    """

    f1: float
    accuracy_erroneous: float
    accuracy_correct: float
    n_erroneous: int
    n_correct: int


def predict_first_error(scores: Sequence[float], threshold: float) -> int:
    """0-based index of the first step whose P(correct) is below `threshold`, -1 when none is."""
    return next((index for index, score in enumerate(scores) if score < threshold), NO_ERROR)


def harmonic_mean(first: float, second: float) -> float:
    """2ab / (a + b), and 0 when both are 0."""
    return 2 * first * second / (first + second) if first + second else 0.0


def first_error_f1(predicted: Sequence[int], truth: Sequence[int]) -> FirstErrorF1:
    """F1 of predicted against true 0-based first errors (-1: none), one of each a chain.

    Raises:
        ValueError: the two sequences differ in length.
    """
    if len(predicted) != len(truth):
        raise ValueError(f"expected one prediction a chain, found {len(predicted)} for {len(truth)} chains")
    found, real = np.asarray(predicted, dtype=int), np.asarray(truth, dtype=int)
    hits, erroneous = found == real, real != NO_ERROR
    n_erroneous = int(erroneous.sum())
    n_correct = len(real) - n_erroneous
    on_erroneous = float(hits[erroneous].mean()) if n_erroneous else 0.0
    on_correct = float(hits[~erroneous].mean()) if n_correct else 0.0
    return FirstErrorF1(
        harmonic_mean(on_erroneous, on_correct), on_erroneous, on_correct, n_erroneous, n_correct
    )
