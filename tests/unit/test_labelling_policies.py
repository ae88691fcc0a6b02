"""Policies against simulated completers: exactness, cost, and what is never asked."""

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from labelling_simulator import gather, make_chain, perfect, truthful_chain

from distill.config import LabellingSettings
from distill.errors import DataError
from distill.labelling import METHODS, RolloutResult, derive_labels, make_policy
from distill.records import Outcome, StepStatus

CORRECT, INCORRECT, UNDECIDED = Outcome.CORRECT, Outcome.INCORRECT, Outcome.UNDECIDED


@st.composite
def chain_and_error(draw: st.DrawFn, longest: int = 1000) -> tuple[int, int]:
    n = draw(st.integers(1, longest))
    return n, draw(st.integers(-1, n - 1))


def make_settings(method: str = "binary", **kwargs: object) -> LabellingSettings:
    return LabellingSettings.model_validate({"method": method, "rollouts": 4, **kwargs})


@pytest.mark.parametrize("count_outcome", [True, False])
@pytest.mark.parametrize("method", METHODS)
def test_every_short_chain_is_labelled_exactly(method: str, count_outcome: bool) -> None:
    asked_of = make_settings(method, count_outcome=count_outcome)
    for n in range(1, 18):
        for first_error in range(-1, n):
            chain = truthful_chain(n, first_error)
            gathered = gather(asked_of, chain, perfect(first_error))
            labels, found = derive_labels(chain, gathered.events, asked_of)
            assert found == first_error
            assert [label.hard for label in labels] == [
                int(first_error < 0 or i < first_error) for i in range(n)
            ]


@settings(max_examples=60, deadline=None)
@given(chain_and_error(), st.booleans(), st.booleans())
def test_binary_finds_the_exact_error_with_logarithmic_probes(
    case: tuple[int, int], known_outcome: bool, count_outcome: bool
) -> None:
    n, first_error = case
    chain = truthful_chain(n, first_error) if known_outcome else make_chain(n, UNDECIDED)
    asked_of = make_settings(count_outcome=count_outcome)
    gathered = gather(asked_of, chain, perfect(first_error))
    assert derive_labels(chain, gathered.events, asked_of)[1] == first_error
    assert len(gathered.requests) <= math.ceil(math.log2(n + 1)) + (first_error == 0)
    assert all(len(asked) == 1 for asked in gathered.rounds)
    assert all(request.n == 4 for request in gathered.requests)


@settings(max_examples=60, deadline=None)
@given(chain_and_error(200), st.data())
def test_a_refuted_step_is_found_at_once_when_it_is_the_first_error(
    case: tuple[int, int], data: st.DataObject
) -> None:
    n, first_error = case
    refuted = data.draw(st.integers(max(first_error, 0), n - 1))
    chain = make_chain(n, INCORRECT)
    checks = [INCORRECT if i == refuted else UNDECIDED for i in range(n)]
    first_error = first_error if first_error >= 0 else refuted
    gathered = gather(make_settings(), chain, perfect(first_error), checks)
    labels, found = derive_labels(chain, gathered.events, make_settings())
    assert found == first_error
    assert labels[refuted].refutation == f"check {refuted}"
    assert all(request.step < refuted for request in gathered.requests)
    if refuted:
        assert gathered.requests[0].step == refuted - 1
    if refuted == first_error:
        assert len(gathered.requests) == (refuted > 0)
    assert len(gathered.requests) <= 1 + math.ceil(math.log2(n + 1))


def test_step_checks_off_ignores_refutations() -> None:
    asked_of = make_settings(step_checks=False)
    chain = make_chain(9, INCORRECT)
    checks = [UNDECIDED, INCORRECT, *[UNDECIDED] * 7]
    gathered = gather(asked_of, chain, perfect(6), checks)
    labels, found = derive_labels(chain, gathered.events, asked_of)
    assert (found, labels[1].status, labels[1].refutation) == (6, StepStatus.GOOD, "")


