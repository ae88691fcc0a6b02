"""What the quickstart's base knows before any label: its own chance of writing `Wrong.` after a step.

    python benchmarks/base_mark.py                 # runs/quickstart
    python benchmarks/base_mark.py runs/other-run

The shipped base was pretrained on marked solutions, so its next-token probability of the mark is a
verifier of its own. This is a fairer baseline for the trained verifier than log-probability alone: the
threshold is fitted on the same validation labels, the figures are first-error F1 on the same held-out
chains, each with its interval.
"""

import sys
from dataclasses import asdict
from pathlib import Path

import torch
from record import record
from transformers import AutoModelForCausalLM

from distill.artifacts import RunFolder, read_records
from distill.first_error import predict_first_error
from distill.records import LabelledChain, ScoredChain
from distill.verifier import ChainFormat, HeldoutChain, examples
from distill.verifier.batching import context_length, run_batched
from distill.verifier.calibrate import fit_threshold
from distill.verifier.data import encode, pad_id
from distill.verifier.drift import f1_difference, f1_estimate
from distill.verifier.model import load_tokenizer, resolve_base
from distill.verifier.score import ChainText
from generators.tiny.corpus import MARK

BASE = "builtin:arith-base"


def right_probabilities(texts: list[ChainText]) -> list[list[float]]:
    """1 - P(the mark's first token follows) at the end of every step."""
    tokenizer = load_tokenizer(BASE)
    model = AutoModelForCausalLM.from_pretrained(resolve_base(BASE), dtype=torch.float32).eval()
    mark = tokenizer(MARK, add_special_tokens=False)["input_ids"][0]
    limit = context_length(model.config)
    encoded = [encode(tokenizer, q, s, ChainFormat(), limit) for q, s in texts]

    def forward(ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        logits = model(input_ids=ids, attention_mask=mask, use_cache=False).logits.float()
        return 1.0 - logits.softmax(-1)[..., mark]

    def read(row: torch.Tensor, chain) -> list[float]:
        return row[list(chain.ends)].tolist()

    rows = run_batched(encoded, forward, read, 64, pad_id(tokenizer), torch.device("cpu"))
    return [row + [0.0] * item.cut_steps for row, item in zip(rows, encoded, strict=True)]


def main(run: Path) -> None:
    """Print and record the F1 of the base's mark beside the shipped verifier's."""
    folder = RunFolder(run)
    validation = examples(list(read_records(folder.shard_path("dataset", 1), LabelledChain)), True)
    heldout = [c for path in folder.shards("export") for c in read_records(path, ScoredChain)]
    texts = [(e.question, e.steps) for e in validation] + [(c.question, c.steps) for c in heldout]
    scores = right_probabilities(texts)
    threshold = fit_threshold(scores[: len(validation)], [e.first_error for e in validation])
    mark = [predict_first_error(s, threshold) for s in scores[len(validation) :]]
    stats = folder.manifest("export").stats
    chains = [HeldoutChain(c.question, c.steps, c.truth, c.problem_id) for c in heldout]
    found = {"base_mark": asdict(f1_estimate(mark, chains, 1000, 0))}
    for name in ("verifier_4bit", "hybrid"):
        ours = [predict_first_error(c.scores[name], stats["thresholds"][name]) for c in heldout]
        found[name] = asdict(f1_estimate(ours, chains, 1000, 0))
        found[f"{name} - base_mark"] = asdict(f1_difference(ours, mark, chains, 1000, 0))
    for name, figure in found.items():
        value, low, high = (100 * figure[key] for key in ("value", "low", "high"))
        print(f"{name:28s} F1 {value:5.1f} [{low:.1f}, {high:.1f}]")
    print("written:", record("base_mark", f"python benchmarks/base_mark.py {run}", found))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("runs/quickstart"))
