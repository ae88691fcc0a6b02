"""Every row of the truth table in docs/world_code.md, on hand-written tasks."""

import json
import time

import pytest

from distill.records import Problem
from generators.code_world import has_answer, judge
from generators.code_world.build import Task, _problem, _tests
from generators.code_world.operations import OPERATIONS, Applied


def make(takes: str, *operations: tuple[str, int]) -> Problem:
    applied = tuple(Applied(name, k) for name, k in operations)
    tests = _tests(takes, applied)
    assert tests
    return _problem("test", "?", Task(takes, applied, (), ""), tests)


PROBLEM = make("list", ("even", 0), ("square", 0), ("sum", 0))
ORDERED = make("list", ("sort", 0), ("add", 3), ("skip", 2))
NUMBER = make("number", ("plus", 2), ("twice", 0))
RUNNING = make("list", ("unique", 0), ("running", 0), ("last", 0))
SUMS = make("list", ("running", 0), ("sum", 0))
UNDER = make("list", ("under", 8), ("add", 7), ("even", 0))
PLAN = ["# keep the even numbers", "# square each number", "# take the sum"]
HEAD = ["def f(xs):"]
EVEN = "    xs = [x for x in xs if x % 2 == 0]"
SQUARE = "    xs = [x * x for x in xs]"

LINES = [  # the line after the plan, the head and the even numbers, and the kind of its error
    ("", ""),
    (SQUARE, ""),
    (SQUARE + "  # done", ""),
    ("    ys = [y ** 2 for y in xs]", ""),
    ("    xs = [x * x for x in xs if not x % 2]", ""),
    ("    xs = xs", ""),
    ("    xs = list(xs)", ""),
    ("    s = sum(x * x for x in xs)", ""),
    ("    return sum([x * x for x in xs])", ""),
    ("    s = 0", ""),
    ("    s = 1", ""),
    ("    out = []", ""),
    ("    # take the sum", ""),
    ("    # sort the list", "plan"),
    ("    # and now the sum", "plan"),
    ("    xs = []", "value"),
    ("    xs = [x + x for x in xs]", "value"),
    ("    xs = [x * x for x in xs if x > 0]", "value"),
    ("    xs = xs[1:]", "value"),
    ("    s = sum(xs)", "value"),
    ("    k = len(xs)", "value"),
    ("    xs.reverse()", "value"),
    ("    xs.append(0)", "value"),
    ("    return xs", "early"),
    ("    return sum(xs)", "value"),
    ("    return 0", "value"),
    ("    return", "malformed"),
    ("    xs = [x * x for x in ys]", "name"),
    ("    xs = xs + 1", "runtime"),
    ("    s = sum(3)", "runtime"),
    ("    s = xs[0]", "runtime"),
    ("    s = 10 ** 10 ** 10", "runtime"),
    ("    s = 2 ** 999999999", "runtime"),
    ("    ys = list(range(10000000))", "runtime"),
    ("    xs = [x * x for x in xs", "syntax"),
    ("  xs = xs", "syntax"),
    ("      xs = xs", "syntax"),
    ("def g(xs):", "malformed"),
    ("xs = 1", "malformed"),
    ("    We square them.", "syntax"),
    ("    import os", "malformed"),
    ("    xs = eval('xs')", "malformed"),
    ("    xs = xs.__class__", "malformed"),
    ("    xs = [x / 2 for x in xs]", "malformed"),
    ("    xs = 'a'", "malformed"),
    ("    while xs:", "malformed"),
    ("    if xs:", "malformed"),
    ("    len = 3", "malformed"),
    ("    xs = lambda: 0", "malformed"),
    ("\txs = xs", "malformed"),
    ("    xs = xs; ys = xs", "malformed"),
    ("    xs = " + "(" * 90 + "xs" + ")" * 90, ""),
    ("    xs = " + "-" * 190 + "1", "value"),
    ("    xs = " + "[" * 500, "malformed"),
]


@pytest.mark.parametrize(("line", "kind"), LINES)
def test_a_line(line, kind):
    found = judge(PROBLEM, [*PLAN, *HEAD, EVEN, line])
    assert (found.first_error, found.kind) == ((5, kind) if kind else (-1, ""))


