"""The untrained baseline: how likely the base model itself finds each step."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from transformers import AutoModelForCausalLM, PreTrainedModel

from distill.verifier.batching import Forward, context_length, run_batched
from distill.verifier.data import ChainFormat, Encoded, encode, pad_id
from distill.verifier.model import (
    compute_dtype,
    load_tokenizer,
    pick_device,
    quiet_transformers,
    resolve_base,
)
from distill.verifier.score import ChainText

UNSEEN = float("-inf")


@dataclass(frozen=True, slots=True)
class StepLogprobs:
    """Per chain and step, the natural log-probability of the step's tokens given what precedes them:
    their mean, their lowest, and their sum. A step past the context has -inf."""

    mean: list[list[float]]
    lowest: list[list[float]]
    total: list[list[float]]


def step_logprobs(
    base: str,
    chains: Sequence[ChainText],
    chain_format: ChainFormat,
    batch_size: int = 32,
    device: torch.device | None = None,
) -> StepLogprobs:
    """Token log-probabilities of every step under the causal model `base`, one forward pass a chain.

    Steps are tokenised as for the verifier, their separator included.
    """
    place = device or pick_device()
    with quiet_transformers():
        model = AutoModelForCausalLM.from_pretrained(
            resolve_base(base), dtype=compute_dtype(place), device_map={"": place}
        )
    tokenizer = load_tokenizer(base)
    limit = context_length(model.config)
    encoded = [encode(tokenizer, q, s, chain_format, limit) for q, s in chains]
    rows = run_batched(encoded, _forward(model.eval()), _read, batch_size, pad_id(tokenizer), place)
    padded = [row + [(UNSEEN, UNSEEN, UNSEEN)] * item.cut_steps for row, item in zip(rows, encoded)]
    mean, lowest, total = ([[step[i] for step in row] for row in padded] for i in range(3))
    return StepLogprobs(mean, lowest, total)


def _forward(model: PreTrainedModel) -> Forward:
    def token_logprobs(input_ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """log p(token t | tokens before t): float [batch, length], 0 at the first token."""
        logits = model(input_ids=input_ids, use_cache=False).logits[:, :-1].float()
        chosen = logits.gather(-1, input_ids[:, 1:, None])[..., 0] - logits.logsumexp(-1)
        return torch.nn.functional.pad(chosen, (1, 0)).cpu()

    return token_logprobs


def _read(row: torch.Tensor, chain: Encoded) -> list[tuple[float, float, float]]:
    steps, begin = [], chain.start
    for end in chain.ends:
        tokens = row[begin : end + 1]
        steps.append((float(tokens.mean()), float(tokens.min()), float(tokens.sum())))
        begin = end + 1
    return steps
