"""How far harmless changes of a chain move a verifier's scores, without and with training augmentation.

Two verifiers of the same base, labels, seed and epochs, one of them shown a share of its training chains a
second time, harmlessly changed (`verifier.augmentation`). Both are measured on held-out chains, each plain
and in every way of `distill/perturb.py`. The fillers and confident words of the augmentation are those of
the measurement: what is shown is that a verifier can learn to ignore them, not that it ignores all such.

    python benchmarks/adversarial.py --run runs/quickstart [--chains 600] [--share 0.3] [--epochs 3]
    python benchmarks/adversarial.py --data FOLDER/step_labels --base MODEL [--chains 600] [--epochs 1]
"""

import argparse
import math
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from losses import TINY, heldout
from record import record

from distill.config import VerifierSettings
from distill.dataset.build import split_by_problem
from distill.dataset.imports import SourceSettings, load_source
from distill.evaluation.bootstrap import Estimate, ratio, resampling_weights_RP
from distill.evaluation.robustness import Moved, robustness_figures
from distill.first_error import first_error_f1, predict_first_error
from distill.proving import RESAMPLES, moves
from distill.verifier import Example, Verifier, augmented_examples, calibrate, examples, train_verifier
from distill.verifier.data import ChainFormat
from distill.verifier.forms import load_trained

MUST_CHANGE = ("shuffled", "correct_after_wrong")
"""Not harmless: an ideal verifier's scores follow the change (see `distill/perturb.py`)."""


def trained(
    train: Sequence[Example], validation: Sequence[Example], settings: VerifierSettings, folder: str
) -> Verifier:
    """A full-precision training, calibrated on the validation chains."""
    shown = augmented_examples(train, settings.augmentation, 0)
    result = train_verifier(shown, validation, settings, False, Path(folder), 0)
    verifier = load_trained(result, ChainFormat.of(settings))
    margins = verifier.margins([(item.question, item.steps) for item in validation])
    return verifier.calibrated(calibrate(margins, validation).calibration)


def measured(verifier: Verifier, test: Sequence[Example]) -> dict[str, Any]:
    """First-error F1 on the plain chains, and how far every perturbation moves scores and decisions."""
    scores = verifier.score([(item.question, item.steps) for item in test])
    found = [predict_first_error(row, verifier.threshold) for row in scores]
    f1 = first_error_f1(found, [item.first_error for item in test]).f1  # type: ignore[misc]
    moved = moves(verifier, test, 0)
    changed = {name: [item for item in row if item] for name, row in moved.items()}
    figures = {
        name: robustness_figures(row, verifier.threshold, RESAMPLES, 0)
        for name, row in changed.items()
        if row
    }
    return {"f1": f1, "perturbations": figures, "moved": moved}


def chains_of_run(given: argparse.Namespace) -> tuple[list[Example], list[Example], list[Example]]:
    """Train, validation and held-out chains (exact truth) of a run."""
    folder = str(given.run / "dataset" / "hub")
    train, _ = load_source(SourceSettings(path=folder, limit=given.chains))
    validation, _ = load_source(SourceSettings(path=folder, split="validation"))
    test = [
        Example(c.question, c.steps, tuple(int(c.truth < 0 or i < c.truth) for i in range(len(c.steps))))
        for c in heldout(given.run)[: given.test_chains]
        if c.truth is not None
    ]
    return examples(train, True), examples(validation, True), test


