"""A disk that fills up under a run, for real: a message, nothing lost, and the same command goes on."""

import shutil
from pathlib import Path

import pytest
from conftest import Finished
from pipeline_runs import LABELLED, Ran, distill, rows

ROOM = ("unshare", "--user", "--map-root-user", "--mount")
# $1: the disk's folder; $2: a run to begin with or ""; $3: size of the disk in KiB beyond that run.
# The rest is the command, given once on the small disk and once on a large one.
SMALL_THEN_LARGE = """
disk=$1 begin=$2 room=$3; shift 3
mount -t tmpfs -o size=64m tmpfs "$disk" || exit 77
test -z "$begin" || cp -r "$begin" "$disk"
mount -o remount,size=$(($(du -sk "$disk" | cut -f1) + room))k "$disk"
"$@"; echo "exit code $?"
mount -o remount,size=64m "$disk"
"$@" && cp -r "$disk" "$disk.copy"
"""

pytestmark = pytest.mark.skipif(shutil.which("unshare") is None, reason="needs util-linux's unshare")


def on_a_small_disk(disk: Path, begin: object, room: int, finished: Finished, *arguments: object) -> Ran:
    """The command on a disk with `room` KiB left, then again with enough; the folder's copy is kept."""
    disk.mkdir()
    script = ("sh", "-c", SMALL_THEN_LARGE, "sh", str(disk), str(begin), str(room))
    ran = distill(*arguments, f"runs={disk}", cwd=finished.place, wrapper=(*ROOM, *script))
    if ran.code == 77 or "unshare" in ran.err:
        pytest.skip("this machine lets nobody mount a small disk")
    assert ran.code == 0, ran.text
    assert "exit code 2" in ran.out, ran.text
    assert "Traceback" not in ran.text
    assert sum(line.startswith("error: ") for line in ran.err.splitlines()) == 1
    for words in ("cannot write", "the disk is full", "Everything finished is kept", "same command again"):
        assert words in ran.err
    return ran


def test_full_while_chains_are_written(finished: Finished, tmp_path: Path) -> None:
    arguments = ("pilot", "recipe.yaml", "--sample", "24")
    ran = on_a_small_disk(tmp_path / "disk", "", 48, finished, *arguments)
    assert "world-pilot/chains/" in ran.err
    for stage in LABELLED:
        assert rows(tmp_path / "disk.copy" / "world-pilot", stage) == rows(finished.folder, stage), stage


@pytest.mark.slow
def test_full_while_the_verifier_is_trained(finished: Finished, tmp_path: Path) -> None:
    begin = finished.copy(tmp_path / "begin", "verifier", "export", "evaluation", "report")
    ran = on_a_small_disk(tmp_path / "disk", begin, 40, finished, "run", "recipe.yaml")
    assert "world/verifier" in ran.err
    assert ran.err.count("dataset: finished already") == 2
    assert (tmp_path / "disk.copy" / "world" / "summary.json").exists()