CHAINS = [
    (PROBLEM, [], -1, "", False),
    (PROBLEM, PLAN[:2], -1, "", False),
    (PROBLEM, [*PLAN[:1], *PLAN[:1], *PLAN[1:]], -1, "", False),
    (PROBLEM, ["# square each number"], -1, "", False),  # squares are even as their numbers are
    (PROBLEM, ["# take the sum"], 0, "plan", False),
    (PROBLEM, ["# keep the odd numbers"], 0, "plan", False),
    (ORDERED, ["# sort the list", "# add 4 to each number"], 1, "plan", False),
    (ORDERED, ["# add 3 to each number", "# sort the list"], -1, "", False),
    (ORDERED, ["# drop the first 2"], 0, "plan", False),
    (ORDERED, ["# Sort the list.", "def f(a):", "  a = sorted(a)[2:]"], -1, "", False),
    (
        ORDERED,
        ["def f(xs):", "    xs = [x + 3 for x in xs]", "    xs.sort()", "    return xs[2:]"],
        -1,
        "",
        True,
    ),
    (ORDERED, ["def f(xs):", "    xs = xs[2:]"], 1, "value", False),
    (ORDERED, ["def f(xs):", "    ys = sorted(xs)", "    ys = xs"], 2, "value", False),
    (NUMBER, ["def f(n):", "    n += 2", "    n *= 2", "    return n"], -1, "", True),
    (NUMBER, ["def f(n):", "    return 2 * (n + 2)"], -1, "", True),
    (NUMBER, ["def f(n):", "    return n * 3 + 2"], 1, "value", False),
    (UNDER, ["def f(xs):", "    xs = [x for x in xs if x <= 8]"], -1, "", False),  # 8 + 7 is odd
    (UNDER, ["def f(xs):", "    xs = [x for x in xs if x < 10]"], 1, "value", False),
    (PROBLEM, ["def g(xs):"], 0, "malformed", False),
    (PROBLEM, ["def f(xs, k):"], 0, "malformed", False),
    (PROBLEM, ["def f(xs=[]):"], 0, "malformed", False),
    (PROBLEM, ["    def f(xs):"], 0, "syntax", False),
    (PROBLEM, ["def f(xs"], 0, "syntax", False),
    (PROBLEM, ["def f(xs):", "return 1"], 1, "syntax", False),
    (PROBLEM, ["I keep the even numbers."], 0, "syntax", False),
    (
        PROBLEM,
        ["# drop the first 3", *HEAD, "    return sum(x * x for x in xs if x % 2 == 0)"],
        0,
        "plan",
        True,
    ),
    (PROBLEM, [*HEAD, "    return sum(x * x for x in xs if x % 2 == 0)"], -1, "", True),
    (
        PROBLEM,
        [*HEAD, "    return sum(x * x for x in xs if x % 2 == 0)", "    # more"],
        2,
        "malformed",
        False,
    ),
    (PROBLEM, [*HEAD, "    return sum(x * x for x in xs if x % 2 == 0)", ""], -1, "", True),
    (PROBLEM, ["\n".join([*HEAD, EVEN]) + "\n", SQUARE + "\n", "    return sum(xs)\n"], -1, "", True),
    (PROBLEM, ["# keep the even numbers\rxs = 3"], 0, "malformed", False),
]


@pytest.mark.parametrize(("problem", "steps", "first", "kind", "complete"), CHAINS)
def test_a_chain(problem, steps, first, kind, complete):
    found = judge(problem, steps)
    assert (found.first_error, found.kind, found.complete) == (first, kind, complete)


