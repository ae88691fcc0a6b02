"""The noise is uniform and independent; tokens come as often as their probabilities say."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from generators.sampling import nucleus, row_seed, sample_tokens, uniforms
from generators.stops import BROKEN, ENDS, GOES_ON, MAY_END, stop_check, token_codes


def test_splitmix64_against_its_published_outputs():
    """The first outputs for seed 1234567, as listed in the Rosetta Code task "SplitMix64"."""
    published = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431]
    got = uniforms(torch.tensor([1234567] * 4), torch.arange(4))
    assert got.tolist() == [(word >> 24) * 2.0**-40 for word in published]


def test_noise_is_uniform_and_uncorrelated():
    seeds = torch.tensor([row_seed(7, i) for i in range(400)])
    noise = torch.stack([uniforms(seeds, torch.full((400,), t)) for t in range(100)])
    counts = torch.histc(noise.float(), bins=20, min=0.0, max=1.0)
    expected = noise.numel() / 20
    assert ((counts - expected) ** 2 / expected).sum() < 43.8, "chi-squared, 19 degrees of freedom, p < 0.001"
    for shifted in (noise.roll(1, dims=0), noise.roll(1, dims=1)):
        assert abs(torch.corrcoef(torch.stack([noise.flatten(), shifted.flatten()]))[0, 1]) < 0.02


def test_seeds_differ_by_seed_and_sample():
    assert len({row_seed(seed, sample) for seed in range(30) for sample in range(30)}) == 900


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_frequencies_follow_the_softmax(temperature):
    logits = torch.tensor([2.0, 0.0, -1.0, 1.0, float("-inf")])
    noise = uniforms(torch.full((20_000,), 3), torch.arange(20_000))
    tokens = sample_tokens(logits.expand(20_000, 5), noise, temperature, 1.0)
    frequencies = torch.bincount(tokens, minlength=5) / 20_000
    assert torch.allclose(frequencies, torch.softmax(logits / temperature, -1), atol=0.012)
    assert frequencies[4] == 0.0


def test_nucleus_keeps_the_smallest_set():
    probabilities = torch.tensor([[0.1, 0.5, 0.15, 0.25]])
    assert nucleus(probabilities, 0.5).tolist() == [[0.0, 0.5, 0.0, 0.0]]
    assert (nucleus(probabilities, 0.6) > 0).tolist() == [[False, True, False, True]]
    assert (nucleus(probabilities, 0.9) > 0).tolist() == [[False, True, True, True]]
    assert (nucleus(probabilities, 1e-6) > 0).tolist() == [[False, True, False, False]]


@given(
    st.lists(st.floats(-30, 30, width=32), min_size=2, max_size=8),
    st.floats(0, 1, exclude_max=True),
    st.floats(0.05, 5),
    st.floats(0.01, 1),
)
@settings(deadline=None, max_examples=50)
def test_only_possible_tokens(logits, noise, temperature, top_p):
    scaled = torch.tensor([logits])
    highest = torch.tensor([min(noise, 1 - 2.0**-40)], dtype=torch.float64)
    token = int(sample_tokens(scaled, highest, temperature, top_p))
    assert torch.softmax(scaled / temperature, -1)[0, token] > 0


def test_nan_gives_an_index_out_of_the_vocabulary():
    tokens = sample_tokens(
        torch.tensor([[0.0, float("nan")], [0.0, 1.0]]), torch.tensor([0.5, 0.5]), 1.0, 1.0
    )
    assert tokens[0] == 2
    assert tokens[1] < 2


class TestStops:
    TABLE = ("a", "b", "ab", "\n", " ", "\ufffd", "<eos>")

    def decode(self, ids) -> str:
        return "".join(self.TABLE[i] for i in ids)

    def codes(self, *stops) -> list[int]:
        return token_codes(7, frozenset({6, 99}), stops, self.decode).tolist()

    def test_codes(self):
        plain = [GOES_ON] * 6 + [ENDS, BROKEN]
        assert self.codes() == plain
        assert self.codes("xb") == [GOES_ON, MAY_END, MAY_END, GOES_ON, GOES_ON, MAY_END, ENDS, BROKEN]
        assert self.codes("x ")[3:6] == [MAY_END] * 3, "white space alone may have been stripped"

    def test_check(self):
        check = stop_check(["bab", "\n\n"], self.decode)
        assert check([1, 2])
        assert check([0, 0, 3, 3])
        assert not check([2, 2][:1])
        assert not check([])
        assert check([0] * 50 + [1, 2])
