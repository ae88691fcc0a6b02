"""TRL's side of `train_speed.py`, and what both sides share. Imports nothing of ours: it runs in TRL's own
environment."""

import json
import math
import sys
from pathlib import Path
from typing import Any

import torch


def arguments(given: dict[str, Any]) -> dict[str, Any]:
    """Training arguments that both sides share."""
    return {
        "output_dir": given["out"],
        "per_device_train_batch_size": given["batch_size"],
        "num_train_epochs": given["epochs"],
        "learning_rate": given["lr"],
        "lr_scheduler_type": "cosine",
        "optim": "adamw_torch_fused",
        "save_strategy": "no",
        "eval_strategy": "no",
        "logging_steps": 10,
        "report_to": "none",
        "disable_tqdm": True,
        "bf16": False,
        "use_cpu": given["gpus"] == 0,
        "dataloader_pin_memory": False,
        "seed": given["seed"],
    }


def draw_head(model: Any, seed: int) -> None:
    """The same first head on every side: at random, as `transformers` draws one."""
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        model.score.weight.normal_(0.0, model.config.initializer_range, generator=rng)
        if model.score.bias is not None:
            model.score.bias.zero_()


def timed(trainer: Any, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Train to the end; labelled steps and tokens (padding not counted) a second of training."""
    seconds = trainer.train().metrics["train_runtime"]
    epochs = trainer.args.num_train_epochs
    labelled = epochs * sum(label != -100 for row in rows for label in row["labels"])
    tokens = epochs * sum(len(row["input_ids"]) for row in rows)
    return {
        "seconds": round(seconds, 2),
        "optimiser_steps": trainer.state.global_step,
        "labelled_steps": int(labelled),
        "labelled_steps_per_second": round(labelled / seconds, 4),
        "tokens_per_second": round(tokens / seconds, 1),
        "train_losses": [entry["loss"] for entry in trainer.state.log_history if "loss" in entry],
    }


def validation_loss(model: Any, rows: list[dict[str, Any]], fill: int) -> float:
    """Mean cross-entropy a labelled step, row by row (no padding, no mask: nothing to differ in)."""
    total, count = 0.0, 0
    device = next(model.parameters()).device
    model.eval()
    for row in rows:
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([row["input_ids"]], device=device)).logits[0].float().cpu()
        labels = torch.tensor(row["labels"])
        total += float(torch.nn.functional.cross_entropy(logits, labels, ignore_index=-100, reduction="sum"))
        count += int((labels != -100).sum())
    return round(total / count, 5) if count else math.nan


def main() -> None:
    """`train_speed_trl.py SIDE JSON`: prints the figures as its last line."""
    from datasets import Dataset
    from peft import LoraConfig, TaskType
    from transformers import AutoModelForTokenClassification, AutoTokenizer
    from trl.experimental.prm import PRMConfig, PRMTrainer

    side, given = sys.argv[1], json.loads(sys.argv[2])
    torch.manual_seed(given["seed"])
    rows = json.loads(Path(given["rows"]).read_text())
    tokenizer = AutoTokenizer.from_pretrained(given["base"])
    model = AutoModelForTokenClassification.from_pretrained(given["base"], num_labels=2, dtype=torch.float32)
    draw_head(model, given["seed"])
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    more: dict[str, Any] = {}
    if side != "trl":
        more["train_sampling_strategy"] = "group_by_length"
    if side.endswith("no_checkpointing"):
        more["gradient_checkpointing"] = False
    trainer = PRMTrainer(
        model=model,
        args=PRMConfig(**arguments(given), **more),
        train_dataset=Dataset.from_list(rows["train"]),
        processing_class=tokenizer,
        peft_config=LoraConfig(
            task_type=TaskType.TOKEN_CLS, r=16, lora_alpha=32, lora_dropout=0.0,
            target_modules=given["lora"], modules_to_save=["score"],
        ),
    )  # fmt: skip
    found = timed(trainer, rows["train"])
    found["final_loss"] = validation_loss(trainer.model, rows["validation"], tokenizer.pad_token_id)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
