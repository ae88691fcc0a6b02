"""The whole dict: shape, JSON, missing truth, missing thresholds, determinism, faults."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from distill.config import EvaluationSettings
from distill.errors import DataError
from distill.evaluation import evaluate
from distill.records import Outcome, ScoredChain

SETTINGS = EvaluationSettings(bootstrap=200)
THRESHOLDS = {"hybrid": 0.5, "verifier_4bit": 0.5, "step_logprob": -0.5}


def held_out(n_problems=30, per_problem=8, seed=0):
    """Chains whose hybrid is sharp, verifier noisy, and log-probability weak."""
    rng = np.random.default_rng(seed)
    return [
        scored_chain(rng, f"p{problem}", f"p{problem}c{index}")
        for problem in range(n_problems)
        for index in range(per_problem)
    ]


def scored_chain(rng, problem_id, chain_id):
    length = int(rng.integers(1, 15))
    truth = int(rng.integers(0, length)) if rng.random() < 0.4 else -1
    correct = np.array([truth == -1 or step < truth for step in range(length)])

    def scores(noise):
        return tuple((1 / (1 + np.exp(-(np.where(correct, 3, -3) + rng.normal(0, noise, length))))).tolist())

    return ScoredChain(
        problem_id,
        chain_id,
        tuple(f"step {i}" for i in range(length)),
        "7" if truth == -1 else str(rng.integers(0, 6)),
        Outcome.CORRECT if truth == -1 else Outcome.INCORRECT,
        truth,
        "" if truth == -1 else str(rng.choice(["arithmetic", "operand"])),
        "q",
        {
            "hybrid": scores(1.0),
            "verifier_4bit": scores(2.5),
            "step_logprob": tuple((np.log(np.array(scores(6.0))) - 1e-6).tolist()),
        },
    )


@pytest.fixture(scope="module")
def found():
    return evaluate(held_out(), THRESHOLDS, SETTINGS, seed=0, default_scorer="hybrid")


def leaves(node, path=()):
    if isinstance(node, dict):
        for key, value in node.items():
            yield from leaves(value, (*path, key))
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from leaves(value, (*path, index))
    else:
        yield path, node


def test_it_is_json_and_every_interval_holds_its_value(found):
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    intervals = {path[:-1] for path, _ in leaves(found) if path[-1] == "low" and "reliability" not in path}
    assert len(intervals) > 100
    for path in intervals:
        node = found
        for key in path:
            node = node[key]
        assert node["low"] - 1e-9 <= node["high"]
        assert all(math.isfinite(value) for value in node.values())


def test_the_names_that_the_summary_needs(found):
    best = found["best_of_n"]
    for name in ("pass_at_1", "majority_8", "verifier_8", "oracle_8", "gap_closed"):
        assert isinstance(best[name], float)
        assert best["intervals"][name]["value"] == best[name]
    assert set(best["curves"]["hybrid"]) == {"min", "product", "last", "mean", "weighted_majority"}
    assert set(best["curves"]["hybrid"]["min"]) == {"1", "2", "4", "8"}
    assert best["pass_at_1"] < best["majority_8"] <= best["oracle_8"]
    assert best["verifier_8"] == best["curves"]["hybrid"]["min"]["8"]["value"]
    assert (found["n_problems"], found["n_chains"], found["n_judged"]) == (30, 240, 240)
    assert found["n_erroneous"] + found["n_correct"] == 240


def test_better_scorers_come_out_better_and_differences_are_paired(found):
    f1 = {name: figures["f1"] for name, figures in found["scorers"].items()}
    assert f1["hybrid"]["value"] > f1["verifier_4bit"]["value"] > f1["step_logprob"]["value"]
    difference = found["differences"]["hybrid - verifier_4bit"]["f1"]
    assert difference["value"] == pytest.approx(
        f1["hybrid"]["value"] - f1["verifier_4bit"]["value"], abs=2e-6
    )
    assert difference["low"] > 0
    assert set(found["differences"]) == {
        "hybrid - verifier_4bit",
        "hybrid - step_logprob",
        "verifier_4bit - step_logprob",
    }


def test_identical_scorers_differ_by_exactly_nothing():
    chains = [replace(c, scores={"a": c.scores["hybrid"], "b": c.scores["hybrid"]}) for c in held_out(8)]
    found = evaluate(chains, {"a": 0.5, "b": 0.5}, SETTINGS, 0, "a")
    nothing = {"value": 0.0, "low": 0.0, "high": 0.0}
    assert found["differences"]["a - b"] == dict.fromkeys(("f1", "auroc", "brier", "best_of_n"), nothing)


def test_log_probabilities_have_no_calibration(found):
    logprob = found["scorers"]["step_logprob"]
    assert "f1" in logprob
    assert "auroc" in logprob
    assert not {"brier", "ece", "reliability"} & set(logprob)


def test_groups_cover_all_chains(found):
    figures = found["scorers"]["hybrid"]
    assert sum(kind["n_erroneous"] for kind in figures["by_kind"].values()) == found["n_erroneous"]
    assert {kind["n_correct"] for kind in figures["by_kind"].values()} == {found["n_correct"]}
    by_length = figures["by_length"].values()
    assert sum(group["n_erroneous"] + group["n_correct"] for group in by_length) == 240
    assert sum(figures["confusion"].values()) == 240


def test_without_truth_only_best_of_n_is_there():
    chains = [replace(chain, truth=None, truth_kind="") for chain in held_out(6)]
    found = evaluate(chains, {}, SETTINGS, 0, "hybrid")
    assert found["scorers"]["hybrid"] == {"n_unscored_steps": 0}
    assert found["best_of_n"]["verifier_8"] > 0
    assert found["differences"]["hybrid - verifier_4bit"].keys() == {"best_of_n"}
    assert found["n_judged"] == 0


def test_without_decided_outcomes_there_is_no_best_of_n():
    chains = [replace(chain, outcome=Outcome.UNDECIDED) for chain in held_out(6)]
    found = evaluate(chains, THRESHOLDS, SETTINGS, 0, "hybrid")
    assert found["best_of_n"] == {}
    assert found["scorers"]["hybrid"]["f1"]["value"] > 0
    assert found["n_undecided_outcomes"] == 48


def test_a_scorer_without_threshold_has_no_f1():
    found = evaluate(held_out(6), {"hybrid": 0.5}, SETTINGS, 0, "hybrid")
    assert "f1" not in found["scorers"]["verifier_4bit"]
    assert "auroc" in found["scorers"]["verifier_4bit"]


def test_steps_that_were_not_scored_are_not_called_wrong():
    chain = ScoredChain(
        "p", "c", ("a", "b", "c"), "7", Outcome.CORRECT, -1, scores={"v": (0.9, math.nan, math.nan)}
    )
    wrong = replace(chain, chain_id="d", truth=1, outcome=Outcome.INCORRECT)
    found = evaluate([chain, wrong], {"v": 0.5}, SETTINGS, 0, "v")["scorers"]["v"]
    assert found["accuracy_correct"]["value"] == 1.0
    assert found["confusion"]["missed"] == 1
    assert found["n_unscored_steps"] == 4


def test_chains_without_steps_do_not_break_it():
    empty = ScoredChain("p0", "empty", (), "", Outcome.INCORRECT, None, scores=dict.fromkeys(THRESHOLDS, ()))
    found = evaluate([*held_out(4), empty], THRESHOLDS, SETTINGS, 0, "hybrid")
    assert found["n_chains"] == 33


def test_n_above_what_there_is_is_named_after_what_there_is():
    found = evaluate(held_out(5, per_problem=3), THRESHOLDS, SETTINGS, 0, "hybrid")
    assert {"majority_3", "oracle_3", "verifier_3"} < set(found["best_of_n"])
    assert "majority_8" not in found["best_of_n"]


def test_it_depends_on_the_seed_but_not_on_the_order(found):
    shuffled = held_out()
    np.random.default_rng(1).shuffle(shuffled)
    assert evaluate(shuffled, THRESHOLDS, SETTINGS, 0, "hybrid") == found
    other = evaluate(held_out(), THRESHOLDS, SETTINGS, 1, "hybrid")
    assert other["scorers"]["hybrid"]["f1"]["value"] == found["scorers"]["hybrid"]["f1"]["value"]
    assert other["scorers"]["verifier_4bit"]["f1"] != found["scorers"]["verifier_4bit"]["f1"]


def test_faults_say_what_is_wrong():
    chains = held_out(2)
    with pytest.raises(DataError, match="found none"):
        evaluate([], THRESHOLDS, SETTINGS, 0, "hybrid")
    with pytest.raises(DataError, match="default scorer 'nobody'"):
        evaluate(chains, THRESHOLDS, SETTINGS, 0, "nobody")
    torn = replace(chains[1], scores={"hybrid": chains[1].scores["hybrid"]})
    with pytest.raises(DataError, match="not paired"):
        evaluate([chains[0], torn], THRESHOLDS, SETTINGS, 0, "hybrid")
    short = replace(chains[0], steps=(*chains[0].steps, "one more"))
    with pytest.raises(DataError, match="nan for a step that was cut off"):
        evaluate([short], THRESHOLDS, SETTINGS, 0, "hybrid")