def test_math_shepherd_as_published_asks_for_every_step_in_one_round() -> None:
    asked_of = make_settings("math_shepherd", count_outcome=False)
    for outcome in Outcome:
        checks = [UNDECIDED, INCORRECT, UNDECIDED, UNDECIDED, UNDECIDED]
        gathered = gather(asked_of, make_chain(5, outcome), perfect(1), checks)
        assert [[(r.step, r.n) for r in asked] for asked in gathered.rounds] == [[(i, 4) for i in range(5)]]


def test_math_shepherd_with_the_own_outcome_leaves_out_what_is_known() -> None:
    asked_of = make_settings("math_shepherd")
    right = gather(asked_of, make_chain(5, CORRECT), perfect(-1))
    assert right.rounds == []
    wrong = gather(asked_of, make_chain(5, INCORRECT), perfect(3))
    assert [request.step for request in wrong.requests] == [0, 1, 2, 3]
    refuted = gather(
        asked_of,
        make_chain(5, INCORRECT),
        perfect(2),
        [UNDECIDED, UNDECIDED, INCORRECT, UNDECIDED, UNDECIDED],
    )
    assert [request.step for request in refuted.requests] == [0, 1]
    labels, _ = derive_labels(make_chain(5, INCORRECT), wrong.events, asked_of)
    assert [(label.successes, label.failures) for label in labels] == [
        (4, 1),
        (4, 1),
        (4, 1),
        (0, 5),
        (0, 1),
    ]


def test_a_right_chain_needs_no_probe() -> None:
    for method in METHODS:
        chain = make_chain(6, CORRECT)
        gathered = gather(make_settings(method), chain, perfect(2))
        labels, found = derive_labels(chain, gathered.events, make_settings(method))
        assert gathered.rounds == []
        assert found == -1
        assert all(label.successes == 1 for label in labels)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("outcome", Outcome)
def test_an_empty_chain_asks_for_nothing_and_has_no_labels(method: str, outcome: Outcome) -> None:
    chain = make_chain(0, outcome)
    gathered = gather(make_settings(method, count_outcome=False), chain, perfect(-1))
    assert gathered.rounds == []
    assert derive_labels(chain, gathered.events, make_settings(method)) == ((), None)


def test_binary_asks_once_more_and_then_searches_below() -> None:
    """Nothing is ever decided after step 3; the first error is 2, then 5."""

    def complete_with(first_error: int):  # type: ignore[no-untyped-def]
        return lambda request: [UNDECIDED] * request.n if request.step == 3 else perfect(first_error)(request)

    chain = make_chain(8, INCORRECT)
    for first_error, expected in ((2, 2), (5, None)):
        gathered = gather(make_settings(), chain, complete_with(first_error))
        labels, found = derive_labels(chain, gathered.events, make_settings())
        assert found == expected
        steps = [request.step for request in gathered.requests]
        assert steps[:2] == [3, 3]
        assert gathered.requests[0].rule != gathered.requests[1].rule
        assert all(step < 3 for step in steps[2:])
        if expected is None:
            assert [label.hard for label in labels] == [1, 1, 1, None, None, None, None, 0]


def test_a_second_request_that_decides_settles_the_probe() -> None:
    seen: list[int] = []

    def complete(request):  # type: ignore[no-untyped-def]
        seen.append(request.step)
        return perfect(4)(request) if seen.count(request.step) > 1 else [UNDECIDED] * request.n

    chain = make_chain(8, INCORRECT)
    gathered = gather(make_settings(), chain, complete)
    labels, found = derive_labels(chain, gathered.events, make_settings())
    assert found == 4
    assert {labels[step].undecided for step in seen} == {4}


