"""Where the program is in a text: fenced blocks, or from the first line of code on. Python only."""

import ast
import re
import textwrap
from collections.abc import Iterator, Sequence

from checkers.syntax import first_fault, parsed, whole_lines
from checkers.undefined import KNOWN, bound_names, own_nodes

__all__ = ["HEADER", "code_lines", "normalised", "program_of"]

_FENCE = re.compile(r"(\s*)(?:`{3,}|~{3,})\s*([\w+-]*)\s*$")
_CODE = re.compile(r"(?:(?:async )?def \w|class \w+\s*[:(]|import \w|from [\w.]+ import |@\w)")
HEADER = re.compile(
    r"(?:def \w+\s*\(|class \w+\s*[:(]|(?:else|finally|try):|(?:elif|except)\b.*:$)"
)  # no prose
_SET = re.compile(r"[A-Za-z_]\w*(?:\s*,\s*[A-Za-z_]\w*)*\s*=(?!=)")
_INDENTED = re.compile(r"(?: {2,}|\t)\s*\S")
_PYTHON = ("python", "py", "python3")
_DEFINING = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
_DOING = (*_DEFINING, ast.Call, ast.Import, ast.ImportFrom, ast.Return)


def program_of(text: str, entry_point: str = "", begin: str = "") -> str:
    """The program that a text holds; `entry_point` is the function that its tests call, "" for none known.

        program_of("We add.\\n```python\\nx = 1\\n```\\nDone.")                # "x = 1\\n"
        program_of("```\\ndef f(): pass\\n```\\nf() is\\n```\\n4\\n```", "f")  # "def f(): pass\\n"

    A text that is Python is the program. Else, of its fenced blocks that are Python or unnamed, the last one
    that defines the entry point; where none does, the last that is Python and calls, defines, imports or
    returns something (an output like `4` does not); else the last. To it come, in their order, those other
    blocks from which it takes names: the nearest before it (else after it) that defines a name which it reads
    and does not define. Without fences: the text from its first line of code on (a definition, an import, or
    what is set right before), without what comes after it at the margin and is no Python (prose). A text
    without any of these is given back whole.

    `begin` is what stands before a program that only goes on (HumanEval's prompt). A text that does not
    define the entry point is put behind it, fences left out; to one that does, what `begin` holds before the
    entry point (imports, helpers) is added as a block would be.
    """
    lines = text.split("\n")
    whole = parsed(lines) is not None
    blocks = [] if whole else ["\n".join(block) + "\n" for block in _blocks(lines) if "".join(block).strip()]
    at = _chosen(blocks, entry_point, bool(begin)) if blocks else 0
    fenced = bool(blocks)
    if not fenced:
        blocks = [text if whole else _from_first_line(lines)]
    if begin and _defines(blocks[at], entry_point):
        head = _definition(entry_point).split(begin, maxsplit=1)[0]
        blocks, at = [head, *blocks], at + 1
    elif begin:
        blocks[at] = begin + blocks[at] if fenced else _without_prose(begin + text)
    return _with_needed(blocks, at)


def normalised(program: str) -> str:
    """The same text for programs that differ in comments, docstrings and layout alone."""
    try:
        tree = ast.parse(program)
        for node in ast.walk(tree):
            if isinstance(body := getattr(node, "body", None), list):
                body[:] = [part for part in body if not _is_text(part)]
        return ast.dump(tree)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return program.strip()


def _is_text(part: ast.AST) -> bool:
    return isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant)


def _blocks(lines: Sequence[str]) -> Iterator[list[str]]:
    """The fenced blocks of Python, without the fence's own indentation; one that is never closed goes on to
    the end."""
    block: list[str] | None = None
    wanted = False
    margin = ""
    for line in lines:
        fence = _FENCE.match(line)
        if fence and block is None:
            block, wanted, margin = [], fence[2].lower() in ("", *_PYTHON), fence[1]
        elif fence and block is not None and not fence[2]:
            if wanted:
                yield block
            block = None
        elif block is not None:
            block.append(line.removeprefix(margin))
    if block is not None and wanted:
        yield block


def _chosen(blocks: Sequence[str], entry_point: str, goes_on: bool) -> int:
    """The place of the block that is the program; `goes_on`: it may be the body of a function."""
    ways = (
        lambda block: bool(entry_point) and _defines(block, entry_point),
        lambda block: goes_on and bool(_INDENTED.match(block.lstrip("\n"))) and _does_something(block),
        _does_something,
    )
    found = (i for fits in ways for i in reversed(range(len(blocks))) if fits(blocks[i]))
    return next(found, len(blocks) - 1)


