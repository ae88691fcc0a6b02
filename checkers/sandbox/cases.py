"""Tests as Python code: which names are the program's, and asserts that remember what they compared."""

import ast
import builtins
import importlib
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from checkers.sandbox.remote import Remote, Session

SAW = "__saw__"
_BUILTINS = frozenset(dir(builtins))
_KNOWN = {
    "Counter": "collections", "OrderedDict": "collections", "defaultdict": "collections",
    "deque": "collections", "namedtuple": "collections", "Decimal": "decimal", "Fraction": "fractions",
    "timedelta": "datetime", "isclose": "math",
}  # fmt: skip


class Namespace(dict[str, Any]):
    """The globals of the tests. A name that is nobody else's is looked up in the program.

    In this order: what the tests bind; names that must be the program's (`remote`); built-ins; what the
    standard library has and tests often forget to import (`borrowed`); the program.
    """

    def __init__(self, session: Session, remote: Iterable[str], borrowed: Mapping[str, Any]) -> None:
        super().__init__(__name__="__tests__", __builtins__=builtins)
        self._session, self._remote, self._borrowed = session, set(remote), dict(borrowed)

    def __missing__(self, name: str) -> Any:
        if name in self._remote:
            return self.of_program(name)
        if name in _BUILTINS:
            raise KeyError(name)
        if name in self._borrowed:
            return self._borrowed[name]
        return self.of_program(name)

    def of_program(self, name: str) -> Any:
        """The program's global of that name. Raises: NameError where it has none."""
        try:
            value = self._session.ask("name", name)
        except KeyError:
            raise NameError(f"the program does not define {name!r}") from None
        if isinstance(value, Remote):
            self[name] = value  # plain data may change, so it is asked for again
        return value

    def prefer_program(self, name: str) -> None:
        """Let go of what the setup bound to `name`."""
        self.pop(name, None)
        self._remote.add(name)


def borrowed_names(trees: Iterable[ast.AST]) -> dict[str, Any]:
    """Objects of the standard library that the tests use without an import, for them alone.

    Modules used as such (`math.isclose`), and well-known names (`Counter`) beside a name of the program.
    Were they looked up in the program, it would answer for the expected values too.
    """
    trees = list(trees)
    free = set().union(*(_free_names(tree) for tree in trees))
    modules = _modules(trees) & free
    known = free & set(_KNOWN) if free - _BUILTINS - modules - set(_KNOWN) else set()
    found: dict[str, Any] = {name: importlib.import_module(name) for name in modules}
    return found | {name: getattr(importlib.import_module(_KNOWN[name]), name) for name in known}


def _modules(trees: Iterable[ast.AST]) -> set[str]:
    nodes = [node for tree in trees for node in ast.walk(tree)]
    owners = {n.value.id for n in nodes if isinstance(n, ast.Attribute) and isinstance(n.value, ast.Name)}
    called = {n.func.id for n in nodes if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}
    return (owners - called) & sys.stdlib_module_names


def program_builtins(trees: Iterable[ast.AST]) -> set[str]:
    """The built-in name that the tests are about (`assert sum(10, 15) == 25`), where they name nothing else.

    It depends on the tests alone: a program that defines `len` or `abs` does not take part in judging.
    """
    trees = list(trees)
    free = set().union(*(_free_names(tree) for tree in trees))
    if free - _BUILTINS - _modules(trees):
        return set()
    called = [_called_names(tree) & _BUILTINS for tree in trees]
    common = set.intersection(*called) if called else set()
    return common if len(common) == 1 else set()


def _free_names(tree: ast.AST) -> set[str]:
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    bound = {node.id for node in names if not isinstance(node.ctx, ast.Load)}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            bound.add(node.name)
        elif isinstance(node, ast.arg):
            bound.add(node.arg)
        elif isinstance(node, ast.alias):
            bound.add((node.asname or node.name).partition(".")[0])
    return {node.id for node in names} - bound


def _called_names(tree: ast.AST) -> set[str]:
    calls = [n for n in ast.walk(tree) if isinstance(n, ast.Call)]
    return {n.func.id for n in calls if isinstance(n.func, ast.Name)}


class _Remembering(ast.NodeTransformer):
    """`assert a == b` becomes `assert __saw__(0, a) == __saw__(1, b)`."""

    def visit_Assert(self, node: ast.Assert) -> ast.AST:
        test = node.test
        if isinstance(test, ast.Compare) and len(test.ops) == 1:
            test.left = _seen(0, test.left)
            test.comparators = [_seen(1, test.comparators[0])]
        return node


def _seen(side: int, value: ast.expr) -> ast.expr:
    call = ast.Call(ast.Name(SAW, ast.Load()), [ast.Constant(side), value], [])
    return ast.copy_location(call, value)


def remembering(tree: ast.Module) -> ast.Module:
    """The same tests, with asserts that pass both sides of their comparison through `__saw__`."""
    return ast.fix_missing_locations(_Remembering().visit(tree))


def defines_check(tree: ast.Module) -> bool:
    """Whether the test is HumanEval's: `def check(candidate): ...`, to be called with the entry point."""
    return any(isinstance(node, ast.FunctionDef) and node.name == "check" for node in tree.body)


def asks_all(test: ast.Module | dict[str, Any]) -> bool:
    """Whether a test asks the program for the same whatever is answered: one assert, its last statement,
    without `and`, `or` and conditions."""
    if isinstance(test, dict):
        return True
    nodes = list(ast.walk(test))
    branches = any(isinstance(node, ast.BoolOp | ast.IfExp | ast.If | ast.While) for node in nodes)
    asserts = [node for node in nodes if isinstance(node, ast.Assert)]
    return not branches and asserts == test.body[-1:]
