"""ProcessBench's figures (arXiv 2412.06559): F1 of each subset, and the mean of the subset F1s."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from distill.evaluation.bootstrap import Estimate, resampling_weights_RP
from distill.evaluation.metrics import FirstErrors, confusion, first_error_figures


def processbench_figures(subsets: Mapping[str, FirstErrors], resamples: int, seed: int) -> dict[str, Any]:
    """`mean_f1` and, by subset, `f1`, `accuracy_erroneous`, `accuracy_correct` with intervals and counts.

    A subset's F1 is the harmonic mean of the exact-match accuracy on erroneous chains and the accuracy
    on correct ones; the mean weighs subsets alike, as published. Subsets are resampled independently.
    Fractions of 1. A subset with chains of one kind only has no F1 and takes no part in the mean.
    """
    found: dict[str, Any] = {}
    f1s = []
    for index, (name, chains) in enumerate(subsets.items()):
        problems = int(chains.problem.max()) + 1
        figures = first_error_figures(chains, resampling_weights_RP(problems, resamples, seed + index))
        counts = {
            "n_erroneous": int((chains.truth != -1).sum()),
            "n_correct": int((chains.truth == -1).sum()),
        }
        found[name] = {key: value.to_json() for key, value in figures.items()} | counts
        found[name]["confusion"] = confusion(chains)
        if np.isfinite(figures["f1"].value):
            f1s.append(figures["f1"].values_R)
    mean = Estimate(np.mean(f1s, axis=0)).to_json(subsets=len(f1s)) if f1s else None
    return {"mean_f1": mean, "subsets": found}