def _definition(name: str) -> re.Pattern[str]:
    own = re.escape(name)
    pattern = rf"^(?:[ \t]*(?:async )?def {own}\b|[ \t]*class {own}\b|{own}[ \t]*(?::[^=\n]*)?=(?!=))"
    return re.compile(pattern, re.MULTILINE)


def _defines(program: str, name: str) -> bool:
    return bool(_definition(name).search(program))


def _does_something(block: str) -> bool:
    tree = _python(textwrap.dedent(block))
    return tree is not None and any(isinstance(node, _DOING) for node in ast.walk(tree))


def _python(text: str) -> ast.Module | None:
    return parsed(text.split("\n"), as_it_is=True)


def _from_first_line(lines: Sequence[str]) -> str:
    if _does_something(whole := _without_prose("\n".join(lines))):
        return whole
    first = next((i for i, line in enumerate(lines) if _CODE.match(line)), 0)
    while first and _SET.match(lines[first - 1]):
        first -= 1
    return _without_prose("\n".join(lines[first:]))


def _without_prose(text: str) -> str:
    """The text up to the line at the margin with which it is no Python any more, where that is a program."""
    lines = text.split("\n")
    end = whole_lines(lines[: max(first_fault(lines), 0)])
    after = next((line for line in lines[end:] if line.strip()), "")
    code = after[:1].isspace() or _CODE.match(after) or HEADER.match(after)
    if end == 0 or code or parsed(lines[:end], as_it_is=True) is None:
        return text
    return "\n".join(lines[:end]) + "\n"


def _with_needed(blocks: Sequence[str], at: int) -> str:
    """The block at `at`, and the others that it takes names from."""
    trees = [_python(block) for block in blocks] if len(blocks) > 1 else [None]
    tops = [bound_names(own_nodes(tree.body)) if tree else set() for tree in trees]
    kept = {at}
    while trees[at] is not None:
        nodes = [node for i in kept for node in ast.walk(trees[i] or ast.Module([], []))]
        read = {node.id for node in nodes if isinstance(node, ast.Name)}
        more = {_nearest(tops, name, at) for name in read - bound_names(nodes) - KNOWN} - kept
        if not more:
            break
        kept |= more
    return "\n".join(blocks[i] for i in sorted(kept))


def _nearest(tops: Sequence[set[str]], name: str, at: int) -> int:
    """The place of the block that sets a name (or may, by a star import); `at` if no other does."""
    places = [i for i, top in enumerate(tops) if i != at and top & {name, "*"}]
    return max((i for i in places if i < at), default=min(places, default=at))


def code_lines(steps: Sequence[str], body: bool = False) -> tuple[list[tuple[int, str]], bool]:
    """The lines of the first program in a chain, each with the step in which it ends, and whether the
    chain says that it is over (its fence was closed).

    Steps are as they were cut: joined they are the text; where none but the last holds a line end, each
    is a line. What is read of a beginning of the chain is the beginning of what is read. So this cannot be
    the block that `program_of` takes, which may come later: it is the first that is certainly no example and
    no output. A block named Python whose first line is no `>>>`, or an unnamed one whose first line defines,
    imports or decorates; in front of either, such a line outside of fences. With `body` also an indented
    line that is the first of the chain, or of its block: the program goes on with a function.
    """
    lines: list[tuple[int, str]] = []
    block: re.Match[str] | None = None
    undecided = True  # whether all there was so far, in the block or in the chain, is blank or comments
    for number, line in _lines(steps):
        fence = _FENCE.match(line)
        if fence and lines:
            return lines, block is not None
        if fence:
            block, undecided = (None, False) if block and not fence[2] else (fence, True)
            continue
        line = line.removeprefix(block[1] if block else "")
        if lines or (block is None and _CODE.match(line)) or (undecided and _begins(line, block, body)):
            lines.append((number, line))
        undecided = undecided and (not line.strip() or line.lstrip().startswith("#"))
    return lines, False


def _begins(line: str, block: re.Match[str] | None, body: bool) -> bool:
    """Whether the first line of a block, or of a chain, is one of a program."""
    if block and block[2].lower() in _PYTHON:
        return bool(line.strip()) and not line.lstrip().startswith((">>>", "#"))
    if block and block[2]:
        return False
    return bool(_CODE.match(line) or (body and _INDENTED.match(line)))


def _lines(steps: Sequence[str]) -> Iterator[tuple[int, str]]:
    separator = "" if any("\n" in step for step in steps[:-1]) else "\n"
    begun: list[str] = []
    for number, step in enumerate(steps):
        last = number == len(steps) - 1
        *whole, rest = (step if last else step + separator).split("\n")
        for part in whole:
            yield number, "".join((*begun, part)).rstrip("\r")
            begun = []
        begun.append(rest)
    if "".join(begun):
        yield len(steps) - 1, "".join(begun)
