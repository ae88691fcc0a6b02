"""A key-value cache with one lane per sequence and one shared column clock.

Every sequence ends at the same column, so a decode step writes one column of one tensor per layer
and no row is moved when another begins or ends:

    column   0 1 2 3 4 5 6 7
    lane 0   . p p p p g g *      p prefix, g generated, * being written
    lane 1   . . . . p p p *      admitted later, aligned to the right
    lane 2   p p p p p g g *

What lies left of a lane's start is masked out. Tensors are `[lanes, heads, columns, head_dim]`.
"""

import math
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from transformers.cache_utils import Cache, CacheLayerMixin


class Window:
    """The columns `[low, clock)` that attention sees; shared by all layers of a cache."""

    def __init__(self) -> None:
        self.low = 0
        self.clock = 0


class LaneLayer(CacheLayerMixin):
    """Keys and values of one layer; `update` writes one column at the clock."""

    keys: torch.Tensor
    values: torch.Tensor

    def __init__(self, window: Window, keys: torch.Tensor, values: torch.Tensor) -> None:
        super().__init__()
        self.window, self.is_initialized = window, True
        self.keys, self.values = keys, values

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        """Nothing to do: the tensors are allocated at construction."""

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write `[lanes, heads, 1, head_dim]` at the clock; views of all columns of the window."""
        low, clock = self.window.low, self.window.clock
        self.keys[:, :, clock] = key_states[:, :, 0]
        self.values[:, :, clock] = value_states[:, :, 0]
        return self.keys[:, :, low : clock + 1], self.values[:, :, low : clock + 1]

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Width and offset of the mask, in columns of the window."""
        return self.get_seq_length() + query_length, 0

    def get_seq_length(self) -> int:
        """Columns already written in the window."""
        return self.window.clock - self.window.low

    def get_max_length(self) -> int:
        """-1: the decode loop makes room before the clock runs out."""
        return -1


class Storage:
    """Memory of one cache, kept from job to job: fresh pages cost more than sampling a small job.

    What is handed out holds zeros or old finite numbers, never garbage: a masked NaN would still poison
    a weighted sum.
    """

    def __init__(self) -> None:
        self._flat: dict[int, torch.Tensor] = {}

    def take(self, slot: int, shape: tuple[int, ...], like: torch.Tensor) -> torch.Tensor:
        """A tensor of `shape` in the memory of `slot`; what was taken from it before is given up."""
        held = self._flat.get(slot)
        if held is None or held.numel() < math.prod(shape):
            return self.fresh(slot, shape, like)
        return held[: math.prod(shape)].view(shape)

    def fresh(self, slot: int, shape: tuple[int, ...], like: torch.Tensor) -> torch.Tensor:
        """Zeros of `shape` in new memory, which replaces that of `slot`."""
        self._flat[slot] = like.new_zeros(math.prod(shape))
        return self._flat[slot].view(shape)

    def clear(self) -> None:
        """Forget everything, after a job that may have written NaN."""
        self._flat.clear()


_ALIKE = 16
"""Tokens that prefixes must share to be looked at together."""

Layers: TypeAlias = list[tuple[torch.Tensor, torch.Tensor]]
"""Keys and values of every layer."""


@dataclass(frozen=True, slots=True)
class Prefilled:
    """Left-padded prefixes in the model: `layers` `[prefixes, heads, width, head_dim]`, `logits` of what
    comes next `[prefixes, V]`."""

    layers: Layers
    logits: torch.Tensor


def contents(cache: Cache) -> Layers:
    """Keys and values of every layer of a filled cache of attention layers."""
    layers: list[Any] = cache.layers
    return [(layer.keys, layer.values) for layer in layers]


class PrefixStore:
    """Prefixes that were prefilled before, up to `limit` bytes; those used longest ago go first."""

    def __init__(self, limit: int) -> None:
        self._limit, self._held = limit, 0
        self._kept: OrderedDict[tuple[int, ...], Prefilled] = OrderedDict()
        self._alike: dict[tuple[int, ...], dict[tuple[int, ...], None]] = {}

    def __contains__(self, prefix: tuple[int, ...]) -> bool:
        return prefix in self._kept

    def common(self, prefix: tuple[int, ...]) -> Layers | None:
        """Keys and values `[heads, length, head_dim]` of the longest beginning that `prefix` shares with one
        that is kept, its last token never included; None when they share too little to be found."""
        best, length = None, 0
        for other in self._alike.get(prefix[:_ALIKE], ()):
            shared = _shared(prefix, other)
            if shared > length:
                best, length = other, shared
        if best is None:
            return None
        length = min(length, len(prefix) - 1)
        return [(keys[:, :length], values[:, :length]) for keys, values in self._kept[best].layers]

    def keep(self, prefix: tuple[int, ...], layers: Layers, logits: torch.Tensor) -> None:
        """Keep `layers` `[heads, length, head_dim]` and `logits` `[V]`; they must be nobody else's memory."""
        self._kept[prefix] = Prefilled(layers, logits)
        self._alike.setdefault(prefix[:_ALIKE], {})[prefix] = None
        self._held += _size(self._kept[prefix])

    def together(self, prefixes: Sequence[tuple[int, ...]]) -> Prefilled:
        """All of `prefixes`, each of which must be there, side by side; then makes room."""
        ones = [self._kept[prefix] for prefix in prefixes]
        for prefix in prefixes:
            self._kept.move_to_end(prefix)
        layers = side_by_side([one.layers for one in ones])
        while self._held > self._limit:
            self._forget()
        return Prefilled(layers, torch.stack([one.logits for one in ones]))

    def _forget(self) -> None:
        prefix, one = self._kept.popitem(last=False)
        del self._alike[prefix[:_ALIKE]][prefix]
        self._held -= _size(one)


