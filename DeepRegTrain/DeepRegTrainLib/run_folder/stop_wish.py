"""The file "stop" in a run folder: somebody wants the run to save and end.

A wish may be left from before: put there when the run had ended already, or just before it was killed. Such a one must
not end the run that is started next, while one that is made after the start counts, however long the preparation takes.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass

from .layout import RunFolder

NO_OLD_WISH_VARIABLE = "DEEPREG_NO_OLD_STOP_WISH"
"""Set by who took old wishes away before starting the command: what is found then was made after the start."""


@dataclass(frozen=True)
class StopWish:
    """A wish that was made at ``time_ns``; one that is repeated is another one."""

    time_ns: int
    inode: int


def old_wish(run: RunFolder) -> StopWish | None:
    """The wish that lies in the folder, if there is one; to be asked for as the first thing that a command does."""
    return None if os.environ.get(NO_OLD_WISH_VARIABLE) else _wish_in(run)


def forget_wish(run: RunFolder, wish: StopWish | None) -> None:
    """Take ``wish`` away, unless another one has taken its place. To be called by the holder of the lock: before, it
    may be meant for another process."""
    if wish is not None and _wish_in(run) == wish:
        with contextlib.suppress(OSError):
            run.stop.unlink()


def _wish_in(run: RunFolder) -> StopWish | None:
    try:
        found = run.stop.stat()
    except OSError:
        return None
    return StopWish(found.st_mtime_ns, found.st_ino)
