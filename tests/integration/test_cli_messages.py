"""What the command line says: help, faults in a recipe, folders it cannot use, this machine."""

import json
from pathlib import Path

import pytest
from conftest import Finished
from pipeline_runs import distill, identities
from typer.testing import CliRunner

from distill.cli import app
from distill.records import SCHEMA_VERSION

COMMANDS = (
    *("run", "plan", "pilot", "validate", "schema", "inspect", "relabel", "score", "train", "eval", "export"),
    *("pretrain", "doctor"),
)

TEN_FAULTS = """\
seed: '7'
problems:
  source: file
  count: many
  path: data/none.jsonl
teacher:
  temprature: 0.5
  backend: transformer
  top_p: 1.5
rollouts: 8
dataset:
  decontaminate: [missing.jsonl]
evaluation:
  best_of: [1, 0]
"""
TOLD = [
    "1: missing required key 'name'",
    "1: seed: expected a whole number, found '7'",
    "4: problems.count: expected a whole number above 0, found 'many'",
    "5: problems.path: no file 'data/none.jsonl'",
    "7: unknown key 'teacher.temprature'; did you mean 'teacher.temperature'?",
    "8: teacher.backend: expected one of",
    "9: teacher.top_p: expected a number above 0 and up to 1, found 1.5",
    "10: unknown key 'rollouts'; did you mean 'labelling.rollouts'?",
    "12: dataset.decontaminate[0]: no file 'missing.jsonl'",
    "14: evaluation.best_of[1]: expected a whole number above 0, found 0",
]


@pytest.mark.parametrize("command", ["run", "validate"])
def test_ten_faults_are_told_at_once(tmp_path: Path, command: str) -> None:
    (tmp_path / "faulty.yaml").write_text(TEN_FAULTS)
    ran = distill(command, "faulty.yaml", cwd=tmp_path)
    assert ran.code == 2
    assert "faulty.yaml has 10 faults:" in ran.err
    assert not [fault for fault in TOLD if f"faulty.yaml:{fault}" not in ran.err]
    assert len(ran.err.splitlines()) == 11
    assert [path.name for path in tmp_path.iterdir()] == ["faulty.yaml"], "nothing may be begun"


@pytest.fixture(scope="module")
def older(finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose chains were written under schema 0."""
    folder = finished.copy(tmp_path_factory.mktemp("older"), "verifier", "export")
    manifest = folder / "chains" / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"schema": 0}))
    return folder


@pytest.mark.parametrize("command", ["run", "plan", "inspect"])
def test_a_run_folder_of_an_older_schema(finished: Finished, older: Path, command: str) -> None:
    before = identities(older, "**/*")
    arguments = [older] if command == "inspect" else ["recipe.yaml", f"runs={older.parent}"]
    ran = distill(command, *arguments, cwd=finished.place)
    assert ran.code == 2
    for words in (
        "chains/manifest.json was written by an older prm-distill",
        f"schema {SCHEMA_VERSION}, found 0",
        "start a new",
    ):
        assert words in ran.err
    assert "Traceback" not in ran.text
    assert {k: v for k, v in identities(older, "**/*").items() if k != ".lock"} == {
        k: v for k, v in before.items() if k != ".lock"
    }


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("run", "no-such-recipe"), "no-such-recipe"),
        (("inspect", "no/such/run"), "expected a run folder at no/such/run"),
        (("score", "no/such/verifier", "-"), "no/such/verifier"),
        (("score", ".", "no-such-file.jsonl"), "no-such-file.jsonl"),
    ],
)
def test_what_is_not_there(tmp_path: Path, arguments: tuple[str, ...], words: str) -> None:
    ran = distill(*arguments, cwd=tmp_path)
    assert ran.code == 2, ran.text
    assert words in ran.err
    assert "Traceback" not in ran.text


def test_every_command_has_an_example_in_its_help() -> None:
    listed = {
        command.name or command.callback.__name__ for command in app.registered_commands if command.callback
    }
    assert listed == {*COMMANDS}
    without = [
        name
        for name in COMMANDS
        if f"Example: distill {name}" not in CliRunner().invoke(app, [name, "--help"]).output
    ]
    assert not without


def test_the_help_lists_every_command(tmp_path: Path) -> None:
    ran = distill("--help", cwd=tmp_path)
    assert ran.code == 0
    assert not [name for name in COMMANDS if name not in ran.out]
    assert "Example: distill run quickstart" in ran.out


def test_the_schema_is_a_json_schema_of_recipes(tmp_path: Path) -> None:
    ran = distill("schema", cwd=tmp_path)
    schema = json.loads(ran.out)
    assert ran.code == 0
    assert schema["$schema"].startswith("https://json-schema.org/draft/2020-12")
    assert schema["required"] == ["name"]
    assert schema["additionalProperties"] is False
    validator = pytest.importorskip("jsonschema").Draft202012Validator
    validator.check_schema(schema)
    assert validator(schema).is_valid({"name": "x", "labelling": {"rollouts": 4}})
    assert not validator(schema).is_valid({"name": "x", "labelling": {"rolouts": 4}})


def test_the_doctor_finds_this_machine_well(tmp_path: Path) -> None:
    ran = distill("doctor", cwd=tmp_path)
    assert ran.code == 0, ran.text
    assert "FAIL" not in ran.out
    assert "a task ran" in ran.out
