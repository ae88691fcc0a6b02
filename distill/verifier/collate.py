"""Rows to batches: padded, or packed so that several chains share a row and none sees another."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from distill.verifier.data import IGNORED, pad

Row = dict[str, Any]
"""`input_ids`, `labels` and, with the soft loss, `soft` and `evidence`: one value a token. With the
contrastive loss, `partner` (the row that shares a prefix) and `at`, (position here, position there) of
the good and the bad step: `good_first` says which is which. In validation `place`: (chain, window)."""
FILL = {"labels": IGNORED, "soft": 0.0, "evidence": 0.0}


@dataclass(frozen=True, slots=True)
class Collator:
    """Rows -> tensors [rows, length]; `fill` is the id of padding.

    There is no attention mask. Padding comes last, where a causal model's chain never looks; without a mask
    attention is computed for the half that is seen, by kernels that know no other.

    With `packed`, where chains do share a row, position ids begin at 0 with every chain, from which
    `transformers` builds a mask that is causal within a chain and closed between chains (its sdpa, eager
    and flex attention; flash attention reads the same ids). Rows are as long as the longest chain, so
    attention costs no more than with padding, and there are at most as many of them.
    """

    fill: int
    packed: bool = False

    def __call__(self, rows: Sequence[Row]) -> dict[str, torch.Tensor]:
        """One batch of all rows and their partners."""
        chains = [chain for row in rows for chain in (row, row.get("partner")) if chain]
        places = pack([len(chain["input_ids"]) for chain in chains]) if self.packed else alone(len(chains))
        lines = [[chains[i] for i in line] for line in places]
        joined = {name: [_joined(line, name) for line in lines] for name in _columns(chains[0])}
        batch = {name: _padded(values, FILL.get(name, self.fill)) for name, values in joined.items()}
        width = batch["input_ids"].shape[1]
        if len(places) < len(chains):
            batch["position_ids"] = torch.stack([_positions(line, width) for line in lines])
        if "place" in rows[0]:
            batch["places"] = torch.tensor([row["place"] for row in rows])
        if any("partner" in row for row in rows):
            batch["pairs"] = _pairs(chains, places, width)
        return batch


def alone(count: int) -> list[list[int]]:
    """One chain a row."""
    return [[index] for index in range(count)]


def pack(lengths: Sequence[int]) -> list[list[int]]:
    """First-fit decreasing: which chains share a row, no row longer than the longest chain.

    At most 11/9 of the fewest rows possible (Johnson 1973). Deterministic; rows in the order of their
    longest chain.
    """
    room = max(lengths, default=0)
    rows: list[list[int]] = []
    left: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        place = next((i for i, free in enumerate(left) if free >= lengths[index]), None)
        if place is None:
            rows.append([])
            left.append(room)
            place = len(rows) - 1
        rows[place].append(index)
        left[place] -= lengths[index]
    return rows


def _columns(row: Row) -> list[str]:
    return [name for name in ("input_ids", "labels", "soft", "evidence") if name in row]


def _joined(line: Sequence[Row], name: str) -> list[Any]:
    return [value for chain in line for value in chain[name]]


def _padded(rows: Sequence[Sequence[Any]], value: Any) -> torch.Tensor:
    if not isinstance(value, float):
        return pad(rows, value)
    longest = max(map(len, rows))
    return torch.tensor([[*row, *[value] * (longest - len(row))] for row in rows], dtype=torch.float32)


def _positions(line: Sequence[Row], width: int) -> torch.Tensor:
    """0, 1, ... within each chain, and again for the padding at the end of the row."""
    lengths = [len(chain["input_ids"]) for chain in line]
    lengths.append(width - sum(lengths))
    return torch.cat([torch.arange(length) for length in lengths])


def _pairs(chains: Sequence[Row], places: Sequence[Sequence[int]], width: int) -> torch.Tensor:
    """(good, bad) positions in the flat batch: int64 [pairs, 2]."""
    start: dict[int, int] = {}
    for line, members in enumerate(places):
        offset = line * width
        for index in members:
            start[index] = offset
            offset += len(chains[index]["input_ids"])
    found = []
    for index, row in enumerate(chains):
        if "partner" in row:
            here, there = start[index] + row["at"][0], start[index + 1] + row["at"][1]
            found.append((here, there) if row["good_first"] else (there, here))
    return torch.tensor(found, dtype=torch.long).reshape(-1, 2)
