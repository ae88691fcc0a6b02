"""Teachers behind any server of OpenAI's protocol: vLLM, SGLang, hosted APIs.

What faithful continuation needs is tried once, before the first rollout, and refused with a reason where
it fails. Samples do not repeat: `seed` is not sent, as servers differ in what they make of it with n > 1.

Not covered: streaming, tools, logprobs, servers whose chat endpoint hides which stop string ended a text
(the text then lacks it).
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from distill.config import GeneratorSettings
from distill.errors import GeneratorError, NeverAnsweredError, RefusedError, UnfaithfulPrefixError
from distill.records import Usage
from generators.base import Completion, Sample
from generators.http_client import FIRST_ADVICE, HttpClient, Reply
from generators.openai_wire import Chat, Tokens, read_choices, read_usage
from generators.prompts import Prompts, load_tokenizer

OVERLONG = ("maximum context length", "context_length_exceeded", "longer than the model's context length")
"""Words of a 400 that is about the length of a request: of vLLM, OpenAI and SGLang."""
_COUNTED = re.compile(
    r"maximum context length (?:is|of) (\d+) tokens.*?(?:\((\d+) in (?:the messages|your prompt)"
    r"|your request has (\d+) input tokens|(\d+) tokens from the input)",
    re.S,
)
"""Context and prompt, as OpenAI and older vLLM, vLLM 0.8 and later, and SGLang tell them."""
_PROMPT_ALONE = ("without any output tokens", "Input length (", "longer than the model's context length")
"""Words of a refusal that no smaller answer would help."""
_PROBE_QUESTION, _PROBE_ANSWER = "What is 1 + 1?", "The sum is 1 + 1 = 2"


class OpenAIGenerator:
    """One model of one server. Implements `generators.base.Generator`."""

    shards_in_flight = 4

    def __init__(self, settings: GeneratorSettings) -> None:
        """Load the tokenizer, if one is named. The server is first asked by `sample`.

        Raises:
            GeneratorError: no tokenizer there, no key in the environment.
            MissingDependencyError: aiohttp is not installed.
        """
        if settings.server is None:
            raise GeneratorError("expected `server` with its `url` for backend 'openai', found none.")
        self._settings, self._url = settings, settings.server.url
        self._client = HttpClient(settings.server, settings.batch_size)
        self._wire: Tokens | Chat
        if settings.tokenizer:
            self._wire = Tokens(Prompts(load_tokenizer(settings.tokenizer), settings), settings)
        else:
            self._wire = Chat(settings)
        # The ids of a chain are another tokenizer's unless the names are equal.
        self.name = f"openai:{settings.model}" + (f"+{settings.tokenizer}" if settings.tokenizer else "-chat")
        self._context = _Once(self._ask_context)
        self._tokens_tried = _Once(self._try_tokens)
        self._going_on_tried = _Once(self._try_going_on)

    @property
    def beats(self) -> int:
        """Changes while the server is asked; see `generators.http_client.HttpClient.beats`."""
        return self._client.beats

    def prompt(self, question: str, rollout: bool = False) -> tuple[int, ...]:
        """Token ids before an answer; see `generators.base.Generator.prompt`."""
        return self._wire.prompt(question, rollout)

    def encode(self, text: str) -> tuple[int, ...]:
        """Ids of a text: the tokenizer's, or (without one) its bytes."""
        return self._wire.encode(text)

    def decode(self, token_ids: Sequence[int]) -> str:
        """Text of generated ids; invalid UTF-8 becomes U+FFFD."""
        return self._wire.decode(token_ids)

    async def sample(self, prefix: Sequence[int], n: int, seed: int) -> Completion:
        """`n` independent continuations of `prefix`; see `generators.base.Generator.sample`.

        A server that gives fewer than it was asked for is asked again for the rest.

        A prefix that fills the model's context gets empty samples with finish_reason "length".

        Raises:
            UnfaithfulPrefixError: the server cannot continue exactly this prefix; the message says why.
            RefusedError: the server refuses the key, has no such model, or the quota is spent.
            UnreachableError: the server is out of reach, or too busy, after all retries.
            NeverAnsweredError: it never was within reach, or its URL has answered with 404 only.
            GeneratorError: the server refuses this request, or gave up after all retries.
        """
        self._wire.check(prefix, n, self.name)
        if n == 0:
            return Completion((), Usage())
        room = await self._room(prefix)
        if room <= 0:
            return Completion((Sample((), "", "length"),) * n, Usage(len(prefix), 0, 0))
        whole = await self._ask(prefix, n, room)
        while 0 < len(whole.samples) < n:
            more = await self._ask(prefix, n - len(whole.samples), room)
            whole = _joined(whole, more)
            if not more.samples:
                break
        if len(whole.samples) < n:
            raise GeneratorError(f"expected {n} choices of {self.name}, found {len(whole.samples)}.")
        return replace(whole, samples=whole.samples[:n])

    async def _room(self, prefix: Sequence[int]) -> int:
        """Tokens that may be generated, after the server was seen to continue faithfully."""
        most = self._settings.max_new_tokens
        if isinstance(self._wire, Chat):
            if self._wire.begun(prefix):
                await self._going_on_tried.value()
            return most
        await self._tokens_tried.value()
        context = await self._context.value()
        return min(most, context - len(prefix)) if context else most

    async def _ask(self, prefix: Sequence[int], n: int, room: int) -> Completion:
        reply = await self._post(lambda: self._wire.body(prefix, n, room))
        if reply.status == 400 and any(words in reply.text for words in OVERLONG):
            if left := _left(reply.text, room):  # the prefix may fit, and what was asked for does not
                return await self._ask(prefix, n, left)
            return Completion((Sample((), "", "length"),) * n, Usage())
        if not reply.ok:
            raise GeneratorError(
                f"{self.name} refuses a request of {len(prefix)} tokens (status {reply.status}): {reply.text}"
            )
        return self._wire.read(prefix, reply.data)

    async def _post(self, body: Callable[[], dict[str, Any]]) -> Reply:
        """POST `body()`; again if the server wants the token limit under its newer name."""
        reply = await self._client.post(self._wire.path, body())
        newer = "max_completion_tokens"
        if reply.status == 400 and isinstance(self._wire, Chat) and newer in reply.text:
            self._wire.limit_name = newer
            reply = await self._client.post(self._wire.path, body())
        if reply.status == 404:
            self._look_into_404(reply)
        return reply

    def _look_into_404(self, reply: Reply) -> None:
        """Raise an error where it is the model that is not found, or nothing else ever came from this URL."""
        if self._settings.model in reply.text:
            raise RefusedError(f"expected {self.name} at {self._url}, found status 404: {reply.text}")
        if not self._client.answered:
            tokens = " With a `tokenizer` it needs /completions; leave it out to use the chat endpoint."
            raise NeverAnsweredError(
                f"expected a server of OpenAI's protocol at {self._url}, found status 404 for POST "
                f"{self._wire.path}: {reply.text}. {FIRST_ADVICE}{tokens if self._settings.tokenizer else ''}"
            )

    async def _ask_context(self) -> int:
        """The most tokens of a sequence, as vLLM and SGLang tell it; 0 when the server does not."""
        reply = Reply(403, {}, "")
        with suppress(RefusedError):  # a key may be good for the model and not for the list
            reply = await self._client.get("/models")
        models = reply.data.get("data") if reply.ok else None
        for model in models if isinstance(models, list) else []:
            if isinstance(model, dict) and model.get("id") == self._settings.model:
                return int(model.get("max_model_len") or 0)
        return 0

    async def _try_tokens(self) -> None:
        """See that the server takes token ids and, where it tells ids, spells them as our tokenizer does.

        Raises:
            UnfaithfulPrefixError: it does not.
        """
        wire = self._wire
        prefix = wire.encode(_PROBE_QUESTION)
        reply = await self._post(lambda: wire.body(prefix, 1, 1))
        if not reply.ok:
            raise UnfaithfulPrefixError(
                f"expected {self.name} to take token ids at {wire.path}, found status {reply.status}: "
                f"{reply.text}. Leave `tokenizer` out and say chat: true to use its chat endpoint."
            )
        wire.read(prefix, reply.data)
        for choice in read_choices(reply.data):
            if choice.ids is not None and choice.text not in ("", wire.decode(choice.ids)):
                raise UnfaithfulPrefixError(
                    f"expected `tokenizer` to be that of {self.name}, found that ids {list(choice.ids)} are "
                    f"{choice.text!r} there and {wire.decode(choice.ids)!r} here. Name the right one."
                )

    async def _try_going_on(self) -> None:
        """See that a begun answer is gone on with: not closed and followed by a new turn, and not trimmed.

        Raises:
            UnfaithfulPrefixError: it is not, or the server counts no tokens by which to tell.
        """
        plain = await self._probe(_PROBE_ANSWER, True)
        closed = await self._probe(_PROBE_ANSWER, False)
        if not plain < closed:
            raise UnfaithfulPrefixError(
                f"expected {self.name} to go on with an answer that is begun, found that it ignores "
                "continue_final_message and starts a new one. Use it as the teacher only, with another "
                "`completer`; or name its `tokenizer`, if its /completions takes token ids."
            )
        if not plain < await self._probe(_PROBE_ANSWER + "\n", True):
            raise UnfaithfulPrefixError(
                f"expected {self.name} to go on after a line's end, found that its chat template trims it. "
                "Name the model's `tokenizer` to send token ids, or give another `completer`."
            )

    async def _probe(self, answer: str, goes_on: bool) -> int:
        """Prompt tokens that the server counts for a question and the beginning of its answer."""
        wire = self._wire
        assert isinstance(wire, Chat), "only chat endpoints are probed so"
        reply = await self._post(lambda: wire.messages(_PROBE_QUESTION, answer, 1, 1, goes_on))
        counted = read_usage(reply.data).prompt_tokens
        if not reply.ok or not counted:
            raise UnfaithfulPrefixError(
                f"expected {self.name} to go on with an answer that is begun (continue_final_message), found "
                f"status {reply.status}: {reply.text or 'no usage'}. Use it as the teacher only, with "
                "another `completer`; or name its `tokenizer`, if its /completions takes token ids."
            )
        return counted

    async def close(self) -> None:
        """Close the connections. Safe to call twice."""
        await self._client.close()


