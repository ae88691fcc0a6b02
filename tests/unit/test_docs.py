"""What the documentation says is what the code does: commands, recipes, stages, layout, loading lines."""

import importlib.util
import json
import re
import shlex
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import typer.main

from distill.cli import app
from distill.config import PretrainSettings, Recipe
from distill.loading import load_recipe
from distill.pipeline import FILES, PLACEMENT, STAGES
from distill.reference import recipe_reference
from distill.verifier.card import loading_lines
from distill.verifier.data import ChainFormat

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
DOCS = sorted((ROOT / "docs").rglob("*.md"))
GUIDES = "\n".join(page.read_text(encoding="utf-8") for page in DOCS if page.parent.name == "guides")
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *DOCS]


def blocks(text: str, language: str) -> list[str]:
    """Contents of the fenced blocks of one language ("" for none)."""
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [body for found, body in fenced if found == language]


def test_the_loading_lines_are_those_of_the_model_card() -> None:
    (lines,) = blocks(README, "python")
    temperature = re.search(r"/ ([\d.e+-]+)\)\.softmax", lines)
    assert temperature
    expected = loading_lines("runs/quickstart/export/verifier", ChainFormat(), float(temperature[1]))
    assert lines.rstrip("\n") == expected
    assert len(expected.splitlines()) == 5


def test_the_quickstart_table_has_its_place() -> None:
    assert README.count("<!-- quickstart:begin -->") == README.count("<!-- quickstart:end -->") == 1
    assert README.index("<!-- quickstart:begin -->") < README.index("<!-- quickstart:end -->")


def distill_commands(text: str = README) -> list[list[str]]:
    lines = [line for block in blocks(text, "sh") for line in block.splitlines()]
    return [shlex.split(line, comments=True) for line in lines if line.startswith("distill ")]


@pytest.mark.parametrize("text", [README, GUIDES], ids=["readme", "guides"])
def test_every_command_parses(text: str) -> None:
    group = typer.main.get_command(app)
    for _, name, *arguments in distill_commands(text):
        if ">" in arguments:
            arguments = arguments[: arguments.index(">")]
        command = group.commands[name]  # type: ignore[attr-defined]
        command.make_context(name, arguments)  # raises on an unknown option or a missing argument


def test_the_readme_shows_every_command() -> None:
    known = set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
    assert {name for _, name, *_ in distill_commands()} == known


def test_overrides_in_the_readme_are_valid() -> None:
    with_recipe = [c for c in distill_commands() if c[1] in ("run", "plan", "pilot", "validate")]
    for _, _, recipe, *overrides in with_recipe:
        load_recipe(ROOT / recipe if recipe.endswith(".yaml") else recipe, overrides)


def test_the_reference_of_recipes_is_up_to_date() -> None:
    text = (ROOT / "docs" / "recipe_reference.md").read_text(encoding="utf-8")
    assert text == recipe_reference(), "distill schema --markdown > docs/recipe_reference.md"


def test_the_reference_tells_of_every_field() -> None:
    fields = re.findall(r"^\| `([\w.]+)` \|.*\| [^|]*\S \|$", recipe_reference(), re.MULTILINE)
    run_recipe = yaml_keys(json.loads(Recipe(name="x").model_dump_json()))
    hidden = {"chains.segment_tokens", "teacher.server.url", "price.per_hour"}
    assert {*fields} >= run_recipe | hidden | set(PretrainSettings.model_fields)


def yaml_keys(tree: dict[str, Any], above: str = "") -> set[str]:
    """Paths of all keys, those of mappings that a field holds as its value left out."""
    found = set()
    for key, value in tree.items():
        found.add(above + key)
        if isinstance(value, dict) and key not in ("columns", "engine_args"):
            found |= yaml_keys(value, f"{above}{key}.")
    return found


def test_make_targets_of_the_readme_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = set(re.findall(r"(?:^|`)make ([a-z-]+)", README, re.MULTILINE))
    assert {"quickstart", "test"} <= named <= targets


def whole_recipes() -> list[str]:
    return blocks(README, "yaml") + [text for text in blocks(GUIDES, "yaml") if text.startswith("name:")]


@pytest.mark.parametrize("text", whole_recipes(), ids=lambda text: text.splitlines()[0])
def test_recipes_of_the_pages_load(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in re.findall(r"[\w-]+\.jsonl", text):
        Path(name).write_text('{"problem": "1 + 1?", "solution": "2"}\n', encoding="utf-8")
    Path("recipe.yaml").write_text(text, encoding="utf-8")
    load_recipe("recipe.yaml")


def test_links_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}, which is not there"


