"""The loop over the stages: what is run, what is found finished, and how long all of it took."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from distill.artifacts import RunFolder
from distill.config import Recipe
from distill.memory import MemoryWatch
from distill.pipeline import STAGES, Stage, run_stage
from distill.progress import ProgressView
from distill.stages.run import Run


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
