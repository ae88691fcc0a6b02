"""check_code: kinds of tests, per-test verdicts, whose fault a failure is, and values that travel."""

import collections
import contextlib
import datetime
import decimal
import fractions
import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checkers.code import CallCase, CodeVerdict, Limits, StdinCase, check_code
from checkers.sandbox import values
from checkers.sandbox.referee import same
from checkers.verdict import Verdict

ADD = "def add(a, b):\n    return a + b\n"
COUNT = "def count():\n    yield 1\n"
VECTOR = """class V:
    def __init__(self, x): self.x = x
    def __add__(self, other): return V(self.x + other.x)
    def __str__(self): return f"V{self.x}"
"""
SORT = "def f(xs):\n    xs.sort()\n    return xs\n"


def travelled(value):
    """`value` as the other side sees it."""
    return values.decode(json.loads(json.dumps(values.encode(value))))


def statuses(verdict):
    return [str(test.status) for test in verdict.tests]


def test_assert_lines_one_verdict_each():
    verdict = check_code(
        ADD, ["assert add(1, 2) == 3", "assert add(1, 1) == 3", "assert add('a', 'b') == 'ab'"]
    )
    assert isinstance(verdict, Verdict)
    assert isinstance(verdict, CodeVerdict)
    assert verdict.status == "incorrect"
    assert verdict.reason == "test 2 of 3: assert add(1, 1) == 3 failed"
    assert verdict.compared == ("2", "3")
    assert statuses(verdict) == ["correct", "incorrect", "correct"]


def test_calls_as_dataclasses_and_as_a_recipe_holds_them():
    tests = [
        CallCase("add", (1, 2), 3),
        {"function": "add", "args": [[1], [2]], "expected": [1, 2]},
        {"function": "add", "args": [0.1], "kwargs": {"b": 0.2}, "expected": 0.3, "tolerance": 1e-9},
        {"function": "add", "args": [0.1, 0.2], "expected": 0.3},
    ]
    assert statuses(check_code(ADD, tests)) == ["correct", "correct", "correct", "incorrect"]
    assert check_code(ADD, [{"args": [1, 2], "expected": 3}], entry_point="add").status == "correct"


def test_standard_input_and_output():
    program = "n = int(input())\nfor i in range(n):\n    print(i, end=' ')\nprint()\n"
    tests = [StdinCase("3\n", "0 1 2"), {"stdin": "2", "stdout": "0 1\n\n"}, StdinCase("1", "1")]
    verdict = check_code(program, tests)
    assert statuses(verdict) == ["correct", "correct", "incorrect"]
    assert verdict.compared == ("0", "1")


@pytest.mark.parametrize(
    "program",
    [
        "import sys\nsys.stdout.write(sys.stdin.read()[::-1])",
        "import sys\nprint(sys.stdin.buffer.readline().decode()[::-1])",
        "print(open(0).read()[::-1])",
        "import os\nos.write(1, os.read(0, 9)[::-1])\nos._exit(0)",
        "if __name__ == '__main__':\n    print(input()[::-1])\n    exit()",
        "import threading as t\nt.stack_size(1 << 26)\nt.Thread(target=lambda: print(input()[::-1])).start()",
        "import atexit\natexit.register(lambda: print(input()[::-1]))",
        "import sys\nsys.setrecursionlimit(10**6)\ndef f(n): n and f(n - 1)\nf(50_000)\nprint(input()[::-1])",
        "import asyncio\nasync def main(): print(input()[::-1])\nasyncio.run(main())",
        "from dataclasses import dataclass\n@dataclass\nclass A:\n    s: str\nprint(A(input()).s[::-1])",
    ],
)
def test_idioms_of_contest_programs(program):
    assert check_code(program, [StdinCase("abc", "cba")]).reason == "passes 1 test"


