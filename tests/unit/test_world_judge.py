"""Every row of the truth table in docs/world.md, on a hand-written problem and on all families."""

import random
import re
from fractions import Fraction

import pytest

from distill.records import Problem
from generators.world import FAMILIES, decode, judge, sample_problem, solve
from generators.world.graph import encode
from generators.world.judge import judge_step
from generators.world.numbers import evaluate, format_number, leaves, parse_expression, parse_number, render

ROWS = [
    ("price", "fact", "7", ["Each pen costs {} dollars."], []),
    ("count", "fact", "5", ["Mia buys {} pens."], []),
    ("extra", "fact", "9", ["Each hat costs {} dollars."], []),
    ("percent", "fact", "20", ["The discount is {} percent."], []),
    ("3", "const", "3", [], []),
    ("4", "const", "4", [], []),
    ("part", "fact", "3/4", ["Mia gives {} of the pens."], ["3 / 4"]),
    ("100", "const", "100", [], []),
    ("cost", "derived", "35", ["The pens cost {} dollars.", "Mia pays {} dollars."], ["price * count"]),
    ("off", "derived", "7.5", ["The pens are {} dollars off."], []),
    ("cut", "derived", "1.4", ["A pen is {} dollars off."], ["percent / 100 * price"]),
    ("left", "derived", "28", ["At the end it costs {} dollars."], ["cost - cut * count"]),
    ("both", "derived", "37", ["Together it is {} dollars."], ["left + extra"]),
]
PROBLEM = Problem("id", "?", "37", payload=encode("hand", "both", ROWS))

TABLE = [
    ("The pens cost 7 * 5 = 35 dollars.", ""),
    ("The pens cost 5 * 7 = 35 dollars.", ""),
    ("Mia pays 35 dollars.", ""),
    ("Mia pays 35.0 dollars.", ""),
    ("Mia pays 70/2 dollars.", ""),
    (" Mia pays 35 dollars. ", ""),
    ("The pens cost 7 * 5 = 36 dollars.", "arithmetic"),
    ("The pens cost 9 * 5 = 44 dollars.", "arithmetic"),
    ("The pens cost 6 * 5 = 31 dollars.", "arithmetic"),
    ("The pens cost 7 / (5 - 5) = 35 dollars.", "arithmetic"),
    ("The pens cost 36 dollars.", "value"),
    ("The pens cost -35 dollars.", "value"),
    ("The pens cost 9 * 5 = 45 dollars.", "operand"),
    ("The pens cost 7 * 7 = 49 dollars.", "operand"),
    ("The pens cost 28 + 7 = 35 dollars.", "operand"),
    ("The pens cost 7 + 5 = 12 dollars.", "operation"),
    ("The pens cost 5 - 7 = -2 dollars.", "operation"),
    ("The pens cost 5 / 7 = 5/7 dollars.", "operation"),
    ("The pens cost 6 * 5 = 30 dollars.", "invented"),
    ("The pens cost 30 + 5 = 35 dollars.", "invented"),
    ("The pens cost 35 = 35 dollars.", "malformed"),
    ("The pens cost 7 * 5 = 35 = 35 dollars.", "malformed"),
    ("The pens cost 7*5 = 35 dollars.", "malformed"),
    ("The pens cost 7 * 5 = 035 dollars.", "malformed"),
    ("The pens cost 7  * 5 = 35 dollars.", "malformed"),
    ("The pens cost (7 * 5 = 35 dollars.", "malformed"),
    ("The pens cost 7 * = 35 dollars.", "malformed"),
    ("The pens cost 7 // 5 = 1 dollars.", "malformed"),
    ("The pens cost thirty dollars.", "malformed"),
    ("The pens costs 35 dollars.", "malformed"),
    ("The pens cost 35 dollars", "malformed"),
    ("The pens cost {} dollars.", "malformed"),
    ("", "malformed"),
    ("   ", "malformed"),
    ("Each pen costs 7 dollars.", ""),
    ("Each hat costs 9 dollars.", ""),
    ("Each hat costs 7 dollars.", "value"),
    ("Each pen costs 35 / 5 = 7 dollars.", ""),
    ("A pen is 20 / 100 * 7 = 1.4 dollars off.", ""),
    ("A pen is 20 * 7 / 100 = 1.4 dollars off.", ""),
    ("A pen is 7 / 100 * 20 = 7/5 dollars off.", ""),
    ("A pen is 9 / 100 * 20 = 1.8 dollars off.", "operand"),
    ("Mia gives 3/4 of the pens.", ""),
    ("Mia gives 0.75 of the pens.", ""),
    ("Mia gives 3 / 4 = 3/4 of the pens.", ""),
    ("At the end it costs 28 dollars.", ""),
    ("At the end it costs 35 - 1.4 * 5 = 28 dollars.", ""),
    ("At the end it costs 7 * 5 - 1.4 * 5 = 28 dollars.", ""),
    ("At the end it costs (7 - 1.4) * 5 = 28 dollars.", ""),
    ("At the end it costs 7 * 5 - 20 / 100 * 7 * 5 = 28 dollars.", ""),
    ("At the end it costs 35 - 1.4 = 33.6 dollars.", "operand"),
    ("At the end it costs (35 - 1.4) * 5 = 168 dollars.", "operation"),
    ("Together it is 28 + 9 = 37 dollars.", ""),
    ("Together it is 35 + 9 = 44 dollars.", "operand"),
    ("Answer: 37", ""),
    ("Answer: 37.0", ""),
    ("Answer: 36", "answer"),
    ("Answer: 28 + 9", "malformed"),
    ("Answer: many", "malformed"),
    ("Answer:37", "malformed"),
]


