"""JSON over HTTP with what a long job needs: a limit on requests in flight, retries, keys kept secret.

Tried again: connections that fail or drop, time-outs, answers that are no JSON, and the statuses of a
server that is busy or broken. The wait doubles from one try to the next, with jitter. When the server
names a time (`Retry-After`), every request of this client waits for it, and a while longer, each its own, so
that they do not come back all at once; such a try does not count, up to `PATIENCE_SECONDS`.

What fails to the last try is told apart: a server out of reach (UnreachableError) may come back and says
nothing against the request; whatever else it answers is an error of this request. A server that has not
answered this client once is given up sooner (NeverAnsweredError): mostly its URL is wrong.
"""

import asyncio
import json
import os
import random
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from itertools import count
from typing import Any

from distill.config import ServerSettings
from distill.errors import (
    GeneratorError,
    NeverAnsweredError,
    RefusedError,
    UnfitSettingError,
    UnreachableError,
    missing,
)

TRIES = 8
FIRST_WAIT_SECONDS = 0.5
LONGEST_WAIT_SECONDS = 60.0
FIRST_ANSWER_SECONDS = 30.0
"""How long a server may be out of reach that never answered: a wrong URL shall not look like an outage."""
CONNECT_SECONDS = 10.0
"""For one connection: TCP's first three tries. More would take most of `FIRST_ANSWER_SECONDS`."""
FIRST_ADVICE = (
    "It never answered. If it is still starting (a large model takes minutes), wait until it is up. See that "
    "server.url is right, with its version (/v1), and that every machine that runs an engine reaches it (try "
    "`curl URL/models` there). What is finished is kept; give the same command again."
)
"""What to do about a server that gave not one answer."""
LONGEST_SPREAD_SECONDS = 300.0
PATIENCE_SECONDS = 1800.0
"""How long one request waits in all, because the server says so, before the server is out of reach."""
BUSY = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
AWAY = frozenset({429, 502, 503, 504, 529})
"""Those of `BUSY` that are about the server as a whole; the others may be about one request."""
NOT_ALLOWED = frozenset({401, 402, 403})
SPENT = "insufficient_quota"
"""What OpenAI's servers say with a 429 that no wait will cure."""
FLAGGED = ("flagged", "moderation")
"""Words of a 403 that is about one text, not about the key."""
_SHOWN = 500
_SEE = "See that the server runs and that server.url is right; lower batch_size if it is overloaded."
_AGAIN = "It is out of reach. What is finished is kept; give the same command again when it answers."
_ADVICE = {
    GeneratorError: _SEE,
    UnreachableError: f"{_SEE} {_AGAIN}",
    NeverAnsweredError: FIRST_ADVICE,
}


@dataclass(frozen=True, slots=True)
class Reply:
    """A server's last word: the status, the JSON object of a success, or the text of a refusal."""

    status: int
    data: dict[str, Any]
    text: str

    @property
    def ok(self) -> bool:
        """Whether the server did what it was asked."""
        return self.status < 300


class _TryAgainError(Exception):
    """One try failed in a way that may pass; `seconds` is the wait that the server named, `kind` what is
    raised if it does not pass."""

    def __init__(
        self, reason: str, kind: type[GeneratorError] = GeneratorError, seconds: float | None = None
    ) -> None:
        super().__init__(reason)
        self.kind, self.seconds = kind, seconds


@dataclass
class _Open:
    """What belongs to one event loop."""

    loop: asyncio.AbstractEventLoop
    session: Any
    room: asyncio.Semaphore