@pytest.mark.parametrize(
    "program",
    [
        "import collections, heapq, re, itertools, functools, bisect\ndef f(x): return sorted(x)",
        "from decimal import Decimal\nfrom fractions import Fraction\ndef f(x): return sorted(x)",
        "import tempfile\ndef f(x):\n    tempfile.TemporaryFile().write(b'1')\n    return sorted(x)",
        "def f(x):\n    open('note', 'w').write('1')\n    return sorted(x)",
        "import json\ndef f(x): return json.loads(json.dumps(sorted(x)))",
        "from concurrent.futures import *\ndef f(x): return sorted(ThreadPoolExecutor(2).map(int, x))",
        "import time\ntime.sleep(0.01)\ndef f(x): return sorted(x)",
        "import turtledemo\ndef f(x): return sorted(x)",
        "import logging\nlogging.warning('x')\ndef f(x):\n    print('working')\n    return sorted(x)",
        "def f(x):\n    yield from sorted(x)",
        "class S:\n    def __call__(self, x): return sorted(x)\nf = S()",
    ],
)
def test_ordinary_programs_are_not_hindered(program):
    assert check_code(program, ["assert list(f([2, 1])) == [1, 2]"]).reason == "passes 1 test"


HUMAN_EVAL = """
METADATA = {}

def check(candidate):
    assert candidate([1.0, 2.0]) == 3.0
    for n in range(4):
        assert abs(candidate([n, 0.5]) - helper(n)) < 1e-6
"""


def test_human_eval_style():
    setup = "def helper(n): return n + 0.5\ndef total(x): return 'the prompt only'"
    program = "def total(x): return sum(x)"
    good = check_code(program, [HUMAN_EVAL], entry_point="total", setup=setup)
    assert good.status == "correct"
    assert (
        check_code(program, [HUMAN_EVAL + "\ncheck(total)"], setup="def helper(n): return n + 0.5").status
        == "correct"
    )
    bad = check_code("def total(x): return x[0] * 3", [HUMAN_EVAL], entry_point="total", setup=setup)
    assert bad.status == "incorrect"
    assert bad.reason == "assert abs(candidate([n, 0.5]) - helper(n)) < 1e-6 failed"


def test_trusted_setup_is_not_the_programs_to_change():
    """A program that redefines a helper of the prompt does not judge itself by it."""
    cheat = "def total(x): return 0\ndef helper(n): return 0"
    setup = "def helper(n): return n + 0.5"
    assert check_code(cheat, [HUMAN_EVAL], entry_point="total", setup=setup).status == "incorrect"


def test_objects_of_the_program_are_used_by_reference():
    program = """
class Node:
    def __init__(self, value): self.value, self.left, self.rest = value, None, {}
    def total(self): return self.value + (self.left.total() if self.left else 0)
    def __len__(self): return 2
    def __getitem__(self, key): return self.rest[key]
    def __setitem__(self, key, value): self.rest[key] = value
def root(node): return node
"""
    tests = [
        "assert tree.total() == 3",
        "assert root(tree) is not None and root(tree) == tree and root(tree).left.value == 2",
        "tree['x'] = [1]\nassert tree['x'] == [1] and len(tree) == 2",
        "assert Node(1) == Node(1)",
        "assert tree",
    ]
    verdict = check_code(program, tests, setup="tree = Node(1)\ntree.left = Node(2)")
    assert statuses(verdict) == ["correct", "correct", "correct", "undecided", "incorrect"]


