"""Policies against simulated completers: exactness, cost, and what is never asked."""

import math
import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from labelling_simulator import gather, make_chain, make_settings, perfect, truthful_chain

from distill.errors import DataError
from distill.labelling import METHODS, derive_labels, make_policy
from distill.labelling.known import node_test
from distill.records import Chain, Outcome, StepStatus

CORRECT, INCORRECT, UNDECIDED = Outcome.CORRECT, Outcome.INCORRECT, Outcome.UNDECIDED
FIXED = {"sequential": False, "floor": 0.0}


@pytest.mark.parametrize("count_outcome", [True, False])
@pytest.mark.parametrize(
    "adaptive", [{}, FIXED, {"repair": 0.0}, {"relative": False, "floor": 0.0}, {"bisect": False}]
)
@pytest.mark.parametrize("method", METHODS)
def test_every_short_chain_is_labelled_exactly(
    method: str, adaptive: dict[str, object], count_outcome: bool
) -> None:
    asked_of = make_settings(method, adaptive, count_outcome=count_outcome)
    for n in range(1, 14):
        for first_error in range(-1, n):
            chain = truthful_chain(n, first_error)
            gathered = gather(asked_of, chain, perfect(first_error))
            ((labels, found),) = derive_labels([chain], gathered.events, asked_of)
            assert found == first_error
            assert [label.hard for label in labels] == [
                int(first_error < 0 or i < first_error) for i in range(n)
            ]


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_probes_grow_like_the_logarithm_of_the_chain(data: st.DataObject) -> None:
    n = data.draw(st.integers(1, 1000))
    first_error = data.draw(st.integers(0, n - 1))
    chain = truthful_chain(n, first_error)
    for adaptive in ({}, FIXED):
        asked_of = make_settings(adaptive=adaptive)
        gathered = gather(asked_of, chain, perfect(first_error))
        assert derive_labels([chain], gathered.events, asked_of)[0][1] == first_error
        probed = {request.step for request in gathered.requests}
        assert len(probed) <= math.ceil(math.log2(n + 1)) + 1


def test_a_chain_of_500_steps_takes_ten_probes() -> None:
    chain = truthful_chain(500, 333)
    gathered = gather(make_settings(), chain, perfect(333))
    assert derive_labels([chain], gathered.events, make_settings())[0][1] == 333
    assert len({request.step for request in gathered.requests}) <= 10


def test_without_bisection_steps_are_asked_in_order_up_to_the_first_error() -> None:
    in_order = gather(make_settings(adaptive={"bisect": False}), truthful_chain(20, 7), perfect(7))
    assert list(dict.fromkeys(request.step for request in in_order.requests)) == [-1, *range(8)]


def test_error_bounds_are_divided_among_the_nodes_that_a_search_can_visit() -> None:
    def bound(**adaptive: object) -> float:
        return node_test(make_settings(adaptive=adaptive).adaptive, 0.5, 9).false_negative

    assert bound(false_negative=0.4) == pytest.approx(0.4 / 4)
    assert bound(false_negative=0.4, bisect=False) == pytest.approx(0.4 / 8)
    assert bound(false_negative=0.4, corrected=False) == 0.4
    assert not {"bisect", "corrected"} & {*make_settings().model_dump()["adaptive"]}  # old fingerprints
    dumped = make_settings(adaptive={"bisect": False, "corrected": False}).model_dump()["adaptive"]
    assert (dumped["bisect"], dumped["corrected"]) == (False, False)


@pytest.mark.parametrize("method", ["adaptive", "omegaprm"])
def test_a_refuted_step_needs_no_rollout_and_bounds_the_search(method: str) -> None:
    chain = make_chain(9, INCORRECT)
    checks = [[INCORRECT if i == 5 else UNDECIDED for i in range(9)]]
    gathered = gather(make_settings(method), chain, perfect(5), checks)
    ((labels, found),) = derive_labels([chain], gathered.events, make_settings(method))
    assert (found, labels[5].refutation) == (5, "check 5")
    assert all(request.step < 5 for request in gathered.requests)
    if method == "adaptive":
        assert {request.step for request in gathered.requests} == {-1, 4}
    off = make_settings(method, step_checks=False)
    ((labels, found),) = derive_labels([chain], gather(off, chain, perfect(7), checks).events, off)
    assert (found, labels[5].refutation) == (7, "")


def test_math_shepherd_as_published_asks_for_every_step_in_one_round() -> None:
    asked_of = make_settings("math_shepherd", count_outcome=False)
    for outcome in Outcome:
        gathered = gather(asked_of, make_chain(5, outcome), perfect(1))
        assert [[(r.step, r.n) for r in asked] for asked in gathered.rounds] == [[(i, 4) for i in range(5)]]


