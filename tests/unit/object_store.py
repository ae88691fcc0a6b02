"""An object store in a folder of this machine, for tests in several processes: `plain://bucket/name`.

It has what every object store has and no more: whole objects are put at once (`pipe_file`), a file that is
written piece by piece is seen half written, and nothing can be renamed. Objects lie in one flat folder,
`$PLAIN_STORE`, under their quoted names, so that there are no directories either.
"""

import os
import sys
import uuid
from pathlib import Path
from urllib.parse import quote, unquote

import pytest
from fsspec import AbstractFileSystem

from distill import lease

lease.BEAT_SECONDS = 0.3  # in every process that uses this store


class PlainStore(AbstractFileSystem):
    """No rename, no directories, no conditional puts."""

    protocol = "plain"
    root_marker = ""
    cachable = False

    @property
    def folder(self) -> Path:
        return Path(os.environ["PLAIN_STORE"])

    def at(self, key: str) -> Path:
        return self.folder / quote(self._strip_protocol(key), safe="")

    def keys(self) -> list[str]:
        return sorted(unquote(path.name) for path in self.folder.iterdir() if not path.name.startswith("."))

    def info(self, path: str, **_: object) -> dict:
        key = self._strip_protocol(path)
        if self.at(key).exists():
            return {"name": key, "size": self.at(key).stat().st_size, "type": "file"}
        if any(name.startswith(f"{key}/") for name in self.keys()):
            return {"name": key, "size": 0, "type": "directory"}
        raise FileNotFoundError(path)

    def ls(self, path: str, detail: bool = True, **_: object) -> list:
        key = self._strip_protocol(path)
        below = [name.removeprefix(f"{key}/") for name in self.keys() if name.startswith(f"{key}/")]
        names = sorted({f"{key}/{name.split('/')[0]}" for name in below})
        if not names:
            if self.at(key).exists():
                names = [key]
            else:
                raise FileNotFoundError(path)
        return [self.info(name) for name in names] if detail else names

    def _open(self, path: str, mode: str = "rb", **_: object):
        return self.at(path).open(mode)

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **_: object) -> bytes:
        return self.at(path).read_bytes()[slice(start, end)]

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **_: object) -> None:
        if mode == "create" and self.at(path).exists():
            raise FileExistsError(path)
        whole = self.folder / f".{uuid.uuid4().hex}"
        whole.write_bytes(value)
        whole.replace(self.at(path))

    def cp_file(self, path1: str, path2: str, **_: object) -> None:
        self.pipe_file(path2, self.at(path1).read_bytes())

    def rm_file(self, path: str) -> None:
        self.at(path).unlink()

    _rm = rm_file

    def rm(self, path: str, recursive: bool = False, maxdepth: int | None = None) -> None:
        found = self.find(path)
        if not found:
            raise FileNotFoundError(path)
        for name in found:
            self.rm_file(name)

    def mkdirs(self, path: str, exist_ok: bool = False) -> None:
        pass

    makedirs = mkdirs

    def mv(self, *_: object, **__: object) -> None:
        raise AssertionError("an object store has no rename")

    rename = move = mv_file = mv


def install(folder: Path) -> dict[str, str]:
    """Variables under which every Python process knows `plain://`, its objects in `folder`: fsspec finds it
    as it finds any package's filesystem, by an entry point."""
    info = folder / "site" / "plain_store-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plain-store\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[fsspec.specs]\nplain = object_store:PlainStore\n")
    (folder / "objects").mkdir()
    places = [str(folder / "site"), str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
    return {"PYTHONPATH": os.pathsep.join(filter(None, places)), "PLAIN_STORE": str(folder / "objects")}


def use(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same for this process and those that it starts."""
    import fsspec

    for name, value in install(folder).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(lease, "BEAT_SECONDS", 0.1)
    fsspec.register_implementation("plain", PlainStore, clobber=True)
    assert "object_store" in sys.modules