@pytest.mark.parametrize(
    ("program", "test", "status", "reason"),
    [
        (ADD, "assert add(1, == 2", "undecided", "not Python"),
        (ADD, "assert True", "undecided", "never asks the program"),
        (ADD, "assert 1 == 2", "undecided", "failed"),
        (ADD, "import no_such_module\nassert add(1, 2) == 3", "undecided", "no_such_module"),
        (ADD, "assert add(lambda: 1, 2) == 3", "undecided", "by value"),
        (ADD, "assert add(1, 2) == undefined", "incorrect", "does not define 'undefined'"),
        (ADD, "assert minus(1, 2) == 3", "incorrect", "does not define 'minus'"),
        (ADD, {"function": "minus", "args": [], "expected": 1}, "incorrect", "does not define 'minus'"),
        (ADD, {"function": "add", "arguments": []}, "undecided", "expected a test with the keys"),
        (ADD, {"args": [], "expected": 1}, "undecided", "no entry point"),
        (ADD, CallCase("add", (object(),), 1), "undecided", "no plain data"),
        (ADD, 7, "undecided", "found int"),
        ("def add(a, b): return", "assert add(1, 2) == 3", "incorrect", "failed"),
        ("def add(a, b): raise KeyError(a)", "assert add(1, 2) == 3", "incorrect", "KeyError: '1'"),
        ("def add(a, b) return 1", "assert add(1, 2) == 3", "incorrect", "cannot be loaded: SyntaxError"),
        ("import no_such\n" + ADD, "assert add(1, 2) == 3", "incorrect", "no_such"),
        ("import numpy\n" + ADD, "assert add(1, 2) == 3", "undecided", "numpy"),  # not in the sandbox
        (COUNT, "assert next(count()) == 1", "undecided", "Remote"),
        (COUNT, "assert list(count()) == [1]", "correct", "passes 1 test"),
        (COUNT, "assert list(count()) == [2]", "incorrect", "failed"),
        (VECTOR, "assert (V(1) + V(2)).x == 3", "undecided", "Remote"),
        (VECTOR, "assert str(V(1)) == 'V1'", "undecided", "as text"),
        (VECTOR, "assert isinstance(V(1), V)", "undecided", "the class"),
        ("def f(a): raise TypeError(\"'Remote'\")", "assert f(1) == 1", "incorrect", "TypeError"),
        (SORT, "a = [2, 1]\nf(a)\nassert a == [1, 2]", "undecided", "a copy"),
        (SORT, "a = [2, 1]\nf(a)\nassert a == [2, 1]", "undecided", "a copy"),
        (SORT, "assert f([2, 1]) == [1, 2]", "correct", "passes 1 test"),
        ("1 / 0", "assert add(1, 2) == 3", "incorrect", "ZeroDivisionError"),
        ("", "assert add(1, 2) == 3", "incorrect", "does not define"),
        ("x = '\ud800\0'", "assert x == 1", "incorrect", "cannot be loaded"),
    ],
)  # fmt: skip
def test_whose_fault(program, test, status, reason):
    verdict = check_code(program, [test])
    assert verdict.status == status
    assert reason in verdict.reason


def test_time_runs_out():
    verdict = check_code(
        "def f(x):\n    while x: pass\n    return 1",
        ["assert f(0) == 1", "assert f(1) == 1", "assert f(0) == 1"],
        limits=Limits(seconds=0.3),
    )  # fmt: skip
    if "too busy" not in verdict.reason:
        assert statuses(verdict) == ["correct", "incorrect", "undecided"]
        assert "no answer within 0.3 s" in verdict.reason
        assert verdict.tests[2].reason.startswith("not run")


def test_no_tests_prove_nothing():
    assert check_code(ADD, []).status == "undecided"


def test_names_in_tests():
    shadow = "def abs(x): return 0\ndef f(x): return 1"
    assert check_code(shadow, ["assert abs(f(2) - 5) < 1"]).status == "incorrect"
    own = "def sum(a, b): return a + b"
    assert check_code(own, ["assert sum(10, 15) == 25", "assert sum(1, 2) == 3"]).status == "correct"
    forged = "class Counter(dict):\n    def __new__(c, *a): return 7\ndef f(x): return 7"
    assert check_code(forged, ["assert f('ab') == Counter('ab')"]).status == "incorrect"
    lying = "class sys:\n    getsizeof = lambda x: 7\ndef f(x): return 7"
    assert check_code(lying, ["assert f((1, 2)) == sys.getsizeof((1, 2))"]).status == "incorrect"
    assert check_code("import sys\ndef f(x): return sys.getsizeof(x)",
                      ["assert f((1, 2)) == sys.getsizeof((1, 2))"]).status == "correct"  # fmt: skip
    assert check_code("limit = [3]", ["assert limit == [3]"]).status == "correct"


