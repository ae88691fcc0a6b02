"""`distill train` and `distill eval` for real, on a tiny base: a folder to ship, and figures."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tiny_model import make_tiny_model
from typer.testing import CliRunner

from distill.cli import app
from distill.errors import DataError, RecipeError
from distill.perturb import PERTURBATIONS
from distill.proving import prove
from distill.shipping import open_trained
from distill.training import read_settings, train
from distill.verifier import read_package

RUNNER = CliRunner()
SETTINGS = """
out: {out}
data:
  - path: {folder}/steps.jsonl
  - path: {folder}/first.jsonl
    weight: 0.5
gpus: 0
verifier:
  base: {base}
  epochs: 3
  batch_size: 8
  evaluations: 2
  learning_rate: 0.001
  lora: {{r: 4, targets: [q_proj, v_proj]}}
  packing: true
  augmentation: 0.3
"""


def rows(count: int) -> list[dict[str, Any]]:
    made = []
    for i in range(count):
        bad = i % 2
        texts = ["1 + 1 = 2", "2 + 2 = 5" if bad else "2 + 2 = 4", "so it is"]
        made.append({"prompt": f"How many {i}?", "completions": texts, "labels": [True, not bad, not bad]})
    return made


def write(path: Path, items: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(item) + "\n" for item in items), encoding="utf-8")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("train")
    make_tiny_model(folder / "base", hidden=64, context=256, spread=0.05)
    write(folder / "steps.jsonl", rows(40))
    first = [
        {"problem": row["prompt"] + " Say.", "steps": row["completions"], "label": 1 if i % 2 else -1}
        for i, row in enumerate(rows(20))
    ]
    write(folder / "first.jsonl", first)
    text = SETTINGS.format(out=folder / "out", folder=folder, base=folder / "base")
    (folder / "train.yaml").write_text(text)
    return folder


@pytest.fixture(scope="module")
def verifier(place: Path) -> Path:
    done = RUNNER.invoke(app, ["train", str(place / "train.yaml")])
    assert done.exit_code == 0, done.output
    assert "40 rows, 40 chains, 40 taken" in done.output
    assert "decides 100.0% of" in done.output or "decides 9" in done.output
    return place / "out" / "verifier"


def test_one_command_ends_in_a_four_bit_folder_with_its_provenance(verifier: Path) -> None:
    package = read_package(verifier)
    assert package.form in ("adapter", "merged")
    [steps, first] = package.provenance["data"]["sources"]
    assert (steps["format"], first["format"]) == ("stepwise", "first_error")
    assert first["taken"] < first["chains"]
    assert (verifier / "README.md").exists()
    record = json.loads((verifier.parent / "train.json").read_text())
    assert record["training"]["labelled_steps"] > 40


def test_what_is_exported_is_held_to_the_labels_and_has_its_hybrid(place: Path, verifier: Path) -> None:
    """F1 drift against the labels of the validation chains; `distill score` takes the folder as it is."""
    package = read_package(verifier)
    for figures in package.figures["forms"].values():
        assert figures["f1_change"]["value"] >= -0.01
    card = (verifier / "README.md").read_text()
    assert "first errors as the data labels them). Full precision" in card
    assert "## Limits" in card
    assert package.hybrid is not None
    write(place / "asked.jsonl", [{"question": "How many?", "steps": ["1 + 1 = 2", "2 + 2 = 5"]}])
    done = RUNNER.invoke(app, ["score", str(verifier), str(place / "asked.jsonl")])
    assert done.exit_code == 0, done.output
    assert json.loads(done.output.splitlines()[-1])["refuted"][1]


def test_what_was_trained_on_is_found_from_another_folder(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    given = ["out=out2", 'data=[{"path": "steps.jsonl"}]', "verifier.base=" + str(place / "base"), "gpus=0"]
    given += ["verifier.epochs=1", "verifier.evaluations=1", "verifier.lora.r=4"]
    train(read_settings(None, given), lambda line: None)
    monkeypatch.chdir(tmp_path)
    with open_trained(str(place / "out2"), None, print) as found:
        assert len(found.train) + len(found.validation) == 40


def test_the_same_command_trains_no_second_time(place: Path, verifier: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in place.glob("out/training-*/adapter/*")}
    assert RUNNER.invoke(app, ["train", str(place / "train.yaml")]).exit_code == 0
    assert before == {path: path.stat().st_mtime_ns for path in place.glob("out/training-*/adapter/*")}


def test_flags_and_overrides_make_settings_without_a_file() -> None:
    found = read_settings(None, ['data=[{"path": "a.jsonl"}]', "verifier.loss=soft", "out=x"])
    assert (found.data[0].path, found.verifier.loss, found.out) == ("a.jsonl", "soft", Path("x"))
    with pytest.raises(RecipeError, match="lossy"):
        read_settings(None, ['data=[{"path": "a.jsonl"}]', "verifier.lossy=soft"])
    with pytest.raises(RecipeError, match="data"):
        read_settings(None, ["out=x"])


def test_processbench_prmbench_and_steps_are_measured(place: Path, verifier: Path) -> None:
    bench = place / "bench"
    bench.mkdir()
    for name in ("gsm8k", "math"):
        items = [
            {"id": f"{name}-{i}", "generator": "m", "problem": row["prompt"], "steps": row["completions"]}
            | {"final_answer_correct": not i % 2, "label": 1 if i % 2 else -1}
            for i, row in enumerate(rows(10))
        ]
        (bench / f"{name}.json").write_text(json.dumps(items))
    out = place / "figures" / "processbench.json"
    arguments = [
        "eval",
        str(verifier),
        "--benchmark",
        "processbench",
        "--data",
        str(bench),
        "--json",
        str(out),
    ]
    done = RUNNER.invoke(app, arguments)
    assert done.exit_code == 0, done.output
    found = json.loads(out.read_text())
    assert set(found["subsets"]) == {"gsm8k", "math"}
    f1s = [found["subsets"][name]["f1"]["value"] for name in ("gsm8k", "math")]
    assert found["mean_f1"]["value"] == pytest.approx(sum(f1s) / 2, abs=1e-5)
    assert found["cost"]["chains"] == 20
    assert found["cost"]["tokens_per_chain"] > 10
    assert found["threshold"] == read_package(verifier).calibration.threshold
    assert out.with_suffix(".reliability.svg").read_text().startswith("<svg")
    assert "mean_f1" in done.output
    for name in ("auroc", "brier", "ece"):
        assert name in found["scorers"]["verifier"]

    refit = prove(verifier, "steps", str(place / "steps.jsonl"), fit=str(place / "first.jsonl"), show=len)
    assert refit["fitted_on"].endswith("first.jsonl")
    assert refit["n_chains"] == 40

    write(
        place / "prmbench.jsonl",
        [
            {"idx": i, "modified_question": row["prompt"], "modified_process": row["completions"]}
            | {"error_steps": [2] if i % 2 else [], "classification": "circular"}
            for i, row in enumerate(rows(6))
        ],
    )
    figures = prove(verifier, "prmbench", str(place / "prmbench.jsonl"), show=len)
    assert figures["total"]["n_chains"] == 6


def test_best_of_n_takes_scored_and_unscored_candidates(place: Path, verifier: Path) -> None:
    items = [
        {"question": f"Q{i}", "steps": row["completions"], "answer": "5" if i % 2 else "4", "reference": "4"}
        for i, row in enumerate(rows(8))
    ]
    scored = [
        {"question": "S", "scores": [0.9], "answer": "1", "correct": True},
        {"question": "S", "scores": [0.2], "answer": "2", "correct": False},
    ]
    write(place / "candidates.jsonl", [item | {"question": "Q"} for item in items] + scored)
    found = prove(verifier, "best_of_n", str(place / "candidates.jsonl"), show=len)["best_of_n"]
    assert found["n"] == 8
    assert found["pass_at_1"] == pytest.approx(0.5)
    assert found["curves"]["verifier"]["min"]["2"]["value"] > 0.5
    assert "weighted_majority" in found["curves"]["verifier"]


def test_every_perturbation_is_in_the_table(place: Path, verifier: Path) -> None:
    lines: list[str] = []
    found = prove(verifier, "adversarial", str(place / "steps.jsonl"), limit=12, show=lines.append)
    assert set(found["perturbations"]) == set(PERTURBATIONS)
    assert any("mean_move" in line for line in lines)


def test_what_cannot_be_measured_is_refused_with_advice(verifier: Path) -> None:
    with pytest.raises(DataError, match="expected a benchmark out of"):
        prove(verifier, "mmlu", "x")
    with pytest.raises(DataError, match="expected --data"):
        prove(verifier, "steps", "")


@pytest.mark.slow
def test_two_processes_train_as_one_does(place: Path, tmp_path: Path) -> None:
    """The same chains an optimiser step, so the same losses, whether one process or two compute them."""
    alike = [row | {"prompt": "How many 1?"} | {"labels": row["labels"]} for row in rows(32)]
    write(tmp_path / "alike.jsonl", [row | {"prompt": f"How many {i:02d}?"} for i, row in enumerate(alike)])
    base = ["verifier.base=" + str(place / "base"), f'data=[{{"path": "{tmp_path}/alike.jsonl"}}]', "gpus=0"]
    base += ["verifier.epochs=2", "verifier.batch_size=8", "verifier.precision=float32"]
    base += ["verifier.evaluations=1", "verifier.lora.r=4"]
    curves = []
    for count in (1, 2):
        out = tmp_path / str(count)
        together = ["-m", "torch.distributed.run", "--nproc-per-node", str(count)] if count > 1 else []
        command = [sys.executable, *together, "-m", "distill.cli", "train", *base, f"out={out}"]
        env = os.environ | {"OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
        assert done.returncode == 0, done.stdout + done.stderr[-3000:]
        training = json.loads((out / "train.json").read_text())["training"]
        assert training["processes"] == count
        curves.append([point["loss"] for point in training["curve"] if "loss" in point])
    assert curves[0] == pytest.approx(curves[1], rel=1e-3)
