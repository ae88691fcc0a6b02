"""The two ways to ask a server of OpenAI's protocol: by token ids, or through its chat endpoint.

`Tokens` needs the model's tokenizer here and a `/completions` endpoint that takes token ids (vLLM, SGLang):
the server then continues exactly the prefix that it is given. `Chat` needs neither; its token ids are the
bytes of the text, and a continuation is faithful where the server honours `continue_final_message`.
Both build a request's body and read its answer; neither does I/O.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from distill.config import GeneratorSettings
from distill.errors import GeneratorError, UnfaithfulPrefixError
from distill.records import Usage
from generators.base import Completion, FinishReason, Sample, check_request
from generators.prompts import END_THINK, THINK, Prompts

END_OF_TURN = 256
_REASONS: dict[str, FinishReason] = {
    "stop": "stop",
    "eos": "stop",
    "eos_token": "stop",
    "stop_sequence": "stop",
    "length": "length",
}


class Wire(Protocol):
    """How prefixes are written into requests, and samples read from answers."""

    path: str

    def prompt(self, question: str, rollout: bool) -> tuple[int, ...]: ...

    def encode(self, text: str) -> tuple[int, ...]: ...

    def decode(self, token_ids: Sequence[int]) -> str: ...

    def check(self, prefix: Sequence[int], n: int, name: str) -> None: ...

    def body(self, prefix: Sequence[int], n: int, room: int) -> dict[str, Any]: ...

    def read(self, prefix: Sequence[int], data: dict[str, Any]) -> Completion: ...


def _sampling(settings: GeneratorSettings, n: int) -> dict[str, Any]:
    body = {"model": settings.model, "n": n, "temperature": settings.temperature, "top_p": settings.top_p}
    return body | ({"stop": settings.stop} if settings.stop else {})


@dataclass(frozen=True, slots=True)
class Choice:
    """One answer of a server; `ids` and their `logprobs` where it tells them, `matched` the stop string that
    ended it."""

    text: str
    ids: tuple[int, ...] | None
    reason: FinishReason
    matched: str
    logprobs: tuple[float, ...] = ()


def read_choices(data: dict[str, Any]) -> list[Choice]:
    """The choices of an answer, in their order, whichever endpoint it came from.

    Raises:
        GeneratorError: the answer does not have the protocol's shape.
    """
    try:
        found = sorted(data["choices"], key=lambda choice: choice.get("index", 0))
        return [_choice(choice) for choice in found]
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise GeneratorError(
            f"expected an answer with `choices` of text, found {str(data)[:200]} ({type(error).__name__}). "
            "Is server.url that of a server of OpenAI's protocol, with its version (/v1)?"
        ) from error


def _choice(choice: dict[str, Any]) -> Choice:
    text = choice["message"].get("content") or "" if "message" in choice else choice["text"]
    ids = choice.get("token_ids")
    ended = choice.get("stop_reason", choice.get("matched_stop"))
    told = (choice.get("logprobs") or {}).get("token_logprobs") or ()
    return Choice(
        _characters(str(text)),
        None if ids is None else tuple(map(int, ids)),
        _REASONS.get(str(choice.get("finish_reason")), "error"),
        ended if isinstance(ended, str) else "",
        tuple(map(float, told)) if ids is not None and len(told) == len(ids) and None not in told else (),
    )


def _characters(text: str) -> str:
    """`text` with U+FFFD for halves of characters, which JSON can spell and UTF-8 cannot."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def read_usage(data: dict[str, Any]) -> Usage:
    """What the server counted; zeros where it counted nothing."""
    usage = data.get("usage") or {}
    details = usage.get("prompt_tokens_details") or {}
    return Usage(
        int(usage.get("prompt_tokens") or 0),
        int(details.get("cached_tokens") or 0),
        int(usage.get("completion_tokens") or 0),
    )