@pytest.mark.parametrize("page", DOCS, ids=lambda page: page.stem)
def test_lists_and_tables_follow_a_blank_line(page: Path) -> None:
    """Or a heading, a fence, another item: elsewhere the site shows them as running text."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    starts = re.findall(r"^(?![-*] |[|#> ]|\d+\. )\S.*\n(?:[-*] |\d+\. |\|).*", text, re.MULTILINE)
    assert not starts, "expected a blank line between the two"


def test_the_diagram_is_the_pipeline() -> None:
    (diagram,) = blocks(ARCHITECTURE, "mermaid")
    drawn = set(re.findall(r"^ *(\w+) --> (\w+)$", diagram, re.MULTILINE))
    assert drawn == {(source, stage.name) for stage in STAGES for source in stage.after}


def test_the_table_of_what_is_redone_is_the_pipeline() -> None:
    section = ARCHITECTURE.split("## What is redone when")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (\w+) \| (.*) \|$", section, re.MULTILINE)
    shown = {name: re.findall(r"`([\w.]+)`", cell) for name, cell in rows if name != "stage"}
    settings = {stage.name: [n for entry in stage.settings for n in entry.split(" -")] for stage in STAGES}
    assert shown == settings
    for name in (*PLACEMENT, *FILES):
        assert f"`{name}`" in section


def layout() -> set[str]:
    """Paths in the layout block; a folder ends in a slash."""
    stack: list[str] = []
    found = set()
    for line in blocks(ARCHITECTURE.split("## Layout")[1], "")[0].splitlines():
        depth = (len(line) - len(line.lstrip())) // 2
        stack = [*stack[:depth], line.split()[0]]
        found.add("".join(stack))
    return found


def test_the_layout_is_the_tree() -> None:
    packages = ("checkers", "distill", "generators")
    files = [path for name in packages for path in (ROOT / name).rglob("*.py") if path.name != "__init__.py"]
    there = {path.relative_to(ROOT).as_posix() for path in files}
    named = {path for path in layout() if path.endswith(".py")}
    assert there == named, "docs/architecture.md, Layout: one line for each module"
    assert all((ROOT / path).is_dir() for path in layout() if path.endswith("/"))


def test_the_import_rules_are_those_of_the_linter() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        contracts = tomllib.load(file)["tool"]["importlinter"]["contracts"]
    assert all(f"**{contract['name']}**" in ARCHITECTURE for contract in contracts)
    layers = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    expected = [[name.removeprefix("distill.") for name in layer.split(" | ")] for layer in layers]
    shown = re.findall(r"^\d+\. (.*)$", ARCHITECTURE.split("## Imports")[1], re.MULTILINE)
    assert [re.findall(r"`(\w+)`", line) for line in shown] == expected


def test_the_log_is_dated() -> None:
    lines = (ROOT / "docs" / "log.md").read_text(encoding="utf-8").splitlines()
    entries = [line for line in lines if line.startswith("- ")]
    dates = [re.match(r"- (\d{4}-\d{2}-\d{2}) ", entry) for entry in entries]
    assert entries
    assert all(dates)
    assert [d[1] for d in dates if d] == sorted(d[1] for d in dates if d)


def test_the_license_is_the_one_that_is_declared() -> None:
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "Apache License" in text
    assert "Version 2.0, January 2004" in text
    assert 'license = "Apache-2.0"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")


# The table that goes into the README


def table_module() -> ModuleType:
    spec = importlib.util.spec_from_file_location("table", ROOT / "benchmarks" / "quickstart_table.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def interval(value: float) -> dict[str, float]:
    return {"value": value, "low": value - 0.01, "high": value + 0.01}


def summary() -> dict[str, Any]:
    best = {"intervals": {"pass_at_1": interval(0.6)}, "n": 8, "aggregation": "min", "scorer": "hybrid"}
    return {
        "recipe": {"name": "quickstart", "seed": 3, "fingerprint": "abcd"},
        "evaluation": {
            "n_chains": 2000,
            "n_problems": 250,
            "scorers": {"verifier_4bit": {"f1": interval(0.85), "auroc": interval(0.9)}},
            "differences": {"hybrid - checker": {"f1": interval(0.1234)}},
            "best_of_n": best | {"curves": {"verifier_4bit": {"min": {"8": interval(0.77)}}}},
        },
        "labels": {"first_error": interval(0.95)},
        "verifier": {"sizes": {"quantised_fraction": 0.264}},
        "teacher_tokens": 1234567,
        "wall_seconds": 300.0,
        "hardware": {"cpu": "a CPU", "cores": 2, "memory_gib": 8, "gpus": []},
        "versions": {"torch": "2.13.0"},
    }


@pytest.mark.parametrize(
    "shown",
    [
        "85.0 [84.0, 86.0] |",  # F1 of the shipped verifier
        "| 77.0 [76.0, 78.0] |",  # its best-of-8
        "+12.3 [+11.3, +13.3]",  # a difference shows its sign
        "60.0 [59.0, 61.0]",
        "26.4",
        "1,234,567",
        "`distill run quickstart` (seed 3",
        "2 cores, 8 GiB, no GPU",
        "torch 2.13.0",
    ],
)
def test_the_table_shows_the_figure(shown: str) -> None:
    assert shown in table_module().render(summary())


def test_the_table_never_shows_what_was_not_measured() -> None:
    text = table_module().render(summary())
    assert "| exact checks alone |" not in text  # no such scorer in this run
    assert "| 4-bit against full precision | – |" in text


def test_a_run_that_is_not_there_is_said_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert table_module().main([str(tmp_path)]) == 2
    assert "no finished run" in capsys.readouterr().err
