"""GPTQ: weights rounded to 4-bit groups one column after the other, the rest of a row making up for it.

Frantar et al., arXiv 2210.17323, algorithm 1, with one block a group, on the grid of integers or of NF4.
Scales and packing are the libraries' (`compressed_tensors`, `bitsandbytes`); they have no calibration of
their own, so that is here. Rounding alone moved the scores of the quickstart's verifier twice as far
(benchmarks/rounding.py).
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import torch
from bitsandbytes.functional import get_4bit_type
from compressed_tensors.quantization import QuantizationArgs
from compressed_tensors.quantization.utils import calculate_qparams, calculate_range
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from distill.verifier.batching import context_length
from distill.verifier.data import ChainFormat, encode
from distill.verifier.model import HEAD
from distill.verifier.score import ChainText

DAMPING = 0.01
"""Share of the mean diagonal that is added to the diagonal of the Hessian, as in the paper."""


class Grid(Protocol):
    """What weights are rounded to, `size` neighbours of a row with one scale."""

    @property
    def size(self) -> int:
        """Inputs in a group."""

    def scales(self, group: torch.Tensor) -> torch.Tensor:
        """Scale of each row of a group [outputs, size]: [outputs]."""

    def nearest(self, column: torch.Tensor, scales: torch.Tensor, before: torch.Tensor) -> torch.Tensor:
        """What a column [outputs] is rounded to; `before` is what it was when `scales` were taken."""


@dataclass(frozen=True)
class Integers:
    """Symmetric integers of `compressed_tensors`; scales are exact in bfloat16, so that an engine that
    computes in bfloat16 has the same ones."""

    args: QuantizationArgs

    @property
    def size(self) -> int:
        """Inputs in a group."""
        return int(self.args.group_size or 0)

    def scales(self, group: torch.Tensor) -> torch.Tensor:
        """The library's."""
        scale, _ = calculate_qparams(group.amin(dim=1), group.amax(dim=1), self.args)
        return scale.bfloat16().float()

    def nearest(self, column: torch.Tensor, scales: torch.Tensor, before: torch.Tensor) -> torch.Tensor:
        """The nearest integer times the scale."""
        lowest, highest = calculate_range(self.args, "cpu")
        return (column / scales).round().clamp(lowest, highest) * scales


@dataclass(frozen=True)
class NormalFloat:
    """NF4 of `bitsandbytes`: 16 values between -1 and 1 times the largest weight of 64 (arXiv 2305.14314)."""

    size: int = 64

    def scales(self, group: torch.Tensor) -> torch.Tensor:
        """The largest weight of each row."""
        return group.abs().amax(dim=1).clamp_min(1e-12)

    def nearest(self, column: torch.Tensor, scales: torch.Tensor, before: torch.Tensor) -> torch.Tensor:
        """The nearest of the 16. The weight that gave the scale stays at its end, so that bitsandbytes, which
        takes the scale anew, finds every weight on its grid."""
        codes = get_4bit_type("nf4", device="cpu")
        found = codes[torch.bucketize(column / scales, (codes[1:] + codes[:-1]) / 2)]
        return torch.where(before.abs() >= scales, before.sign(), found) * scales


def body_layers(model: nn.Module, head: str = HEAD) -> dict[str, nn.Linear]:
    """Name -> every linear layer but the one of the name `head`."""
    found = model.named_modules()
    return {name: layer for name, layer in found if isinstance(layer, nn.Linear) and name != head}


def calibration_rows(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    chains: Sequence[ChainText],
    chain_format: ChainFormat,
) -> list[tuple[int, ...]]:
    """Token ids of each chain, as far as the model sees it."""
    limit = chain_format.limit(context_length(model.config))
    return [tuple(encode(tokenizer, q, steps, chain_format, limit).ids) for q, steps in chains]


@torch.no_grad()
def input_products(
    model: nn.Module, layers: dict[str, nn.Linear], rows: Sequence[Sequence[int]]
) -> dict[str, torch.Tensor]:
    """Sum of x x^T over the inputs x of every layer: name -> float32 [inputs, inputs].

    `rows` are token ids, run one by one, so that no padding counts. This is the Hessian of a layer's squared
    error, but for a factor.
    """
    products = {name: torch.zeros(2 * (layer.in_features,)) for name, layer in layers.items()}
    device = next(model.parameters()).device
    with _watched(layers, products):
        for ids in rows:
            model(input_ids=torch.tensor([list(ids)], device=device))
    return products


@contextmanager
def _watched(layers: dict[str, nn.Linear], products: dict[str, torch.Tensor]) -> Iterator[None]:
    def watch(name: str) -> torch.utils.hooks.RemovableHandle:
        def add(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
            x = inputs[0].reshape(-1, inputs[0].shape[-1]).float()
            products[name] += (x.T @ x).cpu()

        return layers[name].register_forward_pre_hook(add)

    handles = [watch(name) for name in layers]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@torch.no_grad()
def quantise_weight(
    weight: torch.Tensor, product: torch.Tensor, grid: Grid
) -> tuple[torch.Tensor, torch.Tensor]:
    """A weight [outputs, inputs] rounded to groups of `grid.size` inputs, which must divide them.

    Returns:
        the rounded weight in float32 [outputs, inputs], and its scales [outputs, groups].
    """
    left, upper = weight.float().clone(), _inverse_factor(product)
    rounded, scales = torch.empty_like(left), []
    for begin in range(0, weight.shape[1], grid.size):
        end = begin + grid.size
        scale = grid.scales(left[:, begin:end])
        block, errors = _round_block(left[:, begin:end], scale, upper[begin:end, begin:end], grid)
        rounded[:, begin:end] = block
        left[:, end:] -= errors @ upper[begin:end, end:]
        scales.append(scale)
    return rounded, torch.stack(scales, dim=1)


def _round_block(
    block: torch.Tensor, scale: torch.Tensor, upper: torch.Tensor, grid: Grid
) -> tuple[torch.Tensor, torch.Tensor]:
    """The columns of one group, rounded in order; and by how much each was off, over its own factor."""
    left, rounded, errors = block.clone(), torch.empty_like(block), torch.empty_like(block)
    for i in range(block.shape[1]):
        rounded[:, i] = grid.nearest(left[:, i], scale, block[:, i])
        errors[:, i] = (left[:, i] - rounded[:, i]) / upper[i, i]
        left[:, i:] -= errors[:, i, None] * upper[i, None, i:]
    return rounded, errors


def _inverse_factor(product: torch.Tensor) -> torch.Tensor:
    """Upper Cholesky factor of the inverse of the damped Hessian: [inputs, inputs].

    An input that was never seen has a row of zeros there; damping leaves its weights to plain rounding.
    """
    mean = product.diagonal().mean().clamp_min(1e-6)
    damped = product + DAMPING * mean * torch.eye(len(product))
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(damped))
    return torch.linalg.cholesky(inverse, upper=True)
