"""Facts and rules over literals, chained forward: what ProofWriter's questions are answered by.

A rule is `literal and ... and literal -> literal`. In the open world a denied literal must itself be derived
(strong negation) and nothing is concluded backwards. In the closed world what is not derived is false, so
`not` in a condition means "not derived"; the rules must then be stratified (no derivation through its own
absence). Grounding: over the named individuals. Work is linear in the ground rules
(Dowling and Gallier, J. Logic Programming 1(3), 1984).
"""

from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from checkers.logic.budget import GROUNDING, Budget
from checkers.logic.faults import ContradictionError, NotRulesError
from checkers.logic.formulas import And, Atom, Formula, Implies, Literal, Not, Or, ground

_MOST_ALTERNATIVES = 64


@dataclass(frozen=True, slots=True)
class Rule:
    """If every literal of `body` holds, so does `head`; a fact has no body."""

    body: tuple[Literal, ...]
    head: Literal


def literal(formula: Formula) -> Literal | None:
    """The literal that `formula` is, if it is one."""
    sign = True
    while isinstance(formula, Not):
        formula, sign = formula.body, not sign
    return (formula, sign) if isinstance(formula, Atom) else None


def rules_of(formula: Formula) -> list[Rule]:
    """The rules that say the same as `formula`. Raises: NotRulesError."""
    if (head := literal(formula)) is not None:
        return [Rule((), head)]
    if isinstance(formula, And):
        return [rule for part in formula.parts for rule in rules_of(part)]
    if not isinstance(formula, Implies):
        raise NotRulesError("the premises are more than facts and rules")
    bodies, heads = _alternatives(formula.left), rules_of(formula.right)
    if len(bodies) > 1 and len(bodies) * len(heads) > _MOST_ALTERNATIVES:
        raise NotRulesError(f"a rule has more than {_MOST_ALTERNATIVES} alternatives")
    return [Rule(body + rule.body, rule.head) for rule in heads for body in bodies]


def _alternatives(condition: Formula) -> list[tuple[Literal, ...]]:
    """The condition as a disjunction of conjunctions of literals."""
    if (alone := literal(condition)) is not None:
        return [(alone,)]
    if isinstance(condition, Or):
        return [body for part in condition.parts for body in _alternatives(part)]
    if not isinstance(condition, And):
        raise NotRulesError("the premises are more than facts and rules")
    bodies: list[tuple[Literal, ...]] = [()]
    for part in condition.parts:
        bodies = [body + more for body in bodies for more in _alternatives(part)]
        if len(bodies) > _MOST_ALTERNATIVES:
            raise NotRulesError(f"a condition has more than {_MOST_ALTERNATIVES} alternatives")
    return bodies


def ground_rules(formulas: Iterable[Formula], domain: Sequence[str], budget: Budget) -> list[Rule]:
    """The rules of `formulas` for each individual. Raises: NotRulesError, TooLargeError."""
    rules: list[Rule] = []
    for formula in formulas:
        for said in ground(formula, domain):
            new = rules_of(said)
            rules += new
            budget.spend(GROUNDING * sum(1 + len(rule.body) for rule in new))
    return rules


def closure(rules: Sequence[Rule], known: Iterable[Literal] = ()) -> set[Literal]:
    """Every literal that follows by chaining, `known` included."""
    waiting = [len(set(rule.body)) for rule in rules]
    users: defaultdict[Literal, list[int]] = defaultdict(list)
    for index, rule in enumerate(rules):
        for condition in set(rule.body):
            users[condition].append(index)
    agenda = list(dict.fromkeys([*known, *(rule.head for rule in rules if not rule.body)]))  # each once
    derived = set(agenda)
    while agenda:
        for index in users[agenda.pop()]:
            waiting[index] -= 1
            if not waiting[index] and (head := rules[index].head) not in derived:
                derived.add(head)
                agenda.append(head)
    return derived


def closed_model(rules: Sequence[Rule], budget: Budget) -> set[Atom]:
    """The atoms that hold when whatever is not derived is false.

    Raises: NotRulesError (not stratified), ContradictionError, TooLargeError.
    """
    stratum = _strata(rules, budget)
    layers: defaultdict[int, list[Rule]] = defaultdict(list)
    for rule in rules:
        if rule.head[1]:
            layers[stratum[rule.head[0]]].append(rule)
    model: set[Atom] = set()
    for level in sorted(layers):
        budget.spend(len(model) + len(layers[level]))
        usable = [reduced for rule in layers[level] if (reduced := _reduced(rule, model))]
        model = {atom for atom, _ in closure(usable, ((atom, True) for atom in model))}
    for rule in rules:
        if not rule.head[1] and rule.head[0] in model and all((a in model) == sign for a, sign in rule.body):
            raise ContradictionError("the premises contradict each other")
    return model


def _reduced(rule: Rule, model: set[Atom]) -> Rule | None:
    """The rule without its absences; None where one of them fails."""
    if any(not sign and atom in model for atom, sign in rule.body):
        return None
    return Rule(tuple(condition for condition in rule.body if condition[1]), rule.head)


def _strata(rules: Sequence[Rule], budget: Budget) -> dict[Atom, int]:
    """A level for each atom, above those whose absence it depends on. Raises: NotRulesError, TooLargeError.

    Levels only rise, by at most one a round for the atoms on a cycle through an absence, so more levels than
    atoms mean such a cycle.
    """
    level = {atom: 0 for rule in rules for atom, _ in (*rule.body, rule.head)}
    positive = [rule for rule in rules if rule.head[1]]
    users: defaultdict[Atom, list[Rule]] = defaultdict(list)
    for rule in positive:
        for atom, _ in rule.body:
            users[atom].append(rule)
    agenda = deque(level)
    while agenda:
        atom = agenda.popleft()
        for rule in users[atom]:
            budget.spend(2 * len(rule.body))
            needed = max(level[body] + (not sign) for body, sign in rule.body)
            if needed > level[rule.head[0]]:
                if needed > len(level):
                    raise NotRulesError("a rule depends on the absence of what it derives")
                level[rule.head[0]] = needed
                agenda.append(rule.head[0])
    return level
