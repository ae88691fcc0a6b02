"""Exact evidence about steps of programs: what is refuted, where, and all that must be left open."""

import time

import pytest

from checkers import Limits, Pool, Status, check_code_steps, program_of
from checkers.code_steps import examples_of
from checkers.programs import code_lines
from checkers.syntax import completable, first_fault

QUESTION = "Write f(xs). Keep the even numbers. Return the sum. f([1, 2, 4]) is 6. f([3]) is 0."


def refuted(question: str, steps: list[str], entry_point: str = "") -> list[int]:
    verdicts = check_code_steps(question, steps, entry_point, limits=Limits(seconds=8))
    assert len(verdicts) == len(steps)
    assert all(verdict.status is not Status.CORRECT for verdict in verdicts)
    return [i for i, verdict in enumerate(verdicts) if verdict.status is Status.INCORRECT]


HEAD = ["# keep the even numbers", "def f(xs):", "    xs = [x for x in xs if x % 2 == 0]"]
BEGUN = "def helped(x):\n    return x\n\n\ndef f(x):\n    '''Twice.\n    >>> f(2)\n    4\n    '''\n"
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
    (QUESTION, ["```bash", "pip install x", "```", "We sum (here", "it is:"], []),
    (QUESTION, ["For", "```", "4 5", "```", "it is 4."], []),  # an example of the input
    (QUESTION, ["```python", ">>> f([3])", "0", "```", "```", "def f(xs):", "    return 7", "```"], [6]),
    (QUESTION, ["```python", *HEAD, "    return h(xs)", "```", "```python", "def h(xs):", "..."], []),
    (QUESTION, ["1. So:", "   ```python", "   def f(xs):", "       return 7", "   ```"], [3]),
    (BEGUN, ["    y = 2 * x", "    return y"], []),
    (BEGUN, ["    y = 3 * x", "    return y"], [1]),
    (BEGUN, ["```python", "    return 3 * x", "```"], [1]),
    (BEGUN, ["    return helped(x)", "", "This is (it"], []),
    (BEGUN, ["    y = z", "    return y"], [0]),
    (BEGUN, ["    y = (2 * x", "    return y]"], [1]),
    (BEGUN, ["def f(x):", "    return 3 * x"], [1]),
    (BEGUN.replace("    '''T", "    import math\n    '''T"), ["    return 3 * x"], [0]),
    (BEGUN, ["We double.", "    y = z", "  - so"], []),
    ("Write the function f:\ndef f(x):", ["    y = z"], []),  # the question is no Python
    ("f(2) is roughly 4.", ["def f(x):", "    return 1"], []),
    ("f(2) is 0.33.", ["def f(x):", "    return 1 / 3"], []),
    ("f(a) is 3. g(2) is 3.", ["def f(x):", "    return 1"], []),
    ("f(5) is 2 more than f(4).", ["def f(x):", "    return 2 * x"], []),  # no value of f(5)
    ("f(3) returns 3 values.", ["def f(x):", "    return [1] * x"], []),
    ("f(1) is 1,000.", ["def f(x):", "    return 1000 * x"], []),
    ("f(1) is 4, f(2) is 5 (see below).", ["def f(x):", "    return x"], [1]),
    ("f(1) is 4 and f(2) is 5", ["def f(x):", "    return x"], [1]),
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
    f(6) -> 3 - 1 = 2, f(7) == 1 + 9
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


F = "def f(x):\n    return 2 * x\n"
PROGRAMS = [  # a text, the entry point, what stands before; the program
    (f"```python\n{F}```\nf(2) is\n```\n4\n```", "f", "", F),
    (f"```python\n{F}```\nUse:\n```python\nprint(f(2))\n```\n", "f", "", F),
    (f"```python\nf = 1\n```\nBetter:\n```python\n{F}```\n```\n>>> f(2)\n4\n```", "f", "", F),
    (f"```python\nimport math\n```\n```\n4\n```\n```python\n{F}```", "f", "", F),
    (
        "```python\nimport math\n```\nThen\n```python\ndef f(x):\n    return math.sqrt(g(x))\n```\nwhere\n"
        "```python\ndef g(x):\n    return x\n```\nso\n```\n2\n```",
        "f", "",
        "import math\n\ndef f(x):\n    return math.sqrt(g(x))\n\ndef g(x):\n    return x\n",
    ),
    ("```\nclass Solution:\n    def f(self, x): return x\n```\n```python\nSolution().f(1)\n```", "f", "",
     "class Solution:\n    def f(self, x): return x\n"),
    ("```python\nprint(int(input()) * 2)\n```\nFor 2:\n```\n4\n```\n", "", "", "print(int(input()) * 2)\n"),
    ("```python\nprint(1)\n```\n```\nYes\nNo\n```\n```\n1 2\n```\n```\nx: 3\n```", "", "", "print(1)\n"),
    ("- So:\n  ```python\n  def f(x):\n      return 2 * x\n  ```\n", "f", "", F),
    (f"{F}\nThis doubles x (it's simple).\n", "f", "", F + "\n"),
    (f"Here is it:\n{F}print(f(1))\n\nExplanation: it doubles.\n", "f", "", F + "print(f(1))\n\n"),
    (f"R = 3\n\n{F}\nThat's all.\n", "f", "", f"R = 3\n\n{F}\n"),
    (f"Here:\nR, S = 3, 4\nT = R\n{F}\nThat's all.\n", "f", "", f"R, S = 3, 4\nT = R\n{F}\n"),
    ("print(int(input()))\ndef g(): pass\n\nThat's all.\n", "", "", "print(int(input()))\ndef g(): pass\n\n"),
    ("def f(x):\n    y = (x\n    return y\n", "f", "", "def f(x):\n    y = (x\n    return y\n"),  # no prose
    (f"{F}        x)\n", "f", "", f"{F}        x)\n"),
    (f"{F}else:\n    pass\n", "f", "", f"{F}else:\n    pass\n"),
    (f"{F}print(f(2)\n", "f", "", f"{F}print(f(2)\n"),
    ("    return 2 * x\n", "f", "def f(x):\n", F),
    ("```python\n    return 2 * x\n```\ngives\n```\n4\n```", "f", "def f(x):\n", F),
    ("```\n    return 2 * x\n```\n```python\nprint(f(2))\n```", "f", "def f(x):\n", F),
    ("    return 2 * x\n\nThat is all, it's done.\n", "f", "def f(x):\n", F + "\n"),
    (f"```python\n{F}```", "f", "def f(x):\n", F),
    ("```python\ndef f(x: List): return h(x)\n```", "f",
     "from typing import List\ndef h(x): return x\ndef f(x):\n",
     "from typing import List\ndef h(x): return x\n\ndef f(x: List): return h(x)\n"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "entry_point", "begin", "program"), PROGRAMS)
def test_the_program_is_the_one_that_is_asked_for(text, entry_point, begin, program):
    assert program_of(text, entry_point, begin) == program


def test_what_is_read_of_a_beginning_is_the_beginning_of_what_is_read():
    for text, *_ in PROGRAMS:
        lines = text.split("\n")
        for body in (False, True):
            whole = code_lines(lines, body)[0]
            for count in range(len(lines)):
                found = code_lines(lines[:count], body)[0]
                assert found == whole[: len(found)]


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
