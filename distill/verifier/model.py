"""The verifier's body: any causal model under a two-class token head, in NF4 or in full precision.

The head is named `score` and stays out of quantisation: bitsandbytes would otherwise quantise it too,
and a saved head then fails in forward.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import torch
from peft import LoraConfig, TaskType
from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForTokenClassification,
    AutoTokenizer,
    BitsAndBytesConfig,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging as transformers_logging

from distill.config import LoraSettings
from distill.errors import VerifierError

HEAD = "score"

os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "64")
"""oneDNN (bfloat16 on a CPU) keeps what it prepared for the shapes of products, scratch memory and all, 1,024
of them by itself: with Qwen2.5-Coder-0.5B and chains of every length 10 GB a process. Few are as fast."""


def pick_device(gpus: float | None = None) -> torch.device:
    """CUDA when present and asked for (`gpus` > 0, or None for "whatever there is"), else the CPU."""
    wanted = gpus is None or gpus > 0
    if not wanted or not torch.cuda.is_available():
        return torch.device("cpu")
    return (
        torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        if "LOCAL_RANK" in os.environ
        else torch.device("cuda")
    )


def compute_dtype(device: torch.device) -> torch.dtype:
    """What matrix products are computed in: float32 on the CPU, bfloat16 on a GPU."""
    return torch.float32 if device.type == "cpu" else torch.bfloat16


def resolve_base(model: str) -> str:
    """`builtin:NAME` -> its folder; a folder or hub name as it is."""
    if not model.startswith("builtin:"):
        return model
    from generators.weights import resolve_model

    return str(resolve_model(model))


def nf4_config(device: torch.device) -> BitsAndBytesConfig:
    """NF4 with double quantisation (QLoRA, arXiv 2305.14314), the head left out."""
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=compute_dtype(device),
        llm_int8_skip_modules=[HEAD],
    )


def load_classifier(
    model: str, quantise: bool, device: torch.device, layers: int | None = None
) -> PreTrainedModel:
    """A base (or a saved classifier), or its first `layers` alone, as a two-label token classifier; LABEL_1
    means correct.

    Whatever is not quantised is held in float32 (embeddings, norms, head), on a GPU too: a head that
    is trained in bfloat16 loses small updates.

    A head that the folder does not hold begins at zero. Drawn at random it would be wrong with great
    confidence where hidden states are large (a loss of 5.3 on Qwen2.5, ln 2 from zero), and a short training
    would spend its updates on unlearning that.

    Raises:
        VerifierError: there is no model, it has a head of other labels or fewer than `layers`, or the
            architecture has no token-classification head named `score`.
    """
    quantisation = {"quantization_config": nf4_config(device), "device_map": {"": device}} if quantise else {}
    with quiet_transformers(), _told(model):
        config = AutoConfig.from_pretrained(resolve_base(model), num_labels=2)
        config.classifier_dropout = 0.0
        if layers:
            _keep_first(config, layers, model)
        loaded, told = AutoModelForTokenClassification.from_pretrained(
            resolve_base(model), config=config, dtype=torch.float32, output_loading_info=True, **quantisation
        )
    if not isinstance(getattr(loaded, HEAD, None), nn.Linear):
        raise VerifierError(
            f"expected a token-classification head named '{HEAD}', found none in {type(loaded).__name__} "
            f"(base {model}); choose a base of another architecture (Llama, Qwen, Mistral, Gemma, ...)"
        )
    for name, parameter in getattr(loaded, HEAD).named_parameters():
        if f"{HEAD}.{name}" in told["missing_keys"]:
            nn.init.zeros_(parameter)
    loaded.config.use_cache = False
    keep_unpacked(loaded)
    return loaded if quantise else loaded.to(device)


def _keep_first(config: PreTrainedConfig, layers: int, model: str) -> None:
    """Make `config` one of the first `layers` alone; lists with an item a layer are cut alike."""
    body = config.get_text_config()
    whole = body.num_hidden_layers
    if layers > whole:
        raise VerifierError(
            f"expected verifier.layers of at most {whole}, those of the base '{model}', found {layers}"
        )
    for name, value in list(vars(body).items()):
        if isinstance(value, list) and len(value) == whole:
            setattr(body, name, value[:layers])
    body.num_hidden_layers = layers


def load_tokenizer(model: str) -> PreTrainedTokenizerBase:
    """The tokenizer of a base or of an exported folder.

    Raises:
        VerifierError: there is none.
    """
    with _told(model):
        return AutoTokenizer.from_pretrained(resolve_base(model))


@contextmanager
def _told(model: str) -> Iterator[None]:
    """What `transformers` says of a base that it cannot load, with what to do."""
    try:
        yield
    except (OSError, ValueError, RuntimeError) as error:
        heads = "ignore_mismatched_sizes" in str(error)
        if getattr(error, "errno", None) or (isinstance(error, RuntimeError) and not heads):
            raise  # the disk, or memory
        found = "a classifier of other labels" if heads else str(error).strip().splitlines()[0]
        advice = "the causal model that it was made from" if heads else "a folder or hub name with weights"
        raise VerifierError(
            f"expected a causal model that loads as the base '{model}', found: {found}; give {advice}"
        ) from error


def keep_unpacked(model: nn.Module) -> None:
    """Stop bitsandbytes from repacking NF4 weights for its CPU inference kernel.

    After a forward without gradients in eval mode it rewrites weight and quantisation state in place.
    From then on `dequantize_4bit` answers garbage, and the kernel has no backward, so that training
    after an evaluation loses its gradients without a word. Set on the module, not globally, so that
    other models of the process keep their kernel.
    """
    for module in four_bit_layers(model).values():
        module.support_avx512bf16_for_cpu = False  # type: ignore[assignment]


def four_bit_layers(model: nn.Module) -> dict[str, nn.Linear]:
    """Name -> module of every 4-bit linear layer."""
    import bitsandbytes as bnb

    return {name: layer for name, layer in model.named_modules() if isinstance(layer, bnb.nn.Linear4bit)}


def dequantised(layer: nn.Linear) -> torch.Tensor:
    """The weights [out, in] that a 4-bit layer stands for."""
    from bitsandbytes.functional import dequantize_4bit
    from bitsandbytes.nn import Params4bit

    packed = cast(Params4bit, layer.weight)
    return dequantize_4bit(packed.data, packed.quant_state)


def hold_unpacked(model: nn.Module, dtype: torch.dtype) -> None:
    """Put a frozen linear layer of the same NF4 values, held in `dtype`, in the place of every 4-bit layer.

    For training on a CPU, where unpacking a layer takes longer than multiplying by it, forward and backward,
    for every few chains. What is learnt is the same up to the rounding of `dtype`; the layers take four times
    their memory (in bfloat16) while training lasts.
    """
    for name, packed in four_bit_layers(model).items():
        plain = nn.Linear(packed.in_features, packed.out_features, packed.bias is not None, device="meta")
        plain.weight = nn.Parameter(dequantised(packed).to(dtype), requires_grad=False)
        plain.bias = packed.bias
        parent, _, leaf = name.rpartition(".")
        setattr(model.get_submodule(parent), leaf, plain)


def lora_config(settings: LoraSettings) -> LoraConfig:
    """LoRA (arXiv 2106.09685) on the named layers, the head trained and saved in full beside it."""
    return LoraConfig(
        task_type=TaskType.TOKEN_CLS,
        r=settings.r,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=list(settings.targets),
        modules_to_save=[HEAD],
    )


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """No load report and no progress bar: a fresh head is expected here, not news."""
    level, bars = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(level)
        if bars:
            transformers_logging.enable_progress_bar()
