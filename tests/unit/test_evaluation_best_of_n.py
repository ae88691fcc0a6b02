"""Best-of-n against brute force over every subset and every tie."""

from itertools import combinations
from statistics import mean

import numpy as np
import pytest

from distill.evaluation import best_of_n
from distill.records import Outcome, ScoredChain

CORRECT, INCORRECT, UNDECIDED = Outcome.CORRECT, Outcome.INCORRECT, Outcome.UNDECIDED


def pools_of(*problems):
    """Each problem: a list of (outcome, answer)."""
    scored = [
        ScoredChain(str(number), f"{number}.{index}", ("s",), answer, outcome, None)
        for number, chains in enumerate(problems)
        for index, (outcome, answer) in enumerate(chains)
    ]
    problem = np.array([int(chain.problem_id) for chain in scored])
    return best_of_n.pool(scored, problem, len(problems))


def random_problem(rng, size=6):
    """Answers "0".."2", where "0" is right, and scores with many ties."""
    answers = rng.integers(0, 3, size)
    chains = [(CORRECT if answer == 0 else INCORRECT, str(answer)) for answer in answers]
    return chains, rng.integers(0, 4, size) / 4


def brute_best(chains, scores, n):
    picks = []
    for subset in combinations(range(len(chains)), n):
        top = max(scores[i] for i in subset)
        picks.append(mean(chains[i][0] is CORRECT for i in subset if scores[i] == top))
    return mean(picks)


def brute_majority(chains, weights, n):
    picks = []
    for subset in combinations(range(len(chains)), n):
        votes = {}
        for i in subset:
            votes[chains[i][1]] = votes.get(chains[i][1], 0) + weights[i]
        winners = [answer for answer, vote in votes.items() if vote == max(votes.values())]
        picks.append(mean(answer == "0" for answer in winners))
    return mean(picks)


@pytest.mark.parametrize("n", [1, 2, 4, 6])
def test_every_estimator_equals_brute_force(n):
    rng = np.random.default_rng(n)
    for _ in range(20):
        chains, scores = random_problem(rng)
        pools = pools_of(chains)
        assert best_of_n.best_of(pools, scores[None], n)[0] == pytest.approx(brute_best(chains, scores, n))
        assert best_of_n.majority(pools, None, n, 0)[0] == pytest.approx(
            brute_majority(chains, np.ones(6), n)
        )
        assert best_of_n.majority(pools, scores[None], n, 0)[0] == pytest.approx(
            brute_majority(chains, scores, n)
        )
        some_right = mean(
            any(chains[i][0] is CORRECT for i in subset) for subset in combinations(range(6), n)
        )
        assert best_of_n.oracle(pools, n)[0] == pytest.approx(some_right)


def test_best_of_one_is_pass_at_1_for_any_scorer():
    rng = np.random.default_rng(7)
    chains, scores = random_problem(rng)
    pools = pools_of(chains)
    expected = best_of_n.pass_at_1(pools)[0]
    assert best_of_n.best_of(pools, scores[None], 1)[0] == pytest.approx(expected)
    assert best_of_n.majority(pools, None, 1, 0)[0] == pytest.approx(expected)
    assert best_of_n.oracle(pools, 1)[0] == pytest.approx(expected)


def test_undecided_chains_take_no_part_and_an_empty_problem_has_no_figure():
    pools = pools_of([(CORRECT, "1"), (UNDECIDED, ""), (INCORRECT, "2")], [(UNDECIDED, "")])
    assert pools.size_P.tolist() == [2, 0]
    assert best_of_n.pass_at_1(pools)[0] == 0.5
    for values in (
        best_of_n.pass_at_1(pools),
        best_of_n.oracle(pools, 2),
        best_of_n.best_of(pools, pools.spread(np.arange(4.0), -np.inf), 2),
        best_of_n.majority(pools, None, 2, 0),
    ):
        assert np.isnan(values[1])


def test_a_problem_with_fewer_chains_uses_all_of_them():
    pools = pools_of([(CORRECT, "1"), (INCORRECT, "2")], [(INCORRECT, "3")] * 5)
    ranks = pools.spread(np.array([0.9, 0.1, 0, 0, 0, 0, 0]), -np.inf)
    assert best_of_n.best_of(pools, ranks, 4)[0] == 1.0
    assert best_of_n.oracle(pools, 4)[0] == 1.0


