"""The trusted process: it runs the tests, asks the candidate for values and compares them itself.

It is sealed by the same layers as a candidate, in a process of its own that no candidate can see. A
test is correct when it raises nothing and has asked the program at least once.
"""

import ast
import contextlib
import math
import re
import traceback
from collections.abc import Callable
from typing import Any

from checkers.sandbox import values
from checkers.sandbox.candidate import READY
from checkers.sandbox.cases import (
    SAW,
    Namespace,
    asks_all,
    borrowed_names,
    defines_check,
    program_builtins,
    remembering,
)
from checkers.sandbox.channel import Channel, ChannelClosedError, ChannelGarbageError
from checkers.sandbox.remote import ProgramError, ProgramGoneError, Session, UnsendableError

Row = list[Any]  # status, reason, compared (two texts, or None); from `judge` also what the program gave
Test = ast.Module | dict[str, Any]  # Python code, or a call with its expected value
_LONGEST_TEST_SHOWN, _LONGEST_MESSAGE = 120, 300
_LONGEST_GIVEN = 10_000
_MISSING = re.compile(r"No module named '(?:numpy|pandas|scipy|sympy|sklearn|networkx|sortedcontainers)\b")
_NEVER_ASKED = "never asks the program for anything"


class _UnreadableTestsError(Exception):
    """The tests cannot be used; nothing is known about the program."""


def main(caller: Channel, candidate: Channel) -> None:
    """Judge one job: `{"program", "tests", "setup", "entry_point", "seconds", "largest"}`.

    The reply is `{"rows": one a test, "overran": whether the program's time ran out}` or `{"fault": why}`.
    """
    job = caller.receive()
    try:
        with contextlib.suppress(ChannelClosedError):  # it may have said why before it ended
            candidate.send(["greeting"])
        ready = candidate.receive()
        if ready != READY:
            caller.send({"fault": str(ready[1])})
            return
    except (ChannelClosedError, ChannelGarbageError, LookupError) as error:
        caller.send({"fault": f"the program's process did not start: {error}"})
        return
    candidate.largest = job["largest"]
    session = Session(candidate, job["seconds"])
    try:
        rows = judge(job, session)
    except _UnreadableTestsError as error:
        rows = [["undecided", str(error), None, None]] * len(job["tests"])
    caller.send({"rows": rows, "overran": session.overran})


def judge(job: dict[str, Any], session: Session) -> list[Row]:
    """One row for each test. Its last part is what the program gave, right or wrong (a raised error by its
    kind); None where the test may stop at an assert before it has asked for all."""
    codes = [_parse(test, f"test {i}") for i, test in enumerate(job["tests"], 1)]
    setup = _parse(job["setup"], "the setup")
    trees = [code for code in codes if isinstance(code, ast.Module)]
    entry = job["entry_point"]
    remote = {entry} if entry else program_builtins(trees)
    space = Namespace(session, remote, borrowed_names([ast.parse(job["setup"]), *trees]))
    if fault := _prepare(job["program"], setup, session, space):
        return [[*fault, _given(code, session)] for code in codes]
    if entry:
        space.prefer_program(entry)
    rows = []
    for code, source in zip(codes, job["tests"]):
        session.heard = [session.gone] if session.gone else []
        row = _judge_one(code, source, entry, session, space)
        rows.append([*row, _given(code, session)])
    return rows


def _given(test: Test, session: Session) -> str | None:
    return "\n".join(session.heard)[:_LONGEST_GIVEN] if asks_all(test) else None


def _parse(test: Any, what: str) -> Test:
    """The syntax tree of test code; a call (a dictionary) as it is."""
    if isinstance(test, dict):
        return test
    try:
        return ast.parse(test)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise _UnreadableTestsError(f"{what} is not Python: {error}") from None


def _prepare(program: str, setup: Test, session: Session, space: Namespace) -> Row | None:
    """Load the program and run the setup; the verdict on every test where that fails."""
    try:
        session.ask("load", program)
    except ProgramGoneError as error:
        return ["incorrect", f"while loading the program: {error}", None]
    except Exception as error:
        missing = isinstance(error, ImportError) and _MISSING.search(str(error))
        return [
            "undecided" if missing else "incorrect",
            f"the program cannot be loaded: {_describe(error)}",
            None,
        ]
    row = _outcome(lambda: _execute(setup, "<setup>", space), "the setup", session)
    return None if row[0] == "correct" or row[1].endswith(_NEVER_ASKED) else row


def _judge_one(test: Test, source: Any, entry: str | None, session: Session, space: Namespace) -> Row:
    if session.gone:
        return ["undecided", f"not run: {session.gone} in an earlier test", None]
    if isinstance(test, dict):
        return _judge_call(test, session, space)
    seen: dict[int, str] = {}
    space[SAW] = lambda side, value: _remember(seen, side, value, session)
    check = entry if entry and defines_check(test) else None
    before = session.calls

    def run() -> None:
        _execute(remembering(test), "<test>", space)
        if check and session.calls == before:
            space["check"](space[check])

    return _outcome(run, _first_line(source), session, lambda: _pair(seen), source)


