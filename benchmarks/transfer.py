"""First-error F1 by the domain that a verifier was trained on and the domain that it is tested on.

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
from pathlib import Path
from typing import Any

from losses import heldout
from record import record

from distill.first_error import predict_first_error
from distill.records import ScoredChain
from distill.verifier import Verifier
from distill.verifier.drift import HeldoutChain, f1_estimate

RESAMPLES = 1000


def by_domain(runs: Sequence[Path]) -> dict[str, list[ScoredChain]]:
    """Held-out chains of all runs, each chain once."""
    found: dict[str, dict[str, ScoredChain]] = {}
    for run in runs:
        for chain in heldout(run):
            found.setdefault(chain.domain, {})[chain.chain_id] = chain
    return {domain: list(chains.values()) for domain, chains in sorted(found.items())}


def f1(verifier: Verifier, chains: Sequence[ScoredChain]) -> dict[str, float]:
    """ProcessBench's F1 with its 95% interval over problems, in [0, 1]."""
    scores = verifier.score([(chain.question, chain.steps) for chain in chains])
    predicted = [predict_first_error(row, verifier.threshold) for row in scores]
    known = [HeldoutChain(c.question, c.steps, c.truth, c.problem_id) for c in chains]
    estimate = f1_estimate(predicted, known, RESAMPLES, 0)
    assert estimate is not None  # `heldout` leaves chains without exact truth out
    return {"value": estimate.value, "low": estimate.low, "high": estimate.high, "chains": len(chains)}


def table(found: dict[str, dict[str, dict[str, float]]]) -> str:
    """Markdown: a row a verifier, a column a domain that it was tested on."""
    domains = list(next(iter(found.values())))
    lines = ["| trained on | " + " | ".join(domains) + " |", "|---" * (len(domains) + 1) + "|"]
    for run, row in found.items():
        cells = [
            f"{100 * e['value']:.1f} [{100 * e['low']:.1f}, {100 * e['high']:.1f}]" for e in row.values()
        ]
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
        found[run.name] = {domain: f1(verifier, part) for domain, part in chains.items()}
    print(table(found))
    print(record("transfer", " ".join(["python", *sys.argv]), {"f1": found}))


if __name__ == "__main__":
    main()
