"""Decision thresholds from few chains: bagged against the highest step of the F1 curve.

On the scores of a finished run's held-out chains, whose first errors are known exactly: a threshold is
fitted on some of them, drawn at random, and measured on the others, for several scorers of the run: on true
labels, and with a tenth of the wrong chains labelled wrongly, as rollouts may label them (called correct, or
their error at another step). Mean F1 over the draws, its standard deviation, its tenth percentile.

    python benchmarks/thresholds.py --run runs/quickstart [--chains 60,250,1000] [--draws 100]
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from losses import heldout
from record import record

from distill.verifier.calibrate import f1_at, fit_threshold

NOISE = 0.1
SCORERS = ("verifier_4bit", "hybrid", "step_logprob")
RULES = ("highest step", "bagged", "best on the test chains")
Rows = Sequence[Sequence[float]]


def highest_step(scores: Rows, truth: Sequence[int]) -> float:
    """The baseline: the middle between the two scores between which F1 is highest; of several, the widest."""
    low = np.array([row[first] if first >= 0 else -np.inf for row, first in zip(scores, truth)])
    high = np.array(
        [min(row[:first] if first >= 0 else row, default=1.0) for row, first in zip(scores, truth)]
    )
    wrong = np.array(truth) >= 0
    ends = np.unique(np.concatenate([low, high, [0.0, 1.0]]).clip(0.0, 1.0))
    middles = (ends[:-1] + ends[1:]) / 2
    exact = (middles[:, None] > low) & (middles[:, None] <= high)
    parts = [exact[:, side].mean(1) for side in (wrong, ~wrong) if side.any()]
    f1 = parts[0] if len(parts) == 1 else 2 * parts[0] * parts[1] / np.maximum(parts[0] + parts[1], 1e-12)
    best = np.flatnonzero(f1 >= f1.max() - 1e-12)
    return float(middles[best[np.argmax(np.diff(ends)[best])]])


def _f1(scores: Rows, truth: Sequence[int], threshold: float) -> float:
    return f1_at(scores, truth, threshold).f1


def mislabelled(truth: Sequence[int], lengths: Sequence[int], rng: np.random.Generator) -> list[int]:
    """Truth, of which a share `NOISE` of the wrong chains is called correct or has its error elsewhere."""
    told = []
    for first, length in zip(truth, lengths):
        wrong = first >= 0 and rng.random() < NOISE
        told.append(int(rng.integers(-1, length)) if wrong else first)
    return told


def compare(scores: Rows, truth: Sequence[int], chains: int, draws: int, noise: bool) -> dict[str, Any]:
    """Figures of each rule over the draws."""
    rng = np.random.default_rng(0)
    found: dict[str, list[float]] = {rule: [] for rule in RULES}
    for _ in range(draws):
        order = rng.permutation(len(scores))
        few, rest = order[:chains], order[chains:]
        seen, known = [scores[i] for i in few], [truth[i] for i in few]
        if noise:
            known = mislabelled(known, [len(row) for row in seen], rng)
        others, answers = [scores[i] for i in rest], [truth[i] for i in rest]
        for rule, threshold in (
            (RULES[0], highest_step(seen, known)),
            (RULES[1], fit_threshold(seen, known)),
            (RULES[2], highest_step(others, answers)),
        ):
            found[rule].append(100 * _f1(others, answers, threshold))
    return {
        rule: {"mean": np.mean(f1), "sd": np.std(f1), "p10": np.percentile(f1, 10)}
        for rule, f1 in found.items()
    }


def main() -> None:
    """Print the table and write benchmarks/results/thresholds.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--run", type=Path, default=Path("runs/quickstart"))
    parser.add_argument("--chains", default="60,250,1000")
    parser.add_argument("--draws", type=int, default=100)
    given = parser.parse_args()
    test = heldout(given.run)
    truth = [chain.truth for chain in test]
    figures: dict[str, Any] = {}
    print("| scorer | fitted on | labels | " + " | ".join(RULES) + " |\n|---|---:|---|---:|---:|---:|")
    for scorer in [name for name in SCORERS if name in test[0].scores]:
        scores = [chain.scores[scorer] for chain in test]
        for chains in map(int, given.chains.split(",")):
            for noise in (False, True):
                found = compare(scores, truth, chains, given.draws, noise)
                cells = [f"{f['mean']:.1f} (sd {f['sd']:.1f}, p10 {f['p10']:.1f})" for f in found.values()]
                labels = f"{NOISE:.0%} of the errors wrong" if noise else "exact"
                print(f"| {scorer} | {chains} | {labels} | " + " | ".join(cells) + " |", flush=True)
                figures[f"{scorer}, {chains}, {labels}"] = found
    print(record("thresholds", " ".join(["python", *sys.argv]), figures | {"draws": given.draws}))


if __name__ == "__main__":
    main()