def test_math_shepherd_with_the_own_outcome_leaves_out_what_is_known() -> None:
    asked_of = make_settings("math_shepherd")
    assert gather(asked_of, make_chain(5, CORRECT), perfect(-1)).rounds == []
    wrong = gather(asked_of, make_chain(5, INCORRECT), perfect(3))
    assert [request.step for request in wrong.requests] == [0, 1, 2, 3]
    ((labels, _),) = derive_labels([make_chain(5, INCORRECT)], wrong.events, asked_of)
    counts = [(label.successes, label.failures) for label in labels]
    assert counts == [(4, 1), (4, 1), (4, 1), (0, 5), (0, 0)]  # the last is not rolled out


@pytest.mark.parametrize("method", sorted({*METHODS} - {"record"}))
def test_a_right_chain_needs_no_probe(method: str) -> None:
    chain = make_chain(6, CORRECT)
    gathered = gather(make_settings(method), chain, perfect(2))
    assert gathered.rounds == []
    assert derive_labels([chain], gathered.events, make_settings(method))[0][1] == -1


@pytest.mark.parametrize("method", sorted({*METHODS} - {"record"}))
@pytest.mark.parametrize("outcome", Outcome)
def test_an_empty_chain_has_no_labels(method: str, outcome: Outcome) -> None:
    chain = make_chain(0, outcome)
    gathered = gather(make_settings(method), chain, perfect(-1))
    assert derive_labels([chain], gathered.events, make_settings(method)) == [((), None)]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("sequential", [True, False])
def test_all_undecided_is_undetermined_not_wrong(method: str, sequential: bool) -> None:
    asked_of = make_settings(method, {"sequential": sequential})
    for outcome, last in ((UNDECIDED, None), (INCORRECT, 0)):
        chain = make_chain(6, outcome)
        gathered = gather(asked_of, chain, lambda request: [UNDECIDED] * request.n)
        ((labels, found),) = derive_labels([chain], gathered.events, asked_of)
        assert found is None
        assert [label.hard for label in labels] == [None] * 5 + [last]


def test_a_prefix_that_only_breaks_off_is_given_up_early() -> None:
    """Eight rollouts without an answer, and the search goes on below; none of the 24 a node may take."""
    gathered = gather(make_settings(), make_chain(6, INCORRECT), lambda request: [UNDECIDED] * request.n)
    asked = Counter(request.step for request in gathered.requests for _ in range(request.n))
    assert asked
    assert set(asked.values()) == {8}


def test_omegaprm_does_not_take_an_undecided_state_for_a_wrong_one() -> None:
    """The middle says nothing: the search neither goes before it nor after it."""
    chains = [make_chain(7, INCORRECT, "wrong"), make_chain(0, CORRECT, "right", ["other"])]
    silent = gather(make_settings("omegaprm"), chains, lambda r: [UNDECIDED] * r.n)
    assert [request.step for request in silent.requests] == [2]
    one = gather(make_settings("omegaprm"), chains, lambda r: [UNDECIDED] * (r.n - 1) + [perfect(5)(r)[0]])
    assert [request.step for request in one.requests] == [2, 4, 5]
    ((labels, found), _) = derive_labels(chains, silent.events, make_settings("omegaprm"))
    assert (found, [label.hard for label in labels]) == (None, [None] * 6 + [0])


def random_case(rng: random.Random) -> tuple[list[Chain], list[list[Outcome]]]:
    """Chains of one problem that share beginnings, with any outcomes and checks."""
    chains = []
    for c in range(rng.randint(1, 4)):
        steps = [f"{i} {rng.choice('ab') if rng.random() < 0.3 else ''}" for i in range(rng.randint(1, 12))]
        chains.append(make_chain(0, rng.choice([*Outcome, INCORRECT]), f"chain {c}", steps))
    checks = [[rng.choice([UNDECIDED] * 6 + [CORRECT, INCORRECT]) for _ in chain.steps] for chain in chains]
    return chains, checks


def random_settings(rng: random.Random, method: str):  # type: ignore[no-untyped-def]
    adaptive = {
        "sequential": rng.random() < 0.7,
        "siblings": rng.random() < 0.5,
        "relative": rng.random() < 0.5,
        "floor": rng.choice([0.0, 0.1, 0.5]),
        "repair": rng.choice([0.0, 0.1, 0.5]),
        "batch": rng.randint(1, 3),
        "most": rng.randint(1, 12),
        "false_negative": rng.choice([0.05, 0.4]),
    }
    outcome, good_at = rng.random() < 0.7, rng.choice([0.0, 0.25, 0.6])
    return make_settings(method, adaptive, count_outcome=outcome, good_at=good_at, rollouts=3)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(METHODS)), st.integers(0, 2**32))
