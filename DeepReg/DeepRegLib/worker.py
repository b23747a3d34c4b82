"""Registers in a process of its own: ``python -m DeepRegLib.worker JOBFOLDER``.

Reads the job (:mod:`~DeepRegLib.job_folder`), registers and writes the folder "result" into it. Standard output holds
the messages of :mod:`~DeepRegLib.worker_protocol` and nothing else: whatever libraries print goes to standard error.
Asked to cancel, it stops at the next question of a stage. When its standard input ends, the one who started it has
gone: it stops, removes the job and leaves no process behind.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from .errors import Cancelled, DeepRegError, InstallationProblem
from .job_folder import RESULT_FOLDER, Job, read_job, remove_job_in_steps, write_result
from .steps import finish
from .worker_protocol import as_line, failure_message, message_of

THREADS_SLEEP = ("OMP_WAIT_POLICY", "PASSIVE")
"""Read when torch is loaded: threads that wait must not take the time of the application that shows the progress."""
PROGRESS_INTERVAL_S = 0.1
"""Ten lines a second are as many as anybody can see."""
LAST_MOMENT_S = 2.0
"""A stage that has not stopped by then, after it was asked to, is not waited for."""
FORETOLD_FROM = 0.1
"""Share of the work after which the time that it took says how long the rest will take."""
REGISTERED_SHARE = 0.9
REPORTED_SHARE = 0.6
"""Of the time; the rest is writing, without and with the report."""
OUTPUT_OPTIONS = {"wants_warped", "wants_inverse", "report"}
"""Of the job, for what is written; all others are words of ``register``."""
STATUS_DONE, STATUS_FAILED, STATUS_CANCELLED = 0, 1, 130
HOW_TO_INSTALL = "Install it with the extension 'PyTorch' of 3D Slicer (Extensions Manager), then start again."


class Messages:
    """Writes messages to the standard output that the process was started with, and keeps libraries off it."""

    def __init__(self) -> None:
        sys.stdout.flush()
        self._channel = os.dup(1)
        os.dup2(2, 1)  # also what libraries in C print
        sys.stdout = sys.stderr
        self._lock = threading.Lock()

    def say(self, message: dict[str, Any]) -> None:
        """Send a message; when nobody reads any more, nothing happens: the end of the input tells it."""
        with self._lock, contextlib.suppress(OSError):
            rest = memoryview(as_line(message).encode("ascii") + b"\n")
            while rest:
                rest = rest[os.write(self._channel, rest) :]


class ProgressReporter:
    """Passes on the progress of the registration, some ten times a second, with the time that is left."""

    def __init__(self, say: Callable[[dict[str, Any]], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._say = say
        self._clock = clock
        self._start = clock()
        self._said = -1.0
        self._stage = ""

    def __call__(self, fraction: float, stage: str) -> None:
        now = self._clock()
        if stage == self._stage and now - self._said < PROGRESS_INTERVAL_S:
            return
        self._said, self._stage = now, stage
        left = (now - self._start) * (1 - fraction) / fraction if fraction >= FORETOLD_FROM else None
        message = {"progress": round(fraction, 4), "stage": stage}
        self._say({**message, "seconds_left": None if left is None else round(left, 1)})


class StopRequest:
    """Listens on standard input whether the work shall stop. ``leave`` is called when it does not, in time."""

    def __init__(self, leave: Callable[[], None]) -> None:
        self._asked = threading.Event()
        self._leave = leave
        self.nobody_waits = False

    def asked(self) -> bool:
        return self._asked.is_set()

    def listen(self) -> None:
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        received = b""
        while not self._asked.is_set():
            try:
                part = os.read(0, 4096)  # not sys.stdin, whose lock would be held for ever
            except OSError:
                part = b""
            if not part:
                self.nobody_waits = True
                self._asked.set()
            *lines, received = (received + part).split(b"\n")
            if any((message_of(line.decode("utf-8", "replace")) or {}).get("cancel") for line in lines):
                self._asked.set()
        time.sleep(LAST_MOMENT_S)
        self._leave()


def main(arguments: Sequence[str]) -> None:
    """Do the job in the folder that is named; ends the process."""
    messages = Messages()
    _lead_own_group()
    if len(arguments) != 1:
        messages.say(failure_message(DeepRegError("The worker is started with the folder of a job.")))
        _leave(STATUS_FAILED)
    folder = Path(arguments[0])
    stop = StopRequest(lambda: _leave_at_once(folder))
    try:
        last_words: dict[str, Any] = {"result": str(_work(folder, messages.say, stop))}
        status = STATUS_DONE
    except Cancelled as error:
        last_words, status = failure_message(error), STATUS_CANCELLED
    except BaseException as error:
        last_words, status = failure_message(error), STATUS_FAILED
    if stop.nobody_waits:
        _leave_at_once(folder)
    messages.say(last_words)
    _leave(status)


def _work(folder: Path, say: Callable[[dict[str, Any]], None], stop: StopRequest) -> Path:
    job = read_job(folder)
    say({"progress": 0.0, "stage": "Starting", "seconds_left": None})
    _load_libraries()
    progress = ProgressReporter(say)
    # Not before: in Windows a read that waits can hold up the loading of a library.
    stop.listen()
    registered = REPORTED_SHARE if job.options.report else REGISTERED_SHARE
    do = _register if job.transform is None else _evaluate
    registration = do(job, lambda fraction, stage: progress(registered * fraction, stage), stop.asked)
    for warning in registration.evidence.get("warnings", ()):
        say({"warning": warning})
    if stop.asked():
        raise Cancelled("The registration was cancelled; nothing was written.")
    progress(registered, "Writing the results")
    write_result(folder / RESULT_FOLDER, registration, job.options)
    progress(1.0, "Done")
    return folder / RESULT_FOLDER


def _register(job: Job, progress: Callable[[float, str], None], cancelled: Callable[[], bool]) -> Any:
    from .registration import register

    words = {name: value for name, value in asdict(job.options).items() if name not in OUTPUT_OPTIONS}
    return register(
        job.fixed,
        job.moving,
        fixed_mask=job.fixed_mask,
        moving_mask=job.moving_mask,
        fixed_landmarks=job.fixed_landmarks,
        moving_landmarks=job.moving_landmarks,
        **words,
        progress=progress,
        cancelled=cancelled,
    )


def _evaluate(job: Job, progress: Callable[[float, str], None], _cancelled: Callable[[], bool]) -> Any:
    from .evaluation import evaluate

    assert job.transform is not None
    progress(0.1, "Measuring how well they fit")
    return evaluate(
        job.transform,
        job.fixed,
        job.moving,
        job.fixed_mask,
        job.fixed_landmarks,
        job.moving_landmarks,
        known=job.evidence,
    )


def _load_libraries() -> None:
    """Raises :class:`~DeepRegLib.errors.InstallationProblem` with words on what to install."""
    os.environ.setdefault(*THREADS_SLEEP)
    try:
        import torch  # noqa: F401
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise InstallationProblem("PyTorch is not installed in Slicer's Python.", HOW_TO_INSTALL) from error
    except (ImportError, OSError) as error:
        raise InstallationProblem(f"PyTorch is installed but cannot be loaded: {error}", HOW_TO_INSTALL) from error
    from . import registration  # noqa: F401


def _lead_own_group() -> None:
    """Whoever ends this process can then end its children with it."""
    if hasattr(os, "setsid"):
        with contextlib.suppress(OSError):
            os.setsid()


def _leads_own_group() -> bool:
    return hasattr(os, "getpgrp") and os.getpgrp() == os.getpid()


def _leave(status: int) -> None:
    """End now, with all children: the end of a Python with torch and CUDA in it takes long, and can crash."""
    if _leads_own_group():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        os.killpg(os.getpgrp(), signal.SIGTERM)
    sys.stderr.flush()
    os._exit(status)


def _leave_at_once(folder: Path) -> None:
    """End although the work goes on, and leave neither the patient's images nor a process behind."""
    finish(remove_job_in_steps(folder))
    if _leads_own_group():
        os.killpg(os.getpgrp(), signal.SIGKILL)
    os._exit(STATUS_CANCELLED)


if __name__ == "__main__":
    faulthandler.enable()
    main(sys.argv[1:])
