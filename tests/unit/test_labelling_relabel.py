"""`distill relabel` and `distill review import` on a run folder that holds evidence; no teacher anywhere."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from labelling_simulator import gather, make_chain, make_settings, perfect
from typer.testing import CliRunner

from distill.artifacts import RunFolder, read_records
from distill.cli import app
from distill.errors import ArtifactError, DataError, RecipeError
from distill.records import LabelledChain, Outcome, Problem
from distill.relabel import import_reviews, relabel
from distill.stages.labels import label_all, label_stats

STAGES = ("problems", "chains", "evidence", "labels")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A finished labels stage: one wrong chain whose first error is step 2, one right chain beside it."""
    settings = make_settings()
    chains = [
        replace(make_chain(0, Outcome.INCORRECT, "wrong", ["a", "b", "x", "y"]), generator="g"),
        make_chain(0, Outcome.CORRECT, "right", ["a", "c"]),
    ]
    problems = [Problem("problem", "Q?", "1")]
    events = gather(settings, chains, perfect(2)).events
    labelled = label_all(problems, chains, events, settings)
    assert [row.first_error for row in labelled] == [2, -1]
    stats = label_stats(labelled) | {"labelling": settings.model_dump(mode="json")}
    with RunFolder.driver(tmp_path / "run") as folder:
        for stage, records in zip(STAGES, (problems, chains, events, labelled), strict=True):
            folder.commit_shard(stage, 0, records, {}, "f")
            folder.commit_stage(stage, "f", stats if stage == "labels" else {})
    return tmp_path / "run"


def stored(path: str | Path) -> list[LabelledChain]:
    return read_records(path, LabelledChain)


def test_labels_keep_their_evidence(run: Path) -> None:
    (wrong, _) = stored(run / "labels" / "shard-00000.parquet")
    probed = wrong.labels[2]
    assert (probed.successes, probed.tokens) == (0, 7 * probed.failures)  # the wrong answer is no trial
    assert (probed.seeds, probed.completer) == ((1,), "simulated")
    assert "sequential test of p <=" in probed.stopping_rule
    assert probed.high < 1


def test_other_thresholds_cost_nothing_and_claim_no_more(run: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in run.glob("*/*.parquet")}
    found = relabel(run, ["labelling.adaptive.false_negative=0.001"])
    assert (found["changed"], [row.first_error for row in stored(found["path"])]) == (1, [None, -1])
    same = relabel(run, [])
    assert (same["changed"], stored(same["path"])) == (0, stored(run / "labels" / "shard-00000.parquet"))
    assert before == {path: path.stat().st_mtime_ns for path in before}
    again = relabel(run, ["labelling.method=math_shepherd", "labelling.good_at=0.9"])
    assert [row.first_error for row in stored(again["path"])] != []


def test_relabel_refuses_what_is_not_labelling(run: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="found seed=1"):
        relabel(run, ["seed=1"])
    with pytest.raises(RecipeError, match="good_at"):
        relabel(run, ["labelling.good_at=2"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(ArtifactError, match="finished labels"):
        relabel(tmp_path / "empty", [])


def test_people_s_answers_come_back_with_their_provenance(run: Path, tmp_path: Path) -> None:
    answered = tmp_path / "answered.jsonl"
    answered.write_text(json.dumps({"chain_id": "right", "answer": 1, "reviewer": "Ada"}) + "\n")
    target, count = import_reviews(run, answered)
    assert count == 1
    answered.write_text(json.dumps({"chain_id": "wrong", "answer": 0, "reviewer": "Bo"}) + "\n")
    import_reviews(run, answered)
    rows = {row["chain_id"]: row for row in map(json.loads, target.read_text().splitlines())}
    assert {key: row["reviewer"] for key, row in rows.items()} == {"right": "Ada", "wrong": "Bo"}
    assert "answered.jsonl (sha256 " in rows["wrong"]["file"]
    labels = stored(relabel(run, [f"labelling.reviews={target}"])["path"])
    assert [row.first_error for row in labels] == [0, 1]
    assert labels[0].labels[0].review.startswith("Bo, 20")
    answered.write_text(json.dumps({"chain_id": "gone", "answer": 0, "reviewer": "Bo"}) + "\n")
    with pytest.raises(DataError, match="line 1"):
        import_reviews(run, answered)


def test_both_commands(run: Path, tmp_path: Path) -> None:
    answered = tmp_path / "answered.jsonl"
    answered.write_text(json.dumps({"chain_id": "right", "answer": 1, "reviewer": "Ada"}) + "\n")
    runner = CliRunner()
    imported = runner.invoke(app, ["review", "import", str(run), str(answered)])
    assert (imported.exit_code, "1 answers merged" in imported.output) == (0, True)
    derived = runner.invoke(app, ["relabel", str(run), f"labelling.reviews={run / 'reviews.jsonl'}"])
    assert (derived.exit_code, "1 of 2 first errors changed" in derived.output) == (0, True)
