"""Stated equations: what is confirmed, what is refuted with which value, what is left alone."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checkers import Status, check_steps
from checkers.arithmetic import NotArithmeticError, TooLargeError, evaluate
from checkers.steps import inspect_steps


def check(step, problem=""):
    (verdict,) = check_steps(problem, [step])
    return verdict


@pytest.mark.parametrize(
    "step",
    [
        "3 * 4 = 12",
        "12 × 4 = 48 eggs",
        "3/4 * 20 = 15",
        "$5 + $6 = $11",
        "20% of 45 = 9",
        "45 * 20% = 9",
        "1/5 * 100 = 20%",
        "a = 3 + 4 = 7 = 14 / 2",
        "(2 + 3) * (4 - 1) = 15",
        "2(3 + 4) = 14",
        "[(1 + 2) * 3] - 4 = 5",
        r"x = \frac{6}{2} = 3",
        r"$\frac12 \times 10 = 5$",
        r"\left(\frac{1}{2} + \frac{1}{3}\right) \cdot 6 = \boxed{5}",
        r"3 \text{ apples} \times 4 = 12 \text{ apples}",
        "10 miles/day x 7 days = 70 miles",
        "5 dollars per hour x 3 hours = 15 dollars",
        "5x3 = 15",
        "1,200 / 4 = 300",
        "3 1/2 + 1/2 = 4",
        "2^3 = 8",
        "5² - 1 = 24",
        "2 ** 5 = 32",
        r"\sqrt{16} + 1 = 5",
        "10/3 = 3.33",
        "200/3 = 66.7",
        "2/3 = 0.66",
        "10/3 ≈ 3.4",
        "22 / 7 = about 3.14",
        "2 * 3 million = 6 million",
        r"6.02 \times 10^{23} * 2 = 1.204 \times 10^{24}",
        "5 times 6 equals 30",
        "10 divided by 4 is equal to 2.5",
        "half of 10 = 5",
        "5 - -3 = 8",
        "-5 + 3 = -2",
        "- 3 + 4 = 7",
        "1. 3 + 4 = 7",
        "Step 1 - 3 + 4 = 7",
        "Step 12: **3 + 4 = 7**",
        "12 = 3 * 4",
        "7 + 5 = 12. So 12 - 2 = 10!",
        "48/2 = <<48/2=24>>24 clips",
        "8 inches/4 years * 3.25 = <<8*3.25=26>>26 inches",
        "50% - 20% = 30%",
        "12 − 5 = 7",
        "The red jar has 10 / 100 * 54 = 5.4 cups of juice.",
        "100 - 10 = 90 percent of the group are dogs.",
        "Max makes 11 * 8 = 88 shirts.",
        "The eggs cost 39 - 28 = 11 dollars more than the shirts.",
        "Tom is ahead by 83 - 74 = 9 days.",
        "The average is 92 / 2 = 46 points.",
        "3 hours = 180 minutes",
        "30 minutes * 4 = 2 hours",
        "2 hours = 2 * 60 minutes",
        "log 10 + 1 = 2",
        "40 / 50 * x = 0.8x",
        "(x - 8) + 40 = x + 32",
        "(a + b)(a - b) = a^2 - b^2",
        "1 hour and 30 minutes is equal to 1.5 hours x 60 minutes/hour = 90 minutes.",
        "She ate 2 slices, so she had 15 - 2 = 13 slices remaining.",
        "F = (10 kg)(9.8 m/s^2) = 98 N",
        "V = IR = (2 A)(5 Ω) = 10 V",
        "E = (6.63 × 10^-34 J s)(3.00 × 10^8 m/s) / (400 × 10^-9 m) = 4.97 × 10^-19 J",
        "λ = 0.5 μm * 4 = 2 * 10^-6 m",
        "24 / 2/3 = 36",
        "x^4 = 1.6/27 × 10^-39 ≈ 5.9 × 10^-41",
        r"A = \frac{\sqrt{3}}{4} \cdot 6^2 = 15.59",
        "1/sqrt(1 - (0.6)^2) = 1.25",
        r"\sqrt[3]{27} + 1 = 4",
        "cos(60°) * 4 = 2",
        "ln(2)/0.1 = 6.93",
        "A = π * 3^2 ≈ 28.27",
        r"240 \* 2 = 480",
        "20% of 45 is 9.",
        "He keeps 20 dollars, which is 20% of 100, or 20.",
        "Wait, 15 + 8 = 22? No, 15 + 8 = 23.",
        "1/2 hour = 30 minutes",
        "1/4 hour + 1/2 hour = 45 minutes",
        "120 miles/2 hours = 60 miles per hour",
        "1/3 = 33%",
        "20/30 = 66.7%",
    ],
)
def test_confirmed(step):
    assert check(step).status is Status.CORRECT, check(step)


@pytest.mark.parametrize(
    ("step", "stated", "right"),
    [
        ("3 * 4 = 13", "13", "12"),
        ("He has 12 × 4 = 46 eggs left.", "46", "48"),
        ("3/4 * 20 = 16", "16", "15"),
        ("$5 + $6 = $12.", "12", "11"),
        ("20% of 45 = 8", "8", "9"),
        ("a = 3 + 4 = 7 = 14 / 4", "7", "3.5"),
        ("so 3 + 5 = 8 and 2 * 4 = 9", "9", "8"),
        ("= 12 eggs and 5 + 6 = 12", "12", "11"),
        (r"x = \frac{6}{2} = 4", "4", "3"),
        ("10/3 = 3.34", "3.34", "10/3"),
        ("10/3 = 5", "5", "10/3"),
        ("0.25 * 48 = 13", "13", "12"),
        ("12.8 + 3.6 = 16.5", "16.5", "16.4"),
        ("5 times 6 equals 31", "31", "30"),
        ("5 apples + 3 apples = 9 apples", "9", "8"),
        ("24 / 2 = <<24/2=13>>13", "13", "12"),
        ("100 - (40/100) * 100 = $50", "50", "60"),
        ("13 = 3 * 4", "13", "12"),
        ("1,200 / 4 = 30", "30", "300"),
        ("5² = 26", "26", "25"),
        ("7 + 6 = 13 = 6 + 6", "13", "12"),
        ("3 hours = 190 minutes", "190", "180"),
        ("1/2 hour = 40 minutes", "40", "30"),
        ("1 mile = 2 km", "2", "1.609344"),
        ("1 foot = 13 inches", "13", "12"),
        ("Simplifying, 3 * 2x = 5x", "5x", "6x"),
        ("1/2 = 52.5%", "52.5%", "0.5"),
        ("50% - 20% = 31%", "31%", "0.3"),
        ("Assuming 3 eggs a day, 3 * 4 = 13.", "13", "12"),
        ("They wait for 5 + 10 = 16 minutes.", "16", "15"),
        ("There are 2 wrong answers: 3 * 4 = 13 marks", "13", "12"),
        ("20% of 45 is 8.", "8", "9"),
        ("He keeps the rest, which is 3 * 12, or 35.", "35", "36"),
        ("F = (10 kg)(9.8 m/s^2) = 88 N", "88", "98"),
        ("(x - 8) + 40 = x + 30", "x + 30", "x + 32"),
        ("Combining like terms, 3x + 4x = 8x.", "8x", "7x"),
        (r"\sqrt{2} * 10 = 20", "20", "14.1421"),
    ],
)
def test_refuted_with_the_right_value(step, stated, right):
    verdict = check(step)
    assert verdict.status is Status.INCORRECT, verdict
    assert verdict.compared == (stated, right)
    assert "=" in verdict.reason
    assert right in verdict.reason


@pytest.mark.parametrize(
    ("step", "why"),
    [
        ("The rest is 12 eggs.", "no equation"),
        ("x = 5", "nothing computed"),
        ("2x + 3 * 4 = 12", "an unknown before the expression"),
        ("x - 5 + 2 = 3", "an unknown minuend"),
        ("12 = 3 * x", "an unknown after it"),
        ("3 * 4 = 12x", "a coefficient"),
        (r"2\pi + 1 = 7", "a constant"),
        ("f(3) + 2 = 9", "a function"),
        ("(A + B) * 4 = 13", "variables in brackets"),
        ("the average of 3 + 5 = 4", "a function in words"),
        ("the root of the 3 + 5 = 4", "a function in words"),
        ("3 * 4 = 50% of the group", "a part of something unknown"),
        ("multiply 5 by 3 + 4 = 35", "a spoken operation"),
        ("12 / total = 3", "a division by a name"),
        ("2 dozen + 3 = 27", "a collective unit"),
        ("7 / 2 = 3 boxes", "a whole number of boxes"),
        ("17 / 5 = 3 remainder 2", "a remainder"),
        ("3.33 * 3 = 10", "operands that were rounded"),
        ("96485 * 2 = 193000", "three significant digits"),
        ("3500 - 4000 = 500", "a difference in the other order"),
        ("(5-2), (3-1) = 3, 2", "lists"),
        ("8 + 8 = 6 (mod 10)", "another arithmetic"),
        ("Then 7 + 1 = 5, which is not possible.", "a supposition"),
        ("(3 + 4) * 2 = (3 + 8) = 14", "a slip that is mended"),
        ("5 * 3 = 15 + 2 = 17", "a calculation that runs on"),
        ("**Step 3** 5 + 6 = 11", "a label, or a factor"),
        ("5! = 120", "factorials are not computed"),
        ("5:30 + 2:00 = 7:30", "times"),
        ("9**9**9**9 = 3", "too large"),
        ("5 % 3 = 2", "a remainder operator"),
        ("1 / 0 = 5", "a division by zero"),
        ("10x = 7", "an equation to solve"),
        ("25 = 23 * 22", "exponents that lost their place"),
        ("1 μs = 1 x 10-6 s", "an exponent that lost its place"),
        ("24.6 eV + 54.4 eV = 78.8 eV", "measured quantities"),
        ("0.5 um / 0.0029 = 0.17 mm", "a metric conversion"),
        ("x = 0.777... so 10x = 7", "a decimal that goes on"),
        ("2m + 3 = 5", "a variable, not metres"),
        ("25L^2 + 9L^2 = 48", "a variable, not litres"),
        ("3 MN + 2 = 11", "perhaps a line from M to N, not meganewtons"),
        ("-3^2 = 9", "a sign before a power"),
        ("2 months = 60 days", "a conversion of no fixed size"),
        ("the field for m = -1/2 = 333.5 mT", "the value of something else"),
        ("11 am + 3 hours = 2 pm", "times of day"),
        ("$5 - 50 cents = $4.50", "dollars and cents"),
        ("135 minutes = 2 hours and 15 minutes", "two units make one measure"),
        ("1 mile = 1.6 km", "a rounded conversion"),
        ("1 kg = 2.2 lb", "a rounded conversion"),
        ("$50 + 20% = $60", "a percentage of what stands before it"),
        ("4 * 5 = $20.00 + $2 = $22", "a calculation that runs on"),
        ("A = 1/2 bh = 1/2 * 4 * 5 = 10", "words that stand for numbers"),
        ("Solve 2x = 3x", "an equation to solve"),
        ("Suppose that 1 + 1 = 3.", "supposed"),
        ("If 1 + 1 = 3, then all is lost.", "supposed"),
        ("Tom says 5 + 7 = 11.", "somebody's claim"),
        ("Is 15 + 8 = 22?", "asked"),
        ("So 15 + 8 = 22. No, 15 + 8 = 23.", "corrected in the same step"),
        ("Let me check: 15 + 8 = 22. Hmm, that's not right.", "rejected"),
        ("15 + 8 = 22. Oops.", "rejected"),
        ("15 + 8 = 22, which is wrong.", "rejected"),
        ("1 amu = 1.66 * 10^-24 grams", "a unit that is not known"),
    ],
)
def test_left_undecided(step, why):
    assert check(step).status is Status.UNDECIDED, (why, check(step))


def test_another_arithmetic_is_announced_by_the_problem():
    assert check("8 + 8 = 6", problem="Work modulo 10.").status is Status.UNDECIDED
    assert check("8 + 8 = 6").status is Status.INCORRECT


@pytest.mark.parametrize(
    ("steps", "status"),
    [
        (["A = 8 - 11 = -3", "B = 5", "A - B = -3 - 5 = -8"], Status.CORRECT),
        (["A = 8 - 11 = -3", "B = 5", "A - B = 3 - 5"], Status.INCORRECT),
        (["A = 8 - 11 = -3", "A = 4", "A - 5 = 3 - 5"], Status.INCORRECT),  # whichever it is
        (["A = 8 - 11 = -3", "A = 3", "A - 5 = 3 - 5"], Status.CORRECT),
        (["If A = 3, all is well", "A - 5 = 4 - 5"], Status.UNDECIDED),
        (["x = 7", "6x = 35"], Status.UNDECIDED),  # a new equation
        (["L = 1", "25L^2 + 9L^2 = 48^2 * 25"], Status.UNDECIDED),  # the same
        (["2x + 18 = 98", "Subtracting 18, 2x = 80"], Status.CORRECT),
        (["2x + 18 = 98", "Subtracting 18, 2x = 90"], Status.INCORRECT),
        (["2x + 18 = 98", "Subtracting 18, 2x = 80", "Dividing by 2, x = 40"], Status.CORRECT),
        (["2x + 18 = 98", "Subtracting 18, 2x = 80", "Dividing by 2, x = 8"], Status.INCORRECT),
        (["2x + 1 = 11", "Solving, x = 5.", "3x = 12", "Dividing by 3, x = 4."], Status.UNDECIDED),  # a new x
        (["2x + 18 = 98", "For the pears, 2x = 90"], Status.UNDECIDED),  # perhaps another x
        (["2x + 18 = 98", "Solving the corrected equation, 2x = 90"], Status.UNDECIDED),
    ],
)
def test_what_earlier_steps_stated_is_remembered(steps, status):
    assert check_steps("", steps)[-1].status is status, check_steps("", steps)


def test_every_equation_of_a_step_is_reported():
    (report,) = inspect_steps("", ["1 + 1 = 2 and 2 + 2 = 5"])
    assert [verdict.status for verdict in report.equations] == [Status.CORRECT, Status.INCORRECT]
    assert report.verdict == report.equations[1]


def test_one_verdict_a_step_in_order():
    verdicts = check_steps("", ["1 + 1 = 2", "no sum", "1 + 1 = 3"])
    assert [verdict.status for verdict in verdicts] == [Status.CORRECT, Status.UNDECIDED, Status.INCORRECT]
    assert check_steps("", []) == []


@pytest.mark.parametrize(
    "step",
    [
        "(" * 9_000 + "1" + ")" * 9_000 + " = 2",
        "1 + " * 4_000 + "1 = 2",
        "= " * 9_000,
        "1 = " * 4_000,
        "1,111," * 3_000 + " + 1 = 2",
        "^" + " " * 15_000 + "= 2",
        "\\frac{" * 3_000 + " = 2",
        "2^" * 5_000 + "2 = 4",
        "**" * 9_000 + "=",
        "<<" * 9_000 + "=",
        "5 apples " * 2_000 + "= 3",
        "9" * 19_000 + " * 3 = 1",
        "x" * 1_000_000 + "=",
        ("1 (" * 13 + "6/2(0)" + ")" * 13 + " = 5; ") * 100,
        "3 = " + "1 + " * 4_000 + "1",
        "1 + 1 = 3 " + "option " * 2_500,
        "1 + 1 = 3 " * 1_500,
        "\x00\u202e= \ud800 1 + 1 = 3",
    ],
)
@pytest.mark.timeout(5)
def test_hostile_steps_end_soon(step):
    assert check(step).status in Status


@pytest.mark.parametrize(
    "text", ["__import__('os')", "1 +", "", "(1", "1)", "x", "1 2", "3 apples", "1 / 0", "2 ^ (1/3)"]
)
def test_only_arithmetic_is_evaluated(text):
    with pytest.raises(NotArithmeticError):
        evaluate(text)


@pytest.mark.parametrize("text", ["9**9**9**9", "(" * 100 + "1" + ")" * 100, "10^9999", "2^512 ^ 2"])
def test_large_values_are_refused(text):
    with pytest.raises(TooLargeError):
        evaluate(text)


def expressions():
    """(text, value) pairs, fully bracketed."""
    leaves = st.integers(0, 999).map(lambda n: (str(n), Fraction(n)))

    def join(children):
        return st.tuples(children, st.sampled_from("+-*/"), children).filter(
            lambda parts: parts[1] != "/" or parts[2][1] != 0
        )

    def build(parts):
        (left, a), sign, (right, b) = parts
        value = {"+": a + b, "-": a - b, "*": a * b}.get(sign)
        return f"({left} {sign} {right})", a / b if value is None else value

    return st.recursive(leaves, lambda children: join(children).map(build), max_leaves=8)


@given(expressions())
def test_the_calculator_agrees_with_fractions(pair):
    text, value = pair
    assert evaluate(text) == value


@given(expressions(), st.integers(1, 50))
def test_a_wrong_value_is_never_confirmed(pair, offset):
    text, value = pair
    if value.denominator == 1:
        stated = value + offset
        assert check(f"{text} + 0 = {stated}").status is not Status.CORRECT
        assert check(f"{text} + 0 = {value}").status is Status.CORRECT
