r"""The shapes of answers: one value, a tuple, an interval, a set or list, a matrix, an equation, a union.

    read_form(r"\{1, 2\}").kind          list: a set of solutions has no order
    read_form(r"x < 2 or x \ge 3").kind   union, of two intervals

What could be read as two shapes is refused. Bounded work.
"""

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from checkers.formula import Name, Node, NotAFormulaError, Tree, parse_tokens, tokenise
from checkers.numbers import read_number
from checkers.numeric import names

Kind = Literal["value", "tuple", "list", "matrix", "equation", "inequality", "union", "based"]
_MOST_ITEMS, _MOST_UNORDERED = 40, 16  # each of which may be compared with each
_MATRIX = re.compile(r"\\begin\{([pb]?)matrix\}(.*)\\end\{\1matrix\}", re.DOTALL)
_BASED = re.compile(r"\(?([0-9][0-9A-Za-z]*|[0-9A-Fa-f]{2,}(?=\)?_\{?16))\)?_\{?([0-9]{1,2})\}?")
_SEPARATED = re.compile(r" ?(?:,|;|\\text ?\{ ?(?:and|or) ?\}|\b(?:and|or)\b) ?(?:(?:and|or)\b)?")
_THOUSANDS = re.compile(r"(?<![0-9])(?!0)[0-9]{1,3},[0-9]{3}(?![0-9])")
_RELATION = re.compile(r"[<>≤≥]|\\(?:le|ge|leq|geq|lt|gt|leqslant|geqslant)(?![a-z])")
_OR = re.compile(r"\\text ?\{ ?or ?\}|\bor\b")
_OPEN, _CLOSE = "([{", ")]}"


@dataclass(frozen=True, slots=True)
class Form:
    """A shape and what it holds; `marks` tells two of one shape apart (the brackets, the columns)."""

    kind: Kind
    items: tuple["Form", ...] = ()
    value: Tree = Fraction(0)
    marks: str = ""


def is_form(text: str) -> bool:
    """Whether an answer is one of the shapes."""
    try:
        read_form(text)
    except NotAFormulaError:
        return False
    return True


def read_form(text: str) -> Form:
    """The shape of an answer. Raises: NotAFormulaError."""
    text = text.strip().replace("\\langle", "(").replace("\\rangle", ")")
    if matrix := _MATRIX.fullmatch(text):
        return _matrix(matrix[2])
    if based := _BASED.fullmatch(text):
        return _based(based[1], int(based[2]))
    if (number := read_number(text)) and not (number.percent or number.unit or number.name):
        angle = "°" in text or "\\circ" in text
        return Form("value", value=Node("°", (number.value,)) if angle else number.value)
    if _RELATION.search(text):
        return _union([_inequality(tokenise(part)) for part in _OR.split(text)])
    text = _without_membership(text)
    if "\\cup" in text:
        return _union([_interval(tokenise(part)) for part in text.split("\\cup")])
    if text[:2] == "\\{" and text[-2:] == "\\}":
        return _list(_listed(text[2:-2]))
    items = _listed(text)
    tokens = items[0]
    if len(items) == 1 and _enclosed(tokens) and len(_split(tokens[1:-1], ",")) == 2:
        return _interval(tokens)
    return _list(items)


def _listed(text: str) -> list[list[str]]:
    """The tokens of each item of a list, or of the one value. Raises: NotAFormulaError."""
    if "," in text and _THOUSANDS.search(text):
        raise NotAFormulaError("separators, or several numbers")
    return _split(tokenise(_SEPARATED.sub(",", text)), ",")


def _without_membership(text: str) -> str:
    """`x \\in [1, 2]` is `[1, 2]`; `(x, y) = (1, 2)` is `(1, 2)`."""
    text = re.sub(r"^[A-Za-z] ?(?:\\in|∈) ?", "", text)
    return re.sub(r"^\([a-z](?:, ?[a-z]){1,3}\) ?= ?(?=\()", "", text)


def _split(tokens: list[str], separator: str) -> list[list[str]]:
    """`tokens` cut at the separators outside of all brackets. Raises: NotAFormulaError."""
    parts: list[list[str]] = [[]]
    depth = 0
    for token in tokens:
        depth += (token in _OPEN or token == "\\{") - (token in _CLOSE or token == "\\}")
        if token == separator and depth == 0:
            parts.append([])
        else:
            parts[-1].append(token)
    if len(parts) > _MOST_ITEMS or depth:
        raise NotAFormulaError("too many items, or brackets that do not match")
    return parts


def _one(tokens: list[str]) -> Form:
    """One value or equation, or a tuple within a list."""
    sides = _split(tokens, "=")
    if len(sides) == 2:
        left, right = map(parse_tokens, sides)
        if isinstance(left, Name) and left.text not in names(right):
            return Form("value", value=right, marks=left.text)  # `x = 5` is 5
        if isinstance(right, Name) and not names(left):
            return Form("value", value=left, marks=right.text)  # as is `5 = x`
        return Form("equation", value=Node("-", (left, right)))
    if len(sides) > 2 or not tokens:
        raise NotAFormulaError("several equations, or nothing")
    if _enclosed(tokens) and tokens[-1] == ")" and len(inside := _split(tokens[1:-1], ",")) > 1:
        return Form("tuple", tuple(map(_one, inside)), marks="()")
    return Form("value", value=parse_tokens(tokens))


