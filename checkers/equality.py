r"""Whether two answers have the same shape and the same values.

    same_form("(1, \frac{4}{2})", "(1, 2)")   True
    same_form("1, -2", "-2, 1")                True: a list of solutions has no order
    same_form("[1, 2)", "(1, 2)")              False

None wherever the shapes, or their values, leave any doubt: computer algebra decides then. Bounded work.
"""

from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from functools import cmp_to_key
from typing import Any

from checkers.forms import Form, Kind, read_form
from checkers.formula import Name, Node, NotAFormulaError, Tree
from checkers.numbers import Quantity, read_number
from checkers.numeric import (
    INFINITY,
    POSITIVE,
    UnknownValueError,
    compare,
    equal,
    evaluate,
    in_radians,
    names,
    points,
    real_value,
    same_number,
)


def same_form(stated: str, wanted: str) -> bool | None:
    """Whether two answers, tidied, are the same; None when that is not clear."""
    try:
        one, other = read_form(stated), read_form(wanted)
    except NotAFormulaError:
        return None
    return same(one, other)


def may_be_equal(stated: str, wanted: str) -> bool:
    """Whether two formulas agree where their variables are positive (ln(ab) and ln a + ln b), or but for the
    letter of a whole number (`2\\pi n` and `2\\pi k`)."""
    try:
        one, other = read_form(stated), read_form(wanted)
        if (
            one.kind != "value"
            or other.kind != "value"
            or (one.marks and other.marks and one.marks != other.marks)
        ):
            return False
        if _renamed(one.value, other.value):
            return True
        places = points(names(one.value) | names(other.value))[:POSITIVE]
        return all(same_number(evaluate(one.value, at), evaluate(other.value, at)) for at in places)
    except (NotAFormulaError, UnknownValueError):
        return False


def rounds_to(decimal: str, formula: str, close: Callable[[Fraction, Quantity], bool]) -> bool:
    """Whether a decimal is what the value of a formula, such as \\sqrt{2}, rounds to, as `close` says."""
    written = read_number(decimal)
    if written is None or not written.decimals:
        return False
    try:
        form = read_form(formula)
    except NotAFormulaError:
        return False
    value = real_value(form.value) if form.kind == "value" else None
    return value is not None and close(value, written)


def same(one: Form, other: Form) -> bool | None:
    """Whether two shapes hold the same; None when that is not clear."""
    if one.kind != other.kind:
        return _different_kinds(one, other)
    return _COMPARE[one.kind](one, other)


def _different_kinds(one: Form, other: Form) -> bool | None:
    kinds = {one.kind, other.kind}
    if "based" in kinds:
        based, plain = (one, other) if one.kind == "based" else (other, one)
        if plain.kind == "value" and isinstance(plain.value, Fraction):
            digits = based.marks.partition("_")[0]
            return plain.value == based.value or str(plain.value) == digits  # the base may be left out
        return None
    if kinds == {"tuple", "union"}:
        return _unions(one, other)
    if kinds == {"tuple", "list"}:  # brackets that do not match make an interval
        return False if {one.marks, other.marks} & {"(]", "[)"} else None
    if kinds == {"value", "inequality"}:
        return None if names((one if one.kind == "value" else other).value) else False
    if kinds == {"value", "equation"}:
        constant, equation = (one, other) if one.kind == "value" else (other, one)
        if constant.marks:  # `y = 2x + 1` and `2x - y + 1 = 0`
            whole = Form("equation", value=Node("-", (Name(constant.marks), constant.value)))
            return _equations(whole, equation)
        return False if not names(constant.value) and len(names(equation.value)) > 1 else None
    if kinds == {"value", "list"}:
        several, value = (one, other) if one.kind == "list" else (other, one)
        items = _distinct(several.items) or []
        if len(items) == 1:
            return same(items[0], value)  # `3/4 or 0.75`
    if "value" in kinds and kinds & {"tuple", "list", "matrix", "union"}:
        value = one if one.kind == "value" else other
        return None if isinstance(value.value, Name) else False
    return None


def _values(one: Form, other: Form) -> bool | None:
    if one.marks and other.marks and one.marks != other.marks:
        return None  # `x = 5` and `y = 5`
    same_values = equal(one.value, other.value)
    if same_values is False and _has(one.value, "°") != _has(other.value, "°"):
        return equal(in_radians(one.value), in_radians(other.value))  # 90° and \\pi/2
    return None if same_values is False and _renamed(one.value, other.value) else same_values


def _renamed(one: Tree, other: Tree) -> bool:
    """Whether the two are one but for the letter of a whole number."""
    first, second = names(one) - names(other), names(other) - names(one)
    if len(first) != 1 or len(second) != 1 or not (first | second) <= _COUNTERS:
        return False
    return equal(_with_name(one, *first, *second), other) is True


_COUNTERS = frozenset("jklmn")


def _with_name(tree: Tree, old: str, new: str) -> Tree:
    if isinstance(tree, Name):
        return Name(new) if tree.text == old else tree
    if isinstance(tree, Node):
        return Node(tree.operation, tuple(_with_name(part, old, new) for part in tree.parts))
    return tree