@pytest.mark.parametrize(("step", "kind"), TABLE)
def test_step(step: str, kind: str) -> None:
    assert judge_step(decode(PROBLEM.payload), step) == kind


def test_chains() -> None:
    right = ["The pens cost 7 * 5 = 35 dollars.", "Together it is 37 dollars.", "Answer: 37"]
    verdict = judge(PROBLEM, right)
    assert (verdict.first_error, verdict.kind, verdict.complete) == (-1, "", True)
    for cut in range(3):
        verdict = judge(PROBLEM, right[:cut])
        assert (verdict.first_error, verdict.complete) == (-1, False)
    verdict = judge(PROBLEM, [*right, "Answer: 37"])
    assert (verdict.first_error, verdict.kind, verdict.complete) == (3, "malformed", False)
    wrong = judge(PROBLEM, [right[0], "Together it is 38 dollars.", "", "Answer: 37"])
    assert (wrong.first_error, wrong.kind, wrong.complete) == (1, "value", True)
    late = judge(PROBLEM, [*right[:2], "Answer: 5", "Answer: 37"])
    assert (late.first_error, late.kind, late.complete) == (2, "answer", False)


def problems(family: str, count: int) -> list[Problem]:
    return [sample_problem(seed, "pretrain", families=(family,)) for seed in range(count)]


@pytest.mark.parametrize("family", FAMILIES)
def test_rows_on_every_family(family: str) -> None:
    """Rows made here by editing true text, without the package's own mutations."""
    rng = random.Random(family)
    for problem in problems(family, 60):
        graph = decode(problem.payload)
        solution = solve(problem, rng, p_equation=1.0)
        shuffled = rng.sample(solution.steps[:-1], len(solution.steps) - 1)
        assert judge(problem, [*shuffled, solution.steps[-1]]).first_error == -1
        for step in solution.steps[:-1]:
            assert judge_step(graph, step) == ""
            equation = re.search(r"([0-9(][^=a-z]*) = ([0-9./]*[0-9])", step)
            if not equation:
                value = re.search(r"[0-9./]*[0-9]", step)
                assert value is not None
                assert judge_step(graph, step.replace(value[0], "1234", 1)) == "value"
                continue
            expr, value_text = equation[1], equation[2]
            assert judge_step(graph, step.replace(equation[0], value_text)) == ""
            assert judge_step(graph, step.replace(f"= {value_text}", "= 1234")) == "arithmetic"
            assert judge_step(graph, step.replace(equation[0], "1234")) == "value"
            assert judge_step(graph, step.replace(equation[0], f"{value_text} = {value_text}")) == "malformed"
            foreign = parse_expression(f"{expr} + 1237")
            text = f"{render(foreign)} = {format_number(evaluate(foreign))}"
            assert judge_step(graph, step.replace(equation[0], text)) == "invented"
            check_other_operands(graph, step, equation)
            check_other_signs(graph, step, equation)


