"""A server that makes the client wait, or that will do nothing more for it."""

import asyncio
import time
from typing import Any

import pytest
from aiohttp import web
from test_generators_openai import (
    FAULTS,
    QUESTION,
    TEACHER,
    ModelServer,
    _quick,
    answering,
    ask_client,
    fine,
    flaky,
    openai,
    sample,
    serve_folder,
    served,
)

from distill.config import ServerSettings
from distill.errors import GeneratorError, NeverAnsweredError, RefusedError, UnreachableError
from generators import http_client
from generators.http_client import HttpClient

__all__ = ["_quick"]  # short waits, in these tests too


class TestWaits:
    def test_requests_that_were_told_to_wait_come_back_one_by_one(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Both those that were told and those that only heard of it: spread over as long again."""
        slept: list[float] = []
        client = HttpClient(ServerSettings(url="http://x/v1"), 1)
        clock = [100.0]

        async def sleep(seconds: float) -> None:
            slept.append(seconds)
            if len(slept) > 200:
                clock[0] = 1000.0

        monkeypatch.setattr(http_client.asyncio, "sleep", sleep)
        monkeypatch.setattr(http_client.time, "monotonic", lambda: clock[0])

        async def scenario() -> None:
            for _ in range(200):
                await client._back_off(1, 20.0)
            await client._wait_for_the_server()

        asyncio.run(scenario())
        assert min(slept) >= 20.0
        assert max(slept) <= 40.0
        told = sorted(slept[:200])
        assert told[20] < 24.0
        assert told[-20] > 36.0
        assert len(slept) > 200, "one that only hears of it waits too"
        assert slept[200] != 20.0

    def test_tries_whose_wait_the_server_named_do_not_count(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(http_client, "LONGEST_WAIT_SECONDS", 0.02)
        with answering(flaky(FAULTS["busy"], times=20)) as url:
            (reply,) = ask_client(url)
        assert reply.ok

    def test_a_server_that_names_waits_for_ever(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(http_client, "LONGEST_WAIT_SECONDS", 0.02)
        monkeypatch.setattr(http_client, "PATIENCE_SECONDS", 0.2)
        with (
            answering(flaky(FAULTS["busy"], times=9999)) as url,
            pytest.raises(UnreachableError, match="ready"),
        ):
            ask_client(url)

    def test_a_server_that_breaks_after_all_the_waiting(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(http_client, "PATIENCE_SECONDS", 0.0)
        named = lambda number: {"Retry-After": "0"} if number == 1 else {}  # noqa: E731
        broken = lambda request, number: web.Response(status=503, headers=named(number))  # noqa: E731
        with answering(broken) as url, pytest.raises(GeneratorError, match="found after 4 tries"):
            ask_client(url)

    def test_a_wait_of_a_day_ends_the_run(self) -> None:
        headers = {"Retry-After": "86400"}
        began = time.monotonic()
        with (
            answering(lambda request, number: web.Response(status=429, headers=headers)) as url,
            pytest.raises(RefusedError, match=r"within 1,800 s.*another 86,400 s.*status 429.*is kept"),
        ):
            ask_client(url)
        assert time.monotonic() - began < 30

    @pytest.mark.parametrize(("value", "seconds"), [("3", 3.0), ("-1", 0.0), ("nan", 0.0), ("soon", None)])
    def test_what_a_server_may_name(self, value: str, seconds: float | None) -> None:
        assert http_client._retry_after(value) == seconds


class TestOutages:
    """A server that is out of reach is no fault of the request; whatever else fails to the end is."""

    @pytest.mark.parametrize("status", [429, 502, 503, 504])
    def test_a_server_that_stays_down(self, status: int) -> None:
        with answering(lambda request, number: web.Response(status=status, text="down")) as url:
            told = rf"4 tries: status {status}: down.*out of reach.*same command again"
            with pytest.raises(UnreachableError, match=told):
                ask_client(url)

    def test_connections_that_break_after_an_answer(self) -> None:
        dropped = FAULTS["dropped"]
        with answering(lambda request, number: dropped(request) if number > 1 else fine()) as url:
            with pytest.raises(UnreachableError, match=r"4 tries.*out of reach") as caught:
                ask_client(url, times=2, concurrency=1)
            assert not isinstance(caught.value, NeverAnsweredError)

    @pytest.mark.parametrize("fault", ["broken", "slow", "garbage"])
    def test_what_may_be_the_requests_fault(self, fault: str) -> None:
        with answering(flaky(FAULTS[fault], times=99)) as url, pytest.raises(GeneratorError) as caught:
            ask_client(url, timeout_seconds=0.2)
        assert not isinstance(caught.value, UnreachableError)
        assert "out of reach" not in str(caught.value)


class TestFirstAnswer:
    """A server that never answered is mostly a wrong URL: no outage to wait out for hours."""

    @pytest.mark.parametrize("url", ["http://127.0.0.1:9/v1", "http://no-such-host.invalid/v1"])
    def test_no_connection(self, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
        monkeypatch.setattr(http_client, "TRIES", 99)
        monkeypatch.setattr(http_client, "FIRST_WAIT_SECONDS", 0.1)
        monkeypatch.setattr(http_client, "FIRST_ANSWER_SECONDS", 1.0)
        began = time.monotonic()
        told = rf"answer of {url} to POST /x, found after \d tries: Client.*still starting.*same command"
        with pytest.raises(NeverAnsweredError, match=told):
            ask_client(url)
        assert time.monotonic() - began < 3

    def test_connections_that_break(self) -> None:
        with answering(flaky(FAULTS["dropped"], times=99)) as url, pytest.raises(NeverAnsweredError):
            ask_client(url)

    def test_tls_where_the_server_speaks_none(self) -> None:
        with answering(flaky(FAULTS["garbage"])) as url, pytest.raises(NeverAnsweredError):
            ask_client(url.replace("http:", "https:"))

    def test_a_server_that_is_up_after_a_few_tries(self) -> None:
        with answering(flaky(FAULTS["dropped"], times=3)) as url:
            (reply,) = ask_client(url)
        assert reply.ok

    def test_the_waits_end_within_half_a_minute(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(http_client, "FIRST_WAIT_SECONDS", 0.5)
        clock, error = [0.0], http_client._TryAgainError("refused", NeverAnsweredError)
        monkeypatch.setattr(http_client.time, "monotonic", lambda: clock[0])
        for share in (0.5, 1.0):
            clock[0], tries = 0.0, 1
            while not http_client._ends_early(error, tries, 0.0):
                clock[0] += share * http_client._longest_wait(tries)
                tries += 1
            assert 10 < clock[0] <= 30

    @pytest.mark.parametrize(
        ("tokens", "told"), [({}, ""), ({"tokenizer": TEACHER, "chat": False}, "leave it out")]
    )
    def test_nothing_at_the_url(self, tokens: dict[str, Any], told: str) -> None:
        with answering(lambda request, number: web.Response(status=404, text="no route")) as url:
            generator = openai(url, **tokens)
            why = f"protocol at {url}, found status 404 for POST .*no route.*with its version.*{told}"
            with pytest.raises(NeverAnsweredError, match=why):
                sample(generator, generator.prompt(QUESTION))

    def test_a_404_after_an_answer_is_of_one_request(self) -> None:
        missing = web.Response(status=404, text="no route")
        with answering(lambda request, number: fine() if number == 1 else missing) as url:
            generator = openai(url)

            async def scenario() -> None:
                await generator.sample(generator.prompt(QUESTION), 1, 0)
                with pytest.raises(GeneratorError, match="refuses a request") as caught:
                    await generator.sample(generator.prompt(QUESTION), 1, 0)
                assert not isinstance(caught.value, UnreachableError | RefusedError)

            asyncio.run(scenario())


class TestRefusals:
    @pytest.mark.parametrize(
        ("status", "text"), [(401, ""), (402, "no credits"), (403, ""), (429, "code: insufficient_quota")]
    )
    def test_a_refused_key_or_a_spent_quota_ends_the_run(self, status: int, text: str) -> None:
        asked: list[int] = []

        def handler(request: web.Request, number: int) -> web.Response:
            asked.append(number)
            return web.Response(status=status, text=text)

        with answering(handler) as url, pytest.raises(RefusedError, match=f"{status}.*{text}.*kept"):
            ask_client(url)
        assert asked == [1]

    def test_a_text_that_is_flagged_says_nothing_against_the_key(self) -> None:
        flagged = web.json_response
        with answering(lambda request, number: flagged({"error": "input was flagged"}, status=403)) as url:
            (reply,) = ask_client(url)
        assert (reply.status, reply.ok) == (403, False)

    @pytest.mark.parametrize("tokens", [{}, {"tokenizer": TEACHER, "chat": False}])
    def test_a_model_that_the_server_does_not_have(self, tokens: dict[str, Any]) -> None:
        text = "no model `served` here"
        with answering(lambda request, number: web.Response(status=404, text=text)) as url:
            generator = openai(url, **tokens)
            with pytest.raises(RefusedError, match=text):
                sample(generator, generator.prompt(QUESTION))

    def test_a_key_that_may_not_list_models(self, monkeypatch: pytest.MonkeyPatch) -> None:
        async def refuse(self: ModelServer, request: web.Request) -> web.Response:
            return web.Response(status=403)

        monkeypatch.setattr(ModelServer, "models", refuse)
        with served(serve_folder(TEACHER).application()) as url:
            generator = openai(url, chat=False, tokenizer=TEACHER)
            assert len(sample(generator, generator.prompt(QUESTION), 2).samples) == 2