def test_no_answer_is_no_vote():
    pools = pools_of([(INCORRECT, ""), (INCORRECT, ""), (CORRECT, "7")], [(INCORRECT, "")])
    assert best_of_n.majority(pools, None, 3, 0).tolist() == [1.0, 0.0]


def test_sampled_subsets_are_unbiased_and_seeded():
    rng = np.random.default_rng(0)
    chains, _ = random_problem(rng, size=14)
    pools = pools_of(chains)
    sampled = best_of_n.majority(pools, None, 6, seed=1)[0]
    assert sampled == best_of_n.majority(pools, None, 6, seed=1)[0]
    assert sampled == pytest.approx(brute_majority(chains, np.ones(14), 6), abs=0.06)
    assert best_of_n.subsets(14, 6, seed=1).shape == (best_of_n.SUBSETS, 14)


def numbers_of(*answers, domain="math"):
    scored = [ScoredChain("p", text, ("s",), text, CORRECT, None, domain=domain) for text in answers]
    return best_of_n.pool(scored, np.zeros(len(answers), np.int64), 1).answer_PN[0].tolist()


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("1,200", "1200.0", True),
        ("1/2", " 0.50 ", True),
        ("$3.", "3", True),
        ("Tuesday", "tuesday", True),
        (r"\frac{1}{2}", r"\dfrac{1}{2}", True),
        (r"10\text{ cm}", "$10$", True),
        ("50%", "0.5", True),
        ("18 eggs", "18", True),
        (r"\sin^2 x + \cos^2 x", "1", True),  # needs a worker
        (r"\Delta", r"\delta", False),
        ("10 square feet", "10 square meters", False),
        ("1e999999999", "3", False),
        ("1", "11", False),
        ("1/0", "0", False),
    ],
)
def test_votes_are_for_values_not_spellings(one, other, same):
    assert numbers_of(one, other) == [0, 0 if same else 1]
    assert numbers_of(other, one) == [0, 0 if same else 1]


def test_answers_join_the_first_group_that_they_equal():
    assert numbers_of("3", "1/2", "", "0.5", "4", r"\frac12", "x=3") == [0, 1, -1, 1, 2, 1, 0]


@pytest.mark.parametrize("domain", ["code", "code-world", "logic"])
def test_votes_go_by_text_where_answers_are_no_mathematics(domain):
    assert numbers_of("outputs 12", "outputs 12 ", "12", "12.0", domain=domain) == [0, 0, 1, 2]


def test_a_majority_written_in_many_ways_wins():
    halves = [(CORRECT, text) for text in (r"\frac{1}{2}", "1/2", "0.5")]
    assert best_of_n.majority(pools_of([*halves, (INCORRECT, "2"), (INCORRECT, "2")]), None, 5, 0) == [1.0]


SCORES = np.array([[0.5, 0.8, np.nan], [0.9, 0.4, 0.6], [np.nan, np.nan, np.nan]])


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("min", [0.5, 0.4]),
        ("last", [0.8, 0.6]),
        ("mean", [0.65, 1.9 / 3]),
        ("product", [np.log(0.4), np.log(0.216)]),
    ],
)
def test_aggregation_ignores_what_was_not_scored(how, expected):
    found = best_of_n.aggregate(SCORES, how, log=False)
    assert found[:2] == pytest.approx(expected)
    assert found[2] == -np.inf


def test_log_probabilities_multiply_by_adding():
    assert best_of_n.aggregate(np.array([[-1.0, -2.0]]), "product", log=True) == pytest.approx([-3.0])
    assert best_of_n.chain_weights(np.array([-1.0]), "min", log=True) == pytest.approx([np.exp(-1)])


def test_a_product_over_a_long_chain_does_not_underflow_to_a_tie():
    ranks = best_of_n.aggregate(np.vstack([np.full(400, 0.1), np.full(400, 0.11)]), "product", log=False)
    assert ranks[1] > ranks[0] > -np.inf


def test_an_unknown_aggregation_is_refused():
    with pytest.raises(ValueError, match="'max'"):
        best_of_n.aggregate(SCORES, "max", log=False)
