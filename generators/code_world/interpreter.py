"""Runs admitted statements on plain values, with limits on steps, numbers and lists. No eval, no exec.

Values are whole numbers, truth values, lists of whole numbers, and (never stored in a list) what `range`,
`zip`, `reversed` and `set` give. Where Python would raise, or a limit is passed, `Fault` is raised.
"""

import ast
import operator
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from generators.code_world.language import call_name
from generators.code_world.operations import LONGEST

MOST_STEPS = 20_000  # of one statement on one probe
LARGEST = 10**12
_LARGEST_EXPONENT = 8

Environment = dict[str, Any]


class Fault(Exception):
    """What stops a statement; `kind` is `name` or `runtime`."""

    def __init__(self, kind: str = "runtime") -> None:
        super().__init__(kind)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Lazy:
    """What is no list: its items, and what may be done with it besides going through it."""

    items: tuple[Any, ...]
    sized: bool = True  # has a length
    ordered: bool = True
    indexed: bool = False


_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}
_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}


def copy_environment(environment: Environment) -> Environment:
    """A copy in which two names of one list are again two names of one list."""
    copies: dict[int, list[int]] = {}
    return {
        name: copies.setdefault(id(value), list(value)) if type(value) is list else value
        for name, value in environment.items()
    }


def run(statement: ast.stmt, environment: Environment) -> None:
    """Run one statement (no return, no def) in place. Raises: Fault."""
    try:
        _Run(environment).statement(statement)
    except (TypeError, ValueError, ArithmeticError, LookupError, RecursionError):
        raise Fault from None


def evaluate(expression: ast.expr, environment: Environment) -> Any:
    """The value of an expression. Raises: Fault."""
    try:
        return _Run(environment).value(expression)
    except (TypeError, ValueError, ArithmeticError, LookupError, RecursionError):
        raise Fault from None


