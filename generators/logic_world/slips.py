"""Errors of reasoning, by kind: what is stated in place of a right deduction.

Each maker offers a deduction that looks like one of its kind; `make_slip` keeps it only if the judge says so.
"""

import random
from collections.abc import Callable, Sequence
from typing import TypeVar

from generators.logic_world.judge import verdict
from generators.logic_world.language import Deduction, Literals, Rule, Statement, each, negated
from generators.logic_world.write import State, applied

WEIGHTS = {"unsupported": 25, "premise": 20, "converse": 15, "negated": 15, "wrong_person": 15, "answer": 10}
CORRUPTIONS = tuple(WEIGHTS)
TRIES = 8
P_USUAL = 0.7  # the likelier of two ways to be wrong
P_TO_THE_CLAIM = 0.4  # a jump that settles the answer

T = TypeVar("T")


def random_slip(state: State, rule: Rule | None) -> Deduction | None:
    """A slip of any kind that the place allows."""
    kind = state.rng.choices(list(_MAKERS), [WEIGHTS[kind] for kind in _MAKERS])[0]
    return make_slip(state, kind, rule)


def make_slip(state: State, kind: str, rule: Rule | None) -> Deduction | None:
    """A deduction of which the judge says `kind`, in the place of applying `rule`; None if none was found."""
    for _ in range(TRIES):
        found = _MAKERS[kind](state, rule)
        if found and verdict(state.theory, found) == kind:
            return found
    return None


def _unsupported(state: State, rule: Rule | None) -> Deduction | None:
    """A rule with a condition unmet and unsaid, or a conclusion from nowhere."""
    person = state.theory.claim.person
    halves = [
        Rule(other.body & state.believed, other.head)
        for other in state.theory.rules
        if other.body & state.believed and other.body & ~state.believed
    ]
    if halves and state.rng.random() < P_USUAL:
        return applied(person, _pick(state.rng, halves))
    ground = rule.body if rule else _pick(state.rng, list(each(state.believed)))
    claim = state.theory.claim.literals
    heads = [claim, negated(claim)] if state.rng.random() < P_TO_THE_CLAIM else _mentioned(state)
    return applied(person, Rule(ground, _pick(state.rng, heads)))


def _negated(state: State, rule: Rule | None) -> Deduction | None:
    """The opposite of what the rule gives."""
    return applied(state.theory.claim.person, Rule(rule.body, negated(rule.head))) if rule else None


def _wrong_person(state: State, rule: Rule | None) -> Deduction | None:
    """What another one's properties give, concluded of the person asked about; or the other way round."""
    person = state.theory.claim.person
    others = [other for other in state.theory.known if other != person]
    options = [
        Deduction((Statement(other, some.body),), (Statement(person, some.head),))
        for other in others
        for some in state.theory.rules
        if some.body & state.theory.known[other] == some.body and not some.head & state.believed
    ]
    if options and state.rng.random() < P_USUAL:
        return _telling(state, options)
    if not rule or not others:
        return None
    other = _pick(state.rng, others)
    return Deduction((Statement(person, rule.body),), (Statement(other, rule.head),))


def _converse(state: State, rule: Rule | None) -> Deduction | None:
    """A rule from its conclusion back to a condition."""
    person = state.theory.claim.person
    options = _backwards(state.theory.rules, person, state.believed)
    if not options:
        options = [
            back
            for other, known in state.theory.known.items()
            for back in _backwards(state.theory.rules, other, known)
        ]
    return _telling(state, options) if options else None


def _backwards(rules: Sequence[Rule], person: str, known: Literals) -> list[Deduction]:
    return [
        applied(person, Rule(rule.head, condition))
        for rule in rules
        if rule.head & known
        for condition in each(rule.body & ~known)
    ]


def _premise(state: State, rule: Rule | None) -> Deduction | None:
    """A rule applied though a condition that is stated does not hold; or a false ground for a right step."""
    person = state.theory.claim.person
    blocked = [some for some in state.theory.rules if some.body & ~state.believed]
    if blocked and (not rule or state.rng.random() < P_USUAL):
        return applied(person, _pick(state.rng, blocked))
    if not rule:
        return None
    return applied(person, Rule(_pick(state.rng, _mentioned(state)), rule.head))


_MAKERS: dict[str, Callable[[State, Rule | None], Deduction | None]] = {
    "unsupported": _unsupported,
    "premise": _premise,
    "converse": _converse,
    "negated": _negated,
    "wrong_person": _wrong_person,
}


def _telling(state: State, options: list[Deduction]) -> Deduction:
    """One that settles the claim, if there is any."""
    claim = state.theory.claim.literals | negated(state.theory.claim.literals)
    settling = [option for option in options if option.conclusions[0].literals & claim]
    return _pick(state.rng, settling or options)


def _mentioned(state: State) -> list[Literals]:
    """The literals that the problem speaks of, with the negations of the conclusions."""
    spoken = 0
    for rule in state.theory.rules:
        spoken |= rule.body | rule.head | negated(rule.head)
    for given in state.theory.given.values():
        spoken |= given
    return list(each(spoken))


def _pick(rng: random.Random, options: Sequence[T]) -> T:
    return options[int(rng.random() * len(options))]
