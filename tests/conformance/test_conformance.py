"""What every backend must do, in one suite: the promises of `generators.base.Generator`."""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from functools import cache
from typing import Any

import pytest
import torch
from backends import GREEDY, Backend
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM

from distill.errors import GeneratorError
from distill.records import Usage
from distill.steps import split_steps, step_ends
from generators.base import Completion, Generator
from generators.weights import resolve_model

QUESTION = "Mia has 3 pens, buys 4 more, then 5 more and then 6 more. How many pens has Mia?"
QUESTIONS = [QUESTION.replace("3 pens", f"{i} pens") for i in range(2, 14)]
NEARLY = 0.1
"""Logits this close are tied: engines round differently, vLLM's CPU kernels by up to 0.075. (The straddler's
logits have a deviation of 2.4, so a wrong prefix is found out at once.)"""
FEW = settings(max_examples=25, deadline=None, derandomize=True)


def ask(generator: Generator, requests: Sequence[tuple[Sequence[int], int, int]]) -> list[Completion]:
    """All requests at once, then the generator is closed."""

    async def everything() -> list[Completion]:
        try:
            return await asyncio.gather(*(generator.sample(*request) for request in requests))
        finally:
            await generator.close()

    return asyncio.run(everything())


def engines(backend: Backend) -> list[str]:
    """The models that a backend is tested with; a script needs none."""
    return ["teacher", "straddler"] if backend.real else ["teacher"]


def prefixes(generator: Generator) -> list[tuple[int, ...]]:
    return [generator.prompt(question) for question in QUESTIONS]


def test_it_has_a_name_and_says_how_many_shards_it_takes(backend: Backend) -> None:
    generator = backend.make("teacher")
    assert generator.name
    assert generator.shards_in_flight >= 1
    assert asyncio.run(generator.close()) is None


@pytest.mark.parametrize("model", ["teacher", "straddler"])
def test_texts_are_spelled_faithfully_and_any_ids_have_a_text(backend: Backend, model: str) -> None:
    generator = backend.make(model)
    begin = len(generator.encode(""))

    @settings(deadline=None)
    @given(text=st.text(st.characters(codec="ascii")), ids=st.lists(st.integers(0, 255)))
    def check(text: str, ids: list[int]) -> None:
        assert generator.decode(generator.encode(text)[begin:]) == text
        assert isinstance(generator.decode(ids), str)

    check()


class TestIndependence:
    def test_samples_of_a_request_differ(self, backend: Backend) -> None:
        generator = backend.make("teacher", temperature=1.0)
        (completion,) = ask(generator, [(prefixes(generator)[0], 24, 5)])
        assert len(completion.samples) == 24
        assert len({sample.token_ids for sample in completion.samples}) > 3

    def test_mates_of_a_request_are_no_more_alike_than_strangers(self, backend: Backend) -> None:
        """Were samples of one request drawn together, or by one seed, they would agree more often with
        each other than with those of another request for the same prefix."""
        generator = backend.make("teacher", temperature=1.0, max_new_tokens=24)
        prefix = prefixes(generator)[1]
        groups = [[s.text for s in c.samples] for c in ask(generator, [(prefix, 16, i) for i in range(6)])]
        within = _agreement([(a, b) for g in groups for i, a in enumerate(g) for b in g[:i]])
        across = _agreement([(a, b) for i, g in enumerate(groups) for h in groups[:i] for a in g for b in h])
        assert abs(within - across) < 0.12, (within, across)

    def test_one_request_of_many_is_like_many_of_one(self, backend: Backend) -> None:
        generator = backend.make("teacher", temperature=1.0, max_new_tokens=6)
        prefix = prefixes(generator)[2]
        many, *single = ask(generator, [(prefix, 96, 1), *((prefix, 1, 100 + i) for i in range(96))])
        together = Counter(sample.text for sample in many.samples)
        apart = Counter(completion.samples[0].text for completion in single)
        distance = sum(abs(together[key] - apart[key]) for key in together | apart) / (2 * 96)
        shuffled = [*together.elements(), *apart.elements()]
        assert distance < _usual_distance(shuffled) + 0.15


