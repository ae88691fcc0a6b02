"""Satisfiability of ground formulas: clauses as in Plaisted and Greenbaum, solved by sympy's SAT solver.

Clauses are written directly: sympy's own conversion to conjunctive normal form can take exponential time.
Reference: D. Plaisted, S. Greenbaum, J. Symbolic Computation 2(3), 1986.
"""

from collections.abc import Iterable

from checkers.logic.budget import GROUNDING, Budget
from checkers.logic.formulas import And, Atom, Formula, Iff, Implies, Not, Or

Clause = frozenset[int]


class Clauses:
    """Formulas that all hold, as clauses of signed numbers; an inner formula has one for each sign."""

    def __init__(self, formulas: Iterable[Formula] = (), budget: Budget | None = None) -> None:
        self._budget = budget or Budget()
        self.clauses: list[Clause] = []
        self._numbers: dict[Atom, int] = {}
        self._names: dict[tuple[Formula, bool], int] = {}
        self._count = self._size = 0
        for formula in formulas:
            self.add(formula)

    def copy(self) -> "Clauses":
        """One to add to, apart from this one."""
        other = Clauses(budget=self._budget)
        other.clauses, other._numbers = self.clauses.copy(), self._numbers.copy()
        other._names, other._count, other._size = self._names.copy(), self._count, self._size
        return other

    def add(self, formula: Formula, sign: bool = True) -> None:
        """State that `formula` is true (or, with sign=False, false). Raises: TooLargeError."""
        if isinstance(formula, Not):
            return self.add(formula.body, not sign)
        kind, parts = _signed(formula, sign)
        if kind == "all":
            for part, part_sign in parts:
                self.add(part, part_sign)
            return None
        return self._clause(self._literal(part, part_sign) for part, part_sign in parts)

    def _clause(self, literals: Iterable[int]) -> None:
        clause = frozenset(literals)
        if not any(-number in clause for number in clause):  # else it says nothing
            self.clauses.append(clause)
            self._size += len(clause)
        self._budget.spend(GROUNDING * len(clause))

    def _literal(self, formula: Formula, sign: bool) -> int:
        """A number that can be true only if `formula` has that sign."""
        while isinstance(formula, Not):
            formula, sign = formula.body, not sign
        if isinstance(formula, Atom):
            number = self._numbers.get(formula) or self._next()
            self._numbers[formula] = number
            return number if sign else -number
        key = (formula, sign)
        if key not in self._names:
            self._names[key] = self._next()
            self._define(self._names[key], formula, sign)
        return self._names[key]

    def _define(self, name: int, formula: Formula, sign: bool) -> None:
        kind, parts = _signed(formula, sign)
        literals = [self._literal(part, part_sign) for part, part_sign in parts]
        if kind == "all":
            for number in literals:
                self._clause((-name, number))
        else:
            self._clause((-name, *literals))

    def _next(self) -> int:
        self._count += 1
        return self._count

    def satisfiable(self) -> bool:
        """Whether all can hold together. Raises: TooLargeError when that is too much work to find out."""
        self._budget.spend(2 * (self._size + self._count))
        if not self.clauses:
            return True
        from checkers.logic.solver import BoundedSolver

        numbers = range(1, self._count + 1)
        solver = BoundedSolver(self.clauses, set(numbers), set(), list(numbers))
        solver.budget = self._budget
        return next(solver._find_model(), None) is not None


def _signed(formula: Formula, sign: bool) -> tuple[str, list[tuple[Formula, bool]]]:
    """`formula` (or its negation) as all, or any, of signed parts."""
    match formula:
        case And(parts):
            return ("all" if sign else "any"), [(part, sign) for part in parts]
        case Or(parts):
            return ("any" if sign else "all"), [(part, sign) for part in parts]
        case Implies(left, right):
            return ("any" if sign else "all"), [(left, not sign), (right, sign)]
        case Iff(left, right):
            one = Implies(left, right) if sign else Or((left, right))
            other = Implies(right, left) if sign else Or((Not(left), Not(right)))
            return "all", [(one, True), (other, True)]
        case _:
            return "any", [(formula, sign)]
