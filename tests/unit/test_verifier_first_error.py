"""ProcessBench's F1, the fits that aim at it, and the bootstrap around it."""

import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distill.first_error import first_error_f1, predict_first_error
from distill.verifier.calibrate import (
    RESAMPLES,
    Calibration,
    calibrate,
    f1_at,
    fit_temperature,
    fit_threshold,
    negative_log_likelihood,
    sigmoid,
)
from distill.verifier.data import Example
from distill.verifier.drift import HeldoutChain, Measured, f1_difference, f1_estimate, form_figures
from distill.verifier.export import kept


@pytest.mark.parametrize(
    ("scores", "threshold", "expected"),
    [([0.9, 0.8], 0.5, -1), ([0.9, 0.2, 0.1], 0.5, 1), ([], 0.5, -1), ([0.5], 0.5, -1), ([0.4999], 0.5, 0)],
)
def test_the_first_step_below_the_threshold_is_the_first_error(scores, threshold, expected):
    assert predict_first_error(scores, threshold) == expected


def test_f1_is_the_harmonic_mean_of_the_two_accuracies():
    found = first_error_f1([2, 1, -1, -1, 0], [2, 2, -1, -1, -1])
    assert (found.n_erroneous, found.n_correct) == (2, 3)
    assert found.accuracy_erroneous == pytest.approx(1 / 2)
    assert found.accuracy_correct == pytest.approx(2 / 3)
    assert found.f1 == pytest.approx(2 * (1 / 2) * (2 / 3) / (1 / 2 + 2 / 3))


def test_an_error_found_at_the_wrong_step_does_not_count():
    assert first_error_f1([0, 0], [1, 1]).accuracy_erroneous == 0.0


def test_f1_of_a_one_sided_or_empty_sample_is_zero_not_an_exception():
    assert first_error_f1([-1, -1], [-1, -1]).f1 == 0.0
    assert first_error_f1([], []).f1 == 0.0


def test_f1_refuses_unequal_lengths():
    with pytest.raises(ValueError, match="2 predictions for 1"):
        first_error_f1([1, 2], [1])


def test_temperature_recovers_the_one_that_made_the_labels():
    rng = np.random.default_rng(0)
    margins = rng.normal(0, 4, 20_000)
    labels = (rng.random(20_000) < sigmoid(margins / 2.5)).astype(int)
    found = fit_temperature(margins, labels)
    assert found == pytest.approx(2.5, rel=0.08)
    better = negative_log_likelihood(margins, labels, found)
    assert better < negative_log_likelihood(margins, labels)


def test_temperature_of_one_kind_of_label_is_one():
    assert fit_temperature([3.0, 2.0], [1, 1]) == 1.0
    assert fit_temperature([3.0, 2.0], [1, -100]) == 1.0


def test_a_threshold_from_few_chains_serves_the_many_better_than_their_own_best_step():
    """Forty of 4,000 chains whose scores overlap, and a tenth of the forty labelled wrongly."""
    rng = np.random.default_rng(5)
    truth = rng.integers(-1, 4, 4_000)
    margins = rng.normal(2.0, 1.5, (4_000, 4)) - 4.0 * (np.arange(4) == truth[:, None])
    scores = sigmoid(margins)
    gained = []
    for _ in range(40):
        few = rng.choice(4_000, 40, replace=False)
        told = np.where(rng.random(40) < 0.1, rng.integers(-1, 4, 40), truth[few])
        ends = np.unique(scores[few])
        best = max((ends[1:] + ends[:-1]) / 2, key=lambda t: f1_at(scores[few].tolist(), told.tolist(), t).f1)
        bagged = fit_threshold(scores[few].tolist(), told.tolist())
        gained.append(f1_at(scores, truth, bagged).f1 - f1_at(scores, truth, best).f1)
    assert np.mean(gained) > 0.004


def test_threshold_leaves_out_chains_without_a_known_first_error():
    assert fit_threshold([[0.2, 0.9]], [None]) == 0.5
    assert 0.3 < fit_threshold([[0.9, 0.3], [0.8, 0.7], [0.01]], [1, -1, None]) < 0.7


def test_calibration_of_validation_chains():
    margins = [[8.0, 6.0], [7.0, -9.0, 5.0], [6.0, -5.0]]
    validation = [
        Example("q", ("a", "b"), (1, 1)),
        Example("q", ("a", "b", "c"), (1, 0, -100)),
        Example("q", ("a", "b"), (1, -100)),
    ]
    fit = calibrate(margins, validation)
    assert fit.f1.f1 == 1.0
    assert (fit.steps, fit.chains) == (5, 2)
    assert fit.nll_after <= fit.nll_before
    assert fit.calibration.probabilities([float("-inf"), 0.0]) == [0.0, 0.5]


def test_probabilities_do_not_overflow():
    assert Calibration(0.1).probabilities([1e6, -1e6]) == [1.0, 0.0]