def _agreement(pairs: list[tuple[str, str]]) -> float:
    return sum(a == b for a, b in pairs) / len(pairs)


def _usual_distance(texts: list[str]) -> float:
    """Mean total variation between two random halves of `texts`."""
    import random

    rng, distances, half = random.Random(0), [], len(texts) // 2
    for _ in range(50):
        rng.shuffle(texts)
        first, second = Counter(texts[:half]), Counter(texts[half:])
        distances.append(sum(abs(first[key] - second[key]) for key in first | second) / (2 * half))
    return sum(distances) / len(distances)


class TestPrefixFidelity:
    """A continuation starts exactly after the ids that it was given."""

    @pytest.mark.parametrize("model", ["teacher", "straddler"])
    def test_the_rest_follows_from_any_prefix(self, backend: Backend, model: str) -> None:
        """Greedily, what follows the first k tokens of a text is the rest of it."""
        if model not in engines(backend):
            pytest.skip("a script has one tokenizer")
        generator = backend.make(model, temperature=GREEDY, max_new_tokens=30)
        starts = prefixes(generator)[: 4 if model == "teacher" else 12]
        wholes = ask(generator, [(start, 1, 0) for start in starts])
        cuts = [
            (start, whole.samples[0].token_ids, cut)
            for start, whole in zip(starts, wholes, strict=True)
            for cut in _cuts(backend, generator, whole.samples[0].token_ids)
        ]
        assert len(cuts) >= 8, "the model must say something"
        again = backend.make(model, temperature=GREEDY, max_new_tokens=30)
        rests = ask(again, [((*start, *ids[:cut]), 1, 0) for start, ids, cut in cuts])
        for (start, ids, cut), rest in zip(cuts, rests, strict=True):
            said = rest.samples[0].token_ids[: len(ids) - cut]
            assert said == ids[cut:] or tied(backend.models[model], (*start, *ids[:cut]), ids[cut:], said)

    def test_ids_are_not_spelled_anew(self, backend: Backend) -> None:
        """A prefix is its ids, not its text. The ids are arbitrary: many tokens hold the end of one line
        and the beginning of the next, some only part of a character. Greedily, the engine must say what
        the model itself, run once over the very ids, finds likeliest."""
        if not backend.real:
            pytest.skip("a script reads text: equal texts are equal prefixes")
        generator = backend.make("straddler", temperature=GREEDY, max_new_tokens=4)

        @FEW
        @given(ids=st.lists(st.integers(3, 639), min_size=4, max_size=24))
        def check(ids: list[int]) -> None:
            said = asyncio.run(generator.sample(ids, 1, 0)).samples[0].token_ids
            logits = reference_logits(backend.models["straddler"], (*ids, *said))[len(ids) - 1 :]
            ended = [] if len(said) == 4 else [1]
            for row, token in zip(logits, [*said, *ended]):
                assert row.max() - row[token] < NEARLY

        check()
        asyncio.run(generator.close())

    def test_steps_that_end_within_a_token(self, backend: Backend) -> None:
        """A step's prefix ends at a token's end; what the text of prefix and continuation says is what
        the ids say, the piece of the next step that the token holds included."""
        if not backend.real:
            pytest.skip("a script's tokens are bytes: none straddles")
        generator = backend.make("straddler", temperature=1.0)
        text = "Mia has 3 pens and buys 4 more.\n3 + 4 = 7\nAnswer: 7\n"
        ids = generator.encode(text)[len(generator.encode("")) :]
        steps = split_steps(text, "newline")
        ends = step_ends(ids, generator.decode, steps)
        shown = ["".join(steps[: i + 1]) for i in range(len(steps))]
        assert all(generator.decode(ids[:end]).startswith(s) for end, s in zip(ends, shown, strict=True))
        assert any(generator.decode(ids[:end]) != s for end, s in zip(ends, shown, strict=True))
        begun = [(*generator.encode(""), *ids[:end]) for end in ends]
        for end, completion in zip(ends, ask(generator, [(prefix, 4, 0) for prefix in begun]), strict=True):
            for sample in completion.samples:
                whole = generator.decode([*ids[:end], *sample.token_ids])
                assert whole.startswith(generator.decode(ids[:end]))

    def test_requests_do_not_mix(self, backend: Backend) -> None:
        generator = backend.make("teacher", temperature=GREEDY, max_new_tokens=30)
        together = ask(generator, [(prefix, 1, 0) for prefix in prefixes(generator)])
        alone = [
            ask(backend.make("teacher", temperature=GREEDY, max_new_tokens=30), [(prefix, 1, 0)])[0]
            for prefix in prefixes(generator)[:3]
        ]
        assert [c.samples[0].text for c in together[:3]] == [c.samples[0].text for c in alone]