class HttpClient:
    """Talks to one server. Its connections open at first use, in the loop that uses them."""

    def __init__(self, server: ServerSettings, concurrency: int) -> None:
        """At most `concurrency` requests are in flight.

        Raises:
            MissingDependencyError: aiohttp is not installed.
            UnfitSettingError: the variable that shall hold the key is not set.
        """
        try:
            import aiohttp
        except ImportError as error:
            raise missing("aiohttp") from error
        self._aiohttp, self._server, self._concurrency = aiohttp, server, concurrency
        self._key = _read_key(server.key_env)
        self._open: _Open | None = None
        self._not_before = self._spread = 0.0
        self._closed = False
        self._asked = 0
        self.retries = 0
        self.answered = False
        """Whether the server ever answered, a 404 apart: some server answers so at any wrong URL."""

    @property
    def beats(self) -> int:
        """Changes every second while a request is open: a try has its time-out and a wait its end, so that
        however slow the server is, nothing here hangs."""
        return int(time.monotonic()) if self._asked else 0

    async def get(self, path: str) -> Reply:
        """The reply to GET `path` (as `/models`)."""
        return await self._ask("GET", path, None)

    async def post(self, path: str, body: Mapping[str, Any]) -> Reply:
        """The reply to POST `path` with JSON.

        Raises:
            RefusedError: the server does not accept the key, or the quota is spent, or it names a wait of
                more than `PATIENCE_SECONDS`.
            UnreachableError: it cannot be reached, or is busy, within `TRIES` tries or `PATIENCE_SECONDS`.
            NeverAnsweredError: it was never reached, and is not within `FIRST_ANSWER_SECONDS`.
            GeneratorError: no success within `TRIES` tries, or a client that is closed.
        """
        return await self._ask("POST", path, body)

    async def _ask(self, method: str, path: str, body: Mapping[str, Any] | None) -> Reply:
        if self._closed:
            raise GeneratorError("expected an open engine, found a closed one. Load it again.")
        self._asked += 1
        try:
            return await self._ask_until_answered(method, path, body)
        finally:
            self._asked -= 1

    async def _ask_until_answered(self, method: str, path: str, body: Mapping[str, Any] | None) -> Reply:
        here = await self._here()
        failed, waited = 0, 0.0
        async with here.room:
            began = time.monotonic()
            for tries in count(1):
                await self._wait_for_the_server()
                try:
                    return await self._try(here.session, method, path, body)
                except _TryAgainError as error:
                    named = error.seconds
                    failed += named is None
                    if failed == TRIES or _ends_early(error, tries, began):
                        raise error.kind(self._gave_up(method, path, error, failed)) from None
                    if named is not None and waited + named > PATIENCE_SECONDS:
                        kind = RefusedError if named > PATIENCE_SECONDS else UnreachableError
                        raise kind(self._no_patience(error, named, waited)) from None
                    self.retries += 1
                    slept = await self._back_off(tries, named)
                    waited += 0.0 if named is None else slept
        raise AssertionError("unreachable")

    async def _try(self, session: Any, method: str, path: str, body: Mapping[str, Any] | None) -> Reply:
        url = self._server.url.rstrip("/") + path
        try:
            async with session.request(method, url, json=body, allow_redirects=False) as response:
                status, headers = response.status, response.headers
                self.answered |= status != 404
                text = self._without_key((await response.read()).decode(errors="replace"))
        except (self._aiohttp.ClientError, TimeoutError, OSError) as error:
            reason = self._late() if self._is_late(error) else f"{type(error).__name__}: {error}"
            # without the cause, which holds the request, with the key
            raise _TryAgainError(self._hide(reason), self._kind(error)) from None
        status = _status_within(status, text)
        if _refuses(status, text):
            raise RefusedError(self._not_allowed(status, text))
        if status in BUSY:
            wait = _retry_after(headers.get("Retry-After", ""))
            kind = UnreachableError if status in AWAY else GeneratorError
            raise _TryAgainError(f"status {status}: {self._hide(text)}", kind, wait)
        return self._reply(status, text)

    def _kind(self, error: Exception) -> type[GeneratorError]:
        """What it means that there was no connection, or that it broke. An answer that takes too long may be
        the request's fault, and a certificate does not mend itself."""
        http = self._aiohttp
        broken = isinstance(error, (http.ClientConnectionError, http.ClientPayloadError, OSError))
        if self._is_late(error) or not broken:
            return GeneratorError
        if not self.answered:
            return NeverAnsweredError
        return GeneratorError if isinstance(error, http.ClientSSLError) else UnreachableError

    def _is_late(self, error: Exception) -> bool:
        """Whether it is the answer that took too long, not the connection."""
        late = isinstance(error, TimeoutError)
        return late and not isinstance(error, self._aiohttp.ConnectionTimeoutError)

    def _late(self) -> str:
        return (
            f"Timeout: no answer within {self._server.timeout_seconds:g} s; where answers take longer, raise "
            "server.timeout_seconds or lower max_new_tokens"
        )

    def _reply(self, status: int, text: str) -> Reply:
        if status >= 300:
            return Reply(status, {}, self._hide(text))
        with suppress(ValueError):
            data = json.loads(text)
            if isinstance(data, dict):
                return Reply(status, data, "")
        raise _TryAgainError(f"an answer that is no JSON object: {self._hide(text)!r}")

    async def _wait_for_the_server(self) -> None:
        """Until the time that the server named to any request of this client, and a while longer."""
        while (wait := self._not_before - time.monotonic()) > 0:
            await asyncio.sleep(wait + random.uniform(0, self._spread))

    async def _back_off(self, tries: int, named: float | None) -> float:
        """Sleep before the next try; the seconds. Jitter keeps requests that failed, or waited for the same
        time of the server's, from coming back together."""
        longest = _longest_wait(tries)
        if named is None:
            seconds = random.uniform(longest / 2, longest)
        else:
            self._not_before = max(self._not_before, time.monotonic() + named)
            self._spread = max(min(named, LONGEST_SPREAD_SECONDS), longest)
            seconds = named + random.uniform(0, self._spread)
        await asyncio.sleep(seconds)
        return seconds

    def _gave_up(self, method: str, path: str, error: _TryAgainError, tries: int) -> str:
        return (
            f"expected an answer of {self._server.url} to {method} {path}, found after {tries} tries: "
            f"{error}. {_ADVICE[error.kind]}"
        )

    def _no_patience(self, error: Exception, named: float, waited: float) -> str:
        return (
            f"expected {self._server.url} to be ready within {PATIENCE_SECONDS:,.0f} s, found that it asks "
            f"for another {named:,.0f} s after {waited:,.0f} s of waiting ({error}). See its rate limit and "
            "quota, or lower batch_size. What is finished is kept; give the same command again later."
        )

    def _not_allowed(self, status: int, text: str) -> str:
        key = self._server.key_env
        advice = f"See the key in the environment variable {key}" if key else "Name its variable in key_env"
        return (
            f"{self._server.url} refuses the key, or its quota is spent (status {status}): "
            f"{self._hide(text)}. {advice}, and what is left of the quota. What is finished is kept; mend "
            "it and give the same command again."
        )

    def _hide(self, text: str) -> str:
        """The beginning of `text`, without the key."""
        return self._without_key(text).strip()[:_SHOWN]

    def _without_key(self, text: str) -> str:
        """`text` as it may be told: a server or a library may repeat the key, even where it succeeds."""
        return text.replace(self._key, "[key]") if self._key else text

    async def _here(self) -> _Open:
        """The session of the running loop; one of a loop that has ended is dropped."""
        loop = asyncio.get_running_loop()
        if self._open is None or self._open.loop is not loop:
            headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
            session = self._aiohttp.ClientSession(
                headers=headers,
                timeout=self._aiohttp.ClientTimeout(
                    total=self._server.timeout_seconds, sock_connect=CONNECT_SECONDS
                ),
                connector=self._aiohttp.TCPConnector(limit=self._concurrency),
            )
            self._open = _Open(loop, session, asyncio.Semaphore(self._concurrency))
        return self._open

    async def close(self) -> None:
        """Close the connections; requests in flight fail. Safe to call twice."""
        self._closed = True
        if self._open is not None and self._open.loop is asyncio.get_running_loop():
            await self._open.session.close()
        self._open = None


