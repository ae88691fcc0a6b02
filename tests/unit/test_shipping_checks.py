"""`distill export --check-data`: chains of the user's own, of any format, without what was trained on."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from test_training_prepare import quiet, rows, settings_of, write

from distill.dataset.imports import SourceSettings
from distill.errors import DataError, VerifierError
from distill.shipping import export_verifier, open_trained
from distill.training import content_digest, prepare
from distill.verifier.train import RESULT_FILE, TrainResult

RESULT = TrainResult(Path("training-1"), "base", True, [], 1.0, 1, 1, 0.5, False, 0, 1, 1, 1, 0, 1, "no")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What `distill train` leaves on 40 chains, but for weights, which nothing here reads."""
    settings = settings_of(tmp_path, [{"path": write(tmp_path / "a.jsonl", rows(40))}])
    root = tmp_path / "out"
    (root / RESULT.folder).mkdir(parents=True)
    told = asdict(RESULT) | {"folder": str(RESULT.folder)}
    (root / RESULT.folder / RESULT_FILE).write_text(json.dumps(told))
    digest = content_digest(prepare(settings, quiet))
    record = {"training": told, "settings": settings.model_dump(mode="json"), "content": digest}
    (root / "train.json").write_text(json.dumps(record))
    return root


def first_errors(questions: list[str]) -> list[dict[str, Any]]:
    """Rows of ProcessBench's style, a format that the training data did not have."""
    named = enumerate(questions)
    return [{"id": str(i), "problem": q, "steps": ["a", "b"], "label": i % 2 - 1} for i, q in named]


def test_check_chains_of_trained_or_validated_questions_are_left_out_and_told(folder: Path) -> None:
    asked = [f"What of {i}?" for i in range(30)] + [f"HOW  many {i}?" for i in range(40)]
    checks = SourceSettings(path=write(folder / "checks.jsonl", first_errors(asked)))
    lines: list[str] = []
    with open_trained(str(folder), checks, lines.append) as trained:
        assert [item.question for item in trained.heldout] == asked[:30]
        assert [item.truth for item in trained.heldout] == [-1, 0] * 15
        assert len({item.group for item in trained.heldout}) == 30
        assert "checks.jsonl" in trained.provenance["measured_on"]
    assert lines == [f"measure on 30 chains of {checks.path}; 40 trained on left out"]


def test_check_chains_that_were_all_trained_on_are_no_check(folder: Path, tmp_path: Path) -> None:
    path = write(folder / "checks.jsonl", rows(40))
    with pytest.raises(DataError, match="was not trained on, found none"):
        export_verifier(str(folder), tmp_path / "shipped", "adapter", path, quiet)
    assert not (tmp_path / "shipped").exists()


def test_other_data_than_was_trained_on_are_refused(folder: Path, tmp_path: Path) -> None:
    """Questions that are gone from the file would else pass for held out."""
    with open_trained(str(folder), None, quiet) as trained:
        assert trained.quantised == replace(RESULT, folder=folder / RESULT.folder)
    write(tmp_path / "a.jsonl", rows(40)[:39])
    with pytest.raises(VerifierError, match="put the old data back"), open_trained(str(folder), None, quiet):
        pass
