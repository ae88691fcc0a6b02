"""When a sequence ends: end tokens by table look-up, stop strings by text.

Most tokens cannot complete a stop string. A table over the vocabulary says which can, so that no text
is decoded for the others.
"""

from collections.abc import Callable, Sequence

import torch

GOES_ON, ENDS, MAY_END, BROKEN = 0, 1, 2, 3

Decode = Callable[[Sequence[int]], str]


def token_codes(vocabulary: int, ends: frozenset[int], stops: Sequence[str], decode: Decode) -> torch.Tensor:
    """uint8 `[vocabulary + 1]`: what follows from sampling each token.

    The entry after the last is the index that sampling gives for NaN logits: `BROKEN`.
    """
    codes = torch.zeros(vocabulary + 1, dtype=torch.uint8)
    if stops:
        lasts = {stop[-1] for stop in stops}
        codes[[token for token in range(vocabulary) if _may_hold(decode([token]), lasts)]] = MAY_END
    codes[[token for token in ends if token < vocabulary]] = ENDS
    codes[vocabulary] = BROKEN
    return codes


def _may_hold(text: str, lasts: set[str]) -> bool:
    """Whether a token that decodes alone to `text` may hold one of the characters `lasts`.

    Part of a character decodes to U+FFFD, and some tokenizers strip the space of a lone token.
    """
    strippable = any(last.isspace() for last in lasts) and not text.strip()
    return strippable or "\ufffd" in text or any(last in text for last in lasts)


def stop_check(stops: Sequence[str], decode: Decode) -> Callable[[Sequence[int]], bool]:
    """A test of whether the newest of some generated tokens completes one of `stops`.

    Only as many tokens are decoded as the longest stop string has bytes, and a few that may be empty.
    """
    window = max((len(stop.encode()) for stop in stops), default=0) + 8

    def ends_in_stop(token_ids: Sequence[int]) -> bool:
        text = decode(token_ids[-window:])
        return any(stop in text for stop in stops)

    return ends_in_stop
