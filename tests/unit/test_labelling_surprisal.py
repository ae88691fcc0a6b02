"""The first error as a hidden variable: its posterior, what is learnt without labels, and labels by it."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from labelling_simulator import gather as gathered
from labelling_simulator import make_chain, make_settings, perfect

from distill.config import DatasetSettings, VerifierSettings
from distill.dataset import build_dataset, save
from distill.dataset.imports import SourceSettings, load_source
from distill.labelling.evidence import check_events, rollout_events
from distill.labelling.known import known
from distill.labelling.labels import derive_labels, gather
from distill.labelling.protocol import Case, RolloutRequest, RolloutResult
from distill.labelling.review import uncertainty
from distill.labelling.surprisal import (
    ChainEvidence,
    ErrorModel,
    chain_evidence,
    first_error_posterior,
    fit_error_model,
    posterior_bounds,
)
from distill.records import SURPRISAL, Event, EventKind, Outcome, Problem, StepStatus
from distill.stages.labels import label_all
from distill.verifier.data import IGNORED, examples, training_examples

MODEL = ErrorModel(weight=1.5, bias=-2.0, harmless=0.2, repaired=0.1, mean=1.0, scale=2.0)
PROBLEM = Problem("problem", "1 + 1?", "2")
RIGHT, WRONG = Outcome.CORRECT, Outcome.INCORRECT
UNDETERMINED = StepStatus.UNDETERMINED


def evidence(surprisal, right=None, tried=(), rate=0.8):
    """`tried`: (step, successes, failures)."""
    made = ChainEvidence.without_trials(surprisal, right)
    made.rate[:] = rate
    for step, successes, failures in tried:
        made.successes[step], made.failures[step] = successes, failures
    return made


def by_hand(chain):
    """P(first error) from the definition, place by place."""
    hazards = [
        1 / (1 + math.exp(-(MODEL.bias + MODEL.weight * (x - MODEL.mean) / MODEL.scale)))
        for x in chain.surprisal
    ]
    weights = []
    for place in range(len(hazards) + 1):
        wrong = place < len(hazards)
        weight = math.prod(1 - h for h in hazards[:place]) * (hazards[place] if wrong else 1.0)
        for step, (rate, won, lost) in enumerate(
            zip(chain.rate, chain.successes, chain.failures, strict=True)
        ):
            succeeds = rate if step < place else min(MODEL.repaired, rate / 2)
            weight *= succeeds**won * (1 - succeeds) ** lost
        if chain.answer_right is not None:
            says = MODEL.harmless if wrong else 1.0
            weight *= says if chain.answer_right else 1 - says
        weights.append(weight)
    return np.array(weights) / sum(weights)


@pytest.mark.parametrize("right", [True, False, None])
@pytest.mark.parametrize("rate", [0.9, 0.1])
def test_the_posterior_is_bayes_rule(right, rate):
    for surprisal in ([0.5], [0.1, 3.0, 0.2], [9.0, 0.0, 0.0, 7.0]):
        chain = evidence(
            surprisal, right, [(step, 2 - step % 3, step) for step in range(len(surprisal))], rate
        )
        assert first_error_posterior(MODEL, chain) == pytest.approx(by_hand(chain), abs=1e-9)


def simulated(chains, model, seed, informative=True, tries=0):
    """Chains drawn from the model, and where the first error of each is."""
    rng = np.random.default_rng(seed)
    shown, truth = [], []
    for _ in range(chains):
        surprisal = rng.gamma(0.5, 4.0, size=int(rng.integers(2, 7)))
        logits = model.bias + model.weight * (surprisal - model.mean) / model.scale
        wrong = rng.random(len(surprisal)) < 1 / (1 + np.exp(-logits))
        place = int(np.argmax(wrong)) if wrong.any() else len(surprisal)
        right = place == len(surprisal) or rng.random() < model.harmless
        seen = surprisal if informative else rng.permutation(rng.gamma(0.5, 4.0, size=len(surprisal)))
        tried = []
        for step in range(len(surprisal) - 1) if tries and not right else ():
            won = int(rng.binomial(tries, 0.8 if step < place else model.repaired))
            tried.append((step, won, tries - won))
        shown.append(evidence(seen, bool(right), tried))
        truth.append(place)
    return shown, truth


def test_bias_weight_and_harmless_errors_are_learnt_without_labels():
    shown, truth = simulated(6000, MODEL, seed=1)
    found = fit_error_model(shown)
    # in the units of the drawn model
    weight = found.weight / found.scale
    bias = found.bias + weight * (MODEL.mean - found.mean)
    assert weight == pytest.approx(MODEL.weight / MODEL.scale, rel=0.15)
    assert bias == pytest.approx(MODEL.bias, abs=0.25)
    assert found.harmless == pytest.approx(MODEL.harmless, abs=0.06)
    guessed = [int(np.argmax(first_error_posterior(found, chain))) for chain in shown]
    best = [int(np.argmax(first_error_posterior(MODEL, chain))) for chain in shown]
    right, attainable = (np.mean(np.array(g) == truth) for g in (guessed, best))
    assert right > attainable - 0.01


def test_how_often_errors_are_repaired_is_learnt_without_labels():
    shown, _ = simulated(3000, MODEL, seed=5, tries=2)
    found = fit_error_model(shown)
    assert found.repaired == pytest.approx(MODEL.repaired, abs=0.02)
    assert found.harmless == pytest.approx(MODEL.harmless, abs=0.04)


def test_probabilities_are_kept():
    """Of first errors called with probability p, a share p is right."""
    shown, truth = simulated(6000, MODEL, seed=2)
    found = fit_error_model(shown)
    posteriors = [first_error_posterior(found, chain) for chain in shown]
    claimed = np.array([p.max() for p in posteriors])
    right = np.array([int(np.argmax(p)) for p in posteriors]) == truth
    for low, high in itertools.pairwise((0.4, 0.6, 0.8, 0.95, 1.01)):
        part = (claimed >= low) & (claimed < high)
        assert right[part].mean() == pytest.approx(claimed[part].mean(), abs=0.05), (low, part.sum())


def test_a_surprisal_that_tells_nothing_gets_no_weight():
    shown, _ = simulated(4000, MODEL, seed=3, informative=False)
    assert fit_error_model(shown).weight < 0.15


def test_a_teacher_surprised_by_right_steps_is_not_turned_round():
    shown, _ = simulated(2000, MODEL, seed=4)
    turned = [replace(chain, surprisal=-chain.surprisal) for chain in shown]
    assert fit_error_model(turned).weight == 0.0


@pytest.mark.parametrize("chains", [1, 2])
@pytest.mark.parametrize("right", [True, False, None])
def test_few_chains_that_are_all_alike(chains, right):
    found = fit_error_model([evidence([1.0, 1.0], right=right)] * chains)
    posterior = first_error_posterior(found, evidence([1.0, 1.0], right=right))
    assert np.isfinite(posterior).all()
    assert posterior.sum() == pytest.approx(1.0)


weights = st.lists(st.floats(0.0, 1.0), min_size=2, max_size=8).filter(lambda w: sum(w) > 0.01)


@given(weights)
def test_at_one_half_every_chain_is_labelled(given_weights):
    last_good, first_bad = posterior_bounds(np.array(given_weights) / sum(given_weights), 0.5)
    assert first_bad == last_good + 1


def test_a_step_that_is_as_likely_right_as_wrong():
    assert posterior_bounds(np.array([0.5, 0.0, 0.5]), 0.5) == (1, 2)


@given(weights, st.floats(0.51, 0.99))
def test_bounds_are_the_steps_that_are_sure_enough(given_weights, confidence):
    posterior = np.array(given_weights) / sum(given_weights)
    last_good, first_bad = posterior_bounds(posterior, confidence)
    for step in range(len(posterior) - 1):
        wrong_by = posterior[: step + 1].sum()
        if abs(wrong_by - confidence) > 1e-9 < abs(wrong_by - (1 - confidence)):
            assert (step <= last_good) == (1 - wrong_by >= confidence)
            assert (step >= first_bad) == (wrong_by >= confidence)
    assert last_good < first_bad


def chain_of(outcome, *surprisal, name="chain"):
    chain = make_chain(len(surprisal), outcome, name)
    return replace(chain, step_logprobs=tuple(-x for x in surprisal))


def rollouts(chain, step, outcomes):
    request = RolloutRequest(chain, step, len(outcomes), "rule")
    return rollout_events(request, RolloutResult(tuple(outcomes), (1,) * len(outcomes)), 0, "completer")


def test_trials_speak_for_what_lies_before_and_after_them():
    settings = make_settings()
    chain = chain_of(WRONG, 1.0, 1.0, 1.0, 1.0)
    solved = make_chain(1, RIGHT, "solved", steps=("2",))
    events = [*rollouts(chain, 0, [RIGHT] * 3), *rollouts(chain, 1, [WRONG] * 3)]
    found = gather([chain, solved], events, settings).weighed[0]
    assert found.answer_right is False
    assert (found.successes.tolist(), found.failures.tolist()) == ([3, 0, 0, 0], [0, 3, 0, 0])
    assert first_error_posterior(MODEL, found)[1] > 0.85


def test_a_problem_that_nobody_solved_blames_no_step():
    chain = chain_of(WRONG, 1.0, 1.0, 1.0)
    found = gather([chain], rollouts(chain, 0, [WRONG] * 9), make_settings()).weighed[0]
    assert found.failures.tolist() == [0.0] * 3


def test_behind_a_right_answer_rollouts_say_nothing():
    """They succeed before an error that does no harm, and after it."""
    chain = chain_of(RIGHT, 1.0, 9.0, 1.0)
    found = gather([chain], rollouts(chain, 1, [RIGHT] * 3), make_settings()).weighed[0]
    assert found.answer_right is True
    assert found.successes.tolist() == [0.0] * 3
    apart = make_settings(count_outcome=False)
    found = gather([chain, replace(chain, id="other")], rollouts(chain, 1, [RIGHT] * 3), apart).weighed[0]
    assert found.answer_right is None


def test_refutations_and_proofs_are_certain():
    chain = chain_of(RIGHT, 50.0, 0.0, 0.0)
    case = Case((chain,), ((1,),), (1,))
    found = chain_evidence(make_settings(), known(case), 0)
    assert first_error_posterior(MODEL, found).tolist() == [0.0, 1.0, 0.0, 0.0]


def test_checks_that_contradict_each_other_break_nothing():
    chain = chain_of(WRONG, 1.0, 1.0)
    found = chain_evidence(make_settings(), known(Case((chain,), ((),), (2,))), 0)
    posterior = first_error_posterior(MODEL, found)
    assert posterior.sum() == pytest.approx(1.0)


def test_without_log_probabilities_labels_go_by_rollouts():
    told, silent = chain_of(WRONG, 1.0, 5.0, name="told"), make_chain(2, WRONG, "silent")
    assert [bool(x) for x in gather([told, silent], [], make_settings()).weighed] == [True, False]
    for odd in (math.inf, math.nan):
        assert gather([chain_of(WRONG, 1.0, odd)], [], make_settings()).weighed == [None]
    off = make_settings(surprisal=False)
    assert gather([told], [], off).weighed == [None]
    assert gather([told], [], make_settings("math_shepherd")).weighed == [None]
    made = gathered(make_settings(), silent, perfect(1))
    (row,) = label_all([PROBLEM], [silent], made.events, make_settings())
    assert row.method == "adaptive"
    ((labels, first_error),) = derive_labels([silent], made.events, make_settings())
    assert (row.labels, row.first_error) == (labels, first_error)


@pytest.fixture
def run():
    """Sixty problems of two chains, a right and a wrong one; wrong steps surprise, and three right answers
    come from a wrong step."""
    problems, chains, events = [], [], []
    for i in range(60):
        problems.append(Problem(f"p{i}", f"question {i}", "2"))
        harmless = i % 20 == 0
        right = chain_of(RIGHT, 0.1, 9.0 if harmless else 0.1, 0.1, name=f"right{i}")
        wrong = chain_of(WRONG, 0.1, 0.1 if i % 2 else 9.0, 9.0 if i % 2 else 0.1, name=f"wrong{i}")
        steps = [tuple(f"{name} {i} {s}" for s in range(3)) for name in ("a", "b")]
        pair = [replace(c, problem_id=f"p{i}", steps=s) for c, s in zip((right, wrong), steps)]
        chains += pair
        if i >= 10:  # the others have no rollouts
            events += rollouts(pair[1], 0, [RIGHT] * 3)
            events += rollouts(pair[1], 1, [RIGHT if i % 2 else WRONG] * 3)
    return problems, chains, events


def test_a_run_is_labelled_by_all_of_it(run):
    rows = {row.chain.id: row for row in label_all(*run, make_settings())}
    assert {row.method for row in rows.values()} == {SURPRISAL}
    assert all(rows[f"wrong{i}"].first_error == (2 if i % 2 else 1) for i in range(60))
    assert [rows[f"right{i}"].first_error for i in (1, 2, 3)] == [-1] * 3
    assert rows["right0"].first_error != -1  # a right answer hides an error no more
    by_rollouts = {row.chain.id: row for row in label_all(*run, make_settings(surprisal=False))}
    assert by_rollouts["right0"].first_error == -1
    assert by_rollouts["wrong1"].first_error is None


def test_soft_labels_fall_along_the_chain_and_agree_with_hard_ones(run):
    settings = make_settings()
    for row in label_all(*run, settings):
        soft = [label.soft for label in row.labels]
        assert soft == sorted(soft, reverse=True)
        for label in row.labels:
            assert label.hard == (
                1
                if label.soft >= settings.confidence
                else 0
                if label.soft <= 1 - settings.confidence
                else None
            )
        for example in examples([row], False):
            assert example.soft == tuple(soft)
            assert set(example.evidence) == {1.0}


def test_the_soft_loss_is_the_hard_one_expected(run):
    """Over where the first error is, with what follows it masked."""
    for row in label_all(*run, make_settings()):
        right = [label.soft for label in row.labels]
        at = [*(a - b for a, b in itertools.pairwise([1.0, *right])), right[-1]]
        for example in examples([row], True):
            for scores in ([0.9, 0.8, 0.3], [0.5, 0.01, 0.99]):
                good, bad = ([-math.log(p if of else 1 - p) for p in scores] for of in (True, False))
                hard = [sum(good[:place]) + sum(bad[place : place + 1]) for place in range(4)]
                soft = sum(
                    w * (q * g + (1 - q) * b)
                    for w, q, g, b in zip(example.evidence, example.soft, good, bad, strict=True)
                )
                assert soft == pytest.approx(float(np.dot(at, hard)), abs=0.1)


def test_the_soft_loss_learns_from_chains_without_any_label(run, tmp_path):
    rows = label_all(*run, make_settings())
    for i in range(0, len(rows), 7):
        doubts = (replace(x, status=UNDETERMINED, soft=p) for x, p in zip(rows[i].labels, (0.7, 0.5, 0.3)))
        rows[i] = replace(rows[i], labels=tuple(doubts), first_error=None)
    built = build_dataset(rows, DatasetSettings(validation_fraction=0.2), 0)
    assert len(built.train) + len(built.validation) == len(rows)
    hard, soft = (training_examples(built.train, VerifierSettings(loss=loss)) for loss in ("hard", "soft"))
    assert len(hard) < len(soft) == len(built.train)
    silent = next(e for e in soft if set(e.labels) == {IGNORED})
    assert sum(silent.evidence) > 0
    # the same from the folder that others read
    save(built, tmp_path / "hub", {"recipe": "r", "fingerprint": "f", "report": built.report})
    read, _ = load_source(SourceSettings(path=str(tmp_path / "hub")))
    assert {row.method for row in read} == {SURPRISAL}
    assert [e.soft for e in training_examples(read, VerifierSettings(loss="soft"))] == [e.soft for e in soft]


def test_what_is_least_sure_goes_to_people_first(run):
    rows = label_all(*run, make_settings())
    ranked = sorted(rows, key=uncertainty, reverse=True)
    assert {row.chain.id for row in ranked[:3]} == {"right0", "right20", "right40"}
    sure = [row for row in rows if row.first_error is not None]
    assert all(0 <= uncertainty(row) < 1 for row in sure)


def test_people_overrule_it(run):
    problems, chains, events = run
    chain = next(c for c in chains if c.id == "right0")
    said = Event(chain.id, "", -1, EventKind.REVIEW, RIGHT, detail="Ada")
    rows = {row.chain.id: row for row in label_all(problems, chains, [*events, said], make_settings())}
    assert rows["right0"].first_error == -1
    assert [label.soft for label in rows["right0"].labels] == [1.0, 1.0, 1.0]


def test_a_refutation_is_kept_whatever_surprises(run):
    problems, chains, events = run
    chain = next(c for c in chains if c.id == "right1")

    class Refuted:
        status, reason, compared = "incorrect", "1 = 2", None

    class Open:
        status, reason, compared = "undecided", "", None

    events = [*events, *check_events(chain, [Refuted(), Open(), Open()])]
    rows = {row.chain.id: row for row in label_all(problems, chains, events, make_settings())}
    assert rows["right1"].first_error == 0
