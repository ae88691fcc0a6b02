"""Where the program is in a text: fenced blocks, or from the first line of code on. Python only."""

import re
from collections.abc import Iterator, Sequence

from checkers.syntax import parsed

_FENCE = re.compile(r"\s*(?:`{3,}|~{3,})\s*([\w+-]*)\s*$")
_CODE = re.compile(r"(?:(?:async )?def \w|class \w|import \w|from [\w.]+ import |@\w)")


def program_of(text: str) -> str:
    """The program that a text holds: its last fenced block that is Python (or unnamed) and not blank; without
    fences, all of the text if that is Python, else the text from its first line of code on.

        program_of("We add.\\n```python\\nx = 1\\n```\\nDone.")  # "x = 1\\n"

    A text without either is given back whole: it may be a script.
    """
    lines = text.split("\n")
    if parsed(lines) is not None:
        return text
    blocks = [block for block in _blocks(lines) if "".join(block).strip()]
    if blocks:
        return "\n".join(blocks[-1]) + "\n"
    first = next((i for i, line in enumerate(lines) if _CODE.match(line)), 0)
    return "\n".join(lines[first:])


def _blocks(lines: Sequence[str]) -> Iterator[list[str]]:
    """The fenced blocks of Python; one that is never closed goes on to the end."""
    block: list[str] | None = None
    wanted = False
    for line in lines:
        fence = _FENCE.match(line)
        if fence and block is None:
            block, wanted = [], fence[1].lower() in ("", "python", "py", "python3")
        elif fence and block is not None and not fence[1]:
            if wanted:
                yield block
            block = None
        elif block is not None:
            block.append(line)
    if block is not None and wanted:
        yield block


def code_lines(steps: Sequence[str]) -> tuple[list[tuple[int, str]], bool]:
    """The lines of the first program in a chain, each with the step in which it ends, and whether the
    chain says that it is over (its fence was closed).

    Steps are as they were cut: joined they are the text; where none but the last holds a line end, each
    is a line. What is read of a beginning of the chain is the beginning of what is read.
    """
    lines: list[tuple[int, str]] = []
    fenced = False
    for number, line in _lines(steps):
        fence = _FENCE.match(line)
        if fence and (fenced or lines):
            return lines, fenced
        if fence and fence[1].lower() in ("", "python", "py", "python3"):
            fenced = True
        elif fenced or lines or _CODE.match(line):
            lines.append((number, line))
    return lines, False


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
