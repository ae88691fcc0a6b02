"""The run folder: what counts as finished, what changed settings move away, and who may write."""

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from distill.artifacts import RunFolder, read_records, write_bytes
from distill.errors import ArtifactError
from distill.records import SCHEMA_VERSION, Usage


@pytest.fixture
def run_path(tmp_path: Path) -> Path:
    return tmp_path / "runs of Zoë" / "käse 100% [x]"


@pytest.fixture
def run(run_path: Path) -> RunFolder:
    return RunFolder.writer(run_path)


def fill(run: RunFolder, fingerprint: str, shards: int = 2, stage: str = "chains") -> None:
    for index in range(shards):
        run.commit_shard(stage, index, records_of(index, fingerprint), {"out": index + 1}, fingerprint)


def records_of(index: int, fingerprint: str) -> list[Usage]:
    return [Usage(index, len(fingerprint), i) for i in range(index + 1)]


def test_a_stage_is_done_only_after_its_manifest(run: RunFolder) -> None:
    assert run.finished_shards("chains", "A") == {}
    fill(run, "A")
    assert run.finished_shards("chains", "A") == {0: {"out": 1}, 1: {"out": 2}}
    assert not run.is_done("chains", "A")
    run.commit_stage("chains", "A", {"seconds": 1.5})
    assert run.is_done("chains", "A")
    manifest = run.manifest("chains")
    assert manifest is not None
    assert (manifest.shards, manifest.rows, manifest.stats) == (2, 3, {"seconds": 1.5})
    stored = [read_records(path, Usage) for path in run.shards("chains")]
    assert stored == [records_of(0, "A"), records_of(1, "A")]
    assert run.rows("chains", 1) == 2


def test_another_fingerprint_is_neither_done_nor_finished(run: RunFolder) -> None:
    fill(run, "A")
    run.commit_stage("chains", "A", {})
    assert not run.is_done("chains", "B")
    assert run.finished_shards("chains", "B") == {}
    assert run.is_stale("chains", "B")
    assert not run.is_stale("chains", "A")
    assert not run.is_stale("labels", "B")


def test_a_deleted_shard_reopens_its_stage_and_nothing_else(run: RunFolder) -> None:
    fill(run, "A", shards=3)
    run.commit_stage("chains", "A", {})
    run.shard_path("chains", 1).unlink()
    assert not run.is_done("chains", "A")
    assert set(run.finished_shards("chains", "A")) == {0, 2}
    with pytest.raises(ArtifactError, match="not whole"):
        run.commit_stage("chains", "A", {})


def test_shards_come_in_order_of_index_past_the_padding(run: RunFolder) -> None:
    for index in (100000, 2, 99999):
        run.commit_shard("chains", index, [Usage(index)], {}, "A")
    assert [read_records(p, Usage)[0].prompt_tokens for p in run.shards("chains")] == [2, 99999, 100000]


def test_changed_settings_move_this_stage_away_and_leave_the_others(run: RunFolder) -> None:
    for stage in ("chains", "labels"):
        fill(run, "A", stage=stage)
        run.commit_stage(stage, "A", {})
    run.discard_stale("labels", "B")
    assert run.shards("labels") == []
    assert run.manifest("labels") is None
    assert not run.is_stale("labels", "B")
    assert run.is_done("chains", "A")


def test_an_unfinished_stage_of_other_settings_is_moved_too(run: RunFolder) -> None:
    fill(run, "A", shards=1)
    run.discard_stale("chains", "B")
    assert run.shards("chains") == []


def test_discarding_keeps_what_these_settings_made(run: RunFolder) -> None:
    fill(run, "A", shards=3)
    run.commit_shard("chains", 1, [Usage(9)], {}, "B")  # a worker of the old settings outlived its driver
    with pytest.raises(ArtifactError, match="another run"):
        run.commit_stage("chains", "A", {})
    run.discard_stale("chains", "A")
    assert set(run.finished_shards("chains", "A")) == {0, 2}


def test_settings_changed_back_find_their_work_again(run: RunFolder) -> None:
    fill(run, "A")
    run.commit_stage("chains", "A", {"n": 1})
    run.discard_stale("chains", "B")
    fill(run, "B", shards=1)  # B never finishes
    run.discard_stale("chains", "A")
    assert run.is_done("chains", "A")
    assert [len(read_records(path, Usage)) for path in run.shards("chains")] == [1, 2]
    run.discard_stale("chains", "B")
    assert set(run.finished_shards("chains", "B")) == {0}


def test_a_damaged_shard_is_unfinished_and_cleared(run: RunFolder) -> None:
    fill(run, "A")
    path = run.shard_path("chains", 0)
    path.write_bytes(path.read_bytes()[:-3])
    assert set(run.finished_shards("chains", "A")) == {1}
    run.discard_stale("chains", "A")
    assert not path.exists()


