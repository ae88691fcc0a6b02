"""What a model's surprisal tells of real chains: first errors that people marked, without a rollout.

Chains of other models whose steps people judged, and whether each chain's final answer is right. A model at
hand says how probable it finds each step; `distill.labelling.surprisal` is fitted to that and to the answers
of a source, and names first errors. Against it: the same without surprisal (weight 0), which knows the answer
and how often steps err. The surprisal of a run is the author's own, here it is a reader's.

    python benchmarks/labelling_surprisal.py --data FOLDER/step_labels --model MODEL [--chains 2000]
"""

import argparse
import gzip
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from record import record
from sklearn.metrics import roc_auc_score

from distill.labelling.posterior import share
from distill.labelling.surprisal import (
    ChainEvidence,
    ErrorModel,
    first_error_posterior,
    fit_error_model,
    posterior_bounds,
)
from distill.verifier import ChainFormat, step_logprobs

CONFIDENCE = 0.8
LEAST = 100
"""Chains of a source that are worth fitting to."""
LONGEST = 4000
"""Characters of a chain with its question."""
Figures = dict[str, Any]


def chains_of(path: Path, count: int) -> list[dict[str, Any]]:
    """Every n-th row whose answer was judged and whose steps people labelled, `count` of them."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    kept = [
        row
        for row in rows
        if row["labels_by"] == "people"
        and row.get("final_answer_correct") is not None
        and len(row["problem"]) + sum(map(len, row["steps"])) <= LONGEST
    ]
    return kept[:: max(1, len(kept) // count)][:count]


def surprisal_of(rows: Sequence[dict[str, Any]], model: str) -> list[list[float]]:
    """How surprised `model` is by each step of each chain, in nats."""
    texts = [(row["problem"], row["steps"]) for row in rows]
    return [[-x for x in steps] for steps in step_logprobs(model, texts, ChainFormat(), batch_size=4).total]


def compare(rows: Sequence[dict[str, Any]], surprisals: Sequence[Sequence[float]]) -> Figures:
    """One source: how well surprisal tells wrong steps apart, and first errors with it and without it."""
    truth = [row["label"] for row in rows]
    chains = [
        ChainEvidence.without_trials(steps, bool(row["final_answer_correct"]))
        for steps, row in zip(surprisals, rows, strict=True)
    ]
    fitted = fit_error_model(chains)
    blind = fit_error_model([replace(c, surprisal=np.zeros_like(c.surprisal)) for c in chains])
    harmless = sum(row["final_answer_correct"] and row["label"] >= 0 for row in rows)
    return {
        "chains": len(rows),
        "surprisal, AUROC of wrong steps": separation(chains, truth),
        "weight": fitted.weight,
        "answers right of wrong chains": harmless / max(1, sum(t >= 0 for t in truth)),
        "the same, estimated": fitted.harmless,
        "with surprisal": measure(chains, truth, fitted),
        "without": measure(chains, truth, blind),
    }


def measure(chains: Sequence[ChainEvidence], truth: Sequence[int], model: ErrorModel) -> Figures:
    """Agreement with people on the likeliest first error, and on those that are sure enough."""
    posteriors = [first_error_posterior(model, chain) for chain in chains]
    likeliest = [_first_error(int(np.argmax(p)), len(p) - 1) for p in posteriors]
    bounds = [posterior_bounds(p, CONFIDENCE) for p in posteriors]
    sure = [
        (_first_error(bad, len(p) - 1), true)
        for (good, bad), p, true in zip(bounds, posteriors, truth, strict=True)
        if bad == good + 1
    ]
    wrong = [(found, true) for found, true in zip(likeliest, truth, strict=True) if true >= 0]
    return {
        "likeliest": _right(list(zip(likeliest, truth, strict=True))),
        "likeliest, of wrong chains": _right(wrong),
        "sure enough": _right(sure),
        "coverage": share(len(sure), len(truth)),
    }


def _first_error(place: int, steps: int) -> int:
    return place if place < steps else -1


def _right(pairs: Sequence[tuple[int, int]]) -> Figures:
    return share(sum(a == b for a, b in pairs), len(pairs))


def separation(chains: Sequence[ChainEvidence], truth: Sequence[int]) -> float:
    """AUROC of surprisal: first wrong steps against right ones."""
    score, wrong = [], []
    for chain, true in zip(chains, truth, strict=True):
        end = len(chain.surprisal) if true < 0 else true + 1
        score += chain.surprisal[:end].tolist()
        wrong += [step == true for step in range(end)]
    return float(roc_auc_score(wrong, score))


def main() -> None:
    """Print a line a model and write benchmarks/results/labelling_surprisal.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--chains", type=int, default=2000)
    given = parser.parse_args()
    rows = chains_of(given.data / "train.jsonl.gz", given.chains)
    surprisals = surprisal_of(rows, given.model)
    found: Figures = {}
    for source in sorted({row["source"] for row in rows}):
        own = [i for i, row in enumerate(rows) if row["source"] == source]
        if len(own) >= LEAST:
            found[source] = compare([rows[i] for i in own], [surprisals[i] for i in own])
            print(json.dumps({source: found[source]}, indent=1), flush=True)
    command = " ".join(["python", *sys.argv])
    print(record("labelling_surprisal", command.replace(str(given.data), "FOLDER/step_labels"), found))


if __name__ == "__main__":
    main()
