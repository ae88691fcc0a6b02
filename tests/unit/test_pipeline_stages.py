"""The loop over the stages: what is run, what is found finished, and how long all of it took."""

import json
import time
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import object_store
import pytest
from rich.console import Console

import distill.stages.clock as clock_module
from distill.artifacts import RunFolder
from distill.config import Recipe
from distill.errors import VerifierError
from distill.memory import MemoryWatch
from distill.pipeline import SECONDS, STAGES, Planned, Stage, _planned, run_stage
from distill.progress import ProgressView
from distill.report.page import cards
from distill.shipping import root_of
from distill.stages.evaluation import pass_rate
from distill.stages.run import Run
from distill.stages.summary import _headlines, print_summary
from distill.storage import locate, remove, write_bytes


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[RunFolder]:
    with RunFolder.driver(tmp_path) as folder:
        yield folder


def begin(folder: RunFolder, fingerprint: str = "A") -> Run:
    """A new command on the run in `folder`, whose one stage has this fingerprint."""
    return Run(Recipe(name="r"), folder, ProgressView(), {"x": fingerprint}, MemoryWatch())


def test_a_finished_stage_is_run_again_only_where_it_always_is(folder: RunFolder) -> None:
    """What it writes lies beside the stages' folders: of settings that came back, or deleted."""
    assert [stage.name for stage in STAGES if stage.always] == ["report"]
    ran: list[str] = []

    def work(run: Run) -> dict[str, Any]:
        ran.append(run.fingerprints["x"])
        return {}

    for always in (False, True):
        ran.clear()
        for fingerprint in ("A", "B", "A", "A"):
            run_stage(begin(folder, f"{fingerprint}{always}"), Stage("x", work, (), (), always=always))
        assert len(ran) == (4 if always else 2)


def test_what_was_made_from_a_stage_that_is_made_anew_is_made_anew(folder: RunFolder) -> None:
    """Its folder was deleted; under the same settings a training need not come out the same."""
    found, ran = iter((1, 1, 2)), list[str]()

    def first(run: Run) -> dict[str, Any]:
        return {"f1": next(found)}

    def second(run: Run) -> dict[str, Any]:
        ran.append("x")
        return {}

    stages = Stage("w", first, (), ()), Stage("x", second, ("w",), ())
    for times in (1, 1, 2):
        for stage in stages:
            prints = {"w": "A", "x": "A"}
            run_stage(Run(Recipe(name="r"), folder, ProgressView(), prints, MemoryWatch()), stage)
        assert len(ran) == times
        assert _planned(stages[1], "A", folder).state == "done"
        remove(folder.stage_path("w"))


def test_a_plan_tells_what_would_be_put_back(folder: RunFolder) -> None:
    stage = Stage("x", lambda run: {}, (), ())

    def states() -> list[str]:
        return [_planned(stage, fingerprint, folder).state for fingerprint in ("A", "B", "C")]

    assert states() == ["to do"] * 3
    for fingerprint in ("A", "B"):
        run_stage(begin(folder, fingerprint), stage)
    assert states() == ["kept, will be put back", "done", "to be redone (settings changed)"]
    assert Planned(stage, "A", False, 0, False, False).state == "to do"


@pytest.mark.parametrize(
    ("outcomes", "rate", "told"),
    [
        ({"correct": 6, "incorrect": 2, "undecided": 4}, 0.75, "75.0 (4 undecided chains left out)"),
        ({"correct": 6, "incorrect": 2}, 0.75, "75.0"),
        ({"undecided": 4}, None, None),
    ],
)
@pytest.mark.parametrize("given", [False, True])
def test_undecided_chains_are_not_wrong_ones(
    outcomes: dict[str, int], rate: float | None, told: str | None, given: bool
) -> None:
    found = pass_rate(outcomes, given)
    assert found["pass_rate"] == rate
    summary = found | {"teacher_tokens": 1, "wall_seconds": 2.0, "peak_rss_gib": 0.5}
    rows = dict(_headlines(summary | {"best_of_n": {"n": 4, "verifier_4": 0.5}}))
    assert rows.get("right among the given chains" if given else "pass@1 of the teacher") == told
    assert ("pass@1 of the teacher" in rows) == (told is not None and not given)
    assert rows["best-of-n on held-out problems: verifier_4"] == "50.0"
    words = [(card.title, card.note) for card in cards(found)]
    undecided = "; 4 undecided left out" if "undecided" in outcomes else ""
    title = "Given chains that are right" if given else "Teacher's pass rate"
    assert words == ([(title, f"chains that answer right{undecided}")] if rate else [])


@pytest.mark.parametrize("judged", [0, 7, 9])
def test_a_run_whose_steps_nobody_judged_says_so(tmp_path: Path, judged: int) -> None:
    """Answers of people's problems are known, their steps are not: no table without a figure in it. Chains
    that are judged have no F1 where all are of one kind (7 here): that is no reason to say so."""
    figures = {"f1": {"value": 0.8, "low": 0.7, "high": 0.9}, "auroc": 0.9} if judged == 9 else {}
    evaluation = {"n_judged": judged, "scorers": {"hybrid": {"threshold": 0.5} | figures}}
    summary = {
        "recipe": {"name": "r"}, "evaluation": evaluation,
        "teacher_tokens": 1, "wall_seconds": 2.0, "peak_rss_gib": 0.5,
    }  # fmt: skip
    (tmp_path / "summary.json").write_text(json.dumps(summary))
    console = Console(record=True, width=110, file=StringIO())
    print_summary(tmp_path, console)
    text = console.export_text()
    assert ("80.0" in text) == (judged == 9)
    assert ("hybrid" in text) == bool(judged)
    assert ("nobody judged the steps" in text) == (not judged)


def test_a_verifier_on_a_store_is_traced_to_its_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is copied: a copy of the verifier's folder alone has nothing above it."""
    object_store.use(tmp_path, monkeypatch)
    run = "plain://bucket/runs/r"
    write_bytes(locate(f"{run}/verifier/manifest.json"), b"{}")
    for below in ("", "/verifier", "/export/verifier"):
        assert str(root_of(run + below)) == run
    for other in ("plain://bucket", "plain://bucket/runs/other", "plain://bucket/x/y/z/v"):
        with pytest.raises(VerifierError, match="cannot be exported anew"):
            root_of(other)


def test_the_time_of_commands_that_were_cut_short_counts(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, takes = [0.0], [100.0, 50.0]
    monkeypatch.setattr(clock_module, "monotonic", lambda: now[0])

    def work(run: Run) -> dict[str, Any]:
        now[0] += takes.pop(0)
        if takes:
            raise KeyboardInterrupt
        return {}

    stage = Stage("x", work, (), ())
    with pytest.raises(KeyboardInterrupt):
        run_stage(begin(folder), stage)
    run_stage(begin(folder), stage)
    assert begin(folder).stats("x")["seconds"] == 150.0
    assert not (folder.path / SECONDS).exists()


def test_the_time_so_far_is_kept_while_a_stage_runs(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A driver that is killed writes nothing any more."""
    monkeypatch.setattr(clock_module, "KEEP_SECONDS", 0.01)
    kept = folder.path / SECONDS

    def work(run: Run) -> dict[str, Any]:
        deadline = time.monotonic() + 60
        while not kept.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert json.loads(kept.read_text())["x A"] > 0
        return {}

    run_stage(begin(folder), Stage("x", work, (), ()))
    assert not kept.exists()
