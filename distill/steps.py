"""From text to steps: the one place that segments a solution. docs/segmentation.md says when to use which.

A step keeps the separator that ends it, so joining steps gives the text back byte for byte, and a
prefix of steps is a prefix of the text. Everything is linear in the text, up to a logarithm for token edges.
"""

import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Literal

from distill.config import ChainSettings
from distill.sentences import sentence_ends
from distill.statements import statement_ends

Strategy = Literal["newline", "blank_line", "numbered", "sentences", "code_blocks", "statements"]
"""The strategies that need the text alone; `tokens` needs a tokenizer too."""
Decode = Callable[[Sequence[int]], str]

# A separator belongs to the step that it ends: a line feed; or a line feed and all blank lines after it.
_NEWLINE = re.compile(r"\n")
_BLANK_LINE = re.compile(r"\n(?:[^\S\n]*+\n)+")
_NUMBERED_LINE = re.compile(
    r"""^ [ ]{0,2} (?: \#{1,6}[ ]+ | [-*>][ ]+ )? (?: \*\*|__ )?
        (?: [Ss](?:tep|TEP) [ ]? \d{1,4} (?: \*\*|__ )? (?: [:.)\-–—] | [^\S\n]*$ )
          | (?: \d{1,4}[.)] | \(\d{1,4}\) ) (?: \*\*|__ )? (?= \s | $ ) )""",
    re.VERBOSE | re.MULTILINE,
)
_FENCE = re.compile(r"^[^\S\n]*(`{3,}(?=[^`\n]*$)|~{3,})(.*)$", re.MULTILINE)
_UNFINISHED = "\ufffd"


def split_steps(text: str, strategy: Strategy) -> tuple[str, ...]:
    """The steps of `text`, each with the separator that ends it; `"".join` of them is `text`.

    Pieces of white space alone are no steps: they go to the step before, or, at the beginning, to the
    first step. A text of white space alone is one (empty) step; an empty text has none.
    """
    return _steps(_pieces(text, _CUTS[strategy](text)))


def segment(
    token_ids: Sequence[int], decode: Decode, settings: ChainSettings
) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Steps of `decode(token_ids)` as the recipe wants them, and the tokens up to the end of each."""
    if settings.segment == "tokens":
        return split_tokens(token_ids, decode, settings.segment_tokens or 1)
    steps = split_steps(decode(token_ids), settings.segment)
    return steps, step_ends(token_ids, decode, steps)


def split_tokens(
    token_ids: Sequence[int], decode: Decode, size: int
) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Steps of `size` tokens each (the last may have fewer), and the tokens up to the end of each.

    A character that a cut goes through belongs to the step after it. What is blank joins the step before, or
    the first step, which then has some multiple of `size` tokens.
    """
    text = decode(token_ids)
    spelling = _Spelling(token_ids, decode, text)
    ends = {}  # of each number of characters, the most tokens that spell no more
    for count in range(size, len(token_ids), size):
        ends[spelling.spelt(count)] = count
        spelling.settle(count)
    ends[len(text)] = len(token_ids)
    steps = _steps(_pieces(text, sorted(ends)))
    return steps, tuple(ends[offset] for offset in _offsets(steps))


def _steps(pieces: Iterable[str]) -> tuple[str, ...]:
    """Pieces of a text as steps, none of them blank."""
    groups: list[list[str]] = []
    begun = False  # whether the last group is more than white space
    for piece in pieces:
        blank = not piece.strip()
        if groups and (blank or not begun):
            groups[-1].append(piece)
        else:
            groups.append([piece])
        begun = begun or not blank
    return tuple("".join(group) for group in groups)


def _pieces(text: str, ends: Iterable[int]) -> list[str]:
    """`text` cut at `ends` (ascending); no empty pieces."""
    return [text[first:last] for first, last in pairwise([0, *ends, len(text)]) if first < last]


def _offsets(steps: Sequence[str]) -> Iterator[int]:
    """Characters up to and including each step."""
    total = 0
    for step in steps:
        total += len(step)
        yield total


