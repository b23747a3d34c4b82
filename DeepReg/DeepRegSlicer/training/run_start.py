"""Runs are started, queued, resumed and stopped through small files in their folders: whoever opens the folder, after
Slicer was closed or from another one, finds what was asked for and by which process it is done.

``launch.json`` says with which words of ``python -m DeepRegTrainLib`` the run was started last, and by which process. A
queued run has a process already: it waits for its turn (:mod:`.queued_run`) and then trains itself, so a queue goes on
without Slicer, and nobody has to serve it.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from DeepRegLib.array_files import write_text
from DeepRegLib.errors import BadInput, DeepRegError, OutputProblem
from DeepRegTrainLib.run_folder.layout import RunFolder
from DeepRegTrainLib.run_folder.stop_wish import NO_OLD_WISH_VARIABLE

from ..background_process import slicer_python
from .command import TRAINING, command_environment
from .detached_process import ProcessIdentity, identity_of, start_detached

LAUNCH, OUTPUT = "launch.json", "output.txt"
"""Files in a run folder: how it was started, and what the process printed."""
QUEUED_RUN = "DeepRegSlicer.training.queued_run"
SEPARATOR = "== "
"""Begins the line in the output that says what was started, and when."""
STARTS_WITHIN_S = 60.0
"""A process that has not said who it is by then never will: the computer went down, for instance."""
FORMAT = 1


@dataclass(frozen=True)
class Launch:
    """``words`` for ``python -m DeepRegTrainLib``, asked for at ``asked`` (seconds since 1970), done by ``process``
    (None until it is known). ``queued`` while it waits for its turn; ``withdrawn`` when it was taken out of the
    queue."""

    words: tuple[str, ...]
    asked: float
    process: ProcessIdentity | None = None
    queued: bool = False
    withdrawn: bool = False

    @property
    def runs(self) -> bool:
        """Whether its process runs on this computer, or is about to."""
        if self.process is None:
            return not self.withdrawn and 0 <= time.time() - self.asked < STARTS_WITHIN_S
        return self.process.runs

    def write(self, folder: Path) -> None:
        """Raises :class:`~DeepRegLib.errors.OutputProblem`."""
        write_text(folder / LAUNCH, json.dumps({"format": FORMAT, **asdict(self)}, indent=2) + "\n")


def read_launch(folder: Path) -> Launch | None:
    """How the run in ``folder`` was started last; None when it was not started from here, or nobody can tell."""
    try:
        content: dict[str, Any] = json.loads((folder / LAUNCH).read_text(encoding="utf-8"))
        process = content["process"]
        return Launch(
            tuple(map(str, content["words"])),
            float(content["asked"]),
            None if process is None else ProcessIdentity(**process),
            bool(content["queued"]),
            bool(content["withdrawn"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def new_run_folder(output: Path, name: str) -> Path:
    """A new folder in ``output`` called ``name``, or that and a number: two panels never get the same one. Raises
    :class:`~DeepRegLib.errors.OutputProblem`."""
    try:
        output.mkdir(parents=True, exist_ok=True)
        number = 1
        while True:
            folder = output / (name if number == 1 else f"{name}-{number}")
            try:
                folder.mkdir()
            except FileExistsError:
                number += 1
            else:
                return folder
    except OSError as error:
        raise OutputProblem(
            f"No run can be kept in '{output}': {error.strerror}.", "Choose another output folder."
        ) from error


def start_run(folder: Path, words: Sequence[str]) -> None:
    """Have a process of its own do ``words``, the first of which is "train" or "resume", for the run in ``folder``.

    Raises :class:`~DeepRegLib.errors.DeepRegError` when a process is at work there, and when none can be started.
    """
    _require_free(folder)
    take_stop_wish(folder)  # an old one
    launch = Launch(tuple(words), time.time())
    launch.write(folder)
    with _undone_on_error(folder):
        process = _start(folder, [TRAINING, *words])
    replace(launch, process=process).write(folder)


def queue_run(folder: Path, words: Sequence[str]) -> None:
    """The same, once the runs beside it that run or are queued now have ended."""
    _require_free(folder)
    take_stop_wish(folder)  # an old one
    Launch(tuple(words), time.time(), queued=True).write(folder)
    # It says itself who it is: it may have its turn, and say that, before we could.
    with _undone_on_error(folder):
        _start(folder, [QUEUED_RUN, str(folder)])


def resume_run(folder: Path) -> None:
    """Go on from the last checkpoint; a run that never got as far as to have one is started as it was asked for."""
    launch = read_launch(folder)
    if RunFolder(folder).config.is_file():
        start_run(folder, ["resume", str(folder)])
    elif launch is not None:
        start_run(folder, launch.words)
    else:
        raise BadInput(f"There is no run in '{folder}'.")


def ask_to_stop(folder: Path) -> None:
    """Have the run save and end. Raises :class:`~DeepRegLib.errors.OutputProblem`."""
    try:
        RunFolder(folder).stop.touch()
    except OSError as error:
        raise OutputProblem(f"The run in '{folder}' cannot be told to stop: {error.strerror}.") from error


def take_stop_wish(folder: Path) -> bool:
    """Whether somebody asked the run to stop; the wish is gone then."""
    try:
        RunFolder(folder).stop.unlink()
    except OSError:
        return False
    return True


def processes_of(folder: Path) -> list[ProcessIdentity]:
    """The processes that the files of a run name, running or not: the one that was started, and the one that trains,
    which is its child where Slicer's Python runs below a launcher."""
    launch, trainer = read_launch(folder), _holder(folder)
    started = launch.process if launch is not None else None
    return [process for process in (started, trainer) if process is not None]


def kill_run(folder: Path) -> None:
    """End the processes of a run on this computer at once; what came after its last checkpoint is lost."""
    for process in processes_of(folder):
        process.kill_tree()


def this_process() -> ProcessIdentity:
    """Who we are."""
    return identity_of(os.getpid())


@contextlib.contextmanager
def _undone_on_error(folder: Path) -> Iterator[None]:
    """What could not be started must not look as if it were about to."""
    try:
        yield
    except DeepRegError:
        with contextlib.suppress(OSError):
            (folder / LAUNCH).unlink()
            if not RunFolder(folder).config.exists():
                (folder / OUTPUT).unlink()
        raise


def _start(folder: Path, words: Sequence[str]) -> ProcessIdentity:
    """A module of Python with its words, as a process of its own whose output the run folder keeps."""
    output = folder / OUTPUT
    with contextlib.suppress(OSError), output.open("a", encoding="utf-8") as file:
        file.write(f"{SEPARATOR}{time.strftime('%Y-%m-%d %H:%M:%S')}  {' '.join(words)}\n")
    # An old wish to stop is gone by now; the process must not take one for old that is made while it loads.
    environment = command_environment() | {NO_OLD_WISH_VARIABLE: "1"}
    return start_detached([slicer_python(), "-m", *words], environment, output)


def _holder(folder: Path) -> ProcessIdentity | None:
    """Who says in the lock of the run that it trains."""
    try:
        content = json.loads(RunFolder(folder).lock.read_text(encoding="ascii"))
        return ProcessIdentity(int(content["pid"]), float(content["started"]), str(content["computer"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _require_free(folder: Path) -> None:
    launch = read_launch(folder)
    if (launch is not None and launch.runs) or any(process.runs for process in processes_of(folder)):
        raise BadInput(
            f"The run '{folder.name}' is at work already.", "Follow it in the list of runs, or stop it there first."
        )
