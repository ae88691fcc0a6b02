"""Forward passes over chains of different lengths: repeats computed once, and hardly any padding."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from transformers import PretrainedConfig

from distill.verifier.data import Encoded, attention_mask, pad

Result = TypeVar("Result")
Forward = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
UNBOUNDED = 1_000_000
PASS_COST = 512
"""Positions of padding that one more pass is worth. On a CPU it costs far fewer, on a GPU more."""


def run_batched(
    encoded: Sequence[Encoded],
    forward: Forward,
    read: Callable[[torch.Tensor, Encoded], Result],
    batch_size: int,
    fill: int,
    device: torch.device,
) -> list[Result]:
    """One forward pass a distinct chain, results in the order of `encoded`.

    `forward(input_ids, mask)` takes int64 [batch, length] and answers one row a chain; the mask, 1 where
    there is a token, is for counting (a causal model needs none for padding that comes last);
    `read(row, chain)` turns a row into what is kept. Chains that are equal token by token (a teacher
    repeats itself) share one pass; `cuts` says which chains share a batch, of `batch_size` at most.

    Batches are padded, not packed: cut well they compute about as few positions as packed rows, attend
    over shorter ones and ask nothing of the model (`benchmarks/scoring.py`).
    """
    distinct = sorted({(len(item.ids), item.ids, item.start, item.ends): item for item in encoded}.items())
    found: dict[tuple, Result] = {}
    for begin, end in cuts([key[0] for key, _ in distinct], batch_size):
        keys, chains = zip(*distinct[begin:end])
        rows = [chain.ids or (fill,) for chain in chains]
        with torch.inference_mode():
            out = forward(pad(rows, fill).to(device), attention_mask(rows).to(device))
        for key, chain, row in zip(keys, chains, out):
            found[key] = read(row, chain)
    return [found[(len(item.ids), item.ids, item.start, item.ends)] for item in encoded]


def cuts(lengths: Sequence[int], batch_size: int, pass_cost: int = PASS_COST) -> list[tuple[int, int]]:
    """[begin, end) of each batch of chains whose `lengths` ascend, shortest batch first.

    Of all ways to cut, the one with the fewest positions (chains times the longest of their batch), where a
    pass counts as `pass_cost` more. Dynamic programming over the end of the last batch.
    """
    cost, begin_of = [0], [0]
    for end in range(1, len(lengths) + 1):
        begins = range(max(0, end - batch_size), end)
        least, begin = min((cost[b] + (end - b) * lengths[end - 1] + pass_cost, b) for b in begins)
        cost.append(least)
        begin_of.append(begin)
    found, end = [], len(lengths)
    while end:
        found.append((begin_of[end], end))
        end = begin_of[end]
    return found[::-1]


def context_length(config: PretrainedConfig) -> int:
    """Tokens that a model can be given."""
    return int(getattr(config, "max_position_embeddings", None) or UNBOUNDED)
