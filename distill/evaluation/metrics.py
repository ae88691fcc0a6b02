"""How well step scores find wrong steps: first-error F1, AUROC, Brier, ECE and reliability bins.

Every function takes resampling weights (`distill.evaluation.bootstrap`) and answers on the sample and
on all resamples at once. Only steps up to and including a chain's first error are judged: what follows
a wrong step has no agreed truth.

Shapes: C = chains, S = judged steps, P = problems, R = 1 + resamples, K = bins.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distill.evaluation.bootstrap import Estimate, Floats, Ints, ratio, sums_by_problem, weighted_mean

Bools = NDArray[np.bool_]

BINS = 15


@dataclass(frozen=True, slots=True)
class FirstErrors:
    """Predicted and true first errors of judged chains, with the problem of each. All [C]."""

    predicted: Ints
    truth: Ints
    problem: Ints

    def where(self, keep: Bools) -> "FirstErrors":
        """The same for the chains that `keep` marks."""
        return FirstErrors(self.predicted[keep], self.truth[keep], self.problem[keep])


@dataclass(frozen=True, slots=True)
class JudgedSteps:
    """Score, truth (True: a correct step) and problem of every judged step. All [S]."""

    score: Floats
    correct: Bools
    problem: Ints


def first_error_figures(chains: FirstErrors, weights_RP: Floats) -> dict[str, Estimate]:
    """`f1`, `accuracy_erroneous`, `accuracy_correct` as ProcessBench defines them (arXiv 2412.06559)."""
    hit = chains.predicted == chains.truth
    erroneous = chains.truth != -1
    accuracy = {
        name: _accuracy(hit, group, chains.problem, weights_RP)
        for name, group in (("accuracy_erroneous", erroneous), ("accuracy_correct", ~erroneous))
    }
    first, second = accuracy["accuracy_erroneous"], accuracy["accuracy_correct"]
    total = first + second
    f1 = np.where(total == 0, 0.0, ratio(2 * first * second, total))
    return {"f1": Estimate(f1)} | {name: Estimate(values) for name, values in accuracy.items()}


def _accuracy(hit: Bools, group: Bools, problem: Ints, weights_RP: Floats) -> Floats:
    n_problems = weights_RP.shape[1]
    hits = sums_by_problem(hit & group, problem, n_problems)
    return weighted_mean(weights_RP, hits, sums_by_problem(group, problem, n_problems))


def confusion(chains: FirstErrors) -> dict[str, int]:
    """Chains by what was said of them: wrong ones found at the right step, too early, too late or not
    at all; correct ones passed or accused."""
    predicted, truth = chains.predicted, chains.truth
    wrong = truth != -1
    counts = {
        "hit": wrong & (predicted == truth),
        "early": wrong & (predicted != -1) & (predicted < truth),
        "late": wrong & (predicted > truth),
        "missed": wrong & (predicted == -1),
        "passed": ~wrong & (predicted == -1),
        "accused": ~wrong & (predicted != -1),
    }
    return {name: int(group.sum()) for name, group in counts.items()}


def auroc(steps: JudgedSteps, weights_RP: Floats) -> Estimate:
    """Chance that a correct step is scored above a wrong one, ties counting half (Mann-Whitney).

    Pairs are counted once per pair of problems (p, q); a resample then weighs them by w_p * w_q, which
    costs one matrix product for all resamples.
    """
    wins_PP = _concordant_pairs(steps, weights_RP.shape[1])
    wins = np.einsum("rq,rq->r", weights_RP @ wins_PP, weights_RP)
    correct = weights_RP @ sums_by_problem(steps.correct, steps.problem, weights_RP.shape[1])
    wrong = weights_RP @ sums_by_problem(~steps.correct, steps.problem, weights_RP.shape[1])
    return Estimate(ratio(wins, correct * wrong))


def _concordant_pairs(steps: JudgedSteps, n_problems: int) -> Floats:
    """[p, q]: wrong steps of p paired with correct steps of q that are scored higher (a tie: 0.5)."""
    high, high_problem = steps.score[steps.correct], steps.problem[steps.correct]
    low, low_problem = steps.score[~steps.correct], steps.problem[~steps.correct]
    order = np.lexsort((high, high_problem))
    bounds = np.searchsorted(high_problem[order], np.arange(n_problems + 1))
    wins_PP = np.zeros((n_problems, n_problems))
    for problem in range(n_problems):
        scores = high[order[bounds[problem] : bounds[problem + 1]]]
        below = np.searchsorted(scores, low, "left") + np.searchsorted(scores, low, "right")
        wins_PP[:, problem] = sums_by_problem(len(scores) - below / 2, low_problem, n_problems)
    return wins_PP


def brier(steps: JudgedSteps, weights_RP: Floats) -> Estimate:
    """Mean squared distance of P(step correct) from 0 or 1 (Brier 1950); lower is better."""
    n_problems = weights_RP.shape[1]
    squares = sums_by_problem((steps.score - steps.correct) ** 2, steps.problem, n_problems)
    ones = sums_by_problem(np.ones(len(steps.score)), steps.problem, n_problems)
    return Estimate(weighted_mean(weights_RP, squares, ones))


def ece(steps: JudgedSteps, weights_RP: Floats, bins: int = BINS) -> Estimate:
    """Expected calibration error over `bins` bins of equal *width* (Guo et al. 2017, equation 3).

    Resampling inflates it, so its resamples are recentred on the sample's value.
    """
    n_problems = weights_RP.shape[1]
    cell = steps.problem * bins + _bin_index(steps.score, bins)
    gap_PK = sums_by_problem(steps.correct - steps.score, cell, n_problems * bins).reshape(n_problems, bins)
    count_P = sums_by_problem(np.ones(len(steps.score)), steps.problem, n_problems)
    gaps_R = np.abs(weights_RP @ gap_PK).sum(axis=1)
    return Estimate(ratio(gaps_R, weights_RP @ count_P)).recentred(floor=0.0)


def reliability(steps: JudgedSteps, bins: int = BINS) -> list[dict[str, Any]]:
    """Mean score and share of correct steps in each non-empty bin of equal width, lowest first."""
    index = _bin_index(steps.score, bins)
    rows = []
    for number in np.unique(index):
        inside = index == number
        rows.append(
            {
                "low": round(int(number) / bins, 6),
                "high": round((int(number) + 1) / bins, 6),
                "confidence": round(float(steps.score[inside].mean()), 6),
                "accuracy": round(float(steps.correct[inside].mean()), 6),
                "count": int(inside.sum()),
            }
        )
    return rows


def _bin_index(scores: Floats, bins: int) -> Ints:
    return np.minimum((scores * bins).astype(np.int64), bins - 1)