@cache
def _reference(folder: str) -> Any:
    return AutoModelForCausalLM.from_pretrained(resolve_model(folder), dtype=torch.float32)


@torch.inference_mode()
def reference_logits(folder: str, ids: Sequence[int]) -> torch.Tensor:
    """Logits `[len(ids), V]` of the model itself, run once over the very ids."""
    return _reference(folder)(input_ids=torch.tensor([ids])).logits[0]


def ends(backend: Backend, ids: Sequence[int]) -> float:
    """How likely the straddler ends after `ids`."""
    return float(reference_logits(backend.models["straddler"], ids)[-1].softmax(0)[1])


def tied(folder: str, prefix: Sequence[int], one: Sequence[int], other: Sequence[int]) -> bool:
    """Whether two greedy texts part where the model finds both tokens equally likely, but for rounding."""
    at = next((i for i, (a, b) in enumerate(zip(one, other)) if a != b), None)
    if at is None:
        return False
    last = reference_logits(folder, [*prefix, *one[:at]])[-1]
    return bool(abs(last[one[at]] - last[other[at]]) < NEARLY)


def _cuts(backend: Backend, generator: Generator, ids: Sequence[int]) -> list[int]:
    """Where a text may be cut: anywhere, but a script goes on from whole lines."""
    if backend.real:
        return [*range(0, len(ids), 3)]
    return [i for i in range(len(ids)) if generator.decode(ids[:i]).endswith("\n")]


def test_logprobs_are_the_models_own(backend: Backend) -> None:
    """Before temperature and nucleus, of every token of a sample and of no end token."""
    for model in engines(backend):
        generator = backend.make(model, temperature=0.7, top_p=0.9)
        prefix = prefixes(generator)[2]
        samples = ask(generator, [(prefix, 4, 0)])[0].samples
        if not backend.real:
            assert {sample.logprobs for sample in samples} == {()}
            continue
        for sample in samples:
            logits = reference_logits(backend.models[model], [*prefix, *sample.token_ids])
            table = logits[len(prefix) - 1 : -1].log_softmax(-1)
            expected = table.gather(1, torch.tensor([sample.token_ids], dtype=torch.int64).T)[:, 0]
            assert sample.logprobs == pytest.approx(expected.tolist(), abs=NEARLY)


