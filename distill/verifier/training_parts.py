"""What `Trainer` is fed and asked: encoded chains, batches, validation figures, progress."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset
from transformers import (
    EvalPrediction,
    PreTrainedTokenizerBase,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from distill.verifier.calibrate import f1_at, fit_threshold, sigmoid
from distill.verifier.data import (
    IGNORED,
    ChainFormat,
    Encoded,
    Example,
    attention_mask,
    encode,
    first_error_of,
    pad,
    pad_id,
)

Row = dict[str, list[int]]
Progress = Callable[[int, int, dict[str, float]], None]


@dataclass(frozen=True)
class EncodedSet(Dataset):
    """Encoded examples with at least one label; `truncated_steps` labelled steps were cut off."""

    rows: tuple[Row, ...]
    first_errors: tuple[int | None, ...]
    truncated_steps: int

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Row:
        return self.rows[index]

    @property
    def tokens(self) -> int:
        """Tokens of all rows, padding not counted."""
        return sum(len(row["input_ids"]) for row in self.rows)

    @property
    def both_kinds(self) -> bool:
        """Whether there are chains with and chains without an error."""
        known = [first for first in self.first_errors if first is not None]
        return any(first >= 0 for first in known) and any(first < 0 for first in known)

    def determined(self) -> "EncodedSet":
        """Only the chains whose first error is known: those that first-error F1 is about."""
        kept = [(row, first) for row, first in zip(self.rows, self.first_errors) if first is not None]
        rows, firsts = zip(*kept) if kept else ((), ())
        return replace(self, rows=tuple(rows), first_errors=tuple(firsts))


def encode_set(
    tokenizer: PreTrainedTokenizerBase, items: Sequence[Example], chain_format: ChainFormat, limit: int
) -> EncodedSet:
    """Encode examples within `limit` tokens; a chain left without any label is dropped."""
    rows, firsts, truncated = [], [], 0
    for item in items:
        encoded = encode(tokenizer, item.question, item.steps, chain_format, limit)
        seen = item.labels[: len(encoded.ends)]
        truncated += sum(label != IGNORED for label in item.labels[len(seen) :])
        if any(label != IGNORED for label in seen):
            rows.append(_row(encoded, seen))
            firsts.append(_first_error(item, seen))
    return EncodedSet(tuple(rows), tuple(firsts), truncated)


def _first_error(item: Example, seen: Sequence[int]) -> int | None:
    """The chain's first error when it lies within what was seen; a cut chain is never called correct."""
    first = first_error_of(seen)
    return first if first != -1 or len(seen) == len(item.labels) else None


def _row(encoded: Encoded, labels: Sequence[int]) -> Row:
    """Ids and labels up to the last label: in a causal model what follows it cannot change the loss."""
    last = max(index for index, label in enumerate(labels) if label != IGNORED)
    ids = list(encoded.ids[: encoded.ends[last] + 1])
    targets = [IGNORED] * len(ids)
    for end, label in zip(encoded.ends[: last + 1], labels):
        targets[end] = label
    return {"input_ids": ids, "labels": targets}


def collate(tokenizer: PreTrainedTokenizerBase) -> Callable[[list[Row]], dict[str, torch.Tensor]]:
    """Rows -> int64 tensors [batch, longest of the batch]."""
    fill = pad_id(tokenizer)

    def batch(rows: list[Row]) -> dict[str, torch.Tensor]:
        ids = [row["input_ids"] for row in rows]
        labels = pad([row["labels"] for row in rows], IGNORED)
        return {"input_ids": pad(ids, fill), "attention_mask": attention_mask(ids), "labels": labels}

    return batch


def margins_of(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Logits [batch, length, 2] -> margin of "correct" [batch, length]; keeps evaluation small."""
    values = logits[0] if isinstance(logits, tuple) else logits
    return (values[..., 1] - values[..., 0]).float()


def first_error_metrics(prediction: EvalPrediction) -> dict[str, float]:
    """First-error F1 of determined chains at the threshold that is best for these very chains."""
    labels = prediction.label_ids
    at_step = [row != IGNORED for row in labels]
    scores = [sigmoid(row[at]).tolist() for row, at in zip(np.asarray(prediction.predictions), at_step)]
    truth = [first_error_of(row[at].tolist()) for row, at in zip(labels, at_step)]
    threshold = fit_threshold(scores, truth)
    found = f1_at(scores, truth, threshold)
    return {
        "f1": found.f1,
        "accuracy_erroneous": found.accuracy_erroneous,
        "accuracy_correct": found.accuracy_correct,
        "threshold": threshold,
    }


class ProgressCallback(TrainerCallback):
    """Hands every logged point to the caller; holds its callback."""

    def __init__(self, on_progress: Progress) -> None:
        self.on_progress = on_progress

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Called by the trainer at every logged point."""
        self.on_progress(state.global_step, state.max_steps, _point(logs or {}))


CURVE_KEYS = ("epoch", "loss", "learning_rate", "grad_norm", "eval_loss", "eval_f1", "eval_threshold")
ACCURACIES = ("eval_accuracy_erroneous", "eval_accuracy_correct")


def read_curve(log_history: Sequence[dict[str, Any]]) -> list[dict[str, float]]:
    """The trainer's log without its summary line and its timings."""
    points = [{"step": float(entry["step"]), **_point(entry)} for entry in log_history]
    return [point for point in points if "loss" in point or "eval_loss" in point]


def _point(entry: dict[str, Any]) -> dict[str, float]:
    return {key: float(entry[key]) for key in (*CURVE_KEYS, *ACCURACIES) if key in entry}


def fast_bfloat16(device: torch.device) -> bool:
    """Whether mixed precision pays: on a GPU with bfloat16, and on a CPU with instructions for it
    (AVX512-BF16 or AMX), where it halves the time of a step; elsewhere bfloat16 is emulated."""
    if device.type != "cpu":
        return torch.cuda.is_bf16_supported()
    capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
