"""Steps of a program: what is certainly wrong with one, whoever wrote it. Nothing is ever confirmed.

A step is refuted
- if with it the program can no longer be completed into valid Python (`checkers.syntax`),
- if it certainly reads a name that nothing has defined (`checkers.undefined`),
- if a function is complete with it and an example of the question (`>>> f(1)`, `f([1, 2]) is 3`,
  `assert f(2) == 4`) gives another value, or raises, in the sandbox.

Everything else is undecided: a plan, prose, passing examples, programs that do not end. After a second
program in the same chain has begun, nothing is said. Where the question is the beginning of a program that
breaks off in a function (HumanEval), steps that begin with an indented line go on with it.
"""

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from checkers.code import CallCase, SandboxLevel, check_code
from checkers.programs import HEADER, code_lines
from checkers.sandbox.limits import Limits
from checkers.syntax import first_fault, parsed
from checkers.undefined import undefined_names
from checkers.verdict import Status, Verdict, incorrect, undecided

__all__ = ["check_code_steps", "examples_of"]

MOST_LINES = 1_000
LONGEST = 50_000  # characters
_MOST_EXAMPLES = 5
_MOST_RUNS = 2  # functions of a chain that are run, which share the time
_NOTHING = undecided("nothing of this step can be refuted")
_NAME = re.compile(r"[A-Za-z_]\w*")
_SET = re.compile(  # also outside of what we take for the program
    r"^(?:(?:async )?def\s+|class\s+|(?=\w+\s*[=,:]))([A-Za-z_]\w*)", re.MULTILINE
)
_DOCTEST = re.compile(r"^\s*>>>\s*(.+?)\s*\n\s*(\S.*?)\s*$", re.MULTILINE)
_CALL = re.compile(r"\b([A-Za-z_]\w*)\(")
_IS = re.compile(r"\s*(?:==|=>|->|➞|→|is|returns?|should (?:be|return)|gives)\s+")
_ENDS = re.compile(  # not in `f(5) is 2 more than f(4)`, `f(3) returns 3 values`, `f(1) is 1,000`
    r"[`)]*(?:[.,;:)](?![0-9])|\s*(?:$|[#(])|\s+(?:and|or|but|because|since|as|while|whereas|if|for|when|where)\b)"
)
_GROUPED = re.compile(r"-?[0-9]{1,3}(?:,[0-9]{3})+")  # to Python `1,000` is a pair
_GOES_ON = re.compile(r"\s*[-+*/%=<>^]")  # `f(1) is 3 - 1 = 2`
_RAISED = re.compile(r".*: (?:TypeError|ValueError|IndexError|KeyError|ZeroDivisionError|AttributeError): ")
_CLOSERS = {"(": ")", "[": "]", "{": "}"}
_TOLERANCE = 0.01  # examples are often rounded


def check_code_steps(
    question: str,
    steps: Sequence[str],
    entry_point: str = "",
    *,
    limits: Limits = Limits(),  # noqa: B008 (frozen)
    sandbox: SandboxLevel = "strict",
) -> list[Verdict]:
    """One verdict for each step: incorrect with a reason, or undecided.

        check_code_steps("f(2) is 4.", ["def f(x):\\n", "    return x + 3\\n"])[1].compared  # ("5", "4")

    `steps` are as they were cut (`checkers.programs.code_lines`). Examples are those of `entry_point`,
    or, without one, of any function that the chain defines.

    Raises: SandboxError as `check_code` does.
    """
    verdicts = [_NOTHING] * len(steps)
    begun, name = _begun(question)
    read, over = code_lines(steps, body=bool(begun))
    if begun and read and read[0][1][:1].isspace():  # the steps go on where the question breaks off
        entry_point = entry_point or name
    else:
        begun = []
    lines = [*((-1, line) for line in begun), *read]
    text = [line for _, line in lines]
    if not read or len(lines) > MOST_LINES or sum(map(len, text)) > LONGEST:
        return verdicts
    faults: dict[int, Verdict] = {}
    fault = first_fault(text)
    if fault >= 0 and (over or text[fault][:1].isspace() or HEADER.match(text[fault])):
        faults[fault] = incorrect(f"no valid Python begins so: {text[fault].strip()[:80]!r}")
    program = text if fault < 0 else text[:fault]
    if (tree := parsed(program)) is not None:
        told = frozenset([*_NAME.findall(question), *_SET.findall("\n".join(steps))])
        for line, name in undefined_names(tree, told):
            faults.setdefault(line - 1, incorrect(f"the name {name!r} is read and nowhere defined"))
        functions = _finished(tree, entry_point, over)
        share = replace(limits, seconds=limits.seconds / _MOST_RUNS)
        for line, verdict in _contradicted(question, program, functions, share, sandbox):
            faults.setdefault(line, verdict)
    for line, verdict in sorted(faults.items(), reverse=True):  # of two in a step, the first is told
        if lines[line][0] >= 0:
            verdicts[lines[line][0]] = verdict
    return verdicts


