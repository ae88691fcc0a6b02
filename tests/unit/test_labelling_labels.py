"""Labels as a function of evidence: truncation, propagation, counts, posterior and quality."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from labelling_simulator import make_chain, make_settings
from scipy.stats import beta

from distill.errors import DataError
from distill.labelling import RolloutRequest, RolloutResult, derive_labels, label_accuracy
from distill.labelling.evidence import check_events, outcome_event, prefix_id, rollout_events
from distill.labelling.posterior import jeffreys, wilson
from distill.labelling.review import read_answers, review_events, review_rows
from distill.records import Chain, Event, EventKind, LabelledChain, Outcome, Problem, StepLabel, StepStatus
from distill.verifier.data import soft_target

CORRECT, INCORRECT, UNDECIDED = Outcome.CORRECT, Outcome.INCORRECT, Outcome.UNDECIDED
GOOD, BAD, UNDETERMINED = StepStatus.GOOD, StepStatus.BAD, StepStatus.UNDETERMINED


def probe(chain: Chain, step: int, outcomes: str) -> list[Event]:
    """Events of one probe; outcomes as "+-?"."""
    found = [{"+": CORRECT, "-": INCORRECT, "?": UNDECIDED}[mark] for mark in outcomes]
    request = RolloutRequest(chain, step, len(found), f"n={len(found)}")
    return rollout_events(request, RolloutResult(tuple(found), (1,) * len(found)), 0, "g")


def statuses(chain: Chain, events: list[Event], method: str = "omegaprm", **kwargs: object) -> str:
    ((labels, _),) = derive_labels([chain], events, make_settings(method, **kwargs))
    return "".join({1: "+", 0: "-", None: "?"}[label.hard] for label in labels)


def test_propagation_between_probes() -> None:
    chain = make_chain(8, UNDECIDED)
    assert statuses(chain, [*probe(chain, 2, "++"), *probe(chain, 5, "--")], rollouts=2) == "+++??---"
    ((labels, first_error),) = derive_labels(
        [chain], [*probe(chain, 4, "+-"), *probe(chain, 5, "--")], make_settings("omegaprm", rollouts=2)
    )
    assert first_error == 5
    assert [(label.successes, label.failures) for label in labels[3:7]] == [(0, 0), (1, 1), (0, 2), (0, 0)]


def test_a_later_success_overrides_earlier_failures() -> None:
    chain = make_chain(6, UNDECIDED)
    assert statuses(chain, [*probe(chain, 1, "----"), *probe(chain, 3, "+---")]) == "++++??"


def test_success_after_a_refuted_step_is_repair_and_proves_nothing() -> None:
    chain = make_chain(5, UNDECIDED)
    checks = [UNDECIDED, UNDECIDED, INCORRECT, UNDECIDED, UNDECIDED]
    verdicts = [SimpleNamespace(status=c.value, reason="1 + 1 is 2", compared=("3", "2")) for c in checks]
    events = [*check_events(chain, verdicts), *probe(chain, 3, "++")]
    assert statuses(chain, events) == "??---"
    ((labels, first_error),) = derive_labels(
        [chain], [*events, *probe(chain, 1, "+")], make_settings("omegaprm")
    )
    assert first_error == 2
    assert labels[2].refutation == "1 + 1 is 2"
    assert statuses(chain, events, step_checks=False) == "++++?"


def test_a_right_answer_does_not_save_a_refuted_step() -> None:
    chain = make_chain(3, CORRECT)
    refutation = Event("chain", "", 1, EventKind.STEP_CHECK, INCORRECT)
    assert statuses(chain, [refutation]) == "+--"


def test_a_confirmed_step_is_not_thereby_good() -> None:
    chain = make_chain(2, UNDECIDED)
    assert statuses(chain, [Event("chain", "", 0, EventKind.STEP_CHECK, CORRECT)]) == "??"


def test_the_last_step_of_a_wrong_chain_is_bad_whatever_is_said() -> None:
    chain = make_chain(3, INCORRECT)
    assert statuses(chain, []) == "??-"
    assert statuses(chain, probe(chain, 2, "++++")) == "??-"
    assert statuses(make_chain(1, INCORRECT), []) == "-"


def test_own_outcome_counts_once_and_only_if_asked() -> None:
    chain = make_chain(2, CORRECT)
    assert statuses(chain, [outcome_event(chain)]) == "++"
    assert statuses(chain, [outcome_event(chain)], count_outcome=False) == "??"
    ((labels, _),) = derive_labels(
        [chain], [outcome_event(chain), *probe(chain, 0, "?-")], make_settings("omegaprm")
    )
    assert (labels[0].successes, labels[0].failures, labels[0].undecided) == (1, 1, 1)


def test_between_the_bounds_of_the_test_a_step_is_undetermined() -> None:
    """The same evidence under stricter settings: relabelling costs no token and claims no more."""
    chain = make_chain(3, INCORRECT)
    events = [*probe(chain, -1, "+"), *probe(chain, 0, "+"), *probe(chain, 1, "---")]
    lax, strict = {"false_negative": 0.4}, {"false_negative": 0.001}
    assert statuses(chain, events, method="adaptive", adaptive=lax) == "+--"
    assert statuses(chain, events, method="adaptive", adaptive=strict) == "+?-"
    doubt = {"false_negative": 0.4, "repair": 0.3, "false_positive": 0.01}
    assert statuses(chain, events, method="adaptive", adaptive=doubt) == "?--"
    assert statuses(chain, [*events, *probe(chain, 0, "+" * 9)], method="adaptive", adaptive=doubt) == "+--"


@pytest.mark.parametrize("method", ["math_shepherd", "omegaprm"])
def test_fewer_failures_than_k_make_no_step_bad(method: str) -> None:
    """Another stopping rule drew fewer than K=4 rollouts: a success still shows that there is one, failures
    say nothing that the missing rollouts could not turn."""
    chain = make_chain(3, INCORRECT)
    solvable = probe(chain, -1, "+")
    marks = {"-": "??-", "---": "??-", "-??": "??-", "----": "---", "???-": "---", "--+": "+?-", "+": "+?-"}
    for drawn, expected in marks.items():
        assert statuses(chain, [*solvable, *probe(chain, 0, drawn)], method) == expected, drawn
    above = {"+": "??-", "-": "??-", "--": "---", "+++": "+?-", "++--": "---", "+++-": "+?-"}
    for drawn, expected in above.items():
        found = statuses(chain, [*solvable, *probe(chain, 0, drawn)], method, good_at=0.5)
        assert found == expected, drawn


def test_people_overrule_the_evidence() -> None:
    chain = make_chain(4, CORRECT)
    said = review_events([{"chain_id": "chain", "answer": 2, "reviewer": "Ada"}], {"chain": chain})
    ((labels, first_error),) = derive_labels([chain], said, make_settings())
    assert (first_error, [label.hard for label in labels]) == (2, [1, 1, 0, 0])
    assert labels[2].review.startswith("Ada")
    none = review_events([{"chain_id": "chain", "answer": -1, "reviewer": "Ada"}], {"chain": chain})
    assert derive_labels([chain], none, make_settings())[0][1] == -1


def test_failures_count_only_where_the_problem_can_be_solved() -> None:
    """Unless success was seen before a step, its failures may be the completer's own."""
    chain = make_chain(3, INCORRECT)
    failed = probe(chain, 0, "----")
    assert statuses(chain, failed) == "??-"
    assert statuses(chain, [*failed, *probe(chain, -1, "----")]) == "??-"
    assert statuses(chain, [*failed, *probe(chain, -1, "---+")]) == "---"
    assert statuses(chain, [*probe(chain, 0, "-+--"), *probe(chain, 1, "----")]) == "+--"
    assert statuses(chain, failed, method="math_shepherd") == "---"  # as published


