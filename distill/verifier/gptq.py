"""GPTQ: weights rounded to 4-bit groups one column after the other, the rest of a row making up for it.

Frantar et al., arXiv 2210.17323, algorithm 1, with one block a group. Scales and packing are the library's
(`compressed_tensors`); it has no calibration of its own, so that is here. Rounding alone moved the scores
of the quickstart's verifier about twice as far (docs/shipping.md).
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from compressed_tensors.quantization import QuantizationArgs
from compressed_tensors.quantization.utils import calculate_qparams, calculate_range
from torch import nn

DAMPING = 0.01
"""Share of the mean diagonal that is added to the diagonal of the Hessian, as in the paper."""


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
    weight: torch.Tensor, product: torch.Tensor, args: QuantizationArgs
) -> tuple[torch.Tensor, torch.Tensor]:
    """A weight [outputs, inputs] rounded to symmetric groups of `args.group_size` inputs.

    Returns:
        the rounded weight in float32 [outputs, inputs], and its scales [outputs, groups], which are exact in
        bfloat16, so that an engine that computes in bfloat16 has the same ones.
    """
    size = int(args.group_size or 0)
    left, upper = weight.float().clone(), _inverse_factor(product)
    rounded, scales = torch.empty_like(left), []
    for begin in range(0, weight.shape[1], size):
        end = begin + size
        scale = _scale(left[:, begin:end], args)
        block, errors = _round_block(left[:, begin:end], scale, upper[begin:end, begin:end], args)
        rounded[:, begin:end] = block
        left[:, end:] -= errors @ upper[begin:end, end:]
        scales.append(scale)
    return rounded, torch.stack(scales, dim=1)


def _round_block(
    block: torch.Tensor, scale: torch.Tensor, upper: torch.Tensor, args: QuantizationArgs
) -> tuple[torch.Tensor, torch.Tensor]:
    """The columns of one group, rounded in order; and by how much each was off, over its own factor."""
    lowest, highest = calculate_range(args, "cpu")
    left, rounded, errors = block.clone(), torch.empty_like(block), torch.empty_like(block)
    for i in range(block.shape[1]):
        rounded[:, i] = (left[:, i] / scale).round().clamp(lowest, highest) * scale
        errors[:, i] = (left[:, i] - rounded[:, i]) / upper[i, i]
        left[:, i:] -= errors[:, i, None] * upper[i, None, i:]
    return rounded, errors


def _scale(group: torch.Tensor, args: QuantizationArgs) -> torch.Tensor:
    """The library's scale of each row of a group [outputs, size], rounded to bfloat16: [outputs]."""
    scale, _ = calculate_qparams(group.amin(dim=1), group.amax(dim=1), args)
    return scale.bfloat16().float()


def _inverse_factor(product: torch.Tensor) -> torch.Tensor:
    """Upper Cholesky factor of the inverse of the damped Hessian: [inputs, inputs].

    An input that was never seen has a row of zeros there; damping leaves its weights to plain rounding.
    """
    mean = product.diagonal().mean().clamp_min(1e-6)
    damped = product + DAMPING * mean * torch.eye(len(product))
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(damped))
    return torch.linalg.cholesky(inverse, upper=True)
