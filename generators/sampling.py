"""From logits to tokens: counter-based noise, temperature and nucleus.

The uniform behind a token is a pure function of (row seed, position), so a sample does not depend on
which rows are beside it in a batch, on the device, or on how often the batch was rearranged.
"""

import torch

from distill.records import derived_seed

_GAMMA = 0x9E3779B97F4A7C15
_MIX_1 = 0xBF58476D1CE4E5B9
_MIX_2 = 0x94D049BB133111EB


def row_seed(seed: int, sample: int) -> int:
    """63-bit seed of sample number `sample` of a request, from content only."""
    return derived_seed("sample", seed, sample)


def _signed(word: int) -> int:
    """The int64 with the same 64 bits as the unsigned `word`."""
    return word - (1 << 64) if word >= 1 << 63 else word


def _shift(words: torch.Tensor, bits: int) -> torch.Tensor:
    """Logical right shift of int64 words (torch's own is arithmetic)."""
    return (words >> bits) & ((1 << (64 - bits)) - 1)


def uniforms(seeds_B: torch.Tensor, positions_B: torch.Tensor) -> torch.Tensor:
    """float64 `[B]` in [0, 1): output number `positions_B` of the SplitMix64 stream of `seeds_B`.

    Both int64 `[B]`. SplitMix64 (Steele, Lea, Flood 2014, figure 17) hashes a counter, so any position
    is reached without state. 40 of its bits are kept: u < 1 - 2^-41 leaves room for rounding when u is
    scaled by a total probability.
    """
    words = seeds_B + (positions_B + 1) * _signed(_GAMMA)
    words = (words ^ _shift(words, 30)) * _signed(_MIX_1)
    words = (words ^ _shift(words, 27)) * _signed(_MIX_2)
    words = words ^ _shift(words, 31)
    return _shift(words, 24).double() * 2.0**-40


def nucleus(probabilities_BV: torch.Tensor, top_p: float) -> torch.Tensor:
    """Zero all but the smallest set of tokens whose mass reaches `top_p` (arXiv 1904.09751, section 3.1).

    Tokens tied with the last one kept are kept too, so that rounding cannot choose among them.
    """
    ordered = probabilities_BV.sort(dim=-1, descending=True).values
    before = ordered.cumsum(-1) - ordered
    kept = (before < top_p).sum(-1, keepdim=True).clamp_(min=1)
    threshold = ordered.gather(-1, kept - 1)
    return probabilities_BV.masked_fill(probabilities_BV < threshold, 0.0)


def chosen_logprobs(logits_BV: torch.Tensor, tokens_B: torch.Tensor) -> torch.Tensor:
    """float32 `[B]`: log-probability of each row's token at temperature 1. A token out of the vocabulary (NaN
    logits) has NaN."""
    logits_BV = logits_BV.float()
    known_B = tokens_B.clamp(max=logits_BV.shape[1] - 1)
    return logits_BV.gather(-1, known_B[:, None])[:, 0] - logits_BV.logsumexp(-1)


def sample_tokens(
    logits_BV: torch.Tensor, uniforms_B: torch.Tensor, temperature: float, top_p: float
) -> torch.Tensor:
    """int64 `[B]`: one token a row, by inverting the cumulative distribution at `uniforms_B`.

    The inverse is taken in vocabulary order: float noise in the logits moves a token only when the
    uniform lies within that noise of a boundary. Rows with NaN logits give an index out of the
    vocabulary, which `DecodeLoop` turns into an error.
    """
    probabilities = torch.softmax(logits_BV.float() / temperature, dim=-1)
    if top_p < 1.0:
        probabilities = nucleus(probabilities, top_p)
    cumulative = probabilities.cumsum(-1, dtype=torch.float64)
    targets = uniforms_B[:, None] * cumulative[:, -1:]
    return torch.searchsorted(cumulative, targets, right=True).squeeze(-1)
