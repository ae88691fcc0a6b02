"""What we ask of vLLM, and what its failures mean; vLLM itself is not needed here."""

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from peft import LoraConfig

from distill.config import GeneratorSettings
from distill.errors import GeneratorError, UnfitSettingError
from generators import vllm_engine
from generators.prompts import load_tokenizer
from generators.vllm_engine import LORA_RANKS, engine_arguments


def adapter(folder: Path, rank: int) -> str:
    LoraConfig(r=rank, target_modules=["q_proj"]).save_pretrained(str(folder))
    return str(folder)


def settings(**changed: Any) -> GeneratorSettings:
    return GeneratorSettings(backend="vllm", model="builtin:arith-teacher", **changed)


@pytest.mark.parametrize(
    ("rank", "asked"), [(1, 1), (2, 8), (4, 8), (8, 8), (12, 16), (48, 64), (300, 320), (512, 512)]
)
def test_a_lora_rank_is_rounded_up_to_one_that_vllm_takes(tmp_path: Path, rank: int, asked: int) -> None:
    arguments = engine_arguments(settings(lora=adapter(tmp_path, rank)))
    assert (arguments["enable_lora"], arguments["max_lora_rank"]) == (True, asked)
    assert asked in LORA_RANKS


def test_a_lora_rank_above_the_largest(tmp_path: Path) -> None:
    with pytest.raises(UnfitSettingError, match=r"up to 512.*found 513"):
        engine_arguments(settings(lora=adapter(tmp_path, 513)))


def test_a_folder_without_an_adapter(tmp_path: Path) -> None:
    with pytest.raises(UnfitSettingError, match=r"adapter_config\.json"):
        engine_arguments(settings(lora=str(tmp_path)))


def fake_vllm(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """Modules by the names that `start_engine` imports, whose engine raises `error`."""

    class AsyncLLM:
        @classmethod
        def from_engine_args(cls, arguments: Any) -> None:
            raise error

    contents = {
        "vllm": {},
        "vllm.engine": {},
        "vllm.engine.arg_utils": {"AsyncEngineArgs": GeneratorSettings},
        "vllm.v1": {},
        "vllm.v1.engine": {},
        "vllm.v1.engine.async_llm": {"AsyncLLM": AsyncLLM},
    }
    for name, members in contents.items():
        module = ModuleType(name)
        vars(module).update(members)
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(vllm_engine, "fields", lambda kind: ())
    monkeypatch.setattr(vllm_engine, "engine_arguments", lambda settings: {})
    monkeypatch.setattr(vllm_engine, "_set_environment", lambda settings: None)


@pytest.mark.parametrize(
    ("error", "for_good"),
    [
        (RuntimeError("Engine core initialization failed. See root cause above."), False),
        (RuntimeError("CUDA out of memory"), False),
        (OSError("We couldn't connect to 'https://huggingface.co' to load the files"), False),
        (ValueError("User-specified max_model_len is greater than the derived max_model_len"), True),
        (OSError("no-such-model is not a local folder and is not a valid model identifier"), True),
    ],
)
def test_only_what_another_try_can_mend_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, error: Exception, for_good: bool
) -> None:
    fake_vllm(monkeypatch, error)
    with pytest.raises(GeneratorError, match="did not start") as caught:
        vllm_engine.start_engine(settings())
    assert isinstance(caught.value, UnfitSettingError) is for_good


def test_an_unknown_model_is_unfit(tmp_path: Path) -> None:
    with pytest.raises(UnfitSettingError, match="expected a tokenizer"):
        load_tokenizer(str(tmp_path))
    with pytest.raises(UnfitSettingError, match="shipped"):
        load_tokenizer("builtin:no-such-teacher")
