"""Chains of one problem that say the same: only one of them is kept."""

from collections import defaultdict
from collections.abc import Sequence

from distill.dataset.text import Gram, jaccard, ngrams, normalise, tokens
from distill.records import LabelledChain

GRAM = 3


def without_near_duplicates(labelled: Sequence[LabelledChain], similarity: float) -> list[LabelledChain]:
    """Drop every chain that is at least `similarity` alike to a kept one of the same problem.

    Likeness is the Jaccard index of the chains' 3-grams of tokens, 0 to 1; at 1.0 only repeats that are
    equal after normalisation go (equal sets of 3-grams may still be different chains). Of two alike
    chains the one with a determined first error is kept, then the earlier one. Order is preserved.
    """
    groups: dict[str, list[int]] = defaultdict(list)
    for index, item in enumerate(labelled):
        groups[normalise(item.problem.question)].append(index)
    kept: set[int] = set()
    for members in groups.values():
        members.sort(key=lambda index: labelled[index].first_error is None)
        kept.update(_distinct(labelled, members, similarity))
    return [item for index, item in enumerate(labelled) if index in kept]


def _distinct(labelled: Sequence[LabelledChain], members: Sequence[int], similarity: float) -> list[int]:
    """Indices of `members`, in their order, that are not alike to one before them."""
    kept: dict[str, tuple[int, frozenset[Gram]]] = {}
    for index in members:
        # Line ends tell where steps end: the same words in other steps carry other labels.
        text = "\n".join(normalise(step) for step in labelled[index].chain.steps)
        grams = _grams(text) if similarity < 1.0 else frozenset()
        alike = (jaccard(grams, other) >= similarity for _, other in kept.values())
        if text in kept or (similarity < 1.0 and any(alike)):
            continue
        kept[text] = (index, grams)
    return [index for index, _ in kept.values()]


def _grams(text: str) -> frozenset[Gram]:
    """3-grams of the chain; a chain of fewer tokens is one gram of its own."""
    found = tokens(text)
    return ngrams(found, GRAM) if len(found) >= GRAM else frozenset([tuple(found)])
