"""Train a small Llama from scratch on the exact world, on a CPU.

Muon for the hidden matrices (Jordan et al. 2024, as shipped in `torch.optim`), AdamW for the rest,
a warm-up and a linear decay. Documents are sorted by length within a pool, so that little is padding.
A checkpoint is written every few minutes, and the same command goes on from it.
"""

import json
import math
import multiprocessing
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, smooth_l1_loss
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from distill.config import PretrainSettings
from distill.errors import RecipeError
from generators.tiny.corpus import MARK, Document, documents
from generators.tiny.tokenizer import train_tokenizer
from generators.weights import resolve_model

POOL_BATCHES = 32
TOKENIZER_DOCUMENTS = 4000
HELDOUT_DOCUMENTS = 1024
CHECKPOINT = "checkpoint.pt"
CHECKPOINT_SECONDS = 120.0
MEETING_POINT = "processes"  # the file through which the processes of a training find each other
WIDTH_STEP = 16
"""Batches are as wide as a multiple of this: few shapes, so that freed memory is used again."""

NO_STEP = -1
LEAST_LOGPROB = -8.0
PROBE, RECALL = "surprise", "recall"
"""Parameters that surprise, and the token itself, are read off; they serve the training and are not saved."""
Z_WEIGHT, RECALL_WEIGHT = 0.02, 0.2
"""Weights of the two conditions of telling surprise (see `surprise_loss`), beside `surprise_weight`."""
SHAPE = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "vocab_size")

Row = tuple[list[int], list[float], list[int]]
Batch = tuple[Tensor, Tensor, Tensor]


def build(settings: PretrainSettings) -> tuple[LlamaForCausalLM, PreTrainedTokenizerFast]:
    """Model and tokenizer to train: fresh ones, or those of `settings.start`.

    Raises:
        RecipeError: `settings.start` has another shape than the recipe says, or no block lies between
            the exit layer and the last to tell surprise.
    """
    if settings.surprise_weight and not 0 < settings.exit_layer < settings.layers - 1:
        raise RecipeError(
            f"surprise_weight: expected an exit_layer with two blocks above it (1 to {settings.layers - 2}), "
            f"found {settings.exit_layer} of {settings.layers}; lower exit_layer or leave surprise_weight out"
        )
    if not settings.start:
        texts = (doc.text for doc in islice(documents(settings, "train"), TOKENIZER_DOCUMENTS))
        tokenizer = train_tokenizer(texts, settings.vocab_size)
        torch.manual_seed(settings.seed)
        return LlamaForCausalLM(_config(settings, tokenizer)), tokenizer
    folder = resolve_model(settings.start)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    model = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32)
    wanted = _config(settings, tokenizer)
    differing = [name for name in SHAPE if getattr(wanted, name) != getattr(model.config, name)]
    if differing:
        found = ", ".join(f"{name} {getattr(model.config, name)}" for name in differing)
        raise RecipeError(f"start: expected a model of the recipe's own shape, found {found} in {folder}")
    return model, tokenizer


def _config(settings: PretrainSettings, tokenizer: PreTrainedTokenizerFast) -> LlamaConfig:
    """A Llama with tied embeddings."""
    return LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=settings.hidden_size,
        intermediate_size=settings.intermediate_size,
        num_hidden_layers=settings.layers,
        num_attention_heads=settings.heads,
        num_key_value_heads=settings.heads,
        max_position_embeddings=settings.context,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


def encode_document(tokenizer: PreTrainedTokenizerFast, doc: Document) -> Row:
    """Token ids, loss weights and doubts (1 the step has gone wrong, 0 not, -1 no step), closed by the end
    token. Pieces end where the tokenizer always splits (newlines, before a blank), so encoding them apart
    is encoding them whole."""
    ids: list[int] = []
    weights: list[float] = []
    doubts: list[int] = []
    encoded = tokenizer([piece.text for piece in doc.pieces], add_special_tokens=False)["input_ids"]
    for piece_ids, piece in zip(encoded, doc.pieces, strict=True):
        ids += piece_ids
        weights += [piece.weight] * len(piece_ids)
        doubts += [NO_STEP if piece.wrong is None else int(piece.wrong)] * len(piece_ids)
    return [*ids, tokenizer.eos_token_id], [*weights, 1.0], [*doubts, NO_STEP]


def mark_token(tokenizer: PreTrainedTokenizerFast) -> int:
    """Id of the token that a mark begins with."""
    return int(tokenizer(MARK, add_special_tokens=False)["input_ids"][0])


