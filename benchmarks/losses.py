"""The four losses on the same labels and the same budget: one table.

Each loss trains the same base from the same seed on the same chains for the same number of epochs, and is
measured on the held-out chains of the run, whose first errors are known exactly; temperature and threshold
come from the run's validation labels. Labels after the first error are masked, and kept, in turn.

    python benchmarks/losses.py --run runs/quickstart [--chains 200] [--epochs 3] [--base builtin:arith-base]
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from record import record

from distill.config import EvaluationSettings, VerifierSettings
from distill.dataset.imports import SourceSettings, load_source
from distill.errors import VerifierError
from distill.evaluation.evaluate import evaluate
from distill.parquet import read_records
from distill.records import LabelledChain, ScoredChain
from distill.verifier import calibrate, examples, train_verifier, training_examples
from distill.verifier.data import ChainFormat
from distill.verifier.forms import load_trained

LOSSES = ("hard", "soft", "contrastive", "outcome")
SHOWN = ("f1", "auroc", "brier", "ece")
TINY: dict[str, Any] = {"learning_rate": 1e-3, "fit_head": False}
"""What recipes/quickstart.yaml says for the shipped base."""


def heldout(run: Path) -> list[ScoredChain]:
    """Held-out chains with exact truth, their scores left out."""
    files = sorted((run / "export").glob("shard-*.parquet"))
    return [chain for file in files for chain in read_records(file, ScoredChain) if chain.truth is not None]


def measure(
    loss: str,
    mask: bool,
    data: list[LabelledChain],
    validation: list[LabelledChain],
    test: list[ScoredChain],
    settings: VerifierSettings,
) -> dict[str, Any]:
    """Train with one loss and measure on `test`; `error` where the loss cannot be computed."""
    chosen = settings.model_copy(update={"loss": loss, "mask_after_first_error": mask})
    known = examples(validation, mask)
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        try:
            trained = train_verifier(training_examples(data, chosen), known, chosen, False, Path(folder), 0)
        except VerifierError as error:
            return {"error": str(error)}
        verifier = load_trained(trained, ChainFormat.of(chosen))
        margins = verifier.margins([(e.question, e.steps) for e in known])
        verifier = verifier.calibrated(calibrate(margins, known).calibration)
        scores = verifier.score([(chain.question, chain.steps) for chain in test])
    scored = [
        ScoredChain(c.problem_id, c.chain_id, c.steps, c.answer, c.outcome, c.truth, c.truth_kind,
                    c.question, {loss: tuple(row)})
        for c, row in zip(test, scores)
    ]  # fmt: skip
    found = evaluate(scored, {loss: verifier.threshold}, EvaluationSettings(), 0, loss)
    return {key: found["scorers"][loss][key] for key in SHOWN} | {
        "best_of_n": found["best_of_n"].get("intervals", {}),
        "labelled_steps": trained.labelled_steps,
        "pairs": trained.pairs,
        "tokens": trained.train_tokens,
        "steps": trained.steps,
        "seconds": round(time.perf_counter() - began, 1),
    }


def line(name: str, found: dict[str, Any]) -> str:
    """One row of the table."""
    if "error" in found:
        return f"{name:22} {found['error'][:80]}"
    cells = [f"{found[k]['value']:.3f} [{found[k]['low']:.3f}, {found[k]['high']:.3f}]" for k in SHOWN]
    return f"{name:22} " + "  ".join(cells) + f"  {found['labelled_steps']:6d} {found['seconds']:8.1f}"


def main() -> None:
    """Print the table and write benchmarks/results/losses.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--run", type=Path, default=Path("runs/quickstart"))
    parser.add_argument("--chains", type=int, default=None, help="training chains (default: all)")
    parser.add_argument("--test-chains", type=int, default=None)
    parser.add_argument("--epochs", type=float, default=3)
    parser.add_argument("--base", default="builtin:arith-base")
    given = parser.parse_args()
    folder = str(given.run / "dataset" / "hub")
    data, _ = load_source(SourceSettings(path=folder, limit=given.chains))
    validation, _ = load_source(SourceSettings(path=folder, split="validation", limit=given.chains))
    test = heldout(given.run)[: given.test_chains]
    settings = VerifierSettings(base=given.base, epochs=given.epochs, **TINY)
    print(f"{len(data)} chains to train on, {len(validation)} to validate, {len(test)} to test")
    print(f"{'loss':22} " + "  ".join(f"{k:20}" for k in SHOWN) + "  labels  seconds")
    found = {}
    for loss in LOSSES:
        for mask in (True, False) if loss != "outcome" else (True,):
            name = f"{loss}, after error {'masked' if mask else 'kept'}" if loss != "outcome" else loss
            found[name] = measure(loss, mask, data, validation, test, settings)
            print(line(name, found[name]), flush=True)
    counts = {"train": len(data), "validation": len(validation), "test": len(test), "epochs": given.epochs}
    print(record("losses", " ".join(["python", *sys.argv]), counts | {"losses": found}))


if __name__ == "__main__":
    main()
