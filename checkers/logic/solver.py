"""sympy's SAT solver under a budget. A file of its own: sympy takes half a second to import."""

from sympy.logic.algorithms.dpll2 import SATSolver

from checkers.logic.budget import Budget


class BoundedSolver(SATSolver):
    """sympy's solver, which counts the clauses it looks at and gives up in time."""

    budget: Budget

    def _assign_literal(self, lit: int) -> None:
        self.budget.spend(1 + len(self.sentinels[-lit]))
        super()._assign_literal(lit)
