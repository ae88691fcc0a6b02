"""A chain scored as it grows: each step computed once, on top of the keys and values before it."""

import copy
from dataclasses import dataclass, field

import torch
from transformers import DynamicCache


@dataclass(slots=True)
class Prefix:
    """A question and the steps scored so far, as keys and values in memory. It grows with `score_next`.

    `pending` are ids that no pass has seen yet (the question, before the first step); `length` counts
    the tokens in the cache; `full` says that a step did not fit in the model's context any more.
    """

    pending: list[int]
    cache: DynamicCache
    length: int = 0
    steps: int = 0
    full: bool = False
    scores: list[float] = field(default_factory=list)

    def fork(self) -> "Prefix":
        """An independent copy, to score several continuations of one prefix."""
        return copy.deepcopy(self)


def margin_of_next(model: torch.nn.Module, prefix: Prefix, ids: list[int]) -> float:
    """Margin (logit correct - logit wrong) at the last of `ids`, which are computed now and cached."""
    device = next(model.parameters()).device
    with torch.inference_mode():
        row = torch.tensor([prefix.pending + ids], device=device)
        logits = model(input_ids=row, past_key_values=prefix.cache, use_cache=True).logits[0, -1].float()
    prefix.length += len(prefix.pending) + len(ids)
    prefix.pending = []
    prefix.steps += 1
    return float(logits[1] - logits[0])
