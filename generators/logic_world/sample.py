"""The problem of a seed: a theory that is sound, in words, in the split that its sentences belong to."""

import hashlib
import random
from collections.abc import Iterable
from typing import Literal as OneOf

from distill.records import Problem, content_id
from generators.logic_world.deduce import Answer, is_settled
from generators.logic_world.draw import LONG, draw
from generators.logic_world.language import clause, each, rule_text
from generators.logic_world.theory import QUESTION, Theory, encode

Split = OneOf["pretrain", "distil", "test"]

WORLD_VERSION = "logic-v1"
SPLITS: dict[str, tuple[int, ...]] = {"pretrain": tuple(range(8)), "distil": (8,), "test": (9,)}
DEPTH_WEIGHTS = {1: 22, 2: 24, 3: 20, 4: 14, 5: 10, 6: 3, 7: 2, 8: 2, 9: 1.5, 10: 1.5}
P_SHORT_RULE = 0.6
MOST_WORDS = 64  # of the premises; claim and question are 7 or 8 more
MOST_DRAWS = 20_000
_ANSWERS: tuple[Answer, ...] = ("True", "False", "Unknown")


def split_of(sentences: Iterable[str]) -> str:
    """The one split that may hold the premises and claim: a hash of them, in any order, modulo 10."""
    text = " ".join(sorted(sentences))
    bucket = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) % 10
    return next(name for name, buckets in SPLITS.items() if bucket in buckets)


def sample_problem(seed: int, split: Split, *, min_depth: int = 1, max_depth: int = 10) -> Problem:
    """The problem of `seed` in `split`, whose answer takes min_depth to max_depth rules one after the other.

    Raises: ValueError for an unknown split, or depths outside 1 to 10.
    """
    if split not in SPLITS or not 1 <= min_depth <= max_depth <= max(DEPTH_WEIGHTS):
        raise ValueError(
            f"expected a split of {set(SPLITS)} and depths from 1 to {max(DEPTH_WEIGHTS)}, "
            f"found {split!r}, {min_depth} to {max_depth}"
        )
    rng = random.Random(f"{WORLD_VERSION}:{split}:{seed}")
    depths = {depth: weight for depth, weight in DEPTH_WEIGHTS.items() if min_depth <= depth <= max_depth}
    depth = rng.choices(list(depths), list(depths.values()))[0]
    answer = _ANSWERS[int(rng.random() * 3)]  # before the draws: what is rejected must not unbalance it
    for _ in range(MOST_DRAWS):
        theory = draw(rng, depth, answer)
        premises, claim = _sentences(theory, rng)
        if split_of((*premises, claim)) == split and _is_sound(theory, depth, answer, premises):
            return _problem(split, premises, claim, answer)
    raise ValueError(f"no problem of depth {depth} after {MOST_DRAWS} draws; ask for another depth")


def _sentences(theory: Theory, rng: random.Random) -> tuple[list[str], str]:
    """Facts, then rules, each in random order; and the claim."""
    facts = [clause(person, one) + "." for person, given in theory.given.items() for one in each(given)]
    short = 1.0 if len(theory.rules) >= LONG else P_SHORT_RULE
    rules = [rule_text(rule, rng.random() < short) for rule in theory.rules]
    rng.shuffle(facts)
    rng.shuffle(rules)
    return facts + rules, clause(theory.claim.person, theory.claim.literals) + "."


def _is_sound(theory: Theory, depth: int, answer: Answer, premises: list[str]) -> bool:
    """What was asked for, readable, and such that rules and classical logic agree about everybody."""
    return (
        (theory.answer, theory.depth) == (answer, depth)
        and sum(sentence.count(" ") + 1 for sentence in premises) <= MOST_WORDS
        and all(is_settled(theory.rules, known) for known in theory.known.values())
    )


def _problem(split: str, premises: list[str], claim: str, answer: Answer) -> Problem:
    question = " ".join((*premises, claim, QUESTION))
    return Problem(
        id=content_id("world", WORLD_VERSION, question),
        question=question,
        reference=answer,
        domain="logic-world",
        source=f"world:{WORLD_VERSION}:{split}",
        payload=encode(premises, claim),
    )
