"""Train a small Llama from scratch on the exact world, on a CPU.

Muon for the hidden matrices (Jordan et al. 2024, as shipped in `torch.optim`), AdamW for the rest,
a warm-up and a linear decay. Documents are sorted by length within a pool, so that little is padding.
A checkpoint is written every few minutes, and the same command goes on from it.
"""

import json
import math
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from distill.config import PretrainSettings
from generators.tiny.corpus import Document, documents
from generators.tiny.tokenizer import train_tokenizer

POOL_BATCHES = 32
CHECKPOINT_SECONDS = 120.0
WIDTH_STEP = 16
"""Batches are as wide as a multiple of this: few shapes, so that freed memory is used again."""

Batch = tuple[Tensor, Tensor]


def build_model(settings: PretrainSettings, tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """A freshly initialised Llama with tied embeddings."""
    torch.manual_seed(settings.seed)
    config = LlamaConfig(
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
    return LlamaForCausalLM(config)


def encode_document(tokenizer: PreTrainedTokenizerFast, doc: Document) -> tuple[list[int], list[float]]:
    """Token ids and loss weight of each, closed by the end token. Pieces end where
    the tokenizer always splits (newlines, before a blank), so encoding them apart is encoding them whole."""
    ids: list[int] = []
    weights: list[float] = []
    encoded = tokenizer([text for text, _ in doc.pieces], add_special_tokens=False)["input_ids"]
    for piece_ids, (_, weight) in zip(encoded, doc.pieces, strict=True):
        ids += piece_ids
        weights += [weight] * len(piece_ids)
    return [*ids, tokenizer.eos_token_id], [*weights, 1.0]


def batches(tokenizer: PreTrainedTokenizerFast, docs: Iterator[Document], size: int) -> Iterator[Batch]:
    """Padded (ids, weights) of shape [size, T], documents of like length together, in random order."""
    order = torch.Generator().manual_seed(0)
    while True:
        pool = [encode_document(tokenizer, doc) for doc in islice(docs, POOL_BATCHES * size)]
        pool.sort(key=lambda pair: len(pair[0]))
        for index in torch.randperm(POOL_BATCHES, generator=order).tolist():
            yield collate(pool[index * size : (index + 1) * size], tokenizer.pad_token_id)


def collate(rows: list[tuple[list[int], list[float]]], pad: int) -> Batch:
    """Right-padded ids [B, T] and weights [B, T]; padding weighs nothing."""
    width = -(-max(len(ids) for ids, _ in rows) // WIDTH_STEP) * WIDTH_STEP
    ids = torch.tensor([ids + [pad] * (width - len(ids)) for ids, _ in rows])
    weights = torch.tensor([w + [0.0] * (width - len(w)) for _, w in rows])
    return ids, weights


def weighted_loss(model: LlamaForCausalLM, batch: Batch) -> Tensor:
    """Cross-entropy of the next token, averaged by weight; logits only where it weighs."""
    ids, weights = batch
    target, weight = ids[:, 1:], weights[:, 1:]
    chosen = weight > 0
    with torch.autocast("cpu", dtype=torch.bfloat16):  # 1.6 times fp32 on AVX-512 BF16
        hidden = model.model(input_ids=ids[:, :-1]).last_hidden_state  # [B, T-1, H]
        logits = model.lm_head(hidden[chosen])  # [chosen, V]
    losses = nn.functional.cross_entropy(logits.float(), target[chosen], reduction="none")
    return (losses * weight[chosen]).sum() / weight.sum()


def optimisers(model: nn.Module, settings: PretrainSettings) -> list[torch.optim.Optimizer]:
    """Muon for the matrices inside the blocks, AdamW for embeddings and norms."""
    matrices = [p for n, p in model.named_parameters() if p.ndim == 2 and "layers" in n]
    others = [p for n, p in model.named_parameters() if not (p.ndim == 2 and "layers" in n)]
    muon = torch.optim.Muon(matrices, lr=settings.muon_lr, weight_decay=0.01, momentum=0.95)
    adam = torch.optim.AdamW(others, lr=settings.adam_lr, betas=(0.9, 0.95), weight_decay=0.0)
    for group in (*muon.param_groups, *adam.param_groups):
        group["initial_lr"] = group["lr"]
    return [muon, adam]


def schedule(progress: float) -> float:
    """Share of the peak learning rate at `progress` in [0, 1]: 2% warm-up, flat, linear decay from 40%."""
    return min(1.0, progress / 0.02 + 1e-3, max(0.0, (1.0 - progress) / 0.6))


def pretrain(settings: PretrainSettings, folder: Path, say: Any = print) -> dict[str, float]:
    """Train to `settings.steps` and save model and tokenizer (bf16 safetensors) in `folder`.

    Returns:
        Figures of the run: held-out loss, tokens seen, seconds.
    """
    folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(settings.threads)
    sample = (doc.text for doc in islice(documents(settings, "train"), 4000))
    tokenizer = train_tokenizer(sample, settings.vocab_size)
    model = build_model(settings, tokenizer)
    state = _resume(folder, model, opts := optimisers(model, settings))
    stream = batches(
        tokenizer, islice(documents(settings, "train"), state["documents"], None), settings.batch_size
    )
    started = last_saved = time.monotonic()
    while state["step"] < settings.steps:
        loss, tokens = _train_step(model, opts, next(stream), state["step"] / settings.steps)
        state["step"] += 1
        state["tokens"] += tokens
        state["documents"] += settings.batch_size
        if state["step"] % 50 == 0:
            _report(say, state, settings.steps, loss, time.monotonic() - started)
        if time.monotonic() - last_saved > CHECKPOINT_SECONDS:
            _checkpoint(folder, model, opts, state)
            last_saved = time.monotonic()
    state["seconds"] += time.monotonic() - started
    figures = {"loss": heldout_loss(model, tokenizer, settings), "tokens": state["tokens"]}
    figures |= {"seconds": state["seconds"], "parameters": sum(p.numel() for p in model.parameters())}
    save_model(model, tokenizer, folder, figures)
    (folder / "checkpoint.pt").unlink(missing_ok=True)
    return figures


def _train_step(
    model: LlamaForCausalLM, opts: list[torch.optim.Optimizer], batch: Batch, progress: float
) -> tuple[float, int]:
    for opt in opts:
        for group in opt.param_groups:
            group["lr"] = group["initial_lr"] * schedule(progress)
    loss = weighted_loss(model, batch)
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    for opt in opts:
        opt.step()
        opt.zero_grad(set_to_none=True)
    return float(loss.detach()), batch[0].numel()


def _report(say: Any, state: dict[str, Any], steps: int, loss: float, seconds: float) -> None:
    rate = state["tokens"] / max(state["seconds"] + seconds, 1e-9)
    left = (steps - state["step"]) * (state["seconds"] + seconds) / state["step"]
    say(f"step {state['step']}/{steps}  loss {loss:.4f}  {rate:,.0f} tokens/s  {left / 60:.1f} min left")


def _checkpoint(
    folder: Path, model: nn.Module, opts: list[torch.optim.Optimizer], state: dict[str, Any]
) -> None:
    torch.save(
        {"model": model.state_dict(), "opts": [o.state_dict() for o in opts], "state": state},
        folder / "checkpoint.tmp",
    )
    (folder / "checkpoint.tmp").replace(folder / "checkpoint.pt")


def _resume(folder: Path, model: nn.Module, opts: list[torch.optim.Optimizer]) -> dict[str, Any]:
    path = folder / "checkpoint.pt"
    if not path.exists():
        return {"step": 0, "tokens": 0, "documents": 0, "seconds": 0.0}
    saved = torch.load(path, weights_only=True)
    model.load_state_dict(saved["model"])
    for opt, state in zip(opts, saved["opts"], strict=True):
        opt.load_state_dict(state)
    return saved["state"]


@torch.inference_mode()
def heldout_loss(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, settings: PretrainSettings, count: int = 1024
) -> float:
    """Mean weighted loss on documents of another stream."""
    docs = [encode_document(tokenizer, doc) for doc in islice(documents(settings, "eval"), count)]
    docs.sort(key=lambda pair: len(pair[0]))
    chunks = [docs[i : i + 128] for i in range(0, count, 128)]
    losses = [float(weighted_loss(model, collate(chunk, tokenizer.pad_token_id))) for chunk in chunks]
    return math.fsum(losses) / len(losses)


def save_model(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, folder: Path, figures: dict[str, float]
) -> None:
    """Write bf16 safetensors, tokenizer and `training.json`; loadable by `transformers`' Auto classes."""
    weights = {k: v.to(torch.bfloat16) for k, v in model.state_dict().items()}
    model.config.dtype = torch.bfloat16
    model.save_pretrained(folder, state_dict=weights)
    tokenizer.save_pretrained(folder)
    (folder / "training.json").write_text(json.dumps(figures, indent=2) + "\n")