@pytest.mark.parametrize("event", [("other", 0), ("chain", 3), ("chain", -2)])
def test_foreign_events_are_refused(event: tuple[str, int]) -> None:
    with pytest.raises(DataError, match="group events by problem"):
        derive_labels(
            [make_chain(3, UNDECIDED)],
            [Event(event[0], "", event[1], EventKind.ROLLOUT, CORRECT)],
            make_settings(),
        )


def test_labels_carry_the_jeffreys_posterior_of_their_own_trials() -> None:
    chain = make_chain(2, UNDECIDED)
    (((probed, implied), _),) = derive_labels([chain], probe(chain, 0, "+++--?"), make_settings("omegaprm"))
    assert probed.soft == pytest.approx(3.5 / 6)
    assert (probed.low, probed.high) == pytest.approx(tuple(beta.ppf([0.025, 0.975], 3.5, 2.5)))
    assert (implied.soft, implied.low, implied.high) == (0.5, 0.0, 1.0)


def test_math_shepherd_s_soft_labels_are_the_share_of_successes_as_published() -> None:
    chain = make_chain(3, INCORRECT)
    events = [*probe(chain, 0, "+++-"), *probe(chain, 1, "----"), *probe(chain, 2, "????")]
    for count_outcome, expected in ((False, [0.75, 0.0, 0.5]), (True, [0.6, 0.0, 0.0])):
        settings = make_settings("math_shepherd", count_outcome=count_outcome)
        ((labels, _),) = derive_labels([chain], events, settings)
        assert [label.soft for label in labels] == expected
        assert (labels[1].low, labels[1].high) == (0.0, jeffreys(0, 4 + count_outcome).high)
        assert 0 < soft_target(labels[0])[1] < 1
        assert soft_target(labels[1])[0] == 0.0


