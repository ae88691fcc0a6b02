"""One calibrated score from a model's step score and the exact step checks.

A logistic regression with three signed weights, fitted on validation labels (never on exact truth):
P(correct) = sigmoid(intercept + slope * signal + refuted * [check refutes] + confirmed * [check
confirms]). The signs are fixed (slope and confirmed at least 0, refuted at most 0), so that a refuted
step can never look better for it, however odd a small sample is.

The same fit serves the baselines: `checker + log-probability` (signal: step log-probability), a
calibrated log-probability (no statuses), and `checker alone` needs no fit at all.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy.optimize import minimize

from distill.errors import VerifierError
from distill.verifier.calibrate import fit_threshold, sigmoid
from distill.verifier.data import IGNORED, first_error_of

Signal = Literal["probability", "logprob"]
REFUTED, CONFIRMED = "incorrect", "correct"
RIDGE = 0.01
"""Total penalty on squared weights (signal in standard deviations): keeps a perfect predictor finite."""
CLIP = 1e-6
SIGNS = ((None, None), (0.0, None), (None, 0.0), (0.0, None))


@dataclass(frozen=True, slots=True)
class HybridParams:
    """Frozen, JSON-able parameters. `signal` says what the score was before: a probability (its logit
    is taken) or a log-probability (taken as it is). `threshold` is fitted for first-error F1."""

    signal: Signal
    intercept: float
    slope: float
    refuted: float
    confirmed: float
    threshold: float
    steps: int = 0


def fit_hybrid(
    scores: Sequence[Sequence[float]],
    check_statuses: Sequence[Sequence[str]] | None,
    labels: Sequence[Sequence[int]],
    signal: Signal = "probability",
) -> HybridParams:
    """Fit on validation chains: scores, statuses ("correct", "incorrect", "undecided") and labels
    (1, 0, -100 for unknown), each [chain][step]. `check_statuses` None: no checks at all.

    Raises:
        VerifierError: the labelled steps are not of both kinds, so there is nothing to fit.
    """
    statuses = check_statuses if check_statuses is not None else _undecided(scores)
    features, truth = _design(scores, statuses, signal), np.array([x for row in labels for x in row])
    keep = truth != IGNORED
    if len(set(truth[keep].tolist())) < 2:
        raise VerifierError(
            f"expected right and wrong steps to fit a scorer on, found {int(keep.sum())} labelled steps, all "
            "of one kind, in the validation chains; label more problems or raise dataset.validation_fraction"
        )
    intercept, slope, refuted, confirmed = _logistic(features[keep], truth[keep]).tolist()
    unfitted = HybridParams(signal, intercept, slope, refuted, confirmed, 0.5, int(keep.sum()))
    combined = hybrid_scores(unfitted, scores, statuses)
    threshold = fit_threshold(combined, [first_error_of(row) for row in labels])
    return replace(unfitted, threshold=threshold)


def hybrid_scores(
    params: HybridParams,
    scores: Sequence[Sequence[float]],
    check_statuses: Sequence[Sequence[str]] | None,
) -> list[list[float]]:
    """Combined P(step correct), [chain][step], from scores of the kind that `params` was fitted on."""
    statuses = check_statuses if check_statuses is not None else _undecided(scores)
    weights = np.array([params.intercept, params.slope, params.refuted, params.confirmed])
    flat = iter(sigmoid(_design(scores, statuses, params.signal) @ weights).tolist())
    return [[next(flat) for _ in row] for row in scores]


def checker_scores(check_statuses: Sequence[Sequence[str]]) -> list[list[float]]:
    """The exact checker alone: 0 for a refuted step, 1 for any other. Its threshold is 0.5."""
    return [[float(status != REFUTED) for status in row] for row in check_statuses]


def _design(
    scores: Sequence[Sequence[float]], statuses: Sequence[Sequence[str]], signal: Signal
) -> np.ndarray:
    """Feature rows [steps, 4]: 1, signal, refuted, confirmed."""
    if [len(row) for row in scores] != [len(row) for row in statuses]:
        raise VerifierError("expected one check status for each scored step, found chains of other lengths")
    flat = np.array([score for row in scores for score in row], dtype=np.float64)
    status = np.array([str(item) for row in statuses for item in row], dtype=object)
    columns = [np.ones_like(flat), _signal(flat, signal), status == REFUTED, status == CONFIRMED]
    return np.stack([column.astype(np.float64) for column in columns], axis=1)


def _signal(scores: np.ndarray, signal: Signal) -> np.ndarray:
    """What enters the regression, always finite: a step out of the model's sight is worst."""
    if signal == "logprob":
        return np.maximum(scores, -30.0)
    clipped = scores.clip(CLIP, 1 - CLIP)
    return np.log(clipped) - np.log1p(-clipped)


def _logistic(features: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Weights [4] of the sign-constrained, lightly ridged logistic regression."""
    scale = np.array([1.0, features[:, 1].std() or 1.0, 1.0, 1.0])
    design, sign = features / scale, np.where(labels == 1, 1.0, -1.0)
    penalty = RIDGE * np.array([0.0, 1.0, 1.0, 1.0])

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        margins = sign * (design @ weights)
        gradient = -(design * (sign * sigmoid(-margins))[:, None]).sum(axis=0)
        value = np.logaddexp(0.0, -margins).sum() + (penalty * weights**2).sum()
        return float(value), gradient + 2 * penalty * weights

    return minimize(loss, np.zeros(4), jac=True, method="L-BFGS-B", bounds=SIGNS).x / scale


def _undecided(scores: Sequence[Sequence[float]]) -> list[list[str]]:
    return [["undecided"] * len(row) for row in scores]
