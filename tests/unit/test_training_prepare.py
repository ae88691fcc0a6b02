"""What `distill train` trains on: weights, separate validation data, and what makes a training another."""

import json
from pathlib import Path
from typing import Any

import pytest

from distill import training
from distill.training import TrainSettings, prepare, train


def rows(count: int, name: str = "How many", tag: str = "") -> list[dict[str, Any]]:
    made = []
    for i in range(count):
        texts = ["1 + 1 = 2", f"2 + 2 = {4 + i % 2}{tag}"]
        made.append({"question": f"{name} {i}?", "steps": texts, "labels": [True, not i % 2]})
    return made


def write(path: Path, items: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(item) + "\n" for item in items), encoding="utf-8")
    return str(path)


def settings_of(folder: Path, data: list[dict[str, Any]], **more: Any) -> TrainSettings:
    return TrainSettings.model_validate({"data": data, "out": folder / "out", "gpus": 0} | more)


def quiet(line: str) -> None:
    pass


def test_a_weight_of_two_trains_on_each_chain_twice_and_validates_once(tmp_path: Path) -> None:
    twice = {"path": write(tmp_path / "a.jsonl", rows(40)), "weight": 2}
    once = {"path": write(tmp_path / "b.jsonl", rows(30, "What of"))}
    found = prepare(settings_of(tmp_path, [twice, once]), quiet)
    counts = [found.train.count(item) for item in dict.fromkeys(found.train)]
    names = [item.question.split()[0] for item in dict.fromkeys(found.train)]
    assert set(zip(names, counts)) == {("How", 2), ("What", 1)}
    assert len(found.validation) == len({item.problem.question for item in found.validation})
    assert len(counts) + len(found.validation) == 70
    assert found.record["sources"][0]["taken"] == 80


def test_validation_data_of_other_make_takes_its_questions_out_of_training(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", rows(40))
    held = [
        {"id": f"x-{i}", "problem": f"HOW  many {i}?", "steps": ["a", "b"], "label": 1 if i % 2 else -1}
        for i in range(10)
    ]
    given = [{"path": write(tmp_path / "v.jsonl", held)}]
    found = prepare(settings_of(tmp_path, [{"path": path}], validation=given), quiet)
    assert {item.question for item in found.train} == {f"How many {i}?" for i in range(10, 40)}


def test_chains_that_the_mask_leaves_without_a_label_are_counted_and_told(tmp_path: Path) -> None:
    lost = [
        {"question": f"Lost {i}?", "steps": ["a", "b"], "labels": [0.5, 0.0]}  # bad after undetermined
        for i in range(8)
    ]
    data, held = ({"path": write(tmp_path / name, rows(count, *more) + part)} for name, count, more, part in (
        ("a.jsonl", 20, (), lost), ("v.jsonl", 6, ("What of",), lost[:3]),
    ))  # fmt: skip
    lines: list[str] = []
    found = prepare(settings_of(tmp_path, [data], validation=[held]), lines.append)
    assert (len(found.train), len(found.known)) == (20, 6)
    assert found.record["without_labels"] == {"train": 5, "validation": 3}
    assert any("no label to learn from): 5 chains to train on, 3 to validate on" in line for line in lines)


def test_a_corrected_label_or_text_or_base_is_another_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same paths and counts, another content."""
    monkeypatch.setattr(training, "train_verifier", _stop)
    path, base = tmp_path / "a.jsonl", tmp_path / "base"
    base.mkdir()
    settings = settings_of(tmp_path, [{"path": str(path)}], verifier={"base": str(base)})

    def folders(items: list[dict[str, Any]], weights: bytes = b"1") -> set[Path]:
        write(path, items)
        (base / "model.safetensors").write_bytes(weights)
        with pytest.raises(_Stopped):
            train(settings, quiet)
        return set((tmp_path / "out").glob("training-*"))

    assert len(folders(rows(40))) == len(folders(rows(40))) == 1
    swapped = [row | {"labels": [True, not row["labels"][1]]} for row in rows(40)]
    assert len(folders(swapped)) == 2
    assert len(folders(rows(40, tag="."))) == 3
    assert len(folders(rows(40), b"2")) == 4


class _Stopped(Exception):
    pass


def _stop(*args: Any) -> None:
    raise _Stopped