def _shared(one: Sequence[int], other: Sequence[int]) -> int:
    """Length of the common beginning."""
    return next((i for i, (a, b) in enumerate(zip(one, other)) if a != b), min(len(one), len(other)))


def side_by_side(rows: Sequence[Layers]) -> Layers:
    """`[heads, length, head_dim]` of several lengths as `[rows, heads, width, head_dim]`, zeros first."""
    return [
        (_padded([row[i][0] for row in rows]), _padded([row[i][1] for row in rows]))
        for i in range(len(rows[0]))
    ]


def _padded(tensors: Sequence[torch.Tensor]) -> torch.Tensor:
    heads, _, size = tensors[0].shape
    width = max(tensor.shape[1] for tensor in tensors)
    made = tensors[0].new_zeros(len(tensors), heads, width, size)
    for row, tensor in enumerate(tensors):
        made[row, :, width - tensor.shape[1] :] = tensor
    return made


def _size(one: Prefilled) -> int:
    return one.logits.nbytes + sum(keys.nbytes + values.nbytes for keys, values in one.layers)


class LaneCache(Cache):
    """What a `transformers` model takes as `past_key_values` while decoding lanes."""

    def __init__(self, like: Layers, lanes: int, columns: int, storage: Storage) -> None:
        """Allocate for the head counts, sizes, dtype and device of the filled layers `like`."""
        self.window, self.columns, self._storage = Window(), columns, storage
        self.lane_layers: list[LaneLayer] = []
        for number, pair in enumerate(like):
            keys, values = (
                storage.take(2 * number + i, (lanes, x.shape[1], columns, x.shape[3]), x)
                for i, x in enumerate(pair)
            )
            self.lane_layers.append(LaneLayer(self.window, keys, values))
        super().__init__(layers=[*self.lane_layers])

    def place(self, lanes_R: torch.Tensor, prefilled: Layers, rows_R: torch.Tensor) -> None:
        """Copy row `rows_R[i]` of prefilled layers into lane `lanes_R[i]`, ending at the clock."""
        clock = self.window.clock
        for layer, (keys, values) in zip(self.lane_layers, prefilled, strict=True):
            layer.keys[lanes_R, :, clock - keys.shape[2] : clock] = keys[rows_R]
            layer.values[lanes_R, :, clock - values.shape[2] : clock] = values[rows_R]

    def move(self, sources: list[int], targets: list[int], keep: int) -> None:
        """Copy lanes `sources` over lanes `targets`, then drop all but the first `keep` lanes."""
        seen = slice(self.window.low, self.window.clock)
        for layer in self.lane_layers:
            for tensor in (layer.keys, layer.values):
                tensor[targets, :, seen] = tensor[sources, :, seen]
            layer.keys, layer.values = layer.keys[:keep], layer.values[:keep]

    def shift(self, by: int) -> None:
        """Drop the first `by` columns."""
        clock = self.window.clock
        for layer in self.lane_layers:
            for tensor in (layer.keys, layer.values):
                tensor[:, :, : clock - by] = tensor[:, :, by:clock].clone()
        self.window.low -= by
        self.window.clock -= by

    def grow(self, columns: int) -> None:
        """Make room for `columns` columns in all."""
        for number, layer in enumerate(self.lane_layers):
            layer.keys = self._widened(2 * number, layer.keys, columns)
            layer.values = self._widened(2 * number + 1, layer.values, columns)
        self.columns = columns

    def _widened(self, slot: int, tensor: torch.Tensor, columns: int) -> torch.Tensor:
        lanes, heads, written, size = tensor.shape
        wide = self._storage.fresh(slot, (lanes, heads, columns, size), tensor)
        wide[:, :, :written] = tensor
        return wide
