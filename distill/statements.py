"""Where the steps of a program end, for `chains.segment: statements`. Python only.

The program is what stands in fences, or else everything from the first line of code on. A simple
statement is a step, however many lines it has; the header of a block belongs to the first statement in it.
All other lines, and those of a program that `ast` cannot read (cut off, or with prose after it), are steps
of their own.
"""

import ast
import re
import warnings
from collections.abc import Iterator, Sequence

_SOURCE = "<program of a chain>"
warnings.filterwarnings("ignore", module=_SOURCE)  # an invalid escape sequence is no fault
_FENCE = re.compile(r"[^\S\n]*(?:`{3,}|~{3,})[^\n]*")
_CODE = re.compile(r"(?:async def|def|class|import|from|@\w+)\b")


def statement_ends(text: str) -> Iterator[int]:
    """The offset after each line that ends a step."""
    lines = text.split("\n")
    joined: set[int] = set()
    for first, last in _programs(lines):
        joined |= {first + line for line in _within(lines[first:last])}
    offset = 0
    for number, line in enumerate(lines[:-1]):
        offset += len(line) + 1
        if number not in joined:
            yield offset


def _programs(lines: Sequence[str]) -> Iterator[tuple[int, int]]:
    """First line and the line after the last of each program."""
    fences = [number for number, line in enumerate(lines) if _FENCE.fullmatch(line.rstrip("\r"))]
    if fences:
        ends = [*fences[1::2], len(lines)]
        yield from ((first + 1, last) for first, last in zip(fences[::2], ends, strict=False))
        return
    for number, line in enumerate(lines):
        if _CODE.match(line):
            yield number, len(lines)
            return


def _within(lines: Sequence[str]) -> set[int]:
    """The lines (from 0) that do not end a step, of one program; none if it cannot be read."""
    try:
        tree = ast.parse("\n".join(line.replace("\r", " ").replace("\f", " ") for line in lines), _SOURCE)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set()
    found: set[int] = set()
    for node in ast.walk(tree):
        if not isinstance(node, ast.stmt | ast.ExceptHandler | ast.match_case):
            continue
        blocks = [block for name in ("body", "handlers", "cases", "orelse", "finalbody")
                  if (block := getattr(node, name, None))]  # fmt: skip
        begin = _first(node)
        for block in blocks:
            inner = _first(block[0])
            found.update(range(begin - 1, inner - 1))
            begin = _last(block[-1]) + 1
        if not blocks:
            found.update(range(begin - 1, _last(node) - 1))
    return found


def _first(node: ast.AST) -> int:
    """The first line of a statement, its decorators included (from 1)."""
    if isinstance(node, ast.match_case):
        return node.pattern.lineno
    decorators = getattr(node, "decorator_list", [])
    return min([node.lineno, *(decorator.lineno for decorator in decorators)])  # type: ignore[attr-defined]


def _last(node: ast.AST) -> int:
    if isinstance(node, ast.match_case):
        return _last(node.body[-1])
    return node.end_lineno or node.lineno  # type: ignore[attr-defined]
