"""Two runs of one recipe with one seed: the same labels, however the work is spread."""

from pathlib import Path

from conftest import Finished
from pipeline_runs import LABELLED, distill, rows


def test_another_run_on_two_workers_gives_the_same_labels(finished: Finished, tmp_path: Path) -> None:
    ran = distill(
        "pilot", "recipe.yaml", "--sample", "24", f"runs={tmp_path}", "teacher.replicas=2", cwd=finished.place
    )
    assert ran.code == 0, ran.text
    for stage in LABELLED:
        assert rows(tmp_path / "world-pilot", stage) == rows(finished.folder, stage), stage
    assert "pass rate of the teacher" in ran.out
    assert "full run: teacher tokens" in ran.out
