"""LoRA layers in fewer passes over the activations, for training on a CPU.

`peft` computes W x + s B A x as four tensors, each written and read again, and autograd as many more on the
way back. On a CPU, where a small model's matrix products are fast and memory is slow, that is a part of a
training step worth saving. Here the low-rank product is accumulated into the dense one as it is computed
(GEMM's beta = 1), forward and backward; with T tokens, y = x W' + s h B' where h = x A' [T, r], and from dy

    dh = s dy B    dx = dy W + dh A    dA = dh' x    dB = s dy' h

(LoRA, arXiv 2106.09685, equation 3.) The same sums in the same precision, so nothing is learnt otherwise.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from peft.tuners.lora import Linear as LoraLinear
from torch import Tensor, nn


@contextmanager
def fused_lora(model: nn.Module) -> Iterator[int]:
    """Compute the LoRA layers of `model` this way inside the block; yields how many.

    Left to `peft` are layers with dropout, of a variant (DoRA, ...), with several adapters, or on another
    base than a plain linear layer (4-bit ones).
    """
    layers = [layer for layer in model.modules() if isinstance(layer, LoraLinear) and _is_plain(layer)]
    for layer in layers:
        layer.forward = _fused(layer)  # type: ignore[method-assign]
    try:
        yield len(layers)
    finally:
        for layer in layers:
            del layer.forward


def _is_plain(layer: LoraLinear) -> bool:
    return (
        type(layer.get_base_layer()) is nn.Linear
        and len(layer.active_adapters) == 1
        and layer.active_adapters[0] in layer.lora_A
        and not layer.lora_variant
        and not layer.merged
        and not layer.disable_adapters
        and isinstance(layer.lora_dropout[layer.active_adapters[0]], nn.Identity)
    )


def _fused(layer: LoraLinear) -> Callable[..., Tensor]:
    base, name = layer.get_base_layer(), layer.active_adapters[0]
    down, up, scale = layer.lora_A[name], layer.lora_B[name], layer.scaling[name]

    def forward(x: Tensor, *_: Any, **__: Any) -> Tensor:
        """What the layer gives for x, under autocast in its precision."""
        dtype = x.dtype
        if torch.is_autocast_enabled(x.device.type):
            dtype = torch.get_autocast_dtype(x.device.type)
        weights = [w.to(dtype) for w in (base.weight, down.weight, up.weight)]
        y = _FusedLora.apply(x.to(dtype), *weights, scale)
        return y if base.bias is None else y + base.bias.to(dtype)

    return forward


class _FusedLora(torch.autograd.Function):
    """x [..., in], frozen weight [out, in], down A [r, in], up B [out, r] -> [..., out]."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, down: Tensor, up: Tensor, scale: float) -> Tensor:
        """y of the module's equations; x and x A' are kept."""
        x_TI = x.reshape(-1, x.shape[-1])
        low_TR = x_TI @ down.T
        y_TO = (x_TI @ weight.T).addmm_(low_TR, up.T, alpha=scale)
        ctx.save_for_backward(x_TI, low_TR, weight, down, up)
        ctx.scale, ctx.shape = scale, x.shape
        return y_TO.reshape(*x.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of x, A and B; the dense weight is frozen."""
        x_TI, low_TR, weight, down, up = ctx.saved_tensors
        dy_TO = grads[0].reshape(-1, grads[0].shape[-1])
        dlow_TR = (dy_TO @ up).mul_(ctx.scale)
        dx = None
        if ctx.needs_input_grad[0]:
            dx = (dy_TO @ weight).addmm_(dlow_TR, down).reshape(ctx.shape)
        return dx, None, dlow_TR.T @ x_TI, (dy_TO.T @ low_TR).mul_(ctx.scale), None
