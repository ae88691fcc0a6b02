"""How far a perturbation moves the scores of steps that it leaves as they were."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from distill.evaluation.bootstrap import Estimate, Floats, ratio, resampling_weights_RP
from distill.first_error import predict_first_error


@dataclass(frozen=True, slots=True)
class Moved:
    """A chain before and after: scores, and for each step afterwards the step it was (None: added)."""

    before: Sequence[float]
    after: Sequence[float]
    origin: Sequence[int | None]

    @property
    def kept(self) -> list[tuple[float, float]]:
        """(before, after) of every step that was there before."""
        return [(self.before[i], score) for i, score in zip(self.origin, self.after) if i is not None]


def robustness_figures(
    chains: Sequence[Moved], threshold: float, resamples: int, seed: int
) -> dict[str, Any]:
    """`mean_change` (after - before), `mean_move` (its absolute value) and `decisions_flipped` over steps
    that were there before; `first_error_moved`: share of chains whose first error is another step. Intervals
    over chains."""
    rows = np.array([_sums(chain, threshold) for chain in chains], dtype=np.float64).reshape(-1, 5)
    totals = resampling_weights_RP(len(chains), resamples, seed) @ rows
    change, move, flipped, steps, moved = totals.T
    chains_R: Floats = np.full(len(totals), float(len(chains)))
    figures = {
        "mean_change": ratio(change, steps),
        "mean_move": ratio(move, steps),
        "decisions_flipped": ratio(flipped, steps),
        "first_error_moved": ratio(moved, chains_R),
    }
    found = {name: Estimate(values).to_json() for name, values in figures.items()}
    return found | {"n_chains": len(chains), "n_steps": int(rows[:, 3].sum())}


def _sums(chain: Moved, threshold: float) -> tuple[float, float, float, float, float]:
    kept = chain.kept
    changes = [after - before for before, after in kept]
    flipped = sum((before < threshold) != (after < threshold) for before, after in kept)
    found = predict_first_error(chain.after, threshold)
    after = chain.origin[found] if found >= 0 else -1
    moved = after != predict_first_error(chain.before, threshold)
    return sum(changes), sum(map(abs, changes)), float(flipped), float(len(kept)), float(moved)
