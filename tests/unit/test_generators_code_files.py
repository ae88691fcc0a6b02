"""Made-up rows in the shapes of HumanEval, MBPP and contests become problems that the code checker judges."""

import json

import pytest

from checkers import Pool
from distill.config import ProblemSettings
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
MBPP = {
    "text": "Write a function that adds two numbers.",
    "code": "def add(a, b):\n    return a + b",
    "task_id": 7,
    "test_setup_code": "import math",
    "test_list": ["assert abs(add(1, 2)) == 3", "assert math.isclose(add(2, 2), 4)"],
    "challenge_test_list": [],
}
CONTEST = {"problem": "Read n, print 2n.", "tests": {"inputs": ["2\n", "5\n"], "outputs": ["4\n", "10\n"]}}
ROWS = [
    (HUMAN_EVAL, HUMAN_EVAL["prompt"] + HUMAN_EVAL["canonical_solution"], "double"),
    (MBPP, MBPP["code"], "add"),
    (MBPP | {"test_list": json.dumps(MBPP["test_list"])}, MBPP["code"], "add"),
    (CONTEST, "print(2 * int(input()))", ""),
    (CONTEST | {"tests": json.dumps(CONTEST["tests"])}, "print(2 * int(input()))", ""),
]


def item(program: str, problem: Problem) -> tuple:
    options = json.loads(problem.reference)
    return program, options.pop("tests"), options


@pytest.mark.parametrize(("row", "program", "entry_point"), ROWS)
def test_a_row(row, program, entry_point):
    problem = code_problem(row, "here")
    assert (problem.domain, problem.source) == ("code", "here")
    assert json.loads(problem.payload)["entry_point"] == entry_point
    wrong = program.replace("2 *", "3 *").replace("a + b", "a - b")
    with Pool(workers=1, deadline_seconds=8) as pool:
        found = pool.map("code", [item(program, problem), item(wrong, problem)])
    assert [str(verdict.status) for verdict in found] == ["correct", "incorrect"]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({}, "no columns"),
        ({"question": "2 + 2?", "answer": "4"}, "found question, answer"),
        ({"problem": "x", "tests": {"inputs": ["1"], "outputs": []}}, "1 inputs and 0 outputs"),
        ({"problem": "x", "tests": "{"}, "JSON"),
        ({"text": "x", "test_list": []}, "0 tests"),
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
