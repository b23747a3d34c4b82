"""The runs in an output folder, told by their files alone: cheap, without torch, and whatever state the files are in.

A file that says that a run goes on is believed only as long as a process is there: the one with the number that the
run's files name and no later beginning, or whoever holds the run's lock.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from DeepRegTrainLib.run_folder.layout import RunFolder
from DeepRegTrainLib.run_folder.lock import is_held
from DeepRegTrainLib.run_folder.status import LIVING

from ..pacing import paced_steps
from ..steps import Steps, finish
from .command import COMPLAINT
from .file_tail import last_bytes
from .run_start import LAUNCH, OUTPUT, SEPARATOR, Launch, processes_of, read_launch

QUEUED, RUNNING, STOPPING, STOPPED, FINISHED, FAILED, INTERRUPTED = (
    "queued",
    "running",
    "stopping",
    "stopped",
    "finished",
    "failed",
    "interrupted",
)
AT_WORK = (RUNNING, STOPPING)
CAN_RESUME = (STOPPED, FAILED, INTERRUPTED)
FIRST_RUNS = 10
"""Read in the first step; on a network drive each may take some milliseconds."""
FULL_DISK_BYTES = 20e6
"""With less room than this no checkpoint can be written."""
QUIET_S = 900.0
"""A run on another computer writes its status more often than this; only a long validation is quiet for minutes."""
OUTPUT_BYTES = 4096
"""The end of what the process printed; a complaint is its last lines."""
PREPARING = "preparing"
"""Stage of a run whose process reads scans and makes the first pairs."""


@dataclass(frozen=True)
class Run:
    """A run as its ``folder`` shows it: ``state`` is one of the words above, ``sentence`` what there is to know besides
    (why it failed, where it runs). ``asked`` is when it was started last, seconds since 1970."""

    folder: Path
    state: str
    step: int = 0
    steps: int = 0
    seconds_left: float | None = None
    error_mm: float | None = None
    best_error_mm: float | None = None
    stage: str = ""
    sentence: str = ""
    asked: float = 0.0
    begun: float = 0.0

    @property
    def name(self) -> str:
        return self.folder.name


@dataclass(frozen=True)
class _Known:
    """A run with the state of the files it was told by."""

    files: tuple[object, ...]
    run: Run | None


class RunList:
    """The runs in ``output``, newest first. What has not changed since the last look is not read again."""

    def __init__(self, output: Path) -> None:
        self.output = output
        self._known: dict[Path, _Known] = {}

    def refresh_in_steps(self) -> Steps[list[Run]]:
        """Look at all runs. An output folder that is not there has none."""
        folders = _folders_in(self.output)
        known: dict[Path, _Known] = {}

        def look(start: int, stop: int) -> None:
            for folder in folders[start:stop]:
                known[folder] = self._looked_at(folder)

        yield from paced_steps(look, len(folders), FIRST_RUNS)
        self._known = known
        found = [entry.run for entry in known.values() if entry.run is not None]
        return sorted(found, key=lambda run: (run.begun, run.name), reverse=True)

    def _looked_at(self, folder: Path) -> _Known:
        before, files = self._known.get(folder), _state_of_files(folder)
        if before is not None and before.files == files and (before.run is None or _has_ended(before.run)):
            return before
        return _Known(files, read_run(folder))


def list_runs(output: Path) -> list[Run]:
    """The runs in a folder, in one go."""
    return finish(RunList(output).refresh_in_steps())


def read_run(folder: Path) -> Run | None:
    """The run in ``folder``; None where there is none."""
    files, launch, status = RunFolder(folder), read_launch(folder), _read_status(folder)
    known = _told(folder, launch, status)
    if launch is not None and launch.queued:
        return _waiting(folder, launch, known)
    if _is_at_work(files, launch, status):
        return _working(files, known, status)
    if launch is not None and launch.withdrawn:
        return Run(**known, state=STOPPED, sentence="It was taken out of the queue.")
    complaint = _complaint(folder) if launch is not None and launch.asked > status.get("modified", 0.0) else ""
    if complaint:
        return Run(**known, state=FAILED, sentence=complaint)
    if not status:
        return _without_status(files, launch, known)
    if status["state"] in LIVING:
        return Run(**known, state=INTERRUPTED, sentence=_why_interrupted(folder))
    state = status["state"] if status["state"] in (STOPPED, FINISHED, FAILED) else INTERRUPTED
    return Run(**known, state=state, sentence=status["message"])


def _told(folder: Path, launch: Launch | None, status: dict[str, Any]) -> dict[str, Any]:
    """What is known of a run whatever its state."""
    names = ("step", "steps", "seconds_left", "error_mm", "best_error_mm", "stage")
    known = {name: status[name] for name in names if status}
    begun = min(filter(None, (_modified(RunFolder(folder).config), _modified(folder / LAUNCH))), default=0.0)
    asked = launch.asked if launch is not None else status.get("started", 0.0)
    return {"folder": folder, **known, "begun": begun, "asked": asked}


def _waiting(folder: Path, launch: Launch, known: dict[str, Any]) -> Run:
    if launch.runs:
        return Run(**known, state=QUEUED)
    if launch.process is not None and not launch.process.is_here:
        return Run(**known, state=QUEUED, sentence=f"It waits on {launch.process.computer}.")
    why = _complaint(folder) or "The computer or the program that waited for its turn has ended; resume the run."
    return Run(**known, state=INTERRUPTED, sentence=why)


def _working(files: RunFolder, known: dict[str, Any], status: dict[str, Any]) -> Run:
    there = [process.computer for process in processes_of(files.path) if not process.is_here]
    stage = PREPARING if _is_old(files, status) or status["state"] == LIVING[0] else known["stage"]
    if stage == PREPARING:
        known |= {"seconds_left": None}
    sentence = f"It runs on {there[-1]}." if there else _progress_words(files.path) if stage == PREPARING else ""
    state = STOPPING if files.stop.exists() else RUNNING
    return Run(**{**known, "stage": stage}, state=state, sentence=sentence)


def _without_status(files: RunFolder, launch: Launch | None, known: dict[str, Any]) -> Run | None:
    if files.config.is_file():
        why = "The status of the run is missing or damaged; resume the run."
        return Run(**known, state=INTERRUPTED, sentence=_full_disk_words(files.path) or why)
    if launch is None:
        return None
    why = "The process ended before the run began; resume it to start again."
    return Run(**known, state=INTERRUPTED, sentence=_full_disk_words(files.path) or why)


def _is_at_work(files: RunFolder, launch: Launch | None, status: dict[str, Any]) -> bool:
    if (launch is not None and launch.runs) or any(process.runs for process in processes_of(files.path)):
        return True
    if status.get("state") not in LIVING:
        return False
    # The clock may have been set since; and of another computer there is only the lock, and how fresh the status is.
    elsewhere = any(not process.is_here for process in processes_of(files.path)[-1:])
    return is_held(files.lock) or (elsewhere and time.time() - status["modified"] < QUIET_S)


def _is_old(files: RunFolder, status: dict[str, Any]) -> bool:
    """Whether the status is not yet that of the process that is at work now."""
    launch = read_launch(files.path)
    return not status or (launch is not None and status["modified"] < launch.asked)


def _why_interrupted(folder: Path) -> str:
    return _full_disk_words(folder) or "The process ended without saving; resume the run."


def _full_disk_words(folder: Path) -> str:
    try:
        free = shutil.disk_usage(folder).free
    except OSError:
        return ""
    return "The disk is full: make room, then resume the run." if free < FULL_DISK_BYTES else ""


def _complaint(folder: Path) -> str:
    """What the process that was started last said at its end, when it was an error: its sentence and its hint."""
    lines = _last_output(folder)
    said = [number for number, line in enumerate(lines) if line.startswith(COMPLAINT)]
    if not said:
        return ""
    return " ".join([lines[said[-1]].removeprefix(COMPLAINT), *lines[said[-1] + 1 :]]).strip()


def _progress_words(folder: Path) -> str:
    """The last line that the process printed: "30 % Looking at case1.nii.gz"."""
    lines = _last_output(folder)
    return lines[-1].partition("%")[2].strip() if lines and "%" in lines[-1] else ""


def _last_output(folder: Path) -> list[str]:
    """The last lines of the process that was started last."""
    lines = last_bytes(folder / OUTPUT, OUTPUT_BYTES).splitlines()
    starts = [number for number, line in enumerate(lines) if line.startswith(SEPARATOR)]
    return lines[starts[-1] + 1 :] if starts else lines


def _read_status(folder: Path) -> dict[str, Any]:
    """The status as numbers and words of the right kind, with ``modified``; empty when nobody can tell."""
    path = RunFolder(folder).status
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        numbers = {name: _number(content.get(name)) for name in ("seconds_left", "error_mm", "best_error_mm")}
        words = {name: str(content.get(name, "")) for name in ("state", "stage", "message")}
        step, steps, started = (int(content[name]) for name in ("step", "steps", "started"))
        return {**numbers, **words, "step": step, "steps": steps, "started": started, "modified": path.stat().st_mtime}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _folders_in(output: Path) -> list[Path]:
    """The folders in ``output``, and itself: somebody may choose the folder of a run."""
    try:
        with os.scandir(output) as found:
            return [output, *(Path(entry) for entry in found if entry.is_dir() and not entry.name.startswith("."))]
    except OSError:
        return []


def _state_of_files(folder: Path) -> tuple[object, ...]:
    """Changes whenever one of the files does that tell the state of a run."""
    files = RunFolder(folder)
    return tuple(_modified(file) for file in (files.status, folder / LAUNCH, files.config, files.lock))


def _modified(path: Path) -> float | None:
    try:
        return path.stat().st_mtime
    except OSError:
        return None


def _has_ended(run: Run) -> bool:
    return run.state not in (QUEUED, *AT_WORK)
