"""What follows in the logic world: by chaining rules forward, and in classical logic.

Rules have one variable and no relations, so each person is a propositional theory of their own.
"""

from collections.abc import Iterator, Sequence
from typing import Literal as OneOf

from generators.logic_world.language import Literals, Rule, negated

Answer = OneOf["True", "False", "Unknown"]


def rounds(rules: Sequence[Rule], known: Literals) -> Iterator[Literals]:
    """What is known at first, then after each round in which all rules are applied at once."""
    yield known
    while True:
        more = known
        for rule in rules:
            if known & rule.body == rule.body:
                more |= rule.head
        if more == known:
            return
        known = more
        yield known


def closure(rules: Sequence[Rule], known: Literals) -> Literals:
    """All that the rules give from what is known."""
    *_, last = rounds(rules, known)
    return last


def answer(known: Literals, claim: Literals) -> Answer:
    """Whether a claim (one literal) is among what is known, or its negation is."""
    return "True" if known & claim else "False" if known & negated(claim) else "Unknown"


def next_rules(rules: Sequence[Rule], believed: Literals, claim: Literals) -> list[Rule]:
    """The rules to apply next to what is believed: those that lead to the claim or its negation, or else all.

    None is left once the claim is decided, or nothing more can be derived. A belief is never given up: a rule
    against one is not applied. (Only after an error can there be such a rule.)
    """
    wanted = claim | negated(claim)
    if believed & wanted:
        return []
    reasons: dict[Literals, Rule] = {}
    known, applied = believed, True
    while applied and not known & wanted:
        before, applied = known, False
        for rule in rules:
            if before & rule.body == rule.body and not known & (rule.head | negated(rule.head)):
                reasons[rule.head], applied = rule, True
                known |= rule.head
    if known & wanted:
        _keep_needed(reasons, known & wanted)
    return [rule for rule in reasons.values() if believed & rule.body == rule.body]


def _keep_needed(reasons: dict[Literals, Rule], goal: Literals) -> None:
    """Drop the reasons that the goal does not rest on; a reason comes after those that it rests on."""
    needed = goal
    for head, rule in reversed(list(reasons.items())):
        if needed & head:
            needed |= rule.body
        else:
            del reasons[head]


def entails_rule(rules: Sequence[Rule], rule: Rule) -> bool:
    """Whether a rule follows from others, in classical logic."""
    return model(clauses_of(rules), rule.body | negated(rule.head)) is None


def is_settled(rules: Sequence[Rule], known: Literals) -> bool:
    """Whether a closure is consistent, and classical logic gives no literal more.

    Each literal that is not known must be possible. One model shows that for half of them.
    """
    if known & negated(known):
        return False
    clauses = clauses_of(rules)
    open_ = 0
    for clause in clauses:
        open_ |= clause | negated(clause)
    open_ &= ~(known | negated(known))
    while open_:
        found = model(clauses, known | (open_ & -open_))
        if found is None:
            return False
        open_ &= negated(found)  # a property that the model leaves open can be either
    return True


def clauses_of(rules: Sequence[Rule]) -> list[Literals]:
    """Each rule as a clause: one of these literals holds."""
    return [negated(rule.body) | rule.head for rule in rules]


def model(clauses: Sequence[Literals], true: Literals) -> Literals | None:
    """Literals, with those of `true`, that fulfil all clauses; None if none do.

    Unit propagation and search (M. Davis, G. Logemann, D. Loveland, CACM 5(7), 1962).
    """
    if true & negated(true):
        return None
    size = -1
    while len(clauses) != size:
        size, left = len(clauses), []
        for clause in clauses:
            if clause & true:
                continue
            choices = clause & ~negated(true)
            if not choices:
                return None
            if choices & (choices - 1):
                left.append(clause)
            else:
                true |= choices
        clauses = left
    if not clauses:
        return true
    choices = clauses[0] & ~negated(true)
    choice = choices & -choices
    found = model(clauses, true | choice)
    return found if found is not None else model(clauses, true | negated(choice))
