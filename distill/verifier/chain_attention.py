"""Attention chain by chain, for training on a CPU.

Chains that share a row must not see each other. `transformers` keeps them apart by a mask over the whole row,
and a CPU computes what the mask then throws away: of a row of two chains half the scores, and of the rest the
half above the diagonal. Here every chain attends by itself, without a mask, and nothing is computed in vain.
Chains begin where position ids begin again; padding on the right is one more chain, or the end of one, which
no token before it sees. The numbers are those of the masked row, up to rounding.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, PretrainedConfig
from transformers.integrations.sdpa_attention import sdpa_attention_forward

NAME = "chain_by_chain"
TYPES = ("llama", "qwen2", "qwen3")
"""Architectures whose attention is told the position ids, and is plain but for the mask."""


@contextmanager
def chain_attention(model: nn.Module) -> Iterator[bool]:
    """Attend this way inside the block, where `model` is on the CPU, of `TYPES`, and uses sdpa over all that
    is before a token; yields whether it does. Batches are padded on the right, or packed."""
    config = model.config
    assert isinstance(config, PretrainedConfig)
    before = config._attn_implementation
    does = next(model.parameters()).device.type == "cpu" and before == "sdpa" and _sees_all(config)
    if does:
        config._attn_implementation = NAME
    try:
        yield does
    finally:
        config._attn_implementation = before


def _sees_all(config: PretrainedConfig) -> bool:
    layers = getattr(config, "layer_types", None) or ["full_attention"]
    return config.model_type in TYPES and set(layers) == {"full_attention"}


def _attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    position_ids: Tensor,
    dropout: float = 0.0,
    scaling: float | None = None,
    **__: Any,
) -> tuple[Tensor, None]:
    """Query [rows, heads, length, size], key and value [rows, groups, length, size] -> [rows, length, heads,
    size]. There is no mask: `transformers` makes none for an attention that it has no mask function of."""
    assert attention_mask is None
    rows, _, length, _ = query.shape
    lengths = _lengths(position_ids.expand(rows, length))
    chains = zip(*(_split(part, lengths) for part in (query, key, value)), strict=True)
    done = [sdpa_attention_forward(module, q, k, v, None, dropout, scaling)[0][0] for q, k, v in chains]
    return torch.cat(done).unflatten(0, (rows, length)), None


def _lengths(positions_RL: Tensor) -> list[int]:
    """Lengths of the chains in rows of position ids, row after row."""
    begins = (positions_RL == 0).flatten().nonzero().flatten()
    ends = torch.cat([begins[1:], begins.new_tensor([positions_RL.numel()])])
    return (ends - begins).tolist()


def _split(part: Tensor, lengths: list[int]) -> list[Tensor]:
    """[rows, heads, length, size] -> [1, heads, own length, size] a chain. One split: its gradient is one
    concatenation, where that of slices would be as many whole tensors, added up."""
    tokens = part.transpose(1, 2).flatten(0, 1)
    return [chain.transpose(0, 1)[None] for chain in tokens.split(lengths)]


AttentionInterface.register(NAME, _attend)
