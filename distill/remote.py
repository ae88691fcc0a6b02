"""Objects of a store that fsspec reaches (s3://, gs://, ...), behind the few methods of `Path` we use.

A put of a whole object is atomic there: nothing is written beside its place, and a reader finds the old
object or the new one. There is no rename: a folder is a prefix of names, and is moved by copying its
objects and deleting the old ones, in an order that a kill at any moment leaves repeatable.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from distill.errors import ArtifactError, MissingDependencyError, StoreError, missing
from distill.files import explain_disk

EXTRAS = {"s3": ("s3fs", "s3"), "s3a": ("s3fs", "s3"), "gs": ("gcsfs", "gcs"), "gcs": ("gcsfs", "gcs")}

CONTAINER_AT_HOST = ("abfs", "abfss")
"""Azure's schemes write container@account where others write user:password@host."""


@dataclass(frozen=True, slots=True)
class RemotePath:
    """One name on a store: an object, or the prefix of others. `url` has no slash at its end.

    Every method raises StoreError when a request fails, ArtifactError when the store refuses it, and
    MissingDependencyError when the package for its scheme is absent.
    """

    url: str

    def __truediv__(self, name: str) -> RemotePath:
        return RemotePath(f"{self.url}/{name}")

    def __str__(self) -> str:
        return self.url

    @property
    def name(self) -> str:
        """What follows the last slash."""
        return self.url.rpartition("/")[2]

    @property
    def stem(self) -> str:
        """The name without its suffix."""
        return Path(self.name).stem

    @property
    def parent(self) -> RemotePath:
        """The prefix that this name lies under."""
        return RemotePath(self.url.rpartition("/")[0])

    def exists(self) -> bool:
        """Whether there is an object of this name, or any below it."""
        fs, key = _connect(self.url)
        with _told("read", self.url):
            return bool(fs.exists(key))

    def is_dir(self) -> bool:
        """Whether there is any object below this name."""
        return next(self.iterdir(), None) is not None

    def iterdir(self) -> Iterator[RemotePath]:
        """What lies directly below, in order of name; nothing where there is nothing."""
        fs, key = _connect(self.url)
        with _told("read", self.url):
            try:
                listed = fs.ls(key, detail=False)
            except (FileNotFoundError, NotADirectoryError):
                return
        prefix = f"{key.rstrip('/')}/"  # a store may list the prefix itself, as an empty object
        below = {name.rstrip("/").removeprefix(prefix) for name in listed if name.startswith(prefix)}
        yield from (self / name for name in sorted(below - {""}) if "/" not in name)

    def glob(self, pattern: str) -> Iterator[RemotePath]:
        """What matches `pattern`, which may go down several levels (`*/shard-*`)."""
        first, _, rest = pattern.partition("/")
        for entry in self.iterdir():
            if fnmatchcase(entry.name, first):
                yield from entry.glob(rest) if rest else (entry,)

    def read_bytes(self) -> bytes:
        """The object. Raises FileNotFoundError when there is none."""
        fs, key = _connect(self.url)
        with _told("read", self.url):
            return bytes(fs.cat_file(key))

    def read_text(self, encoding: str = "utf-8") -> str:
        """The object as text. Raises FileNotFoundError when there is none."""
        return self.read_bytes().decode(encoding)

    def put(self, data: bytes | memoryview) -> None:
        """Make `data` the object, whole or not at all; what was there before stays until then."""
        fs, key = _connect(self.url)
        with _told("write", self.url):
            fs.pipe_file(key, bytes(data))

    def create(self, data: bytes) -> bool:
        """Put `data` unless there is an object; whether it was put. One step on a store that can (S3,
        GCS); elsewhere a look and a put, between which another may come."""
        fs, key = _connect(self.url)
        with _told("write", self.url):
            try:
                fs.pipe_file(key, data, mode="create")
            except FileExistsError:
                return False
        return True

    def unlink(self, missing_ok: bool = False) -> None:
        """Delete the object."""
        fs, key = _connect(self.url)
        with _told("write", self.url):
            try:
                fs.rm_file(key)
            except FileNotFoundError:
                if not missing_ok:
                    raise

    def remove(self) -> None:
        """Delete the object and all below it, where there are any."""
        fs, key = _connect(self.url)
        with _told("write", self.url):
            try:
                fs.rm(key, recursive=True)
            except FileNotFoundError:
                return

    def files(self) -> dict[str, RemotePath]:
        """Every object below, at any depth, by its name relative to this one."""
        fs, key = _connect(self.url)
        with _told("read", self.url):
            found = fs.find(key)
        prefix = f"{key.rstrip('/')}/"
        names = sorted(name.removeprefix(prefix) for name in found if name.startswith(prefix))
        return {name: self / name for name in names if name}

    def copy_to(self, target: RemotePath) -> None:
        """Copy this object, inside the store."""
        fs, key = _connect(self.url)
        with _told("write", target.url):
            fs.cp_file(key, _connect(target.url)[1])

    def copy_files(self, target: RemotePath, last: str) -> None:
        """Copy every object below to below `target`, inside the store; the one named `last` at the end."""
        there = self.files()
        fs, _ = _connect(self.url)
        for names in ([name for name in there if name != last], [last] if last in there else []):
            keys = [[_connect((side / name).url)[1] for name in names] for side in (self, target)]
            with _told("write", target.url):
                fs.copy(*keys)

    def download(self, folder: Path) -> None:
        """Fetch every object below into a local folder, which is made."""
        with explain_disk(folder):
            folder.mkdir(parents=True, exist_ok=True)
        fs, _ = _connect(self.url)
        for name, source in self.files().items():
            with explain_disk(folder):
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
            with _told("read", source.url):
                fs.get_file(_connect(source.url)[1], str(folder / name))

    def upload(self, folder: Path, names: Sequence[str]) -> None:
        """Put these files of a local folder below this name, in this order."""
        fs, _ = _connect(self.url)
        for name in names:
            with _told("write", f"{self.url}/{name}"):
                fs.put_file(str(folder / name), _connect(f"{self.url}/{name}")[1])


