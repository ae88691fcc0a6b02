"""Chains that share a prefix and then part: one goes on with a good step, the other with a bad one."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from distill.verifier.data import Example


@dataclass(frozen=True, slots=True)
class Pair:
    """Two examples (by index) that part at `step` (0-based), where one label is 1 and the other 0."""

    good: int
    bad: int
    step: int


def pairs_of(items: Sequence[Example]) -> list[Pair]:
    """Pairs of chains of one question, no chain in two of them: the longest shared prefixes first, so
    that what is compared differs by as little as possible. Sharing the question alone counts (step 0)."""
    groups: dict[tuple[str, tuple[str, ...]], list[int]] = defaultdict(list)
    for index, item in enumerate(items):
        for step, label in enumerate(item.labels):
            if label in (0, 1):
                groups[item.question, item.steps[:step]].append(index)
    used: set[int] = set()
    found = []
    for (_, prefix), members in sorted(groups.items(), key=lambda entry: -len(entry[0][1])):
        step = len(prefix)
        free = [index for index in members if index not in used]
        good = [index for index in free if items[index].labels[step] == 1]
        bad = [index for index in free if items[index].labels[step] == 0]
        for pair in zip(good, bad):
            used.update(pair)
            found.append(Pair(*pair, step))
    return found
