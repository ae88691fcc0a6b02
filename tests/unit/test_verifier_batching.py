"""Batches of chains of many lengths: cut where padding is least, and no score depends on the cut."""

from itertools import combinations
from pathlib import Path

import pytest
import torch
from tiny_model import draw_head, make_tiny_model

from distill.verifier import Verifier
from distill.verifier.batching import cuts, run_batched
from distill.verifier.data import ChainFormat, Encoded
from distill.verifier.model import load_classifier, load_tokenizer

CPU = torch.device("cpu")


def positions(lengths: list[int], batches: list[tuple[int, int]]) -> int:
    return sum((end - begin) * lengths[end - 1] for begin, end in batches)


@pytest.mark.parametrize("pass_cost", [0, 3, 40, 1000])
def test_no_other_way_to_cut_costs_less(pass_cost: int) -> None:
    lengths, batch_size = [1, 1, 2, 3, 3, 8, 9, 20, 21], 4
    inner = range(1, len(lengths))
    costs = []
    for count in range(len(lengths)):
        for middle in combinations(inner, count):
            batches = list(zip((0, *middle), (*middle, len(lengths))))
            if max(end - begin for begin, end in batches) <= batch_size:
                costs.append(positions(lengths, batches) + pass_cost * len(batches))
    found = cuts(lengths, batch_size, pass_cost)
    assert [begin for begin, _ in found] == [0, *(end for _, end in found[:-1])]
    assert found[-1][1] == len(lengths)
    assert max(end - begin for begin, end in found) <= batch_size
    assert positions(lengths, found) + pass_cost * len(found) == min(costs)
    assert cuts([], 4) == []


def test_one_long_chain_does_not_pad_the_others() -> None:
    lengths = [*range(100, 160), 4000]
    encoded = [Encoded(tuple(range(n)), 0, (n - 1,), 0) for n in reversed(lengths)]
    shapes = []

    def forward(ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        shapes.append(ids.shape)
        assert int(mask.sum()) <= ids.numel()
        return ids

    found = run_batched(encoded, forward, lambda row, chain: int(row[chain.ends[0]]), 64, 0, CPU)
    assert found == [n - 1 for n in reversed(lengths)]
    assert sum(shape.numel() for shape in shapes) < 1.2 * sum(lengths)
    assert len(shapes) <= 4


@pytest.mark.parametrize("quantise", [False, True], ids=["float32", "nf4"])
def test_a_score_is_that_of_the_chain_alone(quantise: bool, tmp_path: Path) -> None:
    base = make_tiny_model(tmp_path, hidden=64, context=512)
    model = draw_head(load_classifier(str(base), quantise, CPU))
    verifier = Verifier(model, load_tokenizer(str(base)), ChainFormat())
    counts = enumerate((1, 40, 3, 2, 9))
    chains = [("How many?", [f"{i} + {j} = {i + j}" for j in range(n)]) for i, n in counts]
    together = verifier.margins(chains)
    for chain, found in zip(chains, together):
        assert found == pytest.approx(verifier.margins([chain])[0], abs=1e-4)