def test_exceptions_reach_the_tests():
    program = """
class Odd(ValueError): pass
def f(x):
    if x == 1: raise Odd("one")
    if x == 2: raise UnicodeDecodeError("utf-8", b"", 0, 1, "two")
    if x == 3: raise StopIteration
    return x
"""
    test = """
try:
    f({0})
except {1}:
    pass
else:
    assert False, "did not raise"
"""
    wanted = [(1, "ValueError"), (2, "Exception"), (3, "StopIteration"), (0, "ValueError"), (1, "KeyError")]
    verdict = check_code(program, [test.format(*pair) for pair in wanted])
    assert statuses(verdict) == ["correct", "correct", "correct", "incorrect", "incorrect"]


def test_arguments_travel_by_value():
    program = "def f(x):\n    x.clear()\n    return []"
    assert check_code(program, ["x = [1]\nassert f(x) == x"]).status == "incorrect"


def test_the_same_verdict_every_time():
    program = (
        "import random\ndef f(): return random.random(), list({'a', 'b', 'c', 'd'}), id(1) and hash('x')"
    )
    first, second = (check_code(program, ["assert f() == 0"]) for _ in range(2))
    assert first == second


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.integers(-(10**60), 10**60) | st.floats(allow_nan=False)
    | st.text() | st.binary() | st.complex_numbers(allow_nan=False) | st.decimals(allow_nan=False)
    | st.fractions() | st.dates()
    | st.datetimes().map(lambda d: d.replace(fold=0)) | st.times().map(lambda t: t.replace(fold=0))
    | st.timedeltas() | st.sampled_from([range(3), range(9, 0, -2), int, str, list]),
    lambda parts: st.lists(parts) | st.lists(parts).map(tuple) | st.lists(parts).map(collections.deque)
    | st.dictionaries(st.text() | st.integers() | st.tuples(st.booleans()), parts)
    | st.sets(st.integers() | st.text()) | st.frozensets(st.binary()) | st.binary().map(bytearray),
    max_leaves=20,
)  # fmt: skip


@given(plain)
@settings(max_examples=200, deadline=None)
def test_values_come_back_as_they_were(value):
    copy = travelled(value)
    assert copy == value
    assert type(copy) is type(value)


@pytest.mark.parametrize(
    "value", [math.nan, -math.inf, -0.0, complex(math.nan, -0.0), decimal.Decimal("sNaN")]
)
def test_special_numbers_come_back(value):
    assert repr(travelled([value])) == repr([value])


@given(plain)
@settings(max_examples=100, deadline=None)
def test_showing_a_value_is_short_and_never_fails(value):
    assert len(values.show(value)) <= 200


@given(st.recursive(st.none() | st.integers() | st.text(max_size=9),
                    lambda p: st.lists(p) | st.dictionaries(st.text(), p), max_leaves=15))  # fmt: skip
@settings(max_examples=300, deadline=None)
def test_any_json_is_a_value_or_refused(form):
    with contextlib.suppress(values.NotPlainError):
        values.decode(json.loads(json.dumps(form)))


def test_subclasses_travel_as_their_base():
    class Liar(int):
        def __eq__(self, other):
            return True

        def __index__(self):
            return 7

        __hash__ = int.__hash__

    class Row(collections.namedtuple("Row", "a b")):
        pass

    copy = travelled([Liar(3), Row(1, 2), collections.OrderedDict(a=1), collections.Counter("aab")])
    assert repr(copy) == "[3, (1, 2), {'a': 1}, {'a': 2, 'b': 1}]"


@pytest.mark.parametrize("value", [object(), len, type("T", (), {}), iter([1]), Exception("x"), json])
def test_what_is_not_plain_does_not_travel(value):
    with pytest.raises(values.NotPlainError):
        values.encode(value)


def test_huge_values_are_shown_in_outline():
    assert values.show(10**5000).startswith("<int")
    assert values.show([1] * 10**6) == "<list of 1,000,000>"
    assert values.show("x" * 300).endswith("…")


