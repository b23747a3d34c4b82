"""How far a run is, in a small file for whoever watches: the panel, a script, a person."""

from __future__ import annotations

import contextlib
import json
import os
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from DeepRegLib.errors import BadInput, DeepRegError

from .layout import RunFolder, read_json
from .lock import is_held

STARTING, TRAINING, VALIDATING, STOPPED, FINISHED, FAILED, INTERRUPTED = (
    "starting",
    "training",
    "validating",
    "stopped",
    "finished",
    "failed",
    "interrupted",
)
LIVING = (STARTING, TRAINING, VALIDATING)
INTERVAL_S = 1.0
"""Steps of some milliseconds need no file each."""


@dataclass(frozen=True)
class Status:
    """``seconds`` is the time that the run has taken in all its parts, ``seconds_left`` what is foreseen;
    ``best_error_mm`` the smallest validation error so far, ``pid`` and ``started`` (seconds since 1970) the process."""

    state: str
    step: int
    steps: int
    seconds: float = 0.0
    seconds_left: float | None = None
    error_mm: float | None = None
    best_error_mm: float | None = None
    stage: str = ""
    message: str = ""
    pid: int = 0
    started: float = 0.0


class StatusFile:
    """Writes the status, at most once a second unless the state changes. A disk that is full takes no status, and that
    must not hide what went wrong: errors are passed over."""

    def __init__(self, path: Path, steps: int) -> None:
        self._path = path
        self._written = -INTERVAL_S
        self.now = Status(STARTING, 0, steps, pid=os.getpid(), started=round(time.time(), 3))

    def update(self, **changes: Any) -> None:
        before, self.now = self.now, replace(self.now, **changes)
        if self.now.state == before.state and time.monotonic() - self._written < INTERVAL_S:
            return
        self._written = time.monotonic()
        # Not forced onto the disk: it need not outlive a power cut, and a slow disk must not hold up the training.
        temporary = self._path.with_name(f".partial.{self._path.name}")
        with contextlib.suppress(OSError):
            temporary.write_text(json.dumps(asdict(self.now), indent=2) + "\n", encoding="utf-8")
            temporary.replace(self._path)


def read_status(run: RunFolder) -> Status:
    """The status of a run; a run that claims to go on while nobody holds its lock was interrupted.

    Raises :class:`~DeepRegLib.errors.BadInput` when there is none.
    """
    try:
        status = Status(**read_json(run.status))
    except TypeError as problem:
        raise BadInput(f"'{run.status}' is damaged or of another version.") from problem
    if status.state in LIVING and not is_held(run.lock):
        status = replace(status, state=INTERRUPTED, message="The process ended without saving; resume the run.")
    return status


def words_for(problem: BaseException) -> str:
    """One line for the status and the log."""
    if isinstance(problem, DeepRegError):
        return f"{problem} {problem.hint}".strip()
    return f"{type(problem).__name__}: {problem}"
