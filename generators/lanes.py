"""The rows of a job, the order they run in, and the lanes they run in."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

BY_COLUMN = ("tokens", "logprobs")


@dataclass(frozen=True, slots=True)
class Request:
    """`n` independent continuations of `prefix`, with noise derived from `seed`."""

    prefix: tuple[int, ...]
    n: int
    seed: int


@dataclass(frozen=True, slots=True)
class Row:
    """Sample number `sample` of request number `request` of the job."""

    request: int
    sample: int


@dataclass(frozen=True, slots=True)
class Group:
    """Rows that continue one prefix: it is prefilled once for all of them."""

    prefix: tuple[int, ...]
    rows: tuple[Row, ...]


def plan(requests: Sequence[Request], lanes: int, context: int, first_number: int = 0) -> list[Group]:
    """Rows grouped by prefix, longest prefix first, at most `lanes` rows in a group; requests are numbered
    from `first_number`.

    Longest first, so that a row admitted later mostly fits left of the clock (`generators.lane_cache`).
    Requests whose prefix leaves no room in the context get no row.
    """
    rows: dict[tuple[int, ...], list[Row]] = {}
    for number, request in enumerate(requests, first_number):
        if len(request.prefix) < context:
            rows.setdefault(request.prefix, []).extend(Row(number, i) for i in range(request.n))
    ordered = sorted(rows.items(), key=lambda item: -len(item[0]))
    return [
        Group(prefix, tuple(members[first : first + lanes]))
        for prefix, members in ordered
        for first in range(0, len(members), lanes)
    ]


@dataclass
class Lanes:
    """What is known of each lane; vectors are int64 `[lanes]`; `tokens` and, of those that were sampled,
    their log-probabilities `logprobs` (float32) are `[lanes, columns]`.

    `start` is the column of the first prefix token, `limit` the most tokens a lane may generate.
    Column `clock` of `tokens` holds the newest token of every live lane.
    """

    rows: list[Row | None]
    tokens: torch.Tensor
    logprobs: torch.Tensor
    start: torch.Tensor
    length: torch.Tensor
    limit: torch.Tensor
    seed: torch.Tensor
    live: torch.Tensor = field(init=False)

    def __post_init__(self) -> None:
        self.refresh()

    @classmethod
    def empty(cls, lanes: int, columns: int, device: torch.device) -> "Lanes":
        """`lanes` free lanes."""
        start, length, limit, seed = torch.zeros(4, lanes, dtype=torch.int64, device=device)
        tokens = torch.zeros(lanes, columns, dtype=torch.int64, device=device)
        logprobs = torch.zeros(lanes, columns, device=device)
        return cls([None] * lanes, tokens, logprobs, start, length, limit, seed)

    def refresh(self) -> None:
        """Recompute `live` after `rows` changed.

        A free lane sees its whole window, so that its attention is never over nothing (NaN), which a
        row that is admitted there later would inherit through masked columns.
        """
        self.live = torch.tensor([row is not None for row in self.rows], device=self.start.device)
        self.start = self.start.masked_fill(~self.live, 0)

    def free(self) -> list[int]:
        """Lanes without a row."""
        return [lane for lane, row in enumerate(self.rows) if row is None]

    def move(self, sources: list[int], targets: list[int], keep: int) -> None:
        """Copy lanes `sources` over lanes `targets`, then drop all but the first `keep` lanes."""
        order = list(range(len(self.rows)))
        for source, target in zip(sources, targets, strict=True):
            order[target] = source
        self.rows = [self.rows[lane] for lane in order[:keep]]
        for name in (*BY_COLUMN, "start", "length", "limit", "seed"):
            setattr(self, name, getattr(self, name)[order[:keep]])
        self.refresh()

    def shift(self, by: int) -> None:
        """Drop the first `by` columns."""
        for name in BY_COLUMN:
            old = getattr(self, name)
            setattr(self, name, torch.cat([old[:, by:], torch.zeros_like(old[:, :by])], dim=1))
        self.start = (self.start - by).clamp_(min=0)

    def grow(self, columns: int) -> None:
        """Make room for `columns` columns in all."""
        for name in BY_COLUMN:
            old = getattr(self, name)
            setattr(self, name, torch.nn.functional.pad(old, (0, columns - old.shape[1])))
