"""The protocol behind which every teacher stands: token ids in, token ids out.

A continuation must start exactly after its prefix, so a generator is given the prefix as token ids
and answers with token ids; a backend that cannot do that faithfully raises
`distill.errors.UnfaithfulPrefixError` instead of guessing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from distill.errors import GeneratorError
from distill.records import Usage

FinishReason = Literal["stop", "length", "error"]


@dataclass(frozen=True, slots=True)
class Sample:
    """One continuation. `token_ids` and `text` hold what was generated, the prefix left out and any
    end-of-sequence token left out. `finish_reason` "length" means that the cap was hit: undecided.
    `counted` is what the engine generated for it, where that is not `token_ids`: a thinking block was
    dropped, or the ids are bytes. `logprobs` are the natural log-probabilities that the model gave to each of
    `token_ids`, before temperature and nucleus; none where the engine does not tell them. They differ by
    rounding with what shares a batch, and take no part in a comparison."""

    token_ids: tuple[int, ...]
    text: str
    finish_reason: FinishReason
    counted: int | None = None
    logprobs: tuple[float, ...] = field(default=(), compare=False)

    @property
    def generated_tokens(self) -> int:
        """Tokens that this sample cost, its end token apart."""
        return len(self.token_ids) if self.counted is None else self.counted


@dataclass(frozen=True, slots=True)
class Completion:
    """The `n` independent samples of one request, in a fixed order, and what they cost together."""

    samples: tuple[Sample, ...]
    usage: Usage


class Generator(Protocol):
    """A teacher or completer that holds an engine. `name` states the model and its revision."""

    name: str
    shards_in_flight: int
    """How many shards a worker gives to the engine at a time. 1 where samples depend on what shares their
    batch (a batch then follows from its shard alone), more where the engine fills its batch from a queue."""

    def prompt(self, question: str, rollout: bool = False) -> tuple[int, ...]:
        """Token ids before an answer to `question`, by the recipe's template. With `rollout`: before an
        answer that is begun already, which a thinking model must continue without thinking anew.

        Raises:
            UnfaithfulPrefixError: this backend cannot continue an answer that is begun.
        """
        ...

    def encode(self, text: str) -> tuple[int, ...]:
        """Token ids of a text, with whatever begins a sequence for this model."""
        ...

    def decode(self, token_ids: Sequence[int]) -> str:
        """Text of generated ids; invalid UTF-8 becomes U+FFFD, never an exception."""
        ...

    async def sample(self, prefix: Sequence[int], n: int, seed: int) -> Completion:
        """`n` independent continuations of `prefix`; cancellable; a function of (prefix, n, seed).

        Raises:
            GeneratorError: the engine failed; the caller may retry on another engine.
        """
        ...

    async def close(self) -> None:
        """Free the engine. Safe to call twice."""
        ...


def check_request(prefix: Sequence[int], n: int, vocabulary: int, name: str) -> None:
    """Raises GeneratorError where no engine could give `n` continuations of `prefix`."""
    if not prefix:
        raise GeneratorError(
            f"expected a prefix of at least one token, found none ({name}). "
            "This tokenizer adds no begin token: give a prompt that is not empty."
        )
    if not 0 <= min(prefix) <= max(prefix) < vocabulary:
        raise GeneratorError(
            f"expected token ids from 0 to {vocabulary - 1} ({name}), found "
            f"{min(prefix)} to {max(prefix)}. Was the prefix encoded by another model?"
        )
    if n < 0:
        raise GeneratorError(f"expected n >= 0 samples, found {n}")
