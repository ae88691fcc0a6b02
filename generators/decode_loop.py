"""One job of sampling: many requests, few distinct prefixes, one batch of lanes.

    plan -> admit (prefill distinct prefixes, copy to lanes) -> step -> retire -> admit ... -> samples

Everything that decides who shares a batch (order, admission, compaction) depends on the requests and
on the tokens sampled, never on time: the same job gives the same tokens on the same machine.
"""

import inspect
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from transformers import DynamicCache, PreTrainedModel
from transformers.cache_utils import Cache

from distill.errors import GeneratorError
from distill.records import Usage
from generators.base import Completion, FinishReason, Sample
from generators.lane_cache import LaneCache, Storage
from generators.lanes import Group, Lanes, Request, Row, plan
from generators.sampling import row_seed, sample_tokens, uniforms
from generators.stops import BROKEN, ENDS, GOES_ON, MAY_END

_PREFILL_TOKENS = 8192
_FIRST_COLUMNS = 128


@dataclass(frozen=True, slots=True)
class Rules:
    """How rows are sampled and when they end.

    `token_codes` (uint8 `[V + 1]`) is `generators.stops.token_codes`; `sample(prefix, ids, reason)` makes a
    sample of what a row generated.
    """

    temperature: float
    top_p: float
    max_new_tokens: int
    context: int
    lanes: int
    token_codes: torch.Tensor
    sample: Callable[[Sequence[int], Sequence[int], FinishReason], Sample]
    ends_in_stop: Callable[[Sequence[int]], bool]