@pytest.mark.parametrize("method", ["adaptive", "omegaprm", "math_shepherd"])
def test_implied_labels_have_no_counts_of_their_own(method: str) -> None:
    """The chain's own answer is a trial only of prefixes that were rolled out."""
    chain = make_chain(4, INCORRECT)
    events = [*probe(chain, -1, "++"), *probe(chain, 1, "+++")]
    ((labels, _),) = derive_labels([chain], events, make_settings(method))
    assert [label.hard for label in labels] == [1, 1, None, 0]
    own = int(method != "adaptive")  # the test counts no answer for which the chain is searched
    assert [(label.successes, label.failures) for label in labels] == [(0, 0), (3, own), (0, 0), (0, 0)]


def test_posterior_and_wilson_match_known_values() -> None:
    assert (jeffreys(0, 8).low, jeffreys(8, 0).high) == (0.0, 1.0)
    assert jeffreys(0, 8).high == pytest.approx(beta.ppf(0.975, 0.5, 8.5))
    # Newcombe (1998), table I: 81 of 263, Wilson without continuity correction.
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert wilson(0, 0) == (0.0, 1.0)
    for call in (lambda: jeffreys(-1, 0), lambda: wilson(3, 2)):
        with pytest.raises(ValueError, match="expected"):
            call()


def test_evidence_builders() -> None:
    chain = replace(make_chain(2, INCORRECT), outcome_reason="7 is not 8")
    assert outcome_event(chain).detail == "7 is not 8"
    assert outcome_event(chain).step == 1
    assert check_events(chain, []) == []
    first, second = probe(chain, 0, "+?")
    assert (first.prefix_id, second.outcome) == (prefix_id("problem", ["step 0"]), UNDECIDED)
    assert first.stopping_rule == "n=2"
    assert prefix_id("problem", ["a", "b"]) != prefix_id("problem", ["ab"])
    unexplained = [SimpleNamespace(status="incorrect", reason="", compared=("3", "2"))] * 2
    assert check_events(chain, unexplained)[1].detail == "3 against 2"
    with pytest.raises(DataError, match="expected one verdict a step"):
        check_events(chain, [SimpleNamespace(status="correct", reason="", compared=None)])
    with pytest.raises(DataError, match="2 outcomes, 1 token counts"):
        rollout_events(RolloutRequest(chain, 0, 2, ""), RolloutResult((CORRECT, CORRECT), (1,)), 0, "g")
    with pytest.raises(DataError, match="found step 2"):
        rollout_events(RolloutRequest(chain, 2, 1, ""), RolloutResult((CORRECT,), (1,)), 0, "g")


def labelled(name: str, marks: str, first_error: int | None) -> LabelledChain:
    kinds = {"+": GOOD, "-": BAD, "?": UNDETERMINED}
    chain = replace(make_chain(len(marks), UNDECIDED), id=name)
    return LabelledChain(
        Problem("p", "q", "r"), chain, tuple(StepLabel(kinds[m]) for m in marks), first_error, "binary"
    )


