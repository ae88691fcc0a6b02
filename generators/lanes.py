"""A key-value cache with one lane per sequence and one shared column clock.

Every sequence ends at the same column, so a decode step writes one column of one tensor per layer
and no row is moved when another begins or ends:

    column   0 1 2 3 4 5 6 7
    lane 0   . p p p p g g *      p prefix, g generated, * being written
    lane 1   . . . . p p p *      admitted later, aligned to the right
    lane 2   p p p p p g g *

What lies left of a lane's start is masked out. Tensors are `[lanes, heads, columns, head_dim]`.
"""

from typing import Any

import torch
from transformers.cache_utils import Cache, CacheLayerMixin


class Window:
    """The columns `[low, clock)` that attention sees; shared by all layers of a cache."""

    def __init__(self) -> None:
        self.low = 0
        self.clock = 0


class LaneLayer(CacheLayerMixin):
    """Keys and values of one layer; `update` writes one column at the clock."""

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


def _allocate(like: torch.Tensor, lanes: int, columns: int) -> torch.Tensor:
    """Zeros, never garbage: a masked NaN would still poison a weighted sum."""
    return like.new_zeros(lanes, like.shape[1], columns, like.shape[3])


class LaneCache(Cache):
    """What a `transformers` model takes as `past_key_values` while decoding lanes."""

    def __init__(self, like: Cache, lanes: int, columns: int) -> None:
        """Allocate for the head counts, sizes, dtype and device of the filled cache `like`."""
        self.window = Window()
        self.columns = columns
        super().__init__(
            layers=[
                LaneLayer(
                    self.window,
                    _allocate(layer.keys, lanes, columns),
                    _allocate(layer.values, lanes, columns),
                )
                for layer in like.layers
            ]
        )

    def place(self, lanes_R: torch.Tensor, prefilled: Cache, rows_R: torch.Tensor) -> None:
        """Copy row `rows_R[i]` of a prefilled cache into lane `lanes_R[i]`, ending at the clock."""
        for layer, source in zip(self.layers, prefilled.layers, strict=True):
            first = self.window.clock - source.keys.shape[2]
            layer.keys[lanes_R, :, first : self.window.clock] = source.keys[rows_R]
            layer.values[lanes_R, :, first : self.window.clock] = source.values[rows_R]

    def select(self, lanes_R: torch.Tensor) -> None:
        """Keep only the lanes `lanes_R`, in that order."""
        for layer in self.layers:
            layer.keys, layer.values = layer.keys[lanes_R], layer.values[lanes_R]

    def shift(self, by: int) -> None:
        """Drop the first `by` columns."""
        for layer in self.layers:
            _shift_columns(layer.keys, by, self.window.clock)
            _shift_columns(layer.values, by, self.window.clock)
        self.window.low -= by
        self.window.clock -= by

    def grow(self, columns: int) -> None:
        """Make room for `columns` columns in all."""
        for layer in self.layers:
            layer.keys, layer.values = (_widened(x, columns) for x in (layer.keys, layer.values))
        self.columns = columns


def _shift_columns(tensor: torch.Tensor, by: int, clock: int) -> None:
    tensor[:, :, : clock - by] = tensor[:, :, by:clock].clone()


def _widened(tensor: torch.Tensor, columns: int) -> torch.Tensor:
    wide = _allocate(tensor, tensor.shape[0], columns)
    wide[:, :, : tensor.shape[2]] = tensor
    return wide