class _Once:
    """The value of `work()`, asked for once however many wait for it; a failure is asked for again."""

    def __init__(self, work: Callable[[], Awaitable[Any]]) -> None:
        self._work = work
        self._found: list[Any] = []
        self._busy: tuple[asyncio.AbstractEventLoop, asyncio.Lock] | None = None

    async def value(self) -> Any:
        """Wait for the value."""
        loop = asyncio.get_running_loop()
        if self._busy is None or self._busy[0] is not loop:
            self._busy = (loop, asyncio.Lock())
        async with self._busy[1]:
            if not self._found:
                self._found.append(await self._work())
        return self._found[0]


def _left(text: str, room: int) -> int:
    """Tokens below `room` to ask for next, by the words of a server that refused so many; 0 where it is the
    prompt that is too long. Words that give no counts may mean either, so half is asked for."""
    if any(words in text for words in _PROMPT_ALONE):
        return 0
    counted = _COUNTED.search(text)
    if counted is None:
        return room // 2
    left = int(counted[1]) - int(counted[2] or counted[3] or counted[4])
    return left if 0 < left < room else 0


def _joined(first: Completion, more: Completion) -> Completion:
    """Samples of two requests for one prefix, whose prompt was paid for twice."""
    return Completion(first.samples + more.samples, first.usage + more.usage)
