"""From text to steps: the one place that segments a solution.

A step keeps the separator that ends it, so joining steps gives the text back byte for byte, and a
prefix of steps is a prefix of the text.
"""

import re
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Literal

Strategy = Literal["newline", "blank_line"]

# A separator belongs to the step that it ends: a line feed; or a line feed and all blank lines after it.
_SEPARATORS: dict[str, re.Pattern[str]] = {
    "newline": re.compile(r"\n"),
    "blank_line": re.compile(r"\n(?:[^\S\n]*\n)+"),
}


def split_steps(text: str, strategy: Strategy) -> tuple[str, ...]:
    """The steps of `text`, each with the separator that ends it; `"".join` of them is `text`.

    Pieces of white space alone are no steps: they go to the step before, or, at the beginning, to the
    first step. A text of white space alone is one (empty) step; an empty text has none.
    """
    pieces: list[str] = []
    for piece in _pieces(text, _SEPARATORS[strategy]):
        if pieces and (not piece.strip() or not pieces[-1].strip()):
            pieces[-1] += piece
        else:
            pieces.append(piece)
    return tuple(pieces)


def _pieces(text: str, separator: re.Pattern[str]) -> list[str]:
    """`text` cut after every match of `separator`; no empty pieces."""
    ends = [match.end() for match in separator.finditer(text)]
    cuts = [0, *ends, len(text)]
    return [text[first:last] for first, last in pairwise(cuts) if first < last]


def strip_step(step: str) -> str:
    """A step as it is shown, checked and exported: without surrounding white space."""
    return step.strip()


def step_ends(
    token_ids: Sequence[int], decode: Callable[[Sequence[int]], str], strategy: Strategy
) -> tuple[int, ...]:
    """How many tokens there are up to and including each step of `decode(token_ids)`.

    `decode(token_ids[:ends[i]])` begins with steps 0 to i. Where a token straddles the boundary, the
    boundary moves to the end of that token, so it ends *exactly* with step i only if a token does; two
    steps that end within one token share their end. The last end is `len(token_ids)`.

    Decodes about log2(tokens) prefixes a step. Needs a `decode` whose text of a prefix, apart from an
    unfinished character at its end, is a prefix of the text (byte-level tokenizers are so).
    """
    text = decode(token_ids)
    ends: list[int] = []
    offset = 0
    for step in split_steps(text, strategy):
        offset += len(step)
        first = ends[-1] if ends else 0
        ends.append(_token_edge(token_ids, decode, text[:offset], first, offset / len(text)))
    return (*ends[:-1], len(token_ids)) if ends else ()


def _token_edge(
    token_ids: Sequence[int], decode: Callable[[Sequence[int]], str], text: str, first: int, guess: float
) -> int:
    """The least number of tokens, at least `first`, that decode to something that begins with `text`.

    Bisection, opened at the share `guess` of the tokens, which is nearly right for even tokens.
    """
    low, high = first, len(token_ids)
    middle = round(guess * len(token_ids))
    radius = 2
    while low < high:
        middle = min(max(middle, low), high - 1)
        if decode(token_ids[:middle]).startswith(text):
            high, middle = middle, middle - radius
        else:
            low, middle = middle + 1, middle + radius
        radius *= 2
        if not low <= middle < high:
            middle = (low + high) // 2
    return low
