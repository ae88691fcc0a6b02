"""A run on an object store: whole puts and no rename, killed at every request, one driver at a time."""

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import object_store
import pytest

from distill import lease
from distill.artifacts import RunFolder, read_records, write_bytes
from distill.errors import ArtifactError, MissingDependencyError
from distill.lease import Lease
from distill.loading import load_recipe
from distill.parquet import read_footer
from distill.records import Problem, Usage
from distill.remote import RemotePath
from distill.storage import local_copy, locate, working_copy

URL = "plain://bucket/runs of Zoë/käse 100%"


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder with the store's objects."""
    object_store.use(tmp_path, monkeypatch)
    return tmp_path / "objects"


@pytest.fixture
def run() -> RunFolder:
    return RunFolder.writer(URL)


def names() -> list[str]:
    """Every object of the run, by name relative to it."""
    return list(RemotePath(URL).files())


def fill(run: RunFolder, fingerprint: str, shards: int = 2, stage: str = "chains") -> None:
    for index in range(shards):
        run.commit_shard(stage, index, [Usage(index, i) for i in range(index + 1)], {"out": 1}, fingerprint)


def fill_folder(run: RunFolder, fingerprint: str, stage: str = "verifier") -> None:
    with run.stage_folder(stage, fingerprint) as place, working_copy(place) as (folder, _):
        (folder / "deep er").mkdir()
        (folder / "deep er" / "weights").write_text(fingerprint)
    run.commit_stage(stage, fingerprint, {})


def test_shards_and_manifest_are_there_and_back(run: RunFolder) -> None:
    assert run.manifest("chains") is None
    assert run.finished_shards("chains", "A") == {}
    fill(run, "A", 3)
    assert run.finished_shards("chains", "A") == {0: {"out": 1}, 1: {"out": 1}, 2: {"out": 1}}
    assert not run.is_done("chains", "A")
    run.commit_stage("chains", "A", {"seconds": 1.5})
    assert run.is_done("chains", "A")
    assert not run.is_done("chains", "B")
    assert [len(read_records(str(path), Usage)) for path in run.shards("chains")] == [1, 2, 3]
    assert run.read("chains", Usage)[-1] == Usage(2, 2)
    assert (run.rows("chains", 2), read_footer(run.shard_path("chains", 2)).rows) == (3, 3)
    assert names() == ["chains/manifest.json", *(f"chains/shard-0000{i}.parquet" for i in range(3))]