class Tokens:
    """Token ids to `/completions`. What a server's own defaults would change is stated in every request."""

    path = "/completions"

    def __init__(self, prompts: Prompts, settings: GeneratorSettings) -> None:
        self._prompts, self._settings = prompts, settings

    def prompt(self, question: str, rollout: bool) -> tuple[int, ...]:
        """See `generators.base.Generator.prompt`."""
        return self._prompts.prompt(question, rollout)

    def encode(self, text: str) -> tuple[int, ...]:
        """Ids of a text, with what begins a sequence."""
        return self._prompts.encode(text)

    def decode(self, token_ids: Sequence[int]) -> str:
        """Text of ids."""
        return self._prompts.decode(token_ids)

    def check(self, prefix: Sequence[int], n: int, name: str) -> None:
        """Raises GeneratorError for a prefix that no model takes; the server knows its own vocabulary."""
        check_request(prefix, n, 1 << 31, name)

    def body(self, prefix: Sequence[int], n: int, room: int) -> dict[str, Any]:
        """The request for `n` continuations of at most `room` tokens."""
        return _sampling(self._settings, n) | {
            "prompt": list(prefix),
            "max_tokens": room,
            "top_k": -1,
            "repetition_penalty": 1.0,
            "return_token_ids": True,
            "logprobs": 1,
            "skip_special_tokens": False,
            "include_stop_str_in_output": True,
        }

    def read(self, prefix: Sequence[int], data: dict[str, Any]) -> Completion:
        """The samples of an answer.

        Raises:
            UnfaithfulPrefixError: the server says that it continued something else than `prefix`.
        """
        usage = read_usage(data)
        if usage.prompt_tokens not in (0, len(prefix)):
            raise UnfaithfulPrefixError(
                f"expected the server to continue {len(prefix)} token ids as they are, found that it read "
                f"{usage.prompt_tokens}. See that it takes token ids and adds none of its own."
            )
        samples = tuple(self._sample(prefix, choice) for choice in read_choices(data))
        if not usage.prompt_tokens and not usage.generated_tokens:  # counted here, where the server does not
            usage = Usage(len(prefix), 0, sum(sample.generated_tokens for sample in samples))
        return Completion(samples, usage)

    def _sample(self, prefix: Sequence[int], choice: Choice) -> Sample:
        if choice.ids is not None:
            ended = choice.reason == "stop" and not choice.matched
            ids = choice.ids[:-1] if ended else choice.ids  # without the end token
            return self._prompts.sample(prefix, ids, choice.reason, choice.logprobs[: len(ids)])
        text = choice.text.removesuffix(self._prompts.end_text)
        if not text.endswith(choice.matched):
            text += choice.matched  # the server cut it off
        return self._prompts.sample(prefix, self._prompts.spell(text), choice.reason)


class Chat:
    """Messages to `/chat/completions`. Token ids are bytes; `END_OF_TURN` stands after the question."""

    path = "/chat/completions"

    def __init__(self, settings: GeneratorSettings) -> None:
        self._settings = settings
        self.limit_name = "max_tokens"

    def prompt(self, question: str, rollout: bool) -> tuple[int, ...]:
        """The bytes of the user's message, and the end of its turn."""
        if rollout and self._settings.thinking:
            raise UnfaithfulPrefixError(
                "expected to continue a thinking model's answer without new thoughts, which no chat endpoint "
                "promises. Name the model's `tokenizer` (token ids are sent then), or another `completer`."
            )
        return (*self._settings.prompt.replace("{question}", question).strip().encode(), END_OF_TURN)

    def encode(self, text: str) -> tuple[int, ...]:
        """The bytes of `text`."""
        return tuple(text.encode())

    def decode(self, token_ids: Sequence[int]) -> str:
        """The text of these bytes; invalid UTF-8 becomes U+FFFD."""
        return bytes(i for i in token_ids if i != END_OF_TURN).decode(errors="replace")

    def check(self, prefix: Sequence[int], n: int, name: str) -> None:
        """Raises GeneratorError for a prefix that is no question with the beginning of an answer."""
        check_request(prefix, n, END_OF_TURN + 1, name)
        if list(prefix).count(END_OF_TURN) != 1:
            raise GeneratorError(
                f"expected one end of turn in a prefix of {name}, found {list(prefix).count(END_OF_TURN)}. "
                "Build prefixes with `prompt`."
            )

    def begun(self, prefix: Sequence[int]) -> str:
        """The beginning of the answer in `prefix`.

        Raises:
            UnfaithfulPrefixError: it ends within a character.
        """
        raw = bytes(list(prefix)[list(prefix).index(END_OF_TURN) + 1 :])
        try:
            return raw.decode()
        except UnicodeDecodeError as error:
            raise UnfaithfulPrefixError(
                "expected a prefix that ends with a whole character, found one that does not; a chat "
                "endpoint takes text only. Name the model's `tokenizer` to send token ids."
            ) from error

    def body(self, prefix: Sequence[int], n: int, room: int) -> dict[str, Any]:
        """The request for `n` continuations of at most `room` tokens."""
        answer = self.begun(prefix)
        question = self.decode(list(prefix)[: list(prefix).index(END_OF_TURN)])
        return self.messages(question, answer, n, room, goes_on=bool(answer))

    def messages(self, question: str, answer: str, n: int, room: int, goes_on: bool) -> dict[str, Any]:
        """A request whose last message is `answer`, to be gone on with or (a probe) closed."""
        body = _sampling(self._settings, n) | {self.limit_name: room}
        body["messages"] = [{"role": "user", "content": question}]
        if not answer:
            return body
        body["messages"].append({"role": "assistant", "content": answer})
        return body | {"continue_final_message": goes_on, "add_generation_prompt": False}

    def read(self, prefix: Sequence[int], data: dict[str, Any]) -> Completion:
        """The samples of an answer. The server counts its tokens together; each sample gets its share."""
        choices, usage = read_choices(data), read_usage(data)
        characters = sum(len(choice.text) for choice in choices) or 1
        counts = [round(usage.generated_tokens * len(choice.text) / characters) for choice in choices]
        return Completion(tuple(map(self._sample, choices, counts)), usage)

    def _sample(self, choice: Choice, tokens: int) -> Sample:
        text = choice.text if choice.text.endswith(choice.matched) else choice.text + choice.matched
        if self._settings.thinking and text.lstrip().startswith(THINK):
            text = text.partition(END_THINK)[2].lstrip()
        return Sample(self.encode(text), text, choice.reason, tokens)
