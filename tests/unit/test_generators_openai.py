"""The client of OpenAI-compatible servers against servers that misbehave, and what it refuses."""

import asyncio
import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.utils import formatdate
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import web

sys.path.insert(0, str(Path(__file__).parents[1] / "conformance"))
from model_server import ModelServer, serve_folder, served

from distill.config import GeneratorSettings, ServerSettings
from distill.errors import GeneratorError, UnfaithfulPrefixError
from distill.loading import dump_recipe
from distill.records import Usage
from generators import http_client
from generators.http_client import HttpClient
from generators.load import load_generator

TEACHER = "builtin:arith-teacher"
QUESTION = "Mia has 3 pens and buys 4 more. How many pens has Mia?"
SECRET = "sk-very-secret-0123456789"
Handler = Callable[[web.Request, int], Any]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_client, "FIRST_WAIT_SECONDS", 0.01)
    monkeypatch.setattr(http_client, "TRIES", 4)


@contextmanager
def answering(handler: Handler) -> Iterator[str]:
    """A server that gives every request, numbered from 1, to `handler`."""
    numbers = iter(range(1, 10_000))

    async def handle(request: web.Request) -> web.StreamResponse:
        answer = handler(request, next(numbers))
        return await answer if asyncio.iscoroutine(answer) else answer

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    with served(app) as url:
        yield url


def fine(text: str = "7") -> web.Response:
    usage = {"prompt_tokens": 3, "completion_tokens": 1}
    return web.json_response({"choices": [{"message": {"content": text}}], "usage": usage})


def ask_client(url: str, times: int = 1, concurrency: int = 8, **settings: Any) -> list[Any]:
    async def scenario() -> list[Any]:
        client = HttpClient(ServerSettings(url=url, **settings), concurrency)
        try:
            return await asyncio.gather(*(client.post("/x", {"a": 1}) for _ in range(times)))
        finally:
            await client.close()

    return asyncio.run(scenario())


def flaky(first: Callable[[web.Request], Any], times: int = 1) -> Handler:
    return lambda request, number: first(request) if number <= times else fine()


async def _drop(request: web.Request) -> web.Response:
    assert request.transport is not None
    request.transport.close()
    return web.Response()


async def _slow(request: web.Request) -> web.Response:
    await asyncio.sleep(5)
    return fine()


FAULTS: dict[str, Callable[[web.Request], Any]] = {
    "busy": lambda request: web.Response(status=429, headers={"Retry-After": "0"}),
    "broken": lambda request: web.Response(status=500, text="out of memory"),
    "overloaded": lambda request: web.Response(status=503),
    "dropped": _drop,
    "slow": _slow,
    "garbage": lambda request: web.Response(text="<html>no JSON</html>"),
    "cut off": lambda request: web.Response(text='{"choices": [{"mess'),
    "a list": lambda request: web.json_response([1, 2]),
}


