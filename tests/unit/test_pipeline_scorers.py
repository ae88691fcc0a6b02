"""What an export's card is told of the held-out chains, before the evaluation stage."""

from distill.config import Recipe
from distill.evaluation import evaluate
from distill.records import Outcome, ScoredChain
from distill.stages.scorers import EXACT, HELDOUT, LABELLED, heldout_figures, whose_labels

THRESHOLDS = {"verifier_4bit": 0.5, "hybrid": 0.5}


def chains(known: bool) -> list[ScoredChain]:
    made = []
    for i in range(24):
        wrong = i % 2
        rows = {
            "verifier_4bit": (0.9, 0.6 if i == 1 else 0.9 - 0.7 * wrong),
            "hybrid": (0.9, 0.9 - 0.8 * wrong),
        }
        truth = (1 if wrong else -1) if known else None
        made.append(ScoredChain(f"p{i}", f"c{i}", ("a", "b"), "", Outcome.CORRECT, truth, scores=rows))
    return made


def test_the_card_is_told_what_the_evaluation_will_find() -> None:
    recipe = Recipe.model_validate({"name": "x"})
    found = heldout_figures(chains(True), THRESHOLDS, recipe)["heldout"]
    later = evaluate(chains(True), THRESHOLDS, recipe.evaluation, recipe.seed, "hybrid")["scorers"]
    assert found["chains"] == 24
    for name in THRESHOLDS:
        assert found[name] == {key: later[name][key] for key in ("f1", "auroc", "ece")}
    assert found["hybrid"]["f1"]["value"] == 1.0 > found["verifier_4bit"]["f1"]["value"]


def test_without_truth_it_is_told_nothing() -> None:
    assert heldout_figures(chains(False), THRESHOLDS, Recipe.model_validate({"name": "x"})) == {}


def test_the_card_says_whose_labels_its_figures_rest_on() -> None:
    assert whose_labels(chains(True)) == EXACT
    assert whose_labels(chains(False)) == HELDOUT
    assert whose_labels([]) == LABELLED
