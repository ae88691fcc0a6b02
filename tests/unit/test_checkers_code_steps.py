"""Exact evidence about steps of programs: what is refuted, where, and all that must be left open."""

import time

import pytest

from checkers import Limits, Pool, Status, check_code_steps, program_of
from checkers.code_steps import examples_of
from checkers.syntax import completable, first_fault

QUESTION = "Write f(xs). Keep the even numbers. Return the sum. f([1, 2, 4]) is 6. f([3]) is 0."


def refuted(question: str, steps: list[str], entry_point: str = "") -> list[int]:
    verdicts = check_code_steps(question, steps, entry_point, limits=Limits(seconds=8))
    assert len(verdicts) == len(steps)
    assert all(verdict.status is not Status.CORRECT for verdict in verdicts)
    return [i for i, verdict in enumerate(verdicts) if verdict.status is Status.INCORRECT]


HEAD = ["# keep the even numbers", "def f(xs):", "    xs = [x for x in xs if x % 2 == 0]"]
CASES = [
    (QUESTION, [], []),
    (QUESTION, [*HEAD, "    return sum(xs)"], []),
    (QUESTION, [line + "\n" for line in [*HEAD, "    return sum(xs)"]], []),
    (QUESTION, [*HEAD, "    return len(xs)"], [3]),
    (QUESTION, [*HEAD, "    s = len(xs)"], []),  # not complete
    (QUESTION, [*HEAD, "    return xs + 1"], [3]),  # TypeError
    (QUESTION, [*HEAD, "    return helper(xs)"], [3]),
    (QUESTION + " helper is given.", [*HEAD, "    return helper(xs)"], []),
    (QUESTION, [*HEAD, "    return helper(xs)", "def helper(xs):", "    return sum(xs)"], []),
    (QUESTION, [*HEAD, "    total += 1", "    total = 0"], [3]),
    (QUESTION, [*HEAD, "    s = s + 1"], [3]),
    (QUESTION, [*HEAD, "    ys = [y for y in xs if y > k]"], []),  # perhaps there are none
    (QUESTION, [*HEAD, "    if xs and k:", "        pass"], []),
    (QUESTION, [*HEAD, "    if k:", "        pass"], [3]),
    (QUESTION, [*HEAD, "    if not xs: return 0", "    return k"], []),
    (QUESTION, [*HEAD, "    global k", "    return k"], []),
    (QUESTION, ["R = 3", "def f(xs):", "    return R"], []),  # R is not in what we take for the program
    ("Sum.", ["R = 3", "def f(xs):", "    return R"], []),
    (QUESTION, ["from math import *", "def f(xs):", "    return k"], []),
    (QUESTION, ["def f(xs):", "    try:", "        k", "    except NameError:", "        k = 1"], []),
    (QUESTION, ["def f(xs):", "    def g():", "        return k", "    k = 1"], []),
    (QUESTION, ["def f(xs):", "    while (n := len(xs)) > 3:", "        pass"], []),
    (QUESTION, ["def f(xs):", "    xs = [x for x in xs", "          if x]"], []),
    (QUESTION, ["def f(xs):", "    xs = [x for x in xs)"], [1]),
    (QUESTION, ["def f(xs):", "    return sum(xs"], []),
    (QUESTION, ["def f(xs)", "    return sum(xs)"], [0]),
    (QUESTION, ["def f(xs):", "return sum(xs)"], []),  # at the margin it may be prose
    (QUESTION, ["```python", "def f(xs):", "return sum(xs)", "```"], [2]),
    (QUESTION, ["def f(xs):", "    for x in xs:", "        y = x", "      z = y"], [3]),
    (QUESTION, ["We keep the even ones (and sum.", "for each x: see."], []),
    (QUESTION, ["Plan: sum.\n", "```python\ndef f(xs):\n", "    return 7\n", "```\nSo it is (done.\n"], [2]),
    (QUESTION, [*HEAD, "    return sum(xs)", "This works as (we saw."], []),
    (QUESTION, ["```", "def f(xs):", "    return 1", "```", "Or:", "```", "def (", "```"], [2]),
    (QUESTION, ["```bash", "pip install (", "```"], []),
    ("f(2) is roughly 4.", ["def f(x):", "    return 1"], []),
    ("f(2) is 0.33.", ["def f(x):", "    return 1 / 3"], []),
    ("f(a) is 3. g(2) is 3.", ["def f(x):", "    return 1"], []),
    (QUESTION, ["def f(xs):", "    return f(xs)"], []),
    (QUESTION, ["def f(xs):", "    while True: pass", "    return 1"], []),
    (QUESTION, ["def f(xs):", "    import os", "    os._exit(0)", "    return 1"], []),
    (QUESTION, ["def f(xs):", "    print(" + "(" * 5_000], []),
    (QUESTION, ["def f(xs):", "    x = " + "-" * 20_000 + "1"], []),
    (QUESTION, ["def f(xs):", "    x = '\0'"], [1]),
]


