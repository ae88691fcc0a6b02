"""The families of problems by name, and drawing a problem from one of them."""

import hashlib
import random
from collections.abc import Callable, Sequence
from typing import Literal

from distill.records import Problem, content_id
from generators.world import families_money as money
from generators.world import families_things as things
from generators.world.build import Builder, Rejected

Split = Literal["pretrain", "distil", "test"]

WORLD_VERSION = "arith-v1"
SPLITS: dict[str, tuple[int, ...]] = {"pretrain": tuple(range(8)), "distil": (8,), "test": (9,)}
FAMILIES: dict[str, Callable[[Builder], None]] = {
    family.__name__: family
    for family in (
        money.shopping, money.wages, money.discount, money.mixture, money.ages, money.comparison,
        money.inventory, things.conversion, things.distance, things.travel, things.work,
        things.recipe, things.fractions, things.percent, things.average, things.area,
        things.sharing, things.packing,
    )
}  # fmt: skip
_NAMES = tuple(FAMILIES)
MOST_DRAWS = 20_000


def split_of(question: str) -> str:
    """The one split that may hold `question`: a hash of its text modulo 10."""
    bucket = int.from_bytes(hashlib.sha256(question.encode()).digest()[:8]) % 10
    return next(name for name, buckets in SPLITS.items() if bucket in buckets)


def sample_problem(
    seed: int,
    split: Split,
    *,
    min_steps: int = 2,
    max_steps: int = 10,
    families: Sequence[str] = _NAMES,
) -> Problem:
    """The problem of `seed` in `split`; the usual solution has min_steps to max_steps lines.

    Raises: ValueError for an unknown split or family, or lengths that no drawn problem has.
    """
    if split not in SPLITS or not set(families) <= FAMILIES.keys():
        raise ValueError(
            f"expected a split of {set(SPLITS)} and families of {set(FAMILIES)}, "
            f"found {split!r} and {families!r}"
        )
    rng = random.Random(f"{WORLD_VERSION}:{split}:{seed}")
    any_length = (min_steps, max_steps) == (2, 10)
    name = ""
    for draw in range(MOST_DRAWS):
        if draw % 200 == 0 or not any_length:
            name = families[int(rng.random() * len(families))]
        builder = Builder(rng, 0 if any_length else rng.randint(min_steps, max_steps))
        try:
            FAMILIES[name](builder)
        except Rejected:
            continue
        question = builder.question()
        if min_steps <= builder.length() <= max_steps and split_of(question) == split:
            return _problem(name, split, question, builder)
    raise ValueError(f"no problem of {min_steps} to {max_steps} steps in {families!r}; widen the range")


def _problem(family: str, split: str, question: str, builder: Builder) -> Problem:
    return Problem(
        id=content_id("world", WORLD_VERSION, question),
        question=question,
        reference=builder.reference(),
        domain="arith-world",
        source=f"world:{WORLD_VERSION}:{split}",
        payload=builder.payload(family),
    )
