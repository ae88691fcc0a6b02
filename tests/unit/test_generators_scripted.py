"""The scripted teacher: what other tests rely on when they use it."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distill.config import GeneratorSettings
from distill.errors import GeneratorError
from distill.records import Usage
from generators.load import load_generator
from generators.scripted import LONG_ANSWER_TOKENS, SCRIPTS, ScriptedGenerator, from_answers

QUESTION = "Mia has 3 pens, buys 4 and 5.\n"


def scripted(model: str = "scripted:solver", script=None, **settings) -> ScriptedGenerator:
    settings = {"max_new_tokens": 20_000} | settings
    return ScriptedGenerator(GeneratorSettings(backend="scripted", model=model, **settings), script)


def texts(generator, prompt: str = QUESTION, n: int = 3, seed: int = 0) -> list[str]:
    completion = asyncio.run(generator.sample(generator.encode(prompt), n, seed))
    return [sample.text for sample in completion.samples]


@given(st.text().filter(lambda text: text.isprintable()))
def test_encoding_is_faithful(text):
    generator = scripted()
    assert generator.decode(generator.encode(text)) == text


def test_solver_solves():
    assert texts(scripted()) == ["3 + 4 = 7\n7 + 5 = 12\nAnswer: 12\n"] * 3


@pytest.mark.parametrize(
    ("written", "rest"),
    [
        ("3 + 4 = 7\n", "7 + 5 = 12\nAnswer: 12\n"),
        ("3 + 4 = 8\n", "8 + 5 = 13\nAnswer: 13\n"),
        ("3 + 4 = 7\n7 + 5 = 12\n", "Answer: 12\n"),
        ("3 + 4 = 7\n7 + 5 = 12\nAnswer: 12\n", ""),
    ],
)
def test_solver_continues_from_what_is_written(written, rest):
    assert set(texts(scripted(), QUESTION + written)) == {rest}


def test_solver_slips_as_often_as_told():
    wrong = sum("Answer: 12" not in text for text in texts(scripted("scripted:solver?slip=0.3"), n=500))
    assert 0.43 < wrong / 500 < 0.59, "1 - 0.7^2 = 0.51 of the chains, less the few slips that cancel"


def test_deterministic_in_prefix_n_and_seed():
    model = "scripted:solver?slip=0.5"
    assert texts(scripted(model), n=9) == texts(scripted(model), n=9)
    assert texts(scripted(model), n=9)[:4] == texts(scripted(model), n=4)
    assert texts(scripted(model), n=9) != texts(scripted(model), n=9, seed=1)
    assert len(set(texts(scripted(model), n=9))) > 1


def test_empty_and_whitespace():
    assert texts(scripted("scripted:empty")) == [""] * 3
    assert not "".join(texts(scripted("scripted:whitespace"), n=20)).strip()


def test_ten_thousand_tokens_whole_and_capped():
    generator = scripted("scripted:long")
    sample = asyncio.run(generator.sample((65,), 1, 0)).samples[0]
    assert (len(sample.token_ids), sample.finish_reason) == (LONG_ANSWER_TOKENS, "stop")
    capped = asyncio.run(scripted("scripted:long", max_new_tokens=256).sample((65,), 1, 0)).samples[0]
    assert (len(capped.token_ids), capped.finish_reason) == (256, "length")


def test_invalid_utf8_is_replaced():
    generator = scripted("scripted:invalid-utf8")
    sample = asyncio.run(generator.sample((65,), 1, 0)).samples[0]
    assert "\ufffd" in sample.text
    assert generator.decode(sample.token_ids) == sample.text


def test_stop_strings_are_kept():
    assert texts(scripted(stop=["= 7", "\n"])) == ["3 + 4 = 7"] * 3


def test_fails_at_the_given_calls_only():
    async def scenario():
        generator, failed = scripted("scripted:solver?fail_at=2,4"), []
        for call in range(1, 6):
            try:
                await generator.sample((65,), 1, 0)
            except GeneratorError:
                failed.append(call)
        return failed

    assert asyncio.run(scenario()) == [2, 4]


def test_error_hang_and_close():
    async def scenario():
        with pytest.raises(GeneratorError, match="always fails"):
            await scripted("scripted:error").sample((65,), 1, 0)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(scripted("scripted:hang").sample((65,), 1, 0), 0.02)
        generator = scripted()
        await generator.close()
        await generator.close()
        with pytest.raises(GeneratorError, match="closed"):
            await generator.sample((65,), 1, 0)

    asyncio.run(scenario())


def test_answers_from_a_table():
    generator = scripted(script=from_answers({"a": ["x", "y"]}))
    assert set(texts(generator, "a", n=30)) == {"x", "y"}
    with pytest.raises(GeneratorError, match="'b'"):
        texts(generator, "b")


def test_usage():
    async def scenario():
        generator = scripted()
        prefix = generator.encode(QUESTION)
        return [(await generator.sample(prefix, 2, seed)).usage for seed in range(2)]

    size, answer = len(QUESTION), len("3 + 4 = 7\n7 + 5 = 12\nAnswer: 12\n")
    assert asyncio.run(scenario()) == [Usage(size, 0, 2 * answer)] * 2


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("scripted:nothing", ", ".join(sorted(SCRIPTS))),
        ("scripted:solver?slip=often", "slip=P"),
        ("scripted:solver?slop=1", "slop"),
    ],
)
def test_unknown_scripts_and_options(model, message):
    with pytest.raises(GeneratorError, match=message):
        load_generator(GeneratorSettings(backend="scripted", model=model))


def test_loaded_by_name():
    generator = load_generator(GeneratorSettings(backend="scripted", model="scripted:empty"))
    assert generator.name == "scripted:empty"
