"""A problem of the logic world, read back from its payload, with all that follows about everybody."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from distill.records import Problem
from generators.logic_world.deduce import Answer, answer, closure, rounds
from generators.logic_world.language import Literals, Rule, Statement, negated, read_deduction, read_rule

QUESTION = "True, False or Unknown?"


@dataclass(frozen=True, slots=True)
class Theory:
    """`given` are the facts and `known` what follows, by person; `claim` is the one literal asked about."""

    rules: tuple[Rule, ...]
    given: dict[str, Literals]
    known: dict[str, Literals]
    claim: Statement

    @property
    def answer(self) -> Answer:
        """What the claim is."""
        return answer(self.known[self.claim.person], self.claim.literals)

    @property
    def depth(self) -> int:
        """Rules to be applied one after the other until the claim is decided; if it never is, until nothing
        more follows about its person."""
        wanted = self.claim.literals | negated(self.claim.literals)
        reached = list(rounds(self.rules, self.given[self.claim.person]))
        return next((i for i, known in enumerate(reached) if known & wanted), len(reached) - 1)


def theory_of(rules: Sequence[Rule], given: dict[str, Literals], claim: Statement) -> Theory:
    """A theory from its facts and rules."""
    known = {person: closure(rules, literals) for person, literals in given.items()}
    return Theory(tuple(rules), given, known, claim)


def encode(premises: Sequence[str], conclusion: str) -> str:
    """The payload: JSON with the sentences `premises` and `conclusion`."""
    return json.dumps({"premises": list(premises), "conclusion": conclusion})


def decode(problem: Problem) -> Theory:
    """The theory of a problem. Raises: ValueError for a payload that is not of this world."""
    return _decode(problem.payload)


@lru_cache(maxsize=4096)
def _decode(payload: str) -> Theory:
    try:
        read = json.loads(payload)
        premises, conclusion = read["premises"], read["conclusion"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"expected a payload of the logic world with premises and conclusion, found {payload[:80]!r}"
        ) from error
    claim = _fact(conclusion)
    rules: list[Rule] = []
    given = {claim.person: 0}
    for sentence in premises:
        if rule := read_rule(sentence):
            rules.append(rule)
        else:
            fact = _fact(sentence)
            given[fact.person] = given.get(fact.person, 0) | fact.literals
    return theory_of(rules, given, claim)


def _fact(sentence: str) -> Statement:
    read = read_deduction(sentence)
    if read is None or read.grounds or len(read.conclusions) != 1:
        raise ValueError(f"expected a fact or rule of the logic world, found {sentence[:80]!r}")
    return read.conclusions[0]