def _begun(question: str) -> tuple[list[str], str]:
    """The lines of a question that is the beginning of a program and breaks off in a function, as HumanEval's
    do, and the function's name; none for any other."""
    lines = question.rstrip().split("\n")
    tree = parsed(lines)
    last = tree.body[-1] if tree and tree.body else None
    empty = isinstance(last, ast.FunctionDef) and all(
        isinstance(part, ast.Pass | ast.Import)
        or (isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant))
        for part in last.body
    )
    return (lines, last.name) if isinstance(last, ast.FunctionDef) and empty else ([], "")


@dataclass(frozen=True, slots=True)
class Example:
    """A call that the question shows, by value, and its result."""

    function: str
    args: tuple[Any, ...]
    expected: Any


def examples_of(question: str) -> list[Example]:
    """The calls with plain values and their results that a question shows, in order."""
    found = [_example(call, result) for call, result in _DOCTEST.findall(question)]
    found += [_example(call, result) for call, result in _stated(question)]
    return list({repr(example): example for example in found if example}.values())


def _stated(question: str) -> Iterator[tuple[str, str]]:
    """`f(2)` and what is stated of it: the longest beginning of what follows that is a value."""
    for begin in _CALL.finditer(question):
        end = _closing(question, begin.end() - 1)
        link = _IS.match(question, end) if end else None
        if link is None:
            continue
        rest = question[link.end() : link.end() + 500].split("\n")[0]
        for stop in range(len(rest), 0, -1):
            ends = _ENDS.match(rest, stop) and rest[stop - 1] not in ".,"
            if ends and _is_value(rest[:stop]):
                if not _GOES_ON.match(rest, stop) and not _GROUPED.fullmatch(rest[:stop]):
                    yield question[begin.start() : end], rest[:stop]
                break


def _closing(text: str, begin: int) -> int:
    """The place after the bracket that closes the one at `begin`; 0 if none does nearby."""
    waiting: list[str] = []
    quote = ""
    for place in range(begin, min(begin + 500, len(text))):
        if quote or text[place] in "\"'":
            quote = quote if quote and text[place] != quote else "" if quote else text[place]
        elif text[place] in _CLOSERS:
            waiting.append(_CLOSERS[text[place]])
        elif waiting and text[place] == waiting[-1]:
            waiting.pop()
            if not waiting:
                return place + 1
    return 0


def _is_value(text: str) -> bool:
    try:
        ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        return False
    return True


def _example(call: str, result: str) -> Example | None:
    """None for a call with anything but plain values, and without a result."""
    try:
        node = ast.parse(call, mode="eval").body
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or node.keywords:
            return None
        args = tuple(ast.literal_eval(part) for part in node.args)
        return Example(node.func.id, args, ast.literal_eval(result.strip()))
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        return None


def _contradicted(
    question: str,
    program: Sequence[str],
    functions: Sequence[tuple[str, int]],
    limits: Limits,
    sandbox: SandboxLevel,
) -> Iterator[tuple[int, Verdict]]:
    """The line with which a function was complete, and how an example contradicts it."""
    examples = examples_of(question)
    for name, line in functions:
        asked = [example for example in examples if example.function == name][:_MOST_EXAMPLES]
        tests = [CallCase(name, example.args, example.expected, tolerance=_TOLERANCE) for example in asked]
        if not tests:
            continue
        found = check_code("\n".join(program[: line + 1]) + "\n", tests, limits=limits, sandbox=sandbox)
        for verdict in found.tests:
            raised = _RAISED.match(verdict.reason)
            is_object = verdict.compared and verdict.compared[0].startswith("<")  # which may equal a value
            if verdict.status is Status.INCORRECT and not is_object and (verdict.compared or raised):
                yield line, replace(verdict, reason=f"an example of the question: {verdict.reason}")
                break


def _finished(tree: ast.Module, entry_point: str, over: bool) -> list[tuple[str, int]]:
    """The functions to which nothing more can belong, each with its last line (0-based): their last
    statement is a return, or something comes after them."""
    found = [
        (function.name, (function.end_lineno or 1) - 1)
        for place, function in enumerate(tree.body)
        if isinstance(function, ast.FunctionDef)
        and (over or place < len(tree.body) - 1 or isinstance(function.body[-1], ast.Return))
    ]
    return [(name, line) for name, line in found if name == (entry_point or name)][:_MOST_RUNS]
