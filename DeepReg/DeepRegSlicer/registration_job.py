"""One registration in a process of its own: hands the job over, follows it, brings the result back.

* in the panel: :class:`RegistrationJob` with a :class:`~DeepRegSlicer.background_process.QtProcess`
* in scripts: :func:`run_registration`, which waits
"""

from __future__ import annotations

import heapq
import itertools
import tempfile
import time
import traceback
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from DeepRegLib.errors import Cancelled, DeepRegError, OutputProblem
from DeepRegLib.job_folder import (
    LOG_FILE,
    REPORT_FOLDER,
    Job,
    JobResult,
    read_result_in_steps,
    remove_job_in_steps,
    write_job_in_steps,
)
from DeepRegLib.worker_protocol import CANCEL, as_deepreg_error, as_line, error_of, error_of_end, message_of

from .background_process import BackgroundProcess, PipeProcess, slicer_python, worker_environment
from .steps import StepRunner, Steps, finish

FOLDER_PREFIX = "DeepReg-"
GRACE_MS = 400
"""After a cancel the worker may end by itself for so long; then it is killed with all its children."""
KILLED_WITHIN_MS = 400
"""A killed process that is not gone by then (waiting for a broken disk, say) is not waited for."""
EXIT_MS = 3000
"""A worker that has given its result ends at once; one that does not is killed."""
LOG_PIECES = 50
"""Of the worker's standard error, kept to say why it failed."""
SMOOTHING = 0.25
"""Share of a new estimate of the time left in what is shown; the rest is the last one, counted down."""
ANOTHER_FOLDER = "Choose another one in Edit > Application Settings > Modules > Temporary directory."
WAIT_SECONDS = 0.05
"""The wait for news in a script; a cancel is seen after it."""

CallAfter = Callable[[int, Callable[[], None]], object]
"""``call_after(milliseconds, function)``: has the event loop call a function once
(:func:`DeepRegSlicer.event_loop.call_after`)."""


