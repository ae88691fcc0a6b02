"""Chat and thinking teachers on a real vLLM engine: the shipped teacher, taught one chat by heart."""

import asyncio
from typing import Any

import pytest
import torch
from backends import GREEDY, VLLM_ARGS
from transformers import AutoModelForCausalLM

from distill.config import GeneratorSettings
from generators.load import load_generator
from generators.prompts import Prompts, load_tokenizer
from generators.weights import resolve_model

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]
TEMPLATE = (
    "{% for m in messages %}<|{{ m.role }}|>\n{{ m.content }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)
QUESTION = "Mia has 3 pens and buys 4 more. How many pens has Mia?"
THOUGHT = "<think>\nSo 3 + 4 is 7.\n</think>\n\n"
FIRST, REST = "Mia has 3 + 4 = 7 pens.\n", "So Mia has 7 pens.\nAnswer: 7\n"
STEPS = 150


@pytest.fixture(scope="module")
def thinker(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model with a chat template that answers QUESTION with THOUGHT, FIRST and REST, and behind an empty
    block with FIRST and REST."""
    folder, source = tmp_path_factory.mktemp("thinker"), resolve_model("builtin:arith-teacher")
    tokenizer = load_tokenizer(source)
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(folder)
    prompts = Prompts(tokenizer, GeneratorSettings(model=str(folder), chat=True, thinking=True))
    end = (tokenizer.eos_token_id,)
    chats = [
        (prompts.prompt(QUESTION), (*prompts.spell(THOUGHT + FIRST + REST), *end)),
        (prompts.prompt(QUESTION, rollout=True), (*prompts.spell(FIRST), *prompts.spell(REST), *end)),
    ]
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_pretrained(source)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4)
    for _ in range(STEPS):
        loss = sum(_loss(model, prompt, answer) for prompt, answer in chats)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[union-attr]
        optimizer.step()
    model.save_pretrained(folder)
    return str(folder)


def _loss(model: Any, prompt: tuple[int, ...], answer: tuple[int, ...]) -> Any:
    ids = torch.tensor([[*prompt, *answer]])
    labels = ids.clone()
    labels[:, : len(prompt)] = -100
    return model(input_ids=ids, labels=labels).loss


def asked(backend: str, model: str, thinking: bool) -> tuple[Any, Any, Any]:
    """What an engine is asked with, its chain, and its rollout after FIRST."""
    told: dict[str, Any] = {"engine_args": VLLM_ARGS} if backend == "vllm" else {}
    settings = GeneratorSettings(
        backend=backend,
        model=model,
        chat=True,
        thinking=thinking,
        max_new_tokens=80,
        temperature=GREEDY,
        **told,
    )
    generator: Any = load_generator(settings)

    async def scenario() -> tuple[Any, Any, Any]:
        prompt = generator.prompt(QUESTION)
        if backend == "vllm":
            (output,) = await generator.engine.generate(prompt, 1, generator._params(1))
            assert tuple(output.prompt_token_ids) == prompt, "the engine reads exactly these tokens"
        begun = (*generator.prompt(QUESTION, rollout=True), *generator.encode(FIRST))
        try:
            return prompt, await generator.sample(prompt, 2, 0), await generator.sample(begun, 2, 0)
        finally:
            await generator.close()

    return asyncio.run(scenario())


@pytest.mark.parametrize("thinking", [True, False])
def test_a_chat_teacher_is_asked_by_its_template_and_goes_on_with_its_turn(
    thinker: str, thinking: bool
) -> None:
    prompt, chain, rollout = asked("vllm", thinker, thinking)
    messages = [{"role": "user", "content": QUESTION}]
    template = load_tokenizer(thinker).apply_chat_template(
        messages, add_generation_prompt=True, return_dict=False
    )
    assert prompt == tuple(template)
    whole = FIRST + REST if thinking else THOUGHT + FIRST + REST
    assert {sample.text for sample in chain.samples} == {whole}
    assert {sample.finish_reason for sample in chain.samples} == {"stop"}
    if thinking:
        assert {sample.text for sample in rollout.samples} == {REST}
        (sample, _) = chain.samples
        written = len(load_tokenizer(thinker).encode(THOUGHT + FIRST + REST))
        assert sample.generated_tokens == written > len(sample.token_ids), "the thought is paid for"
        assert written <= chain.usage.generated_tokens / 2 <= written + 1, "with the end token"
    _, same_chain, same_rollout = asked("transformers", thinker, thinking)
    assert chain.samples == same_chain.samples
    if thinking:
        assert rollout.samples == same_rollout.samples