class TestEndings:
    def test_a_stop_string_is_kept_and_ends_the_text(self, backend: Backend) -> None:
        generator = backend.make("teacher", stop=["\n"])
        for completion in ask(generator, [(prefix, 4, 0) for prefix in prefixes(generator)]):
            for sample in completion.samples:
                assert "\n" not in generator.decode(sample.token_ids[:-1])
                assert sample.finish_reason == "length" or "\n" in sample.text or len(sample.token_ids) < 40

    def test_a_stop_string_over_several_tokens(self, backend: Backend) -> None:
        free = backend.make("teacher", temperature=GREEDY)
        prefix = prefixes(free)[0]
        whole = ask(free, [(prefix, 1, 0)])[0].samples[0]
        stop = whole.text[3:12]
        held = ask(backend.make("teacher", temperature=GREEDY, stop=[stop]), [(prefix, 1, 0)])[0].samples[0]
        assert stop in held.text
        assert held.finish_reason == "stop"
        assert held.token_ids == whole.token_ids[: len(held.token_ids)]
        assert stop not in free.decode(held.token_ids[:-1])

    def test_text_is_what_the_ids_spell(self, backend: Backend) -> None:
        for model in engines(backend):
            generator = backend.make(model, temperature=1.2)
            for sample in ask(generator, [(prefixes(generator)[3], 8, 0)])[0].samples:
                assert sample.text == generator.decode(sample.token_ids)

    def test_empty_output(self, backend: Backend) -> None:
        """An answer that ends at once is empty and finished; it is no error and not cut off."""
        script = {} if backend.real else {"script": "empty"}
        generator = backend.make("straddler", temperature=2.0, max_new_tokens=3, **script)
        begun = [(*range(3 + i, 9 + i),) for i in range(0, 600 if backend.real else 30, 3)]
        if backend.real:
            begun.sort(key=lambda ids: -ends(backend, ids))
        # of these samples some twenty are empty; with any prefixes it were two, and none in one run of seven
        samples = [s for c in ask(generator, [(ids, 48, 0) for ids in begun[:10]]) for s in c.samples]
        empty = [sample for sample in samples if not sample.token_ids]
        assert empty, "the fixture must end at once now and then"
        assert {(sample.text, sample.finish_reason) for sample in empty} == {("", "stop")}

    def test_a_capped_text_is_undecided(self, backend: Backend) -> None:
        generator = backend.make("teacher", max_new_tokens=5)
        samples = ask(generator, [(prefixes(generator)[0], 8, 0)])[0].samples
        assert {(len(s.token_ids), s.finish_reason) for s in samples} == {(5, "length")}

    def test_a_full_context_is_undecided(self, backend: Backend) -> None:
        if not backend.real:
            pytest.skip("a script has no context")
        generator = backend.make("straddler", max_new_tokens=30)
        nearly, full, over = ask(generator, [((7,) * 508, 3, 0), ((7,) * 512, 2, 0), ((7,) * 600, 2, 0)])
        assert {len(s.token_ids) for s in nearly.samples if s.finish_reason == "length"} <= {4}
        for completion in (full, over):
            assert {(s.token_ids, s.text, s.finish_reason) for s in completion.samples} == {
                ((), "", "length")
            }
            assert completion.usage.generated_tokens == 0


class TestAccounting:
    def test_tokens_are_counted(self, backend: Backend) -> None:
        generator = backend.make("teacher")
        requests = [(prefix, 1 + i % 4, i) for i, prefix in enumerate(prefixes(generator))]
        for (prefix, n, _), completion in zip(requests, ask(generator, requests), strict=True):
            kept = sum(sample.generated_tokens for sample in completion.samples)
            ended = sum(sample.finish_reason == "stop" for sample in completion.samples)
            assert completion.usage.prompt_tokens == len(prefix)
            assert 0 <= completion.usage.cached_tokens <= len(prefix)
            assert kept <= completion.usage.generated_tokens <= kept + ended
            assert len(completion.samples) == n

    def test_a_prefix_that_comes_again_is_cached(self, backend: Backend) -> None:
        if not backend.caches:
            pytest.skip("it caches nothing between requests")
        generator = backend.make("straddler", max_new_tokens=2)
        prefix = tuple(3 + i % 600 for i in range(400))
        first = ask(generator, [(prefix, 1, 0)])  # of two samples, a server counts what the second found
        again = ask(backend.make("straddler", max_new_tokens=2), [(prefix, 2, 1), (prefix, 2, 2)])
        cached = [completion.usage.cached_tokens for completion in (*first, *again)]
        assert cached[0] == 0
        assert max(cached) >= 256

    def test_no_samples_cost_nothing(self, backend: Backend) -> None:
        generator = backend.make("teacher")
        assert ask(generator, [(prefixes(generator)[0], 0, 0)]) == [Completion((), Usage())]


