"""W4A16 in the `compressed-tensors` format: 4-bit weights in groups, for the fast kernels of vLLM.

The merged model is quantised by GPTQ on training chains; the library writes what `transformers` and
vLLM read.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from compressed_tensors.compressors import ModelCompressor
from compressed_tensors.quantization import (
    QuantizationArgs,
    QuantizationConfig,
    QuantizationScheme,
    QuantizationStatus,
    apply_quantization_config,
)
from torch import nn
from transformers import PreTrainedModel

from distill.errors import VerifierError
from distill.verifier.data import ChainFormat
from distill.verifier.forms import merge, save_model
from distill.verifier.gptq import Integers, body_layers, calibration_rows, input_products, quantise_weight
from distill.verifier.model import HEAD, load_tokenizer, quiet_transformers
from distill.verifier.score import ChainText
from distill.verifier.train import TrainResult

GROUP_SIZES = (128, 64, 32)
"""What kernels take; the largest that divides the inputs of every layer is chosen."""


def build_w4a16(
    trained: TrainResult, chains: Sequence[ChainText], chain_format: ChainFormat, folder: Path
) -> Path:
    """Merge, quantise on `chains` (of the training set), and write a folder for `transformers` and vLLM.

    Raises:
        VerifierError: no group size divides the layers.
    """
    model = merge(trained)
    rows = calibration_rows(model, load_tokenizer(trained.base), chains, chain_format)
    quantise(model, rows)
    write(model, trained.base, folder)
    return folder


def quantise(model: PreTrainedModel, rows: Sequence[Sequence[int]], head: str = HEAD) -> None:
    """Put every linear layer but `head` on a grid of 4-bit integers, by GPTQ on `rows` of token ids.

    Raises:
        VerifierError: no group size divides the layers.
    """
    layers = body_layers(model, head)
    args = weight_args(layers)
    products = input_products(model, layers, rows)
    apply_quantization_config(model, _config(args, head))
    for name, layer in layers.items():
        _set_weight(layer, *quantise_weight(layer.weight.data, products.pop(name), Integers(args)))


def weight_args(layers: dict[str, nn.Linear]) -> QuantizationArgs:
    """Symmetric 4-bit integers with one scale a group.

    Raises:
        VerifierError: a layer's inputs divide by no group size.
    """
    widths = {layer.in_features for layer in layers.values()}
    size = next((size for size in GROUP_SIZES if all(width % size == 0 for width in widths)), None)
    if size is None:
        raise VerifierError(
            f"expected layer widths that divide by one of {GROUP_SIZES}, found {sorted(widths)}; "
            "ship this base as nf4"
        )
    return QuantizationArgs(num_bits=4, type="int", strategy="group", group_size=size, symmetric=True)


def _config(args: QuantizationArgs, head: str) -> QuantizationConfig:
    scheme = QuantizationScheme(targets=["Linear"], weights=args)
    status = QuantizationStatus.FROZEN
    return QuantizationConfig(config_groups={"group_0": scheme}, ignore=[head], quantization_status=status)


def _set_weight(layer: nn.Linear, weight: torch.Tensor, scale: torch.Tensor) -> None:
    layer.weight.data.copy_(weight)
    layer.get_parameter("weight_scale").data.copy_(scale)


def write(model: PreTrainedModel, base: str, folder: Path) -> None:
    """A quantised model with the tokenizer of `base`. The library packs the layers, and says in `config.json`
    how."""
    compressor = ModelCompressor.from_pretrained_model(model)
    with quiet_transformers():
        compressor.compress_model(model)
    save_model(model, base, folder)
    compressor.update_config(str(folder))
