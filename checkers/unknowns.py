"""Equations in unknowns: does a rearranged one say the same as those it came from?

Both sides are computed with three values for each unknown, which shows whether they are equal for all
(`(x - 8) + 40 = x + 32`), for none (`... = x + 30`, a mistake whatever x is), or for one, the solution.
A step that derives an equation must keep the solution of an earlier one: `2x + 18 = 98`, then `2x = 80`.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from checkers.values import Value, show
from checkers.verdict import Verdict, correct, incorrect, undecided

_PROBES = (Fraction(101), Fraction(103), Fraction(107))  # no small factors, so that nothing cancels by chance
_OPERATOR = re.compile(r"[^ ] ?[-+*×⋅]|\\(?:cdot|times)")
_NEAR = Fraction(1, 50)  # relative difference that rounding may explain


def probes(letters: Sequence[str]) -> list[dict[str, Value]]:
    """Three points at which to compute the sides of an equation in `letters`."""
    return [
        {letter: Value(probe * (11 * place + 1) + place * place) for place, letter in enumerate(letters)}
        for probe in _PROBES
    ]


@dataclass(frozen=True, slots=True)
class Constraint:
    """`left = right` in the unknowns `name` (`x`, or `x, y`), each side as its values at the probes."""

    name: str
    text: str
    left: tuple[Value, ...]
    right: tuple[Value, ...]

    @property
    def gaps(self) -> tuple[Fraction, ...]:
        """left - right at the probes."""
        return tuple(one.exact - other.exact for one, other in zip(self.left, self.right))

    @property
    def sides(self) -> tuple[tuple[Value, ...], tuple[Value, ...]]:
        """Both sides."""
        return self.left, self.right

    @property
    def rounded(self) -> bool:
        """Whether its numbers may be rounded, so that it holds only about."""
        return any(value.error or value.slack for value in (*self.left, *self.right))

    @property
    def bare(self) -> bool:
        """Whether it only gives the unknown a value, as in `(Z = 28)`: there is nothing to solve."""
        return tuple(value.exact for value in self.left) == _PROBES

    @property
    def linear(self) -> bool:
        """Whether the difference of its sides is linear in the unknown: not in `x^2 = 9`."""
        return _line(self.gaps) is not None

    def solution(self) -> Fraction | None:
        """The one value of the unknown, if there is one unknown and the equation is linear and has one."""
        if "," in self.name:
            return None
        line = _line(self.gaps)
        return -line[1] / line[0] if line and line[0] else None


def check_constraint(
    constraint: Constraint, earlier: Sequence[Fraction], derived: bool, solved: bool
) -> Verdict | None:
    """The verdict on an equation in an unknown; None on one that only is to be solved.

    `earlier`: the values before it of the same unknown; `solved`: some of them solve an equation before
    it; `derived`: the step says that it follows from one.
    """
    text, solution = constraint.text, constraint.solution()
    if all(abs(gap) <= one.slack + two.slack for gap, one, two in zip(constraint.gaps, *constraint.sides)):
        return correct(f"{text}, whatever {constraint.name} is", (text, text))
    if wrong := _wrong_identity(constraint, derived):
        compared = (_shown(constraint.right, constraint.name), wrong)
        if constraint.rounded or any(value.unclear for value in (*constraint.left, *constraint.right)):
            return undecided(f"{text}: perhaps rounded", compared)
        return incorrect(f"{text}: {wrong} is right", compared)
    if solution is None or not earlier:
        return None
    return check_solution(constraint.name, solution, text, earlier, derived and solved, constraint.rounded)


def check_solution(
    name: str,
    solution: Fraction,
    text: str,
    earlier: Sequence[Fraction],
    derived: bool,
    rounded: bool = False,
) -> Verdict:
    """Whether a solution is that of an equation before it: `x = 40` after `2x = 80`.

    `earlier`: the values of `name` before it; `derived`: the step says that it solves for them. A whole
    number less than one away is undecided, because it may have been rounded.
    """
    compared = (f"{name} = {show(Value(solution))}", f"{name} = {show(Value(earlier[-1]))}")
    if any(_close(solution, other, rounded) for other in earlier):
        return correct(f"{text}: {compared[0]}, as before", compared)
    whole = solution.denominator == 1 and all(other.denominator == 1 for other in earlier)
    if not derived or (not whole and any(_close(solution, other, True) for other in earlier)):
        return undecided(f"{text}: perhaps a new equation", compared)
    if solution.denominator == 1 and any(abs(solution - other) < 1 for other in earlier):
        return undecided(f"{text}: rounded to a whole number", compared)
    return incorrect(f"{text}: {compared[0]}, where the equation before gives {compared[1]}", compared)


def _close(one: Fraction, other: Fraction, rounded: bool) -> bool:
    return abs(one - other) <= (_NEAR * abs(other) if rounded else 0)


def _wrong_identity(constraint: Constraint, derived: bool) -> str:
    """The right form of the left side, where the sides differ whatever the unknown is; else ''.

    `3x + 4x = 8x` holds for zero alone, so it is wrong as well where a step simplifies.
    """
    gaps = constraint.gaps
    if gaps[0] == gaps[1] == gaps[2]:
        return _shown(constraint.left, constraint.name)
    left, right = (_line([value.exact for value in side]) for side in (constraint.left, constraint.right))
    if not derived or "," in constraint.name or not left or not right:
        return ""
    simplified = _OPERATOR.search(constraint.text.partition("=")[0])  # `Solve 2x = 3x` does not
    proportional = left[1] == right[1] == 0 and left[0] != 0 != right[0]
    return _shown(constraint.left, constraint.name) if proportional and simplified else ""


def _line(values: Sequence[Fraction]) -> tuple[Fraction, Fraction] | None:
    """(slope, intercept) of the line through the probes; None when it is none."""
    (p, q, r), (a, b, c) = _PROBES, values
    slope = (b - a) / (q - p)
    return (slope, a - slope * p) if c - a == slope * (r - p) else None


def _shown(values: Sequence[Value], name: str) -> str:
    line = _line([value.exact for value in values])
    if line is None or "," in name:
        return "another expression"
    slope, intercept = line
    if slope == 0:
        return show(Value(intercept))
    term = name if slope == 1 else f"-{name}" if slope == -1 else f"{show(Value(slope))}{name}"
    if intercept == 0:
        return term
    return f"{term} {'+' if intercept > 0 else '-'} {show(Value(abs(intercept)))}"