def _longest_wait(tries: int) -> float:
    """The most seconds to sleep after `tries` tries (from 1)."""
    return min(FIRST_WAIT_SECONDS * 2 ** min(tries - 1, 30), LONGEST_WAIT_SECONDS)


def _ends_early(error: _TryAgainError, tries: int, began: float) -> bool:
    """Whether another wait would be too long for a server that never answered."""
    late = time.monotonic() - began + _longest_wait(tries) > FIRST_ANSWER_SECONDS
    return late and error.kind is NeverAnsweredError


def _read_key(variable: str | None) -> str:
    if variable is None:
        return ""
    key = os.environ.get(variable, "").strip()
    if not key:
        raise UnfitSettingError(
            f"expected a key in the environment variable {variable} (server.key_env), found none. Set it, on "
            "every machine that runs an engine; never write a key into a recipe."
        )
    return key


def _refuses(status: int, text: str) -> bool:
    """Whether the answer to every other request would be the same."""
    if status == 403 and any(word in text.lower() for word in FLAGGED):
        return False
    return status in NOT_ALLOWED or (status == 429 and SPENT in text)


def _status_within(status: int, text: str) -> int:
    """The status of an answer; where a gateway wraps another server's error into a success, that error's (500
    where it names none)."""
    if status >= 300 or '"error"' not in text:
        return status
    data = None
    with suppress(ValueError):
        data = json.loads(text)
    if not isinstance(data, dict) or not data.get("error") or "choices" in data:
        return status
    code = data["error"].get("code") if isinstance(data["error"], dict) else None
    return code if type(code) is int and 400 <= code < 600 else 500


def _retry_after(value: str) -> float | None:
    """Seconds of a `Retry-After` header: a number, or an HTTP date (RFC 9110, 10.2.3)."""
    with suppress(ValueError):
        return max(0.0, float(value))  # in this order 0 for `nan`
    with suppress(ValueError, TypeError):
        return max((parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds(), 0.0)
    return None
