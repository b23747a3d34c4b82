"""Work that needs the registrator, from nodes to nodes, without ever blocking: read the inputs, run the process, use
what comes back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from traceback import format_exception
from typing import Any

from DeepRegLib.errors import DeepRegError
from DeepRegLib.job_folder import Job, JobResult

from .background_process import BackgroundProcess
from .registration_job import CallAfter, RegistrationJob
from .steps import StepRunner, Steps

READING = "Reading the images from the scene"
SHOWING = "Putting the result into the scene"
FRACTION_BEFORE_USE = 0.97
"""Using the result is the last of the progress bar."""


@dataclass
class Listener:
    """What the caller of a run is told; exactly one of the last three comes, last. ``on_finished`` gets what became of
    the result, ``on_failed`` an error with a sentence, and details for those who ask."""

    on_progress: Callable[[float, str, float | None], None] = lambda fraction, stage, seconds_left: None
    on_finished: Callable[[Any], None] = lambda outcome: None
    on_failed: Callable[[DeepRegError, str], None] = lambda error, details: None
    on_cancelled: Callable[[], None] = lambda: None


class BackgroundRun:
    """``job_steps`` make the job, ``use_in_steps(result)`` what becomes of its result. ``call_after(milliseconds,
    function)`` has the event loop call a function; ``process`` is where the registrator runs, its files in a new folder
    below ``base_folder``."""

    def __init__(
        self,
        job_steps: Steps[Job],
        use_in_steps: Callable[[JobResult], Steps[Any]],
        listener: Listener,
        call_after: CallAfter,
        process: BackgroundProcess,
        base_folder: Path,
        keep_log: bool = False,
    ) -> None:
        self._job_steps = job_steps
        self._use_in_steps = use_in_steps
        self._listener = listener
        self._call_after = call_after
        self._process = process
        self._base_folder = base_folder
        self._keep_log = keep_log
        self._steps: StepRunner | None = None
        self._job: RegistrationJob | None = None
        self._ended = False

    @property
    def log_path(self) -> Path | None:
        """Where the log lies, when it is kept."""
        return None if self._job is None else self._job.log_path

    def start(self) -> None:
        """Begin; everything else is told by the listener."""
        self._listener.on_progress(0.0, READING, None)
        self._work(self._job_steps, self._start_process)

    def cancel(self) -> None:
        """Stop wherever it is; :attr:`Listener.on_cancelled` follows."""
        if self._job is not None and self._job.running:
            self._job.cancel()
            return
        self._stop_steps()
        self._end(self._listener.on_cancelled)

    def abandon(self) -> None:
        """Stop at once and tell nobody: the scene is closing, or the application."""
        self._ended = True
        self._stop_steps()
        if self._job is not None:
            self._job.abandon()

    def _work(self, steps: Steps[Any], then: Callable[[Any], None]) -> None:
        def done(result: Any) -> None:
            self._steps = None
            then(result)

        self._steps = StepRunner(steps, lambda function: self._call_after(0, function), done, self._failed_here)
        self._steps.start()

    def _stop_steps(self) -> None:
        if self._steps is not None:
            self._steps.stop()
            self._steps = None

    def _start_process(self, job: Job) -> None:
        listener = self._listener
        self._job = RegistrationJob(
            job,
            self._base_folder,
            self._process,
            self._call_after,
            on_progress=lambda fraction, stage, left: listener.on_progress(FRACTION_BEFORE_USE * fraction, stage, left),
            on_finished=self._use,
            on_failed=lambda error, details: self._end(lambda: listener.on_failed(error, details)),
            on_cancelled=lambda: self._end(listener.on_cancelled),
            keep_log=self._keep_log,
        )
        self._job.start()

    def _use(self, result: JobResult) -> None:
        if self._ended:
            return
        self._listener.on_progress(FRACTION_BEFORE_USE, SHOWING, None)
        self._work(self._use_in_steps(result), lambda outcome: self._end(lambda: self._listener.on_finished(outcome)))

    def _failed_here(self, error: Exception) -> None:
        self._steps = None
        details = "" if isinstance(error, DeepRegError) else "".join(format_exception(error))
        if not isinstance(error, DeepRegError):
            error = DeepRegError("Something went wrong in the panel.", "The details say more.")
        self._end(lambda: self._listener.on_failed(error, details))

    def _end(self, tell: Callable[[], None]) -> None:
        if not self._ended:
            self._ended = True
            tell()
