"""Files and folders that appear whole or not at all, and what is said when the disk does not play along.

Everything is written beside its place under a `.tmp-` name, forced to disk, and renamed. A kill leaves at
most a `.tmp-` entry behind, which nothing reads and the next driver removes.
"""

import errno
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from distill.errors import ArtifactError

TEMPORARY = ".tmp-"

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def write_bytes(path: Path, data: bytes | memoryview) -> None:
    """Write `data` to `path` whole or not at all; what was there before stays until then.

    Raises:
        ArtifactError: the disk is full, or the folder cannot be written. No temporary file stays.
    """
    temporary = temporary_name(path)
    try:
        with explain_disk(path, len(data)):
            path.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
            sync(path.parent)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def replace_folder(new: Path, place: Path) -> None:
    """Force `new` to disk and make it the folder at `place`, whatever was there; both on one disk.

    Raises:
        ArtifactError: the disk is full, or the folder cannot be written.
    """
    with explain_disk(place):
        _sync_tree(new)
        aside = temporary_name(place)
        with suppress(FileNotFoundError):
            os.rename(place, aside)
        os.rename(new, place)
        sync(place.parent)
    remove(aside)


def temporary_name(path: Path) -> Path:
    """A name beside `path` that nobody else uses and nothing reads."""
    return path.parent / f"{TEMPORARY}{path.name[:100]}-{uuid.uuid4().hex[:12]}"


def remove(path: Path) -> None:
    """Delete a file or folder that may be there or not."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Make a file's bytes, or the renames inside a folder, survive a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def explain_disk(path: object, size: int | None = None, only_full: bool = False) -> Iterator[None]:
    """Turn an OSError in the block into an ArtifactError about `path`; with `only_full` (for blocks that
    do more than write) only one that says that the disk is full. A library may have wrapped that one.
    What belongs to a URL is worked on in the folder for temporary files.

    Raises:
        ArtifactError: which file, what is free, what is kept, and what to do.
    """
    try:
        yield
    except ArtifactError:
        raise
    except OSError as error:
        if only_full and error.errno not in _FULL:
            raise
        raise ArtifactError(_trouble(path, error, size)) from error
    except Exception as error:
        # safetensors and tokenizers raise errors of their own when the disk is full
        if os.strerror(errno.ENOSPC) not in str(error):
            raise
        raise ArtifactError(_trouble(path, OSError(errno.ENOSPC, str(error)), size)) from error


def _trouble(path: object, error: OSError, size: int | None) -> str:
    what = f"cannot write {path}: {error.strerror or error}"
    if error.errno not in _FULL:
        return f"{what}. Everything finished is kept; mend this and give the same command again to go on."
    place = path if isinstance(path, Path) else Path(tempfile.gettempdir(), "distill")
    needed = "" if size is None else f", {_megabytes(size)} needed"
    cause = {
        errno.EFBIG: "this process may not write a larger file (see `ulimit -f`)",
        errno.EDQUOT: "your disk quota is used up",
    }.get(error.errno or 0, "the disk is full")
    return (
        f"{what}: {cause} ({_free_space(place)} free{needed}). Everything finished is kept: make room and "
        "give the same command again, it resumes where it stopped."
    )


def _free_space(path: Path) -> str:
    """Free space on the disk of `path`, which itself need not exist."""
    for folder in path.absolute().parents:
        with suppress(OSError):
            return _megabytes(shutil.disk_usage(folder).free)
    return "unknown space"


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"


def _sync_tree(folder: Path) -> None:
    for root, _, names in os.walk(folder):
        for path in [Path(root), *(Path(root, name) for name in names)]:
            if not path.is_symlink():
                sync(path)