def chains_of_people(given: argparse.Namespace) -> tuple[list[Example], list[Example], list[Example]]:
    """Train, validation and `dev` chains that people labelled, spread evenly over their files."""
    data, test = (
        load_source(SourceSettings(path=str(given.data), split=split))[0] for split in ("train", "dev")
    )
    data = data[:: max(1, len(data) // given.chains)][: given.chains] if given.chains else data
    train, validation = split_by_problem(data, 0.1, 0)
    known = [item for item in examples(test, False) if item.first_error is not None]
    step = max(1, len(known) // given.test_chains)
    return examples(train, True), examples(validation, True), known[::step][: given.test_chains]


def table(plain: dict[str, Any], augmented: dict[str, Any]) -> str:
    """A line a perturbation: mean |score change| and share of chains whose first error moved, both ways."""
    lines = [
        f"{'':22} mean |change| of scores      first error moved",
        f"{'':22} plain  augmented  ratio   plain  augmented",
    ]
    for name, own in plain["perturbations"].items():
        other = augmented["perturbations"][name]
        moves = [part["mean_move"]["value"] for part in (own, other)]
        firsts = [part["first_error_moved"]["value"] for part in (own, other)]
        mark = " *" if name in MUST_CHANGE else ""
        lines.append(
            f"{name + mark:22} {moves[0]:.3f}  {moves[1]:.3f}      {moves[1] / max(moves[0], 1e-9):5.2f}"
            f"   {firsts[0]:.3f}  {firsts[1]:.3f}"
        )
    lines.append("* not harmless: scores ought to change")
    return "\n".join(lines)


def halving(plain: dict[str, Any], augmented: dict[str, Any], test: Sequence[Example]) -> dict[str, Any]:
    """What augmentation left of the worst harmless change: its mean |change of scores| over that without it,
    with an interval over problems, the same resamples for both sides; and which is worst after."""
    worst, worst_after = (
        max(
            (name for name in side["perturbations"] if name not in MUST_CHANGE),
            key=lambda name: side["perturbations"][name]["mean_move"]["value"],
        )
        for side in (plain, augmented)
    )
    number = {question: i for i, question in enumerate(dict.fromkeys(item.question for item in test))}
    sums = np.zeros((2, len(number)))
    for side, figures in enumerate((plain, augmented)):
        for item, moved in zip(test, figures["moved"][worst], strict=True):
            sums[side, number[item.question]] += _move(moved) if moved else 0.0
    before, after = sums @ resampling_weights_RP(len(number), RESAMPLES, 0).T
    found = Estimate(ratio(after, before)).to_json()
    ends = [side["perturbations"][name]["mean_move"]["value"]
            for side, name in ((plain, worst), (augmented, worst_after))]  # fmt: skip
    return {"worst": worst, "ratio": found, "worst_after": worst_after, "worst_to_worst": ends[1] / ends[0]}


def _move(moved: Moved) -> float:
    return sum(abs(after - before) for before, after in moved.kept)


def halving_line(found: dict[str, Any]) -> str:
    """Whether the worst harmless change was halved, in one line."""
    value, high = found["ratio"]["value"], found["ratio"].get("high", math.inf)
    said = "halved" if high <= 0.5 else "halved, but not for certain" if value <= 0.5 else "not halved"
    return (
        f"worst harmless change, {found['worst']}: {said}; augmented / plain {value:.2f} "
        f"[{found['ratio'].get('low', math.nan):.2f}, {high:.2f}]; the worst with augmentation is "
        f"{found['worst_after']}, {found['worst_to_worst']:.2f} of the worst without"
    )


def main() -> None:
    """Print the table and write benchmarks/results/adversarial.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--run", type=Path, default=Path("runs/quickstart"))
    parser.add_argument("--data", type=Path)
    parser.add_argument("--base", default="builtin:arith-base")
    parser.add_argument("--chains", type=int, default=None, help="training chains (default: all)")
    parser.add_argument("--test-chains", type=int, default=1000)
    parser.add_argument("--share", type=float, default=0.3)
    parser.add_argument("--epochs", type=float, default=3)
    parser.add_argument("--name", default="adversarial")
    given = parser.parse_args()
    train, validation, test = chains_of_people(given) if given.data else chains_of_run(given)
    print(f"{len(train)} chains to train on, {len(validation)} to validate, {len(test)} to test", flush=True)
    found = {}
    for name, share in (("plain", 0.0), ("augmented", given.share)):
        settings = VerifierSettings(base=given.base, epochs=given.epochs, **TINY, augmentation=share)
        began = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            found[name] = measured(trained(train, validation, settings, folder), test)
        print(f"{name}: F1 {100 * found[name]['f1']:.1f}, {time.perf_counter() - began:.0f} s", flush=True)
    print(table(found["plain"], found["augmented"]))
    halved = halving(found["plain"], found["augmented"], test)
    print(halving_line(halved))
    shown = {name: {k: v for k, v in side.items() if k != "moved"} for name, side in found.items()}
    counts = {"train": len(train), "test": len(test), "share": given.share, "epochs": given.epochs}
    command = " ".join(["python", *(a for a in sys.argv if not a.startswith("/"))])
    print(record(given.name, command, counts | {"base": Path(given.base).name, "worst": halved} | shown))


if __name__ == "__main__":
    main()
