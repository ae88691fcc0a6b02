"""All figures of the held-out chains as one JSON-able dict, fractions 0 to 1, each with its interval.

Works without exact truth too: then only best-of-n is there. A figure that cannot be computed is left
out, never zero.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from distill.config import EvaluationSettings
from distill.errors import DataError
from distill.evaluation import best_of_n, metrics
from distill.evaluation.bootstrap import Estimate, Floats, Ints, resampling_weights_RP, weighted_mean
from distill.first_error import predict_first_error
from distill.records import Outcome, ScoredChain

LENGTHS = (
    *((1, 2), (3, 4), (5, 6), (7, 8), (9, 12), (13, 24), (25, 50)),
    *((51, 100), (101, 200), (201, 500), (501, math.inf)),
)
"""Groups of chain length (steps), the same for every run so that runs compare."""


@dataclass(frozen=True, slots=True)
class _Sample:
    """What every scorer shares: chains as arrays, pools for best-of-n, and the resamples."""

    scored: Sequence[ScoredChain]
    problem_C: Ints
    judged_C: metrics.Bools
    truth_C: Ints
    length_C: Ints
    weights_RP: Floats
    pools: best_of_n.Pools
    ns: tuple[int, ...]
    seed: int


@dataclass(frozen=True, slots=True)
class _Scorer:
    """Scores of one scorer, padded with nan, and what they mean."""

    name: str
    scores_CL: Floats
    log: bool
    probability: bool
    threshold: float | None


def evaluate(
    scored: Sequence[ScoredChain],
    thresholds: Mapping[str, float],
    settings: EvaluationSettings,
    seed: int,
    default_scorer: str,
) -> dict[str, Any]:
    """Every figure of every scorer in `scored[i].scores`, the differences between them, and best-of-n.

    Args: `thresholds` by scorer (a step scored below it is called wrong; a scorer without one has no
    F1). Scores are P(step correct), or log-probabilities (all <= 0), for which Brier and ECE are left
    out; nan marks a step that the scorer could not judge. Raises: DataError when chains disagree on
    the scorers, a chain has not one score a step, or `default_scorer` did not score.
    """
    names = _scorer_names(scored, default_scorer)
    sample = _sample(scored, settings, seed)
    scorers = [_scorer(sample, name, thresholds.get(name)) for name in names]
    steps = {scorer.name: _step_estimates(sample, scorer) for scorer in scorers}
    best, best_estimates = _best_of_n(sample, scorers, default_scorer, settings.aggregation)
    return {
        "default_scorer": default_scorer,
        "scorers": {scorer.name: _scorer_figures(sample, scorer, steps[scorer.name]) for scorer in scorers},
        "differences": _differences(names, default_scorer, steps, best_estimates),
        "best_of_n": best,
        "n_problems": sample.weights_RP.shape[1],
        "n_chains": len(scored),
        "n_judged": int(sample.judged_C.sum()),
        "n_erroneous": int((sample.judged_C & (sample.truth_C != -1)).sum()),
        "n_correct": int((sample.judged_C & (sample.truth_C == -1)).sum()),
        "n_undecided_outcomes": sum(chain.outcome is Outcome.UNDECIDED for chain in scored),
        "resamples": settings.bootstrap,
        "interval": "95% percentile, problems resampled, the same resamples for every scorer",
        "ece_bins": f"{metrics.BINS} of equal width",
    }


def _scorer_names(scored: Sequence[ScoredChain], default_scorer: str) -> list[str]:
    if not scored:
        raise DataError("evaluate: expected scored chains, found none; set problems.heldout above 0")
    names = list(scored[0].scores)
    if default_scorer not in names:
        raise DataError(f"evaluate: the default scorer '{default_scorer}' gave no scores; found {names}")
    for chain in scored:
        if set(chain.scores) != set(names):
            raise DataError(
                f"evaluate: chain {chain.chain_id} has scores of {sorted(chain.scores)}, others of "
                f"{sorted(names)}; every scorer must score every chain, or comparisons are not paired"
            )
        wrong = {name: len(row) for name, row in chain.scores.items() if len(row) != len(chain.steps)}
        if wrong:
            raise DataError(
                f"evaluate: chain {chain.chain_id} has {len(chain.steps)} steps but {wrong} scores; give "
                "one score a step, nan for a step that was cut off"
            )
    return names


def _sample(scored: Sequence[ScoredChain], settings: EvaluationSettings, seed: int) -> _Sample:
    number = {problem: index for index, problem in enumerate(sorted({c.problem_id for c in scored}))}
    problem_C = np.array([number[chain.problem_id] for chain in scored], dtype=np.int64)
    pools = best_of_n.pool(scored, problem_C, len(number))
    largest = int(pools.size_P.max())
    return _Sample(
        scored=scored,
        problem_C=problem_C,
        judged_C=np.array([chain.truth is not None for chain in scored]),
        truth_C=np.array([-1 if chain.truth is None else chain.truth for chain in scored], dtype=np.int64),
        length_C=np.array([len(chain.steps) for chain in scored], dtype=np.int64),
        weights_RP=resampling_weights_RP(len(number), settings.bootstrap, seed),
        pools=pools,
        ns=tuple(sorted({min(n, largest) for n in settings.best_of})) if largest else (),
        seed=seed,
    )


def _scorer(sample: _Sample, name: str, threshold: float | None) -> _Scorer:
    scores_CL = np.full((len(sample.scored), max(1, int(sample.length_C.max()))), np.nan)
    for row, chain in enumerate(sample.scored):
        scores_CL[row, : len(chain.steps)] = chain.scores[name]
    known = scores_CL[~np.isnan(scores_CL)]
    probability = bool(len(known)) and known.min() >= 0 and known.max() <= 1
    log = bool(len(known)) and not probability and known.max() <= 0
    return _Scorer(name, scores_CL, log=log, probability=bool(probability), threshold=threshold)


# Steps: first errors, discrimination, calibration


def _step_estimates(sample: _Sample, scorer: _Scorer) -> dict[str, Estimate]:
    found: dict[str, Estimate] = {}
    if not sample.judged_C.any():
        return found
    if scorer.threshold is not None:
        found |= metrics.first_error_figures(_first_errors(sample, scorer), sample.weights_RP)
    steps = _judged_steps(sample, scorer)
    if len(steps.score):
        found["auroc"] = metrics.auroc(steps, sample.weights_RP)
    if len(steps.score) and scorer.probability:
        found["brier"] = metrics.brier(steps, sample.weights_RP)
        found["ece"] = metrics.ece(steps, sample.weights_RP)
    return found


def _first_errors(sample: _Sample, scorer: _Scorer) -> metrics.FirstErrors:
    """Of judged chains only."""
    threshold = -math.inf if scorer.threshold is None else scorer.threshold
    kept = sample.judged_C
    predicted = [predict_first_error(row, threshold) for row in scorer.scores_CL[kept].tolist()]
    return metrics.FirstErrors(
        np.array(predicted, dtype=np.int64), sample.truth_C[kept], sample.problem_C[kept]
    )


def _judged_steps(sample: _Sample, scorer: _Scorer) -> metrics.JudgedSteps:
    """Steps up to and including the first error of judged chains, where the scorer gave a score."""
    step_L = np.arange(scorer.scores_CL.shape[1])
    last_C = np.where(sample.truth_C == -1, sample.length_C - 1, sample.truth_C)
    keep_CL = sample.judged_C[:, None] & (step_L <= last_C[:, None]) & ~np.isnan(scorer.scores_CL)
    chain_S, step_S = np.nonzero(keep_CL)
    return metrics.JudgedSteps(
        scorer.scores_CL[keep_CL], step_S != sample.truth_C[chain_S], sample.problem_C[chain_S]
    )


def _scorer_figures(sample: _Sample, scorer: _Scorer, estimates: Mapping[str, Estimate]) -> dict[str, Any]:
    found: dict[str, Any] = {} if scorer.threshold is None else {"threshold": scorer.threshold}
    found |= _defined({name: estimate.to_json() for name, estimate in estimates.items()})
    n_scored = int((~np.isnan(scorer.scores_CL)).sum())
    found["n_unscored_steps"] = int(sample.length_C.sum()) - n_scored
    if "brier" in estimates:
        found["reliability"] = metrics.reliability(_judged_steps(sample, scorer))
    if "f1" in estimates:
        chains = _first_errors(sample, scorer)
        found["confusion"] = metrics.confusion(chains)
        found["by_kind"] = _by_kind(sample, chains)
        found["by_length"] = _by_length(sample, chains)
    return found


def _by_kind(sample: _Sample, chains: metrics.FirstErrors) -> dict[str, Any]:
    """F1 of each kind of error: its erroneous chains against all correct chains."""
    kind_C = np.array([chain.truth_kind for chain in sample.scored])[sample.judged_C]
    correct = chains.truth == -1
    kinds = sorted(set(kind_C[~correct].tolist()) - {""})
    return _defined({kind: _group(sample, chains, correct | (kind_C == kind)) for kind in kinds})


def _by_length(sample: _Sample, chains: metrics.FirstErrors) -> dict[str, Any]:
    length_C = sample.length_C[sample.judged_C]
    groups = {}
    for low, high in LENGTHS:
        name = f"{low}-{high}" if math.isfinite(high) else f"{low}+"
        groups[name] = _group(sample, chains, (length_C >= low) & (length_C <= high))
    return _defined(groups)


def _group(sample: _Sample, chains: metrics.FirstErrors, keep: metrics.Bools) -> dict[str, Any] | None:
    """First-error figures of some chains, with how many there are; None when there are none."""
    if not keep.any():
        return None
    part = chains.where(keep)
    figures = metrics.first_error_figures(part, sample.weights_RP)
    return _defined({name: estimate.to_json() for name, estimate in figures.items()}) | {
        "n_erroneous": int((part.truth != -1).sum()),
        "n_correct": int((part.truth == -1).sum()),
    }


# Chains: best-of-n


def _best_of_n(
    sample: _Sample, scorers: Sequence[_Scorer], default: str, aggregation: str
) -> tuple[dict[str, Any], dict[str, Estimate]]:
    """Best-of-n as JSON, and the estimates at the largest n (by scorer, and `majority`) behind it.

    Plain fractions for the headline names, their intervals under `intervals`.
    """
    if not sample.ns:
        return {}, {}
    top, pools = sample.ns[-1], sample.pools
    base = _mean(sample, best_of_n.pass_at_1(pools))
    majority = {n: _mean(sample, best_of_n.majority(pools, None, n, sample.seed)) for n in sample.ns}
    ceiling = {n: _mean(sample, best_of_n.oracle(pools, n)) for n in sample.ns}
    curves = {scorer.name: _curves(sample, scorer, aggregation) for scorer in scorers}
    best = {name: curve[aggregation][top] for name, curve in curves.items()} | {"majority": majority[top]}
    gaps = {name: _gap_closed(estimate, base, ceiling[top]) for name, estimate in best.items()}
    headline = {
        "pass_at_1": base,
        f"majority_{top}": majority[top],
        f"verifier_{top}": best[default],
        f"oracle_{top}": ceiling[top],
        "gap_closed": gaps[default],
    }
    intervals = _defined({name: estimate.to_json() for name, estimate in headline.items()})
    return {
        **{name: interval["value"] for name, interval in intervals.items()},
        "intervals": intervals,
        "differences": _defined(
            {f"{default} - majority": (best[default] - majority[top]).to_json()}
            | {f"{name} - pass_at_1": (estimate - base).to_json() for name, estimate in best.items()}
        ),
        "gap_closed_by": _defined({name: gap.to_json() for name, gap in gaps.items()}),
        "majority": _by_n(majority),
        "oracle": _by_n(ceiling),
        "curves": {
            name: {how: _by_n(curve) for how, curve in by_how.items()} for name, by_how in curves.items()
        },
        "scorer": default,
        "aggregation": aggregation,
        "n": top,
        "n_chains": int(pools.size_P.sum()),
        "n_problems": int((pools.size_P > 0).sum()),
        "estimator": "expectation over draws of n from a problem's decided chains: closed form for best-of-n "
        f"and oracle; votes over all subsets, or {best_of_n.SUBSETS} sampled ones if there are more; ties "
        "count their expectation under a random choice",
    }, best


def _curves(sample: _Sample, scorer: _Scorer, weighted_by: str) -> dict[str, dict[int, Estimate]]:
    """By aggregation, and `weighted_majority` with weights from the `weighted_by` aggregation."""
    pools, curves = sample.pools, {}
    for how in best_of_n.AGGREGATIONS:
        if how == "product" and not (scorer.log or scorer.probability):
            continue
        ranks_C = best_of_n.aggregate(scorer.scores_CL, how, scorer.log)
        ranks_PN = pools.spread(ranks_C, -np.inf)
        curves[how] = {n: _mean(sample, best_of_n.best_of(pools, ranks_PN, n)) for n in sample.ns}
        if how == weighted_by and (scorer.log or scorer.probability):
            weight_PN = pools.spread(best_of_n.chain_weights(ranks_C, how, scorer.log), 0.0)
            curves["weighted_majority"] = {
                n: _mean(sample, best_of_n.majority(pools, weight_PN, n, sample.seed)) for n in sample.ns
            }
    return curves


def _mean(sample: _Sample, values_P: Floats) -> Estimate:
    """Mean over the problems that have a value."""
    known = ~np.isnan(values_P)
    return Estimate(
        weighted_mean(sample.weights_RP, np.where(known, values_P, 0.0), known.astype(np.float64))
    )


def _gap_closed(best: Estimate, base: Estimate, ceiling: Estimate) -> Estimate:
    """(best - pass@1) / (oracle - pass@1) within each resample; undefined where there is no gap."""
    gap, gained = (ceiling - base).values_R, (best - base).values_R
    return Estimate(np.divide(gained, gap, out=np.full_like(gap, np.nan), where=gap > 1e-9))


def _differences(
    names: Sequence[str],
    default: str,
    steps: Mapping[str, Mapping[str, Estimate]],
    best: Mapping[str, Estimate],
) -> dict[str, Any]:
    """The default scorer, and the 4-bit verifier alone, against every other scorer."""
    found: dict[str, Any] = {}
    for first in dict.fromkeys([default, "verifier_4bit"]):
        for second in names:
            if first in names and first != second and f"{second} - {first}" not in found:
                figures = {
                    name: (steps[first][name] - steps[second][name]).to_json()
                    for name in ("f1", "auroc", "brier")
                    if name in steps[first] and name in steps[second]
                }
                if best:
                    figures["best_of_n"] = (best[first] - best[second]).to_json()
                found[f"{first} - {second}"] = _defined(figures)
    return found


def _by_n(curve: Mapping[int, Estimate]) -> dict[str, Any]:
    return _defined({str(n): estimate.to_json() for n, estimate in curve.items()})


def _defined(figures: Mapping[str, Any]) -> dict[str, Any]:
    return {name: figure for name, figure in figures.items() if figure is not None}