def tails(paths: Sequence[RemotePath], size: int) -> list[bytes | Exception]:
    """The last `size` bytes of every object (all of a shorter one), or why it cannot be read; one request
    each, many at a time where the store's package can."""
    if not paths:
        return []
    fs, _ = _connect(paths[0].url)
    keys = [_connect(path.url)[1] for path in paths]
    with _told("read", paths[0].parent.url):
        return list(fs.cat_ranges(keys, [-size] * len(keys), [None] * len(keys), on_error="return"))


def is_url(where: object) -> bool:
    """Whether `where` names a place as `scheme://...`."""
    return "://" in str(where)


def url_trouble(url: str) -> str:
    """Why `url` cannot name a place on a store; "" when it can. The store itself is not asked."""
    from fsspec.registry import known_implementations, registry

    scheme, _, rest = url.partition("://")
    login, at, _ = rest.partition("/")[0].rpartition("@")
    if at and (":" in login or scheme not in CONTAINER_AT_HOST):
        return (  # without the URL: what is told ends up in logs
            "expected a URL without credentials, found '@' before its first '/': give them to every node by "
            "its environment (docs/storage.md)"
        )
    if scheme not in {*known_implementations, *registry}:
        return f"expected a scheme that fsspec knows, such as s3, gs or file, found '{scheme}' in '{url}'"
    if not rest.strip("/"):
        return f"expected scheme://bucket/folder, found '{url}'"
    if odd := sorted(set("*?[]") & set(url)):  # fsspec would take the name for a pattern
        return f"expected a name without {' '.join(odd)}, found '{url}'"
    return ""


def _connect(url: str) -> tuple[Any, str]:
    """The filesystem behind `url` (fsspec keeps one for each set of options) and the name on it."""
    from fsspec.core import url_to_fs

    try:
        # A cached listing would hide the shards that others have put since.
        fs, key = url_to_fs(url, use_listings_cache=False)
    except ImportError as error:
        package, extra = EXTRAS.get(url.partition("://")[0], (None, None))
        if package is None:
            raise MissingDependencyError(f"cannot reach {url}: {error}") from error
        raise missing(package, extra) from error
    except Exception as error:
        raise ArtifactError(f"cannot reach {url}: {type(error).__name__}: {error}") from error
    return fs, str(key)


@contextmanager
def _told(doing: str, url: str) -> Iterator[None]:
    """Turn whatever a store's package raises into a StoreError about `url`, or an ArtifactError where trying
    again is no use; of a reader, that an object is absent stays a FileNotFoundError."""
    try:
        yield
    except ArtifactError:
        raise
    except Exception as error:
        if doing == "read" and isinstance(error, FileNotFoundError):
            raise
        told = f"{type(error).__name__}: {error}".rstrip(". ")
        raise (ArtifactError if _is_refusal(error) else StoreError)(
            f"cannot {doing} {url} ({told}). Everything finished is kept: see that the store can be reached "
            f"from {os.uname().nodename} and that its credentials allow this; give the same command again."
        ) from error


def _is_refusal(error: Exception) -> bool:
    """Whether the store would answer the same again: no access, no credentials, no such bucket."""
    known = isinstance(error, PermissionError | FileNotFoundError)
    return known or "Credentials" in type(error).__name__