class DecodeLoop:
    """Runs one job to its end. Holds the job's cache; use once.

    `cancelled` may be appended to by another thread: the rows of those request numbers are dropped at
    the next step.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        rules: Rules,
        storage: Storage,
        requests: Sequence[Request],
        cancelled: deque[int],
    ) -> None:
        self.model, self.rules, self.storage = model, rules, storage
        self.requests, self.cancelled = requests, cancelled
        self.pending = deque(plan(requests, rules.lanes, rules.context))
        self.samples: dict[Row, Sample] = {}
        self.generated = [0] * len(requests)
        self.cache: LaneCache | None = None
        self.steps = 0
        rows = sum(len(group.rows) for group in self.pending)
        columns = len(self.pending[0].prefix) + _FIRST_COLUMNS if self.pending else 0
        self.lanes = Lanes.empty(min(rules.lanes, rows), columns, model.device)

    @torch.inference_mode()
    def run(self) -> list[Completion]:
        """The completions of all requests, in their order.

        Raises:
            GeneratorError: the model gave NaN logits.
        """
        while True:
            self._drop_cancelled()
            self._retire()
            if self._admit():
                continue
            if not self._live_rows():
                return self._completions()
            self._compact()
            self._step()

    def _live_rows(self) -> int:
        return len(self.lanes.rows) - len(self.lanes.free())

    # ---- admission

    def _admit(self) -> bool:
        """Fill free lanes with whole groups; False when there is nothing or too little to do.

        Waiting until an eighth of the lanes is free keeps prefill batches large.
        """
        free = self.lanes.free()
        if not self.pending or len(free) < max(len(self.pending[0].rows), len(self.lanes.rows) // 8):
            return False
        groups: list[Group] = []
        while self.pending and len(self.pending[0].rows) <= len(free) - sum(len(g.rows) for g in groups):
            groups.append(self.pending.popleft())
        for chunk in _prefill_chunks(groups):
            count = sum(len(group.rows) for group in chunk)
            self._place(chunk, free[:count])
            free = free[count:]
        return True

    def _place(self, groups: list[Group], lanes: list[int]) -> None:
        """Prefill the prefixes of `groups`, copy them to `lanes`, sample every row's first token."""
        cache, logits = self._prefill([group.prefix for group in groups])
        width = len(groups[0].prefix)
        target = self._cache_for(cache, width)
        index = [number for number, group in enumerate(groups) for _ in group.rows]
        where, which = (torch.tensor(x, device=self.model.device) for x in (lanes, index))
        target.place(where, cache, which)
        rows = [row for group in groups for row in group.rows]
        self._fill(where, rows, [groups[i].prefix for i in index], width)
        self._sample(where, logits[which])
        self._set_low()

    def _prefill(self, prefixes: Sequence[tuple[int, ...]]) -> tuple[Cache, torch.Tensor]:
        """Keys and values of left-padded `prefixes`, longest first, and their next-token logits `[P, V]`."""
        width = len(prefixes[0])
        tokens, mask = torch.zeros(2, len(prefixes), width, dtype=torch.int64)
        for number, prefix in enumerate(prefixes):
            tokens[number, width - len(prefix) :] = torch.tensor(prefix)
            mask[number, width - len(prefix) :] = 1
        tokens, mask = tokens.to(self.model.device), mask.to(self.model.device)
        cache = DynamicCache()  # without the config: a sliding layer would forget what the lanes need
        keep = {"logits_to_keep": 1} if _keeps_logits(self.model) else {}
        output = self.model(
            input_ids=tokens,
            attention_mask=mask,
            position_ids=(mask.cumsum(-1) - 1).clamp_(min=0),
            past_key_values=cache,
            use_cache=True,
            **keep,
        )
        return cache, output.logits[:, -1]

    def _cache_for(self, like: Cache, width: int) -> LaneCache:
        """The lanes' cache, with the clock at least `width` columns in."""
        if self.cache is None:
            lanes, columns = self.lanes.tokens.shape
            self.cache = LaneCache(like, lanes, columns, self.storage)
        if not self._live_rows():
            self.cache.window.clock = width
        return self.cache

    def _fill(
        self, where: torch.Tensor, rows: Sequence[Row], prefixes: Sequence[tuple[int, ...]], width: int
    ) -> None:
        """Write what is known of newly admitted `rows` into lanes `where`."""
        lanes, clock = self.lanes, self._window_clock()
        block = torch.tensor([(0,) * (width - len(p)) + p for p in prefixes])
        lanes.tokens[where, clock - width : clock] = block.to(lanes.tokens.device)
        lengths = torch.tensor([len(p) for p in prefixes], device=lanes.start.device)
        lanes.length[where], lanes.start[where] = lengths, clock - lengths
        lanes.limit[where] = (self.rules.context - lengths).clamp(max=self.rules.max_new_tokens)
        seeds = [row_seed(self.requests[row.request].seed, row.sample) for row in rows]
        lanes.seed[where] = torch.tensor(seeds, device=lanes.seed.device)
        for lane, row in zip(where.tolist(), rows, strict=True):
            lanes.rows[lane] = row
        lanes.refresh()

    # ---- decoding

    def _window_clock(self) -> int:
        return self.cache.window.clock if self.cache is not None else 0

    def _step(self) -> None:
        """Run the newest token of every lane through the model and sample the next."""
        self.steps += 1
        cache, lanes = self._with_room(), self.lanes
        low, clock = cache.window.low, cache.window.clock
        columns = torch.arange(low, clock + 1, device=lanes.start.device)
        vocabulary = self.rules.token_codes.shape[0] - 1
        output = self.model(
            input_ids=lanes.tokens[:, clock : clock + 1].clamp(max=vocabulary - 1),
            attention_mask=columns[None] >= lanes.start[:, None],
            position_ids=(clock - lanes.start).clamp(max=self.rules.context - 1)[:, None],
            past_key_values=cache,
            use_cache=True,
        )
        cache.window.clock += 1
        self._sample(slice(None), output.logits[:, -1])

    def _sample(self, where: torch.Tensor | slice, logits: torch.Tensor) -> None:
        """Sample the newest token of lanes `where` from `logits` `[lanes, V]`."""
        lanes, clock = self.lanes, self._window_clock()
        positions = clock - lanes.start[where] - lanes.length[where]
        noise = uniforms(lanes.seed[where], positions)
        lanes.tokens[where, clock] = sample_tokens(logits, noise, self.rules.temperature, self.rules.top_p)

    def _with_room(self) -> LaneCache:
        """The cache, with a column left after the clock: old columns are dropped, or it grows."""
        assert self.cache is not None, "a step before any admission"
        window, columns = self.cache.window, self.cache.columns
        if window.clock + 1 < columns:
            return self.cache
        if window.low >= columns // 4:
            self.lanes.shift(window.low)
            self.cache.shift(window.low)
        else:
            self.lanes.grow(columns * 3 // 2 + 1)
            self.cache.grow(columns * 3 // 2 + 1)
        return self.cache

    def _compact(self) -> None:
        """Drop empty lanes once a quarter is empty and no row waits for them; last lanes fill the holes."""
        live = [lane for lane, row in enumerate(self.lanes.rows) if row is not None]
        keep = len(live)
        if self.pending or self.cache is None or 4 * keep > 3 * len(self.lanes.rows):
            return
        sources = [lane for lane in live if lane >= keep]
        targets = [lane for lane in range(keep) if self.lanes.rows[lane] is None]
        self.cache.move(sources, targets, keep)
        self.lanes.move(sources, targets, keep)

    def _set_low(self) -> None:
        if self.cache is not None and self._live_rows():
            self.cache.window.low = int(self.lanes.start[self.lanes.live].min())

    # ---- endings

    def _retire(self) -> None:
        """Take rows whose newest token ends them out of their lanes."""
        if not self._live_rows():
            return
        lanes, clock = self.lanes, self._window_clock()
        codes = self.rules.token_codes[lanes.tokens[:, clock]]
        full = clock + 1 - lanes.start - lanes.length >= lanes.limit
        due = lanes.live & ((codes != GOES_ON) | full)
        if not bool(due.any()):
            return
        for lane in due.nonzero().flatten().tolist():
            self._settle(lane, int(codes[lane]), bool(full[lane]))
        lanes.refresh()
        self._set_low()

    def _settle(self, lane: int, code: int, full: bool) -> None:
        """End the row of `lane` if its newest token does."""
        if code == BROKEN:
            raise GeneratorError(
                "expected finite logits, found NaN: the weights or their precision are at fault; "
                "try dtype: float32"
            )
        first = int(self.lanes.start[lane] + self.lanes.length[lane])
        ids = self.lanes.tokens[lane, first : self._window_clock() + 1].tolist()
        if code == ENDS:
            self._finish(lane, ids[:-1], len(ids), "stop")
        elif code == MAY_END and self.rules.ends_in_stop(ids):
            self._finish(lane, ids, len(ids), "stop")
        elif full:
            self._finish(lane, ids, len(ids), "length")

    def _finish(self, lane: int, ids: list[int], sampled: int, reason: FinishReason) -> None:
        row = self.lanes.rows[lane]
        assert row is not None, "a free lane has nothing to finish"
        self.samples[row] = self.rules.sample(self.requests[row.request].prefix, ids, reason)
        self.generated[row.request] += sampled
        self.lanes.rows[lane] = None

    def _drop_cancelled(self) -> None:
        dropped = set()
        while self.cancelled:
            dropped.add(self.cancelled.popleft())
        if not dropped:
            return
        kept = (
            replace(group, rows=tuple(row for row in group.rows if row.request not in dropped))
            for group in self.pending
        )
        self.pending = deque(group for group in kept if group.rows)
        rows = self.lanes.rows
        self.lanes.rows = [None if row is None or row.request in dropped else row for row in rows]
        self.lanes.refresh()
        self._set_low()

    def _completions(self) -> list[Completion]:
        """Samples in order. A row that never ran (context full, or cancelled) is an empty "length"."""
        nothing, seen, completions = Sample((), "", "length"), set[tuple[int, ...]](), []
        for number, request in enumerate(self.requests):
            samples = tuple(self.samples.get(Row(number, i), nothing) for i in range(request.n))
            size = len(request.prefix)
            cached = size if request.prefix in seen else 0
            seen.add(request.prefix)
            completions.append(Completion(samples, Usage(size, cached, self.generated[number])))
        return completions


def _prefill_chunks(groups: Sequence[Group]) -> Iterator[list[Group]]:
    """Consecutive groups whose padded prefixes hold at most `_PREFILL_TOKENS` tokens together."""
    chunk: list[Group] = []
    for group in groups:
        if chunk and (len(chunk) + 1) * len(chunk[0].prefix) > _PREFILL_TOKENS:
            yield chunk
            chunk = []
        chunk.append(group)
    if chunk:
        yield chunk


def _keeps_logits(model: PreTrainedModel) -> bool:
    return "logits_to_keep" in inspect.signature(model.forward).parameters
