"""A full disk and `kill -9`, for real where the machine allows it."""

import errno
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from distill.artifacts import RunFolder, read_records
from distill.errors import ArtifactError
from distill.records import Problem, Usage

WORDS = ["cannot write", "free", "Everything finished is kept", "same command again"]


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def run_python(code: str, *arguments: str, wrapper: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    command = [*wrapper, sys.executable, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_disk_that_fills_up_at_any_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    run = RunFolder.writer(tmp_path / "run é")
    run.commit_shard("chains", 0, [Usage(1)], {}, "A")

    def full(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patched:
        patched.setattr(os, call, full)
        with pytest.raises(ArtifactError) as caught:
            run.commit_shard("chains", 1, [Usage(2)], {}, "A")
        with pytest.raises(ArtifactError):
            run.commit_shard("chains", 0, [Usage(9)], {}, "A")
    assert read_records(run.shard_path("chains", 0), Usage) == [Usage(1)], "what was there must stay"
    assert str(run.shard_path("chains", 1)) in str(caught.value)
    assert all(word in str(caught.value) for word in WORDS)
    assert files(run.path) == ["chains/shard-00000.parquet"]
    run.commit_shard("chains", 1, [Usage(2)], {}, "A")
    assert set(run.finished_shards("chains", "A")) == {0, 1}


def test_another_trouble_is_not_called_a_full_disk(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("a file where the folder should be")
    with pytest.raises(ArtifactError, match=r"cannot write .*run") as caught:
        RunFolder.driver(tmp_path / "run")
    assert "full" not in str(caught.value)


WRAPPED = RuntimeError("io: No space left on device (os error 28)")


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left"), WRAPPED], ids=["plain", "wrapped"])
@pytest.mark.parametrize("resume", [False, True])
def test_a_disk_that_fills_up_inside_a_stage_folder(tmp_path: Path, error: Exception, resume: bool) -> None:
    run = RunFolder.writer(tmp_path)

    def train() -> None:
        with run.stage_folder("verifier", "A", resume) as folder:
            (folder / "model.safetensors").write_text("half")
            raise error

    with pytest.raises(ArtifactError) as caught:
        train()
    assert all(word in str(caught.value) for word in WORDS)
    assert files(tmp_path) == ([".unfinished-verifier-A/model.safetensors"] if resume else [])


SMALL_FILES_ONLY = """
import resource, sys
from distill.artifacts import RunFolder
from distill.records import Problem, content_id
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
run = RunFolder.writer(sys.argv[1])
run.commit_shard("problems", 0, [Problem("small", "q", "r")], {}, "A")
large = [Problem(content_id(i), content_id(i, length=60), "r") for i in range(3000)]
run.commit_shard("problems", 1, large, {}, "A")
"""


def test_a_real_limit_on_file_size(tmp_path: Path) -> None:
    ended = run_python(SMALL_FILES_ONLY, str(tmp_path / "a b"))
    assert "ArtifactError" in ended.stderr
    assert "may not write a larger file" in ended.stderr
    assert files(tmp_path / "a b") == ["problems/shard-00000.parquet"]


FILL_A_DISK = """
import os, subprocess, sys
from distill.artifacts import RunFolder
from distill.errors import ArtifactError
from distill.records import Problem, content_id
disk = sys.argv[1]
if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", disk]).returncode:
    sys.exit(77)
run = RunFolder.driver(disk + "/run")
shard = lambda k: [Problem(content_id(k, i), content_id(k, i, length=60), "r") for i in range(2000)]
try:
    for k in range(9):
        run.commit_shard("problems", k, shard(k), {}, "A")
except ArtifactError as error:
    print(error)
try:
    with run.stage_folder("dataset", "A") as folder:
        (folder / "big").write_bytes(os.urandom(900_000))
except ArtifactError as error:
    print(error)
finished = sorted(run.finished_shards("problems", "A"))
print(finished, sorted(os.listdir(run.path)), k, len(os.listdir(run.path / "problems")))
subprocess.run(["mount", "-o", "remount,size=64m", disk], check=True)
run.close()
again = RunFolder.driver(disk + "/run")
again.commit_shard("problems", k, shard(k), {}, "A")
again.commit_stage("problems", "A", {})
print(again.is_done("problems", "A"))
"""


@pytest.mark.skipif(shutil.which("unshare") is None, reason="needs util-linux's unshare")
def test_a_really_full_disk(tmp_path: Path) -> None:
    ended = run_python(
        FILL_A_DISK, str(tmp_path), wrapper=("unshare", "--user", "--map-root-user", "--mount")
    )
    if ended.returncode == 77 or "unshare" in ended.stderr:
        pytest.skip("this machine lets nobody mount a small disk")
    assert ended.returncode == 0, ended.stderr
    shard, folder, state, done = ended.stdout.splitlines()
    assert all(word in message for message in (shard, folder) for word in [*WORDS, "the disk is full"])
    failed = int(state.split()[-2])
    assert failed >= 1
    assert state.startswith(str(list(range(failed))))
    assert "['.lock', 'problems']" in state
    assert int(state.split()[-1]) == failed, "no temporary file may stay"
    assert done == "True"


WRITER = """
import sys
from distill.artifacts import RunFolder
from distill.records import Problem, content_id
run = RunFolder.driver(sys.argv[1])
run.discard_stale("problems", "A")
finished = run.finished_shards("problems", "A")
print("ready", len(finished), flush=True)
for k in range(100_000):
    if k not in finished:
        rows = [Problem(content_id(k, i), content_id(k, i, length=64), "r") for i in range(400)]
        run.commit_shard("problems", k, rows, {"out": 400}, "A")
        print("shard", k, flush=True)
    if k % 3 == 2:
        with run.stage_folder("dataset", "A") as folder:
            for name in "abc":
                (folder / name).write_text(str(k) * 9999)
"""


def test_kill_minus_nine_at_random_moments(tmp_path: Path) -> None:
    run, chance = tmp_path / "run ü 9", random.Random(7)
    kept: dict[str, tuple[int, int]] = {}
    for _ in range(6):
        command = [sys.executable, "-c", WRITER, str(run)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            assert writer.stdout.readline() == f"ready {len(kept)}\n"
            for _ in range(chance.randrange(4)):
                writer.stdout.readline()
            time.sleep(chance.uniform(0.0, 0.05))
            writer.send_signal(signal.SIGKILL)
        kept = verify_after_kill(run, kept)
    assert len(kept) > 5, "hardly a shard was written: the test tested nothing"
    with RunFolder.driver(run):
        assert not [name for name in files(run) if ".tmp-" in name]


def verify_after_kill(run: Path, before: dict[str, tuple[int, int]]) -> dict[str, tuple[int, int]]:
    """Every shard is whole and in order; none that was there has been written again."""
    folder = RunFolder.reader(run)
    shards = {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in folder.shards("problems")}
    assert {name: shards[name] for name in before} == before
    assert list(folder.finished_shards("problems", "A")) == list(range(len(shards)))
    for path in folder.shards("problems"):
        assert len(read_records(path, Problem)) == 400
    texts = [path.read_text() for path in folder.stage_path("dataset").glob("?")]
    assert len(set(texts)) <= 1
    assert len(texts) in (0, 3)
    return shards