def _enclosed(tokens: list[str]) -> bool:
    """Whether one pair of brackets, ( or [, holds all the tokens: not in `(1 + i)^2`, `(1)(2)`."""
    if not tokens or tokens[0] not in ("(", "["):
        return False
    depth = 0
    for index, token in enumerate(tokens):
        depth += (token in _OPEN) - (token in _CLOSE)
        if depth == 0:
            return index == len(tokens) - 1
    return False


def _list(items: list[list[str]]) -> Form:
    """A list, ± written out; a single item is itself."""
    found: list[Form] = []
    for item in map(_one, items):
        found += [Form("value", value=tree, marks=item.marks) for tree in _expanded(item.value)] \
            if item.kind == "value" else [item]  # fmt: skip
    if len(found) > _MOST_UNORDERED:
        raise NotAFormulaError("a list too long to compare without order")
    return found[0] if len(found) == 1 else Form("list", tuple(found))


def _expanded(tree: Tree) -> list[Tree]:
    """The two trees that one ± stands for; [tree] without one. Raises: NotAFormulaError for several."""
    count = _count(tree)
    if count > 1:
        raise NotAFormulaError("several ±")
    return [_signed(tree, "+"), _signed(tree, "-")] if count else [tree]


def _count(tree: Tree) -> int:
    return (tree.operation == "±") + sum(map(_count, tree.parts)) if isinstance(tree, Node) else 0


def _signed(tree: Tree, sign: str) -> Tree:
    if not isinstance(tree, Node):
        return tree
    return Node(
        sign if tree.operation == "±" else tree.operation, tuple(_signed(part, sign) for part in tree.parts)
    )


def _matrix(body: str) -> Form:
    rows = [row.strip() for row in body.split("\\\\")]
    cells = [[_one(part) for part in _split(tokenise(row), "&")] for row in rows if row]
    columns = len(cells[0]) if cells else 0
    if not columns or any(len(row) != columns for row in cells) or len(cells) * columns > _MOST_ITEMS:
        raise NotAFormulaError("a matrix of uneven rows, or too large")
    return Form("matrix", tuple(cell for row in cells for cell in row), marks=str(columns))


def _based(digits: str, base: int) -> Form:
    if not 2 <= base <= 36:
        raise NotAFormulaError("a subscript that is no base")
    try:
        return Form(
            "based", value=Fraction(int(digits, base)), marks=f"{digits.lower().lstrip('0') or '0'}_{base}"
        )
    except ValueError:
        raise NotAFormulaError("digits that the base does not have") from None


def _interval(tokens: list[str]) -> Form:
    """`(1, 2]`, which may be a pair as well. Raises: NotAFormulaError."""
    inside = _split(tokens[1:-1], ",") if len(tokens) > 2 else []
    if len(inside) != 2 or tokens[0] not in ("(", "[") or tokens[-1] not in (")", "]"):
        raise NotAFormulaError("no interval")
    return Form("tuple", tuple(map(_one, inside)), marks=tokens[0] + tokens[-1])


def _union(parts: list[Form]) -> Form:
    if len(parts) == 1:
        return parts[0]
    if any(part.kind != "tuple" for part in parts):
        raise NotAFormulaError("a union of something else than intervals")
    return Form("union", tuple(parts))


_SIGNS = {"<": "<", ">": ">", "\\le": "<=", "\\ge": ">="}


def _inequality(tokens: list[str]) -> Form:
    """`2 < x \\le 5` and `x > 3` as intervals; `x + y < 3` as an inequality. Raises: NotAFormulaError."""
    signs = [_SIGNS[token] for token in tokens if token in _SIGNS]
    sides: list[list[str]] = [[]]
    for token in tokens:
        if token in _SIGNS:
            sides.append([])
        else:
            sides[-1].append(token)
    if not signs or len({sign[0] for sign in signs}) > 1 or len(sides) > 3 or "," in tokens:
        raise NotAFormulaError("inequalities that are not read")
    trees = [parse_tokens(side) for side in sides]
    if signs[0][0] == ">":
        trees, signs = trees[::-1], signs[::-1]  # now from small to large
    if len(trees) == 2:
        return _bound(trees[0], trees[1], closed=signs[0] in ("<=", ">="))
    low, middle, high = trees
    if not isinstance(middle, Name) or names(low) - {"\\infty"} or names(high) - {"\\infty"}:
        raise NotAFormulaError("no variable between two numbers")
    marks = ("[" if len(signs[0]) > 1 else "(") + ("]" if len(signs[1]) > 1 else ")")
    return Form("tuple", (Form("value", value=low), Form("value", value=high)), middle, marks)


def _bound(small: Tree, large: Tree, closed: bool) -> Form:
    infinity = Name("\\infty")
    ends: tuple[Tree, Tree]
    if isinstance(small, Name) and not names(large):
        ends, name, marks = (Node("neg", (infinity,)), large), small, "(]" if closed else "()"
    elif isinstance(large, Name) and not names(small):
        ends, name, marks = (small, infinity), large, "[)" if closed else "()"
    else:
        return Form("inequality", value=Node("-", (large, small)), marks=">=" if closed else ">")
    return Form("tuple", tuple(Form("value", value=end) for end in ends), name, marks)
