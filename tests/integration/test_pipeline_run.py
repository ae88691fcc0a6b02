"""From problems to a verifier and a report: what a run leaves behind, and what a second one redoes."""

import json
import math
from pathlib import Path
from typing import Any

import datasets
import pytest
from conftest import Finished
from pipeline_runs import STAGES, Ran, descendants, distill, identities, rows, started, wait_for

from distill.shipping import open_trained

KEYS = [
    "wall_seconds", "peak_rss_gib", "teacher_tokens", "pass_rate", "label_first_error_accuracy",
    "verifier.f1_full", "verifier.f1_4bit", "hybrid.f1", "baselines.step_logprob.f1", "baselines.checker.f1",
    "baselines.checker_logprob.f1", "best_of_n.pass_at_1", "best_of_n.majority_8", "best_of_n.verifier_8",
    "best_of_n.oracle_8", "training.curve", "training.cut_chains", "training.truncated_steps",
    "verifier.truncated_steps", "versions.torch", "recipe.fingerprint", "hardware.cores",
]  # fmt: skip
FRACTIONS = [*(key for key in KEYS if ".f1" in key or "best_of_n" in key), "pass_rate"]


@pytest.fixture(scope="module")
def summary(finished: Finished) -> dict[str, Any]:
    return json.loads((finished.folder / "summary.json").read_text(encoding="utf-8"))


def figure(summary: dict[str, Any], key: str) -> Any:
    found: Any = summary
    for part in key.split("."):
        found = found[part]
    return found


def test_the_run_folder_is_whole(finished: Finished) -> None:
    names = {path.name for path in finished.folder.iterdir()}
    assert names == {*STAGES, ".lock", "recipe.yaml", "report.html", "review.jsonl", "summary.json"}
    for stage in STAGES:
        manifest = json.loads((finished.folder / stage / "manifest.json").read_text())
        assert manifest["stage"] == stage
        assert manifest["stats"]["seconds"] >= 0
    assert len(rows(finished.folder, "chains")) == 48
    assert not [path for path in finished.folder.rglob("*") if ".tmp-" in path.name]


def test_the_summary_holds_every_figure(summary: dict[str, Any]) -> None:
    for key in KEYS:
        figure(summary, key)
    outside = {key: found for key in FRACTIONS if not 0 <= (found := figure(summary, key)) <= 1}
    assert not outside
    assert summary["label_first_error_accuracy"] > 0.8
    assert 0.2 < summary["pass_rate"] < 0.9
    assert summary["teacher_tokens"] == sum(summary["teacher_token_use"].values()) > 0
    assert [row["name"] for row in summary["stages"]] == [*STAGES[:-1]]


def test_the_end_is_a_table_and_where_to_look(finished: Finished) -> None:
    shown = ("verifier_4bit", "hybrid", "checker_logprob", "pass@1", "report.html", "export/verifier")
    assert not [word for word in shown if word not in finished.ran.out]
    assert all(f"{stage}: done" in finished.ran.err for stage in ("chains", "evidence", "evaluation"))