def _remember(seen: dict[int, str], side: int, value: Any, session: Session) -> Any:
    if side == 0 and any(value is sent for sent in session.sent):
        raise UnsendableError("a test looks at an argument after the call, which changed a copy at most")
    if side == 0:
        seen.clear()
    seen[side] = values.show(value)
    return value


def _execute(tree: Test, name: str, space: Namespace) -> None:
    if isinstance(tree, ast.Module):
        exec(compile(tree, name, "exec"), space)


def _outcome(
    run: Callable[[], None],
    what: str,
    session: Session,
    compared: Callable[[], list[str] | None] = lambda: None,
    source: str = "",
) -> Row:
    """The row for one piece of test code, whoever's fault its failure is."""
    before = session.calls
    try:
        run()
    except ProgramGoneError as error:
        return ["incorrect", f"{error}: {what}", None]
    except (UnsendableError, ImportError, SystemExit) as error:
        return ["undecided", f"{what}: {_describe(error)}", None]
    except Exception as error:
        status = "incorrect" if session.calls > before else "undecided"
        if isinstance(error, AssertionError):
            return [status, f"{_failed_line(error, source) or what} failed", compared()]
        if _limit_of_proxies(error, session):
            status = "undecided"
        return [status, f"{what}: {_describe(error)}", None]
    if session.calls == before:
        return ["undecided", f"{what}: {_NEVER_ASKED}", None]
    return ["correct", "passed", compared()]


def _limit_of_proxies(error: Exception, session: Session) -> bool:
    """Whether a test did with an object of the program what only the program can: `next(f())`, `a + b`."""
    of_program = bool(session.heard) and session.heard[-1].startswith("raised")
    ours = "'Remote'" in str(error) or "catching classes" in str(error)
    return isinstance(error, TypeError) and ours and not of_program


def _judge_call(case: dict[str, Any], session: Session, space: Namespace) -> Row:
    what = f"{case['function']}({_arguments(case)})"
    expected = values.decode(case["expected"])
    arguments, keywords = values.decode(case["args"]), values.decode(case["kwargs"])
    found: list[Any] = []

    def run() -> None:
        found.append(_function(case["function"], space)(*arguments, **keywords))
        if not same(found[0], expected, case["tolerance"]):
            raise AssertionError

    def compared() -> list[str] | None:
        return [values.show(found[0]), values.show(expected)] if found else None

    return _outcome(run, what, session, compared)


def _function(name: str, space: Namespace) -> Any:
    """The program's function, or the method of a new object of its class `Solution`. Raises: NameError."""
    try:
        return space.of_program(name)
    except NameError as error:
        try:
            solution = space.of_program("Solution")
        except NameError:
            raise error from None
        return getattr(solution(), name)


def same(found: Any, expected: Any, tolerance: float) -> bool:
    """Equal, where a list and a tuple of the same parts are the same, and nan is nan.

    `tolerance` is absolute and relative, for floats; 0 demands equality.
    """
    if isinstance(found, list | tuple) and isinstance(expected, list | tuple):
        pairs = zip(found, expected)
        return len(found) == len(expected) and all(same(a, b, tolerance) for a, b in pairs)
    if isinstance(found, dict) and isinstance(expected, dict):
        return found.keys() == expected.keys() and all(
            same(found[k], expected[k], tolerance) for k in expected
        )
    if isinstance(found, float | int) and isinstance(expected, float | int):
        return _same_number(found, expected, tolerance)
    return bool(found == expected)


def _same_number(found: float, expected: float, tolerance: float) -> bool:
    if found == expected or (found != found and expected != expected):
        return True
    if not tolerance:
        return False
    try:
        return math.isclose(found, expected, rel_tol=tolerance, abs_tol=tolerance)
    except OverflowError:
        return False


def _arguments(case: dict[str, Any]) -> str:
    return ", ".join(
        [values.show(x, 40) for x in values.decode(case["args"])]
        + [f"{k}={values.show(v, 40)}" for k, v in values.decode(case["kwargs"]).items()]
    )[:_LONGEST_TEST_SHOWN]


def _pair(seen: dict[int, str]) -> list[str] | None:
    return [seen[0], seen[1]] if len(seen) == 2 else None


def _first_line(source: str) -> str:
    lines = source.strip().splitlines() or ["an empty test"]
    return lines[0][:_LONGEST_TEST_SHOWN] + (" …" if len(lines) > 1 else "")


def _failed_line(error: AssertionError, source: str) -> str:
    """The line of a test at which it failed."""
    lines = source.splitlines()
    at = [f.lineno or 0 for f in traceback.extract_tb(error.__traceback__) if f.filename == "<test>"]
    return lines[at[-1] - 1].strip()[:_LONGEST_TEST_SHOWN] if at and at[-1] <= len(lines) else ""


def _describe(error: BaseException) -> str:
    kind, text = type(error).__name__, str(error)[:_LONGEST_MESSAGE]
    if isinstance(error, UnsendableError | ProgramError):
        return text
    return f"{kind}: {text}" if text else kind
