"""The value of a formula at a point: an exact fraction where it has one, else a complex number of 60 digits.

Two formulas that differ at a point are different; two that agree to 40 digits at several points of no
special value are taken for equal. Work is bounded: what would be large is refused.
"""

import math
import operator
import random
import threading
from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from typing import Any

import mpmath

from checkers.formula import Name, Node, NotAFormulaError, Tree

Number = Any  # a Fraction, or a number of mpmath
_DIGITS = 60
_MOST_BITS = 4096
_LARGEST = 10**6  # of an argument of a function
_LARGEST_FACTORIAL = 170
POSITIVE = 3  # points where all variables are positive
_EQUAL, _DIFFERENT = mpmath.mpf(10) ** -40, mpmath.mpf(10) ** -35  # relative differences
_PER_THREAD = threading.local()


class UnknownValueError(ValueError):
    """The formula has no value there, or one that takes too much work."""


def _context() -> Any:
    """The numbers of this thread: mpmath changes the precision of a context while it computes."""
    if not hasattr(_PER_THREAD, "numbers"):
        _PER_THREAD.numbers = mpmath.ctx_mp.MPContext()
        _PER_THREAD.numbers.dps = _DIGITS
    return _PER_THREAD.numbers


def names(tree: Tree) -> set[str]:
    """The variables of a formula."""
    if isinstance(tree, Name):
        return set() if tree.text in ("\\pi", "e", "i") else {tree.text}
    return set().union(*map(names, tree.parts)) if isinstance(tree, Node) else set()


def points(variables: Iterable[str]) -> list[Mapping[str, Fraction]]:
    """Values for the variables: three points where all are positive, then two where some are not."""
    found: list[Mapping[str, Fraction]] = []
    for index in range(POSITIVE + 2):
        generator = random.Random(index)
        signs = (1,) if index < POSITIVE else (-1, -1, 1)
        found.append(
            {
                name: Fraction(generator.randrange(1009, 9973), 2003) * signs[place % len(signs)]
                for place, name in enumerate(sorted(variables))
            }
        )
    return found


def equal(one: Tree, other: Tree) -> bool | None:
    """Whether two formulas are equal for all values of their variables; None when that is not clear."""
    if one == other:
        return True
    variables = names(one) | names(other)
    if "\\infty" in variables:
        return _infinite(one) == _infinite(other) if _infinite(one) or _infinite(other) else None
    for index, point in enumerate(points(variables) if variables else [{}]):
        try:
            same = same_number(evaluate(one, point), evaluate(other, point))
        except UnknownValueError:
            return None
        if same is None or (not same and index >= POSITIVE):
            return None  # equal where all is positive, and not elsewhere
        if not same:
            return False
    return True


def _infinite(tree: Tree) -> int:
    """1 and -1 for the two infinities, 0 for all else."""
    if isinstance(tree, Node) and tree.operation == "neg":
        return -_infinite(tree.parts[0])
    return int(isinstance(tree, Name) and tree.text == "\\infty")


def same_number(one: Number, other: Number) -> bool | None:
    """Whether two values are one; None where they are too near to tell."""
    if isinstance(one, Fraction) and isinstance(other, Fraction):
        return one == other
    left, right = _inexact(one), _inexact(other)
    gap = abs(left - right)
    scale = max(abs(left), abs(right))
    if gap <= _EQUAL * max(scale, 1):
        return True
    return False if gap > _DIFFERENT * scale else None


INFINITY = Fraction(10**60)  # stands for it as an end of an interval


def compare(one: Number, other: Number) -> int:
    """-1, 0 or 1, as `one` is below, at or above `other`. Raises: UnknownValueError for complex ones."""
    for value in (one, other):
        if not isinstance(value, Fraction) and _context().im(value) != 0:
            raise UnknownValueError("no order among complex numbers")
    if same_number(one, other):
        return 0
    left, right = _pair(one, other)
    return 1 if _inexact(left - right).real > 0 else -1


def real_value(tree: Tree) -> Fraction | None:
    """The value of a formula without variables, to 40 digits; None where it has none that is real."""
    try:
        value = _inexact(evaluate(tree, {}))
    except UnknownValueError:
        return None
    numbers = _context()
    if numbers.im(value) != 0 or abs(value) > 10**20:
        return None
    return Fraction(int(numbers.floor(numbers.re(value) * 10**40)), 10**40)


def evaluate(tree: Tree, point: Mapping[str, Fraction]) -> Number:
    """The value of a formula where its variables have those values. Raises: UnknownValueError."""
    if isinstance(tree, Fraction):
        return tree
    if isinstance(tree, Name):
        return _name(tree.text, point)
    if tree.operation in _TRIGONOMETRIC:
        angle = evaluate(in_radians(tree.parts[0]), point)
        return _call(tree.operation, [angle])
    values = [evaluate(part, point) for part in tree.parts]
    try:
        return _OPERATIONS[tree.operation](*values)
    except KeyError:
        return _call(tree.operation, values)
    except ZeroDivisionError:
        raise UnknownValueError("a division by zero") from None


