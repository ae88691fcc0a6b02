"""How far a shard is, and that its engine is alive: what a worker tells while it works."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import monotonic

from distill.cluster import Reporter
from generators.base import Completion, Generator
from generators.batching import batch_group

PULSE_SECONDS = 5.0
SEND_SECONDS = 0.2


class CountingEngine:
    """A generator that counts finished requests. `beats` grows as long as the engine does anything."""

    def __init__(self, engine: Generator) -> None:
        self._engine, self._finished = engine, 0
        self.name, self.shards_in_flight = engine.name, engine.shards_in_flight
        self.prompt, self.encode, self.decode = engine.prompt, engine.encode, engine.decode
        self.close = engine.close

    @property
    def beats(self) -> int:
        """Requests finished, and whatever the engine itself counts on the way to the next one."""
        return self._finished + int(getattr(self._engine, "beats", 0))

    async def sample(self, prefix: Sequence[int], n: int, seed: int) -> Completion:
        """As `generators.base.Generator.sample`."""
        completion = await self._engine.sample(prefix, n, seed)
        self._finished += 1
        return completion


@dataclass
class Progress:
    """Running totals of one shard, sent at the first change and then a few times a second at most."""

    report: Reporter
    key: str
    total: int
    done: int = 0
    tokens: int = 0
    sent: float = 0.0

    def add(self, done: int, tokens: int) -> None:
        """So much more is done, for so many tokens."""
        self.done += done
        self.tokens += tokens
        if monotonic() - self.sent >= SEND_SECONDS:
            self.send()

    def send(self) -> None:
        """Tell the totals now."""
        self.sent = monotonic()
        self.report(self.key, self.done, self.total, self.tokens)


@asynccontextmanager
async def shown_progress(
    report: Reporter, key: str, total: int, engine: CountingEngine
) -> AsyncIterator[Progress]:
    """Progress of a shard while the block lasts, told also when only the engine's own work moves on: a slow
    engine is not to be taken for one that hangs. The shard's requests share no batch with another's."""
    batch_group.set(key)
    progress = Progress(report, key, total)
    progress.add(0, 0)  # at once, so that a shard that was begun is known
    pulse = asyncio.create_task(_pulse(progress, engine))
    try:
        yield progress
    finally:
        pulse.cancel()


async def _pulse(progress: Progress, engine: CountingEngine) -> None:
    seen = engine.beats
    while True:
        await asyncio.sleep(PULSE_SECONDS)
        if engine.beats != seen:
            seen = engine.beats
            progress.send()
