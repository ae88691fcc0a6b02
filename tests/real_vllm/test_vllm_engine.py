"""What only a real vLLM engine shows: deaths, hangs and restarts, aborts, a LoRA teacher, wrong arguments."""

import asyncio
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest
from backends import GREEDY, VLLM_ARGS
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from distill.config import GeneratorSettings
from distill.errors import GeneratorError
from generators import vllm_watch
from generators.load import load_generator
from generators.weights import resolve_model

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]
QUESTION = "Mia has 3 pens, buys 4 more, then 5 more and then 6 more. How many pens has Mia?"


def vllm(model: str, **settings: Any) -> Any:
    told: dict[str, Any] = {"engine_args": VLLM_ARGS, "max_new_tokens": 24, "batch_size": 32} | settings
    return load_generator(GeneratorSettings(backend="vllm", model=model, **told))


def test_an_engine_that_dies_is_started_again(teacher: str) -> None:
    before = set(psutil.Process().children(recursive=True))
    generator = vllm(teacher, max_new_tokens=200)
    prefix = generator.prompt(QUESTION)
    core = [p for p in psutil.Process().children(recursive=True) if p not in before]

    async def scenario() -> None:
        assert (await generator.sample(prefix, 2, 0)).samples
        abandoned = asyncio.create_task(generator.sample(prefix, 16, 0))
        await asyncio.sleep(0.3)
        abandoned.cancel()
        await asyncio.gather(abandoned, return_exceptions=True)
        await asyncio.sleep(1.0)
        assert generator.engine.unfinished() == 0, "a cancelled request is aborted"
        waiting = [asyncio.create_task(generator.sample(prefix, 4, i)) for i in range(3)]
        await asyncio.sleep(0.2)
        for process in core:
            process.kill()
        assert all(len(c.samples) == 4 for c in await asyncio.gather(*waiting))
        assert generator.engine.restarts == 1
        assert len((await generator.sample(prefix, 4, 0)).samples) == 4
        await generator.close()
        await generator.close()
        with pytest.raises(GeneratorError, match="closed"):
            await generator.sample(prefix, 1, 0)

    asyncio.run(scenario())


def test_a_hung_engine_is_started_again(teacher: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vllm_watch, "HUNG_SECONDS", 20.0)
    generator = vllm(teacher, max_new_tokens=200)
    prefix = generator.prompt(QUESTION)
    (core,) = vllm_watch.core_pids(generator.engine._llm)

    async def scenario() -> None:
        assert (await generator.sample(prefix, 2, 0)).samples
        await asyncio.sleep(30)
        assert generator.engine.restarts == 0, "an idle engine is silent and does not hang"
        psutil.Process(core).send_signal(signal.SIGSTOP)
        asked = [generator.sample(prefix, 4, i) for i in range(3)]
        assert all(len(c.samples) == 4 for c in await asyncio.gather(*asked))
        assert generator.engine.restarts == 1
        assert not psutil.pid_exists(core) or psutil.Process(core).status() == psutil.STATUS_ZOMBIE
        await generator.close()

    asyncio.run(scenario())


def test_a_parent_that_is_killed_leaves_no_engine(teacher: str) -> None:
    code = f"""
import psutil, sys, time
from distill.config import GeneratorSettings
from generators.load import load_generator
if __name__ == "__main__":
    settings = GeneratorSettings(backend="vllm", model={teacher!r}, engine_args={VLLM_ARGS!r})
    generator = load_generator(settings)
    print(*[p.pid for p in psutil.Process().children(recursive=True)], flush=True)
    time.sleep(1000)
"""
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    children = [psutil.Process(int(pid)) for pid in parent.stdout.readline().split()]
    assert len(children) >= 2
    parent.kill()
    _, alive = psutil.wait_procs(children, timeout=60)
    assert [p for p in alive if p.status() != psutil.STATUS_ZOMBIE] == []


def test_a_lora_teacher(tmp_path: Path, teacher: str) -> None:
    model = AutoModelForCausalLM.from_pretrained(resolve_model(teacher))
    adapter = LoraConfig(r=8, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    get_peft_model(model, adapter).save_pretrained(tmp_path / "lora")
    generator = vllm(teacher, lora=str(tmp_path / "lora"), temperature=GREEDY)
    merged = tmp_path / "merged"
    lora = get_peft_model(AutoModelForCausalLM.from_pretrained(resolve_model(teacher)), adapter)
    lora.load_adapter(tmp_path / "lora", "default")
    lora.merge_and_unload().save_pretrained(merged)
    generator._prompts._tokenizer.save_pretrained(merged)
    expected = load_generator(GeneratorSettings(model=str(merged), max_new_tokens=24, temperature=GREEDY))
    prefix = generator.prompt(QUESTION)
    assert "+lora@" in generator.name

    async def first(one: Any) -> tuple[int, ...]:
        try:
            return (await one.sample(prefix, 1, 0)).samples[0].token_ids
        finally:
            await one.close()

    assert asyncio.run(first(generator))[:8] == asyncio.run(first(expected))[:8]


def test_an_argument_that_vllm_does_not_have(teacher: str) -> None:
    with pytest.raises(GeneratorError, match="did you mean 'max_model_len'"):
        vllm(teacher, engine_args={"max_modell_len": 512})


def test_a_context_that_the_model_does_not_have(teacher: str) -> None:
    with pytest.raises(GeneratorError, match="did not start"):
        vllm(teacher, engine_args=VLLM_ARGS | {"max_model_len": 1 << 40})


def test_the_lora_ranks_are_vllms() -> None:
    from typing import get_args

    from vllm.config.lora import MaxLoRARanks

    from generators.vllm_engine import LORA_RANKS

    assert get_args(MaxLoRARanks) == LORA_RANKS
