"""Loading a causal model and its tokenizer for sampling, and naming what was loaded."""

import hashlib
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerBase

from distill.config import GeneratorSettings
from distill.errors import GeneratorError, UnfitSettingError
from generators.lane_attention import use_lane_attention
from generators.prompts import load_fault, load_tokenizer
from generators.weights import resolve_model

_log = logging.getLogger(__name__)
_ATTENTION_LAYERS = {"full_attention", "sliding_attention", "chunked_attention"}
_UNBOUNDED = 1 << 30


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model ready for sampling. `context` is the most tokens of a sequence, `name` states the revision."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    name: str
    ends: frozenset[int]
    context: int


def load_model(settings: GeneratorSettings) -> Loaded:
    """The model of `settings` in its precision, on the GPU when the settings reserve one.

    Raises:
        UnfitSettingError: the model cannot be found or read, or keeps a state that lanes cannot hold.
        GeneratorError: no GPU, too little memory, or the hub is out of reach.
    """
    source = resolve_model(settings.model)
    tokenizer = load_tokenizer(settings.model)
    try:
        model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(source, **_precision(settings))
    except (OSError, ValueError, RuntimeError, ImportError) as error:
        raise load_fault(error)(
            f"expected a causal model in '{settings.model}', found: {error}. "
            "Give a folder with config.json, *.safetensors and tokenizer.json, or a hub name."
        ) from error
    if settings.quantise == "none":
        torch.nn.Module.to(model, _device(settings))
    _refuse_recurrent(model, settings.model)
    use_lane_attention(model)
    return Loaded(
        model.eval(),
        tokenizer,
        f"{short_name(settings)}@{revision(source, model)}",
        _end_tokens(model, tokenizer),
        getattr(model.config.get_text_config(), "max_position_embeddings", None) or _UNBOUNDED,
    )


def _device(settings: GeneratorSettings) -> str:
    if settings.gpus > 0 and not torch.cuda.is_available():
        raise GeneratorError(
            f"expected a CUDA device, as the recipe reserves gpus: {settings.gpus}, found none. "
            "Set gpus: 0 to sample on the CPU."
        )
    return "cuda" if settings.gpus > 0 else "cpu"


def _precision(settings: GeneratorSettings) -> dict[str, Any]:
    dtype = getattr(torch, settings.dtype)
    if settings.quantise == "none":
        return {"dtype": dtype}
    from transformers import BitsAndBytesConfig

    quantisation = BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype
    )
    return {"dtype": dtype, "quantization_config": quantisation, "device_map": {"": _device(settings)}}


def _refuse_recurrent(model: PreTrainedModel, name: str) -> None:
    """A recurrent state has no columns to mask or shift, so such a model cannot be decoded in lanes."""
    kinds = set(getattr(model.config.get_text_config(), "layer_types", None) or ()) - _ATTENTION_LAYERS
    if kinds:
        raise UnfitSettingError(
            f"expected a model of attention layers only, found {', '.join(sorted(kinds))} in '{name}'. "
            "Choose another model for backend: transformers."
        )


def _end_tokens(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """Every id that ends a sequence, as the generation config, the config and the tokenizer say."""
    generation = getattr(model, "generation_config", None)
    found: set[int] = set()
    for value in (
        getattr(generation, "eos_token_id", None),
        getattr(model.config, "eos_token_id", None),
        tokenizer.eos_token_id,
    ):
        found.update(value if isinstance(value, list | tuple) else () if value is None else (value,))
    if not found:
        _log.warning("no end-of-sequence token is known: only stop strings and the cap end a sample")
    return frozenset(found)


def short_name(settings: GeneratorSettings) -> str:
    """The recipe's name for the model; of a local folder its last part, the same on every machine."""
    model = settings.model
    name = Path(model).resolve().name if Path(model).is_dir() else model
    details = (settings.dtype, settings.quantise)
    return "-".join([name, *(word for word in details if word not in ("float32", "none"))])


def revision(source: str, model: PreTrainedModel | None = None) -> str:
    """8 hex digits of the weights: SHA-256 of a folder's safetensors, or the hub's commit."""
    files = sorted(Path(source).glob("*.safetensors")) if Path(source).is_dir() else []
    if not files:
        return str(getattr(model.config if model else None, "_commit_hash", None) or "unknown")[:8]
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()[:8]


def engine_threads(settings: GeneratorSettings) -> int:
    """Threads of an engine on a CPU; 0 in the settings is this process's cores divided by `replicas`."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return settings.threads or max(1, cores // settings.replicas)
