"""Properties of the mathematics checker: symmetry, LaTeX there and back, wrong values found wrong.

What is undecided or incorrect for two equal formulas would be a wrong label, so only "correct" will do.
"""

import sympy
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from checkers import Status, check_math

few = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
whole = st.integers(-(10**6), 10**6)
x, y = sympy.symbols("x y")


def decimals(places):
    return whole.map(lambda number: f"{number / 10**places:.{places}f}")


numbers = st.one_of(
    whole.map(str),
    whole.map(lambda number: f"{number:,}"),
    st.fractions(max_denominator=999).map(str),
    st.fractions(max_denominator=999).map(lambda value: sympy.latex(sympy.Rational(value))),
    decimals(2),
    decimals(6),
    st.integers(0, 100).map(lambda number: rf"{number}\%"),
    st.integers(0, 9999).map(lambda number: rf"\${number}"),
    st.integers(2, 50).map(lambda number: rf"\sqrt{{{number}}}"),
    st.tuples(st.integers(1, 9), st.integers(-5, 5)).map(lambda pair: rf"{pair[0]} \times 10^{{{pair[1]}}}"),
)
plain_values = st.one_of(
    numbers,
    st.lists(st.integers(-9, 9), min_size=2, max_size=4).map(lambda parts: f"({', '.join(map(str, parts))})"),
    st.sets(st.integers(-9, 9), min_size=1, max_size=4).map(
        lambda parts: rf"\{{{', '.join(map(str, parts))}\}}"
    ),
    st.tuples(st.sampled_from("(["), st.integers(-9, 0), st.integers(1, 9), st.sampled_from(")]")).map(
        lambda parts: f"{parts[0]}{parts[1]}, {parts[2]}{parts[3]}"
    ),
    st.tuples(st.integers(-9, 9), st.integers(1, 9)).map(lambda parts: f"{parts[0]}+{parts[1]}i"),
)
others = st.sampled_from(["east", "yes", "B", r"\text{Tuesday}", "x < 3", "x > 3", r"\infty", "no solution"])


@few
@given(plain_values, plain_values)
def test_equivalence_is_symmetric(one, other):
    # A set as the reference takes brackets in any order, a pair as the reference has one order.
    assume({one[0], other[:2]} != {"(", r"\{"} and {other[0], one[:2]} != {"(", r"\{"})
    assert check_math(one, other).status is check_math(other, one).status


@few
@given(plain_values | others, plain_values | others)
def test_words_and_relations_are_equal_both_ways_or_neither(one, other):
    """Words for a formula are incorrect, a formula for words is undecided: only equality is symmetric."""
    forth, back = check_math(one, other).status, check_math(other, one).status
    assert (forth is Status.CORRECT) == (back is Status.CORRECT)


@few
@given(plain_values | others)
def test_every_plain_value_equals_itself(value):
    assert check_math(rf"So the answer is \boxed{{{value}}}.", value).status is Status.CORRECT


# Expressions

leaves = st.one_of(
    st.integers(-12, 12).map(sympy.Integer),
    st.fractions(-9, 9, max_denominator=9).map(sympy.Rational),
    st.integers(2, 12).map(sympy.sqrt),
    st.sampled_from([x, y, sympy.pi]),
)


def grown(parts):
    return st.one_of(
        st.tuples(parts, parts).map(lambda pair: pair[0] + pair[1]),
        st.tuples(parts, parts).map(lambda pair: pair[0] * pair[1]),
        st.tuples(parts, st.integers(2, 3)).map(lambda pair: pair[0] ** pair[1]),
        st.tuples(parts, st.sampled_from([2, 3, 5])).map(lambda pair: pair[0] / pair[1]),
        st.tuples(parts, parts).map(lambda pair: pair[0] - 2 * pair[1]),
    )


expressions = st.recursive(leaves, grown, max_leaves=5)


@few
@given(expressions)
def test_an_expression_is_read_back_from_its_latex(expression):
    other = sympy.expand(expression)
    assert check_math(f"${sympy.latex(expression)}$", sympy.latex(other)).status is Status.CORRECT


@few
@given(expressions)
def test_a_common_denominator_changes_nothing(expression):
    other = sympy.together(expression / 6 + 1)
    text = rf"Thus it is \boxed{{{sympy.latex(expression / 6 + 1)}}}."
    assert check_math(text, sympy.latex(other)).status is Status.CORRECT


@few
@given(expressions, st.fractions(-9, 9, max_denominator=9))
def test_a_wrong_value_is_incorrect(expression, error):
    assume(error)
    wrong = sympy.expand(expression + sympy.Rational(error))
    assert check_math(sympy.latex(wrong), sympy.latex(expression)).status is Status.INCORRECT


@few
@given(st.fractions(max_denominator=10**4), st.fractions(max_denominator=10**4))
def test_a_wrong_number_is_incorrect_in_any_spelling(right, wrong):
    assume(abs(right - wrong) > abs(right) / 10**3 and wrong * 100 != right and right * 100 != wrong)
    for spelling in (str(wrong), sympy.latex(sympy.Rational(wrong)), f"The answer is {wrong}."):
        assert check_math(spelling, str(right)).status is Status.INCORRECT
