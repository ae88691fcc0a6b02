"""The whole pipeline on an object store without rename: killed, given again, and read by every command."""

import json

import object_store
import psutil
import pytest
from conftest import Finished
from pipeline_runs import RECORDS, Ran, descendants, distill, rows, started, wait_for

from distill.artifacts import RunFolder
from distill.records import LabelledChain
from distill.remote import RemotePath
from distill.storage import local_copy

pytestmark = pytest.mark.slow

URL = "plain://bucket/runs"
ARGUMENTS = ("recipe.yaml", "verifier.compare_full_precision=false", f"runs={URL}")


@pytest.fixture(scope="module")
def patch() -> pytest.MonkeyPatch:
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture(scope="module")
def resumed(finished: Finished, tmp_path_factory: pytest.TempPathFactory, patch: pytest.MonkeyPatch) -> Ran:
    """The run of `finished` on a store: driver and workers killed after a shard of evidence, then again."""
    folder = tmp_path_factory.mktemp("store")
    object_store.use(folder, patch)
    output = folder / "output.txt"
    with started("run", *ARGUMENTS, cwd=finished.place, output=output) as process:
        shards = RemotePath(f"{URL}/world/evidence")
        assert wait_for(lambda: list(shards.glob("shard-*")), process), output.read_text()
        below = [child for child in descendants(process) if not child.name().endswith("Agent")]
        process.kill()
    psutil.wait_procs(below, timeout=60)
    ran = distill("run", *ARGUMENTS, cwd=finished.place)
    assert ran.code == 0, ran.text
    return ran


def test_a_killed_run_on_a_store_ends_as_one_on_a_disk(finished: Finished, resumed: Ran) -> None:
    for words in ("chains: finished already", "waiting", f"report    {URL}/world/report.html"):
        assert words in resumed.text
    with local_copy(RemotePath(f"{URL}/world")) as folder:
        for stage in RECORDS:
            assert rows(folder, stage) == rows(finished.folder, stage), stage
        assert (folder / "report.html").stat().st_size > 50_000
        assert (folder / "dataset" / "hub" / "README.md").exists()
        assert not [name for name in RemotePath(f"{URL}/world").files() if name.startswith(".")]


def test_commands_read_a_run_on_a_store(finished: Finished, resumed: Ran) -> None:
    plan = distill("plan", *ARGUMENTS, cwd=finished.place)
    assert plan.out.count("done") == 11, plan.text
    inspected = distill("inspect", f"{URL}/world", cwd=finished.place)
    assert inspected.code == 0, inspected.text
    assert "evidence" in inspected.out
    (row,) = RunFolder.reader(f"{URL}/world").read("labels", LabelledChain)[:1]
    line = json.dumps({"question": row.problem.question, "steps": row.chain.steps})
    scored = distill("score", f"{URL}/world/export/verifier", cwd=finished.place, given=line)
    assert scored.code == 0, scored.text
    assert len(json.loads(scored.out)["scores"]) == len(row.chain.steps)