def in_radians(tree: Tree) -> Tree:
    """The angle 80° is 80 π / 180; outside of functions, ° is but a unit."""
    if isinstance(tree, Node):
        parts = tuple(map(in_radians, tree.parts))
        if tree.operation == "°":
            return Node("*", (parts[0], Node("/", (Name("\\pi"), Fraction(180)))))
        return Node(tree.operation, parts)
    return tree


def _name(text: str, point: Mapping[str, Fraction]) -> Number:
    if text in point:
        return point[text]
    numbers = _context()
    if text == "\\pi":
        return +numbers.pi
    if text == "e":
        return +numbers.e
    if text == "i":
        return numbers.mpc(0, 1)
    raise UnknownValueError(f"no value for {text}")


def _inexact(value: Number) -> Number:
    if isinstance(value, Fraction):
        return _context().mpf(value.numerator) / value.denominator
    return value


def _bounded(value: Number) -> Number:
    if isinstance(value, Fraction):
        bits = value.numerator.bit_length() + value.denominator.bit_length()
        return value if bits <= _MOST_BITS else _inexact(value)
    if not _context().isfinite(value):
        raise UnknownValueError("not finite")
    return value


def _pair(one: Number, other: Number) -> tuple[Number, Number]:
    exact = isinstance(one, Fraction) and isinstance(other, Fraction)
    return (one, other) if exact else (_inexact(one), _inexact(other))


def _add(one: Number, other: Number) -> Number:
    left, right = _pair(one, other)
    return _bounded(left + right)


def _multiply(one: Number, other: Number) -> Number:
    left, right = _pair(one, other)
    return _bounded(left * right)


def _divide(one: Number, other: Number) -> Number:
    left, right = _pair(one, other)
    return _bounded(left / right)


def _power(base: Number, exponent: Number) -> Number:
    if isinstance(base, Fraction) and isinstance(exponent, Fraction) and exponent.denominator == 1:
        bits = max(base.numerator.bit_length(), base.denominator.bit_length())
        if base == 0 and exponent <= 0:
            raise UnknownValueError("a power of zero")
        if bits * abs(exponent) <= _MOST_BITS:
            return base ** int(exponent)
    left, right = _inexact(base), _inexact(exponent)
    negative = isinstance(base, Fraction) and base < 0
    if negative and isinstance(exponent, Fraction) and exponent.denominator % 2:
        raise UnknownValueError("a root of a negative number, real or complex")
    if abs(right) > _LARGEST or abs(left) > 10**30 or (left == 0 and _context().re(right) <= 0):
        raise UnknownValueError("a power too large, or of zero")
    if left != 0 and abs(_context().re(right * _context().ln(left))) > 10**4:
        raise UnknownValueError("a power too large")
    return _bounded(left**right)


def _root(inside: Number, degree: Number) -> Number:
    if not isinstance(degree, Fraction) or degree.denominator != 1 or not 2 <= degree <= 100:
        raise UnknownValueError("a root of an unusual degree")
    value = _inexact(inside)
    if degree % 2 and _context().im(value) == 0 and _context().re(value) < 0:
        return -_context().root(-value, int(degree))  # the real cube root, as people mean it
    return _context().root(value, int(degree))


def _factorial(value: Number) -> Number:
    if not isinstance(value, Fraction) or value.denominator != 1 or not 0 <= value <= _LARGEST_FACTORIAL:
        raise UnknownValueError("a factorial of no small integer")
    return _bounded(Fraction(math.factorial(int(value))))


def _binomial(top: Number, bottom: Number) -> Number:
    for value in (top, bottom):
        if not isinstance(value, Fraction) or value.denominator != 1 or not 0 <= value <= 1000:
            raise UnknownValueError("a binomial of no small integers")
    result = Fraction(1)
    for index in range(int(min(bottom, top - bottom)) if bottom <= top else 0):
        result = result * (top - index) / (index + 1)
    return _bounded(result if bottom <= top else Fraction(0))


def _logarithm(value: Number, base: Number) -> Number:
    numbers = _context()
    if value == 0 or base in (0, 1):
        raise UnknownValueError("a logarithm of zero")
    return numbers.ln(_inexact(value)) / numbers.ln(_inexact(base))


_OPERATIONS: dict[str, Callable[..., Number]] = {
    "+": _add, "-": lambda one, other: _add(one, -other), "*": _multiply, "/": _divide, "^": _power,
    "neg": operator.neg, "abs": abs, "!": _factorial, "root": _root,
    "log": _logarithm, "binom": _binomial, "°": lambda value: value,
}  # fmt: skip
_TRIGONOMETRIC = frozenset(["sin", "cos", "tan", "cot", "sec", "csc"])
_CALLS = {"arcsin": "asin", "arccos": "acos", "arctan": "atan"}


def _call(name: str, values: list[Number]) -> Number:
    numbers = _context()
    argument = _inexact(values[0])
    if abs(argument) > _LARGEST:
        raise UnknownValueError("a function of a large number")
    try:
        return _bounded(getattr(numbers, _CALLS.get(name, name))(argument))
    except (ValueError, ZeroDivisionError, AttributeError) as error:
        raise UnknownValueError(f"{name} has no value there") from error


__all__ = ["NotAFormulaError", "UnknownValueError", "equal", "evaluate", "names", "points", "same_number"]
