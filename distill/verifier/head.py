"""The head before the adapters: a logistic regression on what the frozen base already knows of a step.

"Fine-Tuning can Distort Pretrained Features and Underperform Out-of-Distribution" (arXiv 2202.10054): a
head fitted first, adapters trained from there (LP-FT). From a head of zero the adapters learn nothing until
the head has turned, and the first updates bend features towards an arbitrary direction.

Then the head stays as it is. Where hidden states are large its gradients are several times those of the
adapters and leave them little when all are clipped together (figures: docs/log.md).
"""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import cast

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence
from transformers import EvalPrediction, PreTrainedModel

from distill.verifier.batching import cuts
from distill.verifier.collate import Collator, Row
from distill.verifier.data import IGNORED, pad
from distill.verifier.encoded_set import EncodedSet
from distill.verifier.model import HEAD
from distill.verifier.training_parts import first_error_metrics

PENALTIES = (1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001)
"""Weights of half the squared norm against the mean loss, tried in this order."""
MAX_STEPS = 50_000
"""Labelled steps that the head is fitted on; of more, rows spread evenly over the set."""
MAX_ITERATIONS = 200

Fitting = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class HeadFit:
    """What the head was fitted on: labelled steps, the penalty that validation chose, and the mean
    cross-entropy a labelled validation step before any adapter was trained. `figures` (`eval_f1`, ...) are
    those of a validation at that time."""

    steps: int
    penalty: float
    validation_loss: float
    figures: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Features:
    """Hidden states at the ends of S labelled steps [S, hidden] in float32, P(correct) that each is to be
    given [S], and its weight [S]."""

    hidden_SH: Tensor
    target_S: Tensor
    weight_S: Tensor


def fit_head(
    model: PreTrainedModel,
    train: EncodedSet,
    validation: EncodedSet,
    at_once: int,
    fill: int,
    mixed: bool,
    fitting: Fitting = lambda done, total: None,
) -> HeadFit | None:
    """Set the head of a fresh classifier to the penalised logistic regression of the training labels on the
    base's hidden states; of `PENALTIES` the one with the least loss on the validation steps.

    One pass without gradients over the training rows, `at_once` a time, shared by the processes that train
    together. `fitting(rows done, rows in all)` is called some twenty times. None, and the head as it was,
    where the labels are of one kind.
    """
    shown, known = _spread(list(train.all_rows())), list(validation.all_rows())
    total = len(shown) + len(known)
    told = 0

    def tell(done: int) -> None:
        nonlocal told
        if done >= min(total, told + total / 20):
            told = done
            fitting(done, total)

    with _frozen(model, mixed):
        learnt = features(model, shown, at_once, fill, tell)
        held = features(model, known, at_once, fill, lambda done: tell(len(shown) + done))
    if not 0 < float(learnt.target_S.mean()) < 1:
        return None
    weight_H, bias, found = _best(learnt, held)
    found = replace(found, figures=_figures(held.hidden_SH @ weight_H + bias, known))
    head = cast(nn.Linear, getattr(model, HEAD))
    with torch.no_grad():
        head.weight.copy_(torch.stack([-weight_H / 2, weight_H / 2]))
        head.bias.copy_(torch.stack([-bias / 2, bias / 2]))
    return found


def _figures(margins_S: Tensor, rows: Sequence[Row]) -> dict[str, float]:
    """Validation figures by the margins of the labelled steps of `rows`, in the order of `features`. Rows
    without a `place` are a chain each."""
    ordered = [rows[i] for i in _by_length(rows)]
    labels = [[label for label in row["labels"] if label != IGNORED] for row in ordered]
    margins = margins_S.split([len(own) for own in labels])
    places = np.array([row.get("place", (i, 0)) for i, row in enumerate(ordered)])
    shown = pad_sequence(list(margins), batch_first=True).numpy()
    told = EvalPrediction(shown, cast(tuple[np.ndarray], (pad(labels, IGNORED).numpy(), places)))
    found = first_error_metrics(told)
    return {f"eval_{'loss' if name == 'nll' else name}": float(value) for name, value in found.items()}


def keep_head(head: nn.Linear, fit: HeadFit, path: Path) -> None:
    """Write the fitted head to `path`, whole or not at all: a training that dies after it need not read all
    chains again."""
    weights = {name: given.detach().contiguous() for name, given in head.named_parameters()}
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    save_file(weights, partial, metadata={"fit": json.dumps(asdict(fit))})
    os.replace(partial, path)


def kept_head(model: PreTrainedModel, path: Path) -> HeadFit | None:
    """Put the head that `keep_head` wrote into `model`; None, and the head as it was, where there is none."""
    if not path.exists():
        return None
    getattr(model, HEAD).load_state_dict(load_file(path))
    with safe_open(path, "pt") as kept:
        return HeadFit(**json.loads(kept.metadata()["fit"]))


def is_trained(model: PreTrainedModel) -> bool:
    """Whether the head came with the base. (A fresh one is all zeros.)"""
    return bool(getattr(model, HEAD).weight.any())