def test_a_stage_folder_appears_whole_and_replaces_the_old_one(run: RunFolder) -> None:
    for word in ("one", "two"):
        with run.stage_folder("dataset", "A") as folder:
            (folder / "train é").mkdir()
            (folder / "train é" / f"{word}.txt").write_text(word)
            assert not list(run.stage_path("dataset").glob(f"*/{word}.txt"))
        assert not run.is_done("dataset", "A")
        run.commit_stage("dataset", "A", {})
        assert run.is_done("dataset", "A")
    assert [path.name for path in (run.stage_path("dataset") / "train é").iterdir()] == ["two.txt"]
    assert [path.name for path in run.path.iterdir()] == ["dataset"]


def test_a_failing_stage_folder_leaves_nothing_and_keeps_its_own_error(run: RunFolder) -> None:
    def build() -> None:
        with run.stage_folder("dataset", "A") as folder:
            (folder / "half.txt").write_text("x")
            (folder / "no such folder" / "file").read_text()

    with pytest.raises(FileNotFoundError):
        build()
    assert list(run.path.iterdir()) == []


def test_a_resumable_stage_folder_is_found_again_under_its_own_settings_only(run: RunFolder) -> None:
    def begin(fingerprint: str) -> list[str]:
        found: list[str] = []
        with suppress(KeyboardInterrupt), run.stage_folder("verifier", fingerprint, resume=True) as folder:
            found += sorted(path.name for path in folder.iterdir())
            (folder / "checkpoint-1").mkdir(exist_ok=True)
            raise KeyboardInterrupt
        return found

    assert begin("A") == []
    RunFolder.driver(run.path).close()
    run.discard_stale("verifier", "A")
    assert begin("A") == ["checkpoint-1"]
    run.discard_stale("verifier", "B")
    assert begin("B") == []
    assert begin("A") == []


def test_a_changed_folder_stage_is_put_back_whole(run: RunFolder) -> None:
    for fingerprint in ("A", "B"):
        run.discard_stale("dataset", fingerprint)
        with run.stage_folder("dataset", fingerprint) as folder:
            (folder / "data").write_text(fingerprint)
        if fingerprint == "A":
            run.commit_stage("dataset", "A", {})  # and B is killed just before its manifest
    run.discard_stale("dataset", "A")
    assert run.is_done("dataset", "A")
    assert (run.stage_path("dataset") / "data").read_text() == "A"


@pytest.mark.parametrize("version", [SCHEMA_VERSION - 1, SCHEMA_VERSION + 1])
def test_a_run_of_another_schema_says_what_to_do(run: RunFolder, version: int) -> None:
    run.commit_stage("chains", "A", {})
    path = run.stage_path("chains") / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema": version}))
    for ask in (run.is_done, run.is_stale, run.discard_stale):
        with pytest.raises(ArtifactError, match=rf"found {version}.*start a new one.*or delete this one"):
            ask("chains", "A")
    assert path.exists()


def test_a_damaged_manifest_is_told(run: RunFolder) -> None:
    write_bytes(run.stage_path("chains") / "manifest.json", b"[1")
    with pytest.raises(ArtifactError, match=r"manifest\.json is damaged"):
        run.is_done("chains", "A")


def test_a_driver_clears_leftovers_and_leaves_the_rest(run: RunFolder) -> None:
    fill(run, "A", shards=1)
    (run.path / "chains" / ".tmp-shard-00001.parquet-x").write_text("torn")
    (run.path / ".tmp-dataset-A").mkdir()
    (run.path / ".tmp-dataset-A" / "half").write_text("torn")
    (run.path / "mine.txt").write_text("a user's own")
    RunFolder.driver(run.path).close()
    left = sorted(str(p.relative_to(run.path)) for p in run.path.rglob("*") if p.is_file())
    assert left == [".lock", "chains/shard-00000.parquet", "mine.txt"]


def test_a_reader_wants_a_folder(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"expected a run folder at .*nowhere"):
        RunFolder.reader(tmp_path / "nowhere")


def test_two_drivers_exclude_each_other_and_the_pid_is_named(run_path: Path) -> None:
    with RunFolder.driver(run_path):
        with pytest.raises(ArtifactError, match=f"in use by another run \\(pid {os.getpid()} on "):
            RunFolder.driver(run_path)
        RunFolder.reader(run_path)
        RunFolder.writer(run_path)
    with RunFolder.driver(run_path) as again:
        again.close()
        again.close()


HOLDER = """
import sys, time
from distill.artifacts import RunFolder
run = RunFolder.driver(sys.argv[1])
print("locked", flush=True)
time.sleep(60)
"""


def test_the_lock_dies_with_a_killed_driver(run_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(run_path)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"locked\n"
        with pytest.raises(ArtifactError, match=f"pid {holder.pid} "):
            RunFolder.driver(run_path)
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        RunFolder.driver(run_path).close()