class _Run:
    """One statement on one environment; counts its steps."""

    def __init__(self, environment: Environment) -> None:
        self.names = environment
        self.steps = 0

    def statement(self, node: ast.stmt) -> None:
        """Run one statement. Raises: Fault."""
        self._step()
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                self.names[name] = self.value(value)
            case ast.AugAssign(target=ast.Name(id=name), op=op, value=value):
                self._augment(name, op, value)
            case ast.For():
                self._loop(node)
            case ast.If(test=test, body=body):
                if _truth(self.value(test)):
                    for inner in body:
                        self.statement(inner)
            case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr=attr), args=args)):
                self._method(self._list(self._name(name)), attr, [self.value(part) for part in args])
            case ast.Pass():
                pass
            case _:
                raise Fault

    def value(self, node: ast.expr) -> Any:
        self._step()
        return _EVALUATE[type(node)](self, node)

    def _step(self) -> None:
        self.steps += 1
        if self.steps > MOST_STEPS:
            raise Fault

    def _name(self, name: str) -> Any:
        if name not in self.names:
            raise Fault("name")
        return self.names[name]

    def _augment(self, name: str, op: ast.operator, value: ast.expr) -> None:
        old, new = self._name(name), self.value(value)
        if type(old) is list:  # += would change the list in place, for all its names
            if not isinstance(op, ast.Add):
                raise Fault
            old.extend(_bounded([_number(x) for x in _items(new)], len(old)))
        else:
            self.names[name] = _arithmetic(op, old, new)

    def _loop(self, node: ast.For) -> None:
        source = self.value(node.iter)
        length = len(source) if type(source) is list else -1
        for item in tuple(_items(source)):
            _bind(self.names, node.target, item)
            for inner in node.body:
                self.statement(inner)
            if length >= 0 and len(source) != length:  # Python would go on through the new elements
                raise Fault

    def _list(self, value: Any) -> list[int]:
        if type(value) is not list:
            raise Fault
        return value

    def _method(self, found: list[int], attr: str, args: Sequence[Any]) -> None:
        if attr == "append":
            found.append(_number(args[0]))
            _bounded(found)
        elif attr == "sort":
            found.sort()
        else:
            found.reverse()

    # Expressions, by their node

    def name(self, node: ast.Name) -> Any:
        return self._name(node.id)

    def constant(self, node: ast.Constant) -> Any:
        if type(node.value) is bool:
            return node.value
        return _number(node.value)

    def binary(self, node: ast.BinOp) -> Any:
        return _arithmetic(node.op, self.value(node.left), self.value(node.right))

    def unary(self, node: ast.UnaryOp) -> Any:
        value = self.value(node.operand)
        if isinstance(node.op, ast.Not):
            return not _truth(value)
        number = _number(value, truth=True)
        return -number if isinstance(node.op, ast.USub) else +number

    def boolean(self, node: ast.BoolOp) -> Any:
        """The value of `and` and `or`, each part only if it is needed."""
        value: Any = None
        for part in node.values:
            value = self.value(part)
            if _truth(value) != isinstance(node.op, ast.And):
                return value
        return value

    def compare(self, node: ast.Compare) -> bool:
        """Whether every comparison of a chain (`0 < x < 9`) holds."""
        left = self.value(node.left)
        for op, part in zip(node.ops, node.comparators, strict=True):
            right = self.value(part)
            if isinstance(op, ast.In | ast.NotIn):
                holds = (left in _items(right, ordered=False)) == isinstance(op, ast.In)
            elif isinstance(left, Lazy) or isinstance(right, Lazy):
                raise Fault
            else:
                holds = _COMPARE[type(op)](left, right)
            if not holds:
                return False
            left = right
        return True

    def either(self, node: ast.IfExp) -> Any:
        return self.value(node.body if _truth(self.value(node.test)) else node.orelse)

    def list(self, node: ast.List) -> Any:
        return [_number(self.value(part)) for part in node.elts]

    def comprehension(self, node: ast.ListComp) -> Any:
        return _bounded([_number(value) for value in self._each(node)])

    def generator(self, node: ast.GeneratorExp) -> Any:
        return Lazy(tuple(_bounded(list(self._each(node)))), sized=False)

    def _each(self, node: ast.ListComp | ast.GeneratorExp) -> Iterator[Any]:
        loop = node.generators[0]
        source = _items(self.value(loop.iter))
        outer, self.names = self.names, dict(self.names)
        try:
            for item in source:
                _bind(self.names, loop.target, item)
                if all(_truth(self.value(test)) for test in loop.ifs):
                    yield self.value(node.elt)
        finally:
            self.names = outer

    def subscript(self, node: ast.Subscript) -> Any:
        """An element, or a slice."""
        found = self.value(node.value)
        if isinstance(found, Lazy) and not found.indexed:
            raise Fault
        items = found.items if isinstance(found, Lazy) else self._list(found)
        if not isinstance(node.slice, ast.Slice):
            return items[_number(self.value(node.slice), truth=True)]
        parts = (node.slice.lower, node.slice.upper, node.slice.step)
        cut = items[slice(*(None if part is None else _number(self.value(part)) for part in parts))]
        return Lazy(tuple(cut), indexed=True) if isinstance(found, Lazy) else list(cut)

    def call(self, node: ast.Call) -> Any:
        named = {str(word.arg): self.value(word.value) for word in node.keywords}
        return _CALLS[call_name(node.func)](*(self.value(part) for part in node.args), **named)


_EVALUATE: dict[type[ast.expr], Callable[[_Run, Any], Any]] = {
    ast.Name: _Run.name,
    ast.Constant: _Run.constant,
    ast.BinOp: _Run.binary,
    ast.UnaryOp: _Run.unary,
    ast.BoolOp: _Run.boolean,
    ast.Compare: _Run.compare,
    ast.IfExp: _Run.either,
    ast.List: _Run.list,
    ast.ListComp: _Run.comprehension,
    ast.GeneratorExp: _Run.generator,
    ast.Subscript: _Run.subscript,
    ast.Call: _Run.call,
}


