"""PRMBench's figures (arXiv 2501.03124): every step judged, F1 of correct and of wrong steps.

As in the published evaluation (ssmisya/PRMBench, mr_eval/tasks/prmtest_classified): a positive is a step
that is called correct, a negative one that is called wrong; PRM-Score is the mean of the two F1s; the
untouched originals ("correct") are reported apart and take no part in the total. Where a ratio has no
denominator the published code says -1; here the figure is left out.
"""

from collections import defaultdict
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

import numpy as np

from distill.evaluation.bootstrap import Estimate, Floats, ratio, resampling_weights_RP

CORRECT = "correct"


@dataclass(frozen=True, slots=True)
class JudgedChain:
    """A chain as judged: `valid[i]` says whether step i was called correct; `errors` are 0-based."""

    classification: str
    valid: tuple[bool, ...]
    errors: AbstractSet[int]


def prmbench_figures(chains: Sequence[JudgedChain], resamples: int, seed: int) -> dict[str, Any]:
    """`total` and `by_classification`: `prm_score`, `f1`, `negative_f1`, `accuracy_correct_steps`,
    `accuracy_wrong_steps`, `accuracy_steps`, `accuracy_first_error`, each with its interval over chains."""
    groups: dict[str, list[JudgedChain]] = defaultdict(list)
    for chain in chains:
        groups[chain.classification].append(chain)
    counted = [chain for chain in chains if chain.classification != CORRECT]
    return {
        "total": _figures(counted, resamples, seed),
        "by_classification": {
            name: _figures(group, resamples, seed) for name, group in sorted(groups.items())
        },
    }


def _figures(chains: Sequence[JudgedChain], resamples: int, seed: int) -> dict[str, Any]:
    if not chains:
        return {}
    counts_C5 = np.array([_counts(chain) for chain in chains], dtype=np.float64)
    weights_RC = resampling_weights_RP(len(chains), resamples, seed)
    tp, fp, tn, fn, first, first_hit = (weights_RC @ counts_C5).T
    f1, negative = _f1(tp, fp, fn), _f1(tn, fn, fp)
    figures = {
        "prm_score": (f1 + negative) / 2,
        "f1": f1,
        "negative_f1": negative,
        "accuracy_correct_steps": ratio(tp, tp + fn),
        "accuracy_wrong_steps": ratio(tn, tn + fp),
        "accuracy_steps": ratio(tp + tn, tp + tn + fp + fn),
        "accuracy_first_error": ratio(first_hit, first),
    }
    known = {name: Estimate(values).to_json() for name, values in figures.items()}
    return {name: value for name, value in known.items() if value is not None} | {"n_chains": len(chains)}


def _counts(chain: JudgedChain) -> tuple[int, int, int, int, int, int]:
    """True and false positives, true and false negatives, has an error, its first error was found."""
    tp = sum(valid and i not in chain.errors for i, valid in enumerate(chain.valid))
    fp = sum(valid and i in chain.errors for i, valid in enumerate(chain.valid))
    tn = sum(not valid and i in chain.errors for i, valid in enumerate(chain.valid))
    fn = sum(not valid and i not in chain.errors for i, valid in enumerate(chain.valid))
    first = min(chain.errors, default=len(chain.valid))
    seen = first < len(chain.valid)
    return tp, fp, tn, fn, int(seen), int(seen and not chain.valid[first])


def _f1(hits: Floats, false: Floats, missed: Floats) -> Floats:
    """2PR / (P + R) from counts; undefined where precision or recall is, or where both are 0."""
    precision, recall = ratio(hits, hits + false), ratio(hits, hits + missed)
    return ratio(2 * precision * recall, precision + recall)
