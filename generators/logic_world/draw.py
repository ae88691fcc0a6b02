"""Drawing a theory: a line of rules to the claim, and what stands around it to mislead."""

import random
from dataclasses import dataclass, field

from generators.logic_world.deduce import Answer
from generators.logic_world.language import ADJECTIVES, NAMES, Literals, Rule, Statement, negated
from generators.logic_world.theory import Theory, theory_of

P_NOT = 0.25  # facts and what rules conclude on the way; of a claim and its rule, one half
P_THREE_PEOPLE = 0.3
P_TWO_CONDITIONS = 0.4
P_AGAINST = 0.4  # a rule for the negation of the claim, so that the rules' text gives no answer away
LONG = 6  # deeper problems get less around them, so that they stay readable
P_LONG = 0.15


@dataclass(slots=True)
class Draft:
    """What has been drawn so far; `line` are the literals on the way to the claim."""

    rng: random.Random
    depth: int
    people: list[str] = field(init=False)
    spare: list[int] = field(init=False)
    given: dict[str, Literals] = field(init=False)
    rules: list[Rule] = field(default_factory=list)
    line: list[Literals] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.people = self.rng.sample(NAMES, 2 + self.chance(P_THREE_PEOPLE))
        self.spare = self.rng.sample(range(len(ADJECTIVES)), len(ADJECTIVES))
        self.given = dict.fromkeys(self.people, 0)

    def chance(self, p: float) -> bool:
        """True with probability p."""
        return self.rng.random() < p

    def seldom(self, p: float) -> bool:
        """True with probability p, less in deep problems."""
        return self.rng.random() < (p if self.depth < LONG else p * P_LONG)

    def pick(self, options: list[Literals]) -> Literals:
        """One of a list."""
        return options[int(self.rng.random() * len(options))]

    def fresh(self, p_not: float = P_NOT) -> Literals:
        """A literal of a property that nothing has spoken of yet."""
        return 1 << 2 * self.spare.pop() + self.chance(p_not if self.depth < LONG else p_not / 2)

    @property
    def asked(self) -> str:
        """The person of the claim."""
        return self.people[0]


def draw(rng: random.Random, depth: int, answer: Answer) -> Theory:
    """A theory whose claim is meant to be decided in `depth` steps, or to stay open after as many.

    Whether it is, and whether the theory is sound, is for the caller to see.
    """
    draft = Draft(rng, depth)
    draft.line.append(draft.fresh())
    draft.given[draft.asked] = draft.line[0]
    for step in range(depth):
        last = step == depth - 1 and answer != "Unknown"
        _extend(draft, draft.fresh(0.5 if last else P_NOT))
    goal = draft.line[-1]
    if answer == "Unknown":
        goal = _broken_end(draft)
    elif draft.seldom(0.7):
        _broken(draft, draft.fresh())
    if draft.seldom(P_AGAINST):  # two conditions: from one, its negation would follow by contraposition
        draft.rules.append(Rule(draft.fresh() | _missing(draft, goal), negated(goal)))
    _surround(draft)
    if answer == "False" or (answer == "Unknown" and draft.chance(0.5)):
        goal = negated(goal)
    return theory_of(draft.rules, draft.given, Statement(draft.asked, goal))


def _extend(draft: Draft, head: Literals) -> None:
    """One more rule that applies, from the end of the line."""
    body = draft.line[-1]
    if draft.seldom(P_TWO_CONDITIONS):
        body |= _second(draft)
    draft.rules.append(Rule(body, head))
    draft.line.append(head)


def _second(draft: Draft) -> Literals:
    """A second condition that is met: known from before, a fact of its own, or derived from one."""
    if len(draft.line) > 1 and draft.chance(0.4):
        return draft.pick(draft.line[:-1])
    fact = draft.fresh()
    draft.given[draft.asked] |= fact
    if len(draft.line) < 2 or draft.chance(0.6):
        return fact
    derived = draft.fresh()
    draft.rules.append(Rule(fact, derived))
    return derived


def _broken_end(draft: Draft) -> Literals:
    """Rules from the end of the line on to a claim, the first of which does not apply."""
    goal = draft.fresh(0.5)
    _broken(draft, goal, draft.line[-1])
    if draft.seldom(0.3):
        further = draft.fresh(0.5)
        draft.rules.append(Rule(goal, further))
        return further
    return goal


def _broken(draft: Draft, head: Literals, ground: Literals = 0) -> None:
    """A rule that would give `head` of the person asked about if it applied, or applied backwards."""
    ground = ground or draft.pick(draft.line)
    way = draft.rng.random()
    if way < 0.3:
        draft.rules.append(Rule(head, ground))  # backwards
        return
    missing = _missing(draft, ground)
    draft.rules.append(Rule(missing if way < 0.5 else missing | ground, head))


def _missing(draft: Draft, ground: Literals) -> Literals:
    """A condition that the person asked about does not meet; another may, or they are known not to."""
    if draft.chance(0.25) and draft.line[0] != ground:
        return negated(draft.line[0])
    missing = draft.fresh()
    if draft.chance(0.6):  # of another the rule then holds, at times whole
        draft.given[draft.people[-1]] |= missing | (ground if draft.chance(0.4) else 0)
    return missing


def _surround(draft: Draft) -> None:
    """Facts about the others, and rules and facts about the person asked about that lead nowhere."""
    if len(draft.line) > 1 and draft.seldom(0.4):
        draft.rules.append(Rule(draft.pick(draft.line[:-1]), draft.fresh()))
    if draft.seldom(0.4):  # another way to what is known: read backwards, it misleads
        draft.rules.append(Rule(draft.fresh(), draft.pick(draft.line)))
    if draft.seldom(0.25):
        draft.given[draft.asked] |= draft.fresh()
    for other in draft.people[1:]:
        if not draft.given[other] or draft.seldom(0.4):
            way = draft.rng.random()
            shared = draft.pick(draft.line)
            draft.given[other] |= shared if way < 0.5 else negated(shared) if way < 0.7 else draft.fresh()
