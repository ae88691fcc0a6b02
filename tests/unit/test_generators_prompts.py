"""Templates, chat templates and thinking blocks: the one place for all engines."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_model import make_tokenizer

from distill.config import GeneratorSettings
from distill.errors import GeneratorError
from generators.prompts import Prompts

PLAIN = (
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|teacher|>{% endif %}"
)
OPENS = PLAIN.replace("<|teacher|>", "<|teacher|><think>\n")
ASKS = PLAIN.replace(
    "<|teacher|>", "<|teacher|>{% if not enable_thinking %}<think>\n\n</think>\n\n{% endif %}"
)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return make_tokenizer(tmp_path_factory.mktemp("tokenizer"))


@pytest.fixture
def make(tokenizer: Any) -> Any:
    def build(template: str | None = None, **told: Any) -> Prompts:
        tokenizer.chat_template = template
        return Prompts(tokenizer, GeneratorSettings(**told))

    return build


def test_a_raw_prompt_is_the_template(make: Any) -> None:
    prompts = make(prompt="Q: {question}\nA:")
    assert prompts.prompt("2 + 2?") == prompts.encode("Q: 2 + 2?\nA:")
    assert prompts.prompt("2 + 2?", True) == prompts.prompt("2 + 2?")


def test_a_chat_prompt_is_the_models(make: Any) -> None:
    prompts = make(PLAIN, chat=True, prompt="Solve: {question}\n")
    assert prompts.decode(prompts.prompt("2 + 2?")).endswith("<|user|>Solve: 2 + 2?<|end|><|teacher|>")


def test_chat_without_a_template_is_refused(make: Any) -> None:
    with pytest.raises(GeneratorError, match="chat: false"):
        make(None, chat=True)


@pytest.mark.parametrize(
    ("template", "chain", "rollout"),
    [
        (PLAIN, "<|teacher|>", "<|teacher|><think>\n\n</think>\n\n"),
        (OPENS, "<|teacher|><think>\n", "<|teacher|><think>\n\n</think>\n\n"),
        (ASKS, "<|teacher|>", "<|teacher|><think>\n\n</think>\n\n"),
    ],
)
def test_a_rollout_stands_behind_an_empty_block(make: Any, template: str, chain: str, rollout: str) -> None:
    prompts = make(template, chat=True, thinking=True)
    assert prompts.decode(prompts.prompt("2 + 2?")).endswith("<|end|>" + chain)
    ended = prompts.decode(prompts.prompt("2 + 2?", True)).partition("<|end|>")[2]
    assert ended.replace("<think>\n\n\n</think>", "<think>\n\n</think>") == rollout


@pytest.mark.parametrize(
    ("before", "written", "answer", "reason"),
    [
        ("Q\n", "<think>\nhm 7\n</think>\n\n3 + 4 = 7\n", "3 + 4 = 7\n", "stop"),
        ("Q\n<think>\n", "hm 7\n</think>\n\n3 + 4 = 7\n", "3 + 4 = 7\n", "stop"),
        ("Q\n<think>\n", "hm 7", "", "length"),
        ("Q\n", "<think> hm", "", "length"),
        ("Q\n", "3 + 4 = 7\n", "3 + 4 = 7\n", "stop"),
        ("Q\n<think>\n\n</think>\n\n", "3 + 4 = 7\n", "3 + 4 = 7\n", "stop"),
        ("Q\n", "<think></think>", "", "stop"),
    ],
)
def test_a_thinking_block_is_no_step(make: Any, before: str, written: str, answer: str, reason: Any) -> None:
    prompts = make(thinking=True)
    ids = prompts.spell(written)
    sample = prompts.sample(prompts.encode(before), ids, reason)
    assert (sample.text, prompts.decode(sample.token_ids)) == (answer, answer)
    assert (sample.finish_reason, sample.generated_tokens) == (reason, len(ids))


def test_without_the_setting_nothing_is_dropped(make: Any) -> None:
    prompts = make()
    ids = prompts.spell("<think>hm</think>7")
    sample = prompts.sample(prompts.encode("Q\n"), ids, "stop")
    assert (sample.token_ids, sample.generated_tokens) == (ids, len(ids))


@settings(max_examples=60, deadline=None)
@given(
    thought=st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), max_size=20),
    answer=st.text(
        st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zs"]), min_size=1, max_size=20
    ),
)
def test_ids_of_any_answer_spell_it(tmp_path_factory: Any, thought: str, answer: str) -> None:
    prompts = _shared(tmp_path_factory)
    if "think>" in thought + answer:
        return
    ids = prompts.spell(f"<think>{thought}</think>{answer}")
    sample = prompts.sample(prompts.encode("Q\n"), ids, "stop")
    assert sample.text == prompts.decode(sample.token_ids) == answer.lstrip()


_made: list[Prompts] = []


def _shared(factory: Any) -> Prompts:
    if not _made:
        folder: Path = factory.mktemp("shared")
        _made.append(Prompts(make_tokenizer(folder), GeneratorSettings(thinking=True)))
    return _made[0]
