"""Names that are certainly read before they are defined, in code that runs from top to bottom.

In doubt nothing is said: names read only on some branch, in a comprehension, a nested function or a
`try`, names that a star import, `exec`, `globals` or `del` may touch.
"""

import ast
import builtins
from collections.abc import Iterator, Sequence

KNOWN = frozenset(dir(builtins)) | {"__file__", "__name__", "__annotations__", "__spec__", "__loader__"}
_MAGIC = frozenset(
    {"exec", "eval", "globals", "locals", "vars", "setattr", "__import__", "__builtins__", "compile"}
)
_LATER = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.Lambda)


def undefined_names(tree: ast.Module, told: frozenset[str]) -> list[tuple[int, str]]:
    """(line from 1, name) of each certain read of an undefined name; `told` are names never to be blamed."""
    every = list(ast.walk(tree))
    star = any(isinstance(node, ast.ImportFrom) and node.names[0].name == "*" for node in every)
    if star or any(isinstance(node, ast.Name) and node.id in _MAGIC for node in every):
        return []
    anywhere = bound_names(every)
    found = _scan(tree.body, set(KNOWN | told), set())
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            found += _in_function(node, anywhere | KNOWN | told)
    return sorted(set(found))


def _in_function(function: ast.FunctionDef, outer: frozenset[str] | set[str]) -> list[tuple[int, str]]:
    """Reads of a local name before it is set, and of a name that the whole program never sets."""
    inner = [node for statement in function.body for node in ast.walk(statement)]
    local = bound_names(own_nodes(function.body))
    declared = {name for node in inner if isinstance(node, ast.Global | ast.Nonlocal) for name in node.names}
    given = function.args
    arguments = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
    names = {argument.arg for argument in arguments if argument}
    return _scan(function.body, names | declared | (set(outer) - local), declared)


def _scan(body: Sequence[ast.stmt], known: set[str], exempt: set[str]) -> list[tuple[int, str]]:
    """The first statements of a body, up to one after which it may have been left."""
    found: list[tuple[int, str]] = []
    for statement in body:
        own = bound_names(ast.walk(statement))
        for name in _reads(statement):
            walrus = name.id in own and not _plain_store(statement, name.id)
            if name.id not in known and name.id not in exempt and not walrus:
                found.append((name.lineno, name.id))
                known.add(name.id)
        known |= own
        if any(isinstance(node, ast.Return | ast.Raise | ast.Delete) for node in ast.walk(statement)):
            break
    return found


def _plain_store(statement: ast.stmt, name: str) -> bool:
    """Whether `name` is set by the statement only after its value was computed (`s = s + x`, `s += x`)."""
    if not isinstance(statement, ast.Assign | ast.AugAssign):
        return False
    return not any(
        isinstance(node, ast.NamedExpr | ast.comprehension | ast.Lambda) for node in ast.walk(statement)
    )


def _reads(statement: ast.stmt) -> Iterator[ast.Name]:
    """Names that the statement reads whatever happens."""
    match statement:
        case ast.Assign(value=value) | ast.Return(value=ast.expr() as value) | ast.Expr(value=value):
            yield from _sure(value)
        case ast.AugAssign(target=target, value=value):
            if isinstance(target, ast.Name):  # a subscript of nothing would be read too, rarely
                yield ast.copy_location(ast.Name(id=target.id, ctx=ast.Load()), target)
            yield from _sure(value)
        case ast.AnnAssign(value=ast.expr() as value):
            yield from _sure(value)
        case ast.For(iter=value) | ast.If(test=value) | ast.While(test=value) | ast.Assert(test=value):
            yield from _sure(value)


def _sure(node: ast.expr) -> Iterator[ast.Name]:
    """Names in the parts of an expression that are always evaluated."""
    if isinstance(node, ast.Name):
        if isinstance(node.ctx, ast.Load):
            yield node
    elif isinstance(node, ast.BoolOp):
        yield from _sure(node.values[0])
    elif isinstance(node, ast.IfExp):
        yield from _sure(node.test)
    elif isinstance(node, ast.Lambda):
        return
    elif isinstance(node, ast.Compare):
        yield from _sure(node.left)
        yield from _sure(node.comparators[0])
    elif isinstance(node, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
        yield from _sure(node.generators[0].iter)
    else:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr):
                yield from _sure(child)
            elif isinstance(child, ast.keyword):
                yield from _sure(child.value)


def own_nodes(body: Sequence[ast.stmt]) -> Iterator[ast.AST]:
    """The nodes of a function's own scope: not within nested functions, classes and comprehensions."""
    waiting: list[ast.AST] = list(body)
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, *_LATER)):
            waiting.extend(ast.iter_child_nodes(node))


def bound_names(nodes: Iterator[ast.AST] | Sequence[ast.AST]) -> set[str]:
    """The names that these nodes set."""
    found: set[str] = set()
    for node in nodes:
        match node:
            case ast.Name(id=name, ctx=ast.Store() | ast.Del()):
                found.add(name)
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                found.add(name)
            case ast.Import(names=names) | ast.ImportFrom(names=names):
                found |= {(alias.asname or alias.name).split(".")[0] for alias in names}
            case (
                ast.ExceptHandler(name=str(name))
                | ast.MatchAs(name=str(name))
                | ast.MatchStar(name=str(name))
            ):
                found.add(name)
            case ast.MatchMapping(rest=str(name)):
                found.add(name)
            case ast.Global(names=names):
                found |= set(names)
            case ast.arg(arg=name):
                found.add(name)
    return found
