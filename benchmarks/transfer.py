"""First-error F1, AUROC and ECE by the domain that a verifier was trained on and the one it is tested on.

Takes finished runs (each with its exported 4-bit verifier and its held-out chains, whose first errors are
known exactly). Every verifier scores the held-out chains of every run with the threshold that was fitted on
its own validation labels; held-out chains of a run of several domains are told apart.

    distill run quickstart_mixed name=only_arith problems.worlds=[arith]     # likewise logic, code
    distill run quickstart_mixed
    python benchmarks/transfer.py runs/only_arith runs/only_logic runs/only_code runs/quickstart_mixed
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from losses import heldout
from record import record

from distill.config import EvaluationSettings
from distill.evaluation.evaluate import evaluate
from distill.records import ScoredChain
from distill.verifier import Verifier

RESAMPLES = 1000
NAME = "verifier"
SHOWN = ("f1", "auroc", "ece")


def by_domain(runs: Sequence[Path]) -> dict[str, list[ScoredChain]]:
    """Held-out chains of all runs, each chain once."""
    found: dict[str, dict[str, ScoredChain]] = {}
    for run in runs:
        for chain in heldout(run):
            found.setdefault(chain.domain, {})[chain.chain_id] = chain
    return {domain: list(chains.values()) for domain, chains in sorted(found.items())}


def figures(verifier: Verifier, chains: Sequence[ScoredChain]) -> dict[str, Any]:
    """First-error F1 at the verifier's own threshold, AUROC and ECE, with 95% intervals over problems."""
    scores = verifier.score([(chain.question, chain.steps) for chain in chains])
    scored = [replace(chain, scores={NAME: tuple(row)}) for chain, row in zip(chains, scores)]
    settings = EvaluationSettings(best_of=[1], bootstrap=RESAMPLES)
    found = evaluate(scored, {NAME: verifier.threshold}, settings, 0, NAME)["scorers"][NAME]
    return {name: found[name] for name in SHOWN} | {"chains": len(chains)}


def table(found: dict[str, dict[str, dict[str, Any]]], figure: str) -> str:
    """Markdown: a row a verifier, a column a domain that it was tested on."""
    domains = list(next(iter(found.values())))
    lines = [f"| {figure}, trained on | " + " | ".join(domains) + " |", "|---" * (len(domains) + 1) + "|"]
    for run, row in found.items():
        cells = ["{value:.3f} [{low:.3f}, {high:.3f}]".format(**cell[figure]) for cell in row.values()]
        lines.append(f"| {run} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Print the table and write benchmarks/results/transfer.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path)
    given = parser.parse_args()
    chains = by_domain(given.runs)
    found: dict[str, dict[str, Any]] = {}
    for run in given.runs:
        verifier = Verifier.from_pretrained(run / "export" / "verifier")
        found[run.name] = {domain: figures(verifier, part) for domain, part in chains.items()}
    print("\n\n".join(table(found, figure) for figure in SHOWN))
    print(record("transfer", " ".join(["python", *sys.argv]), found))


if __name__ == "__main__":
    main()
