"""The transformers engine against a plain reference, and the promises of the generator protocol."""

import asyncio
import time
from collections.abc import Sequence

import pytest
import torch
from tiny_model import corpus, make_tiny_model
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GPT2Config,
    GPT2LMHeadModel,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedModel,
)

from distill.config import GeneratorSettings
from distill.errors import GeneratorError
from distill.records import Usage
from generators.base import Completion
from generators.batching import Crew
from generators.load import load_generator
from generators.sampling import row_seed, sample_tokens, uniforms
from generators.transformers_backend import TransformersGenerator


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_tiny_model(tmp_path_factory.mktemp("llama"), eos_boost=1.5)


@pytest.fixture(scope="module")
def prefixes(folder):
    """Twelve prefixes of different lengths, one of them twice."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    ids = [tuple(tokenizer.encode(text)) for text in corpus()[::40]][:11]
    varied = [prefix[: 3 + 4 * i] for i, prefix in enumerate(ids)]
    return [*varied, varied[4]]


def engine(folder, **settings) -> TransformersGenerator:
    defaults = {"max_new_tokens": 40, "batch_size": 7, "threads": 1}
    return load_generator(GeneratorSettings(model=str(folder), **(defaults | settings)))


def ask(generator, requests: Sequence[tuple[tuple[int, ...], int, int]]) -> list[Completion]:
    async def everything():
        return await asyncio.gather(*(generator.sample(*request) for request in requests))

    return asyncio.run(everything())


@torch.inference_mode()
def reference(
    model: PreTrainedModel, prefix, sample: int, seed: int, ends: set[int], settings: dict
) -> tuple[tuple[int, ...], str]:
    """The same noise, one sequence at a time, everything recomputed at every token."""
    ids: list[int] = []
    for position in range(settings["max_new_tokens"]):
        logits = model(input_ids=torch.tensor([[*prefix, *ids]])).logits[:, -1]
        noise = uniforms(torch.tensor([row_seed(seed, sample)]), torch.tensor([position]))
        token = int(sample_tokens(logits, noise, settings["temperature"], settings["top_p"]))
        if token in ends:
            return tuple(ids), "stop"
        ids.append(token)
    return tuple(ids), "length"


def assert_like_reference(folder, prefixes, **settings) -> list[Completion]:
    """Nearly all samples equal; a few may differ by rounding. (None did when this was written.)"""
    settings = {"temperature": 0.9, "top_p": 1.0, "max_new_tokens": 40} | settings
    generator = engine(folder, **settings)
    requests = [(prefix, 3 + i % 3, 100 + i) for i, prefix in enumerate(prefixes)]
    completions = ask(generator, requests)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    total = same = 0
    for (prefix, n, seed), completion in zip(requests, completions, strict=True):
        assert len(completion.samples) == n
        for i, sample in enumerate(completion.samples):
            expected = reference(model, prefix, i, seed, generator._loaded.ends, settings)
            total += 1
            same += (sample.token_ids, sample.finish_reason) == expected
    assert same >= 0.95 * total
    return completions


def ask_by_turns(generator, rounds: Sequence[Sequence[tuple[tuple[int, ...], int, int]]], delays=(0.0,)):
    """Each member asks its round's requests one after the other; the completions, round by round."""
    crew = Crew()

    async def follow(number: int) -> list[Completion]:
        with crew.member(number):
            found = []
            for request in rounds[number]:
                found.append(await generator.sample(*request))
                await asyncio.sleep(delays[number % len(delays)])
            return found

    async def everything():
        return await asyncio.gather(*(follow(number) for number in range(len(rounds))))

    return asyncio.run(everything())


