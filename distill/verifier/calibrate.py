"""Temperature and decision threshold, both fitted on validation data only."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar

from distill.first_error import FirstErrorF1, first_error_f1, predict_first_error
from distill.verifier.data import IGNORED, Example

LOG_TEMPERATURE_BOUNDS = (-3.0, 3.0)


@dataclass(frozen=True, slots=True)
class Calibration:
    """`P(step correct) = sigmoid(margin / temperature)`; wrong when it is below `threshold`."""

    temperature: float = 1.0
    threshold: float = 0.5

    def probabilities(self, margins: Sequence[float]) -> list[float]:
        """Raw margins (logit correct - logit wrong) of any number of steps -> probabilities."""
        return sigmoid(np.asarray(margins, dtype=np.float64) / self.temperature).tolist()


UNCALIBRATED = Calibration()


@dataclass(frozen=True, slots=True)
class CalibrationFit:
    """A calibration with what it was fitted on: mean NLL per labelled step before and after, and the
    first-error F1 at the threshold (on validation data, so optimistic)."""

    calibration: Calibration
    nll_before: float
    nll_after: float
    f1: FirstErrorF1
    steps: int
    chains: int


def sigmoid(margins: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x)) without overflow; -inf gives 0."""
    with np.errstate(over="ignore"):
        return np.exp(-np.logaddexp(0.0, -margins))


def negative_log_likelihood(margins: np.ndarray, labels: np.ndarray, temperature: float = 1.0) -> float:
    """Mean binary cross-entropy of margins [steps] against labels [steps] in {0, 1}."""
    scaled = margins / temperature
    return float(np.mean(np.logaddexp(0.0, np.where(labels == 1, -scaled, scaled)))) if len(margins) else 0.0


def fit_temperature(logits: Sequence[float], labels: Sequence[int]) -> float:
    """The temperature that minimises NLL (Guo et al., arXiv 1706.04599), between e^-3 and e^3.

    `logits` are margins, one a step, `labels` 1, 0, or -100 (left out). Without both kinds of label
    nothing can be fitted, and 1.0 is returned.
    """
    margins, truth = _labelled(logits, labels)
    if len(set(truth.tolist())) < 2:
        return 1.0
    found = minimize_scalar(
        lambda log_t: negative_log_likelihood(margins, truth, float(np.exp(log_t))),
        bounds=LOG_TEMPERATURE_BOUNDS,
        method="bounded",
    )
    return float(np.exp(found.x))


def fit_threshold(scores: Sequence[Sequence[float]], first_errors: Sequence[int | None]) -> float:
    """The threshold with the best first-error F1; of several, the middle of the widest plateau.

    A chain is predicted exactly for thresholds in an interval (low, high]: all steps before its first
    error at or above, the error itself below. F1 is therefore a step function of the threshold whose
    every value is tried, in O(C log C) time for C chains. Chains whose first error is unknown (None) are
    left out; without any chain the answer is 0.5.
    """
    known = [(chain, truth) for chain, truth in zip(scores, first_errors) if truth is not None and len(chain)]
    if not known:
        return 0.5
    low, high = map(np.array, zip(*(_exact_interval(chain, truth) for chain, truth in known)))
    erroneous = np.array([truth >= 0 for _, truth in known])
    ends = np.unique(np.concatenate([low, high, [0.0, 1.0]]).clip(0.0, 1.0))
    middles = (ends[:-1] + ends[1:]) / 2
    sides = [_share_exact(middles, low[at], high[at]) for at in (erroneous, ~erroneous) if at.any()]
    f1 = 2 * sides[0] * sides[1] / np.maximum(sides[0] + sides[1], 1e-12) if len(sides) > 1 else sides[0]
    best = np.flatnonzero(f1 >= f1.max() - 1e-12)
    return float(middles[best[np.argmax(np.diff(ends)[best])]])


def calibrate(margins: Sequence[Sequence[float]], validation: Sequence[Example]) -> CalibrationFit:
    """Temperature, then threshold, from the raw margins of the validation chains (one list a chain)."""
    logits = [margin for chain in margins for margin in chain]
    labels = [label for example in validation for label in example.labels]
    temperature = fit_temperature(logits, labels)
    scores = [Calibration(temperature).probabilities(chain) for chain in margins]
    truth = [example.first_error for example in validation]
    threshold = fit_threshold(scores, truth)
    flat, known = _labelled(logits, labels)
    return CalibrationFit(
        calibration=Calibration(temperature, threshold),
        nll_before=negative_log_likelihood(flat, known),
        nll_after=negative_log_likelihood(flat, known, temperature),
        f1=f1_at(scores, truth, threshold),
        steps=len(known),
        chains=sum(item is not None for item in truth),
    )


def f1_at(scores: Sequence[Sequence[float]], truth: Sequence[int | None], threshold: float) -> FirstErrorF1:
    """First-error F1 of scored chains at a threshold, over the chains whose truth is known."""
    pairs = [(predict_first_error(s, threshold), t) for s, t in zip(scores, truth) if t is not None]
    return first_error_f1([p for p, _ in pairs], [t for _, t in pairs])


def _labelled(logits: Sequence[float], labels: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Finite margins with a 0/1 label, as arrays."""
    margins, truth = np.asarray(logits, dtype=np.float64), np.asarray(labels, dtype=int)
    keep = (truth != IGNORED) & np.isfinite(margins)
    return margins[keep], truth[keep]


def _exact_interval(chain: Sequence[float], truth: int) -> tuple[float, float]:
    """(low, high]: the thresholds at which this chain's first error is predicted exactly."""
    before = chain[:truth] if truth >= 0 else chain
    return (chain[truth] if truth >= 0 else -np.inf), min(before, default=np.inf)


def _share_exact(thresholds: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Share of the intervals (low, high], [chains] each, that hold each of the sorted thresholds: a chain
    counts from the first threshold above its `low` until the first above its `high`."""
    begin = np.searchsorted(thresholds, low, side="right")
    end = np.maximum(begin, np.searchsorted(thresholds, high, side="right"))
    size = len(thresholds) + 1
    begun, ended = np.bincount(begin, minlength=size), np.bincount(end, minlength=size)
    return np.cumsum(begun - ended)[:-1] / len(low)