def test_a_shard_is_put_whole(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing but `pipe_file` writes: a file that is opened for writing would be seen half written."""

    def refuse(self: object, path: str, mode: str = "rb", **_: object) -> None:
        raise AssertionError(f"{path} was opened")

    monkeypatch.setattr(object_store.PlainStore, "_open", refuse)
    fill(run, "A")
    run.commit_stage("chains", "A", {})
    assert len(names()) == 3


@pytest.mark.parametrize("cut", [1, 40, -1])
def test_a_damaged_shard_is_unfinished_and_cleared(run: RunFolder, store: Path, cut: int) -> None:
    fill(run, "A")
    path = run.shard_path("chains", 0)
    write_bytes(path, path.read_bytes()[:cut])
    assert set(run.finished_shards("chains", "A")) == {1}
    run.discard_stale("chains", "A")
    assert not path.exists()


def test_a_footer_longer_than_what_is_fetched_at_first(run: RunFolder) -> None:
    stats = {"long": "x" * 200_000}
    run.commit_shard("chains", 0, [Usage(1)], stats, "A")
    assert run.finished_shards("chains", "A") == {0: stats}


def test_settings_changed_back_find_their_work_again(run: RunFolder) -> None:
    fill(run, "A", 3)
    run.commit_stage("chains", "A", {})
    fill_folder(run, "A")
    for stage in ("chains", "verifier"):
        run.discard_stale(stage, "B")
        assert not run.is_stale(stage, "B")
        assert run.manifest(stage) is None
    fill(run, "B", 1)
    fill_folder(run, "B")
    for stage in ("chains", "verifier"):
        run.discard_stale(stage, "A")
        assert run.is_done(stage, "A")
    with local_copy(run.stage_path("verifier")) as folder:
        assert (folder / "deep er" / "weights").read_text() == "A"
    assert set(run.finished_shards("chains", "B")) == set()
    run.discard_stale("chains", "B")
    assert set(run.finished_shards("chains", "B")) == {0}


class Killed(BaseException):
    """Stands for the end of the process."""


def killed_at_every_request(work: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Do `work` with an end before its first, second, ... changing request, until it runs through."""
    for allowed in range(200):
        left = [allowed]

        def counted(name: str, left: list[int] = left) -> Callable:
            whole = getattr(object_store.PlainStore, name)

            def call(self: object, *args: object, **kwargs: object) -> object:
                left[0] -= 1
                if left[0] < 0:
                    raise Killed
                return whole(self, *args, **kwargs)

            return call

        with monkeypatch.context() as patched:
            for name in ("pipe_file", "cp_file", "rm_file", "put_file"):
                patched.setattr(object_store.PlainStore, name, counted(name))
            with suppress(Killed):
                work()
                return
        yield allowed
    raise AssertionError("it never ended")


def test_a_kill_at_any_request_leaves_finished_or_absent(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def work() -> None:
        run.discard_stale("chains", "A")
        for index in set(range(3)) - set(run.finished_shards("chains", "A")):
            run.commit_shard("chains", index, [Usage(index)], {}, "A")
        run.commit_stage("chains", "A", {})

    for requests in killed_at_every_request(work, monkeypatch):
        assert not run.is_done("chains", "A"), requests
        assert all(len(read_records(path, Usage)) == 1 for path in run.shards("chains"))
    assert run.is_done("chains", "A")


@pytest.mark.parametrize("stage", ["chains", "verifier"])
def test_a_kill_at_any_request_of_a_change_of_settings(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    """To B and back to A. What is declared finished is whole and of its own settings at every moment."""

    def make(fingerprint: str) -> None:
        run.discard_stale(stage, fingerprint)
        if run.is_done(stage, fingerprint):
            return
        if stage == "verifier":
            fill_folder(run, fingerprint)
        else:
            fill(run, fingerprint, 3)
            run.commit_stage(stage, fingerprint, {})

    def sound() -> None:
        manifest = run.manifest(stage)
        if manifest is None or not run.is_done(stage, manifest.fingerprint):
            return
        assert len(run.finished_shards(stage, manifest.fingerprint)) == manifest.shards
        if stage == "verifier":
            text = (run.stage_path(stage) / "deep er" / "weights").read_text()
            assert text == manifest.fingerprint

    make("A")
    for fingerprint in ("B", "A", "B"):
        for _ in killed_at_every_request(lambda f=fingerprint: make(f), monkeypatch):
            sound()
        assert run.is_done(stage, fingerprint)
        sound()


def test_a_working_copy_goes_on_from_what_was_saved(run: RunFolder) -> None:
    def train(place: RemotePath) -> list[str]:
        """Dies after its first checkpoint was saved, on a machine that is then lost."""
        with working_copy(place) as (folder, save):
            found = sorted(path.name for path in folder.iterdir())
            if not found:
                (folder / "checkpoint-1").write_text("whole")
                save()
                (folder / "checkpoint-2").write_text("torn")
                raise KeyboardInterrupt
            (folder / "checkpoint-1").unlink()
            (folder / "adapter").write_text("done")
        return found

    with suppress(KeyboardInterrupt), run.stage_folder("verifier", "A", resume=True) as place:
        train(place)
    with RunFolder.driver(URL) as driver:
        driver.discard_stale("verifier", "A")
        with driver.stage_folder("verifier", "A", resume=True) as place:
            assert train(place) == ["checkpoint-1"]
        driver.commit_stage("verifier", "A", {})
    assert names() == ["verifier/adapter", "verifier/manifest.json"]


def test_the_store_keeps_the_checkpoints_that_the_trainer_keeps(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The trainer keeps one. At every request of a save the store holds a whole one to go on from."""

    def checkpoint(folder: Path, n: int) -> None:
        (folder / f"checkpoint-{n}").mkdir()
        for name in ("adapter", "trainer_state.json"):
            (folder / f"checkpoint-{n}" / name).write_text(str(n))

    def whole() -> list[str]:
        """The checkpoints that say they are; all that they need is there."""
        there = {name.removeprefix(prefix) for name in names() if name.startswith(prefix)}
        said = sorted(name.split("/")[0] for name in there if name.endswith("/trainer_state.json"))
        assert all(f"{each}/adapter" in there for each in said)
        return said

    prefix = ".unfinished-verifier-A/"
    with run.stage_folder("verifier", "A", resume=True) as place, working_copy(place) as (folder, save):
        checkpoint(folder, 1)
        save()
        (folder / "log").write_text("gone before the next one is whole")
        save()
        checkpoint(folder, 2)
        shutil.rmtree(folder / "checkpoint-1")
        for _ in killed_at_every_request(save, monkeypatch):
            assert whole()
        assert whole() == ["checkpoint-2"]
        shutil.rmtree(folder / "checkpoint-2")
        (folder / "log").unlink()
        save()
        assert whole() == ["checkpoint-2"]  # nothing is whole here: what is there stays
        checkpoint(folder, 3)
    assert names() == ["verifier/checkpoint-3/adapter", "verifier/checkpoint-3/trainer_state.json"]


def test_a_failing_stage_folder_leaves_nothing(run: RunFolder) -> None:
    def export() -> None:
        with run.stage_folder("export", "A") as place, working_copy(place) as (folder, save):
            (folder / "half").write_text("x")
            save()
            assert names() == [".tmp-export-A/half"]
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        export()
    assert names() == []


def test_a_reader_wants_a_run() -> None:
    with pytest.raises(ArtifactError, match="expected a run folder at plain://bucket/nowhere"):
        RunFolder.reader("plain://bucket/nowhere")
    with pytest.raises(ArtifactError, match="found nothing there"):
        read_records("plain://bucket/nowhere/x.parquet", Problem)


def test_two_drivers_exclude_each_other_until_one_ends() -> None:
    with RunFolder.driver(URL) as first:
        with pytest.raises(ArtifactError, match=r"in use by another run \(pid \d+ on "):
            RunFolder.driver(URL)
        RunFolder.reader(URL)
        first.commit_stage("report", "A", {})
    began = time.monotonic()
    RunFolder.driver(URL).close()
    assert time.monotonic() - began < lease.SILENT_BEATS * lease.BEAT_SECONDS
    assert names() == ["report/manifest.json"]


def test_a_dead_driver_is_taken_over_and_a_sleeper_notices(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:  # a machine that is suspended: no beat
        beating = Lease._keep
        patched.setattr(Lease, "_keep", lambda self: None)
        sleeper = RunFolder.driver(URL)
    began = time.monotonic()
    with RunFolder.driver(URL) as second:
        assert time.monotonic() - began >= lease.SILENT_BEATS * lease.BEAT_SECONDS
        assert sleeper._lock is not None
        beating(sleeper._lock)  # it wakes up
        for late in (sleeper.commit_stage, sleeper.discard_stale):
            with pytest.raises(ArtifactError, match=r"taken over by another run \(pid "):
                late("chains", "A", *([{}] if late == sleeper.commit_stage else []))
        sleeper.close()
        second.commit_stage("chains", "A", {})
        assert ".lock" in names()
    assert ".lock" not in names()


def test_a_missing_package_answers_with_its_install_line(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    for package in ("s3fs", "gcsfs"):
        monkeypatch.setitem(sys.modules, package, None)
    for url, extra in (("s3://bucket/runs", "s3"), ("gs://bucket/runs", "gcs")):
        with pytest.raises(MissingDependencyError, match=rf"pip install 'prm-distill\[{extra}\]'"):
            RunFolder.reader(url)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("s4://bucket/x", "scheme that fsspec knows"),
        ("s3://", "scheme://bucket/folder"),
        ("s3://b/*", "without"),
        ("sftp://ada:secret@host/x", "without credentials"),
        ("https://secret@host", "without credentials"),
        ("abfs://box:secret@host/x", "without credentials"),
    ],
)
def test_a_url_that_names_no_place(tmp_path: Path, url: str, words: str) -> None:
    with pytest.raises(ArtifactError, match=words) as located:
        locate(url)
    (tmp_path / "r.yaml").write_text(f"name: x\nruns: '{url}'\n")
    with pytest.raises(ValueError, match=rf"2: runs: .*{words}") as loaded:
        load_recipe(tmp_path / "r.yaml")
    with pytest.raises(ValueError, match=words) as overridden:
        load_recipe("quickstart", [f"runs={url}"])
    assert not any("secret" in str(told.value) for told in (located, loaded, overridden))


def test_an_at_sign_that_is_no_login() -> None:
    for url in ("abfs://box@account.dfs.core.windows.net/runs", "s3://bucket/a@b"):
        assert str(locate(url)) == url


def test_file_and_memory_urls(tmp_path: Path) -> None:
    assert locate(f"file://{tmp_path}/a%20b") == tmp_path / "a b"
    for where in (f"file://{tmp_path}/run", "memory://test-artifacts/run"):
        with RunFolder.driver(where) as run:
            fill(run, "A")
            run.commit_stage("chains", "A", {})
            run.discard_stale("chains", "B")
            run.discard_stale("chains", "A")
            assert run.is_done("chains", "A")


def test_a_store_that_refuses_is_told(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError("Access Denied")

    monkeypatch.setattr(object_store.PlainStore, "pipe_file", refuse)
    with pytest.raises(ArtifactError, match=r"cannot write plain://.*Access Denied.*same command again"):
        fill(run, "A")