@pytest.mark.parametrize("method", METHODS)
def test_all_undecided_is_undetermined_not_wrong(method: str) -> None:
    for outcome, last in ((UNDECIDED, None), (INCORRECT, 0)):
        chain = make_chain(6, outcome)
        gathered = gather(make_settings(method), chain, lambda request: [UNDECIDED] * request.n)
        labels, found = derive_labels(chain, gathered.events, make_settings(method))
        assert found is None
        assert [label.hard for label in labels] == [None] * 5 + [last]


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(METHODS)), st.integers(0, 60), st.sampled_from(list(Outcome)), st.data())
def test_no_policy_repeats_a_prefix_or_leaves_the_chain(
    method: str, n: int, outcome: Outcome, data: st.DataObject
) -> None:
    """Against a completer that answers anything, at any threshold and any checks."""
    rng = random.Random(data.draw(st.integers(0, 2**32)))
    asked_of = make_settings(
        method, count_outcome=rng.random() < 0.5, good_at=rng.choice([0.0, 0.25, 0.6, 1.0]), rollouts=2
    )
    checks = [rng.choice([UNDECIDED] * 6 + [CORRECT, INCORRECT]) for _ in range(n)]
    answers: dict[int, list[tuple[Outcome, ...]]] = {}

    def complete(request):  # type: ignore[no-untyped-def]
        outcomes = tuple(rng.choice([UNDECIDED, UNDECIDED, CORRECT, INCORRECT]) for _ in range(request.n))
        answers.setdefault(request.step, []).append(outcomes)
        return outcomes

    gathered = gather(asked_of, make_chain(n, outcome), complete, checks)
    assert all(asked for asked in gathered.rounds)
    assert all(-1 <= request.step < n for request in gathered.requests)
    identities = [(request.step, request.rule) for request in gathered.requests]
    assert len(set(identities)) == len(identities)
    for given_answers in answers.values():
        assert all(set(outcomes) == {UNDECIDED} for outcomes in given_answers[:-1])
        assert len(given_answers) <= 2


def test_noise_costs_accuracy_but_never_probes() -> None:
    """A completer that finishes only 40% of good prefixes' rollouts: K decides how often it is right."""
    right = {}
    for k in (1, 16):
        rng, asked_of, right[k] = random.Random(3), make_settings(rollouts=k), 0
        for trial in range(200):
            first_error = trial % 12

            def complete(request, first_error=first_error, rng=rng):  # type: ignore[no-untyped-def]
                p = 0.4 if request.step < first_error else 0.0
                return [CORRECT if rng.random() < p else INCORRECT for _ in range(request.n)]

            chain = make_chain(12, INCORRECT)
            gathered = gather(asked_of, chain, complete)
            right[k] += derive_labels(chain, gathered.events, asked_of)[1] == first_error
            assert len(gathered.requests) <= 4
    assert right[1] < 120
    assert right[16] > 190


def test_a_completer_that_repairs_errors_moves_the_first_error_later_unless_checked() -> None:
    """Monte Carlo measures recoverability: success after a wrong step hides it, a refutation does not."""
    chain = make_chain(8, INCORRECT)
    repairing = perfect(6)  # the error at 3 is repaired until step 6
    unchecked = gather(make_settings(), chain, repairing)
    assert derive_labels(chain, unchecked.events, make_settings())[1] == 6
    checks = [UNDECIDED] * 3 + [INCORRECT] + [UNDECIDED] * 4
    checked = gather(make_settings(), chain, repairing, checks)
    assert derive_labels(chain, checked.events, make_settings())[1] == 3
    assert [request.step for request in checked.requests] == [2]


def test_good_at_raises_the_bar() -> None:
    """One success in four is enough at 0, not at 0.25."""
    chain = make_chain(4, UNDECIDED)
    for good_at, expected in ((0.0, -1), (0.25, 0)):
        asked_of = make_settings(good_at=good_at)
        gathered = gather(asked_of, chain, lambda r: [CORRECT] * (1 + (r.step < 0)) + [INCORRECT] * (r.n - 1))
        assert derive_labels(chain, gathered.events, asked_of)[1] == expected


def test_wrong_number_of_checks_is_refused() -> None:
    with pytest.raises(DataError, match=r"expected one check a step \(3\) or none, found 2"):
        make_policy(make_settings(), make_chain(3, INCORRECT), [UNDECIDED] * 2)


@pytest.mark.parametrize("answer", [[], [RolloutResult(1, (CORRECT,), 1)]])
def test_results_that_answer_another_request_are_refused(answer: list[RolloutResult]) -> None:
    policy = make_policy(make_settings(), make_chain(8, INCORRECT), [])
    next(policy)
    with pytest.raises(DataError, match="after step 3"):
        policy.send(answer)