def _has(tree: Tree, operation: str) -> bool:
    if not isinstance(tree, Node):
        return False
    return tree.operation == operation or any(_has(part, operation) for part in tree.parts)


def _in_order(one: Form, other: Form) -> bool | None:
    if len(one.items) != len(other.items):
        return False
    if isinstance(one.value, Name) and isinstance(other.value, Name) and one.value != other.value:
        return None  # intervals of x and of y
    if one.marks != other.marks:
        return False if one.kind == "matrix" or len(one.items) == 2 else None
    return _all(same(left, right) for left, right in zip(one.items, other.items))


def _all(verdicts: Iterable[bool | None]) -> bool | None:
    found = list(verdicts)
    return False if False in found else None if None in found else True


def _without_order(one: Form, other: Form) -> bool | None:
    """Whether the items can be paired; a set that repeats an item may have another length."""
    left, right = _distinct(one.items), _distinct(other.items)
    if left is None or right is None:
        return None
    rest = list(right)
    for item in left:
        verdicts = [same(item, candidate) for candidate in rest]
        if True in verdicts:
            rest.pop(verdicts.index(True))
        else:
            return None if None in verdicts else False
    return not rest


def _distinct(items: Sequence[Form]) -> list[Form] | None:
    found: list[Form] = []
    for item in items:
        verdicts = [same(item, other) for other in found]
        if None in verdicts:
            return None
        if True not in verdicts:
            found.append(item)
    return found


def _equations(one: Form, other: Form) -> bool | None:
    """Equal up to a factor. What is not may still have the same solutions, unless both are linear."""
    variables = names(one.value) | names(other.value)
    ratios = []
    try:
        for point in points(variables)[:3]:
            left, right = evaluate(one.value, point), evaluate(other.value, point)
            if left == 0 or right == 0:
                return None
            ratios.append(left / right)
    except UnknownValueError:
        return None
    verdicts = [same_number(ratio, ratios[0]) for ratio in ratios[1:]]
    if all(verdicts):
        return True
    return False if None not in verdicts and _linear(one.value) and _linear(other.value) else None


def _linear(tree: Tree) -> bool:
    """Whether a formula is a sum of variables with constant factors."""
    if not isinstance(tree, Node):
        return True
    if tree.operation in ("+", "-", "neg"):
        return all(map(_linear, tree.parts))
    varying = [part for part in tree.parts if names(part)]
    factors = tree.operation == "*" or (tree.operation == "/" and not names(tree.parts[1]))
    return not varying or (factors and len(varying) == 1 and _linear(varying[0]))


_Interval = tuple[Any, bool, Any, bool]  # from, whether it belongs to it, to, whether that does


def _inequalities(one: Form, other: Form) -> bool | None:
    """Equal up to a positive factor; what is not may still say the same."""
    if one.marks != other.marks or _equations(one, other) is not True:
        return None
    (point, *_) = points(names(one.value) | names(other.value))
    ratio = evaluate(one.value, point) / evaluate(other.value, point)
    return True if compare(ratio, Fraction(0)) == 1 else None


def _unions(one: Form, other: Form) -> bool | None:
    """Unions of intervals between numbers, those that touch or overlap taken for one."""
    try:
        left, right = _merged(one), _merged(other)
    except UnknownValueError:
        return None
    if len(left) != len(right):
        return False
    return _all(
        same_number(a[0], b[0]) and same_number(a[2], b[2]) and (a[1], a[3]) == (b[1], b[3])
        for a, b in zip(left, right)
    )


def _merged(form: Form) -> list[_Interval]:
    """The intervals of a union, in order. Raises: UnknownValueError where an end is no real number."""
    found: list[_Interval] = []
    for interval in sorted(map(_ends, form.items if form.kind == "union" else (form,)), key=_start):
        low, closed, high, high_closed = interval
        touches = bool(found) and compare(low, found[-1][2])
        if not found or touches == 1 or (low == found[-1][2] and not (closed or found[-1][3])):
            found.append(interval)
        elif compare(high, found[-1][2]) == 1:
            found[-1] = (*found[-1][:2], high, high_closed)
        elif high == found[-1][2]:
            found[-1] = (*found[-1][:3], high_closed or found[-1][3])
    return found


def _start(interval: _Interval) -> Any:
    return cmp_to_key(compare)(interval[0]), not interval[1]


def _ends(form: Form) -> _Interval:
    if form.kind != "tuple" or len(form.items) != 2 or any(item.kind != "value" for item in form.items):
        raise UnknownValueError("no interval")
    low, high = (evaluate(item.value, {"\\infty": INFINITY}) for item in form.items)
    if compare(low, high) != -1:
        raise UnknownValueError("an interval that ends before it begins")
    return low, form.marks[0] == "[", high, form.marks[1] == "]"


def _bases(one: Form, other: Form) -> bool | None:
    return one.value == other.value


_COMPARE: dict[Kind, Callable[[Form, Form], bool | None]] = {
    "value": _values, "tuple": _in_order, "matrix": _in_order, "list": _without_order,
    "equation": _equations, "inequality": _inequalities, "union": _unions, "based": _bases,
}  # fmt: skip