def test_bootstrap_is_paired_and_brackets_the_figure():
    rng = np.random.default_rng(1)
    truth = [int(x) for x in rng.integers(-1, 3, 200)]
    heldout = [HeldoutChain("q", ("s",) * 3, t, group=str(i // 4)) for i, t in enumerate(truth)]
    guess = [t if rng.random() < 0.8 else -1 for t in truth]
    estimate = f1_estimate(guess, heldout, 500, seed=3)
    assert estimate is not None
    assert estimate.low < estimate.value < estimate.high
    same = f1_difference(guess, guess, heldout, 500, seed=3)
    assert same is not None
    assert (same.value, same.low, same.high) == (0.0, 0.0, 0.0)
    assert f1_estimate([0], [HeldoutChain("q", ("s",))], 10, 0) is None


def by_definition(scores: list[list[float]], truth: list[int | None]) -> float:
    """`fit_threshold` with a matrix of thresholds and chains."""
    known = [(chain, first) for chain, first in zip(scores, truth) if first is not None and chain]
    if not known:
        return 0.5
    low = np.array([chain[first] if first >= 0 else -np.inf for chain, first in known])
    high = np.array([min(chain[:first] if first >= 0 else chain, default=np.inf) for chain, first in known])
    erroneous = np.array([first >= 0 for _, first in known])
    ends = np.unique(np.concatenate([low, high, [0.0, 1.0]]).clip(0.0, 1.0))
    middles = (ends[:-1] + ends[1:]) / 2
    hits = (middles[:, None] > low) & (middles[:, None] <= high)
    parts = [hits[:, side] for side in (erroneous, ~erroneous) if side.any()]
    rng, found = np.random.default_rng(0), []
    for _ in range(RESAMPLES):
        a, b = [part[:, rng.integers(0, part.shape[1], part.shape[1])].mean(1) for part in parts] * (
            3 - len(parts)
        )
        f1 = 2 * a * b / np.maximum(a + b, 1e-12)
        best = np.flatnonzero(f1 >= f1.max() - 1e-12)
        found.append(middles[best[np.argmax(np.diff(ends)[best])]])
    return float(sigmoid(np.mean(np.log(found) - np.log1p(-np.array(found)))))


SCORES = st.lists(st.sampled_from([0.0, 0.1, 0.25, 0.3, 0.5, 0.7, 0.75, 1.0]) | st.floats(0, 1), max_size=5)
LABELLED = SCORES.flatmap(
    lambda row: st.tuples(st.just(row), st.none() | st.integers(-1, max(-1, len(row) - 1)))
)


@settings(max_examples=50)
@given(st.lists(LABELLED, max_size=25))
def test_the_threshold_is_that_of_its_definition(chains: list[tuple[list[float], int | None]]) -> None:
    """Ties of all kinds included: equal scores, empty intervals, one kind of chain, plateaus alike."""
    scores, truth = [list(row) for row, _ in chains], [first for _, first in chains]
    assert fit_threshold(scores, truth) == pytest.approx(by_definition(scores, truth))


def test_the_threshold_of_many_chains_takes_little_memory() -> None:
    """A matrix of thresholds and chains would take 100 MB here."""
    rng = np.random.default_rng(0)
    scores = rng.random((4_000, 3)).tolist()
    truth = rng.integers(-1, 3, 4_000).tolist()
    tracemalloc.start()
    fit_threshold(scores, truth)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5e6


def measured(margins: list[list[float]]) -> Measured:
    fit = calibrate([[2.0, -2.0], [2.0, 2.0]], [Example("q", ("a", "b"), y) for y in ((1, 0), (1, 1))])
    return Measured(fit, margins, [])


@pytest.mark.parametrize("truths", [[None, None], [-1, -1], [1, 1], [-1, 1]])
def test_a_form_that_scores_nan_is_not_kept(truths: list[int | None]) -> None:
    """Nan lies below no threshold: a trained model that finds no error would else be \"the same\"."""
    heldout = [HeldoutChain("q", ("a", "b"), truth, str(i)) for i, truth in enumerate(truths)]
    blind, good = measured([[math.nan] * 2] * 2), measured([[2.0, 3.0]] * 2)
    figures = form_figures("merged", blind, good, None, heldout, 50, 0)
    assert figures.agreement == 1.0
    assert not kept(figures)


@pytest.mark.parametrize("truth", [-1, 1])
def test_chains_of_one_kind_have_no_f1_and_are_judged_by_agreement(truth: int) -> None:
    """F1 of one kind is 0 whatever is predicted: every export would pass with a change of 0."""
    heldout = [HeldoutChain("q", ("a", "b"), truth, str(i)) for i in range(4)]
    other, good = measured([[-2.0, 3.0]] * 4), measured([[2.0, 3.0]] * 4)
    figures = form_figures("merged", other, good, None, heldout, 50, 0)
    assert (figures.f1, figures.f1_change, figures.accuracy_correct) == (None, None, None)
    assert figures.agreement == 0.0
    assert not kept(figures)