def test_cancelled_requests_stop_and_others_go_on(backend: Backend) -> None:
    script = {} if backend.real else {"script": "solver?delay=0.2"}
    generator = backend.make("straddler", max_new_tokens=450, temperature=0.8, **script)
    small = backend.make("teacher", max_new_tokens=3)

    async def scenario() -> tuple[list[Any], Completion, float]:
        prefix = generator.encode(QUESTION + "\n")
        tasks = [asyncio.create_task(generator.sample(prefix, 8, i)) for i in range(3)]
        kept = asyncio.create_task(generator.sample(prefix, 1, 9))
        await asyncio.sleep(0.1)
        for task in tasks:
            task.cancel()
        start = time.monotonic()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        seconds = time.monotonic() - start
        completion = await kept
        assert (await small.sample(prefixes(small)[0], 1, 0)).samples
        await generator.close()
        await small.close()
        return results, completion, seconds

    results, completion, seconds = asyncio.run(scenario())
    assert all(isinstance(result, asyncio.CancelledError) for result in results)
    assert len(completion.samples) == 1
    assert seconds < 5.0


def test_the_engine_stops_what_is_cancelled(backend: Backend) -> None:
    """Not only the caller: it is idle long before it would have come to the end."""
    # few texts end so hot; vLLM takes no more than 2
    generator = backend.make("straddler", max_new_tokens=450, temperature=2.0)
    if backend.at_work("straddler", generator) is None:
        pytest.skip("it does not tell what it works on")

    async def until(busy: bool) -> float:
        start = time.monotonic()
        while bool(backend.at_work("straddler", generator)) != busy:
            await asyncio.sleep(0.005)
        return time.monotonic() - start

    async def scenario() -> tuple[float, float]:
        prefix, start = generator.encode(QUESTION + "\n"), time.monotonic()
        await generator.sample(prefix, 24, 0)
        whole = time.monotonic() - start
        task = asyncio.create_task(generator.sample(prefix, 24, 0))
        await until(busy=True)
        task.cancel()
        stopped = await until(busy=False)
        await generator.close()
        return whole, stopped

    whole, stopped = asyncio.run(scenario())
    assert stopped < whole / 3, (stopped, whole)


def test_seeds(backend: Backend) -> None:
    """Other seeds give other samples; equal ones repeat where the backend says so."""
    generator = backend.make("teacher", temperature=1.0)
    prefix = prefixes(generator)[0]
    first, same, other = ask(generator, [(prefix, 8, 1), (prefix, 8, 1), (prefix, 8, 2)])
    assert [s.text for s in first.samples] != [s.text for s in other.samples]
    if backend.repeats:
        assert first.samples == same.samples


@pytest.mark.parametrize("prefix", [(), (-1,), (1 << 40,)])
def test_prefixes_that_no_model_takes(backend: Backend, prefix: tuple[int, ...]) -> None:
    if not backend.real:
        pytest.skip("a script takes bytes")
    with pytest.raises(GeneratorError, match="expected"):
        ask(backend.make("teacher"), [(prefix, 1, 0)])


def test_an_id_out_of_the_vocabulary(backend: Backend) -> None:
    if not backend.real or type(backend).__name__ == "OpenAI":
        pytest.skip("checked by real engines")
    with pytest.raises(GeneratorError):
        ask(backend.make("straddler"), [((5, 100_000), 1, 0)])


def test_closing_twice(backend: Backend) -> None:
    async def scenario() -> None:
        generator = backend.make("teacher")
        prefix = generator.prompt(QUESTION)
        await generator.sample(prefix, 1, 0)
        await generator.close()
        await generator.close()
        with pytest.raises(GeneratorError, match="closed"):
            await generator.sample(prefix, 1, 0)

    asyncio.run(scenario())
