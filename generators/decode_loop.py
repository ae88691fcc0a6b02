"""One job of sampling: many requests, few distinct prefixes, one batch of lanes.

    look up (new requests, answers out) -> plan -> admit (prefill distinct prefixes, copy to lanes)
      -> step -> retire -> admit ... -> look up ...

Everything that decides who shares a batch (order, admission, compaction, when it looks up) depends on the
requests and on the tokens sampled, never on time: the same job gives the same tokens on the same machine.
"""

import inspect
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from transformers import DynamicCache, PreTrainedModel

from distill.errors import GeneratorError
from distill.records import Usage
from generators.base import Completion, FinishReason, Sample
from generators.batching import Job
from generators.lane_cache import LaneCache, Layers, Prefilled, PrefixStore, Storage, contents, side_by_side
from generators.lanes import Group, Lanes, Request, Row, plan
from generators.sampling import chosen_logprobs, row_seed, sample_tokens, uniforms
from generators.stops import BROKEN, ENDS, GOES_ON, MAY_END

_PREFILL_TOKENS = 8192
_FIRST_COLUMNS = 128
_KEPT_BYTES = 1 << 30
_LOOK_STEPS = 4
"""Decode steps between two looks for new requests: so long may what follows from an answer take (checks in
another process) without the lanes standing still."""


@dataclass(frozen=True, slots=True)
class Rules:
    """How rows are sampled and when they end.

    `token_codes` (uint8 `[V + 1]`) is `generators.stops.token_codes`; `sample(prefix, ids, reason,
    logprobs)` makes a sample of what a row generated.
    """

    temperature: float
    top_p: float
    max_new_tokens: int
    context: int
    lanes: int
    token_codes: torch.Tensor
    sample: Callable[[Sequence[int], Sequence[int], FinishReason, Sequence[float]], Sample]
    ends_in_stop: Callable[[Sequence[int]], bool]


