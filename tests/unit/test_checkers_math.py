"""Final answers: a table of cases, each with its reason, and properties that hold for all numbers."""

import json
import subprocess
import sys
from collections import Counter
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checkers import Status, check_math
from checkers.extract import extract_answer
from checkers.math import easy_math
from checkers.numbers import read_number

CASES = [json.loads(line) for line in Path(__file__).with_name("math_cases.jsonl").read_text().splitlines()]


@pytest.mark.parametrize(
    "case", CASES, ids=lambda case: f"{case['answer'][:30]!a}-{case['reference'][:20]!a}"
)
def test_table(case):
    verdict = check_math(case["answer"], case["reference"])
    assert verdict.status == case["status"], (case["reason"], verdict)


def test_the_table_is_large_and_says_why():
    assert len(CASES) >= 120
    assert all(case["reason"] for case in CASES)
    assert max(Counter((case["answer"], case["reference"]) for case in CASES).values()) == 1
    assert {case["status"] for case in CASES} == {"correct", "incorrect", "undecided"}


def test_a_verdict_shows_what_was_compared():
    verdict = check_math("Thus 9 * 2 = 17.\nAnswer: 17", "18")
    assert verdict.status is Status.INCORRECT
    assert verdict.compared == ("17", "18")


@pytest.mark.parametrize(
    ("text", "answer", "place"),
    [
        (r"\boxed{\frac{\sqrt{2}}{2}}", r"\frac{\sqrt{2}}{2}", "boxed"),
        (r"\boxed{a\}b}", r"a\}b", "boxed"),
        ("text #### 18 \nmore", "18", "hashes"),
        ("Answer: 5\nthe answer is 6", "6", "stated"),
        ("the answer is 6\nAnswer: 5", "5", "stated"),
        ("The answer is $5.", "$5", "stated"),
        ("**The final answer is: 5 apples.**", "5 apples", "stated"),
        ("18 eggs", "18 eggs", "whole"),
        (r"we find that $x^2 = 4$", "4", "formula"),
        ("he has 5 apples and sells 2 of them", "2", "number"),
    ],
)
def test_where_the_answer_stands(text, answer, place):
    found = extract_answer(text)
    assert (found.text, found.place) == (answer, place)


@pytest.mark.parametrize(
    "text", ["5x", "2 pi", "3 + 4", "1 or 2", "(1, 2)", "5:30", "3 7/2", "1,2", "", "x", "1e999"]
)
def test_what_is_no_plain_number(text):
    assert read_number(text) is None


def test_easy_answers_do_not_import_sympy():
    program = (
        "import sys; from checkers import Pool, check_math, check_steps; check_steps('', ['1 + 1 = 2']);"
        "assert Pool().map('math', [('The answer is 18.', '18')])[0].status == 'correct';"
        "assert check_math('Answer: 3/4', '0.75').status == 'correct'; assert 'sympy' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


fractions = st.fractions(min_value=-(10**9), max_value=10**9, max_denominator=10**6)


def spellings(value: Fraction) -> list[str]:
    top, bottom = value.numerator, value.denominator
    texts = [f"{top}/{bottom}", rf"\frac{{{top}}}{{{bottom}}}", rf"\boxed{{{top}/{bottom}}}"]
    if bottom == 1:
        texts += [str(top), f"{top:,}", f"${top}$", f"The answer is {top:,}.", f"#### {top}", f"{top}.00"]
    return texts


@given(fractions)
def test_a_number_equals_itself_however_it_is_spelled(value):
    texts = spellings(value)
    assert all(easy_math(one, other).status is Status.CORRECT for one in texts for other in texts[:2])


@given(fractions, fractions)
def test_another_number_is_incorrect_and_equality_is_symmetric(one, other):
    forth, back = easy_math(str(one), str(other)), easy_math(str(other), str(one))
    assert forth.status is back.status is (Status.CORRECT if one == other else Status.INCORRECT)


@settings(max_examples=200)
@given(st.text(max_size=200), st.text(max_size=40))
def test_any_text_gets_a_verdict_or_is_left_to_algebra(answer, reference):
    verdict = easy_math(answer, reference)
    assert verdict is None or verdict.status in Status
