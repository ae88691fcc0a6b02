"""Writing a solution, one deduction a line, with the errors that a slipper makes.

The writer applies rules to what it believes of the person asked about. A wrong conclusion is believed like a
right one, and the answer is what the beliefs give; the first wrong line and its kind are recorded.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from generators.judgement import ANSWER
from generators.logic_world.deduce import answer, next_rules
from generators.logic_world.judge import ANSWERS, verdict
from generators.logic_world.language import Deduction, Literals, Rule, Statement, clause, each
from generators.logic_world.theory import Theory

P_RESTATE = 0.05
P_FOLLOW = 0.8  # go on from the last conclusion, where that is possible
MOST_LINES = 24  # slips could go on for ever


@dataclass(frozen=True, slots=True)
class Solution:
    """Steps with the 0-based first error (-1 none) and its kind."""

    steps: tuple[str, ...]
    first_error: int = -1
    kind: str = ""


@dataclass(slots=True)
class State:
    """What the writer knows while it writes; `believed` is of the person asked about."""

    theory: Theory
    rng: random.Random
    believed: Literals
    steps: list[str] = field(default_factory=list)
    last: Literals = 0
    slipped: bool = False
    first_error: int = -1
    kind: str = ""


# What to state in place of applying a rule (None: at the end, before the answer); None for no error there
Slipper = Callable[[State, Rule | None], Deduction | None]


def write(
    theory: Theory, rng: random.Random, slipper: Slipper | None = None, p_wrong_answer: float = 0.0
) -> Solution:
    """The text of a solution, with the errors that `slipper` makes, and a chance of a slip in the answer."""
    state = State(theory, rng, theory.given[theory.claim.person])
    if rng.random() < P_RESTATE:
        _restate(state)
    while len(state.steps) < MOST_LINES:
        rule = _next_rule(state)
        open_ = rule or answer(state.believed, theory.claim.literals) == "Unknown"
        if slipper and open_ and (wrong := slipper(state, rule)):
            state.slipped = True
            _state(state, wrong)
        elif rule:
            _state(state, applied(theory.claim.person, rule))
        else:
            break
    _answer(state, p_wrong_answer > 0 and rng.random() < p_wrong_answer)
    return Solution(tuple(state.steps), state.first_error, state.kind)


def applied(person: str, rule: Rule) -> Deduction:
    """A rule applied to a person."""
    return Deduction((Statement(person, rule.body),), (Statement(person, rule.head),))


def spelled(deduction: Deduction) -> str:
    """The line that states a deduction."""
    grounds, conclusions = (
        " and ".join(clause(said.person, said.literals) for said in part)
        for part in (deduction.grounds, deduction.conclusions)
    )
    return f"{grounds}, so {conclusions}." if grounds else f"{conclusions}."


def _next_rule(state: State) -> Rule | None:
    theory = state.theory
    rules = next_rules(theory.rules, state.believed, theory.claim.literals)
    following = [rule for rule in rules if rule.body & state.last]
    if following and state.rng.random() < P_FOLLOW:
        rules = following
    return rules[int(state.rng.random() * len(rules))] if rules else None


def _state(state: State, deduction: Deduction) -> None:
    """Add a line, and believe it."""
    if state.slipped and state.first_error < 0 and (kind := verdict(state.theory, deduction)):
        state.first_error, state.kind = len(state.steps), kind
    person = state.theory.claim.person
    for said in (*deduction.grounds, *deduction.conclusions):
        if said.person == person:
            state.believed |= said.literals
            state.last = said.literals
    state.steps.append(spelled(deduction))


def _answer(state: State, slip: bool) -> None:
    given = answer(state.believed, state.theory.claim.literals)
    if slip:
        others = [other for other in ANSWERS if other != given]
        given = others[int(state.rng.random() * len(others))]  # type: ignore[assignment]
    if state.first_error < 0 and given != state.theory.answer:
        state.first_error, state.kind = len(state.steps), "answer"
    state.steps.append(ANSWER + given)


def _restate(state: State) -> None:
    """A fact of the person asked about."""
    facts = list(each(state.believed))
    fact = facts[int(state.rng.random() * len(facts))]
    _state(state, Deduction((), (Statement(state.theory.claim.person, fact),)))
