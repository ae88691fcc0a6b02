"""What GPTQ is worth to a 4-bit verifier: both grids, with it and by rounding each weight to the nearest.

Takes a finished run. The model as trained is merged into float32, its weights are put on a grid (integers in
groups, as `w4a16` exports them; NF4, as bitsandbytes has it), and it scores the run's held-out chains.
Temperature and threshold are those of the model as trained. Rounding to the nearest is GPTQ that believes
inputs to be independent: the same code, with the identity for what it measured.

    python benchmarks/rounding.py [--run runs/quickstart] [--test-chains 2000]
"""

import argparse
import copy
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from record import record

from distill.first_error import predict_first_error
from distill.shipping import open_trained
from distill.verifier import Verifier, calibrate
from distill.verifier.data import ChainFormat
from distill.verifier.drift import HeldoutChain, f1_difference, score_changes
from distill.verifier.forms import merge
from distill.verifier.gptq import (
    Grid,
    Integers,
    NormalFloat,
    body_layers,
    calibration_rows,
    input_products,
    quantise_weight,
)
from distill.verifier.model import load_tokenizer
from distill.verifier.ship import CALIBRATION_CHAINS, Trained
from distill.verifier.w4a16 import weight_args

Margins = list[list[float]]


def on_grid(model: Any, grid: Grid, products: dict[str, torch.Tensor] | None) -> Any:
    """A copy of the model, its layers on `grid`: by GPTQ, or without `products` to the nearest."""
    rounded = copy.deepcopy(model)
    for name, layer in body_layers(rounded).items():
        product = products[name] if products else torch.eye(layer.in_features)
        layer.weight.data.copy_(quantise_weight(layer.weight.data, product, grid)[0])
    return rounded


def compared(
    margins: Margins, reference: Margins, verifier: Verifier, heldout: Sequence[HeldoutChain]
) -> dict[str, Any]:
    """How far scores moved, and what it did to the first-error F1 (95% interval over problems)."""
    changes = score_changes(margins, reference)
    named = [
        [predict_first_error(verifier.calibration.probabilities(chain), verifier.threshold) for chain in side]
        for side in (margins, reference)
    ]
    change = f1_difference(*named, heldout, 1000, 0)
    return {
        "mean_change": float(changes.mean()),
        "max_change": float(changes.max()),
        "same_decision": float(np.mean(np.equal(*named))),
        "f1_change": change and {"value": change.value, "low": change.low, "high": change.high},
    }


def measured(trained: Trained, heldout: Sequence[HeldoutChain]) -> dict[str, dict[str, Any]]:
    """Figures by grid and way of rounding."""
    source, chain_format = trained.source, ChainFormat.of(trained.settings)
    model, tokenizer = merge(source).eval(), load_tokenizer(source.base)
    plain = Verifier(model, tokenizer, chain_format)
    fit = calibrate(plain.margins([(c.question, c.steps) for c in trained.validation]), trained.validation)
    verifier, texts = plain.calibrated(fit.calibration), [(c.question, c.steps) for c in heldout]
    reference = verifier.margins(texts)
    chains = [(c.question, c.steps) for c in trained.train[:CALIBRATION_CHAINS]]
    layers = body_layers(model)
    products = input_products(model, layers, calibration_rows(model, tokenizer, chains, chain_format))
    grids: dict[str, Grid] = {"w4a16": Integers(weight_args(layers)), "nf4": NormalFloat()}
    found = {}
    for name, grid in grids.items():
        for way, told in (("gptq", products), ("nearest", None)):
            margins = Verifier(on_grid(model, grid, told), tokenizer, chain_format).margins(texts)
            found[f"{name} {way}"] = compared(margins, reference, verifier, heldout)
            print(line(f"{name} {way}", found[f"{name} {way}"]), flush=True)
    return found


def line(name: str, figures: dict[str, Any]) -> str:
    """A row of the table."""
    change = figures["f1_change"]
    points = "{value:+.2f} [{low:+.2f}, {high:+.2f}]".format(**{k: 100 * v for k, v in change.items()})
    cells = (f"{figures['mean_change']:.4f}", f"{figures['max_change']:.3f}")
    return f"| {name} | {' | '.join(cells)} | {100 * figures['same_decision']:.1f}% | {points} |"


def main() -> None:
    """Print the table and write benchmarks/results/rounding.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--run", type=Path, default=Path("runs/quickstart"))
    parser.add_argument("--test-chains", type=int, default=2000)
    given = parser.parse_args()
    with open_trained(str(given.run), None, print) as trained:
        heldout = trained.heldout[: given.test_chains]
        print("| weights | mean change of a score | largest | same decision | change of F1 |")
        print("|---|---|---|---|---|")
        found = measured(trained, heldout)
    figures = {"run": given.run.name, "chains": len(heldout), "rounding": found}
    print(record("rounding", " ".join(["python", *sys.argv]), figures))


if __name__ == "__main__":
    main()