class TimeLeft:
    """The worker's estimates of the seconds that are left, made steady.

    >>> now = [0.0]
    >>> left = TimeLeft(lambda: now[0])
    >>> left.smoothed(10.0)
    10.0
    >>> now[0] = 1.0
    >>> left.smoothed(13.0)
    10.0
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._end: float | None = None

    def smoothed(self, estimate: float | None) -> float | None:
        """Seconds left, or None before the first estimate."""
        now = self._clock()
        if estimate is not None:
            new = now + estimate
            self._end = new if self._end is None or not estimate else (1 - SMOOTHING) * self._end + SMOOTHING * new
        return None if self._end is None else max(self._end - now, 0.0)


class RegistrationJob:
    """Registers ``job`` in ``process``, in a temporary folder below ``base_folder``.

    ``on_progress(fraction, stage, seconds_left)`` is called on the way (seconds may be None). After :meth:`start`
    exactly one of ``on_finished(result)``, ``on_failed(error, details)`` and ``on_cancelled()`` is called, from the
    event loop behind ``call_after``, never from within :meth:`start` or :meth:`cancel`; by then the folder is gone. It
    stays with its log when ``keep_log`` (:attr:`log_path`), and with the report when the options ask for one.
    ``details`` are for those who want to know more: a traceback, or the last lines of the worker.
    """

    def __init__(
        self,
        job: Job,
        base_folder: str | Path,
        process: BackgroundProcess,
        call_after: CallAfter,
        *,
        on_progress: Callable[[float, str, float | None], None],
        on_finished: Callable[[JobResult], None],
        on_failed: Callable[[DeepRegError, str], None],
        on_cancelled: Callable[[], None],
        keep_log: bool = False,
        worker: Sequence[str] = (),
    ) -> None:
        self._options = job.options
        self._writing = self._write_in_steps(job)  # the only one to hold the voxels, until they are written
        self._base_folder = Path(base_folder)
        self._process = process
        self._call_after = call_after
        self._on_progress = on_progress
        self._on_finished = on_finished
        self._on_failed = on_failed
        self._on_cancelled = on_cancelled
        self._keep_log = keep_log
        self._worker = tuple(worker) or (slicer_python(), "-m", "DeepRegLib.worker")
        self._folder: Path | None = None
        self._steps: StepRunner | None = None
        self._log: deque[str] = deque(maxlen=LOG_PIECES)
        self._time_left = TimeLeft()
        self._start = time.monotonic()
        self._stage = ""
        self._last_message: dict[str, Any] | None = None
        self._cancelling = False
        self._ending = False
        self.running = False

    @property
    def log_path(self) -> Path | None:
        """The worker's log, when it is kept."""
        path = None if self._folder is None else self._folder / LOG_FILE
        return path if self._keep_log and path is not None and path.exists() else None

    def start(self) -> None:
        """Begin; everything else is told by the callbacks."""
        self.running = True
        self._run_steps(self._writing, lambda _: self._start_process())

    def cancel(self) -> None:
        """Stop as soon as possible: within a second ``on_cancelled`` follows, and no process is left."""
        if not self.running or self._ending or self._cancelling:
            return
        self._cancelling = True
        if self._steps is not None:
            self._steps.stop()
        if not self._process.running:
            self._end(self._on_cancelled)
            return
        self._process.send(as_line(CANCEL))
        self._call_after(GRACE_MS, self._kill_cancelled)

    def abandon(self) -> None:
        """Stop at once and call nobody: the application quits, or the scene is gone."""
        if not self.running:
            return
        self.running, self._ending = False, True
        if self._steps is not None:
            self._steps.stop()
        if self._process.running:
            self._process.kill_tree()
        self._remove(keep=())

    # The way of a job: write, start, follow, read, end.

    def _write_in_steps(self, job: Job) -> Steps[None]:
        try:
            self._folder = Path(tempfile.mkdtemp(prefix=FOLDER_PREFIX, dir=self._base_folder))
        except OSError as error:
            raise OutputProblem(
                f"The temporary folder {self._base_folder} cannot be used: {error.strerror or error}.", ANOTHER_FOLDER
            ) from error
        self._on_progress(0.0, "Handing over the images", None)
        yield
        yield from write_job_in_steps(self._folder, job)

    def _start_process(self) -> None:
        self._process.on_line = self._hear
        self._process.on_log = self._note
        self._process.on_end = self._process_ended
        command = [*self._worker, str(self._folder)]
        self._note(f"{command}\n{self._options}\n")
        self._process.start(command, worker_environment())

    def _hear(self, line: str) -> None:
        if self._ending:
            return
        message = message_of(line)
        if message is None:
            self._note(f"{line}\n")
        elif "progress" in message:
            self._follow(message)
        elif "warning" in message:
            self._note(f"{message['warning']}\n")
        elif "result" in message or "error" in message:
            self._last_message = message
            self._note(str(message.get("details", "")))
            self._call_after(EXIT_MS, self._kill_finished)

    def _follow(self, message: Mapping[str, Any]) -> None:
        stage = str(message.get("stage", ""))
        if stage != self._stage:
            self._stage = stage
            self._note(f"{time.monotonic() - self._start:7.2f} s  {stage}\n")
        if not self._cancelling:
            self._on_progress(message["progress"], stage, self._time_left.smoothed(message.get("seconds_left")))

    def _note(self, text: str) -> None:
        if self._ending:
            return
        self._log.append(text)
        if self._keep_log and self._folder is not None:
            try:
                with (self._folder / LOG_FILE).open("a", encoding="utf-8") as file:
                    file.write(text)
            except OSError:
                self._keep_log = False  # a log that cannot be written is no reason to stop

    def _process_ended(self, exit_code: int | None, crashed: bool) -> None:
        if self._ending:
            return
        message = self._last_message
        if self._cancelling or crashed:
            self._process.kill_tree()  # children that outlived the worker
        if self._cancelling:
            self._end(self._on_cancelled)
        elif message is not None and "result" in message:
            self._on_progress(1.0, "Reading the result", 0.0)
            self._run_steps(read_result_in_steps(message["result"]), self._finish)
        elif message is not None:
            self._fail(error_of(message), str(message.get("details", "")))
        else:
            log = "".join(self._log)
            self._fail(error_of_end(exit_code, crashed, log), log)

    def _finish(self, result: JobResult) -> None:
        self._end(lambda: self._on_finished(result), keep=(REPORT_FOLDER,))

    def _fail(self, error: DeepRegError, details: str) -> None:
        self._end(lambda: self._on_failed(error, details))

    def _end(self, tell: Callable[[], None], keep: tuple[str, ...] = ()) -> None:
        """Clear away, then tell the end; from here on nothing else counts."""
        self._ending = True
        steps = self._end_in_steps((*keep, LOG_FILE) if self._keep_log else keep)
        StepRunner(steps, self._soon, lambda _: self._told(tell), lambda _: self._told(tell)).start()

    def _end_in_steps(self, keep: tuple[str, ...]) -> Steps[None]:
        yield
        if self._folder is not None:
            yield from remove_job_in_steps(self._folder, keep)

    def _told(self, tell: Callable[[], None]) -> None:
        self._steps = None
        if self.running:
            self.running = False
            tell()

    # Timers: each may come when all is over.

    def _kill_cancelled(self) -> None:
        if not self._ending:
            self._process.kill_tree()
            self._call_after(KILLED_WITHIN_MS, self._give_up_waiting)

    def _give_up_waiting(self) -> None:
        if not self._ending:
            self._end(self._on_cancelled)

    def _kill_finished(self) -> None:
        if not self._ending and self._process.running:
            self._process.kill_tree()

    # Small things.

    def _run_steps(self, steps: Steps[Any], on_done: Callable[[Any], None]) -> None:
        self._steps = StepRunner(steps, self._soon, on_done, self._steps_failed)
        self._steps.start()

    def _steps_failed(self, error: Exception) -> None:
        self._fail(as_deepreg_error(error), "".join(traceback.format_exception(error)))

    def _soon(self, function: Callable[[], None]) -> None:
        self._call_after(0, function)

    def _remove(self, keep: tuple[str, ...]) -> None:
        if self._folder is not None:
            finish(remove_job_in_steps(self._folder, keep))


