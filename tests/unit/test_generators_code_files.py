"""Made-up rows in the shapes of HumanEval, MBPP and contests become problems that the code checker judges."""

import json

import pytest

from checkers import Pool
from distill.config import ProblemSettings
from distill.domains import answer_check
from distill.errors import DataError
from distill.records import Problem
from generators.code_files import code_problem
from generators.sources import load_problems

HUMAN_EVAL = {
    "task_id": "Made/0",
    "prompt": 'def double(x: int) -> int:\n    """Twice x.\n    >>> double(2)\n    4\n    """\n',
    "entry_point": "double",
    "canonical_solution": "    return 2 * x\n",
    "test": "def check(candidate):\n    assert candidate(3) == 6\n    assert candidate(-1) == -2\n",
}
HELPED = HUMAN_EVAL | {
    "prompt": "def half(x):\n    return x / 2\n\n\n" + HUMAN_EVAL["prompt"],
    "test": "def check(candidate):\n    assert half(candidate(3)) == 3\n",
}
MBPP = {
    "text": "Write a function that adds two numbers.",
    "code": "def add(a, b):\n    return a + b",
    "task_id": 7,
    "test_setup_code": "import math",
    "test_list": ["assert abs(add(1, 2)) == 3", "assert math.isclose(add(2, 2), 4)"],
    "challenge_test_list": [],
}
CONTEST = {"problem": "Read n, print 2n.", "tests": {"inputs": ["2\n", "5\n"], "outputs": ["4\n", "10\n"]}}
CALLS = {
    "question": "Return twice x, and y.",
    "input_output": json.dumps(
        {"fn_name": "twice", "inputs": [[2, "a"], [5, ""]], "outputs": [[[4, "a"]], [[10, ""]]]}
    ),
}
LINES = {
    "question": "Return twice x, and y.",
    "tests": {"fn_name": "twice", "inputs": ['2\n"a"', '5\n""'], "outputs": ['[4, "a"]', '[10, ""]']},
}
ROWS = [
    (HUMAN_EVAL, HUMAN_EVAL["prompt"] + HUMAN_EVAL["canonical_solution"], "double"),
    (HELPED, "def double(x):\n    return 2 * x\n", "double"),
    (MBPP, MBPP["code"], "add"),
    (MBPP | {"test_list": json.dumps(MBPP["test_list"])}, MBPP["code"], "add"),
    (CONTEST, "print(2 * int(input()))", ""),
    (CONTEST | {"tests": json.dumps(CONTEST["tests"])}, "print(2 * int(input()))", ""),
    (CALLS, "def twice(x, y):\n    return [2 * x, y]", "twice"),
    (
        CALLS,
        "class Solution:\n    def twice(self, x: int, y: str) -> List:\n        return [2 * x, y]",
        "twice",
    ),
    (LINES, "def twice(x, y):\n    return [2 * x, y]", "twice"),
]


def item_of(text: str, problem: Problem) -> tuple:
    return answer_check(problem, text)[1]


@pytest.mark.parametrize(("row", "program", "entry_point"), ROWS)
def test_a_row(row, program, entry_point):
    problem = code_problem(row, "here")
    assert problem is not None
    assert (problem.domain, problem.source) == ("code", "here")
    assert json.loads(problem.payload)["entry_point"] == entry_point
    wrong = program.replace("2 *", "3 *").replace("a + b", "a - b")
    with Pool(workers=1, deadline_seconds=8) as pool:
        found = pool.map("code", [item_of(program, problem), item_of(wrong, problem)])
    assert [str(verdict.status) for verdict in found] == ["correct", "incorrect"]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({}, "no columns"),
        ({"question": "2 + 2?", "answer": "4"}, "found question, answer"),
        ({"problem": "x", "tests": {"inputs": ["1"], "outputs": []}}, "1 inputs and 0 outputs"),
        ({"problem": "x", "tests": "{"}, "JSON"),
        ({"text": "", "test_list": ["assert f(1)"]}, "found none"),
    ],
)
def test_another_row(row, message):
    with pytest.raises(DataError, match=message):
        code_problem(row)


def test_a_file_of_the_domain_code(tmp_path):
    path = tmp_path / "tasks.jsonl"
    rows = [MBPP | {"text": f"Add, task {n}.", "task_id": n} for n in range(6)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    settings = ProblemSettings(source="file", path=str(path), domain="code", count=4, heldout=2)
    label, heldout = (load_problems(settings, 0, part) for part in ("label", "heldout"))
    assert len(label) == 4
    assert len({problem.id for problem in (*label, *heldout)}) == 6
    assert all(problem.domain == "code" for problem in label)
    path.write_text(json.dumps({"question": "x"}) + "\n")
    with pytest.raises(DataError, match=r"row 1 of '.*tasks.jsonl'"):
        load_problems(settings, 0, "label")


def test_all_columns_of_tests_are_used_each_test_once():
    row = {
        "description": "Read n, print 2n.",
        "public_tests": {"input": ["1"], "output": ["2"]},
        "private_tests": {"input": ["2", "1"], "output": ["4", "2"]},
        "generated_tests": {"input": ["3"], "output": ["6"]},
    }
    problem = code_problem(row)
    assert problem is not None
    assert [test["stdin"] for test in json.loads(problem.reference)["tests"]] == ["1", "2", "3"]


def test_numbers_in_a_file_are_numbers_in_calls(tmp_path):
    path = tmp_path / "calls.jsonl"
    tests = {"fn_name": "f", "inputs": [[1, 2.5, ["1"]]], "outputs": [[3]]}
    path.write_text(json.dumps({"problem": "Add.", "tests": tests}) + "\n")
    settings = ProblemSettings(source="file", path=str(path), domain="code", count=1, heldout=0)
    (problem,) = load_problems(settings, 0, "label")
    assert json.loads(problem.reference)["tests"] == [{"args": [1, 2.5, ["1"]], "expected": 3}]


@pytest.mark.parametrize(
    "empty",
    [
        {"problem": "x", "tests": {"inputs": [], "outputs": []}},
        {"problem": "x", "tests": ""},
        {"problem": "x", "tests": None},
        MBPP | {"test_list": []},
        HUMAN_EVAL | {"test": ""},
    ],
)
def test_rows_without_tests_are_dropped_and_counted(tmp_path, caplog, empty):
    assert code_problem(empty) is None
    path = tmp_path / "tasks.jsonl"
    rows = [empty, CONTEST, empty]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    settings = ProblemSettings(source="file", path=str(path), domain="code", count=1, heldout=0)
    assert [problem.question for problem in load_problems(settings, 0, "label")] == [CONTEST["problem"]]
    assert "dropped 2 rows whose tests are empty" in caplog.text
    path.write_text(json.dumps(empty) + "\n")
    with pytest.raises(DataError, match="found 1 without"):
        load_problems(settings, 0, "label")