class TestRetries:
    @pytest.mark.parametrize("fault", FAULTS)
    def test_faults_that_pass(self, fault: str) -> None:
        with answering(flaky(FAULTS[fault], times=2)) as url:
            (reply,) = ask_client(url, timeout_seconds=0.4)
        assert reply.ok
        assert reply.data["choices"]

    @pytest.mark.parametrize(
        ("fault", "told"), [("broken", "out of memory"), ("garbage", "no JSON"), ("slow", "Timeout")]
    )
    def test_faults_that_stay(self, fault: str, told: str) -> None:
        with answering(flaky(FAULTS[fault], times=99)) as url, pytest.raises(GeneratorError, match=told):
            ask_client(url, timeout_seconds=0.2)

    def test_an_answer_that_takes_too_long_names_the_setting(self) -> None:
        with answering(flaky(FAULTS["slow"], times=99)) as url, pytest.raises(GeneratorError) as caught:
            ask_client(url, timeout_seconds=0.1)
        assert "no answer within 0.1 s" in str(caught.value)
        assert "server.timeout_seconds" in str(caught.value)

    @pytest.mark.parametrize("error", [{"message": "upstream broke", "code": 502}, {"code": "x"}, "broken"])
    def test_an_error_within_a_success_is_tried_again(self, error: Any) -> None:
        wrapped = lambda request: web.json_response({"error": error})  # noqa: E731
        with answering(flaky(wrapped, times=2)) as url:
            (reply,) = ask_client(url)
        assert reply.data["choices"]

    def test_a_refusal_within_a_success_is_a_refusal(self) -> None:
        wrapped = {"error": {"message": "flagged", "code": 400}}
        with answering(lambda request, number: web.json_response(wrapped)) as url:
            (reply,) = ask_client(url)
        assert (reply.status, reply.ok) == (400, False)
        assert "flagged" in reply.text

    def test_choices_beside_a_field_named_error_are_an_answer(self) -> None:
        both = {"choices": [], "error": "none"}
        with answering(lambda request, number: web.json_response(both)) as url:
            (reply,) = ask_client(url)
        assert reply.data == both

    def test_the_client_is_alive_while_it_asks(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """However slow the server is: a try has its own time-out, and the driver shall not end the worker."""
        clock = [100.0]

        async def scenario(url: str) -> list[int]:
            client = HttpClient(ServerSettings(url=url), 8)
            beats = [client.beats]
            asking = asyncio.create_task(client.post("/x", {}))
            while not arrived:
                await asyncio.sleep(0.01)
            with monkeypatch.context() as patch:
                patch.setattr(http_client, "time", SimpleNamespace(monotonic=lambda: clock[0]))
                for clock[0] in (200.0, 300.0):
                    beats.append(client.beats)
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
            beats.append(client.beats)
            await client.close()
            return beats

        arrived: list[int] = []

        def handler(request: web.Request, number: int) -> Any:
            arrived.append(number)
            return _slow(request)

        with answering(handler) as url:
            idle, first, second, after = asyncio.run(scenario(url))
        assert first != second
        assert idle == after

    def test_nobody_listens(self) -> None:
        with pytest.raises(GeneratorError, match="4 tries"):
            ask_client("http://127.0.0.1:9/v1")

    @pytest.mark.parametrize("when", [lambda: "1", lambda: formatdate(time.time() + 2, usegmt=True)])
    def test_retry_after_is_honoured_by_all_requests(self, when: Callable[[], str]) -> None:
        arrivals: list[float] = []

        def handler(request: web.Request, number: int) -> web.Response:
            arrivals.append(time.monotonic())
            return web.Response(status=429, headers={"Retry-After": when()}) if number == 1 else fine()

        async def scenario(url: str) -> None:
            client = HttpClient(ServerSettings(url=url), 8)
            first = asyncio.create_task(client.post("/x", {}))
            await asyncio.sleep(0.3)
            await asyncio.gather(first, *(client.post("/x", {}) for _ in range(4)))
            await client.close()

        with answering(handler) as url:
            asyncio.run(scenario(url))
        assert len(arrivals) == 6
        assert min(arrivals[1:]) - arrivals[0] > 0.9

    def test_no_more_in_flight_than_allowed(self) -> None:
        now, most = [0], [0]

        async def handle(request: web.Request) -> web.Response:
            now[0] += 1
            most[0] = max(most[0], now[0])
            await asyncio.sleep(0.02)
            now[0] -= 1
            return fine()

        with answering(lambda request, number: handle(request)) as url:
            assert len(ask_client(url, times=20, concurrency=3)) == 20
        assert most[0] <= 3

    def test_waits_grow_and_differ(self, monkeypatch: pytest.MonkeyPatch) -> None:
        slept: list[float] = []
        client = HttpClient(ServerSettings(url="http://x/v1"), 1)

        async def sleep(seconds: float) -> None:
            slept.append(seconds)

        monkeypatch.setattr(http_client.asyncio, "sleep", sleep)
        for tries in (1, 1, 1, 3, 3, 3, 30):
            asyncio.run(client._back_off(tries, None))
        assert len(set(slept)) == len(slept)
        assert all(0.005 <= seconds <= 0.01 for seconds in slept[:3])
        assert all(0.02 <= seconds <= 0.04 for seconds in slept[3:6])
        assert slept[6] <= http_client.LONGEST_WAIT_SECONDS


class TestKeys:
    def test_the_key_is_sent_and_shown_nowhere(self, monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
        monkeypatch.setenv("MY_KEY", SECRET)
        caplog.set_level("DEBUG")
        seen: list[str] = []

        def handler(request: web.Request, number: int) -> web.Response:
            seen.append(request.headers["Authorization"])
            return web.Response(status=401, text=f"wrong key {SECRET}")

        with answering(handler) as url, pytest.raises(GeneratorError, match="MY_KEY") as caught:
            ask_client(url, key_env="MY_KEY")
        assert seen == [f"Bearer {SECRET}"], "a key that is refused is not tried again"
        assert SECRET not in str(caught.value)
        assert SECRET not in caplog.text
        server = ServerSettings(url="http://x/v1", key_env="MY_KEY")
        settings = GeneratorSettings(backend="openai", model="m", chat=True, server=server)
        assert SECRET not in dump_recipe(settings) + repr(settings)

    @pytest.mark.parametrize("fault", ["dropped", "echoed"])
    def test_no_error_holds_the_key(self, monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
        monkeypatch.setenv("MY_KEY", SECRET)
        echoed = lambda request: web.Response(status=500, text=str(request.headers))  # noqa: E731
        first = FAULTS.get(fault, echoed)
        with answering(flaky(first, times=99)) as url, pytest.raises(GeneratorError) as caught:
            ask_client(url, key_env="MY_KEY")
        error: BaseException | None = caught.value
        while error is not None:
            assert SECRET not in f"{error!r}"
            error = error.__cause__

    def test_a_success_that_repeats_the_key(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MY_KEY", SECRET)
        odd = web.json_response
        with answering(lambda request, number: odd({"detail": f"who is {SECRET}?"})) as url:
            server = ServerSettings(url=url, key_env="MY_KEY")
            settings = GeneratorSettings(backend="openai", model="m", chat=True, server=server)
            generator = load_generator(settings)
            with pytest.raises(GeneratorError, match=r"who is \[key\]") as caught:
                sample(generator, generator.prompt(QUESTION), 1)
        assert SECRET not in str(caught.value)

    def test_a_key_that_is_not_set(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("MY_KEY", raising=False)
        with pytest.raises(GeneratorError, match="MY_KEY"):
            HttpClient(ServerSettings(url="http://x/v1", key_env="MY_KEY"), 1)

    def test_redirects_are_not_followed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MY_KEY", SECRET)
        moved = web.HTTPTemporaryRedirect("http://127.0.0.1:9/elsewhere")
        with answering(lambda request, number: web.Response(status=307, headers=moved.headers)) as url:
            (reply,) = ask_client(url, key_env="MY_KEY")
        assert (reply.status, reply.ok) == (307, False)

    def test_a_url_with_a_key_in_it_is_no_url(self) -> None:
        with pytest.raises(ValueError, match="url"):
            ServerSettings(url="https://user:key@host/v1")


def openai(url: str, **settings: Any) -> Any:
    told: dict[str, Any] = {"chat": True, "max_new_tokens": 24} | settings
    server = ServerSettings(url=url)
    return load_generator(GeneratorSettings(backend="openai", model="served", server=server, **told))


def sample(generator: Any, prefix: Any, n: int = 2) -> Any:
    async def scenario() -> Any:
        try:
            return await generator.sample(prefix, n, 0)
        finally:
            await generator.close()

    return asyncio.run(scenario())


def chat(model: ModelServer, prefix_text: str = "", n: int = 2, **settings: Any) -> Any:
    with served(model.application()) as url:
        generator = openai(url, **settings)
        prefix = (*generator.prompt(QUESTION, rollout=bool(prefix_text)), *generator.encode(prefix_text))
        return sample(generator, prefix, n)


class TestChat:
    def test_a_question_and_the_beginning_of_its_answer(self) -> None:
        model = serve_folder(TEACHER)
        completion = chat(model, "Mia has 3 + 4 = 7 pens.\n", n=3)
        assert len(completion.samples) == 3
        assert [m["role"] for m in model.asked[-1]["messages"]] == ["user", "assistant"]
        assert model.asked[-1]["messages"][1]["content"] == "Mia has 3 + 4 = 7 pens.\n"
        assert all(s.text.encode() == bytes(s.token_ids) for s in completion.samples)
        assert sum(s.generated_tokens for s in completion.samples) == pytest.approx(
            completion.usage.generated_tokens, abs=3
        )

    def test_a_fresh_answer_needs_no_probe_and_sends_plain_fields_only(self) -> None:
        model = serve_folder(TEACHER, "new turn")
        assert len(chat(model).samples) == 2
        assert set(model.asked[0]) == {"model", "n", "temperature", "top_p", "max_tokens", "messages"}
        assert len(model.asked) == 1

    @pytest.mark.parametrize(
        ("quirk", "why"), [("new turn", "ignores continue_final_message"), ("trims", "trims it")]
    )
    def test_refuses_what_is_not_faithful(self, quirk: str, why: str) -> None:
        with pytest.raises(UnfaithfulPrefixError, match=why):
            chat(serve_folder(TEACHER, quirk), "Mia has 7 pens.\n")

    def test_a_server_that_knows_no_continuation(self) -> None:
        def handler(request: web.Request, number: int) -> web.Response:
            error = {"error": {"message": "Unrecognized request argument: continue_final_message"}}
            return web.json_response(error, status=400)

        with answering(handler) as url:
            generator = openai(url)
            with pytest.raises(UnfaithfulPrefixError, match="Unrecognized request argument"):
                sample(generator, (*generator.prompt(QUESTION), *generator.encode("So")))

    def test_a_character_that_is_cut(self) -> None:
        with served(serve_folder(TEACHER).application()) as url:
            generator = openai(url)
            with pytest.raises(UnfaithfulPrefixError, match="whole character"):
                sample(generator, (*generator.prompt(QUESTION), 0xC3))

    def test_a_thinking_model_is_no_completer_here(self) -> None:
        with pytest.raises(UnfaithfulPrefixError, match="without new thoughts"):
            openai("http://x/v1", thinking=True).prompt(QUESTION, rollout=True)

    def test_thoughts_are_dropped(self) -> None:
        with answering(lambda request, number: fine("<think>3 and 4</think>\n\n7")) as url:
            generator = openai(url, thinking=True)
            (one,) = sample(generator, generator.prompt(QUESTION), 1).samples
        assert (one.text, one.generated_tokens) == ("7", 1)

    def test_half_a_character(self) -> None:
        """JSON can spell one; neither UTF-8 nor a shard can."""
        text = '{"choices": [{"message": {"content": "7 \\ud83d\\ude00 \\ud83d"}, "finish_reason": "stop"}]}'
        with answering(lambda request, number: web.Response(text=text)) as url:
            generator = openai(url)
            (one,) = sample(generator, generator.prompt(QUESTION), 1).samples
        assert one.text == "7 \U0001f600 \ufffd"
        assert generator.decode(one.token_ids) == one.text

    def test_fewer_choices_than_asked_for_are_asked_for_again(self) -> None:
        model = serve_folder(TEACHER, "one")
        assert len(chat(model, n=3).samples) == 3
        assert [body["n"] for body in model.asked] == [3, 2, 1]

    def test_the_newer_name_of_the_limit(self) -> None:
        async def handle(request: web.Request) -> web.Response:
            if "max_tokens" in await request.json():
                return web.json_response({"error": "use max_completion_tokens"}, status=400)
            return fine()

        with answering(lambda request, number: handle(request)) as url:
            generator = openai(url)
            assert sample(generator, generator.prompt(QUESTION), 1).samples[0].text == "7"

    @pytest.mark.parametrize(
        "message",
        [
            "This model's maximum context length is 512 tokens. However, your prompt contains at least 513 "
            "input tokens, which exceeds this limit even without any output tokens.",
            "Input length (600) exceeds model's maximum context length (512).",
            "This model's maximum context length is 512 tokens. However, you requested 624 tokens (600 in "
            "the messages, 24 in the completion). Please reduce the length of the messages or completion.",
            "The input (600 tokens) is longer than the model's context length (512 tokens).",
        ],
    )
    def test_a_prefix_that_fills_the_context_is_undecided(self, message: str) -> None:
        error = {"error": {"message": message, "code": 400}}
        with answering(lambda request, number: web.json_response(error, status=400)) as url:
            generator = openai(url)
            completion = sample(generator, generator.prompt(QUESTION), 2)
        assert {(s.token_ids, s.text, s.finish_reason) for s in completion.samples} == {((), "", "length")}
        assert (len(completion.samples), completion.usage) == (2, Usage())

    @pytest.mark.parametrize(
        ("message", "asked"),
        [
            (
                "This model's maximum context length is 512 tokens. However, you requested 524 tokens (500 "
                "in the messages, 24 in the completion).",
                [24, 12],
            ),
            (
                "'max_tokens' or 'max_completion_tokens' is too large: 24. This model's maximum context "
                "length is 512 tokens and your request has 500 input tokens (24 > 512 - 500).",
                [24, 24, 12],
            ),
            (
                "Requested token count exceeds the model's maximum context length of 512 tokens. You "
                "requested a total of 524 tokens: 500 tokens from the input messages and 24 tokens for the "
                "completion.",
                [24, 12],
            ),
            (
                "This endpoint's maximum context length is 512 tokens. However, you requested about 524 "
                "tokens (500 of text input, 24 in the output).",
                [24, 12],
            ),
        ],
        ids=["older vLLM and OpenAI", "vLLM 0.8 and later", "SGLang", "words without counts"],
    )
    def test_the_room_that_is_left_is_used(self, message: str, asked: list[int]) -> None:
        """Servers that count prompt and answer together refuse what would not fit to the last token."""
        limits: list[int] = []

        async def handle(request: web.Request) -> web.Response:
            body = await request.json()
            limits.append(body.get("max_tokens") or body["max_completion_tokens"])
            return fine() if limits[-1] <= 12 else web.json_response({"error": message}, status=400)

        with answering(lambda request, number: handle(request)) as url:
            generator = openai(url)
            assert sample(generator, generator.prompt(QUESTION), 1).samples[0].text == "7"
        assert limits == asked

    @pytest.mark.parametrize(
        ("status", "text"),
        [
            (400, "max_tokens=600 cannot be greater than max_model_len=max_total_tokens=512."),
            (400, "expected a context of messages"),
            (422, "maximum context length"),
        ],
    )
    def test_another_refusal_stays_an_error(self, status: int, text: str) -> None:
        with answering(lambda request, number: web.Response(status=status, text=text)) as url:
            generator = openai(url)
            with pytest.raises(GeneratorError, match="refuses a request"):
                sample(generator, generator.prompt(QUESTION), 1)

    def test_usage_is_the_servers(self) -> None:
        with answering(lambda request, number: fine()) as url:
            generator = openai(url)
            assert sample(generator, generator.prompt(QUESTION), 1).usage == Usage(3, 0, 1)

    @pytest.mark.parametrize("body", [{}, {"choices": [{}]}, {"choices": 3}, {"choices": []}])
    def test_answers_of_another_shape(self, body: Any) -> None:
        with answering(lambda request, number: web.json_response(body)) as url:
            generator = openai(url)
            with pytest.raises(GeneratorError, match="expected"):
                sample(generator, generator.prompt(QUESTION), 1)

    def test_a_filtered_answer_is_no_stop(self) -> None:
        choice = {"message": {"content": None}, "finish_reason": "content_filter"}
        with answering(lambda request, number: web.json_response({"choices": [choice]})) as url:
            generator = openai(url)
            assert sample(generator, generator.prompt(QUESTION), 1).samples[0].finish_reason == "error"


class TestTokens:
    def tokens(self, model: ModelServer, n: int = 2, tokenizer: str = TEACHER, **settings: Any) -> Any:
        with served(model.application()) as url:
            generator = openai(url, chat=False, tokenizer=tokenizer, **settings)
            return sample(generator, generator.prompt(QUESTION), n)

    def test_defaults_of_the_server_are_overruled(self) -> None:
        model = serve_folder(TEACHER)
        self.tokens(model)
        assert {"top_k": -1, "repetition_penalty": 1.0, "return_token_ids": True}.items() <= model.asked[
            -1
        ].items()

    def test_a_server_that_hides_ids_and_cuts_stop_strings_off(self) -> None:
        completion = self.tokens(serve_folder(TEACHER, "no ids"), n=4, stop=["\n"])
        assert all(s.text.endswith("\n") for s in completion.samples if s.finish_reason == "stop")
        assert all(s.token_ids for s in completion.samples)

    @pytest.mark.parametrize("quirks", [(), ("no ids",)])
    def test_a_server_that_counts_nothing(self, monkeypatch: pytest.MonkeyPatch, quirks: Any) -> None:
        written = ModelServer._written
        without = lambda self, *args: {"choices": written(self, *args)["choices"]}  # noqa: E731
        monkeypatch.setattr(ModelServer, "_written", without)
        with served(serve_folder(TEACHER, *quirks).application()) as url:
            generator = openai(url, chat=False, tokenizer=TEACHER)
            prefix = generator.prompt(QUESTION)
            completion = sample(generator, prefix, 3)
        generated = sum(len(s.token_ids) for s in completion.samples)
        assert generated > 0
        assert completion.usage == Usage(len(prefix), 0, generated)

    def test_the_name_tells_whose_the_token_ids_are(self, tmp_path: Path) -> None:
        """A worker takes a chain's ids over where the names are equal."""
        from straddler import make_straddler

        tokenizers = (TEACHER, str(make_straddler(tmp_path)))
        engines = [openai("http://x/v1", chat=False, tokenizer=tokenizer) for tokenizer in tokenizers]
        assert engines[0].encode("3 + 4") != engines[1].encode("3 + 4")
        names = {*(engine.name for engine in engines), openai("http://x/v1").name}
        assert len(names) == 3

    def test_a_server_that_adds_a_token(self) -> None:
        with pytest.raises(UnfaithfulPrefixError, match="adds none of its own"):
            self.tokens(serve_folder(TEACHER, "adds"))

    def test_a_server_that_takes_text_only(self) -> None:
        with pytest.raises(UnfaithfulPrefixError, match="prompt must be a string"):
            self.tokens(serve_folder(TEACHER, "no tokens"))

    def test_the_tokenizer_of_another_model(self, tmp_path: Path) -> None:
        from straddler import make_straddler

        with pytest.raises(GeneratorError, match=r"tokenizer|refuses|server"):
            self.tokens(serve_folder(TEACHER), tokenizer=str(make_straddler(tmp_path)))


class TestRecipes:
    @pytest.mark.parametrize(
        ("settings", "why"),
        [
            ({"backend": "openai", "chat": True}, "needs `server`"),
            ({"backend": "openai", "server": {"url": "http://x/v1"}}, "needs a `tokenizer`"),
            ({"server": {"url": "http://x/v1"}}, "is for backend 'openai'"),
            ({"lora": "folder"}, "is for backend 'vllm'"),
            ({"engine_args": {"max_model_len": 1}}, "is for backend 'vllm'"),
        ],
    )
    def test_settings_of_another_backend(self, settings: dict[str, Any], why: str) -> None:
        with pytest.raises(ValueError, match=why):
            GeneratorSettings.model_validate(settings)

    @pytest.mark.parametrize("tokenizer", [None, TEACHER])
    def test_steps_of_tokens_need_a_tokenizer(self, tokenizer: str | None) -> None:
        """Without one, ids are bytes: a step would be so many bytes, and end within a character."""
        from distill.config import Recipe

        teacher = {"backend": "openai", "model": "m", "chat": True, "server": {"url": "http://x/v1"}}
        chains = {"segment": "tokens", "segment_tokens": 20}
        asked = {"name": "a", "teacher": teacher | {"tokenizer": tokenizer}, "chains": chains}
        if tokenizer:
            assert Recipe.model_validate(asked).chains.segment_tokens == 20
        else:
            with pytest.raises(ValueError, match=r"name teacher\.tokenizer"):
                Recipe.model_validate(asked)

    def test_the_server_is_no_part_of_a_fingerprint(self) -> None:
        from distill.config import Recipe
        from distill.pipeline import stage_fingerprints

        def prints(url: str) -> dict[str, str]:
            teacher = {"backend": "openai", "model": "m", "chat": True, "server": {"url": url}}
            return stage_fingerprints(Recipe.model_validate({"name": "a", "teacher": teacher}))

        assert prints("http://x/v1") == prints("https://y/v1")
        assert json.dumps(prints("http://x/v1"))
