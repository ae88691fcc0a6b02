"""The hybrid scorer: calibrated, monotone in the checks, and JSON all the way."""

import json
from dataclasses import asdict

import numpy as np
import pytest

from distill.errors import VerifierError
from distill.verifier.calibrate import f1_at, sigmoid
from distill.verifier.hybrid import HybridParams, checker_scores, fit_hybrid, hybrid_scores


def sample(seed, chains=400):
    """Steps whose model score sees half of the errors and whose check sees the other half."""
    rng = np.random.default_rng(seed)
    scores, statuses, labels = [], [], []
    for _ in range(chains):
        n = rng.integers(1, 5)
        wrong = rng.random(n) < 0.15
        arithmetic = wrong & (rng.random(n) < 0.5)
        margins = rng.normal(2.0, 1.0, n) - 4.0 * (wrong & ~arithmetic)
        scores.append(sigmoid(margins).tolist())
        has_equation = (rng.random(n) < 0.8) | arithmetic
        statuses.append(
            [
                "undecided" if not e else "incorrect" if a else "correct"
                for e, a in zip(has_equation, arithmetic)
            ]
        )
        row, seen = [], False
        for bad in wrong.tolist():
            row.append(-100 if seen else int(not bad))
            seen |= bad
        labels.append(row)
    return scores, statuses, labels


def test_hybrid_beats_each_of_its_parts_on_fresh_chains():
    params = fit_hybrid(*sample(0))
    scores, statuses, labels = sample(1)
    truth = [row.index(0) if 0 in row else -1 for row in labels]
    alone = fit_hybrid(*(part for part in (scores, None, labels)))
    model_only = f1_at(hybrid_scores(alone, scores, None), truth, alone.threshold).f1
    checker_only = f1_at(checker_scores(statuses), truth, 0.5).f1
    both = f1_at(hybrid_scores(params, scores, statuses), truth, params.threshold).f1
    assert both > max(model_only, checker_only) + 0.1


def test_a_refuted_step_scores_lower_and_a_confirmed_one_no_lower():
    params = fit_hybrid(*sample(0))
    [[refuted, neutral, confirmed]] = hybrid_scores(
        params, [[0.7] * 3], [["incorrect", "undecided", "correct"]]
    )
    assert refuted < 0.1 < neutral <= confirmed


def test_signs_hold_even_when_the_sample_says_otherwise():
    scores, statuses, labels = sample(0)
    flipped = [[{"incorrect": "correct", "correct": "incorrect"}.get(s, s) for s in row] for row in statuses]
    params = fit_hybrid(scores, flipped, labels)
    assert params.refuted <= 0.0 <= params.confirmed
    assert params.slope >= 0.0


def test_a_perfect_predictor_keeps_finite_weights():
    params = fit_hybrid([[0.9, 0.1]] * 20, [["correct", "incorrect"]] * 20, [[1, 0]] * 20)
    assert all(np.isfinite(list(asdict(params).values())[1:]))


def test_the_same_fit_serves_step_log_probabilities():
    scores, statuses, labels = sample(2)
    logprobs = [[np.log(x) for x in row] for row in scores]
    params = fit_hybrid(logprobs, statuses, labels, signal="logprob")
    combined = hybrid_scores(params, logprobs, statuses)
    assert [len(row) for row in combined] == [len(row) for row in scores]
    assert all(0.0 <= x <= 1.0 for row in combined for x in row)
    [[unseen]] = hybrid_scores(params, [[float("-inf")]], [["undecided"]])
    assert unseen < 0.05


def test_parameters_survive_json_exactly():
    params = fit_hybrid(*sample(0))
    assert HybridParams(**json.loads(json.dumps(asdict(params)))) == params


def test_one_kind_of_label_is_refused_with_advice():
    with pytest.raises(VerifierError, match="label more problems"):
        fit_hybrid([[0.9]], [["correct"]], [[1]])


def test_statuses_of_another_length_are_refused():
    with pytest.raises(VerifierError, match="one check status"):
        hybrid_scores(HybridParams("probability", 0, 1, -1, 1, 0.5), [[0.5, 0.5]], [["correct"]])


def test_checker_alone_passes_what_it_cannot_decide():
    assert checker_scores([["correct", "undecided", "incorrect"]]) == [[1.0, 1.0, 0.0]]
