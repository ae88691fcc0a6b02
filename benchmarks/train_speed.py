"""Labelled steps a second: our training against the last public PRM trainer, TRL 1.13.0's.

Same base, same LoRA, same precision (float32), same rows of token ids and labels, same batch size, optimiser,
schedule and number of optimiser steps; each side in a process of its own, TRL in an environment of its
own (pip install trl==1.13.0 torch==2.13.0). Both end with the same measurement: the mean cross-entropy a
labelled step on the same validation rows. Rows end at the first error, whose label is the last.

    python benchmarks/train_speed.py --data FOLDER/step_labels --base FOLDER --trl-python PYTHON
        [--chains 400] [--batch-size 8] [--epochs 1] [--sides trl,trl_grouped,ours]
        [--repeats 3] [--name train_speed_gpu]
    --repeats: as many seeds a side (of the head, the adapters and the order of chains), so that final losses
    have a noise to be equal within; speed is the median of a side. All sides begin with the same head, drawn
    at random as TRL's is (`distill train` begins it at zero, or fits it)
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import mean, median, stdev
from typing import Any

from record import record

SIDES = ("trl", "trl_grouped", "trl_grouped_no_checkpointing", "ours_padded", "ours")
LORA = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def write_rows(data: Path, base: str, chains: int, limit: int, target: Path) -> None:
    """Training and validation rows as our encoder makes them, for every side alike."""
    from distill.dataset.build import split_by_problem
    from distill.dataset.imports import SourceSettings, load_source
    from distill.verifier import ChainFormat, examples
    from distill.verifier.encoded_set import encode_set
    from distill.verifier.model import load_tokenizer

    found, _ = load_source(SourceSettings(path=str(data), split="train"))
    train, validation = split_by_problem(found, 0.1, 0)
    tokenizer = load_tokenizer(base)
    rows = {}
    for name, items in (
        ("train", train[:: max(1, len(train) // chains)][:chains]),
        ("validation", validation[:64]),
    ):
        rows[name] = list(encode_set(tokenizer, examples(items, True), ChainFormat(), limit).rows)
    target.write_text(json.dumps(rows), encoding="utf-8")


def run_ours(given: dict[str, Any], packed: bool) -> dict[str, Any]:
    """Our trainer: chains of like length in a batch, packed."""
    import torch
    from peft import get_peft_model
    from train_speed_trl import arguments, draw_head, timed, validation_loss
    from transformers import PrinterCallback, TrainingArguments

    from distill.config import LoraSettings
    from distill.verifier.collate import Collator
    from distill.verifier.data import pad_id
    from distill.verifier.fused_lora import fused_lora
    from distill.verifier.model import load_classifier, load_tokenizer, lora_config, pick_device
    from distill.verifier.training_parts import StepTrainer

    torch.manual_seed(given["seed"])
    rows = json.loads(Path(given["rows"]).read_text())
    fill = pad_id(load_tokenizer(given["base"]))
    classifier = load_classifier(given["base"], False, pick_device(given["gpus"]))
    draw_head(classifier, given["seed"])
    model = get_peft_model(classifier, lora_config(LoraSettings()))
    asked = TrainingArguments(
        **arguments(given), train_sampling_strategy="group_by_length", remove_unused_columns=False,
        label_names=["labels"],
    )  # fmt: skip
    trainer = StepTrainer(model, asked, Collator(fill, packed), train_dataset=rows["train"])
    trainer.remove_callback(PrinterCallback)
    with fused_lora(model):
        found = timed(trainer, rows["train"])
    return found | {"final_loss": validation_loss(trainer.model, rows["validation"], fill)}


def run_side(side: str, given: dict[str, Any], trl_python: str) -> dict[str, Any]:
    """One side in its own process; what it printed last is its figures."""
    here = Path(__file__).parent
    asked = json.dumps(given)
    program = [trl_python, str(here / "train_speed_trl.py"), side, asked]
    if side.startswith("ours"):
        program = [sys.executable, str(here / "train_speed.py"), "--side", side, "--given", asked]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{side} failed:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def loss_summary(losses: list[float]) -> dict[str, float]:
    """Mean final loss over the seeds and its standard deviation (0 for one seed)."""
    return {"mean": mean(losses), "deviation": stdev(losses) if len(losses) > 1 else 0.0}


def main() -> None:
    """Run the sides one after the other, print the table, write benchmarks/results/NAME.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--base", default="")
    parser.add_argument("--trl-python", default=".venv-trl/bin/python")
    parser.add_argument("--chains", type=int, default=400)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--max-length", type=int, default=512)
    parser.add_argument("--epochs", type=float, default=1)
    parser.add_argument("--gpus", type=int, default=0)
    parser.add_argument("--sides", default=",".join(SIDES))
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--name", default="train_speed")
    parser.add_argument("--side", help=argparse.SUPPRESS)
    parser.add_argument("--given", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.side:
        print(json.dumps(run_ours(json.loads(given.given), given.side == "ours")))
        return
    with tempfile.TemporaryDirectory() as folder:
        rows = Path(folder) / "rows.json"
        write_rows(given.data, given.base, given.chains, given.max_length, rows)
        common = {"rows": str(rows), "base": given.base, "batch_size": given.batch_size, "gpus": given.gpus,
                  "epochs": given.epochs, "lora": LORA, "out": folder, "lr": 2e-4}  # fmt: skip
        found = {side: [] for side in given.sides.split(",")}
        for seed in range(given.repeats):  # sides in turn, so that a slower hour is everyone's
            for side in found:
                found[side].append(run_side(side, common | {"seed": seed}, given.trl_python))
                print(f"{side:30} seed {seed} {json.dumps(found[side][-1])}", flush=True)
    rate = {side: median(r["labelled_steps_per_second"] for r in runs) for side, runs in found.items()}
    theirs = [side for side in rate if side.startswith("trl") and "ours" in rate]
    ratios = {f"ours / {side}": round(rate["ours"] / rate[side], 3) for side in theirs}
    print("\n".join(f"{name}: {value}" for name, value in ratios.items()))
    losses = {side: loss_summary([run["final_loss"] for run in runs]) for side, runs in found.items()}
    for side, item in losses.items():
        print(f"{side:30} final loss {item['mean']:.4f}, standard deviation {item['deviation']:.4f}")
    shown = {
        "chains": given.chains,
        "repeats": given.repeats,
        "batch_size": given.batch_size,
        "epochs": given.epochs,
    }
    shown["base"] = Path(given.base).name
    figures = {"sides": found, "ratios": ratios, "final_loss": losses}
    print(record(given.name, " ".join(["python", *sys.argv]), shown | figures))


if __name__ == "__main__":
    main()
