"""Perturbations keep what they say they keep, and the figures of how far they move scores."""

import pytest

from distill.evaluation.robustness import Moved, robustness_figures
from distill.perturb import HARMLESS, PERTURBATIONS, augmented, original, perturb

CHAIN = original("How many - are there?", ["1 - 1 = 0", "2 + 2 = 5", "5 + 1 = 6"], [1, 0, -100])


@pytest.mark.parametrize("name", PERTURBATIONS)
def test_every_step_knows_where_it_came_from(name: str) -> None:
    changed = perturb(name, CHAIN, 1)
    assert changed.steps != CHAIN.steps
    assert len(changed.steps) == len(changed.labels) == len(changed.origin)
    assert perturb(name, CHAIN, 1) == changed
    if name in HARMLESS:
        assert [i for i in changed.origin if i is not None] == [0, 1, 2]
        kept = [label for label, i in zip(changed.labels, changed.origin) if i is not None]
        assert kept == list(CHAIN.labels)


def test_what_is_added_is_right_until_something_was_wrong() -> None:
    assert perturb("filler", CHAIN, 0).labels == (1, 1, 0, -100, -100)
    assert perturb("repeated", CHAIN, 0).labels == (1, 1, 0, -100, -100)
    assert perturb("restated", CHAIN, 0).labels == (1, 1, 0, -100)
    assert perturb("shuffled", CHAIN, 0).labels == (-100,) * 3
    after = perturb("correct_after_wrong", CHAIN, 0)
    assert after.steps == ("1 - 1 = 0", "2 + 2 = 5", "1 - 1 = 0")
    assert after.labels == (1, 0, -100)


def test_noise_looks_the_same_and_is_not() -> None:
    changed = perturb("unicode_noise", CHAIN, 3)
    assert all("\u200d" in step for step in changed.steps)


def test_augmentation_takes_a_share_and_harmless_changes_only() -> None:
    found = [augmented(f"Q{i}", ["a b", "c"], [1, 0], 0.5, 0) for i in range(200)]
    copies = [item for item in found if item is not None]
    assert 70 < len(copies) < 130
    assert all(0 in item.labels for item in copies)
    assert augmented("Q", ["a"], [1], 0.0, 0) is None


def test_robustness_figures_by_hand() -> None:
    moved = [Moved([0.9, 0.2], [0.5, 0.8, 0.4], [None, 0, 1]), Moved([0.9], [0.9], [0])]
    found = robustness_figures(moved, 0.5, 50, 0)
    assert found["mean_change"]["value"] == pytest.approx((-0.1 + 0.2 + 0.0) / 3, abs=1e-6)
    assert found["mean_move"]["value"] == pytest.approx(0.1)
    assert found["decisions_flipped"]["value"] == 0.0
    assert found["first_error_moved"]["value"] == 0.0
    flipped = robustness_figures([Moved([0.9, 0.2], [0.3, 0.2], [0, 1])], 0.5, 50, 0)
    assert flipped["decisions_flipped"]["value"] == 0.5
    assert flipped["first_error_moved"]["value"] == 1.0
