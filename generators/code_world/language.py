"""The small part of Python that this world reads: one statement a line, admitted by a whitelist of nodes."""

import ast
from dataclasses import dataclass

LONGEST_LINE = 200
CALLS = frozenset(
    ["abs", "len", "sum", "max", "min", "sorted", "list", "reversed", "range", "zip", "enumerate", "set"]
)  # and dict.fromkeys
METHODS = ("append", "sort", "reverse")
_OPERATORS = (ast.Add, ast.Sub, ast.Mult, ast.FloorDiv, ast.Mod, ast.Pow)
_COMPARISONS = (ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.In, ast.NotIn)
_TAKEN = CALLS | {"dict"}  # a variable of such a name would change what other lines mean
_KEYWORDS = {"sorted": "reverse", "max": "default", "min": "default"}


class LineError(Exception):
    """A line that is no statement of this world; `kind` is `syntax` or `malformed`."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Line:
    """One statement: its depth in spaces, and whether it opens a block."""

    indent: int
    statement: ast.stmt
    opens: bool


def read_line(text: str) -> Line:
    """A line of code that is neither blank nor a comment. Raises: LineError."""
    body = text.lstrip(" ")
    if len(body) > LONGEST_LINE:
        raise LineError("malformed")
    if any(character < " " for character in body):  # tabs; line ends within a line
        raise LineError("malformed")
    tree, opens = _parse(body)
    if len(tree.body) != 1:
        raise LineError("malformed")
    statement = tree.body[0]
    if not _admitted(statement):
        raise LineError("malformed")
    return Line(len(text) - len(body), statement, opens)


def _parse(body: str) -> tuple[ast.Module, bool]:
    """The tree of one statement; a header gets an empty body, and opens a block."""
    for suffix in ("", "\n pass"):
        try:
            return ast.parse(body + suffix), bool(suffix)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
    raise LineError("syntax")


def _admitted(statement: ast.stmt) -> bool:
    match statement:
        case ast.FunctionDef():
            return _plain_function(statement)
        case ast.Assign(targets=[ast.Name() as target], value=value):
            return _target(target) and _expression(value)
        case ast.AugAssign(target=ast.Name() as target, op=op, value=value):
            return _target(target) and isinstance(op, _OPERATORS) and _expression(value)
        case ast.For(target=target, iter=source, body=body, orelse=[]):
            return _target(target) and _expression(source) and all(map(_inner, body))
        case ast.If(test=test, body=body, orelse=[]):
            return _expression(test) and all(map(_inner, body))
        case ast.Expr(
            value=ast.Call(func=ast.Attribute(value=ast.Name(), attr=attr), args=args, keywords=[])
        ):
            wanted = 1 if attr == "append" else 0
            return attr in METHODS and len(args) == wanted and all(map(_expression, args))
        case ast.Return(value=ast.expr() as value):
            return _expression(value)
    return False


def _inner(statement: ast.stmt) -> bool:
    """A statement behind a colon on one line, or the empty body of a header."""
    allowed = isinstance(statement, ast.Assign | ast.AugAssign | ast.Expr)
    return isinstance(statement, ast.Pass) or (allowed and _admitted(statement))


def _plain_function(found: ast.FunctionDef) -> bool:
    given = found.args
    extras = (given.posonlyargs, given.kwonlyargs, given.vararg, given.kwarg, given.defaults)
    more = (found.decorator_list, found.returns, getattr(found, "type_params", None))
    if any(extras) or any(more) or len(given.args) != 1:
        return False
    bare = isinstance(found.body[0], ast.Pass) and len(found.body) == 1
    return bare and not given.args[0].annotation and given.args[0].arg not in _TAKEN


def _target(node: ast.expr) -> bool:
    if isinstance(node, ast.Tuple):
        return len(node.elts) == 2 and all(isinstance(part, ast.Name) and _target(part) for part in node.elts)
    return isinstance(node, ast.Name) and node.id not in _TAKEN


def _expression(node: ast.expr) -> bool:
    match node:
        case ast.Name():
            return True
        case ast.Constant(value=value):
            return type(value) is int
        case ast.BinOp(left=left, op=op, right=right):
            return isinstance(op, _OPERATORS) and _expression(left) and _expression(right)
        case ast.UnaryOp(op=ast.USub() | ast.UAdd() | ast.Not(), operand=operand):
            return _expression(operand)
        case ast.BoolOp(values=parts) | ast.List(elts=parts):
            return all(map(_expression, parts))
        case ast.Compare(left=left, ops=ops, comparators=parts):
            return all(isinstance(op, _COMPARISONS) for op in ops) and all(map(_expression, (left, *parts)))
        case ast.IfExp(test=test, body=body, orelse=other):
            return all(map(_expression, (test, body, other)))
        case ast.ListComp(elt=elt, generators=[loop]) | ast.GeneratorExp(elt=elt, generators=[loop]):
            inner = all(map(_expression, (elt, loop.iter, *loop.ifs)))
            return _target(loop.target) and not loop.is_async and inner
        case ast.Subscript(value=value, slice=ast.Slice() as cut):
            bounds = [part for part in (cut.lower, cut.upper, cut.step) if part is not None]
            return all(map(_expression, (value, *bounds)))
        case ast.Subscript(value=value, slice=index):
            return _expression(value) and _expression(index)
        case ast.Call(func=func, args=args, keywords=keywords):
            return _call(func, args, keywords)
    return False


def _call(func: ast.expr, args: list[ast.expr], keywords: list[ast.keyword]) -> bool:
    name = call_name(func)
    if name != "dict.fromkeys" and name not in CALLS:
        return False
    named = all(word.arg and _KEYWORDS.get(name) == word.arg and _keyword(word.value) for word in keywords)
    return named and all(map(_expression, args))


def _keyword(node: ast.expr) -> bool:
    return (isinstance(node, ast.Constant) and type(node.value) is bool) or _expression(node)


def call_name(func: ast.expr) -> str:
    """`sorted` or `dict.fromkeys`; empty for what is neither a name nor an attribute of one."""
    match func:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=ast.Name(id="dict"), attr="fromkeys"):
            return "dict.fromkeys"
    return ""
