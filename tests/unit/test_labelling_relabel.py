"""`distill relabel` and `distill review import` on a run folder that holds evidence; no teacher anywhere."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import object_store
import pytest
from labelling_simulator import gather, make_chain, make_settings, perfect
from typer.testing import CliRunner

from distill.artifacts import RunFolder, read_records
from distill.cli import app
from distill.config import Recipe
from distill.errors import ArtifactError, DataError, RecipeError
from distill.labelling.evidence import check_events
from distill.loading import file_digest, load_recipe
from distill.memory import MemoryWatch
from distill.pipeline import stage_fingerprints
from distill.progress import ProgressView
from distill.records import LabelledChain, Outcome, Problem
from distill.relabel import import_reviews, relabel
from distill.remote import RemotePath
from distill.stages.labels import derive, label_all, label_stats
from distill.stages.run import Run

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
    stats = label_stats(labelled) | {
        "labelling": settings.model_dump(mode="json"),
        "made_from": dict.fromkeys(STAGES[:-1], "f"),
    }
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


def test_relabelling_to_a_fixed_k_claims_nothing_of_rollouts_that_were_not_drawn(run: Path) -> None:
    """The sequential test drew one or two rollouts a step: no K=4 behind them."""
    (wrong, _) = stored(run / "labels" / "shard-00000.parquet")
    assert [(label.successes, label.failures) for label in wrong.labels] == [(0, 0), (1, 0), (0, 2), (0, 0)]

    def first_errors(*overrides: str) -> list[int | None]:
        found = relabel(run, ["labelling.method=math_shepherd", *overrides])
        return [row.first_error for row in stored(found["path"])]

    assert first_errors() == [None, -1]
    assert first_errors("labelling.good_at=0.9") == [None, -1]
    assert first_errors("labelling.rollouts=2") == [2, -1]
    assert first_errors("labelling.rollouts=2", "labelling.count_outcome=false") == [2, None]


def test_relabel_refuses_what_is_not_labelling(run: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="found seed=1"):
        relabel(run, ["seed=1"])
    with pytest.raises(RecipeError, match="good_at"):
        relabel(run, ["labelling.good_at=2"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(ArtifactError, match="finished labels"):
        relabel(tmp_path / "empty", [])


@pytest.mark.parametrize("stage", STAGES[:-1])
def test_relabel_wants_what_the_labels_were_made_from(run: Path, stage: str) -> None:
    """Settings changed and the run killed: a stage below is new, or begun anew, and the labels are old."""
    with RunFolder.driver(run) as folder:
        folder.discard_stale(stage, "g")
        with pytest.raises(ArtifactError, match=f"found other or unfinished {stage} "):
            relabel(run, [])
        folder.commit_stage(stage, "g", {})
    with pytest.raises(ArtifactError, match=f"found other or unfinished {stage} "):
        relabel(run, [])


def test_checks_that_are_off_are_not_counted_as_used(run: Path) -> None:
    chain = make_chain(0, Outcome.INCORRECT, "wrong", ["a", "b"])
    verdict = SimpleNamespace(status="incorrect", reason="1 + 1 is 2", compared=None)
    events = check_events(chain, [verdict, verdict])
    parts = ([Problem("problem", "Q?", "1")], [chain], events)
    found = [label_all(*parts, make_settings(step_checks=on))[0].checks_used for on in (True, False)]
    assert found == [2, 0]


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


def answer(chain: str, step: int, reviewer: str = "Ada") -> str:
    return json.dumps({"chain_id": chain, "answer": step, "reviewer": reviewer}) + "\n"


def test_answers_on_a_store_are_read_and_count_by_what_they_hold(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "store").mkdir()
    object_store.use(tmp_path / "store", monkeypatch)
    place = RemotePath("plain://bucket/run/reviews.jsonl")
    with pytest.raises(RecipeError, match="expected a file at plain://bucket/run"):
        stage_fingerprints(Recipe.model_validate({"name": "x", "labelling": {"reviews": str(place)}}))
    place.put(answer("right", 1).encode())
    digest = file_digest(str(place))
    (tmp_path / "r.yaml").write_text(f"name: x\nlabelling: {{reviews: '{place}'}}\n")
    assert load_recipe(tmp_path / "r.yaml").labelling.reviews == str(place)
    found = relabel(run, [f"labelling.reviews={place}"])
    assert [row.first_error for row in stored(found["path"])] == [2, 1]
    place.put(answer("right", 0).encode())
    assert file_digest(str(place)) != digest


def test_answers_about_other_chains_are_left_out_counted_and_kept(run: Path, tmp_path: Path) -> None:
    reviews, answered = run / "reviews.jsonl", tmp_path / "answered.jsonl"
    reviews.write_text(answer("of an earlier run", 7))
    answered.write_text(answer("right", 1))
    import_reviews(run, answered)
    assert [json.loads(line)["chain_id"] for line in reviews.open()] == ["of an earlier run", "right"]
    found = relabel(run, [f"labelling.reviews={reviews}"])
    assert found["changed"] == 1
    assert found["after"]["reviews"] == {"used": 1, "of_other_chains": 1}
    with pytest.raises(DataError, match="line 1: expected a chain of this run"):
        import_reviews(run, reviews)
    reviews.write_text(answer("right", 9))
    with pytest.raises(DataError, match="line 1: expected answer"):
        relabel(run, [f"labelling.reviews={reviews}"])


def test_a_review_that_is_being_answered_is_kept_aside(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = Recipe.model_validate({"name": "x", "labelling": {"reviews": str(run / "reviews.jsonl")}})
    (run / "reviews.jsonl").write_text(answer("of an earlier run", 7))
    fingerprints = dict.fromkeys(stage_fingerprints(recipe), "f")

    def label_again() -> dict:
        with RunFolder.driver(run) as folder, MemoryWatch() as memory, ProgressView() as view:
            return derive(Run(recipe, folder, view, fingerprints, memory))

    stats = label_again()
    assert stats["made_from"] == dict.fromkeys(STAGES[:-1], "f")
    assert stats["reviews"] == {"used": 0, "of_other_chains": 1}
    (row, other) = map(json.loads, (run / "review.jsonl").open())
    assert (row["chain_id"], row["uncertainty"], row["answer"]) == ("right", 1.0, None)
    assert (other["chain_id"], other["answer"]) == ("wrong", None)
    begun = [answer("wrong", 1), json.dumps(row) + "\n" + answer("wrong", -1), "half a li"]
    for text in begun:
        label_again()
        (run / "review.jsonl").write_text(text)
    label_again()
    label_again()
    assert [(run / f"review-{n}.jsonl").read_text() for n in (1, 2, 3)] == begun
    assert not (run / "review-4.jsonl").exists()
    assert [json.loads(line) for line in (run / "review.jsonl").open()] == [row, other]
    mine = json.dumps(other | {"answer": 1, "reviewer": "me"}) + "\n"
    (run / "review.jsonl").write_text(mine)
    label_again()  # the same labels: what asks about them stays, with the rows that are answered
    assert (run / "review.jsonl").read_text() == mine
    told = "".join(capsys.readouterr().err.split())
    assert f"1answersin{run}/reviews.jsonlleftout" in told
    assert "review-3.jsonl" in told
