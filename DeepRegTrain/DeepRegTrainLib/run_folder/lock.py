"""One process for each run folder."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from DeepRegLib.errors import BadInput, OutputProblem

LOCKED_BYTE = 1 << 20
"""Beyond the text, which must stay readable: in Windows a locked byte is not."""


@contextlib.contextmanager
def held_lock(path: Path) -> Iterator[None]:
    """Holds the file ``path``, which tells who: pid, start time, computer.

    The lock is the operating system's and ends with the process however it ends, so there is nothing to clean up after
    a kill, and a number that another process got by now means nothing. Raises :class:`~DeepRegLib.errors.BadInput` when
    another process holds it.
    """
    try:
        file = path.open("a+b")  # made where it is missing, never emptied before it is ours
    except OSError as error:
        raise OutputProblem(f"The folder '{path.parent}' cannot be written to: {error.strerror}.") from error
    with file:
        if not _taken(file):
            raise BadInput(
                f"Another process{_holder(path)} is training in '{path.parent}'.",
                "Wait for it, or put a file called 'stop' into the folder to have it save and end.",
            )
        holder = {"pid": os.getpid(), "started": round(time.time(), 3), "computer": socket.gethostname()}
        file.truncate(0)
        file.write(json.dumps(holder).encode("ascii"))
        file.flush()
        try:
            yield
        finally:
            _given_back(file)


def is_held(path: Path) -> bool:
    """Whether a process holds the lock ``path`` now."""
    try:
        with path.open("r+b") as file:
            if not _taken(file):
                return True
            _given_back(file)
            return False
    except OSError:
        return False


def _holder(path: Path) -> str:
    try:
        content = json.loads(path.read_text(encoding="ascii"))
        return f" ({content['pid']} on {content['computer']})"
    except (OSError, ValueError, KeyError, TypeError):
        return ""


if os.name == "nt":
    import msvcrt

    def _taken(file: BinaryIO) -> bool:
        file.seek(LOCKED_BYTE)
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        except OSError:
            return False
        finally:
            file.seek(0)
        return True

    def _given_back(file: BinaryIO) -> None:
        file.seek(LOCKED_BYTE)
        with contextlib.suppress(OSError):
            msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)  # type: ignore[attr-defined]

else:
    import fcntl

    def _taken(file: BinaryIO) -> bool:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def _given_back(file: BinaryIO) -> None:
        fcntl.flock(file, fcntl.LOCK_UN)
