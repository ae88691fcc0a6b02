"""What stands around an equation, and what it means for it: one case for each misreading once made."""

import pytest

from checkers import Status, check_steps

CORRECT, INCORRECT, UNDECIDED = Status.CORRECT, Status.INCORRECT, Status.UNDECIDED


def last(*steps, problem=""):
    return check_steps(problem, list(steps))[-1]


@pytest.mark.parametrize(
    ("step", "status", "why"),
    [
        ("The sum is -5 + (-4) + ... + 11 = 6 + 11", UNDECIDED, "the end of a longer sum"),
        ("The value of 21^2 + 22^2 + ... + 40^2 is 1600.", UNDECIDED, "the same, spoken"),
        ("4 daps = 7(5 yaps) = 7(3 baps)", UNDECIDED, "units that the problem converts"),
        ("(1 test) / (9/5 test per day) = 9/2 days", INCORRECT, "units that we know"),
        ("Setting these equal: (875)(5.00) = (875)(10.00)", UNDECIDED, "posited, to be solved"),
        ("Equating the two, 3 * 4 = 2 * 5", UNDECIDED, "the same"),
        ("Setting the table, she uses 3 * 4 = 13 plates", INCORRECT, "nothing is set equal"),
        ("For Choice_A, substitute x = -4 into the equation: 3(-4) + 2 = 0", UNDECIDED, "a value tried"),
        (
            "Choice C solves the equation: 2(7) + 8 = 23 satisfies it",
            INCORRECT,
            "a value said to fit",
        ),
        ("Sales in 2014 = 20,000 pounds * $0.24/pound", UNDECIDED, "a label"),
        ("So 13 = 3 * 4", INCORRECT, "a value, not a label"),
        ("700 * 5 cents = 350 cents", INCORRECT, "money has no metric prefix"),
        ("0.5 um / 0.0029 = 0.17 mm", UNDECIDED, "micrometres have one"),
    ],
)
def test_what_stands_around_decides_whether_a_false_equation_is_a_claim(step, status, why):
    assert last(step).status is status, (why, last(step))


@pytest.mark.parametrize(
    ("step", "right"),
    [
        ("2080 gallons x $0.15/gallon = $312", "$322"),
        ("15 cups/hour x $0.50/cup x 4 hours = $30", "$60"),
        ("There are 12 friends + 7 more friends = 19 people", "18 people"),
        ("64 students' cars * 4 windows = 256 windows", "246 windows"),
        ("The revenue is $10 (meals) + $5 (red wine) = $15.", "$16."),
        ("3 cups of juice + 2 cups of juice = 5 cups of juice", "6 cups of juice"),
        ("He eats cereal 304 * (3/6) = 152 times.", "162 times."),
        ("The car turns 3 x 5 = 15 times a day.", "16 times a day."),
    ],
)
def test_what_a_step_says_around_its_numbers_is_read_over(step, right):
    assert last(step).status is CORRECT, last(step)
    before, _, _ = step.rpartition("=")
    assert last(f"{before}= {right}").status is INCORRECT


@pytest.mark.parametrize(
    "step",
    ["12/total = 3", "12/hours = 3", "$300/friends = 50", "3 more than 5 = 8", "He got 5 times 6 more = 3"],
)
def test_a_division_by_a_name_is_no_price(step):
    assert last(step).status is UNDECIDED


def test_the_right_value_is_given_in_the_unit_that_the_step_states():
    assert last("He grows 4 feet - 40 inches = 12 inches").compared == ("12", "8")


@pytest.mark.parametrize(
    ("steps", "status", "why"),
    [
        (["60 - 3x = 9", "Solving for x, we get: x = 19."], INCORRECT, "`for x` supposes nothing here"),
        (["60 - 3x = 9", "Solving for x, we get: x = 17."], CORRECT, "the solution"),
        (["60 - 3x = 9", "For x = 19, solving gives x = 19."], UNDECIDED, "here it does"),
        (
            ["(3/4)x = 273", "Dividing both sides by 3/4, x = 360."],
            INCORRECT,
            "whole, not rounded",
        ),
        (["5x = 82", "Dividing by 5, x = 16."], UNDECIDED, "16.4, rounded to a whole number"),
        (["y = 14", "Substituting -8 = 2y, we solve: y = -4."], UNDECIDED, "a new case"),
        (["2x + 6 = 10", "Subtracting 6 gives 2x = 4, so x = 3."], INCORRECT, "the step's own equation"),
        (
            ["c = 6", "Putting p = -1/3 into cp^2 + q = 12 and solving gives p = -1/3."],
            CORRECT,
            "not p = 12",
        ),
        (["Simplifying for Ni (Z = 28), Pd (Z = 46)"], UNDECIDED, "values of two things"),
        (["3x = 30", "We set up the equation 8x = 26 to solve for x"], UNDECIDED, "a new equation"),
        (["2x = 2", "3x^2 - x - 10 = 0", "Solving for x, x = 2."], UNDECIDED, "one of several roots"),
        (["85 = -34x + 289", "Subtracting 85 yields $-34x = 204$."], INCORRECT, "a minus after `yields`"),
    ],
)
def test_what_was_stated_before_is_compared_with_what_follows_from_it(steps, status, why):
    assert last(*steps).status is status, (why, last(*steps))