class DecodeLoop:
    """Runs one job to its end. Holds the job's cache; use once."""

    def __init__(
        self, model: PreTrainedModel, rules: Rules, storage: Storage, job: Job[Request, Completion]
    ) -> None:
        self.model, self.rules, self.storage, self.job = model, rules, storage, job
        self.requests: list[Request] = []
        self.pending: list[Group] = []
        self.samples: dict[int, dict[int, Sample]] = {}
        self.unanswered: dict[int, int] = {}
        self.seen: set[tuple[int, ...]] = set()
        self.store, self.continues = PrefixStore(_KEPT_BYTES), _attends_to_all(model)
        self.cached: list[int] = []
        self.generated: list[int] = []
        self.cache: LaneCache | None = None
        self.steps = self.looked = 0
        self.members = 0

    @torch.inference_mode()
    def run(self) -> None:
        """Answer requests until there are none.

        Raises:
            GeneratorError: the model gave NaN logits.
        """
        self._take_in()
        self._lay_out()
        while True:
            self._drop_cancelled()
            self._retire()
            idle = not self._live_rows() and not self.pending
            if (idle or self.steps >= self.looked + _LOOK_STEPS) and not self._look_up(idle):
                return
            if self._admit():
                continue
            if self._live_rows():
                self._compact()
                self._step()

    # ---- what is asked, and answered

    def _look_up(self, idle: bool) -> bool:
        """Take in new requests, then hand out finished ones: what follows from these comes at the next look,
        while the lanes go on. False when nothing is left to do."""
        self.looked = self.steps
        came = self._take_in()
        answered = self._hand_out()
        return not idle or came or answered

    def _take_in(self) -> bool:
        """Plan new requests among those that wait; whether there were any."""
        news = self.job.news()
        self.members = news.members
        if not news.requests:
            return False
        first = len(self.requests)
        self.requests += news.requests
        for number, request in enumerate(news.requests, first):
            self.cached.append(len(request.prefix) if request.prefix in self.seen else 0)
            self.seen.add(request.prefix)
            self.generated.append(0)
            self.samples[number] = {}
            self.unanswered[number] = request.n if len(request.prefix) < self.rules.context else 0
        new = plan(news.requests, self.rules.lanes, self.rules.context, first)
        self.pending = sorted([*self.pending, *new], key=lambda group: -len(group.prefix))
        return True

    def _hand_out(self) -> bool:
        """Answer the requests all of whose rows have ended; whether there were any."""
        ended = [number for number, rows in self.unanswered.items() if not rows]
        self.job.answer({number: self._completion(number) for number in ended})
        for number in ended:
            del self.unanswered[number]
        return bool(ended)

    def _completion(self, number: int) -> Completion:
        """Samples in order. A row that never ran (context full, or cancelled) is an empty "length"."""
        request, there = self.requests[number], self.samples.pop(number)
        samples = tuple(there.get(i, Sample((), "", "length")) for i in range(request.n))
        return Completion(samples, Usage(len(request.prefix), self.cached[number], self.generated[number]))

    def _lay_out(self) -> None:
        """Empty lanes for what waits and may come, up to as many as are allowed."""
        rows = max(sum(len(group.rows) for group in self.pending), self.members)
        columns = len(self.pending[0].prefix) + _FIRST_COLUMNS if self.pending else 0
        self.lanes = Lanes.empty(min(self.rules.lanes, rows), columns, self.model.device)
        self.cache = None

    def _live_rows(self) -> int:
        return len(self.lanes.rows) - len(self.lanes.free())

    # ---- admission

    def _admit(self) -> bool:
        """Fill free lanes with whole groups; False when there is nothing or too little to do.

        Waiting until an eighth of the lanes is free keeps prefill batches large.
        """
        if self.pending and not self._live_rows():
            self._lay_out()
        free = self.lanes.free()
        first = self._first_that_fits()
        if first is None or len(free) < max(len(self.pending[first].rows), len(self.lanes.rows) // 8):
            return False
        groups: list[Group] = []
        room = len(free)
        while first < len(self.pending) and len(self.pending[first].rows) <= room:
            groups.append(self.pending.pop(first))
            room -= len(groups[-1].rows)
        for chunk in _prefill_chunks(groups):
            count = sum(len(group.rows) for group in chunk)
            self._place(chunk, free[:count])
            free = free[count:]
        return True

    def _first_that_fits(self) -> int | None:
        """Place of the first waiting group whose prefix fits left of the clock; any does in empty lanes."""
        clock = self._window_clock() if self._live_rows() else math.inf
        return next((i for i, group in enumerate(self.pending) if len(group.prefix) <= clock), None)

    def _place(self, groups: list[Group], lanes: list[int]) -> None:
        """Prefill the prefixes of `groups`, copy them to `lanes`, sample every row's first token."""
        filled = self._filled([group.prefix for group in groups])
        width = len(groups[0].prefix)
        target = self._cache_for(filled.layers, width)
        index = [number for number, group in enumerate(groups) for _ in group.rows]
        where, which = (torch.tensor(x, device=self.model.device) for x in (lanes, index))
        target.place(where, filled.layers, which)
        rows = [row for group in groups for row in group.rows]
        self._fill(where, rows, [groups[i].prefix for i in index], width)
        self._sample(where, filled.logits[which])
        self._set_low()

    def _filled(self, prefixes: Sequence[tuple[int, ...]]) -> Prefilled:
        """`prefixes`, longest first, through the model. A crew comes back to its prefixes, and to others of
        the same beginning: they are kept."""
        if not self.members:
            return self._prefill(prefixes, None)
        missing = [prefix for prefix in prefixes if prefix not in self.store]
        if missing:
            self._fill_store(missing)
        return self.store.together(prefixes)

    def _fill_store(self, prefixes: Sequence[tuple[int, ...]]) -> None:
        """Put `prefixes` through the model, but for the beginnings that were there before."""
        begun = [self.store.common(prefix) if self.continues else None for prefix in prefixes]
        for known in (False, True):
            rows = [i for i, there in enumerate(begun) if (there is not None) == known]
            if not rows:
                continue
            past = [there for i in rows if (there := begun[i]) is not None]
            filled = self._prefill([prefixes[i] for i in rows], past or None)
            for place, i in enumerate(rows):
                layers = _of_row(filled.layers, place, len(prefixes[i]), past[place] if past else None)
                self.store.keep(prefixes[i], layers, filled.logits[place].clone())

    def _prefill(self, prefixes: Sequence[tuple[int, ...]], past: Sequence[Layers] | None) -> Prefilled:
        """Keys and values of left-padded `prefixes`, and their next-token logits `[P, V]`. `past` holds those
        of a beginning of each: only the rest goes through the model, and comes last in what is returned."""
        known = [layers[0][0].shape[1] for layers in past] if past else [0] * len(prefixes)
        width, before = max(len(p) - k for p, k in zip(prefixes, known)), max(known)
        tokens = torch.zeros(len(prefixes), width, dtype=torch.int64)
        mask = torch.zeros(len(prefixes), before + width, dtype=torch.int64)
        for number, (prefix, k) in enumerate(zip(prefixes, known)):
            tokens[number, width - len(prefix) + k :] = torch.tensor(prefix[k:])
            mask[number, before - k : before] = 1
            mask[number, before + width - len(prefix) + k :] = 1
        tokens, mask = tokens.to(self.model.device), mask.to(self.model.device)
        cache = DynamicCache()  # without the config: a sliding layer would forget what the lanes need
        for number, (keys, values) in enumerate(side_by_side(past) if past else ()):
            cache.update(keys, values, number)
        keep = {"logits_to_keep": 1} if _keeps_logits(self.model) else {}
        output = self.model(
            input_ids=tokens,
            attention_mask=mask,
            position_ids=(mask.cumsum(-1) - 1).clamp_(min=0)[:, before:],
            past_key_values=cache,
            use_cache=True,
            **keep,
        )
        return Prefilled(contents(cache), output.logits[:, -1])

    def _cache_for(self, like: Layers, width: int) -> LaneCache:
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
        tokens = sample_tokens(logits, noise, self.rules.temperature, self.rules.top_p)
        lanes.tokens[where, clock] = tokens
        lanes.logprobs[where, clock] = chosen_logprobs(logits, tokens)

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
        """Drop empty lanes once a quarter is empty and nobody will want them; last lanes fill the holes."""
        live = [lane for lane, row in enumerate(self.lanes.rows) if row is not None]
        keep = max(len(live), self.members)
        if self.pending or self.cache is None or 4 * keep > 3 * len(self.lanes.rows):
            return
        sources = [lane for lane in live if lane >= keep]
        targets = [lane for lane in range(keep) if self.lanes.rows[lane] is None][: len(sources)]
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
            self._finish(lane, first, ids[:-1], len(ids), "stop")
        elif code == MAY_END and self.rules.ends_in_stop(ids):
            self._finish(lane, first, ids, len(ids), "stop")
        elif full:
            self._finish(lane, first, ids, len(ids), "length")

    def _finish(self, lane: int, first: int, ids: list[int], sampled: int, reason: FinishReason) -> None:
        row = self.lanes.rows[lane]
        assert row is not None, "a free lane has nothing to finish"
        prefix = self.requests[row.request].prefix
        logprobs = self.lanes.logprobs[lane, first : first + len(ids)].tolist()
        self.samples[row.request][row.sample] = self.rules.sample(prefix, ids, reason, logprobs)
        self.unanswered[row.request] -= 1
        self.generated[row.request] += sampled
        self.lanes.rows[lane] = None

    def _drop_cancelled(self) -> None:
        dropped = set()
        while self.job.cancelled:
            dropped.add(self.job.cancelled.popleft())
        if not dropped:
            return
        kept = (
            replace(group, rows=tuple(row for row in group.rows if row.request not in dropped))
            for group in self.pending
        )
        self.pending = [group for group in kept if group.rows]
        rows = self.lanes.rows
        self.lanes.rows = [None if row is None or row.request in dropped else row for row in rows]
        self.unanswered = {n: 0 if n in dropped else left for n, left in self.unanswered.items()}
        self.lanes.refresh()
        self._set_low()


def _prefill_chunks(groups: Sequence[Group]) -> Iterator[list[Group]]:
    """Consecutive groups, longest first, whose padded prefixes hold at most `_PREFILL_TOKENS` tokens together
    and are at most a quarter padding."""
    chunk: list[Group] = []
    for group in groups:
        longest = len(chunk[0].prefix) if chunk else 0
        if chunk and ((len(chunk) + 1) * longest > _PREFILL_TOKENS or 4 * len(group.prefix) < 3 * longest):
            yield chunk
            chunk = []
        chunk.append(group)
    if chunk:
        yield chunk


def _of_row(layers: Layers, row: int, length: int, past: Layers | None) -> Layers:
    """Keys and values `[heads, length, head_dim]` of a prefix whose last tokens are row `row` of `layers`, in
    memory of their own; `past` has those of the tokens before."""
    if past is None:
        return [(keys[row, :, -length:].clone(), values[row, :, -length:].clone()) for keys, values in layers]
    new = length - past[0][0].shape[1]
    return [
        (torch.cat([k, keys[row, :, -new:]], dim=1), torch.cat([v, values[row, :, -new:]], dim=1))
        for (k, v), (keys, values) in zip(past, layers, strict=True)
    ]


def _attends_to_all(model: PreTrainedModel) -> bool:
    """Whether every layer sees every token: a window would count the padding between two parts."""
    config = model.config.get_text_config()
    kinds = getattr(config, "layer_types", None)
    return set(kinds) == {"full_attention"} if kinds else not getattr(config, "sliding_window", None)


def _keeps_logits(model: PreTrainedModel) -> bool:
    return "logits_to_keep" in inspect.signature(model.forward).parameters