@pytest.mark.parametrize(("question", "steps", "found"), CASES)
def test_a_case(question, steps, found):
    assert refuted(question, steps) == found


def test_what_is_told():
    verdict = check_code_steps("f(2) is 4.", ["def f(x):\n", "    return x + 3\n"])[1]
    assert verdict.compared == ("5", "4")
    assert (
        refuted("g(2) is 4. f(1) is 2.", ["def f(x):", "    return 2", "def g(x):", "    return 2"], "f")
        == []
    )


def test_examples():
    text = """>>> f(1, 'a')
    [2]
    >>> f(2)

    f([1, 2]) is 3. assert f((1, 2)) == (3, 4), and `g("x)") returns "y"`; f(1) is 1, f(x) is 2.
    f(5) -> {'a': [1]}
    """
    found = [(example.function, example.args, example.expected) for example in examples_of(text)]
    assert found == [
        ("f", (1, "a"), [2]),
        ("f", ([1, 2],), 3),
        ("f", ((1, 2),), (3, 4)),
        ("g", ("x)",), "y"),
        ("f", (1,), 1),
        ("f", (5,), {"a": [1]}),
    ]


BLOCKS = """
import re
@property
def f(x, *, y: int = 3) -> int:
    '''A text (with [ brackets

    over lines.'''
    try:
        for i in range(3):
            if x: break
        else:
            y = {1: 2,
                 3: 4}
        with open(x) as z, \\
             open(y):
            pass
    except (ValueError,
            TypeError) as e:
        raise
    finally:
        x = 1
    match x:
        case [1, *_]:
            return f"{x}"
    # the end
    async def g(): return lambda a: a
    return x


class A:
    b = 1
"""


def test_every_beginning_of_a_program_can_be_completed():
    lines = BLOCKS.split("\n")
    for count in range(len(lines)):
        assert completable(lines[:count]), lines[count - 1]
    assert first_fault(lines) == -1
    for place, line in enumerate(lines):
        if line.strip() and "(with" not in line and "brackets" not in line:
            wrong = [*lines[:place], line.rstrip("\\") + " ) = 1", *lines[place + 1 :]]
            assert first_fault(wrong) in (-1, *range(max(place - 3, 0), place + 4))


def test_program_of():
    assert program_of("Plan.\n```python\ndef f():\n    pass\n```\nDone.") == "def f():\n    pass\n"
    assert program_of("R = 3\ndef f():\n    pass\n") == "R = 3\ndef f():\n    pass\n"
    assert program_of("A plan, told.\ndef f():\n    pass\n") == "def f():\n    pass\n"
    assert program_of("print(3)\n") == "print(3)\n"
    assert program_of("```\nx = 1\n```\nthen\n```\ny = 2\n") == "y = 2\n\n"


def test_in_a_pool():
    right, wrong = [*HEAD, "    return sum(xs)"], [*HEAD, "    return len(xs)"]
    endless = ["def f(xs):", "    while True:", "        pass", "    return 0"]
    with Pool(workers=1, deadline_seconds=4) as pool:
        began = time.monotonic()
        found = pool.map("code_steps", [(QUESTION, right), (QUESTION, wrong, "f"), (QUESTION, endless)])
        assert time.monotonic() - began < 60
    assert [[str(verdict.status)[0] for verdict in row] for row in found] == [
        list("uuuu"),
        list("uuui"),
        list("uuuu"),
    ]
