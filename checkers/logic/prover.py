"""What follows from premises: by chaining rules forward, classically, or in a closed world.

The domain is the individuals that are named, and one that is not, so that "all" can be proved of it.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal as OneOf

from checkers.logic.budget import Budget
from checkers.logic.faults import ContradictionError, NotRulesError
from checkers.logic.formulas import (
    FRESH,
    And,
    Atom,
    Formula,
    Iff,
    Implies,
    Literal,
    Not,
    Or,
    ground,
    individuals,
    instance,
    is_universal,
    negate,
)
from checkers.logic.rules import Rule, closed_model, closure, ground_rules, rules_of
from checkers.logic.sat import Clauses

Answer = OneOf["True", "False", "Unknown"]


@dataclass(frozen=True)
class Prover:
    """Premises, ready for questions about the individuals in them and in `mentioned`.

    Every method raises LogicFault where there is no answer: TooLargeError, ContradictionError (from which
    everything would follow), and where rules are asked for, NotRulesError.
    """

    premises: tuple[Formula, ...]
    mentioned: frozenset[str] = frozenset()
    budget: Budget = field(default_factory=Budget, compare=False)

    @cached_property
    def named(self) -> list[str]:
        """The individuals, in a fixed order."""
        return sorted(self.mentioned.union(*(individuals(premise) for premise in self.premises)))

    @cached_property
    def _rules(self) -> list[Rule]:
        return ground_rules(self.premises, [*self.named, FRESH], self.budget)

    @cached_property
    def _derived(self) -> set[Literal]:
        return closure(self._rules)

    @cached_property
    def _refutes_itself(self) -> bool:
        return _contradictory(self._derived)

    @cached_property
    def _clauses(self) -> Clauses:
        domain = [*self.named, FRESH]
        said = (one for premise in self.premises for one in ground(premise, domain))
        return Clauses(said, self.budget)

    @cached_property
    def _consistent(self) -> bool:
        return self._clauses.satisfiable()

    @cached_property
    def _closed(self) -> set[Atom]:
        return closed_model(ground_rules(self.premises, self.named, self.budget), self.budget)

    def by_rules(self, conclusion: Formula) -> Answer:
        """The open-world answer by forward chaining with strong negation, as ProofWriter's gold has it."""
        if self._refutes_itself:
            raise ContradictionError("the premises contradict each other")
        if not is_universal(conclusion):
            return _answer(self._value(conclusion))
        if self._value(instance(conclusion, FRESH)):
            return "True"
        return (
            "False" if any(self._value(one) is False for one in ground(conclusion, self.named)) else "Unknown"
        )

    def classically(self, conclusion: Formula) -> Answer:
        """The open-world answer of classical logic (contraposition, cases and all)."""
        if not self._consistent:
            raise ContradictionError("the premises contradict each other")
        if not self._possible([negate(instance(conclusion, FRESH))]):
            return "True"
        return "Unknown" if self._possible(ground(conclusion, [*self.named, FRESH])) else "False"

    def closed(self, conclusion: Formula) -> Answer:
        """The answer where whatever is not derived is false and nobody else exists: never Unknown."""
        return _answer(all(_holds(one, self._closed) for one in ground(conclusion, self.named)))

    def _possible(self, formulas: Iterable[Formula]) -> bool:
        clauses = self._clauses.copy()
        for formula in formulas:
            clauses.add(formula)
        return clauses.satisfiable()

    def _value(self, formula: Formula) -> bool | None:
        """Kleene's three values over what is derived; an implication also holds if it can be derived."""
        match formula:
            case Atom():
                return (
                    True if (formula, True) in self._derived else _false_if((formula, False) in self._derived)
                )
            case Not(body):
                return _not(self._value(body))
            case And(parts):
                return _all([self._value(part) for part in parts])
            case Or(parts):
                return _not(_all([_not(self._value(part)) for part in parts]))
            case Iff(left, right):
                return _all([self._value(Implies(left, right)), self._value(Implies(right, left))])
            case Implies(left, right):
                if self._derivable(left, right):
                    return True
                return _not(_all([self._value(left), _not(self._value(right))]))

    def _derivable(self, condition: Formula, conclusion: Formula) -> bool:
        """Whether taking the condition for granted lets the conclusion (literals) be derived."""
        try:
            wanted = rules_of(Implies(condition, conclusion))
        except NotRulesError:
            return False
        for rule in wanted:
            self.budget.spend(len(self._rules))
            derived = closure(self._rules, rule.body)
            if rule.head not in derived and not _contradictory(derived):
                return False
        return True


def _answer(value: bool | None) -> Answer:
    return "Unknown" if value is None else "True" if value else "False"


def _false_if(refuted: bool) -> bool | None:
    return False if refuted else None


def _not(value: bool | None) -> bool | None:
    return None if value is None else not value


def _all(values: list[bool | None]) -> bool | None:
    if False in values:
        return False
    return None if None in values else True


def _contradictory(derived: set[Literal]) -> bool:
    return any(sign and (atom, False) in derived for atom, sign in derived)


def _holds(formula: Formula, model: set[Atom]) -> bool:
    match formula:
        case Atom():
            return formula in model
        case Not(body):
            return not _holds(body, model)
        case And(parts):
            return all(_holds(part, model) for part in parts)
        case Or(parts):
            return any(_holds(part, model) for part in parts)
        case Implies(left, right):
            return not _holds(left, model) or _holds(right, model)
        case Iff(left, right):
            return _holds(left, model) == _holds(right, model)
