"""Between questions and token ids: prompt templates, chat templates and thinking blocks, for every engine.

A thinking model writes `<think> ... </think>` before its answer. That block is no step: it is paid for
and then dropped, and a chain is the answer after it. A rollout continues the answer behind an empty
block, so that it shows what the steps carry and not what a hidden draft, which often holds the final
answer already, makes of them.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from transformers import AutoTokenizer, PreTrainedTokenizerBase

from distill.config import GeneratorSettings
from distill.errors import GeneratorError, UnfitSettingError
from generators.base import FinishReason, Sample
from generators.weights import resolve_model

THINK, END_THINK = "<think>", "</think>"


def load_tokenizer(model: str) -> PreTrainedTokenizerBase:
    """The tokenizer of a folder, hub name or `builtin:NAME`.

    Raises:
        UnfitSettingError: there is none.
        GeneratorError: the hub is out of reach.
    """
    source = resolve_model(model)
    try:
        return AutoTokenizer.from_pretrained(source)
    except (OSError, ValueError, RuntimeError, ImportError) as error:
        raise load_fault(error)(
            f"expected a tokenizer in '{model}', found: {error}. "
            "Give a folder with tokenizer.json, or a hub name."
        ) from error


def load_fault(error: Exception) -> type[GeneratorError]:
    """What to raise where a model does not load: GeneratorError if another try or node may do better (memory
    that ran out, a hub out of reach), UnfitSettingError if the model or an argument is wrong."""
    passing = isinstance(error, (RuntimeError, ConnectionError, TimeoutError)) or "connect" in str(error)
    return GeneratorError if passing else UnfitSettingError


class Prompts:
    """A tokenizer with the recipe's way of asking. Pure: it holds no engine."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, settings: GeneratorSettings) -> None:
        """Raises GeneratorError where `settings.chat` asks for a template that the tokenizer lacks."""
        self._tokenizer, self._settings = tokenizer, settings
        if settings.chat and not getattr(tokenizer, "chat_template", None):
            raise UnfitSettingError(
                f"expected a tokenizer with a chat template, as the recipe says chat: true, found none in "
                f"'{settings.tokenizer or settings.model}'. Say chat: false, or take an instruct model."
            )
        self._begin = len(self.encode(""))
        self.prompt = lru_cache(maxsize=4096)(self._prompt)
        """Token ids before an answer; see `generators.base.Generator.prompt`."""

    @property
    def end_text(self) -> str:
        """The spelling of the token that ends a sequence; empty when there is none."""
        return str(self._tokenizer.eos_token or "")

    def spell(self, text: str) -> tuple[int, ...]:
        """Ids of a text that stands within a sequence."""
        return self.encode(text)[self._begin :]

    def encode(self, text: str) -> tuple[int, ...]:
        """Ids of a text, with the tokens by which the tokenizer begins a sequence (BOS or none)."""
        return tuple(self._tokenizer.encode(text, verbose=False))

    def decode(self, token_ids: Sequence[int]) -> str:
        """Text of generated ids, special tokens spelled out; invalid UTF-8 becomes U+FFFD."""
        text = self._tokenizer.decode(
            list(token_ids), skip_special_tokens=False, clean_up_tokenization_spaces=False
        )
        return str(text)

    def _prompt(self, question: str, rollout: bool = False) -> tuple[int, ...]:
        text = self._settings.prompt.replace("{question}", question)
        ids = self._chat(text.strip(), not rollout) if self._settings.chat else self.encode(text)
        return ids + self._closing(ids) if self._settings.thinking and rollout else ids

    def _chat(self, text: str, thinks: bool) -> tuple[int, ...]:
        """The template's ids; templates of models that can do both are told whether to think."""
        ids: Any = self._tokenizer.apply_chat_template(
            [{"role": "user", "content": text}],
            add_generation_prompt=True,
            return_dict=False,
            enable_thinking=self._settings.thinking and thinks,
        )
        return tuple(ids)

    def _closing(self, prompt: Sequence[int]) -> tuple[int, ...]:
        """What makes an empty thinking block of a prompt's end (nothing where the template did so)."""
        end = self.decode(prompt[-16:]).rstrip()
        if end.endswith(END_THINK):
            return ()
        opening = "" if end.endswith(THINK) else f"{THINK}\n"
        return self.spell(f"{opening}\n{END_THINK}\n\n")

    def sample(
        self,
        prefix: Sequence[int],
        token_ids: Sequence[int],
        finish_reason: FinishReason,
        logprobs: Sequence[float] = (),
    ) -> Sample:
        """What an engine generated after `prefix` (end tokens left out), without its thinking block; with
        the log-probability of each token, where the engine told them."""
        text = self.decode(token_ids)
        if not self._settings.thinking or not self._thinks(prefix, text):
            return Sample(tuple(token_ids), text, finish_reason, logprobs=tuple(logprobs))
        _, closed, answer = text.partition(END_THINK)
        if not closed:
            return Sample((), "", finish_reason, len(token_ids))
        answer = answer.lstrip()
        kept = self._tail(token_ids, answer)
        own = len(kept) > 0 and kept == tuple(token_ids[-len(kept) :])
        told = tuple(logprobs[-len(kept) :]) if own else ()
        return Sample(kept, answer, finish_reason, len(token_ids), told)

    def _thinks(self, prefix: Sequence[int], text: str) -> bool:
        """Whether a reply begins within a thinking block: one that it opens, or that `prefix` left open."""
        if text.lstrip().startswith(THINK):
            return True
        before = self.decode(prefix)
        return before.rfind(THINK) > before.rfind(END_THINK)

    def _tail(self, token_ids: Sequence[int], answer: str) -> tuple[int, ...]:
        """The ids at the end of `token_ids` that spell `answer`; its own spelling where a token straddles
        the end of the block."""
        low, high = 0, len(token_ids)
        while low < high:  # the longest tail that decodes to no more than the answer
            middle = (low + high) // 2
            low, high = (
                (low, middle) if len(self.decode(token_ids[middle:])) <= len(answer) else (middle + 1, high)
            )
        tail = tuple(token_ids[low:])
        return tail if self.decode(tail) == answer else self.spell(answer)
