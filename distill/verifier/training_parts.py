"""What `Trainer` is fed and asked: encoded chains, batches, validation figures, progress."""

from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset
from transformers import (
    EvalPrediction,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from transformers.trainer_utils import EvalLoopOutput

from distill.verifier.calibrate import f1_at, fit_threshold, negative_log_likelihood, sigmoid
from distill.verifier.collate import Collator
from distill.verifier.data import IGNORED, first_error_of
from distill.verifier.losses import step_loss

Progress = Callable[[int, int, dict[str, float]], None]


class StepTrainer(Trainer):
    """`Trainer` whose loss is ours, a sum over the labelled steps of the whole optimiser step divided by
    their number. (Its own, for token classification, is a mean of each part that is then added up, so it
    grows with gradient accumulation and with the number of processes.) Validation is always padded."""

    contrast: float = 1.0

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, torch.Tensor],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:
        """Loss of one part of an optimiser step that has `num_items_in_batch` labelled steps."""
        asked = {name: value for name, value in inputs.items() if name not in TARGETS}
        outputs = model(**asked)
        count = num_items_in_batch if num_items_in_batch is not None else (inputs["labels"] != IGNORED).sum()
        loss = step_loss(outputs.logits, inputs, self.contrast) / count
        if self.args.average_tokens_across_devices and num_items_in_batch is not None:
            loss = loss * self.accelerator.num_processes  # the gradients are averaged over processes
        return (loss, outputs) if return_outputs else loss

    def evaluation_loop(self, *args: Any, **kwargs: Any) -> EvalLoopOutput:
        """Its loss is the mean a labelled step, not (as its own is) the mean of batches of other sizes."""
        found = super().evaluation_loop(*args, **kwargs)
        assert found.metrics is not None
        found.metrics["eval_loss"] = found.metrics.pop("eval_nll")
        return found

    def get_eval_dataloader(self, eval_dataset: str | Dataset | None = None) -> DataLoader:
        """Padded, one chain (or window of one) a row: the figures are per chain."""
        packed = self.data_collator
        assert isinstance(packed, Collator)
        self.data_collator = Collator(packed.fill)
        try:
            return super().get_eval_dataloader(eval_dataset)
        finally:
            self.data_collator = packed


TARGETS = ("labels", "soft", "evidence", "pairs", "places")
ASKED = ["labels", "places"]
"""What `first_error_metrics` is given of every validation row, in this order."""


def margins_of(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Logits [batch, length, 2] -> margin of "correct" [batch, length]; keeps evaluation small."""
    values = logits[0] if isinstance(logits, tuple) else logits
    return (values[..., 1] - values[..., 0]).float()


def first_error_metrics(prediction: EvalPrediction) -> dict[str, float]:
    """Mean cross-entropy a labelled step of determined chains, and first-error F1 at the threshold fitted to
    these very chains. Rows come in any order; the windows of a chain are put together again."""
    labels, places = cast(tuple[np.ndarray, np.ndarray], prediction.label_ids)
    chains: dict[int, tuple[list[float], list[int]]] = {}
    for index in np.lexsort(places.T[::-1]):
        scores, known = chains.setdefault(int(places[index, 0]), ([], []))
        at = labels[index] != IGNORED
        scores += np.asarray(prediction.predictions)[index][at].tolist()
        known += labels[index][at].tolist()
    scored = [sigmoid(np.array(row)).tolist() for row, _ in chains.values()]
    firsts = [first_error_of(row) for _, row in chains.values()]
    threshold = fit_threshold(scored, firsts)
    found = f1_at(scored, firsts, threshold)
    margins, truth = (np.concatenate(rows) for rows in zip(*chains.values()))
    return {
        "nll": negative_log_likelihood(margins, truth),
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
