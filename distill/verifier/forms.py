"""The three NF4 forms of a trained verifier, each a folder that plain `transformers` loads; and the adapter.

Merging LoRA into 4-bit weights in place rounds most of the fine-tune away (peft#1043, #2321), so no
form does that: the adapter stays apart, or it is merged in full precision and quantised once.
"""

import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import PreTrainedModel

from distill.errors import VerifierError
from distill.verifier.data import ChainFormat
from distill.verifier.gptq import (
    NormalFloat,
    body_layers,
    calibration_rows,
    input_products,
    quantise_weight,
)
from distill.verifier.model import (
    HEAD,
    dequantised,
    four_bit_layers,
    load_classifier,
    load_tokenizer,
    pick_device,
    quiet_transformers,
    resolve_base,
)
from distill.verifier.package import Form
from distill.verifier.score import ChainText, Verifier
from distill.verifier.train import TrainResult

ADAPTER_WEIGHTS, ADAPTER_CONFIG = "adapter_model.safetensors", "adapter_config.json"
HEAD_PREFIX = f"base_model.model.{HEAD}."
LARGEST_ROUND_TRIP_ERROR = 0.2
"""NF4 of roughly normal weights is off by about 0.1 of their norm; repacked weights by more than 1."""


def load_trained(trained: TrainResult, chain_format: ChainFormat) -> Verifier:
    """The model as it was trained: adapter on its own base, exact float arithmetic, uncalibrated."""
    with quiet_transformers():
        model = PeftModel.from_pretrained(_base(trained, trained.quantised), str(trained.adapter))
    return Verifier(model, load_tokenizer(trained.base), chain_format)


def _base(trained: TrainResult, quantised: bool) -> PreTrainedModel:
    """The layers that were trained on, afresh."""
    return load_classifier(trained.base, quantised, pick_device(), trained.layers)


def build_adapter_form(trained: TrainResult, folder: Path) -> None:
    """The 4-bit base as it was trained on, the trained head in it, the LoRA beside it in the same
    folder, where `from_pretrained` finds and attaches it by itself."""
    model = _base(trained, True)
    weights = load_file(trained.adapter / ADAPTER_WEIGHTS)
    head = {key.removeprefix(HEAD_PREFIX): weights.pop(key) for key in list(weights) if _is_head(key)}
    getattr(model, HEAD).load_state_dict(head)
    save_model(model, trained.base, folder)
    save_file(weights, folder / ADAPTER_WEIGHTS, metadata={"format": "pt"})
    config = json.loads((trained.adapter / ADAPTER_CONFIG).read_text(encoding="utf-8"))
    config |= {"modules_to_save": None, "base_model_name_or_path": None, "inference_mode": True}
    (folder / ADAPTER_CONFIG).write_text(json.dumps(config, indent=1, sort_keys=True), encoding="utf-8")


