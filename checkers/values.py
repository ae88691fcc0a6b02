"""Values of expressions: exact fractions that remember how they were written, and operations on them."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction

_MOST_BITS = 4096
_LARGEST_EXPONENT = 512
_FLOAT_ERROR = Fraction(1, 10**12)


class NotArithmeticError(ValueError):
    """The tokens are not an expression of plain numbers."""


class TooLargeError(NotArithmeticError):
    """The expression is one, but its value has more digits than we are willing to compute."""


@dataclass(frozen=True, slots=True)
class Value:
    """The value of an expression.

    `error`: how far the true value may be off because operands were written as rounded decimals (half
    a unit of their last digit). `slack`: how far it is off because a root or logarithm has no exact
    fraction. `computed`: an operator was applied. `decimals`: the digits after the point of a lone
    decimal. `units`: the words after it; `kinds`: what its unit symbols measure (`5 m`: m).
    `scientific`: a power of ten, a constant or a function took part, whose factors people round.
    `unclear`: why a mismatch would prove nothing ('' if it would).
    """

    exact: Fraction
    error: Fraction = Fraction(0)
    slack: Fraction = Fraction(0)
    computed: bool = False
    decimals: int | None = None
    percent: bool = False
    units: frozenset[str] = frozenset()
    kinds: frozenset[str] = frozenset()
    scientific: bool = False
    unclear: str = ""


def add(left: Value, right: Value) -> Value:
    """left + right. Raises: NotArithmeticError where letters after numbers differ (`2m + 3`)."""
    if left.kinds != right.kinds:
        raise NotArithmeticError("perhaps variables, not units")
    slack = left.slack + right.slack
    return _combine(left, right, left.exact + right.exact, left.error + right.error, slack)


def subtract(left: Value, right: Value) -> Value:
    """left - right. Raises: as `add`."""
    return add(left, negate(right))


def negate(value: Value) -> Value:
    """-value, which is still a lone number if `value` was one."""
    return replace(value, exact=-value.exact)


def multiply(left: Value, right: Value) -> Value:
    """left * right. The errors grow with the other factor: `3.33 * 3` may be off by 0.015."""
    error = abs(left.exact) * right.error + abs(right.exact) * left.error + left.error * right.error
    slack = abs(left.exact) * right.slack + abs(right.exact) * left.slack
    return _combine(left, right, left.exact * right.exact, error, slack)


def divide(left: Value, right: Value) -> Value:
    """left / right. Raises: NotArithmeticError when `right` may be zero."""
    if abs(right.exact) <= right.error + right.slack:
        raise NotArithmeticError("a division by zero")
    quotient = left.exact / right.exact
    error = (left.error + abs(quotient) * right.error) / (abs(right.exact) - right.error)
    slack = (left.slack + abs(quotient) * right.slack) / abs(right.exact)
    return _combine(left, right, quotient, error, slack)


def raise_to(base: Value, exponent: Value) -> Value:
    """base ^ exponent, exact for a whole one: `(2/3)^2` is 4/9. Raises: TooLargeError, NotArithmeticError."""
    power = exponent.exact
    if exponent.slack or (base.slack and power.denominator == 1 and abs(power) > 64):
        raise NotArithmeticError("a power of what has no exact value")
    if power.denominator != 1:
        return _fractional_power(base, exponent)
    bits = max(base.exact.numerator.bit_length(), base.exact.denominator.bit_length())
    if abs(power) > _LARGEST_EXPONENT or bits * abs(power) > _MOST_BITS:
        raise TooLargeError(f"a power of more than {_MOST_BITS} bits")
    if base.exact == 0 and power <= 0:
        raise NotArithmeticError("a power of zero")
    exact = base.exact ** int(power)
    relative = abs(exact) * abs(power) / max(abs(base.exact) - base.error, base.error, _FLOAT_ERROR)
    return _combine(base, exponent, exact, relative * base.error, relative * base.slack)


def _fractional_power(base: Value, exponent: Value) -> Value:
    if exponent.exact == Fraction(1, 2):
        return square_root(base)
    if base.exact <= 0:
        raise NotArithmeticError("a power that is no integer")
    return apply(lambda number: number ** float(exponent.exact), base)


def square_root(value: Value) -> Value:
    """The root, exact where there is one, as of `9/4`. Raises: NotArithmeticError below zero."""
    top, bottom = value.exact.numerator, value.exact.denominator
    if top < 0:
        raise NotArithmeticError("the square root of a negative number")
    exact = Fraction(math.isqrt(top), math.isqrt(bottom))
    if exact**2 != value.exact:
        return apply(math.sqrt, value)
    return replace(value, exact=exact, computed=True, decimals=None)


def apply(function: Callable[[float], float], value: Value) -> Value:
    """`function` of a value in floating point, with its errors. Raises: NotArithmeticError."""
    try:
        at = float(value.exact)
        result, near = function(at), function(at + float(value.error + value.slack))
    except (ValueError, OverflowError, ZeroDivisionError):
        raise NotArithmeticError("outside the domain of a function") from None
    if not (math.isfinite(result) and math.isfinite(near)):
        raise NotArithmeticError("outside the domain of a function")
    exact = Fraction(result)
    slack = max(abs(exact), Fraction(1)) * _FLOAT_ERROR
    spread = 2 * abs(Fraction(near) - exact)
    return replace(
        value, exact=exact, error=spread if value.error else Fraction(0),
        slack=slack + (0 if value.error else spread), computed=True, decimals=None, scientific=True,
    )  # fmt: skip


def show(value: Value) -> str:
    """An integer, a short decimal, else a fraction; six digits of what has no exact value.

    `12`, `0.25`, `10/3`, `1.41421`.
    """
    exact = value.exact
    if value.slack or exact.denominator > 10**9:
        return f"{float(exact):.6g}"
    if exact.denominator == 1:
        return str(exact.numerator)
    if 10**6 % exact.denominator == 0:
        return f"{float(exact):.6f}".rstrip("0") if abs(exact) < 10**9 else str(exact)
    return f"{exact.numerator}/{exact.denominator}"


def _combine(left: Value, right: Value, exact: Fraction, error: Fraction, slack: Fraction) -> Value:
    if exact.numerator.bit_length() + exact.denominator.bit_length() > _MOST_BITS:
        raise TooLargeError(f"a value of more than {_MOST_BITS} bits")
    return Value(
        exact,
        error,
        slack,
        computed=True,
        units=left.units | right.units,
        kinds=left.kinds | right.kinds,
        scientific=left.scientific or right.scientific,
        unclear=left.unclear or right.unclear,
    )
