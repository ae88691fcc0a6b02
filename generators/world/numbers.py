"""Exact numbers and expressions: parsing, evaluation, printing.

A number is an `int` where it is integral and a `Fraction` otherwise. An expression is a leaf or a
tuple `(operator, left, right)`; a leaf is a quantity id in a derivation, a number in a step.
"""

import re
from collections.abc import Callable
from fractions import Fraction
from functools import lru_cache
from typing import Any

Number = int | Fraction
Expr = Any  # a leaf, or (operator, Expr, Expr); recursive, so not spelled out

LONGEST_EXPRESSION = 200
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:/[1-9][0-9]*)?")
_WORD = re.compile(r"(\(*)([^()]+)(\)*)")
_RANK = {"+": 1, "-": 1, "*": 2, "/": 2, "//": 2}


def tidy(value: Number) -> Number:
    """`value` as an int where it is integral."""
    return value.numerator if value.denominator == 1 else value


def format_number(value: Number) -> str:
    """An integer, else a terminating decimal of at most 2 digits, else `a/b`."""
    if value.denominator == 1:
        return str(value.numerator)
    cents = value * 100
    if cents.denominator != 1:
        return f"{value.numerator}/{value.denominator}"
    sign, (whole, rest) = "-" * (value < 0), divmod(abs(cents.numerator), 100)
    return f"{sign}{whole}.{rest:02d}".rstrip("0")


@lru_cache(maxsize=1 << 14)
def parse_number(text: str) -> Number | None:
    """The number that `text` spells (`12`, `12.0`, `24/2`), or None."""
    if len(text) > 20 or not _NUMBER.fullmatch(text):
        return None
    top, _, bottom = text.partition("/")
    return tidy(Fraction(top) / int(bottom or 1))


def apply(operator: str, left: Number, right: Number) -> Number:
    """One exact operation (`//` is the whole part). Raises: ZeroDivisionError."""
    if operator == "+":
        result = left + right
    elif operator == "-":
        result = left - right
    elif operator == "*":
        result = left * right
    elif operator == "//":
        return left // right
    else:
        result = Fraction(left) / right
    return result if type(result) is int else tidy(result)


def evaluate(expr: Expr, values: dict[str, Number] | None = None) -> Number:
    """The exact value; leaves are looked up in `values` if given. Raises: ZeroDivisionError."""
    if type(expr) is not tuple:
        return expr if values is None else values[expr]
    return apply(expr[0], evaluate(expr[1], values), evaluate(expr[2], values))


def leaves(expr: Expr) -> list[Any]:
    """The leaves from left to right."""
    if type(expr) is not tuple:
        return [expr]
    return leaves(expr[1]) + leaves(expr[2])


def substitute(expr: Expr, swaps: dict[Any, Expr]) -> Expr:
    """`expr` with every leaf that is a key of `swaps` replaced."""
    if type(expr) is not tuple:
        return swaps.get(expr, expr)
    return (expr[0], substitute(expr[1], swaps), substitute(expr[2], swaps))


def has_floor(expr: Expr) -> bool:
    """Whether the language of steps cannot state `expr` (it has no sign for a whole part)."""
    return type(expr) is tuple and (expr[0] == "//" or has_floor(expr[1]) or has_floor(expr[2]))


def render(expr: Expr, spell: Callable[[Any], str] = format_number) -> str:
    """The text of `expr`, with the fewest parentheses that keep its value."""
    if type(expr) is not tuple:
        return spell(expr)
    operator, left, right = expr
    rank = _RANK[operator]
    left_text, right_text = render(left, spell), render(right, spell)
    if type(left) is tuple and _RANK[left[0]] < rank:
        left_text = f"({left_text})"
    if type(right) is tuple and _RANK[right[0]] < rank + (operator in "-/"):
        right_text = f"({right_text})"
    return f"{left_text} {operator} {right_text}"


def parse_expression(text: str) -> Expr | None:
    """The tree of numbers that `text` spells, or None. One space stands around each operator."""
    if len(text) > LONGEST_EXPRESSION:
        return None
    try:
        return _parse(text, _number_leaf)
    except ValueError:
        return None


@lru_cache(maxsize=1 << 14)
def parse_derivation(text: str) -> Expr:
    """The tree of quantity ids that `text` spells. Raises: ValueError."""
    return _parse(text, str)


def _number_leaf(word: str) -> Number:
    number = parse_number(word)
    if number is None:
        raise ValueError(word)
    return number


def _parse(text: str, leaf: Callable[[str], Any]) -> Expr:
    tokens = _tokens(text)
    tree = _sum(tokens, leaf)
    if tokens:
        raise ValueError(text)
    return tree


def _tokens(text: str) -> list[str]:
    """The tokens, last first, so that the parser pops them."""
    tokens: list[str] = []
    for position, word in enumerate(text.split(" ")):
        if position % 2:
            tokens.append(word)
            continue
        match = _WORD.fullmatch(word)
        if not match:
            raise ValueError(text)
        tokens += [*match[1], match[2], *match[3]]
    return tokens[::-1]


def _sum(tokens: list[str], leaf: Callable[[str], Any]) -> Expr:
    tree = _product(tokens, leaf)
    while tokens and tokens[-1] in ("+", "-"):
        tree = (tokens.pop(), tree, _product(tokens, leaf))
    return tree


def _product(tokens: list[str], leaf: Callable[[str], Any]) -> Expr:
    tree = _atom(tokens, leaf)
    while tokens and tokens[-1] in ("*", "/", "//"):
        operator = tokens.pop()
        if operator == "//" and leaf is not str:
            raise ValueError("a step cannot state a whole part")
        tree = (operator, tree, _atom(tokens, leaf))
    return tree


def _atom(tokens: list[str], leaf: Callable[[str], Any]) -> Expr:
    if not tokens:
        raise ValueError("an operand is missing")
    token = tokens.pop()
    if token != "(":
        return leaf(token)
    tree = _sum(tokens, leaf)
    if not tokens or tokens.pop() != ")":
        raise ValueError("a parenthesis is not closed")
    return tree
