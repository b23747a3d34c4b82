"""Files that are there as a whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from .errors import OutputProblem


@contextlib.contextmanager
def whole_file(path: str | os.PathLike, expected_bytes: int = 0) -> Iterator[Path]:
    """A temporary path beside ``path`` to write to; on leaving without an error it takes the place of ``path``.

    The temporary name ends as ``path`` does (``.nii.gz``), because writers choose the format by it. On any error, a
    keyboard interrupt included, it is removed and an older file at ``path`` stays as it was. Errors of the file system
    are raised as :class:`~DeepRegLib.errors.OutputProblem`, and so is a disk with less room than ``expected_bytes``,
    before anything is written.

    >>> import tempfile
    >>> target = Path(tempfile.mkdtemp()) / "result.json"
    >>> with whole_file(target) as temporary:
    ...     _ = temporary.write_text("{}")
    >>> target.read_text()
    '{}'
    """
    path = Path(path)
    _require_room(path, expected_bytes)
    temporary = path.with_name(f".{secrets.token_hex(4)}.partial.{path.name}")
    try:
        yield temporary
        _flush(temporary)
        temporary.replace(path)
    except OSError as error:
        raise cannot_write(path, error.strerror or str(error)) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def cannot_write(path: Path, reason: str = "") -> OutputProblem:
    """The error that says that ``path`` cannot be written."""
    return OutputProblem(
        f"'{path.name}' cannot be written to {path.parent}{f': {reason}' if reason else ''}.",
        "Check that the folder exists, that you may write to it, and that the disk is not full.",
    )


def _require_room(path: Path, expected_bytes: int) -> None:
    try:
        free = shutil.disk_usage(path.parent).free
    except OSError:
        return  # the attempt to write will say what is wrong with the folder
    if free < expected_bytes:
        raise cannot_write(path, f"it needs {expected_bytes / 1e6:.0f} MB and {free / 1e6:.0f} MB are free")


def _flush(path: Path) -> None:
    """Have the file on the disk before it takes its name: a disk that turns out to be full says so here."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())