LOOP = ["def f(xs):", "    s = 0", "    for x in xs:"]
OUT = [*HEAD, "    out = []"]
LOOPS = [
    (PROBLEM, [*LOOP, "        if x % 2 == 0:", "            s += x * x", "    return s"], -1),
    (PROBLEM, [*LOOP, "        if x % 2 == 0:"], -1),
    (PROBLEM, [*LOOP, "        if x % 2 == 1:"], 3),
    (PROBLEM, [*LOOP, "        if x % 2 == 0:", "            s += x"], 4),
    (PROBLEM, [*LOOP, "        if x % 2 == 0:", "            y = x * x", "            s += y"], -1),
    (PROBLEM, [*LOOP, "        if x % 2 == 0:", "            y = x * x", "    return s"], 5),  # row 19
    (PROBLEM, [*LOOP, "        s += x * x"], 3),
    (PROBLEM, [*LOOP, "    return s"], 3),
    (PROBLEM, [*LOOP, "        return s"], 3),
    (PROBLEM, [*LOOP, "        for y in xs:"], 3),
    (PROBLEM, ["def f(xs):", "    for x in xs:"], 1),  # nothing was prepared
    (PROBLEM, ["def f(xs):", "    s = 1", "    for x in xs:"], 2),
    (PROBLEM, [*OUT, "    for x in xs[1:]:"], 2),
    (PROBLEM, [*OUT, "    for x in xs:", "        if x % 2 == 0: out.append(x)"], -1),
    (PROBLEM, [*OUT, "    for i in range(len(xs)):", "        if xs[i] % 2 == 0:"], -1),
    (PROBLEM, [*OUT, "    for x in xs:", "        xs.append(x)"], 3),
    (RUNNING, [*OUT, "    for x in xs:", "        if x not in out:"], -1),
    (RUNNING, [*OUT, "    for x in xs:", "        if x in out:"], 3),
    (RUNNING, [*HEAD, "    xs = list(dict.fromkeys(xs))", "    out = []", "    t = 0", "    for x in xs:",
               "        t += x", "        out.append(t)", "    return out[-1]"], -1),
    (SUMS, ["def f(xs):", "    out = []", "    t = 0", "    for x in xs:", "        out.append(t)"], 4),
    (RUNNING, ["def f(xs):", "    xs = list(set(xs))"], 1),
]  # fmt: skip


@pytest.mark.parametrize(("problem", "steps", "first"), LOOPS)
def test_a_loop(problem, steps, first):
    assert judge(problem, steps).first_error == first


def test_hostile_chains_end_soon():
    began = time.perf_counter()
    grow = ["    out = [0, 0]", *["    out += out"] * 300]
    nested = "    xs = [sum([sum([sum([x for x in xs]) for x in xs]) for x in xs]) for x in xs]"
    for steps in (
        ["    xs = xs"] * 10_000,
        [*HEAD, *["    xs = xs"] * 10_000],
        ["x" * 1_000_000],
        [*HEAD, "    xs = " + "(" * 1_000_000],
        [*HEAD, "    s = 9" + "**9" * 60],
        [*HEAD, "    s = " + "9" * 190],
        [*HEAD, *grow],
        [*HEAD, nested],
        ["\0", "\ud800"],
        [*HEAD, "    s = \0"],
        [*LOOP, *["        s += x"] * 190],
        [*HEAD, *(" " * i + "for x in xs:" for i in range(4, 150))],
    ):
        assert judge(PROBLEM, steps).first_error >= 0
    assert time.perf_counter() - began < 10


def test_counting_to_a_huge_number_ends_soon():
    problem = make("number", ("plus", 3), ("upto", 0), ("sum", 0))
    began = time.perf_counter()
    for line in ("    n = n ** 8", "    n = 999999999999 + n", "    s = 10 ** 12 - n"):
        assert judge(problem, ["def f(n):", line]).first_error == 1
    assert time.perf_counter() - began < 5


def test_has_answer():
    whole = [*PLAN, *HEAD, EVEN, "    return xs"]
    assert has_answer(whole)
    assert has_answer(["\n".join(whole) + "\n"])
    assert not has_answer(whole[:-1])
    assert not has_answer(whole[-1:])
    assert not has_answer([])
    assert not has_answer([*HEAD, "    returned = 1"])


def test_every_operation_has_an_own_phrase():
    phrases = [o.phrase(k) for o in OPERATIONS.values() for k in o.numbers]
    assert len(set(phrases)) == len(phrases)
    assert json.loads(PROBLEM.reference)["entry_point"] == "f"
