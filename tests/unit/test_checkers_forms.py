"""Formulas, shapes, values, times and dates: what is read, what is refused, and properties of equality."""

import contextlib
from fractions import Fraction

import pytest
import sympy
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from checkers import Status
from checkers.clock import Date, Time, read_date, read_time
from checkers.equality import same_form
from checkers.forms import read_form
from checkers.formula import Name, Node, NotAFormulaError, parse_formula
from checkers.math import easy_math
from checkers.normalise import tidy
from checkers.numeric import UnknownValueError, equal, evaluate


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1 + 2 * 3", 7),
        ("2 - 3 - 4", -5),
        ("-3^2", -9),
        ("2^{-1}", Fraction(1, 2)),
        (r"\frac12 \cdot 4", 2),
        (r"\frac{1}{2} (3 + 5)", 4),
        ("2(3)(4)", 24),
        ("12/4/3", 1),
        (r"\binom{5}{2}", 10),
        ("4!", 24),
        ("|2 - 5|", 3),
        ("10^2", 100),
        ("2^10", 1024),
    ],
)
def test_exact_values(text, value):
    assert evaluate(parse_formula(text), {}) == value


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("1/2x", "(1/2)x, or 1/(2x)"),
        (r"3\frac{1}{2}", "a mixed number, or a product"),
        ("x 2", "a number after a factor"),
        ("2^3^4", "two exponents"),
        ("f(3)", "a function that is not known"),
        (r"\log 5", "a logarithm to no base"),
        (r"\sin^{-1} x", "an inverse, or a reciprocal"),
        ("banana", "a word"),
        (r"\frac{1}", "an argument is missing"),
        ("(1", "a bracket is missing"),
        ("1)", "a bracket too many"),
        ("1 ; 2", "a sign that is not read"),
        ("1_2", "a base"),
        ("", "nothing"),
        ("(" * 100 + "1" + ")" * 100, "too deep"),
        ("-" * 100 + "1", "too many signs"),
        ("2^" + "-" * 100 + "1", "too many signs in an exponent"),
        ("+".join("1" * 200), "too long"),
    ],
)
def test_what_could_mean_two_things_is_refused(text, why):
    with pytest.raises(NotAFormulaError):
        parse_formula(text)


@pytest.mark.parametrize(
    "text", ["9^{9^{9}}", "10^{99999}", "1000!", r"\binom{10000}{5000}", "1/0", r"\infty", "0^0"]
)
def test_large_values_are_refused(text):
    with pytest.raises(UnknownValueError):
        evaluate(parse_formula(text), {})


def test_trees():
    x = Name("x")
    assert parse_formula(r"2x^2") == Node("*", (Fraction(2), Node("^", (x, Fraction(2)))))
    assert parse_formula(r"x_{12}") == Name("x_12")


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("5", "value"), ("(1, 2)", "tuple"), ("1, 2", "list"), (r"\{1, 2\}", "list"),
        (r"\pm 2", "list"), ("x + y = 2", "equation"), ("x + y < 2", "inequality"), ("x < 2", "tuple"),
        ("x < 1 or x > 2", "union"),
        (r"(1, 2) \cup (3, 4)", "union"), (r"\begin{pmatrix}1\\2\end{pmatrix}", "matrix"), ("11_2", "based"),
    ],
)  # fmt: skip
def test_shapes(text, kind):
    assert read_form(text).kind == kind


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("x", r"\sqrt{x^2}", None),  # equal where x is positive
        ("x", "|x|", None),
        ("y = 5", "x = 5", None),
        ("(1,234, 5)", "(1234, 5)", None),  # separators, or several numbers
        ("x^2 = 4", "x = 2, x = -2", None),
        ("(x - 1)^2 = 0", "x = 1", None),
        (r"e^{\pi\sqrt{163}}", "262537412640768744", False),  # equal to twelve decimals
        ("[1, 2, 3]", "(1, 2, 3)", None),
    ],
)
def test_doubt_is_left_to_algebra(one, other, same):
    assert same_form(one, other) is same
    assert same_form(other, one) is same


