"""ProcessBench and PRMBench figures against hand-computed ones; their files, and candidates, as published."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distill.dataset.benchmarks import read_candidates, read_prmbench, read_processbench
from distill.errors import DataError
from distill.evaluation.metrics import FirstErrors
from distill.evaluation.prmbench import JudgedChain, prmbench_figures
from distill.evaluation.processbench import processbench_figures


def first_errors(predicted: list[int], truth: list[int]) -> FirstErrors:
    return FirstErrors(np.array(predicted), np.array(truth), np.arange(len(truth)))


def test_processbench_f1_is_the_harmonic_mean_and_subsets_weigh_alike() -> None:
    subsets = {
        "gsm8k": first_errors([1, 0, -1, -1], [1, 1, -1, -1]),  # 1/2 and 2/2
        "math": first_errors([2, 2, 2, 0, -1], [2, 2, -1, -1, -1]),  # 2/2 and 1/3
    }
    found = processbench_figures(subsets, 100, 0)
    assert found["subsets"]["gsm8k"]["f1"]["value"] == pytest.approx(2 / 3, abs=1e-6)
    assert found["subsets"]["math"]["f1"]["value"] == pytest.approx(0.5, abs=1e-6)
    assert found["mean_f1"]["value"] == pytest.approx((2 / 3 + 0.5) / 2, abs=1e-6)
    assert (found["subsets"]["math"]["n_erroneous"], found["subsets"]["math"]["n_correct"]) == (2, 3)


def test_prmbench_figures_by_hand() -> None:
    chains = [
        JudgedChain("circular", (True, False, True), {1, 2}),  # tp 1, tn 1, fp 1
        JudgedChain("deception", (False, True), {1}),  # fn 1, fp 1
        JudgedChain("correct", (True, False), frozenset()),  # apart from the total
    ]
    total = prmbench_figures(chains, 50, 0)["total"]
    f1, negative = 2 * (1 / 3) * 0.5 / (1 / 3 + 0.5), 2 * 0.5 * (1 / 3) / (0.5 + 1 / 3)
    assert total["f1"]["value"] == pytest.approx(f1, abs=1e-6)
    assert total["negative_f1"]["value"] == pytest.approx(negative, abs=1e-6)
    assert total["prm_score"]["value"] == pytest.approx((f1 + negative) / 2, abs=1e-6)
    assert total["accuracy_first_error"]["value"] == pytest.approx(0.5)
    assert total["n_chains"] == 2
    correct = prmbench_figures(chains, 50, 0)["by_classification"]["correct"]
    assert correct["accuracy_correct_steps"]["value"] == pytest.approx(0.5)
    assert "negative_f1" not in correct


def row(**changes: Any) -> dict[str, Any]:
    fixed = {"id": "gsm8k-0", "generator": "m", "problem": "Q?", "steps": ["a", "b"], "label": 1}
    return fixed | {"final_answer_correct": False} | changes


def test_a_processbench_folder_has_one_file_a_subset(tmp_path: Path) -> None:
    (tmp_path / "gsm8k.json").write_text(json.dumps([row(), row(id="gsm8k-1", label=-1)]))
    (tmp_path / "math.jsonl").write_text(json.dumps(row(id="math-0")) + "\n")
    found = read_processbench(str(tmp_path))
    assert {name: [item.first_error for item in chains] for name, chains in found.items()} == {
        "gsm8k": [1, -1],
        "math": [1],
    }
    assert len(read_processbench(str(tmp_path), limit=1)["gsm8k"]) == 1
    (tmp_path / "math.jsonl").write_text(json.dumps(row(label=5)) + "\n")
    with pytest.raises(DataError, match=r"math\.jsonl, row 1: label"):
        read_processbench(str(tmp_path))


def prmbench_row(**changes: Any) -> dict[str, Any]:
    return {
        "idx": "7",
        "original_question": "Q?",
        "original_process": ["a", "b"],
        "modified_question": "Q!",
        "modified_process": ["a", "a", "b"],
        "error_steps": [2],
        "classification": "redundency",
    } | changes


def test_prmbench_errors_count_from_one_and_originals_come_once(tmp_path: Path) -> None:
    file = tmp_path / "prmbench.jsonl"
    rows = [prmbench_row(), prmbench_row(), prmbench_row(classification="circular")]
    file.write_text("".join(json.dumps(item) + "\n" for item in rows))
    found = read_prmbench(str(file))
    assert [(chain.id, chain.errors) for chain in found] == [
        ("correct_7", frozenset()),
        ("redundency_7", frozenset({1})),
        ("circular_7", frozenset({1})),
    ]
    file.write_text(json.dumps(prmbench_row(error_steps=[0])))
    with pytest.raises(DataError, match="count from 1"):
        read_prmbench(str(file))


def test_candidates_scored_or_not(tmp_path: Path) -> None:
    file = tmp_path / "candidates.jsonl"
    rows = [
        {"question": "Q", "steps": ["a"], "answer": "4", "correct": True},
        {"problem": "Q", "scores": [0.5, 0.25], "answer": "5", "reference": "4"},
    ]
    file.write_text("".join(json.dumps(item) + "\n" for item in rows))
    first, second = read_candidates(str(file))
    assert (first.correct, first.scores, first.steps) == (True, None, ("a",))
    assert (second.correct, second.scores, second.reference) == (None, (0.5, 0.25), "4")
    file.write_text(json.dumps({"question": "Q", "steps": ["a"], "answer": "4"}))
    with pytest.raises(DataError, match=r"row 1: expected `correct`"):
        read_candidates(str(file))


def test_prmbench_errors_beyond_the_steps_count_nowhere_as_published(tmp_path: Path) -> None:
    """The published files hold some hundred such rows; their own evaluation never comes to those steps."""
    file = tmp_path / "prmbench.jsonl"
    file.write_text(json.dumps(prmbench_row(classification="circular", error_steps=[2, 4])))
    chain = read_prmbench(str(file))[0]
    assert chain.errors == {1, 3}
    counts = prmbench_figures([JudgedChain("circular", (True, False, True), chain.errors)], 10, 0)["total"]
    assert (counts["accuracy_wrong_steps"]["value"], counts["accuracy_steps"]["value"]) == (1.0, 1.0)


@pytest.mark.parametrize("name", [None, ""])
def test_prmbench_rows_without_a_name_are_refused_and_not_taken_for_one(tmp_path: Path, name: Any) -> None:
    file = tmp_path / "prmbench.jsonl"
    file.write_text(json.dumps(prmbench_row(idx=name)))
    with pytest.raises(DataError, match=r"row 1: idx: expected what names the row"):
        read_prmbench(str(file))
