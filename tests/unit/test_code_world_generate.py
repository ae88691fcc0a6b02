"""Tasks, solutions and made errors of the code world, against Python itself and the sandboxed tests."""

import contextlib
import hashlib
import json
import random
import re
from itertools import product

import pytest

from checkers.code import check_code
from generators.code_world import (
    CORRUPTIONS,
    WORLD_VERSION,
    corrupt,
    decode,
    has_answer,
    judge,
    sample_problem,
    solve,
    split_of,
)
from generators.code_world.states import goal_of

SPLITS = ("pretrain", "distil", "test")
PROBLEMS = [sample_problem(seed, split) for seed, split in product(range(60), SPLITS)]


def python_result(lines: list[str], given: object) -> object:
    """What the program of our own generator returns for an input, by Python; an error as its name."""
    names: dict[str, object] = {}
    try:
        exec("\n".join(lines), names)
        return names["f"](list(given) if isinstance(given, list) else given)
    except Exception as error:
        return type(error).__name__


def test_problems():
    for problem, (_, split) in zip(PROBLEMS, product(range(60), SPLITS), strict=True):
        assert problem.source == f"world:{WORLD_VERSION}:{split}"
        assert split_of(problem.question) == split
        assert len(problem.question.split()) <= 60
        assert 1 <= len(decode(problem.payload).operations) <= 5
    again = [sample_problem(seed, split) for seed, split in product(range(60), SPLITS)]
    assert again == PROBLEMS


def test_lengths_and_faults():
    for length in range(1, 6):
        problem = sample_problem(1, "test", min_steps=length, max_steps=length)
        assert len(decode(problem.payload).operations) == length
    with pytest.raises(ValueError, match="split"):
        sample_problem(0, "train")
    with pytest.raises(ValueError, match="kind"):
        corrupt(PROBLEMS[0], random.Random(0), "typo")


def test_examples_and_programs_agree_with_python():
    for problem in PROBLEMS:
        task = decode(problem.payload)
        tests = json.loads(problem.reference)["tests"]
        for given, wanted in (*task.examples, *((test["args"][0], test["expected"]) for test in tests)):
            assert python_result([task.program], given) == wanted


def test_right_solutions_are_right():
    for seed, problem in enumerate(PROBLEMS):
        for more in range(3):
            solution = solve(problem, random.Random(f"{seed} {more}"))
            assert solution == solve(problem, random.Random(f"{seed} {more}"))
            found = judge(problem, solution.steps)
            assert (found.first_error, found.complete) == (-1, True), (problem.question, solution.steps)
            assert has_answer(solution.steps)


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_made_errors(kind):
    made = 0
    for seed, problem in enumerate(PROBLEMS[:90]):
        wrong = corrupt(problem, random.Random(seed), kind)
        if wrong is None:
            continue
        made += 1
        found = judge(problem, wrong.steps)
        assert (found.first_error, found.kind, wrong.cause) == (wrong.first_error, wrong.kind, kind)
        before = judge(problem, wrong.steps[: wrong.first_error])
        assert (before.first_error, before.complete) == (-1, False)
        assert _agrees_with_python(problem, wrong.steps, wrong.first_error, wrong.kind)
    assert made >= 15


def _agrees_with_python(problem, steps, first, kind) -> bool:
    """By Python: the program is wrong, and before the first error no statement outside of a loop left a
    value that leads nowhere, but for preparations."""
    goal = goal_of(problem.payload)
    head = next(i for i, line in enumerate(steps) if line.startswith("def "))
    if kind != "plan":
        tests = json.loads(problem.reference)["tests"]
        if all(python_result(steps[head:], test["args"][0]) == test["expected"] for test in tests):
            return False
    for i in range(head + 1, first):
        line = steps[i]
        simple = line.startswith("    ") and not line.startswith("     ") and " = " in line
        if not simple or re.fullmatch(r" +\w+ = (\d+|\[\])", line):
            continue
        name = line.split()[0]
        lines = [*steps[head : i + 1], f"    return {name}"]
        if not goal.left([python_result(lines, given) for given in goal.inputs]):
            return False
    return True


def test_slips():
    wrong = 0
    for seed, problem in enumerate(PROBLEMS):
        solution = solve(problem, random.Random(seed), slips=0.15)
        found = judge(problem, solution.steps)
        assert (found.first_error, found.kind) == (solution.first_error, solution.kind)
        wrong += found.first_error >= 0
        assert bool(solution.cause) == (found.first_error >= 0)
    assert 0.25 < wrong / len(PROBLEMS) < 0.85


def test_the_sandboxed_tests_agree_with_the_judge():
    """Programs whose code the judge follows to its end pass their tests; the others fail them."""
    disagreed = []
    for seed, problem in enumerate(PROBLEMS[:40]):
        options = json.loads(problem.reference)
        tests = options.pop("tests")
        wrong = corrupt(problem, random.Random(seed))
        for solution in (solve(problem, random.Random(seed)), wrong):
            if solution is None:
                continue
            status = check_code("\n".join(solution.steps), tests, **options).status
            if (status == "correct") != judge(problem, solution.steps).complete:
                disagreed.append((problem.question, solution.steps, status))
    assert not disagreed


@pytest.mark.filterwarnings("ignore::SyntaxWarning")
def test_damage_is_never_right_unless_the_meaning_is_the_same():
    """A random change of one character of a right chain: what the judge calls complete, Python does too."""
    rng = random.Random(5)
    survived = 0
    for seed, problem in enumerate(PROBLEMS * 3):
        text = "\n".join(solve(problem, random.Random(seed)).steps)
        place = rng.randrange(len(text))
        damaged = (
            text[:place] + rng.choice(["", rng.choice("0123456789xsn+-*=<>[]():. #\n")]) + text[place + 1 :]
        )
        found = judge(problem, damaged.split("\n"))
        if damaged == text or found.first_error >= 0 or not found.complete:
            continue
        survived += 1
        with contextlib.redirect_stdout(None):
            for test in json.loads(problem.reference)["tests"]:
                assert python_result(damaged.split("\n"), test["args"][0]) == test["expected"], damaged
    assert 0 < survived < 150


def test_the_version_is_frozen():
    """A change of what a seed draws needs a new WORLD_VERSION: trained models depend on it."""
    rng = random.Random(7)
    digest = hashlib.sha256()
    for split in SPLITS:
        for seed in range(40):
            problem = sample_problem(seed, split)
            digest.update(repr((problem, solve(problem, rng, slips=0.1), corrupt(problem, rng))).encode())
    assert digest.hexdigest()[:16] == "3e56b0f684bf7773"
