"""The operations that a task is composed of: how each is told, what it does, and how it is programmed.

Templates: `#` stands for the number of an operation, `x` for an element, `V` for the variable that holds the
value and `W` for the one that takes the result.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate, pairwise
from math import prod
from typing import Any, Literal

Kind = Literal["list", "number"]
Value = Any  # an int, or a list of ints
LONGEST = 400  # of a list
Run = Callable[[Value, int], Value]
Each = Callable[[int, int], int]
Test = Callable[[int, int], bool]
_KINDS: dict[str, Kind] = {"l": "list", "n": "number"}


@dataclass(frozen=True, slots=True)
class Operation:
    """One kind of operation. `numbers` are those that it is told with; (0,) where it has none.

    `element` (of a map or filter) and `forms` (of the others) are its programs, the usual one first. A
    form is lines, and several lines are a loop; a form that begins with `=` is an expression.
    """

    name: str
    takes: Kind
    gives: Kind
    told: str
    run: Run
    numbers: tuple[int, ...] = (0,)
    role: Literal["filter", "map", "other"] = "other"
    element: tuple[str, ...] = ()
    forms: tuple[str, ...] = ()

    def phrase(self, k: int) -> str:
        """As it is told, without a full stop: `keep the numbers over 3`."""
        return self.told.replace("#", str(k))


def _filter(name: str, told: str, test: Test, *element: str, numbers: tuple[int, ...] = (0,)) -> Operation:
    run = lambda xs, k: [x for x in xs if test(x, k)]  # noqa: E731
    return Operation(name, "list", "list", told, run, numbers, "filter", element)


def _map(name: str, told: str, each: Each, *element: str, numbers: tuple[int, ...] = (0,)) -> Operation:
    run = lambda xs, k: [each(x, k) for x in xs]  # noqa: E731
    return Operation(name, "list", "list", told, run, numbers, "map", element)


def _other(
    name: str, kinds: str, told: str, run: Run, *forms: str, numbers: tuple[int, ...] = (0,)
) -> Operation:
    takes, gives = (_KINDS[kind] for kind in kinds)
    return Operation(name, takes, gives, told, run, numbers, forms=forms)


def _upto(number: int) -> list[int]:
    """Raises: ValueError for a list longer than this world has (a wrong program may count to anything)."""
    if number > LONGEST:
        raise ValueError(f"expected a number up to {LONGEST}, found {number}")
    return list(range(1, number + 1))


_SMALL, _FEW = tuple(range(1, 10)), (1, 2, 3)
_UNIQUE = "W = []\nfor x in V:\n    if x not in W:\n        W.append(x)"
_RUNNING = "W = []\nt = 0\nfor x in V:\n    t += x\n    W.append(t)"
_SUM, _PRODUCT = "W = 0\nfor x in V:\n    W += x", "W = 1\nfor x in V:\n    W *= x"
_COUNT = "W = 0\nfor x in V:\n    W += 1"


_ALL = (
    _filter("even", "keep the even numbers", lambda x, k: x % 2 == 0, "x % 2 == 0"),
    _filter("odd", "keep the odd numbers", lambda x, k: x % 2 == 1, "x % 2 == 1", "x % 2 != 0"),
    _filter("over", "keep the numbers over #", lambda x, k: x > k, "x > #", "x >= {k+1}", numbers=_SMALL),
    _filter("under", "keep the numbers under #", lambda x, k: x < k, "x < #", numbers=_SMALL),
    _filter("positive", "keep the positive numbers", lambda x, k: x > 0, "x > 0"),
    _filter("multiples", "keep the multiples of #", lambda x, k: x % k == 0, "x % # == 0", numbers=(3, 4, 5)),
    _map("square", "square each number", lambda x, k: x * x, "x * x", "x ** 2"),
    _map("double", "double each number", lambda x, k: 2 * x, "x * 2", "2 * x", "x + x"),
    _map("add", "add # to each number", lambda x, k: x + k, "x + #", "# + x", numbers=_SMALL),
    _map("negate", "negate each number", lambda x, k: -x, "-x"),
    _map("abs", "take each absolute value", lambda x, k: abs(x), "abs(x)"),
    _map("from", "subtract each number from #", lambda x, k: k - x, "# - x", numbers=_SMALL),
    _other("sort", "ll", "sort the list", lambda v, k: sorted(v), "=sorted(V)", "V.sort()"),
    _other("reverse", "ll", "reverse the list", lambda v, k: v[::-1],
           "=V[::-1]", "=list(reversed(V))", "V.reverse()"),
    _other("unique", "ll", "drop the repeated numbers", lambda v, k: list(dict.fromkeys(v)),
           "=list(dict.fromkeys(V))", _UNIQUE),
    _other("first", "ll", "keep the first #", lambda v, k: v[:k], "=V[:#]", numbers=_FEW),
    _other("skip", "ll", "drop the first #", lambda v, k: v[k:], "=V[#:]", numbers=_FEW),
    _other("running", "ll", "take the running sums", lambda v, k: list(accumulate(v)),
           _RUNNING, "=[sum(V[:i + 1]) for i in range(len(V))]"),
    _other("pairs", "ll", "take the differences of neighbours",
           lambda v, k: [b - a for a, b in pairwise(v)],
           "=[b - a for a, b in zip(V, V[1:])]", "=[V[i + 1] - V[i] for i in range(len(V) - 1)]"),
    _other("sum", "ln", "take the sum", lambda v, k: sum(v), "=sum(V)", _SUM),
    _other("count", "ln", "take the count", lambda v, k: len(v), "=len(V)", _COUNT),
    _other("max", "ln", "take the maximum", lambda v, k: max(v), "=max(V)", "=sorted(V)[-1]"),
    _other("min", "ln", "take the minimum", lambda v, k: min(v), "=min(V)", "=sorted(V)[0]"),
    _other("product", "ln", "take the product", lambda v, k: prod(v), _PRODUCT),
    _other("last", "ln", "take the last number", lambda v, k: v[-1], "=V[-1]", "=V[len(V) - 1]"),
    _other("twice", "nn", "double it", lambda v, k: 2 * v, "=V * 2", "=2 * V", "=V + V", "V *= 2"),
    _other("squared", "nn", "square it", lambda v, k: v * v, "=V * V", "=V ** 2"),
    _other("plus", "nn", "add # to it", lambda v, k: v + k, "=V + #", "V += #", numbers=_SMALL),
    _other("minus", "nn", "subtract # from it", lambda v, k: v - k, "=V - #", "V -= #", numbers=_SMALL),
    _other("negated", "nn", "negate it", lambda v, k: -v, "=-V"),
    _other("size", "nn", "take its absolute value", lambda v, k: abs(v), "=abs(V)"),
    _other("upto", "nl", "list the numbers from 1 to it", lambda v, k: _upto(v),
           "=list(range(1, V + 1))"),
)  # fmt: skip

OPERATIONS: dict[str, Operation] = {operation.name: operation for operation in _ALL}


@dataclass(frozen=True, slots=True)
class Applied:
    """An operation with its number."""

    name: str
    k: int = 0

    @property
    def operation(self) -> Operation:
        """What is applied."""
        return OPERATIONS[self.name]

    @property
    def phrase(self) -> str:
        """`keep the numbers over 3`."""
        return self.operation.phrase(self.k)

    def run(self, value: Value) -> Value:
        """The value after it. Raises: what Python raises where it is undefined (`max` of nothing)."""
        return self.operation.run(value, self.k)


def filled(template: str, k: int) -> str:
    """A template with the number in its place."""
    return template.replace("{k+1}", str(k + 1)).replace("#", str(k))


# Every way of telling an operation; a reducer at the end is told as `return the sum`.
BY_PHRASE: dict[str, Applied] = {
    phrase: Applied(operation.name, k)
    for operation in _ALL
    for k in operation.numbers
    for phrase in (operation.phrase(k), operation.phrase(k).replace("take the", "return the"))
}
