"""Paired cluster bootstrap: problems are resampled, with all of their chains, for every figure at once.

Chains of one problem share its difficulty, so that resampling chains would give intervals that are
too narrow. Every scorer and every figure sees the *same* resamples: a difference between two scorers
is the difference within each resample (Efron & Tibshirani 1993, chapters 8 and 13).

Shapes: R = 1 + number of resamples (row 0 is the sample itself), P = problems.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LEVEL = 0.95


def resampling_weights_RP(n_problems: int, n_resamples: int, seed: int) -> Floats:
    """How often each problem counts: row 0 once each, row 1.. drawn with replacement. [R, P]"""
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(n_problems, np.full(n_problems, 1 / n_problems), size=n_resamples)
    return np.vstack([np.ones(n_problems), drawn]).astype(np.float64)


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure on the sample (`values_R[0]`) and on every resample (the rest); nan where undefined."""

    values_R: Floats

    @property
    def value(self) -> float:
        """The figure on the sample itself."""
        return float(self.values_R[0])

    def __sub__(self, other: "Estimate") -> "Estimate":
        return Estimate(self.values_R - other.values_R)

    def recentred(self, floor: float) -> "Estimate":
        """Resamples shifted to lie around the sample's value, and cut at `floor`.

        For figures that resampling itself inflates, such as ECE, where each bin's gap gains noise.
        """
        resamples = self.values_R[1:]
        if not np.isfinite(self.value) or not np.isfinite(resamples).any():
            return self
        shifted = np.maximum(resamples - np.nanmean(resamples) + self.value, floor)
        return Estimate(np.concatenate([self.values_R[:1], shifted]))

    def to_json(self, **counts: int) -> dict[str, Any] | None:
        """`{"value", "low", "high", **counts}` with the 95% percentile interval; None when undefined.

        The bounds are left out when more than half of the resamples are undefined.
        """
        if not math.isfinite(self.value):
            return None
        found: dict[str, Any] = {"value": round(self.value, 6)}
        defined = self.values_R[1:][np.isfinite(self.values_R[1:])]
        if len(defined) * 2 > len(self.values_R) - 1:
            low, high = np.quantile(defined, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
            found |= {"low": round(float(low), 6), "high": round(float(high), 6)}
        return found | counts


def ratio(numerator: Floats, denominator: Floats) -> Floats:
    """Element-wise quotient; nan where the denominator is 0."""
    return np.divide(numerator, denominator, out=np.full_like(numerator, np.nan), where=denominator != 0)


def weighted_mean(weights_RP: Floats, sums_P: Floats, counts_P: Floats) -> Floats:
    """Mean of items, of which problem p has `counts_P` that add up to `sums_P`. [R]"""
    return ratio(weights_RP @ sums_P, weights_RP @ counts_P)


def sums_by_problem(values: NDArray[Any], problem: Ints, n_problems: int) -> Floats:
    """Sum of `values` over the items of each problem. [P]"""
    sums = np.bincount(problem, weights=values.astype(np.float64), minlength=n_problems)
    return sums.astype(np.float64)
