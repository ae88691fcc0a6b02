"""Step metrics against sklearn, against hand-counted cases, and against literally repeated samples."""

import math

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, roc_auc_score

from distill.errors import DataError
from distill.evaluation import metrics
from distill.evaluation.bootstrap import Estimate, resampling_weights_RP
from distill.first_error import first_error_f1, predict_first_error

ONES = np.ones((1, 6))


def judged_steps(seed=0, n=300, n_problems=6, grid=None):
    """Random steps with ties (scores on a grid), in random problem order."""
    rng = np.random.default_rng(seed)
    correct = rng.random(n) < 0.8
    score = np.clip(rng.normal(np.where(correct, 0.7, 0.4), 0.2), 0, 1)
    score = np.round(score * grid) / grid if grid else score
    return metrics.JudgedSteps(score, correct, rng.integers(0, n_problems, n))


def repeated(steps, weights_P):
    """The sample that resampling weights stand for, written out."""
    index = np.repeat(np.arange(len(steps.score)), weights_P[steps.problem].astype(int))
    return metrics.JudgedSteps(steps.score[index], steps.correct[index], steps.problem[index])


@pytest.mark.parametrize(
    ("scores", "threshold", "expected"),
    [
        ([0.9, 0.2, 0.1], 0.5, 1),
        ([0.9, 0.5], 0.5, -1),
        ([], 0.5, -1),
        ([math.nan, 0.1], 0.5, 1),
        ([-0.2, -3.0], -1.0, 1),
    ],
)
def test_predicts_the_first_step_below_the_threshold(scores, threshold, expected):
    assert predict_first_error(scores, threshold) == expected


def test_f1_is_the_harmonic_mean_of_exact_matches():
    found = first_error_f1([2, 1, -1, -1, 0], [2, 3, -1, None, -1])
    assert (found.n_erroneous, found.n_correct) == (2, 2)
    assert (found.accuracy_erroneous, found.accuracy_correct, found.f1) == (0.5, 0.5, 0.5)
    unequal = first_error_f1([0, -1, -1, -1], [0, 1, 2, -1])
    assert unequal.f1 == pytest.approx(2 * (1 / 3) / (4 / 3))


def test_f1_never_flatters_a_one_sided_sample():
    assert first_error_f1([-1], [-1]).f1 == 0.0
    assert first_error_f1([], []).n_correct == 0
    assert first_error_f1([0, 0], [1, -1]).f1 == 0.0


def test_f1_refuses_unpaired_lengths():
    with pytest.raises(DataError, match="1 predictions for 2 chains"):
        first_error_f1([0], [0, 1])


def test_resampled_f1_equals_the_f1_of_the_repeated_sample():
    rng = np.random.default_rng(1)
    truth = rng.integers(-1, 4, 80)
    predicted = np.where(rng.random(80) < 0.6, truth, rng.integers(-1, 4, 80))
    chains = metrics.FirstErrors(predicted, truth, rng.integers(0, 6, 80))
    weights = resampling_weights_RP(6, 20, seed=3)
    resampled = metrics.first_error_figures(chains, weights)["f1"].values_R
    for row, weights_P in zip(resampled, weights):
        index = np.repeat(np.arange(80), weights_P[chains.problem].astype(int))
        assert row == pytest.approx(first_error_f1(predicted[index].tolist(), truth[index].tolist()).f1)


def test_confusion_counts_every_chain_once():
    chains = metrics.FirstErrors(
        np.array([1, 0, 2, -1, -1, 0]), np.array([1, 1, 1, 1, -1, -1]), np.zeros(6, np.int64)
    )
    found = metrics.confusion(chains)
    assert found == {"hit": 1, "early": 1, "late": 1, "missed": 1, "passed": 1, "accused": 1}


@pytest.mark.parametrize("grid", [None, 5])
def test_auroc_equals_sklearn_on_the_sample_and_on_resamples(grid):
    steps = judged_steps(grid=grid)
    weights = resampling_weights_RP(6, 10, seed=0)
    for value, weights_P in zip(metrics.auroc(steps, weights).values_R, weights):
        sample = repeated(steps, weights_P)
        assert value == pytest.approx(roc_auc_score(sample.correct, sample.score))


def test_auroc_is_undefined_when_all_steps_are_correct():
    steps = metrics.JudgedSteps(np.array([0.5, 0.6]), np.array([True, True]), np.array([0, 1]))
    assert metrics.auroc(steps, ONES).to_json() is None


def test_brier_equals_sklearn():
    steps = judged_steps()
    assert metrics.brier(steps, ONES).value == pytest.approx(brier_score_loss(steps.correct, steps.score))


def test_ece_and_reliability_by_hand():
    steps = metrics.JudgedSteps(
        np.array([0.05, 0.05, 0.95, 0.95, 1.0]),
        np.array([False, True, True, True, False]),
        np.array([0, 0, 1, 1, 2]),
    )
    assert metrics.ece(steps, ONES, bins=10).value == pytest.approx(2 / 5 * 0.45 + 3 / 5 * (2.9 / 3 - 2 / 3))
    low, high = metrics.reliability(steps, bins=10)
    assert (low["low"], low["high"], low["accuracy"], low["count"]) == (0.0, 0.1, 0.5, 2)
    assert (high["high"], high["count"]) == (1.0, 3)
    assert sum(row["count"] for row in metrics.reliability(judged_steps())) == 300


def test_ece_of_a_calibrated_scorer_has_an_interval_around_it():
    rng = np.random.default_rng(0)
    score = rng.random(400)
    steps = metrics.JudgedSteps(score, rng.random(400) < score, rng.integers(0, 40, 400))
    found = metrics.ece(steps, resampling_weights_RP(40, 400, seed=0)).to_json()
    assert 0 <= found["low"] < found["value"] < found["high"]


def test_resampling_is_seeded_and_keeps_the_number_of_problems():
    first, again = resampling_weights_RP(9, 50, seed=4), resampling_weights_RP(9, 50, seed=4)
    assert (first == again).all()
    assert (first.sum(axis=1) == 9).all()
    assert (first[0] == 1).all()
    assert (first[1:] != resampling_weights_RP(9, 50, seed=5)[1:]).any()


def test_an_estimate_says_nothing_about_what_is_undefined():
    assert Estimate(np.array([np.nan, 1.0, 1.0])).to_json() is None
    assert Estimate(np.array([0.5, np.nan, np.nan])).to_json() == {"value": 0.5}
    full = Estimate(np.concatenate([[0.5], np.linspace(0, 1, 101)])).to_json(n=7)
    assert full == {"value": 0.5, "low": 0.025, "high": 0.975, "n": 7}


def test_an_interval_is_wide_enough_for_clustered_chains():
    """All chains of a problem agree: the interval must be that of 50 problems, not of 500 chains."""
    problem = np.repeat(np.arange(50), 10)
    truth = np.where(problem % 2 == 0, -1, 0)
    predicted = np.where(problem % 4 < 2, truth, 1)
    figures = metrics.first_error_figures(
        metrics.FirstErrors(predicted, truth, problem), resampling_weights_RP(50, 500, seed=0)
    )
    interval = figures["accuracy_correct"].to_json()
    assert interval["high"] - interval["low"] > 0.3