def _outside_fences(text: str) -> Iterator[int]:
    """After every line, but for those of a fenced block (``` or ~~~) before its last. A fence that is never
    closed goes on to the end of the text."""
    opened = ""
    begin = 0
    for newline in _NEWLINE.finditer(text):
        fence = _FENCE.match(text, begin, newline.start())
        begin = newline.end()
        if fence and not opened:
            opened = fence[1]
        elif fence and fence[1].startswith(opened) and not fence[2].strip():
            opened = ""
        if not opened:
            yield begin


_CUTS: dict[Strategy, Callable[[str], Iterable[int]]] = {
    "newline": lambda text: (found.end() for found in _NEWLINE.finditer(text)),
    "blank_line": lambda text: (found.end() for found in _BLANK_LINE.finditer(text)),
    "numbered": lambda text: (found.start() for found in _NUMBERED_LINE.finditer(text)),
    "sentences": sentence_ends,
    "code_blocks": _outside_fences,
    "statements": statement_ends,
}


def strip_step(step: str) -> str:
    """A step as it is shown and exported: without surrounding white space, but for the indentation of its
    first line (two blanks or a tab), which means something in a program."""
    indent = step[: len(step) - len(step.lstrip())].rpartition("\n")[2]
    return (indent if len(indent.expandtabs()) > 1 else "") + step.strip()


def step_ends(token_ids: Sequence[int], decode: Decode, steps: Sequence[str]) -> tuple[int, ...]:
    """How many tokens there are up to and including each of `steps`, which are those of `decode(token_ids)`.

    `decode(token_ids[:ends[i]])` begins with steps 0 to i. Where a token straddles the boundary, the
    boundary moves to the end of that token, so it ends *exactly* with step i only if a token does; two
    steps that end within one token share their end. The last end is `len(token_ids)`.

    Needs a `decode` whose text of a prefix, apart from an unfinished character at its end, is a prefix of
    the text (byte-level tokenizers are so).
    """
    spelling = _Spelling(token_ids, decode, "".join(steps))
    ends: list[int] = []
    for offset in _offsets(steps[:-1]):
        ends.append(spelling.reach(offset, ends[-1] if ends else 0))
        spelling.settle(ends[-1])
    return (*ends, len(token_ids)) if steps else ()


def step_logprobs(logprobs: Sequence[float], ends: Sequence[int]) -> tuple[float, ...]:
    """Natural log-probability of each step: the sum over its tokens, whose `step_ends` are `ends`. None where
    not every token's is known."""
    if not ends or len(logprobs) != ends[-1]:
        return ()
    return tuple(math.fsum(logprobs[begin:end]) for begin, end in zip((0, *ends), ends))


def _shared(first: str, second: str) -> int:
    """Characters that two texts begin with alike."""
    pairs = enumerate(zip(first, second, strict=False))
    return next((i for i, (a, b) in pairs if a != b), min(len(first), len(second)))


class _Spelling:
    """How far the first tokens spell the text: decoded from a settled place on, not from the beginning.

    Where a decoder spells what follows that place differently than in the whole (some drop a leading
    space), the whole prefix is decoded, which is right and slow.
    """

    def __init__(self, token_ids: Sequence[int], decode: Decode, text: str) -> None:
        self._ids, self._decode, self._text = token_ids, decode, text
        self._place = (0, 0)

    def spelt(self, count: int) -> int:
        """Characters of the text that the first `count` tokens spell, an unfinished one left out."""
        known = 0
        for first, offset in (self._place, (0, 0)):
            piece = self._decode(self._ids[first:count])
            there = self._text[offset : offset + len(piece)]
            known = len(piece) if piece == there else _shared(piece, there)
            if not piece[known:].strip(_UNFINISHED):
                return offset + known
        return known

    def settle(self, count: int) -> None:
        """Decode from `count` tokens on henceforth, if they end with a whole character."""
        first, offset = self._place
        piece = self._decode(self._ids[first:count])
        if not piece.endswith(_UNFINISHED) and self._text.startswith(piece, offset):
            self._place = count, offset + len(piece)

    def reach(self, offset: int, first: int) -> int:
        """The least number of tokens, at least `first`, that spell `offset` characters: by strides that
        double, then by bisection."""
        low, high, stride = first, first, 8
        while high < len(self._ids) and self.spelt(high) < offset:
            low, high, stride = high + 1, min(high + stride, len(self._ids)), 2 * stride
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if self.spelt(middle) >= offset else (middle + 1, high)
        return low
