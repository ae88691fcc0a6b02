"""Augmentation: copies keep what is known of each step, and a run's training sees them."""

from pathlib import Path

import pytest
from dataset_samples import labelled
from tiny_model import make_tiny_model

from distill.config import Recipe
from distill.stages.verifier import _train_task
from distill.verifier import Example, augmented_examples

ITEMS = [
    Example(f"Q{i}?", ("a", "b", "c"), (1, 0, -100), (0.8, 0.3, 0.6), (0.5, 0.7, 0.0), outcome=0)
    for i in range(40)
]


def test_a_copy_keeps_the_soft_target_and_the_evidence_of_each_step() -> None:
    copies = augmented_examples(ITEMS, 1.0, seed=0)[len(ITEMS) :]
    assert len(copies) == len(ITEMS)
    assert any(len(copy.steps) > 3 for copy in copies)
    known = {(1, 0.8, 0.5), (0, 0.3, 0.7), (-100, 0.6, 0.0)}
    for copy in copies:
        rows = list(zip(copy.labels, copy.soft, copy.evidence, strict=True))
        assert known <= set(rows)
        assert set(rows) - known <= {(1, 1.0, 1.0), (-100, 0.0, 0.0)}  # what was added
        assert copy.outcome == 0


def test_hard_examples_stay_hard_and_a_share_is_copied() -> None:
    hard = [Example(item.question, item.steps, item.labels) for item in ITEMS]
    found = augmented_examples(hard, 0.5, seed=0)
    assert found[:40] == hard
    assert 8 < len(found[40:]) < 32
    assert all(copy.soft == copy.evidence == () for copy in found[40:])
    assert augmented_examples(hard, 0.0, seed=0) == hard


@pytest.mark.parametrize(("share", "chains"), [(0.0, 6), (1.0, 12)])
def test_the_training_of_a_run_sees_the_copies(tmp_path: Path, share: float, chains: int) -> None:
    base = make_tiny_model(tmp_path / "base", hidden=32, context=256)
    verifier = {"base": str(base), "epochs": 1, "evaluations": 1, "augmentation": share, "lora": {"r": 2}}
    recipe = Recipe.model_validate({"name": "augmented", "verifier": verifier})
    data = [labelled(f"Q{i}?", "++-" if i % 2 else "+++") for i in range(6)]
    result = _train_task(recipe, data, data, False, str(tmp_path / "out"), lambda *args, **more: None)
    assert result.train_chains == chains