def copy_adapter(trained: TrainResult, folder: Path) -> Path:
    """The adapter and head as peft saved them, with the tokenizer; its config names the base."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(trained.adapter / ADAPTER_WEIGHTS, folder / ADAPTER_WEIGHTS)
    config = json.loads((trained.adapter / ADAPTER_CONFIG).read_text(encoding="utf-8"))
    config |= {"base_model_name_or_path": resolve_base(trained.base), "inference_mode": True}
    (folder / ADAPTER_CONFIG).write_text(json.dumps(config, indent=1, sort_keys=True), encoding="utf-8")
    load_tokenizer(trained.base).save_pretrained(folder)
    return folder


def build(
    form: Form, trained: TrainResult, chains: Sequence[ChainText], chain_format: ChainFormat, folder: Path
) -> Path:
    """Build one form in `folder` (emptied first) and return it. `adapter` keeps the LoRA apart; `merged` has
    it merged into the base *after* its NF4 round trip (the weights that it was trained on); `full_precision`
    is a LoRA that was trained on the unquantised base, merged into that. What is merged, is in float32,
    and quantised once, on `chains`.

    Raises:
        VerifierError: `trained` is of the wrong precision for this form.
    """
    if trained.quantised == (form == "full_precision"):
        wanted = "a full-precision" if form == "full_precision" else "an NF4"
        raise VerifierError(f"form '{form}' needs {wanted} training, found quantised={trained.quantised}")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    if form == "adapter":
        build_adapter_form(trained, folder)
    else:
        _merge_and_quantise(trained, chains, chain_format, folder)
    return folder


def replace_by_dequantised(model: nn.Module, quantised: nn.Module) -> None:
    """Put into `model` the weights that the NF4 layers of `quantised` stand for, layer by layer.

    Raises:
        VerifierError: a layer does not come back near its original (it was repacked by a forward).
    """
    for name, layer in four_bit_layers(quantised).items():
        original = model.get_parameter(f"{name}.weight").data
        weight = dequantised(layer).to(original)
        error = float((weight - original).norm() / original.norm().clamp_min(1e-12))
        if error > LARGEST_ROUND_TRIP_ERROR:
            raise VerifierError(
                f"expected the NF4 round trip of {name} within {LARGEST_ROUND_TRIP_ERROR} of its weights, "
                f"found {error:.2f}: bitsandbytes repacked it in a forward; load the base afresh, then merge"
            )
        original.copy_(weight)


def merge(trained: TrainResult) -> PreTrainedModel:
    """The trained model without adapter, in float32 on the CPU: LoRA merged into the weights that it was
    trained on (of an NF4 base, those that its 4-bit layers stand for)."""
    model = load_classifier(trained.base, False, torch.device("cpu"), trained.layers)
    if trained.quantised:
        replace_by_dequantised(model, _base(trained, True))
    with quiet_transformers():
        return PeftModel.from_pretrained(model, str(trained.adapter)).merge_and_unload()


def _merge_and_quantise(
    trained: TrainResult, chains: Sequence[ChainText], chain_format: ChainFormat, folder: Path
) -> None:
    with quiet_transformers(), _scratch_beside(folder) as scratch:
        model = merge(trained)
        _round_to_nf4(model, calibration_rows(model, load_tokenizer(trained.base), chains, chain_format))
        model.save_pretrained(scratch)
        save_model(load_classifier(str(scratch), True, pick_device()), trained.base, folder)


def _round_to_nf4(model: PreTrainedModel, rows: Sequence[Sequence[int]]) -> None:
    """Put every weight on the grid of NF4 by GPTQ, so that quantising moves it no more. A layer whose rows
    are no whole groups is left to plain rounding: its groups lie across rows."""
    grid = NormalFloat()
    layers = {n: layer for n, layer in body_layers(model).items() if layer.in_features % grid.size == 0}
    products = input_products(model, layers, rows)
    for name, layer in layers.items():
        layer.weight.data.copy_(quantise_weight(layer.weight.data, products.pop(name), grid)[0])


def save_model(model: PreTrainedModel, base: str, folder: Path) -> None:
    """Weights, config and tokenizer; the config says nothing of where the base lay."""
    with quiet_transformers():
        model.save_pretrained(folder)
        load_tokenizer(base).save_pretrained(folder)
    for path in folder.glob("*.safetensors"):
        shrink(path)


def shrink(path: Path) -> None:
    """Store as bfloat16 every float32 tensor whose values are all exact in bfloat16 (embeddings of a
    base that was published in bfloat16). Loading gives the same numbers back.

    Quantisation statistics are left alone: bitsandbytes reads them with the type they have.
    """
    tensors = load_file(path)
    small = {
        name: tensor.bfloat16()
        for name, tensor in tensors.items()
        if name.endswith(("weight", "bias"))
        and tensor.dtype == torch.float32
        and torch.equal(tensor, tensor.bfloat16().float())
    }
    save_file(tensors | small, path, metadata={"format": "pt"})


def _is_head(key: str) -> bool:
    return key.startswith(HEAD_PREFIX)


@contextmanager
def _scratch_beside(folder: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".merge-") as scratch:
        yield Path(scratch)