def features(
    model: PreTrainedModel, rows: Sequence[Row], at_once: int, fill: int, done: Callable[[int], None]
) -> Features:
    """Hidden states that the head is given at every labelled step of `rows`, from all processes together."""
    order = _by_length(rows)
    batches = cuts([len(rows[i]["input_ids"]) for i in order], at_once)
    ranks, rank = _processes()
    found: dict[int, list[Tensor]] = {}
    collate, device = Collator(fill), model.device
    for number, (begin, end) in enumerate(batches):
        if number % ranks != rank:
            continue
        batch = collate([_alone(rows[i]) for i in order[begin:end]])
        hidden = _given_to_head(model, batch["input_ids"].to(device))
        at = batch["labels"] != IGNORED
        target = batch.get("soft", batch["labels"].float())[at]
        found[begin] = [
            hidden[at.to(device)].float().cpu(),
            target,
            batch.get("evidence", torch.ones(at.shape))[at],
        ]
        done(end)
    parts = [part for _, part in sorted(_gathered(found).items())]
    return Features(*(torch.cat(column) for column in zip(*parts, strict=True)))


def _by_length(rows: Sequence[Row]) -> list[int]:
    return sorted(range(len(rows)), key=lambda i: len(rows[i]["input_ids"]))


def _alone(row: Row) -> Row:
    return {name: value for name, value in row.items() if name in ("input_ids", "labels", "soft", "evidence")}


def _spread(rows: list[Row]) -> list[Row]:
    """Rows with about `MAX_STEPS` labels in all, evenly spread."""
    labels = sum(label != IGNORED for row in rows for label in row["labels"])
    return rows[:: max(1, -(-labels // MAX_STEPS))]


def _given_to_head(model: PreTrainedModel, input_ids: Tensor) -> Tensor:
    """The head's input [rows, length, hidden] of ids [rows, length], whatever is done before."""
    seen: list[Tensor] = []
    hook = getattr(model, HEAD).register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    try:
        model(input_ids=input_ids)
    finally:
        hook.remove()
    return seen[0]


@contextmanager
def _frozen(model: PreTrainedModel, mixed: bool) -> Iterator[None]:
    """Without dropout and gradients, as precise as training will be."""
    training = model.training
    model.eval()
    try:
        with torch.no_grad(), torch.autocast(model.device.type, torch.bfloat16, enabled=mixed):
            yield
    finally:
        model.train(training)


def _best(learnt: Features, held: Features) -> tuple[Tensor, Tensor, HeadFit]:
    """Weights [hidden] and bias of the margin, by the penalty with the least loss on `held`."""
    mean_H = learnt.hidden_SH.mean(0)
    scale_H = learnt.hidden_SH.std(0).clamp_min(1e-6)
    standard_SH = (learnt.hidden_SH - mean_H) / scale_H
    weight_H, bias = torch.zeros_like(mean_H), torch.zeros(())
    best: tuple[Tensor, Tensor, HeadFit] | None = None
    for penalty in PENALTIES:
        weight_H, bias = _regression(standard_SH, learnt, penalty, weight_H, bias)
        raw_H = weight_H / scale_H
        raw_bias = bias - raw_H @ mean_H
        loss = float(_loss(held.hidden_SH @ raw_H + raw_bias, held))
        if best is None or loss < best[2].validation_loss:
            best = raw_H, raw_bias, HeadFit(len(learnt.target_S), penalty, loss)
        elif loss > 1.05 * best[2].validation_loss:
            break
    assert best is not None
    return best


def _regression(
    standard_SH: Tensor, learnt: Features, penalty: float, weight_H: Tensor, bias: Tensor
) -> tuple[Tensor, Tensor]:
    """L-BFGS from a start [hidden] and bias to the least mean loss + penalty / 2 |weight|^2."""
    weight_H, bias = weight_H.clone().requires_grad_(), bias.clone().requires_grad_()
    solver = torch.optim.LBFGS([weight_H, bias], max_iter=MAX_ITERATIONS, line_search_fn="strong_wolfe")

    def objective() -> Tensor:
        solver.zero_grad()
        value = _loss(standard_SH @ weight_H + bias, learnt) + penalty / 2 * weight_H.square().sum()
        value.backward()
        return value

    with torch.enable_grad():
        solver.step(objective)
    return weight_H.detach(), bias.detach()


def _loss(margins_S: Tensor, of: Features) -> Tensor:
    """Weighted mean cross-entropy a step."""
    losses_S = F.binary_cross_entropy_with_logits(margins_S, of.target_S, reduction="none")
    return (of.weight_S * losses_S).sum() / of.weight_S.sum()


def _processes() -> tuple[int, int]:
    """How many train together, and which this one is."""
    if not torch.distributed.is_initialized():
        return 1, 0
    return torch.distributed.get_world_size(), torch.distributed.get_rank()


def _gathered(own: dict[int, list[Tensor]]) -> dict[int, list[Tensor]]:
    """What all processes found, at each of them."""
    ranks, _ = _processes()
    if ranks == 1:
        return own
    parts: list[dict[int, list[Tensor]]] = [{}] * ranks
    torch.distributed.all_gather_object(parts, own)
    return {begin: part for found in parts for begin, part in found.items()}
