"""A teacher that is stored quantised: the shipped one in W4A16, by the code that ships verifiers so."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from backends import GREEDY, Vllm
from test_conformance import ask, prefixes, reference_logits
from transformers import AutoModelForCausalLM

from distill.config import GeneratorSettings
from distill.verifier.w4a16 import quantise, write
from generators.load import load_generator
from generators.weights import resolve_model

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]
TEACHER = "builtin:arith-teacher"
NEARLY = 0.3
"""Logits this close are tied: vLLM's kernel for 4-bit weights computes in bfloat16, we in float32."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The teacher rounded on answers of its own."""
    place = tmp_path_factory.mktemp("quantised") / "teacher"
    own: Any = load_generator(GeneratorSettings(model=TEACHER, max_new_tokens=80))
    starts = prefixes(own)
    answers = ask(own, [(start, 4, i) for i, start in enumerate(starts)])
    rows = [
        (*start, *sample.token_ids)
        for start, told in zip(starts, answers, strict=True)
        for sample in told.samples
    ]
    model = AutoModelForCausalLM.from_pretrained(resolve_model(TEACHER), dtype=torch.float32)
    quantise(model, rows, head="lm_head")
    write(model, TEACHER, place)
    return place


def test_a_teacher_in_w4a16_samples_what_its_weights_say(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())["quantization_config"]
    assert (config["quant_method"], config["format"]) == ("compressed-tensors", "pack-quantized")

    backend = Vllm({"teacher": str(folder)})
    with backend.stack:
        generator = backend.make("teacher", dtype="bfloat16", temperature=GREEDY, max_new_tokens=60)
        starts = prefixes(generator)
        greedy = ask(generator, [(start, 1, 0) for start in starts])
        (many,) = ask(backend.make("teacher", dtype="bfloat16", temperature=1.0), [(starts[0], 24, 0)])
    for start, completion in zip(starts, greedy, strict=True):
        (sample,) = completion.samples
        assert len(sample.token_ids) > 8
        logits = reference_logits(str(folder), (*start, *sample.token_ids))[len(start) - 1 : -1]
        picked = logits.gather(1, torch.tensor(sample.token_ids)[:, None])[:, 0]
        assert (logits.max(1).values - picked).max() < NEARLY
    assert len({sample.token_ids for sample in many.samples}) > 3
    assert many.usage.generated_tokens >= sum(sample.generated_tokens for sample in many.samples)
