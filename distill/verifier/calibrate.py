"""Temperature and decision threshold, both fitted on validation data only."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar

from distill.first_error import FirstErrorF1, first_error_f1, predict_first_error
from distill.verifier.data import IGNORED, Example

LOG_TEMPERATURE_BOUNDS = (-3.0, 3.0)
RESAMPLES = 200
"""Thresholds behind the mean of a bagged one."""


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
    """The threshold with the best first-error F1, bagged: the mean logit over resamples of the chains.

    A chain is predicted exactly for thresholds in an interval (low, high]: all steps before its first
    error at or above, the error itself below. F1 is therefore a step function of the threshold, and a few
    hundred chains, some of them labelled wrongly, put its highest step where it happens to lie. The mean of
    many such places varies less (Breiman, Bagging Predictors, 1996). Every resample draws as many chains
    with an error, and as many without, as there are; every threshold between two scores is tried, and of
    several that are best the middle of the widest plateau is taken: O(C log C) once, then O(C) a resample.

    Chains whose first error is unknown (None) are left out; without any chain the answer is 0.5.
    """
    known = [(chain, truth) for chain, truth in zip(scores, first_errors) if truth is not None and len(chain)]
    if not known:
        return 0.5
    low, high = np.array([_exact_interval(chain, truth) for chain, truth in known]).T
    ends = np.unique(np.concatenate([low, high, [0.0, 1.0]]).clip(0.0, 1.0))
    middles, widths = (ends[:-1] + ends[1:]) / 2, np.diff(ends)
    erroneous = np.array([truth >= 0 for _, truth in known])
    sides = [_Side.of(middles, low[at], high[at]) for at in (erroneous, ~erroneous) if at.any()]
    rng, logits = np.random.default_rng(0), []
    for _ in range(RESAMPLES):
        shares = [side.resampled(rng) for side in sides]
        f1 = 2 * shares[0] * shares[-1] / np.maximum(shares[0] + shares[-1], 1e-12)
        best = np.flatnonzero(f1 >= f1.max() - 1e-12)
        middle = middles[best[np.argmax(widths[best])]]
        logits.append(np.log(middle) - np.log1p(-middle))
    return float(sigmoid(np.mean(logits)))


@dataclass(frozen=True, slots=True)
class _Side:
    """The chains with an error, or those without: between which two of the sorted `thresholds` the interval
    of each begins and ends, as [chains] of indices."""

    begin_C: np.ndarray
    end_C: np.ndarray
    thresholds: int

    @classmethod
    def of(cls, thresholds: np.ndarray, low_C: np.ndarray, high_C: np.ndarray) -> "_Side":
        """A chain counts from the first threshold above its `low` until the first above its `high`."""
        begin_C = np.searchsorted(thresholds, low_C, side="right")
        return cls(
            begin_C, np.maximum(begin_C, np.searchsorted(thresholds, high_C, side="right")), len(thresholds)
        )

    def resampled(self, rng: np.random.Generator) -> np.ndarray:
        """Share of as many chains, drawn with replacement, that each threshold predicts exactly."""
        drawn = rng.integers(0, len(self.begin_C), len(self.begin_C))
        size = self.thresholds + 1
        begun, ended = (np.bincount(at[drawn], minlength=size) for at in (self.begin_C, self.end_C))
        return np.cumsum(begun - ended)[:-1] / len(drawn)


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
