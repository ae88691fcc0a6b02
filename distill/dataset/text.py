"""When two texts are the same: normalisation, words and n-grams."""

import re
import unicodedata
from collections.abc import Sequence

_WORD = re.compile(r"\w+")
_TOKEN = re.compile(r"\w+|[^\w\s]")

Gram = tuple[str, ...]


def normalise(text: str) -> str:
    """Compatibility characters folded (NFKC), lower case, white space collapsed. Operators stay: "3 - 2"
    and "3 + 2" are different mathematics."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


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
