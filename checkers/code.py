"""A model's Python program against tests: run in a sandbox, called by value, judged outside of it.

    check_code("def add(a, b): return a + b", ["assert add(1, 2) == 3"]).status      # correct
    check_code(program, [CallCase("add", (1, 2), 3), {"function": "add", "args": [1, 2], "expected": 3}])
    check_code("print(int(input()) * 2)", [StdinCase("4", "8"), {"stdin": "5", "stdout": "10"}])
    check_code(program, [human_eval["test"]], entry_point=human_eval["entry_point"])

The tests run in a process of their own, which the program cannot see; only plain data passes between the
two, and both sides of a comparison are compared there. So a program that overrides `__eq__`, patches
built-ins, leaves with status 0, prints a marker or searches its memory for the tests passes nothing.

Every program meets a fresh process, fresh random numbers (seeded alike in every run) and these layers,
tried when the sandbox starts: no privileges (no_new_privs, no capabilities); Landlock (the interpreter's
own library to read, a private /tmp to write, nothing else to open); seccomp (a list of allowed system
calls: no processes, no sockets, no signals to others, no ptrace, no mounts, no keyrings); resource limits; no
environment; no inherited descriptors. User, mount, process, network, IPC and host-name namespaces come on
top where the kernel lets us have them. See `active_layers`.

What it does not stop:

- A fault in the kernel itself, reached through the system calls that remain, or in the processor
  (Spectre and its kin, timing of shared caches).
- Without a mount namespace, asking whether a path exists and how large it is (`stat`); nothing can be
  read, changed or listed. The interpreter's own folder can be read everywhere, with what lies in it.
- Using the time, memory and threads that it was granted, in each of the programs that you run at once.
- Learning the kernel's version, the clock, the number of processors, the load.
- A wrong program that the tests do not catch, or one that recognises the arguments of a known problem.
- A helper of the program's own that a test calls for its *expected* value: give it in `setup` instead.

What calls by value cannot judge: changes to an argument in place (the program got a copy),
functions passed as arguments and comparisons of two objects of the program's classes; the last two are
undecided. Programs see the standard library alone, without the modules that load further libraries of the
system (sqlite3, ssl, tkinter). Linux on x86_64 and aarch64 only.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from checkers.programs import normalised
from checkers.sandbox import host, values
from checkers.sandbox.host import Sandbox, SandboxError, SandboxFaultError, ZygoteDiedError, active_layers
from checkers.sandbox.limits import Limits
from checkers.verdict import Status, Verdict, correct, incorrect, undecided

__all__ = [
    "CallCase",
    "CodeVerdict",
    "Limits",
    "SandboxError",
    "StdinCase",
    "active_layers",
    "check_code",
]

SandboxLevel = Literal["strict", "weak"]
_ATTEMPTS = 2  # the second with a new zygote, where the first has died
_LONGEST_SHOWN = 200
_Judged = tuple[Verdict, str | None]  # and what the program gave, None where the test does not tell


@dataclass(frozen=True, slots=True)
class StdinCase:
    """A run of the whole program: what it reads from standard input and has to print.

    Trailing spaces of lines and trailing empty lines do not count.

        check_code("print(int(input()) * 2)", [StdinCase("4", "8")]).status  # correct
    """

    stdin: str
    stdout: str


@dataclass(frozen=True, slots=True)
class CallCase:
    """A call of a function of the program's, by value, and what it has to return.

    A list and a tuple of the same parts are the same (JSON has no tuples); `tolerance` is absolute and
    relative, for numbers. An empty `function` stands for the entry point. Where the program has no such
    function, the method of its class `Solution` is called, each time on a new object.

        check_code("def f(x): return x / 3", [CallCase("f", (1,), 0.333, tolerance=0.01)]).status  # correct
    """

    function: str
    args: Sequence[Any] = ()
    expected: Any = None
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    tolerance: float = 0.0


Test = str | StdinCase | CallCase | Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class CodeVerdict(Verdict):
    """A verdict on a program, and one on each test, in order.

        check_code("def f(x): return 2", ["assert f(2) == 2", "assert f(3)==3"]).tests[1].status  # incorrect

    A test that was never reached is undecided. `answer` is what a vote among programs compares (never held
    against what is expected): a digest of what the program gave for the inputs of all tests, right or wrong,
    errors by their kind. Tests that may stop at an assert before they have asked for all (HumanEval's) do not
    tell; then it is a digest of the program's text without comments, docstrings and layout. "" for none.
    """

    tests: tuple[Verdict, ...] = ()
    answer: str = ""


class _UnreadableTestError(ValueError):
    """A test that is none of the known kinds."""


def check_code(
    program: str,
    tests: Sequence[Test],
    *,
    limits: Limits = Limits(),  # noqa: B008 (frozen)
    sandbox: SandboxLevel = "strict",
    entry_point: str | None = None,
    setup: str = "",
) -> CodeVerdict:
    """Whether `program` passes all of `tests`.

        check_code("def f(x): return 2 * x", ["assert f(2) == 4"]).status  # correct

    A test is Python code that must raise nothing (`assert f(1) == 2`, or HumanEval's `def check(candidate)`,
    which is called with the entry point), a StdinCase, a CallCase, or one of these two as a mapping.
    Names in Python tests that are bound nowhere else are the program's; with `entry_point` that name
    is, whatever `setup` (trusted Python code, run before the tests beside them) says.

    A program that outlives `limits.seconds` (all its tests together; each StdinCase by itself) is
    incorrect, unless it waited for a busy machine. Undecided: tests that cannot be read, that never ask the
    program for anything or hang by themselves, and faults of the sandbox.

    Raises: SandboxError where a required layer is missing, unless `sandbox` is "weak" (for programs that
    you trust).
    """
    if sandbox not in ("strict", "weak"):
        raise ValueError(f"expected sandbox 'strict' or 'weak', found {sandbox!r}")
    try:
        cases = [_read_test(test, entry_point) for test in tests]
    except _UnreadableTestError as error:
        return _overall([undecided(str(error))] * len(tests))
    job = {"program": program, "setup": setup, "entry_point": entry_point}
    for _ in range(_ATTEMPTS):
        running = host.shared.get()
        if sandbox == "strict":
            running.demand()
        try:
            found = _judge(running, job, cases, limits)
            answer = _answer(program, [given for _, given in found])
            return replace(_overall([verdict for verdict, _ in found]), answer=answer)
        except ZygoteDiedError as error:
            fault: SandboxFaultError = error
            host.shared.replace(running)
        except SandboxFaultError as error:
            fault = error
            break
    return _overall([undecided(str(fault))] * len(cases))


def _read_test(test: Test, entry_point: str | None) -> str | StdinCase | CallCase:
    """A test as one of our own kinds, its values known to be plain. Raises: _UnreadableTestError."""
    if isinstance(test, Mapping):
        given = dict(test)
        try:
            test = StdinCase(**given) if "stdin" in given else CallCase(**{"function": ""} | given)
        except TypeError:
            raise _UnreadableTestError(
                "expected a test with the keys stdin and stdout, or function, args, kwargs, expected and "
                f"tolerance, found {sorted(map(str, given))}"
            ) from None
    if not isinstance(test, str | StdinCase | CallCase):
        raise _UnreadableTestError(
            f"expected a test as text, StdinCase or CallCase, found {type(test).__name__}"
        )
    if isinstance(test, CallCase) and not (test.function or entry_point):
        raise _UnreadableTestError("a call names no function, and there is no entry point")
    return test


def _judge(
    running: Sandbox, job: dict[str, Any], cases: Sequence[str | StdinCase | CallCase], limits: Limits
) -> list[_Judged]:
    """A verdict on each case: the runs one by one, all others in one process. Raises: SandboxFaultError."""
    asked = [case for case in cases if not isinstance(case, StdinCase)]
    answers = iter(_judge_calls(running, job, asked, limits) if asked else [])
    return [
        _judge_run(running, job["program"], case, limits) if isinstance(case, StdinCase) else next(answers)
        for case in cases
    ]


def _judge_calls(
    running: Sandbox, job: dict[str, Any], cases: Sequence[str | CallCase], limits: Limits
) -> list[_Judged]:
    try:
        tests = [case if isinstance(case, str) else _as_row(case, job["entry_point"]) for case in cases]
    except values.NotPlainError as error:
        return [(undecided(f"a test holds what is no plain data: {error}"), None)] * len(cases)
    reply = running.judge(job | {"tests": tests}, limits)
    if "stopped" in reply:
        return [(incorrect(f"the program {reply['stopped']}"), str(reply["stopped"]))] * len(cases)
    return [
        (Verdict(Status(row[0]), row[1], tuple(row[2]) if row[2] else None), row[3]) for row in reply["rows"]
    ]


def _as_row(case: CallCase, entry_point: str | None) -> dict[str, Any]:
    return {
        "function": case.function or entry_point,
        "args": values.encode(list(case.args)),
        "kwargs": values.encode(dict(case.kwargs)),
        "expected": values.encode(case.expected),
        "tolerance": case.tolerance,
    }


def _judge_run(running: Sandbox, program: str, case: StdinCase, limits: Limits) -> _Judged:
    run = running.run_script(program, case.stdin, limits)
    found, expected = _lines(run.output.decode(errors="replace")), _lines(case.stdout)
    if run.fault:
        return incorrect(f"the program {run.fault}"), run.fault.split(":")[0]
    right = found == expected
    judge, what = (correct, "what was expected") if right else (incorrect, "something else")
    return judge(f"printed {what}", _difference(found, expected)), "\n".join(found)


def _lines(text: str) -> list[str]:
    """Lines without their trailing blanks, without trailing empty lines."""
    lines = [line.rstrip() for line in text.rstrip().split("\n")]
    return [] if lines == [""] else lines


def _difference(found: list[str], expected: list[str]) -> tuple[str, str]:
    """The first line that differs on both sides; the first line where none does."""
    longest = max(len(found), len(expected))
    at = next((i for i in range(longest) if found[i : i + 1] != expected[i : i + 1]), 0)
    return _line(found, at), _line(expected, at)


def _line(lines: list[str], at: int) -> str:
    return lines[at][:_LONGEST_SHOWN] if at < len(lines) else "(nothing)"


def _answer(program: str, given: Sequence[str | None]) -> str:
    """What a vote compares (`CodeVerdict`)."""
    told = bool(given) and None not in given
    kind, text = ("outputs", json.dumps(given)) if told else ("program", normalised(program))
    return f"{kind} {hashlib.sha256(text.encode(errors='replace')).hexdigest()[:16]}"


def _overall(verdicts: Sequence[Verdict]) -> CodeVerdict:
    """Incorrect where one test is, else undecided where one is, else correct; the first such says why."""
    for status in (Status.INCORRECT, Status.UNDECIDED):
        for number, verdict in enumerate(verdicts, 1):
            if verdict.status is status:
                where = f"test {number} of {len(verdicts)}: " if len(verdicts) > 1 else ""
                return CodeVerdict(status, where + verdict.reason, verdict.compared, tuple(verdicts))
    if not verdicts:
        return CodeVerdict(Status.UNDECIDED, "there are no tests")
    count = f"{len(verdicts)} tests" if len(verdicts) > 1 else "1 test"
    return CodeVerdict(Status.CORRECT, f"passes {count}", verdicts[-1].compared, tuple(verdicts))
