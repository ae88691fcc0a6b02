"""The protocol behind which every teacher stands: token ids in, token ids out.

A continuation must start exactly after its prefix, so a generator is given the prefix as token ids
and answers with token ids; a backend that cannot do that faithfully raises
`distill.errors.UnfaithfulPrefixError` instead of guessing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from distill.records import Usage

FinishReason = Literal["stop", "length", "error"]


@dataclass(frozen=True, slots=True)
class Sample:
    """One continuation. `token_ids` and `text` hold what was generated, the prefix left out and any
    end-of-sequence token left out. `finish_reason` "length" means that the cap was hit: undecided."""

    token_ids: tuple[int, ...]
    text: str
    finish_reason: FinishReason


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

    def encode(self, text: str) -> tuple[int, ...]:
        """Token ids of a prompt, with whatever begins a sequence for this model."""
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
