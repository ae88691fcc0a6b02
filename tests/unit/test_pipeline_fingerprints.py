"""Which settings redo which stages: the ones that change what comes out, and no others."""

import json
from pathlib import Path
from typing import Any

import pytest

from distill.config import Recipe
from distill.pipeline import STAGES, stage_fingerprints

NAMES = [stage.name for stage in STAGES]
HELDOUT = {"heldout_problems", "heldout_chains"}
FROM_LABELS = {*NAMES[NAMES.index("labels") :]}
FROM_VERIFIER = {"verifier", "export", "evaluation", "report"}


def redone(before: dict[str, Any], after: dict[str, Any]) -> set[str]:
    """Stages whose fingerprint differs between two recipes."""
    first, second = (stage_fingerprints(Recipe.model_validate({"name": "x", **x})) for x in (before, after))
    return {name for name in NAMES if first[name] != second[name]}


@pytest.mark.parametrize("method", ["adaptive", "math_shepherd"])
def test_a_threshold_of_the_labels_costs_no_teacher_token(method: str) -> None:
    before, after = ({"labelling": {"method": method, "good_at": good_at}} for good_at in (0.0, 0.4))
    assert redone(before, after) == FROM_LABELS


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"name": "another", "runs": "elsewhere"}, set()),
        ({"teacher": {"replicas": 2, "cpus": 2.0, "threads": 1}, "cluster": {"retries": 0}}, set()),
        ({"verifier": {"gpus": 1.0, "report_to": ["tensorboard"]}}, set()),
        ({"evaluation": {"bootstrap": 10}}, {"evaluation", "report"}),
        ({"verifier": {"epochs": 1}}, FROM_VERIFIER),
        ({"labelling": {"rollouts": 4}}, FROM_LABELS | {"evidence"}),
        ({"completer": {"temperature": 0.1}}, FROM_LABELS | {"evidence"}),
        ({"problems": {"heldout": 10}}, HELDOUT | {"export", "evaluation", "report"}),
        ({"problems": {"count": 10}}, {*NAMES} - HELDOUT),
        ({"chains": {"per_problem": 2}}, {*NAMES} - HELDOUT - {"problems"}),
        ({"seed": 1}, {*NAMES}),
    ],
)
def test_what_a_setting_redoes(changed: dict[str, Any], expected: set[str]) -> None:
    assert redone({}, changed) == expected


def test_a_file_of_chains_counts_by_what_it_holds(tmp_path: Path) -> None:
    paths = [tmp_path / f"{i}.jsonl" for i in range(2)]
    for i, path in enumerate(paths):
        path.write_text(json.dumps({"question": str(i), "steps": ["1"]}))
    first, second = ({"chains": {"path": str(path)}} for path in paths)
    assert redone(first, second) == {*NAMES} - HELDOUT
    assert redone({}, first) == {*NAMES} - HELDOUT
