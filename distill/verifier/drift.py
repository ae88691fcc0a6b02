"""How far a 4-bit form has moved from the model as it was trained: scores, decisions, first-error F1."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from distill.first_error import FirstErrorF1, first_error_f1, predict_first_error
from distill.verifier.calibrate import CalibrationFit, sigmoid

INTERVAL = (2.5, 97.5)


@dataclass(frozen=True, slots=True)
class HeldoutChain:
    """A chain to measure on. `truth` is its exact 0-based first error, -1 none, None unknown; chains of
    one `group` (problem) are resampled together."""

    question: str
    steps: tuple[str, ...]
    truth: int | None = None
    group: str = ""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its 95% bootstrap interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Measured:
    """One model on validation and held-out chains: its calibration, raw margins [chain][step] and
    calibrated scores of the held-out chains, and the first errors that follow."""

    fit: CalibrationFit
    margins: list[list[float]]
    validation_margins: list[list[float]]

    @property
    def scores(self) -> list[list[float]]:
        """Calibrated P(step correct) of the held-out chains."""
        return [self.fit.calibration.probabilities(chain) for chain in self.margins]

    @property
    def validation_scores(self) -> list[list[float]]:
        """Calibrated P(step correct) of the validation chains."""
        return [self.fit.calibration.probabilities(chain) for chain in self.validation_margins]

    @property
    def predicted(self) -> list[int]:
        """First error of each held-out chain at the model's own validation threshold."""
        return [predict_first_error(chain, self.fit.calibration.threshold) for chain in self.scores]


@dataclass(frozen=True, slots=True)
class FormFigures:
    """One 4-bit form against the model as trained (fractions of 1).

    `mean_change`, `max_change`: |difference| of uncalibrated P(correct) over all steps; `agreement`:
    share of chains with the same predicted first error; `f1` and its paired differences need exact
    truth of chains with and without an error, and are None without. A form uses the temperature and
    threshold of the model that it was made from.
    """

    form: str
    mean_change: float
    max_change: float
    agreement: float
    temperature: float
    threshold: float
    f1: Estimate | None
    accuracy_erroneous: float | None
    accuracy_correct: float | None
    f1_change: Estimate | None
    f1_change_to_full_precision: Estimate | None
    chains: int
    mean_change_to_full_precision: float | None = None

    @property
    def drift(self) -> float:
        """Mean change of a score, to full precision where that is known."""
        known = self.mean_change_to_full_precision
        return self.mean_change if known is None else known


def form_figures(
    form: str,
    candidate: Measured,
    as_trained: Measured,
    full_precision: Measured | None,
    heldout: Sequence[HeldoutChain],
    resamples: int,
    seed: int,
) -> FormFigures:
    """Figures of one form; bootstrap over problems with the same resamples for every model."""
    changes = score_changes(candidate.margins, as_trained.margins)
    same = np.mean([a == b for a, b in zip(candidate.predicted, as_trained.predicted)])
    exact = _exact(candidate.predicted, heldout) if both_kinds(heldout) else None
    calibration = candidate.fit.calibration
    resampled = (heldout, resamples, seed)
    return FormFigures(
        form=form,
        mean_change=float(changes.mean()),
        max_change=float(changes.max()),
        agreement=float(same),
        temperature=calibration.temperature,
        threshold=calibration.threshold,
        f1=f1_estimate(candidate.predicted, *resampled),
        accuracy_erroneous=exact.accuracy_erroneous if exact else None,
        accuracy_correct=exact.accuracy_correct if exact else None,
        f1_change=f1_difference(candidate.predicted, as_trained.predicted, *resampled),
        f1_change_to_full_precision=f1_difference(candidate.predicted, full_precision.predicted, *resampled)
        if full_precision
        else None,
        chains=len(heldout),
        mean_change_to_full_precision=float(score_changes(candidate.margins, full_precision.margins).mean())
        if full_precision
        else None,
    )


def score_changes(margins: Sequence[Sequence[float]], reference: Sequence[Sequence[float]]) -> np.ndarray:
    """|P - P_reference| of every step of every chain, before calibration: [steps]; [0.] for none."""
    flat = [np.array([x for chain in side for x in chain], dtype=np.float64) for side in (margins, reference)]
    return np.abs(sigmoid(flat[0]) - sigmoid(flat[1])) if len(flat[0]) else np.zeros(1)


def both_kinds(heldout: Sequence[HeldoutChain]) -> bool:
    """Whether chains with and chains without an error are known. Of one kind alone F1 is 0 whatever is
    predicted, and no change of it would show."""
    known = {chain.truth != -1 for chain in heldout if chain.truth is not None}
    return len(known) == 2


def f1_estimate(
    predicted: Sequence[int], heldout: Sequence[HeldoutChain], resamples: int, seed: int
) -> Estimate | None:
    """First-error F1 with its interval; None without known chains of both kinds."""
    samples = f1_samples(predicted, heldout, resamples, seed)
    return None if samples is None else _estimate(_exact(predicted, heldout).f1, samples)


def f1_difference(
    predicted: Sequence[int],
    reference: Sequence[int],
    heldout: Sequence[HeldoutChain],
    resamples: int,
    seed: int,
) -> Estimate | None:
    """F1(predicted) - F1(reference), paired by resample; None without known chains of both kinds."""
    ours = f1_samples(predicted, heldout, resamples, seed)
    theirs = f1_samples(reference, heldout, resamples, seed)
    if ours is None or theirs is None:
        return None
    difference = _exact(predicted, heldout).f1 - _exact(reference, heldout).f1
    return _estimate(difference, ours - theirs)


def f1_samples(
    predicted: Sequence[int], heldout: Sequence[HeldoutChain], resamples: int, seed: int
) -> np.ndarray | None:
    """F1 of each bootstrap resample of problems: [resamples]; the same seed draws the same problems."""
    if not both_kinds(heldout):
        return None
    known = [(p, c) for p, c in zip(predicted, heldout) if c.truth is not None]
    names = {name: i for i, name in enumerate(dict.fromkeys(c.group for _, c in known))}
    sums = np.zeros((4, len(names)))  # hits and chains, with an error and without
    for prediction, chain in known:
        side = 0 if chain.truth != -1 else 2
        sums[side, names[chain.group]] += prediction == chain.truth
        sums[side + 1, names[chain.group]] += 1
    draws = np.random.default_rng(seed).multinomial(len(names), [1 / len(names)] * len(names), size=resamples)
    hits_e, n_e, hits_c, n_c = sums @ draws.T
    erroneous, correct = hits_e / np.maximum(n_e, 1), hits_c / np.maximum(n_c, 1)
    return 2 * erroneous * correct / np.maximum(erroneous + correct, 1e-12)


def _exact(predicted: Sequence[int], heldout: Sequence[HeldoutChain]) -> FirstErrorF1:
    pairs = [(p, c.truth) for p, c in zip(predicted, heldout) if c.truth is not None]
    return first_error_f1([p for p, _ in pairs], [t for _, t in pairs])


def _estimate(value: float, samples: np.ndarray) -> Estimate:
    low, high = np.percentile(samples, INTERVAL)
    return Estimate(value, float(low), float(high))