@pytest.mark.parametrize(
    ("found", "expected", "tolerance", "equal"),
    [
        ((1, [2, (3,)]), [1, [2, [3]]], 0, True),
        ([1, 2], [1, 2, 3], 0, False),
        (0.1 + 0.2, 0.3, 0, False),
        (0.1 + 0.2, 0.3, 1e-9, True),
        ({"a": (1.0000001,)}, {"a": [1]}, 1e-6, True),
        ({"a": 1}, {"b": 1}, 0, False),
        (math.nan, math.nan, 0, True),
        (10**400, 1.0, 1e-6, False),
        (True, 1, 0, True),
        ("1", 1, 0, False),
        ({1, 2}, {2, 1}, 0, True),
        (decimal.Decimal("0.5"), 0.5, 0, True),
        (fractions.Fraction(1, 3), 1 / 3, 0, False),
        (datetime.date(2020, 1, 1), "2020-01-01", 0, False),
    ],
)
def test_comparison_of_calls(found, expected, tolerance, equal):
    assert same(found, expected, tolerance) is equal


INPUTS = [{"args": [n], "expected": 2 * n} for n in (1, 2, 3)]


@pytest.mark.parametrize(
    ("tests", "program", "other", "same"),
    [
        (INPUTS, "def f(x): return 2 * x", "def f(x): return x + float(x)", True),
        (INPUTS, "def f(x): return 7", "def f(n):\n    y = 7\n    return y", True),
        (
            INPUTS,
            "def f(x): return 7",
            "def f(x): return 7 if x < 3 else 8",
            False,
        ),  # after the first failure
        (INPUTS, "def f(x): return x", "def f(x): return 2 * x", False),
        (INPUTS, "def f(x): return [1][x]", "def f(x): return [1, 2][x + 7]", True),
        (INPUTS, "def f(x): return [1][x]", "def f(x): return 1 // 0", False),
        (["assert f(1) == 2", "assert f(2) == 4"], "def f(x): return x", "def f(n): return n * 1", True),
        (["assert f(1) == 2", "assert f(2) == 4"], "def f(x): return x", "def f(x): return 1", False),
        ([StdinCase("3", "\n6")], "print('\\n' + str(2 * int(input())))", "print()\nprint(6)", True),
        ([StdinCase("3", "6"), StdinCase("4", "8")], "print(3)", "print(int(input()))", False),
        ([HUMAN_EVAL], "def total(x): return 1", "def total(x): # one\n    'One.'\n    return 1", True),
        ([HUMAN_EVAL], "def total(x): return 1", "def total(x): return 1.0", False),
    ],
)
def test_a_vote_compares_outputs_and_never_what_is_expected(tests, program, other, same):
    entry = "total" if tests == [HUMAN_EVAL] else "f"
    one, two = (check_code(text, tests, entry_point=entry, setup="").answer for text in (program, other))
    assert one
    assert (one == two) is same
    kind = "program" if tests == [HUMAN_EVAL] else "outputs"
    assert one.split()[0] == kind


def test_a_vote_does_not_change_with_what_is_expected():
    def answer(expected):
        return check_code(
            "def f(x): return x", [{"args": [n], "expected": expected} for n in (1, 2)], entry_point="f"
        )

    assert answer(1).answer == answer(2).answer
    assert [str(test.status) for test in answer(1).tests] == ["correct", "incorrect"]


def test_a_method_of_a_class_solution_is_called_on_a_new_object():
    program = """
class Solution:
    def __init__(self): self.n = 0
    def f(self, x):
        self.n += x
        return 2 * self.n
"""
    assert check_code(program, INPUTS, entry_point="f").status == "correct"
    assert check_code("class Solution:\n    pass", INPUTS, entry_point="f").status == "incorrect"
    assert "does not define 'f'" in check_code("x = 1", INPUTS, entry_point="f").reason


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3), st.lists))
@settings(max_examples=50, deadline=None)
def test_equal_values_are_spelled_alike(value):
    assert values.spelling(value) == values.spelling(travelled(value))
    assert values.spelling([value, 1, True]) == values.spelling((value, 1.0, 1))


def test_what_is_too_large_to_spell_is_told_by_its_kind():
    assert values.spelling(fractions.Fraction(10**5000, 3)) == "a large Fraction"
    deep = []
    for _ in range(5_000):
        deep = [deep]
    assert values.spelling(deep) == "a large list"
    assert values.spelling({2: {3, 1}, 1: -0.0}) == "{1: 0, 2: {1, 3}}"