def test_label_accuracy_counts_undetermined_apart() -> None:
    rows = [
        labelled("exact", "+--", 1),
        labelled("late", "++-", 2),
        labelled("right", "+++", -1),
        labelled("open", "+?-", None),
        labelled("unknown", "+++", -1),
    ]
    found = label_accuracy(rows, {"exact": 1, "late": 1, "right": -1, "open": 1})
    assert (found["chains"], found["without_truth"]) == (4, 1)
    assert (found["first_error"]["hits"], found["first_error"]["n"]) == (2, 3)
    assert (found["first_error_wrong"]["hits"], found["first_error_wrong"]["n"]) == (1, 2)
    assert (found["first_error_right"]["hits"], found["first_error_right"]["n"]) == (1, 1)
    assert found["first_error_accuracy"] == found["first_error"]["value"] == pytest.approx(2 / 3)
    assert found["coverage"]["value"] == 0.75
    assert found["coverage_wrong"]["value"] == pytest.approx(2 / 3)
    assert found["step_precision"]["value"] == 1.0
    assert (found["step_recall"]["hits"], found["step_recall"]["n"]) == (4, 5)
    assert (found["step_coverage"]["hits"], found["step_coverage"]["n"]) == (11, 12)
    assert found["first_error"]["low"] < 2 / 3 < found["first_error"]["high"]


def test_label_accuracy_of_nothing_is_none_not_zero() -> None:
    assert label_accuracy([], {})["first_error"] == {
        "value": None,
        "low": 0.0,
        "high": 1.0,
        "hits": 0,
        "n": 0,
    }


def test_the_most_uncertain_labels_come_first_for_review(tmp_path: Path) -> None:
    rows = [labelled("sure", "+--", 1), labelled("open", "+?-", None), labelled("wider", "???", None)]
    found = review_rows(rows, 5)
    assert [row["chain_id"] for row in found] == ["wider", "open"]
    chains = {row.chain.id: row.chain for row in rows}
    path = tmp_path / "answered.jsonl"
    answered = [found[0] | {"answer": 1, "reviewer": "Ada"}, found[1]]
    path.write_text("".join(json.dumps(row) + "\n" for row in answered))
    (answer,) = read_answers(path, chains)
    (event,) = review_events([answer], chains)
    assert (event.chain_id, event.step, event.outcome) == ("wider", 1, INCORRECT)


def test_chains_that_seem_right_come_to_review_by_the_evidence_of_their_end() -> None:
    """An error that does no harm hides where nothing but the right answer speaks for a chain."""
    problem = Problem("problem", "Q?", "1")
    chains = {name: make_chain(0, CORRECT, name, [name, "end"]) for name in ("alone", "few", "many", "told")}
    wrong = make_chain(0, INCORRECT, "wrong", ["a", "b"])
    said = review_events([{"chain_id": "told", "answer": -1, "reviewer": "Ada"}], chains)
    tried = [*probe(chains["few"], 1, "++"), *probe(chains["many"], 1, "+" * 8)]
    events = [*tried, *said, *probe(wrong, 0, "----")]
    every = [*chains.values(), wrong]
    found = derive_labels(every, events, make_settings("math_shepherd"))
    rows = [
        LabelledChain(problem, chain, labels, first_error, "math_shepherd")
        for chain, (labels, first_error) in zip(every, found, strict=True)
    ]
    assert [row.first_error for row in rows] == [-1, -1, -1, -1, 0]
    ranked = {row["chain_id"]: row["uncertainty"] for row in review_rows(rows, 5)}
    assert list(ranked) == ["alone", "few", "wrong", "many"]
    assert ranked["alone"] == 1.0
    assert ranked["many"] == round(1 - jeffreys(9, 0).low, 4)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"answer": 3}, "-1 .no wrong step. or 0 to 2"),
        ({"answer": True}, "found True"),
        ({"reviewer": " "}, "reviewer's name"),
        ({"chain_id": "gone"}, "a chain of this run"),
    ],
)
def test_faulty_answers_are_refused_with_their_line(
    change: dict[str, object], told: str, tmp_path: Path
) -> None:
    path = tmp_path / "answered.jsonl"
    row = {"chain_id": "open", "answer": 1, "reviewer": "Ada"} | change
    path.write_text("\n" + json.dumps(row))
    with pytest.raises(DataError, match=f"line 2: .*{told}"):
        read_answers(path, {"open": make_chain(3, INCORRECT, "open")})