def test_the_report_needs_no_network(finished: Finished) -> None:
    page = (finished.folder / "report.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert not [found for found in ('src="http', 'href="http', "url(http", "@import") if found in page]


def test_the_dataset_loads(finished: Finished) -> None:
    hub = finished.folder / "dataset" / "hub"
    found = datasets.load_from_disk(str(hub))
    assert set(found) == {"train", "validation"}
    built = rows(finished.folder, "dataset")
    assert found["train"].num_rows + found["validation"].num_rows == len(built)
    questions = {split: set(found[split]["question"]) for split in found}
    assert not questions["train"] & questions["validation"]
    assert datasets.load_dataset(str(hub), split="validation").num_rows == found["validation"].num_rows
    assert "world" in (hub / "README.md").read_text(encoding="utf-8")


REWRITTEN = {".lock", "recipe.yaml", "report.html", "summary.json", "report/manifest.json"}


def test_a_finished_run_answers_at_once_and_changes_nothing(finished: Finished) -> None:
    """The report is written again, for what was deleted of it or is of other settings; it says the same."""
    before, page = identities(finished.folder, "**/*"), (finished.folder / "report.html").read_text()
    (finished.folder / "summary.json").unlink()
    again = distill("run", "recipe.yaml", cwd=finished.place)
    assert again.code == 0
    assert again.seconds < 15
    assert "Ray" not in again.err
    told = [line for line in again.err.splitlines() if "finished already" in line]
    assert told == [f"{s}: finished already" for s in STAGES[:-1]]
    assert again.out == finished.ran.out
    after = identities(finished.folder, "**/*")
    assert after.keys() == before.keys()
    assert {name for name in after if after[name] != before[name]} <= REWRITTEN
    assert (finished.folder / "report.html").read_text() == page


def test_settings_that_come_back_have_their_own_report(finished: Finished, tmp_path: Path) -> None:
    folder = finished.copy(tmp_path)
    questions = (folder / "review.jsonl").read_text()
    for bootstrap in (20, 50):
        (folder / "review.jsonl").write_text("")  # as labels under other settings would have left it
        arguments = ("run", "recipe.yaml", f"runs={tmp_path}", f"evaluation.bootstrap={bootstrap}")
        ran = distill(*arguments, "price.per_hour=3600", cwd=finished.place)
        assert ran.code == 0, ran.text
        assert f"evaluation: {'done' if bootstrap == 20 else 'finished already'}" in ran.err
        summary = json.loads((folder / "summary.json").read_text())
        assert summary["money"] == pytest.approx(summary["wall_seconds"])
        for text in (summary["recipe"]["yaml"], (folder / "recipe.yaml").read_text()):
            assert f"bootstrap: {bootstrap}" in text
        assert (folder / "review.jsonl").read_text() == questions


def test_a_verifier_is_exported_by_the_settings_that_it_was_trained_under(
    finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever was run there later, and where the recipe's files are not."""
    folder = finished.copy(tmp_path)
    (folder / "recipe.yaml").write_text("name: another")
    monkeypatch.chdir(tmp_path)
    for place in (folder, folder / "export" / "verifier", folder / "verifier"):
        with open_trained(str(place), None, print) as trained:
            assert (trained.settings.base, trained.settings.lora.r) == ("base", 4)
            assert trained.provenance["recipe"] == "world"
            assert trained.heldout


def test_inspect_shows_stages_and_chains(finished: Finished) -> None:
    shown = distill("inspect", "runs/world", "--chains", "3", cwd=finished.place)
    assert shown.code == 0
    assert all(stage in shown.out for stage in STAGES)
    assert shown.out.count("(answer ") == 3


def test_plan_tells_what_would_be_redone(finished: Finished) -> None:
    done = distill("plan", "recipe.yaml", cwd=finished.place)
    assert done.out.count(" done ") == len(STAGES)
    changed = distill("plan", "recipe.yaml", "labelling.good_at=0.4", cwd=finished.place)
    redone = [line.split()[1] for line in changed.out.splitlines() if "to be redone" in line]
    assert tuple(redone) == STAGES[STAGES.index("labels") :]
    absent = distill("plan", "recipe.yaml", "name=another", cwd=finished.place)
    assert absent.out.count(" to do ") == len(STAGES)


CHAINS = [
    {"question": "Add 3 and 4.", "steps": ["3 + 4 = 7", "Answer: 7"], "id": "räight"},
    {"problem": "Add 3 and 4.", "steps": "3 + 4 = 8\nAnswer: 8\n"},
]


@pytest.mark.parametrize("way", ["stdin", "no-checks"])
def test_score(finished: Finished, tmp_path: Path, way: str) -> None:
    lines = "".join(json.dumps(chain) + "\n" for chain in CHAINS)
    (tmp_path / "chains.jsonl").write_text(lines)
    file = "-" if way == "stdin" else tmp_path / "chains.jsonl"
    options = ["--no-checks"] if way == "no-checks" else []
    verifier = finished.folder / "export" / "verifier"
    scored = distill("score", verifier, file, *options, cwd=tmp_path, given=lines)
    assert scored.code == 0, scored.text
    found = [json.loads(line) for line in scored.out.splitlines()]
    assert found[0]["id"] == "räight"
    assert [row["steps"] for row in found] == [["3 + 4 = 7", "Answer: 7"], ["3 + 4 = 8", "Answer: 8"]]
    assert all(0 <= score <= 1 for row in found for score in row["scores"])
    assert all(math.isfinite(row["threshold"]) for row in found)
    if way != "no-checks":
        assert "3 + 4" in found[1]["refuted"][0]
        assert found[0]["refuted"] == ["", ""]


@pytest.fixture(scope="module")
def relabelled(finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict, Ran]:
    """Another threshold of labels on a copy of the run; its training process is killed once."""
    runs = tmp_path_factory.mktemp("relabelled")
    folder = finished.copy(runs)
    before = identities(folder)
    arguments = ("run", "recipe.yaml", f"runs={runs}", "labelling.good_at=0.4")
    arguments += ("verifier.compare_full_precision=false",)
    with started(*arguments, cwd=finished.place, output=runs / "output.txt") as process:
        training = wait_for(lambda: descendants(process, "ray::_train_task"), process)
        assert training, (runs / "output.txt").read_text()
        training[0].kill()
        code = process.wait()
    return folder, before, Ran(code, (runs / "output.txt").read_text(), "", 0)


def test_another_threshold_redoes_the_labels_and_what_follows(relabelled: tuple[Path, dict, Ran]) -> None:
    folder, before, ran = relabelled
    assert ran.code == 0, ran.text
    kept = STAGES[: STAGES.index("labels")]
    after = identities(folder)
    assert {k: v for k, v in after.items() if k.split("/")[0] in kept} == {
        k: v for k, v in before.items() if k.split("/")[0] in kept
    }
    assert not set(after.items()) & {(k, v) for k, v in before.items() if k.split("/")[0] not in kept}
    summary = json.loads((folder / "summary.json").read_text())
    assert "good_at: 0.4" in summary["recipe"]["yaml"]


def test_a_killed_training_process_is_replaced(relabelled: tuple[Path, dict, Ran]) -> None:
    folder, _, ran = relabelled
    assert ran.code == 0, ran.text
    assert (folder / "verifier" / "nf4" / "training.json").exists()
    assert "Traceback" not in ran.text