def newline_token(tokenizer: PreTrainedTokenizerFast) -> int:
    """Id of the line's end, always a token of its own."""
    return int(tokenizer("\n", add_special_tokens=False)["input_ids"][0])


def batches(tokenizer: PreTrainedTokenizerFast, docs: Iterator[Document], size: int) -> Iterator[Batch]:
    """Padded ids, weights and doubts [size, T], documents of like length together, in random order."""
    order = torch.Generator().manual_seed(0)
    while True:
        pool = [encode_document(tokenizer, doc) for doc in islice(docs, POOL_BATCHES * size)]
        pool.sort(key=lambda row: len(row[0]))
        for index in torch.randperm(POOL_BATCHES, generator=order).tolist():
            yield collate(pool[index * size : (index + 1) * size], tokenizer.pad_token_id)


def collate(rows: list[Row], pad: int) -> Batch:
    """Right-padded ids, weights and doubts, each [B, T]; padding weighs nothing."""
    width = -(-max(len(ids) for ids, _, _ in rows) // WIDTH_STEP) * WIDTH_STEP
    fill = (pad, 0.0, NO_STEP)
    ids, weights, doubts = (
        torch.tensor([row[i] + [fill[i]] * (width - len(row[i])) for row in rows]) for i in range(3)
    )
    return ids, weights, doubts


def training_loss(
    model: LlamaForCausalLM, batch: Batch, settings: PretrainSettings, mark: int, newline: int
) -> Tensor:
    """Cross-entropy of the next token, averaged by weight; logits only where it weighs.

    With `exit_layer`, the same again read off after that many layers is added. With `doubt_weight`, so is
    the binary cross-entropy of "this step has gone wrong" at every token of a step, read off as the logit
    of the token `mark`: what a mark at the step's end says, at the very token that earns it. With
    `surprise_weight`, so is `surprise_loss`.
    """
    ids, weights, doubts = batch
    target, weight, doubt = ids[:, 1:], weights[:, 1:], doubts[:, :-1]
    chosen, asked = weight > 0, doubt >= 0
    with torch.autocast("cpu", dtype=torch.bfloat16):  # 1.6 times fp32 on AVX-512 BF16
        states = model.model(input_ids=ids[:, :-1], output_hidden_states=settings.exit_layer > 0)
        last = states.last_hidden_state  # [B, T-1, H]
        read = [last]
        if settings.exit_layer:
            read.append(model.model.norm(states.hidden_states[settings.exit_layer]))
        logits = [model.lm_head(hidden[chosen]) for hidden in read]  # [chosen, V] each
        suspicion = last[asked] @ model.lm_head.weight[mark]  # [asked]
    losses = sum(cross_entropy(each.float(), target[chosen], reduction="none") for each in logits)
    loss = (losses * weight[chosen]).sum() / weight.sum()
    if settings.doubt_weight and asked.any():
        truth = doubt[asked].float()
        loss = loss + settings.doubt_weight * binary_cross_entropy_with_logits(suspicion.float(), truth)
    if settings.surprise_weight:
        exited = states.hidden_states[settings.exit_layer : settings.exit_layer + 2]
        predicted, above = (model.model.norm(hidden) for hidden in exited)
        told = surprise_loss(model, ids[:, :-1], predicted, above, last, newline)
        loss = loss + settings.surprise_weight * told
    return loss


def surprise_loss(
    model: LlamaForCausalLM, ids: Tensor, predicted: Tensor, above: Tensor, last: Tensor, newline: int
) -> Tensor:
    """Error of telling how likely each token was by the prediction before it (smooth L1, nats).

    `predicted`, `above` and `last` are the normed hidden states [B, T, H] of the exit layer, the block above
    it and the last block. The block above tells of each token, the last one of the line so far. That is a
    product of the prediction before a token and the token, once two conditions hold, which are asked for
    too: a logit is a log-probability (the normaliser is 0: the z-loss of PaLM, arXiv 2204.02311, section 5),
    and the exit layer still knows which token it stands on.
    """
    seen = ids != model.config.pad_token_id
    probe, recall = model.get_parameter(PROBE), model.get_parameter(RECALL)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        told = torch.stack([above @ probe[0], last @ probe[1]]).float()
        logits = model.lm_head(predicted)
        recalled = model.lm_head(predicted[seen] @ recall)
    true = torch.stack(surprises(logits.detach().float(), ids, newline))
    normaliser = logits[seen].float().logsumexp(-1)
    return (
        smooth_l1_loss(told[:, seen], true[:, seen])
        + Z_WEIGHT * normaliser.square().mean()
        + RECALL_WEIGHT * cross_entropy(recalled.float(), ids[seen])
    )


@torch.no_grad()
def surprises(logits: Tensor, ids: Tensor, newline: int) -> tuple[Tensor, Tensor]:
    """How likely each token was by the prediction before it, and the mean of that over its line so far.

    `logits` [B, T, V] predict the tokens after `ids` [B, T]; natural logarithms [B, T], cut off at
    `LEAST_LOGPROB`; 0 for the first token, which nothing predicts.
    """
    logprobs = logits[:, :-1].log_softmax(-1)
    each = logprobs.gather(-1, ids[:, 1:, None])[..., 0].clamp(min=LEAST_LOGPROB)
    each = torch.nn.functional.pad(each, (1, 0))
    place = torch.arange(ids.shape[1]).expand_as(ids)
    ended = torch.nn.functional.pad((ids == newline)[:, :-1], (1, 0))  # the line before ended here
    begin = torch.where(ended, place, 0).cummax(1).values
    upto = each.cumsum(1)
    before = torch.where(begin > 0, upto.gather(1, (begin - 1).clamp(min=0)), 0.0)
    return each, (upto - before) / (place - begin + 1)


def optimisers(model: nn.Module, settings: PretrainSettings) -> list[torch.optim.Optimizer]:
    """Muon for the matrices inside the blocks, AdamW for embeddings and norms."""
    trained = list(model.named_parameters())
    matrices = [p for n, p in trained if p.ndim == 2 and "layers" in n]
    others = [p for n, p in trained if not (p.ndim == 2 and "layers" in n)]
    muon = torch.optim.Muon(matrices, lr=settings.muon_lr, weight_decay=0.01, momentum=0.95)
    adam = torch.optim.AdamW(others, lr=settings.adam_lr, betas=(0.9, 0.95), weight_decay=0.0)
    for group in (*muon.param_groups, *adam.param_groups):
        group["initial_lr"] = group["lr"]
    return [muon, adam]


def schedule(step: int, settings: PretrainSettings) -> float:
    """Share of the peak learning rate at a step: warm-up, flat, linear decay from 40% of the steps."""
    warm = step / max(settings.warmup_steps, 1) + 1e-3
    return min(1.0, warm, max(0.0, (1.0 - step / settings.steps) / 0.6))


def pretrain(settings: PretrainSettings, folder: Path, say: Any = print) -> dict[str, float]:
    """Train to `settings.steps` and save model and tokenizer (bf16 safetensors) in `folder`.

    `settings.processes` share every step: on small models that is faster than as many threads.

    Returns:
        Figures of the run: held-out loss, tokens seen, seconds.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MEETING_POINT).unlink(missing_ok=True)
    context = multiprocessing.get_context("spawn")
    others = [
        context.Process(target=_train, args=(settings, folder, rank), daemon=True)
        for rank in range(1, settings.processes)
    ]
    for process in others:
        process.start()
    model, tokenizer, state = _train(settings, folder, 0, say)
    figures = {"loss": heldout_loss(model, tokenizer, settings), "tokens": state["tokens"]}
    figures |= {
        "seconds": state["seconds"],
        "parameters": sum(p.numel() for n, p in model.named_parameters() if n not in (PROBE, RECALL)),
    }
    save_model(model, tokenizer, folder, figures)
    for leftover in (CHECKPOINT, MEETING_POINT):
        (folder / leftover).unlink(missing_ok=True)
    return figures


def _train(
    settings: PretrainSettings, folder: Path, rank: int, say: Any = None
) -> tuple[LlamaForCausalLM, PreTrainedTokenizerFast, dict[str, Any]]:
    """One process of a training: its share of the documents, gradients averaged over all processes."""
    torch.set_num_threads(settings.threads)
    world = settings.processes
    if world > 1:
        dist.init_process_group(
            "gloo", init_method=f"file://{(folder / MEETING_POINT).absolute()}", rank=rank, world_size=world
        )
    model, tokenizer = build(settings)
    _prepare(model, settings)
    mark, newline = mark_token(tokenizer), newline_token(tokenizer)
    state = _resume(folder, model, opts := optimisers(model, settings))
    mine = documents(settings, "train", state["documents"] + rank, world)
    stream = batches(tokenizer, mine, settings.batch_size // world)
    started = last_saved = time.monotonic()
    while state["step"] < settings.steps:
        share = schedule(state["step"], settings)
        loss, tokens = _train_step(model, opts, next(stream), settings, mark, newline, share)
        state["step"] += 1
        state["tokens"] += tokens * world
        state["documents"] += settings.batch_size
        if rank == 0 and state["step"] % 50 == 0:
            _report(say, state, settings.steps, loss, time.monotonic() - started)
        if rank == 0 and time.monotonic() - last_saved > CHECKPOINT_SECONDS:
            last_saved = time.monotonic()
            _checkpoint(folder, model, opts, state | {"seconds": state["seconds"] + last_saved - started})
    state["seconds"] += time.monotonic() - started
    if world > 1:
        dist.destroy_process_group()
    return model, tokenizer, state


def _prepare(model: LlamaForCausalLM, settings: PretrainSettings) -> None:
    """Add what surprise is read off, compile: as the recipe asks."""
    if settings.surprise_weight:
        model.register_parameter(PROBE, nn.Parameter(torch.zeros(2, settings.hidden_size)))
        model.register_parameter(RECALL, nn.Parameter(torch.eye(settings.hidden_size)))
    if settings.compile:
        model.set_attn_implementation("eager")  # fuses, and the CPU kernel of the other is slow backwards
        for block in model.model.layers:
            block.compile(dynamic=True)


def _train_step(
    model: LlamaForCausalLM,
    opts: list[torch.optim.Optimizer],
    batch: Batch,
    settings: PretrainSettings,
    mark: int,
    newline: int,
    share: float,
) -> tuple[float, int]:
    for opt in opts:
        for group in opt.param_groups:
            group["lr"] = group["initial_lr"] * share
    loss = training_loss(model, batch, settings, mark, newline)
    loss.backward()
    if settings.processes > 1:
        _average_gradients(model)
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    for opt in opts:
        opt.step()
        opt.zero_grad(set_to_none=True)
    return float(loss.detach()), batch[0].numel()


def _average_gradients(model: nn.Module) -> None:
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    dist.all_reduce(flat)
    flat /= dist.get_world_size()
    for gradient, mean in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(mean.view_as(gradient))


def _report(say: Any, state: dict[str, Any], steps: int, loss: float, seconds: float) -> None:
    rate = state["tokens"] / max(state["seconds"] + seconds, 1e-9)
    left = (steps - state["step"]) * (state["seconds"] + seconds) / state["step"]
    say(f"step {state['step']}/{steps}  loss {loss:.4f}  {rate:,.0f} tokens/s  {left / 60:.1f} min left")


def _checkpoint(
    folder: Path, model: nn.Module, opts: list[torch.optim.Optimizer], state: dict[str, Any]
) -> None:
    torch.save(
        {"model": model.state_dict(), "opts": [o.state_dict() for o in opts], "state": state},
        folder / f"{CHECKPOINT}.tmp",
    )
    (folder / f"{CHECKPOINT}.tmp").replace(folder / CHECKPOINT)


def _resume(folder: Path, model: nn.Module, opts: list[torch.optim.Optimizer]) -> dict[str, Any]:
    path = folder / CHECKPOINT
    if not path.exists():
        return {"step": 0, "tokens": 0, "documents": 0, "seconds": 0.0}
    saved = torch.load(path, weights_only=True)
    model.load_state_dict(saved["model"])
    for opt, state in zip(opts, saved["opts"], strict=True):
        opt.load_state_dict(state)
    return saved["state"]


@torch.inference_mode()
def heldout_loss(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, settings: PretrainSettings
) -> float:
    """Mean next-token loss on documents of another stream."""
    docs = [encode_document(tokenizer, doc) for doc in islice(documents(settings, "eval"), HELDOUT_DOCUMENTS)]
    docs.sort(key=lambda row: len(row[0]))
    chunks = [docs[i : i + 128] for i in range(0, len(docs), 128)]
    mark, newline = mark_token(tokenizer), newline_token(tokenizer)
    plain = settings.model_copy(update={"exit_layer": 0, "doubt_weight": 0.0, "surprise_weight": 0.0})
    losses = [
        float(training_loss(model, collate(chunk, tokenizer.pad_token_id), plain, mark, newline))
        for chunk in chunks
    ]
    return math.fsum(losses) / len(losses)


def save_model(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, folder: Path, figures: dict[str, float]
) -> None:
    """Write bf16 safetensors, tokenizer and `training.json`; loadable by `transformers`' Auto classes."""
    weights = {k: v.to(torch.bfloat16) for k, v in model.state_dict().items() if k not in (PROBE, RECALL)}
    del weights["lm_head.weight"]  # tied to the embeddings
    model.config.dtype = torch.bfloat16
    model.save_pretrained(folder, state_dict=weights)
    tokenizer.save_pretrained(folder)
    (folder / "training.json").write_text(json.dumps(figures, indent=2) + "\n")