def test_times_and_dates():
    assert read_time("5:30 p.m.") == Time(17, 30, 0, True)
    assert read_time("12 am") == Time(0, 0, 0, True)
    assert read_time("17:30") == Time(17, 30, 0, True)
    assert read_time("5:30") == Time(5, 30, 0, False)
    assert [read_time(text) for text in ("5", "25:00", "13 pm", "5:75")] == [None] * 4
    assert read_date("3rd of May, 1999") == Date(5, 3, 1999) == read_date("1999-05-03")
    assert [read_date(text) for text in ("03/05/1999", "May", "May 32", "13")] == [None] * 4


# Properties: sympy writes formulas, and says what they equal

x, y = sympy.symbols("x y")
leaves = st.one_of(
    st.sampled_from([x, y, sympy.sqrt(2), sympy.pi, sympy.I]),
    st.integers(-9, 9).map(sympy.Integer),
    st.fractions(-9, 9, max_denominator=9).map(
        lambda value: sympy.Rational(value.numerator, value.denominator)
    ),
)
formulas = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds(lambda a, b: a + b, inner, inner),
        st.builds(lambda a, b: a * b, inner, inner),
        st.builds(lambda a, n: a**n, inner, st.integers(1, 3)),
    ),
    max_leaves=6,
)
slow = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def ordinary(formula):
    return not formula.has(sympy.nan, sympy.zoo)


@slow
@given(formulas)
def test_a_formula_rendered_and_read_again_is_itself(formula):
    assume(ordinary(formula))
    for other in (formula, sympy.expand(formula)):
        verdict = easy_math(sympy.latex(formula), sympy.latex(other))
        assert verdict is None or verdict.status is not Status.INCORRECT, (formula, other, verdict)


@slow
@given(formulas)
def test_rendered_formulas_are_read(formula):
    assume(ordinary(formula))
    written = (tidy(sympy.latex(form)) for form in (formula, sympy.expand(formula)))
    assert equal(*map(parse_formula, written)) is True


@slow
@given(formulas, st.integers(1, 9))
def test_another_formula_is_never_correct(formula, offset):
    assume(ordinary(formula))
    verdict = easy_math(sympy.latex(formula), sympy.latex(sympy.expand(formula + offset)))
    assert verdict is None or verdict.status is not Status.CORRECT, (formula, offset, verdict)


values = st.fractions(-50, 50, max_denominator=12).map(str)
shapes = st.one_of(
    values,
    st.lists(values, min_size=2, max_size=4).map(lambda items: f"({', '.join(items)})"),
    st.lists(values, min_size=2, max_size=4).map(lambda items: rf"\{{{', '.join(items)}\}}"),
    st.tuples(values, values).map(lambda ends: f"[{ends[0]}, {ends[1]})"),
    st.lists(values, min_size=2, max_size=3).map(
        lambda items: rf"\begin{{pmatrix}} {' & '.join(items)} \end{{pmatrix}}"
    ),
)


@settings(deadline=None)
@given(shapes, shapes)
def test_equality_of_shapes_is_symmetric_and_reflexive(one, other):
    assert same_form(one, other) is same_form(other, one)
    assert same_form(one, one) is True


@settings(deadline=None)
@given(st.permutations(["1", "2/3", r"\sqrt{2}", "x"]))
def test_a_set_has_no_order_and_a_tuple_has(items):
    joined = ", ".join(items)
    assert same_form(rf"\{{{joined}\}}", r"\{1, 2/3, \sqrt{2}, x\}") is True
    assert same_form(f"({joined})", r"(1, 2/3, \sqrt{2}, x)") is (items == ["1", "2/3", r"\sqrt{2}", "x"])


@settings(deadline=None)
@given(st.text(alphabet=r"0123456789xy+-*/^(){}[]\,=<>| frac sqrt pm", max_size=60))
def test_any_text_is_read_or_refused(text):
    with contextlib.suppress(NotAFormulaError):
        read_form(text)