def run_registration(
    job: Job,
    base_folder: str | Path,
    progress: Callable[[float, str, float | None], None] = lambda fraction, stage, seconds_left: None,
    cancelled: Callable[[], bool] = lambda: False,
    worker: Sequence[str] = (),
) -> JobResult:
    """Register ``job`` in a process of its own and wait for it.

    Raises what :func:`DeepRegLib.registration.register` raises, :class:`~DeepRegLib.errors.OutputProblem` when
    ``base_folder`` cannot be written to, and :class:`~DeepRegLib.errors.Cancelled`. The details of a failure are the
    note of the error (``__notes__``).
    """
    results: list[JobResult] = []
    failures: list[DeepRegError] = []

    def failed(error: DeepRegError, details: str) -> None:
        error.add_note(details)
        failures.append(error)

    process, loop = PipeProcess(), _Loop()
    registration = RegistrationJob(
        job,
        base_folder,
        process,
        loop.call_after,
        on_progress=progress,
        on_finished=results.append,
        on_failed=failed,
        on_cancelled=lambda: failures.append(Cancelled("The registration was cancelled; nothing was written.")),
        worker=worker,
    )
    try:
        registration.start()
        while registration.running:
            if cancelled():
                registration.cancel()
            process.deliver(0.0 if loop.busy else WAIT_SECONDS)
            loop.run_due()
    finally:
        registration.abandon()  # does nothing unless an exception (Ctrl-C) leads out of here
    if failures:
        raise failures[0]
    return results[0]


class _Loop:
    """The smallest event loop that there is."""

    def __init__(self) -> None:
        self._waiting: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()

    def call_after(self, milliseconds: int, function: Callable[[], None]) -> None:
        heapq.heappush(self._waiting, (time.monotonic() + milliseconds / 1000, next(self._order), function))

    @property
    def busy(self) -> bool:
        return bool(self._waiting) and self._waiting[0][0] <= time.monotonic()

    def run_due(self) -> None:
        """Call what is due now, but not what it asks for in turn."""
        due = time.monotonic()
        ready = []
        while self._waiting and self._waiting[0][0] <= due:
            ready.append(heapq.heappop(self._waiting)[2])
        for function in ready:
            function()