def test_policies_end_stay_in_the_chain_and_repeat_no_rollout(method: str, seed: int) -> None:
    """Against a completer that answers anything; and labels do not depend on the order of events."""
    rng = random.Random(seed)
    chains, checks = random_case(rng)
    asked_of = random_settings(rng, method)
    mostly = rng.choice([CORRECT, INCORRECT, UNDECIDED])
    gathered = gather(
        asked_of, chains, lambda r: [rng.choice([mostly, *Outcome]) for _ in range(r.n)], checks
    )
    drawn: Counter[tuple[str, ...]] = Counter()
    for asked in gathered.rounds:
        if method != "math_shepherd":
            assert len({request.prefix for request in asked}) == len(asked)
        for request in asked:
            assert -1 <= request.step < len(request.chain.steps)
            assert request.n > 0
            if method in ("adaptive", "math_shepherd"):
                assert request.first == drawn[request.prefix]
            drawn[request.prefix] += request.n
    if method == "adaptive":
        most = asked_of.adaptive.most
        assert max(drawn.values(), default=0) <= (most if asked_of.adaptive.sequential else 12)
    if method in ("omegaprm", "record"):
        assert all(count <= 3 for count in drawn.values())
    shuffled = rng.sample(gathered.events, len(gathered.events))
    labels = derive_labels(chains, gathered.events, asked_of)
    again = derive_labels(chains, shuffled, asked_of)
    assert [found for _, found in labels] == [found for _, found in again]


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32))
def test_a_search_cut_off_by_its_budget_says_nothing_that_more_rounds_unsay(seed: int) -> None:
    """With fixed thresholds: after each round of one chain's search, a label is what it will be, or
    undetermined."""
    rng = random.Random(seed)
    n = rng.randint(1, 30)
    chain = make_chain(n, INCORRECT)
    adaptive = {"sequential": rng.random() < 0.7, "relative": rng.random() < 0.5}
    asked_of = make_settings(adaptive=adaptive, good_at=rng.choice([0.0, 0.3]))
    rate = [rng.random() for _ in range(n)]
    gathered = gather(
        asked_of, chain, lambda r: [CORRECT if rng.random() < rate[r.step] else INCORRECT] * r.n
    )
    full = derive_labels([chain], gathered.events, asked_of)[0][0]
    for cut in range(len(gathered.events)):
        part = derive_labels([chain], gathered.events[:cut], asked_of)[0][0]
        if asked_of.adaptive.sequential:
            for less, more in zip(part, full, strict=True):
                assert less.status in (more.status, StepStatus.UNDETERMINED)


def test_chains_share_the_rollouts_of_shared_prefixes() -> None:
    """Two wrong chains that part after step 1: nothing common is asked for twice, both are labelled."""
    left = make_chain(0, INCORRECT, "left", ["a", "b", "c", "d"])
    right = make_chain(0, INCORRECT, "right", ["a", "b", "x", "y"])
    solved = make_chain(0, CORRECT, "solved", ["a", "q"])
    asked_of = make_settings()
    complete = lambda r: [CORRECT if r.prefix in {(), ("a",), ("a", "b")} else INCORRECT] * r.n  # noqa: E731
    gathered = gather(asked_of, [left, right, solved], complete)
    assert max(Counter(r.prefix for r in gathered.requests if r.step < 2).values()) == 1
    assert [found for _, found in derive_labels([left, right, solved], gathered.events, asked_of)] == [
        2,
        2,
        -1,
    ]
    (early,) = [r for r in gathered.requests if r.prefix == ("a", "b")]
    assert early.step == 1


def test_a_problem_that_is_never_solved_is_skipped() -> None:
    chain = make_chain(6, INCORRECT)
    gathered = gather(make_settings(), chain, lambda r: [INCORRECT] * r.n)
    assert {request.step for request in gathered.requests} == {-1}
    assert len(gathered.requests) == 2  # with the chain's own failure, three: 0.7^3 < 0.4
    assert derive_labels([chain], gathered.events, make_settings())[0][1] is None


def test_checks_that_do_not_fit_the_chain_are_refused() -> None:
    with pytest.raises(DataError, match="one check a step"):
        make_policy(make_settings(), [make_chain(3, INCORRECT)], [[UNDECIDED]])
