"""Whether lines of Python can still become a program. In doubt they can."""

import ast
import io
import tokenize
import warnings
from collections.abc import Sequence

_SOURCE = "<program in a step>"
warnings.filterwarnings("ignore", module=_SOURCE)  # an invalid escape sequence is no fault
_NO_HANDLER = "expected 'except' or 'finally' block"


def parsed(lines: Sequence[str], *, as_it_is: bool = False) -> ast.Module | None:
    """The tree of the lines, an unfinished block completed (not if `as_it_is`); None if there is none (or it
    is too deep)."""
    text = "\n".join(lines)
    for more in ("",) if as_it_is else ("", *_endings(lines)):
        try:
            return _tree(f"{text}\n{more}\n")
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
    return None


def first_fault(lines: Sequence[str]) -> int:
    """The number of the first line (0-based) with which no program can begin; -1 if there is none."""
    if completable(lines):
        return -1
    low, high = 0, len(lines) - 1
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if completable(lines[: middle + 1]) else (low, middle)
    return low


def completable(lines: Sequence[str]) -> bool:
    """Whether more lines may make a program of these."""
    lines = lines[: whole_lines(lines)]
    text = "\n".join(lines)
    for more in ("", *_endings(lines)):
        try:
            _tree(f"{text}\n{more}\n")
        except SyntaxError as error:
            if error.msg == _NO_HANDLER and (error.lineno or 0) > len(lines):
                return True
        except (ValueError, RecursionError, MemoryError):
            return True
        else:
            return True
    return False


def _tree(text: str) -> ast.Module:
    return ast.parse(text, _SOURCE)


def _endings(lines: Sequence[str]) -> list[str]:
    """What may complete a block that has just begun."""
    last = next((line for line in reversed(lines) if line.strip() and not line.strip().startswith("#")), "")
    indent = last[: len(last) - len(last.lstrip())]
    return [
        f"{indent} pass",
        f"{indent} pass\n{indent}except Exception:\n{indent} pass",
        f"{indent}except Exception:\n{indent} pass",
        f"{indent} case _:\n{indent}  pass",
        f"{indent}def _():\n{indent} pass",
    ]


def whole_lines(lines: Sequence[str]) -> int:
    """How many lines there are before a last statement that ends within brackets, a long string, or a line
    that goes on; all of them if there is none such."""
    whole = 0
    text = "\n".join(lines)
    try:
        for token in tokenize.generate_tokens(io.StringIO(text + "\n").readline):
            if token.type == tokenize.NEWLINE and token.start[0] < len(lines):
                whole = token.start[0]
    except tokenize.TokenError:
        return whole
    except (SyntaxError, ValueError):  # a wrong indentation
        return len(lines)
    return whole if text.endswith("\\") else len(lines)