def _truth(value: Any) -> bool:
    if isinstance(value, Lazy):
        raise Fault
    return bool(value)


def _number(value: Any, truth: bool = False) -> int:
    """A whole number within the limit (with `truth` also True and False, as in Python). Raises: Fault."""
    if type(value) is not int and not (truth and type(value) is bool):
        raise Fault
    if not -LARGEST <= value <= LARGEST:
        raise Fault
    return int(value)


def _bounded(found: list[Any], already: int = 0) -> list[Any]:
    if len(found) + already > LONGEST:
        raise Fault
    return found


def _items(value: Any, ordered: bool = True) -> Sequence[Any]:
    """What a loop goes through. Raises: Fault for a number, or a set where its order matters."""
    if type(value) is list:
        return value
    if not isinstance(value, Lazy) or (ordered and not value.ordered):
        raise Fault
    return value.items


def _bind(names: Environment, target: ast.expr, item: Any) -> None:
    if isinstance(target, ast.Name):
        names[target.id] = item
    elif isinstance(target, ast.Tuple) and type(item) is tuple and len(item) == 2:
        for part, value in zip(target.elts, item, strict=True):
            names[part.id] = value  # type: ignore[attr-defined]
    else:
        raise Fault


def _arithmetic(op: ast.operator, left: Any, right: Any) -> Any:
    if isinstance(op, ast.Add) and type(left) is list and type(right) is list:
        return _bounded(left + right)
    a, b = _number(left, truth=True), _number(right, truth=True)
    if isinstance(op, ast.Pow) and not 0 <= b <= _LARGEST_EXPONENT:
        raise Fault
    return _number(_BINARY[type(op)](a, b))


def _range(*bounds: Any) -> Lazy:
    found = range(*(_number(bound) for bound in bounds))
    if len(found) > LONGEST:
        raise Fault
    return Lazy(tuple(found), indexed=True)


def _len(value: Any) -> int:
    if isinstance(value, Lazy) and not value.sized:
        raise Fault
    return len(_items(value, ordered=False))


def _sum(value: Any, start: Any = 0) -> int:
    return _number(sum((_number(x, truth=True) for x in _items(value, ordered=False)), _number(start)))


def _most(choose: Callable[..., Any]) -> Callable[..., Any]:
    def chosen(*values: Any, **named: Any) -> Any:
        found = _items(values[0], ordered=False) if len(values) == 1 else values
        if named and len(values) > 1:
            raise Fault
        return choose([_number(x) for x in found], **named)

    return chosen


def _sorted(value: Any, reverse: Any = False) -> list[int]:
    return sorted((_number(x) for x in _items(value, ordered=False)), reverse=_truth(reverse))


def _reversed(value: Any) -> Lazy:
    if isinstance(value, Lazy) and not (value.sized and value.ordered):
        raise Fault
    return Lazy(tuple(reversed(_items(value))), sized=False)


def _fromkeys(value: Any) -> Lazy:
    return Lazy(tuple(dict.fromkeys(_number(x) for x in _items(value))))


def _set(value: Any) -> Lazy:
    return Lazy(tuple({_number(x) for x in _items(value, ordered=False)}), ordered=False)


_CALLS: dict[str, Callable[..., Any]] = {
    "abs": lambda value: abs(_number(value, truth=True)),
    "len": _len,
    "sum": _sum,
    "max": _most(max),
    "min": _most(min),
    "sorted": _sorted,
    "list": lambda *value: [_number(x) for x in _items(*value)] if value else [],
    "reversed": _reversed,
    "range": _range,
    "zip": lambda *parts: Lazy(tuple(zip(*map(_items, parts), strict=False)), sized=False),
    "enumerate": lambda value: Lazy(tuple(enumerate(_items(value))), sized=False),
    "set": _set,
    "dict.fromkeys": _fromkeys,
}
