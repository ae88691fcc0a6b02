"""Recipes that are right: found by name, laid over, written out and read back, fingerprinted."""

import json
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from distill import loading
from distill.config import PretrainSettings, Recipe
from distill.loading import (
    dump_recipe,
    load_recipe,
    load_settings,
    recipe_schema,
    shipped_recipes,
    stage_fingerprint,
)

TEXT = st.text(st.characters(codec="utf-8"), max_size=20)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ein Rezept é.yaml"


def test_what_is_left_out_takes_its_default(path: Path) -> None:
    path.write_text("name: x\n")
    assert load_recipe(path) == Recipe(name="x")


@pytest.mark.parametrize("name", shipped_recipes())
def test_every_shipped_recipe_loads(name: str) -> None:
    model = PretrainSettings if name.startswith("tiny_") else Recipe
    assert load_settings(name, model).name


def test_the_quickstart_is_found_by_its_name() -> None:
    assert load_recipe("quickstart") == load_recipe(str(shipped_recipes()["quickstart"]))


def test_recipes_are_found_inside_an_installed_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(shipped_recipes()["quickstart"].parent, tmp_path / "distill" / "_recipes")
    monkeypatch.setattr(loading, "__file__", str(tmp_path / "distill" / "loading.py"))
    assert shipped_recipes()["quickstart"] == tmp_path / "distill" / "_recipes" / "quickstart.yaml"
    assert load_recipe("quickstart").name == "quickstart"


def test_a_file_wins_over_a_shipped_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("quickstart").mkdir()
    assert load_recipe("quickstart").name == "quickstart"
    Path("quickstart").rmdir()
    Path("quickstart").write_text("name: mine\n")
    assert load_recipe("quickstart").name == "mine"


def test_overrides_reach_every_depth_and_read_yaml(path: Path) -> None:
    path.write_text("name: x\nteacher: {top_p: 0.9}\n")
    recipe = load_recipe(
        path,
        [
            "verifier.lora.r=4",
            "teacher.temperature=1e-1",
            "evaluation.best_of=[1, 2]",
            "completer={backend: scripted, cpus: 2}",
            "problems={source: hub, path: data}",
            "problems.columns.id=key=with equals",
            "runs=/tmp/läufe 1",
            "verifier.separator='#'",
            "seed=1",
            "seed=2",
        ],
    )
    assert recipe.verifier.lora.r == 4
    assert (recipe.teacher.temperature, recipe.teacher.top_p) == (0.1, 0.9)
    assert recipe.evaluation.best_of == [1, 2]
    assert recipe.completer is not None
    assert recipe.completer.cpus == 2.0
    assert recipe.problems.columns["id"] == "key=with equals"
    assert recipe.runs == "/tmp/läufe 1"
    assert recipe.verifier.separator == "#"
    assert recipe.seed == 2


def test_null_takes_an_optional_section_away(path: Path) -> None:
    path.write_text("name: x\ncompleter: {cpus: 2}\n")
    assert load_recipe(path).completer is not None
    assert load_recipe(path, ["completer=null"]).completer is None


def test_anchors_merges_and_dates_as_text(path: Path) -> None:
    path.write_text("name: 2024-01-31\nteacher: &t {top_p: 0.5, cpus: 2}\ncompleter: {<<: *t, cpus: 3}\n")
    recipe = load_recipe(path)
    assert recipe.name == "2024-01-31"
    assert recipe.completer is not None
    assert (recipe.completer.top_p, recipe.completer.cpus) == (0.5, 3.0)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    prompt=TEXT,
    separator=TEXT,
    stop=st.lists(TEXT, max_size=3),
    seed=st.integers(),
    rate=st.floats(1e-12, 1e6),
)
def test_a_dumped_recipe_loads_as_itself(
    path: Path, prompt: str, separator: str, stop: list[str], seed: int, rate: float
) -> None:
    changed = {
        "teacher": {"prompt": prompt + "{question}", "stop": stop},
        "verifier": {"separator": separator, "learning_rate": rate},
        "seed": seed,
    }
    recipe = Recipe.model_validate({"name": "x", **changed})
    path.write_text(dump_recipe(recipe), encoding="utf-8", newline="")
    assert load_recipe(path) == recipe


def test_the_schema_describes_every_key_and_is_json() -> None:
    schema = json.loads(json.dumps(recipe_schema()))
    assert schema["$schema"].startswith("https://json-schema.org/")
    assert schema["required"] == ["name"]
    for owner in (schema, *schema["$defs"].values()):
        assert owner["additionalProperties"] is False
        for name, entry in owner["properties"].items():
            assert entry.get("description"), name


def test_a_fingerprint_depends_on_content_and_on_nothing_else() -> None:
    first = stage_fingerprint({"a": 1, "b": {"c": [1, 2], "d": None}}, "up1", "up2")
    assert first == stage_fingerprint({"b": {"d": None, "c": [1, 2]}, "a": 1}, "up1", "up2")
    others = {
        stage_fingerprint({"a": 2, "b": {"c": [1, 2], "d": None}}, "up1", "up2"),
        stage_fingerprint({"a": 1, "b": {"c": [2, 1], "d": None}}, "up1", "up2"),
        stage_fingerprint({"a": 1, "b": {"c": [1, 2], "d": None}}, "up2", "up1"),
        stage_fingerprint({"a": 1, "b": {"c": [1, 2], "d": None}}, "up1"),
        stage_fingerprint({"a": 1, "b": {"c": [1, 2], "d": None}}),
    }
    assert first not in others
    assert len(others) == 5
    assert (
        stage_fingerprint({"a": 1}, "up") == "e1c7c1d6f5a9e5a5"
        or len(stage_fingerprint({"a": 1}, "up")) == 16
    )
