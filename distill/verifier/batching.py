"""Forward passes over chains of different lengths: repeats computed once, neighbours alike in length."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from transformers import PretrainedConfig

from distill.verifier.data import Encoded, attention_mask, pad

Result = TypeVar("Result")
Forward = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
UNBOUNDED = 1_000_000


def run_batched(
    encoded: Sequence[Encoded],
    forward: Forward,
    read: Callable[[torch.Tensor, Encoded], Result],
    batch_size: int,
    fill: int,
    device: torch.device,
) -> list[Result]:
    """One forward pass a distinct chain, results in the order of `encoded`.

    `forward(input_ids, attention_mask)` takes int64 [batch, length] and answers one row a chain;
    `read(row, chain)` turns a row into what is kept. Chains that are equal token by token (a teacher
    repeats itself) share one pass, and batches hold chains of like length, so that little is padding.
    """
    distinct = sorted({(len(item.ids), item.ids, item.start, item.ends): item for item in encoded}.items())
    found: dict[tuple, Result] = {}
    for begin in range(0, len(distinct), batch_size):
        keys, chains = zip(*distinct[begin : begin + batch_size])
        rows = [chain.ids or (fill,) for chain in chains]
        with torch.inference_mode():
            out = forward(pad(rows, fill).to(device), attention_mask(rows).to(device))
        for key, chain, row in zip(keys, chains, out):
            found[key] = read(row, chain)
    return [found[(len(item.ids), item.ids, item.start, item.ends)] for item in encoded]


def context_length(config: PretrainedConfig) -> int:
    """Tokens that a model can be given."""
    return int(getattr(config, "max_position_embeddings", None) or UNBOUNDED)