def check_other_operands(graph, step: str, equation: re.Match) -> None:
    """One literal replaced by each other true value: right only if the function of the facts is the same."""
    expr = parse_expression(equation[1])
    for old in leaves(expr):
        for new in graph.by_value:
            if new == old or graph.by_value[new] in ("1", "2"):
                continue
            changed = parse_expression(render(swap(expr, old, new)))
            try:
                value = evaluate(changed)
            except ZeroDivisionError:
                continue
            if value == evaluate(expr):
                continue
            text = f"{render(changed)} = {format_number(value)}"
            assert judge_step(graph, step.replace(equation[0], text)) in ("operand", "operation"), (
                step,
                text,
            )


def check_other_signs(graph, step: str, equation: re.Match) -> None:
    expr = parse_expression(equation[1])
    for sign in "+-*/":
        changed = (sign, expr[1], expr[2])
        if evaluate(changed) != evaluate(expr):
            text = f"{render(changed)} = {format_number(evaluate(changed))}"
            assert judge_step(graph, step.replace(equation[0], text)) == "operation", (step, text)


def swap(expr, old, new):
    if not isinstance(expr, tuple):
        return new if expr == old else expr
    return (expr[0], swap(expr[1], old, new), swap(expr[2], old, new))


@pytest.mark.parametrize("family", FAMILIES)
def test_damaged_text_is_right_only_if_it_means_the_same(family: str) -> None:
    rng = random.Random(family)
    letters = "abcdeEMT 0123456789.+-*/=()"
    for problem in problems(family, 40):
        graph = decode(problem.payload)
        for step in solve(problem, rng).steps:
            for _ in range(12):
                at = rng.randrange(len(step))
                kept = rng.choice((step[:at], step[: at + 1]))
                damaged = kept + rng.choice(("", rng.choice(letters))) + step[at + 1 :]
                if damaged.strip() != step and judge_step(graph, damaged) == "":
                    assert same_meaning(graph, step, damaged), (step, damaged)


def same_meaning(graph, step: str, damaged: str) -> bool:
    """Same words, and the same value by numbers that are all in the problem."""
    number = re.compile(r"[0-9][0-9./]*[0-9]|[0-9]")
    words = [re.sub(r"[-+*/=() ]", "", number.sub("", text)) for text in (step, damaged)]
    values = [parse_number(number.findall(text)[-1]) for text in (step, damaged)]
    literals = [parse_number(text) for text in number.findall(damaged)]
    return (
        words[0] == words[1] and values[0] == values[1] and all(value in graph.by_value for value in literals)
    )


def test_numbers() -> None:
    cases = {"12": 12, "12.0": 12, "24/2": 12, "2.50": Fraction(5, 2), "-3": -3, "0.5": Fraction(1, 2)}
    assert {text: parse_number(text) for text in cases} == cases
    for text in ("", "012", "1.", ".5", "1/0", "1 / 2", "1e3", "+4", "٣", "1/2/3"):
        assert parse_number(text) is None
    shown = {
        Fraction(3, 4): "0.75",
        Fraction(1, 3): "1/3",
        Fraction(-5, 2): "-2.5",
        Fraction(4): "4",
        Fraction(1, 8): "1/8",
    }
    assert {value: format_number(value) for value in shown} == shown
    for text in ("1 - (2 - 3)", "1 - 2 - 3", "2 * (3 + 4)", "8 / (4 / 2)", "8 / 4 / 2", "3/4 * 8"):
        assert render(parse_expression(text), lambda v: "3/4" if v == Fraction(3, 4) else str(v)) == text
