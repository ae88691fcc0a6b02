"""Teachers that answer nothing, blanks, 10,000 tokens or broken UTF-8: counted, never called wrong."""

import json
from pathlib import Path
from typing import Any

import pytest
from conftest import Finished
from pipeline_runs import distill, rows

FEW = ("problems.count=4", "problems.heldout=2", "chains.heldout_per_problem=2", "evaluation.best_of=[1,2]")


def stats(folder: Path, stage: str) -> dict[str, Any]:
    return json.loads((folder / stage / "manifest.json").read_text())["stats"]


@pytest.mark.parametrize(
    ("script", "cap", "empty", "cut_off"),
    [
        ("empty", 200, 8, 0),
        ("whitespace", 200, 8, 0),
        ("long", 20_000, 0, 0),
        pytest.param("long", 200, 0, 8, marks=pytest.mark.slow),
        ("invalid-utf8", 200, 0, 0),
    ],
    ids=["nothing", "whitespace", "10,000 tokens", "10,000 tokens, capped", "invalid UTF-8"],
)
def test_a_teacher_without_one_answer(
    finished: Finished, tmp_path: Path, script: str, cap: int, empty: int, cut_off: int
) -> None:
    teacher = (f"teacher.model=scripted:{script}", f"teacher.max_new_tokens={cap}")
    ran = distill("run", "recipe.yaml", f"runs={tmp_path}", *FEW, *teacher, cwd=finished.place)
    assert ran.code == 2, ran.text
    assert "Traceback" not in ran.text
    assert ran.err.count("error: ") == 1
    counts = f"of 8 chains 8 undecided ({empty} empty, {cut_off} cut off by teacher.max_new_tokens)"
    for words in ("expected step labels to train on, found none", counts, "teacher.model", "teacher.prompt"):
        assert words in ran.err
    found = stats(tmp_path / "world", "chains")
    assert (found["outcomes"], found["empty"], found["cut_off"]) == ({"undecided": 8}, empty, cut_off)
    chains = rows(tmp_path / "world", "chains")
    assert sum(not chain["steps"] for chain in chains) == empty
    assert max(len(chain["token_ids"]) for chain in chains) <= min(cap, 10_000)
    events = stats(tmp_path / "world", "evidence")["outcomes"]
    assert not {key for key in events if key.startswith(("rollout", "outcome")) and "undecided" not in key}


def test_a_completer_without_one_answer_leaves_what_chains_and_checks_say(
    finished: Finished, tmp_path: Path
) -> None:
    completer = "completer={backend: scripted, model: 'scripted:empty'}"
    arguments = ("pilot", "recipe.yaml", completer, "--sample", "24", f"runs={tmp_path}")
    ran = distill(*arguments, cwd=finished.place)
    assert ran.code == 0, ran.text
    folder = tmp_path / "world-pilot"
    assert stats(folder, "chains")["outcomes"] == stats(finished.folder, "chains")["outcomes"]
    events = stats(folder, "evidence")["outcomes"]
    assert {key for key in events if key.startswith("rollout")} == {"rollout:undecided"}
    assert stats(folder, "labels")["accuracy"]["first_error_accuracy"] > 0.8
    assert stats(folder, "labels")["outcomes"]["undetermined"] > 0


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("scripted:nope", "expected a script of"),
        pytest.param("scripted:error", "the scripted engine always fails", marks=pytest.mark.slow),
    ],
)
def test_a_teacher_that_fails_is_quoted(finished: Finished, tmp_path: Path, model: str, message: str) -> None:
    ran = distill("run", "recipe.yaml", f"runs={tmp_path}", f"teacher.model={model}", cwd=finished.place)
    assert ran.code == 2, ran.text
    assert f"error: {message}" in ran.err
    assert "Traceback" not in ran.text


@pytest.mark.slow
@pytest.mark.parametrize(
    ("setting", "found"),
    [("problems.count=1", "no labelled steps"), ("teacher.model='scripted:world'", "only good steps")],
)
def test_labels_of_one_kind_are_told_before_the_training(
    finished: Finished, tmp_path: Path, setting: str, found: str
) -> None:
    ran = distill("run", "recipe.yaml", f"runs={tmp_path}", *FEW, setting, cwd=finished.place)
    assert ran.code == 2, ran.text
    assert f"found {found}" in ran.err
    assert "Traceback" not in ran.text
    assert (tmp_path / "world" / "dataset" / "manifest.json").exists()
