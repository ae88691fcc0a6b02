"""When two texts are the same: normalisation, words and n-grams."""

import re
import unicodedata
from collections.abc import Sequence

_WORD = re.compile(r"\w+")
_TOKEN = re.compile(r"\w+|[^\w\s]")

_SPELLING = re.compile(r"[^\w+\-*/=<>^%!.]|_|\.(?!\d)")
_DASHES = str.maketrans(dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2212", "-"))

Gram = tuple[str, ...]


def normalise(text: str) -> str:
    """Compatibility characters folded (NFKC), lower case, white space collapsed. Operators stay: "3 - 2"
    and "3 + 2" are different mathematics."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def same_question(text: str) -> str:
    """What a question is known by where its chains must not be parted, nor measured on: its letters, numbers
    and operators. Quotes, punctuation, LaTeX's dollars and brackets, and where blanks stand are spelling.

    Coarser than `normalise`: at worst two problems are kept on one side that need not be.
    """
    return _SPELLING.sub("", normalise(text).translate(_DASHES)) or normalise(text)


def words(text: str) -> list[str]:
    """The words and numbers of a text, punctuation left out."""
    return _WORD.findall(normalise(text))


def tokens(text: str) -> list[str]:
    """Words, numbers and every other sign by itself."""
    return _TOKEN.findall(normalise(text))


def ngrams(items: Sequence[str], n: int) -> frozenset[Gram]:
    """Every run of `n` items; a shorter sequence has none."""
    return frozenset(tuple(items[i : i + n]) for i in range(len(items) - n + 1))


def jaccard(first: frozenset[Gram], second: frozenset[Gram]) -> float:
    """Shared over all, 0 to 1; two empty sets are alike."""
    union = len(first | second)
    return len(first & second) / union if union else 1.0
