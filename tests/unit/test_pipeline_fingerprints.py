"""Which settings redo which stages: the ones that change what comes out, and no others."""

import importlib
import json
from pathlib import Path
from typing import Any

import pytest

from distill.config import Recipe
from distill.loading import DIGESTED_BYTES, file_digest
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
        ({"labelling": {"checker_deadline_seconds": 9.0}}, {*NAMES} - {"problems", "heldout_problems"}),
        ({"problems": {"heldout": 10}}, HELDOUT | {"export", "evaluation", "report"}),
        ({"problems": {"count": 10}}, {*NAMES} - HELDOUT),
        ({"chains": {"per_problem": 2}}, {*NAMES} - HELDOUT - {"problems"}),
        ({"seed": 1}, {*NAMES}),
    ],
)
def test_what_a_setting_redoes(changed: dict[str, Any], expected: set[str]) -> None:
    assert redone({}, changed) == expected


@pytest.mark.parametrize("what", ["problems", "chains"])
def test_held_out_problems_of_a_file_decide_what_is_labelled(what: str, tmp_path: Path) -> None:
    """Fifty more held out would else be fifty that were trained on."""
    (tmp_path / "x.jsonl").write_text("{}")
    path = str(tmp_path / "x.jsonl")
    before = (
        {"problems": {"source": "file", "path": path}} if what == "problems" else {"chains": {"path": path}}
    )
    after = before | {"problems": {**before.get("problems", {}), "heldout": 100}}
    assert redone(before, after) == {*NAMES}


@pytest.mark.parametrize("module", ["mine", "package.mine"])
def test_an_edited_checker_judges_everything_anew(
    module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    own = {"source": "file", "path": "p.jsonl"}
    recipe = Recipe.model_validate({"name": "x", "problems": own | {"domain": f"{module}:check"}})
    file = (tmp_path / module.replace(".", "/")).with_suffix(".py")
    file.parent.mkdir(exist_ok=True)
    (file.parent / "__init__.py").write_text("raise AssertionError('imported')")
    seen = []
    for text in ("raise AssertionError('imported')", "raise AssertionError('not imported')"):
        file.write_text(text)
        importlib.invalidate_caches()
        seen.append(stage_fingerprints(recipe))
    assert all(seen[0][name] != seen[1][name] for name in NAMES)
    gone = Recipe.model_validate({"name": "x", "problems": own | {"domain": "no.such:check"}})
    assert stage_fingerprints(gone) == stage_fingerprints(gone)


def test_a_file_of_chains_counts_by_what_it_holds(tmp_path: Path) -> None:
    paths = [tmp_path / f"{i}.jsonl" for i in range(2)]
    for i, path in enumerate(paths):
        path.write_text(json.dumps({"question": str(i), "steps": ["1"]}))
    first, second = ({"chains": {"path": str(path)}} for path in paths)
    assert redone(first, second) == {*NAMES} - HELDOUT
    assert redone({}, first) == {*NAMES} - HELDOUT


@pytest.mark.parametrize(
    "name",
    ["adapter_config.json", "chat_template.jinja", "spiece.model", "vocab.txt", "x.safetensors"],
)
def test_a_model_folder_counts_by_what_it_holds(name: str, tmp_path: Path) -> None:
    """A folder without weights is a tokenizer, or an adapter's configuration."""
    (tmp_path / "deep.json").mkdir()
    recipe = {"teacher": {"model": str(tmp_path)}}
    seen = [stage_fingerprints(Recipe.model_validate({"name": "x", **recipe}))["chains"]]
    for text in ("a", "b"):
        (tmp_path / name).write_text(text)
        seen.append(stage_fingerprints(Recipe.model_validate({"name": "x", **recipe}))["chains"])
    assert len(set(seen)) == 3


def test_a_long_tokenizer_is_read_whole(tmp_path: Path) -> None:
    text = "x" * 3 * DIGESTED_BYTES
    (tmp_path / "tokenizer.json").write_text(text)
    before = file_digest(str(tmp_path))
    (tmp_path / "tokenizer.json").write_text(f"{text[: len(text) // 2]}y{text[len(text) // 2 + 1 :]}")
    assert file_digest(str(tmp_path)) != before


def test_settings_that_are_no_files_are_not_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The verifier's `lora` has keys r, alpha, ...: a file of that name means nothing."""
    monkeypatch.chdir(tmp_path)
    before = stage_fingerprints(Recipe.model_validate({"name": "x"}))
    (tmp_path / "r").write_text("a file of the user")
    assert stage_fingerprints(Recipe.model_validate({"name": "x"})) == before
