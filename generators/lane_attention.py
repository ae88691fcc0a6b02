"""Attention of one new token per lane, as two batched products over the cache as it lies.

`transformers`' own "sdpa" copies the keys and values once per query head that shares them before every
masked call, and its CPU kernel is slow for a single query. On CPU this takes 0.8 of the time for plain
heads and far less for grouped ones.
"""

from typing import Any

import torch
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

_NAME = "distill_lanes"


def lane_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """What `transformers` calls in each layer; "sdpa" for anything but a plain single query.

    `query` is `[B, heads, 1, D]`, `key` and `value` `[B, kv_heads, S, D]`, the mask bool `[B, 1, 1, S]`
    (True: attend). Returns `[B, 1, heads, D]`.
    """
    masked = attention_mask is not None and attention_mask.dtype != torch.bool
    if query.shape[2] != 1 or masked or kwargs.get("position_bias") is not None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **kwargs)
    batch, heads, _, size = query.shape
    grouped = query.reshape(batch, key.shape[1], heads // key.shape[1], size)
    grouped = grouped * (size**-0.5 if scaling is None else scaling)
    scores = torch.matmul(key, grouped.transpose(-1, -2)).transpose(-1, -2)
    if attention_mask is not None:
        scores = scores.masked_fill(~attention_mask, float("-inf"))
    mixed = torch.matmul(scores.softmax(-1), value)
    return mixed.reshape(batch, 1, heads, value.shape[-1]), None


def use_lane_attention(model: PreTrainedModel) -> None:
    """Switch a CPU model that runs on "sdpa" to `lane_attention`; leave any other as it is."""
    if model.device.type != "cpu" or model.config._attn_implementation != "sdpa":
        return
    AttentionInterface.register(_NAME, lane_attention)
    AttentionMaskInterface.register(_NAME, sdpa_mask)
    model.set_attn_implementation(_NAME)