def turns(prefixes) -> list[list[tuple[tuple[int, ...], int, int]]]:
    """Members that come back to a prefix, to a beginning of it and to a longer one; some ask more at once."""
    return [
        [
            (p, 1, 7),
            (p[: max(2, len(p) // 2)], 1 + i % 3, 8),
            (p, 2, 9),
            ((*p, *p[-3:]), 5 * (i % 2) + 1, 10),
        ][: 1 + i % 4]
        for i, p in enumerate(prefixes)
    ]


class TestByTurns:
    """Requests that join a running job are answered as if they were alone."""

    @pytest.mark.parametrize("lanes", [3, 7, 256])
    def test_like_the_reference(self, folder, prefixes, lanes, monkeypatch):
        monkeypatch.setattr("generators.decode_loop._FIRST_COLUMNS", 5)
        settings = {"temperature": 0.9, "top_p": 1.0, "max_new_tokens": 40}
        generator = engine(folder, batch_size=lanes, **settings)
        asked = turns(prefixes)
        found = ask_by_turns(generator, asked)
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        pairs = [
            (
                (s.token_ids, s.finish_reason),
                reference(model, prefix, i, seed, generator._loaded.ends, settings),
            )
            for requests, completions in zip(asked, found, strict=True)
            for (prefix, n, seed), completion in zip(requests, completions, strict=True)
            for i, s in enumerate(completion.samples)
        ]
        assert len(pairs) == sum(n for requests in asked for _, n, _ in requests)
        assert sum(a == b for a, b in pairs) >= 0.95 * len(pairs)

    def test_time_changes_nothing(self, folder, prefixes):
        asked = turns(prefixes * 2)
        runs = [ask_by_turns(engine(folder), asked, d) for d in ((0.0,), (0.03, 0.0, 0.01), (0.0, 0.02))]
        assert runs[0] == runs[1] == runs[2]

    @pytest.mark.parametrize("kept", [0, 20_000])
    def test_a_store_that_forgets(self, folder, prefixes, kept, monkeypatch):
        whole = ask_by_turns(engine(folder), turns(prefixes))
        monkeypatch.setattr("generators.decode_loop._KEPT_BYTES", kept)
        found = ask_by_turns(engine(folder), turns(prefixes))
        alike = [a.samples == b.samples for x, y in zip(whole, found) for a, b in zip(x, y)]
        assert sum(alike) >= 0.9 * len(alike)


class TestAgainstReference:
    def test_few_lanes_many_rows(self, folder, prefixes):
        completions = assert_like_reference(folder, prefixes)
        reasons = {sample.finish_reason for c in completions for sample in c.samples}
        lengths = {len(sample.token_ids) for c in completions for sample in c.samples}
        assert reasons == {"stop", "length"}, "the fixture must exercise both endings"
        assert len(lengths) > 5

    def test_one_big_batch_top_p(self, folder, prefixes):
        assert_like_reference(folder, prefixes, batch_size=256, top_p=0.8, temperature=1.3)

    def test_one_lane(self, folder, prefixes):
        assert_like_reference(folder, prefixes[:4], batch_size=1)

    def test_columns_shift_and_grow(self, folder, prefixes, monkeypatch):
        monkeypatch.setattr("generators.decode_loop._FIRST_COLUMNS", 3)
        assert_like_reference(folder, prefixes)

    def test_prefill_in_chunks(self, folder, prefixes, monkeypatch):
        monkeypatch.setattr("generators.decode_loop._PREFILL_TOKENS", 60)
        assert_like_reference(folder, prefixes, batch_size=256)

    def test_sliding_window_attention(self, folder, prefixes, tmp_path):
        torch.manual_seed(1)
        config = MistralConfig(
            vocab_size=400, hidden_size=32, intermediate_size=64, num_hidden_layers=2, sliding_window=9,
            num_attention_heads=4, num_key_value_heads=2, initializer_range=0.3, eos_token_id=1,
        )  # fmt: skip
        MistralForCausalLM(config).save_pretrained(tmp_path)
        AutoTokenizer.from_pretrained(folder).save_pretrained(tmp_path)
        assert_like_reference(tmp_path, prefixes[:6])

    def test_learned_positions(self, folder, prefixes, tmp_path):
        torch.manual_seed(1)
        config = GPT2Config(
            vocab_size=400, n_embd=32, n_layer=2, n_head=4, n_positions=64, initializer_range=0.3,
            eos_token_id=1, bos_token_id=0,
        )  # fmt: skip
        GPT2LMHeadModel(config).save_pretrained(tmp_path)
        AutoTokenizer.from_pretrained(folder).save_pretrained(tmp_path)
        assert_like_reference(tmp_path, prefixes[:6], max_new_tokens=20)


class TestIndependence:
    def test_two_runs_are_identical(self, folder, prefixes):
        requests = [(prefix, 4, i) for i, prefix in enumerate(prefixes)]
        assert ask(engine(folder), requests) == ask(engine(folder), requests)

    def test_samples_of_a_request_differ_and_seeds_matter(self, folder, prefixes):
        generator = engine(folder, temperature=1.5)
        first, again, other = ask(generator, [(prefixes[3], 8, 1), (prefixes[3], 8, 1), (prefixes[3], 8, 2)])
        assert first.samples == again.samples
        assert len({sample.token_ids for sample in first.samples}) == 8
        assert {s.token_ids for s in first.samples}.isdisjoint(s.token_ids for s in other.samples)

    def test_batch_mates_do_not_matter(self, folder, prefixes):
        generator = engine(folder, batch_size=64)
        together = ask(generator, [(prefix, 4, i) for i, prefix in enumerate(prefixes)])
        alone = [ask(generator, [(prefix, 4, i)])[0] for i, prefix in enumerate(prefixes)]
        pairs = [
            (a, b)
            for x, y in zip(together, alone, strict=True)
            for a, b in zip(x.samples, y.samples, strict=True)
        ]
        assert sum(a == b for a, b in pairs) >= 0.95 * len(pairs)

    def test_more_samples_keep_the_first(self, folder, prefixes):
        generator = engine(folder)
        few, many = ask(generator, [(prefixes[5], 2, 9)])[0], ask(generator, [(prefixes[5], 6, 9)])[0]
        assert many.samples[:2] == few.samples

    def test_greedy_continuation_of_a_continuation(self, folder, prefixes):
        """Feeding back what was generated continues exactly where it stopped."""
        whole = ask(engine(folder, temperature=1e-4, max_new_tokens=12), [(p, 1, 0) for p in prefixes])
        half = engine(folder, temperature=1e-4, max_new_tokens=6)
        first = [c.samples[0].token_ids for c in ask(half, [(p, 1, 0) for p in prefixes])]
        longer = [(*p, *ids) for p, ids in zip(prefixes, first, strict=True)]
        second = [c.samples[0].token_ids for c in ask(half, [(p, 1, 0) for p in longer])]
        cut = [i for i, ids in enumerate(first) if len(ids) == 6]
        assert len(cut) > 3, "the fixture must have chains that go on"
        for i in cut:
            assert first[i] + second[i] == whole[i].samples[0].token_ids


class TestEndings:
    def test_empty_output(self, tmp_path):
        always = make_tiny_model(tmp_path, spread=0.02)
        model = AutoModelForCausalLM.from_pretrained(always)
        model.lm_head.weight.data.zero_()
        model.generation_config.eos_token_id = list(range(400))
        model.save_pretrained(always)
        completion = ask(engine(always), [((5, 6), 3, 0)])[0]
        assert [(s.token_ids, s.text, s.finish_reason) for s in completion.samples] == [((), "", "stop")] * 3
        assert completion.usage.generated_tokens == 3

    def test_cap_and_usage(self, folder, prefixes):
        generator = engine(folder, max_new_tokens=5)
        first, second, other = ask(generator, [(prefixes[4], 2, 0), (prefixes[4], 2, 1), (prefixes[5], 2, 0)])
        samples = [*first.samples, *second.samples, *other.samples]
        assert all(len(s.token_ids) == 5 for s in samples if s.finish_reason == "length")
        assert (first.usage.prompt_tokens, first.usage.cached_tokens) == (len(prefixes[4]), 0)
        assert (second.usage.prompt_tokens, second.usage.cached_tokens) == (len(prefixes[4]),) * 2
        assert other.usage.cached_tokens == 0
        sampled = [len(s.token_ids) + (s.finish_reason == "stop") for s in first.samples]
        assert first.usage.generated_tokens == sum(sampled)

    def test_stop_string_is_kept_and_ends_the_sample(self, folder, prefixes):
        free = ask(engine(folder), [(prefixes[6], 8, 3)])[0].samples
        stop = next(s.text for s in free if len(s.text) > 12)[4:6]
        held = ask(engine(folder, stop=[stop]), [(prefixes[6], 8, 3)])[0].samples
        assert any(stop in sample.text for sample in held)
        for before, after in zip(free, held, strict=True):
            if stop not in before.text:
                assert after == before
                continue
            assert before.token_ids[: len(after.token_ids)] == after.token_ids
            assert after.finish_reason == "stop"
            assert stop in after.text
            assert stop not in engine_decode(folder, after.token_ids[:-1])

    def test_context_overflow_is_length(self, folder):
        generator = engine(folder, max_new_tokens=40)
        nearly, full, over = ask(generator, [((7,) * 508, 2, 0), ((7,) * 512, 2, 0), ((7,) * 600, 1, 0)])
        assert all(len(s.token_ids) == 4 for s in nearly.samples if s.finish_reason == "length")
        for completion in (full, over):
            assert {(s.token_ids, s.finish_reason) for s in completion.samples} == {((), "length")}

    def test_invalid_utf8_is_replaced(self, folder):
        generator = engine(folder, temperature=50.0, max_new_tokens=60)
        samples = ask(generator, [((5, 6, 7), 16, 0)])[0].samples
        assert any("�" in sample.text for sample in samples)

    @pytest.mark.parametrize("tokens", [1000, pytest.param(10_000, marks=pytest.mark.slow)])
    def test_very_long_answers(self, tmp_path, tokens):
        endless = make_tiny_model(tmp_path, layers=1, hidden=16, context=20_000, ends=False)
        generator = engine(endless, max_new_tokens=tokens, batch_size=2)
        samples = ask(generator, [((5, 6, 7), 3, 0)])[0].samples
        assert [(len(s.token_ids), s.finish_reason) for s in samples] == [(tokens, "length")] * 3


def engine_decode(folder, token_ids) -> str:
    return AutoTokenizer.from_pretrained(folder).decode(list(token_ids))


class TestAsync:
    @pytest.fixture(scope="class")
    def endless(self, tmp_path_factory):
        """A model that never ends, so that there is time to interrupt it."""
        return make_tiny_model(tmp_path_factory.mktemp("endless"), layers=1, context=100_000, ends=False)

    def test_cancelled_rows_are_dropped_and_mates_go_on(self, endless):
        generator = engine(endless, max_new_tokens=50_000, batch_size=8, stop=[])
        short = engine(endless, max_new_tokens=300)

        async def scenario():
            tasks = [asyncio.create_task(generator.sample((5, 6), 2, seed)) for seed in range(3)]
            await asyncio.sleep(0.3)
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            start = time.monotonic()
            await generator.close()
            return results, time.monotonic() - start, await short.sample((5, 6), 1, 0)

        results, wait, after = asyncio.run(scenario())
        assert all(isinstance(result, asyncio.CancelledError) for result in results)
        assert wait < 3.0, "the worker went on with rows that nobody waits for"
        assert after.samples

    def test_one_cancelled_request_leaves_the_others(self, folder, prefixes):
        generator = engine(folder, max_new_tokens=200)
        expected = ask(generator, [(prefixes[1], 2, 1)])[0]

        async def scenario():
            kept = asyncio.create_task(generator.sample(prefixes[1], 2, 1))
            dropped = asyncio.create_task(generator.sample(prefixes[2], 2, 2))
            await asyncio.sleep(0.02)
            dropped.cancel()
            return await kept

        assert asyncio.run(scenario()).samples == expected.samples

    def test_the_loop_stays_responsive(self, endless):
        generator = engine(endless, max_new_tokens=400)

        async def scenario():
            task, turns = asyncio.create_task(generator.sample((5, 6), 2, 0)), 0
            while not task.done():
                await asyncio.sleep(0.005)
                turns += 1
            return turns

        assert asyncio.run(scenario()) > 10

    def test_closing_fails_what_waits(self, endless):
        generator = engine(endless, max_new_tokens=50_000)

        async def scenario():
            task = asyncio.create_task(generator.sample((5, 6), 1, 0))
            await asyncio.sleep(0.1)
            await generator.close()
            await generator.close()
            with pytest.raises(GeneratorError, match="closed"):
                await task
            with pytest.raises(GeneratorError, match="closed"):
                await generator.sample((5, 6), 1, 0)

        asyncio.run(scenario())


class TestFaults:
    def test_nan_weights_are_an_error_not_tokens(self, folder, tmp_path):
        model = AutoModelForCausalLM.from_pretrained(folder)
        model.lm_head.weight.data[7] = float("nan")
        model.save_pretrained(tmp_path)
        AutoTokenizer.from_pretrained(folder).save_pretrained(tmp_path)
        with pytest.raises(GeneratorError, match="NaN"):
            ask(engine(tmp_path), [((5, 6), 2, 0)])

    @pytest.mark.parametrize(
        ("prefix", "n", "message"),
        [
            ((), 1, "at least one token"),
            ((5, 400), 1, "0 to 399"),
            ((-1,), 1, "0 to 399"),
            ((5,), -1, "n >= 0"),
        ],
    )
    def test_bad_requests(self, folder, prefix, n, message):
        with pytest.raises(GeneratorError, match=message):
            ask(engine(folder), [(prefix, n, 0)])

    def test_no_samples(self, folder):
        assert ask(engine(folder), [((5,), 0, 0)])[0] == Completion((), Usage())

    @pytest.mark.parametrize("model", ["builtin:no-such-teacher", "./no/such/folder"])
    def test_missing_model(self, model):
        with pytest.raises(GeneratorError, match=r"no-such|no/such"):
            engine(model)

    def test_gpu_without_a_gpu(self, folder):
        if torch.cuda.is_available():
            pytest.skip("this machine has a GPU")
        with pytest.raises(GeneratorError, match="gpus: 0"):
            engine(folder, gpus=1)


class TestNaming:
    def test_name_states_the_weights(self, folder, tmp_path):
        other = make_tiny_model(tmp_path / folder.name, eos_boost=1.5, seed=5)
        first, second = engine(folder).name, engine(other).name
        assert first.rpartition("@")[0] == second.rpartition("@")[0] == folder.name
        assert first != second
        assert engine(folder).name == first

    def test_prompt_begins_with_the_tokenizers_begin_token(self, folder):
        generator = engine(folder)
        ids = generator.encode("Mia has 3 pens.\n")
        assert ids[0] == AutoTokenizer.from_pretrained(folder).bos_token_id
        assert generator.decode(ids[1:]) == "Mia has 3 pens.\n"

    def test_four_bit(self, tmp_path):
        model = make_tiny_model(tmp_path, hidden=64)
        generator = engine(model, quantise="nf4", dtype="bfloat16")
        assert generator.name.startswith(f"{tmp_path.name}-bfloat16-nf4@")
        assert len(ask(generator, [((5, 6, 7), 3, 0)])[0].samples) == 3
