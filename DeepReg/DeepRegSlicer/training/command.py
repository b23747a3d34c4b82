"""A command of ``slicer-deepreg`` or of the training, in a process of its own: words in, its JSON answer or its error
out. What the panel does can so be done with the same words in a terminal."""

from __future__ import annotations

import importlib.util
import os
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from DeepRegLib.errors import DeepRegError, OutOfMemory
from DeepRegLib.worker_protocol import memory_ran_out, message_of

from ..background_process import BackgroundProcess, slicer_python, worker_environment

REGISTRATOR, TRAINING = "DeepRegLib.cli", "DeepRegTrainLib"
"""The modules that Python runs (``python -m``)."""
COMPLAINT = "slicer-deepreg: "
"""How both begin the line on standard error that says what went wrong; a hint may follow on the next."""
LOG_PIECES = 50
"""Of standard error, kept to say why a command failed."""


def command_environment() -> dict[str, str]:
    """What is set for a process that runs a command: :func:`~DeepRegSlicer.background_process.worker_environment`, and
    where the training lies, which is another folder while the extension is developed."""
    environment = worker_environment()
    spec = importlib.util.find_spec(TRAINING)
    if spec is not None and spec.origin is not None:
        folder = str(Path(spec.origin).resolve().parents[1])
        if folder not in environment["PYTHONPATH"].split(os.pathsep):
            environment["PYTHONPATH"] = os.pathsep.join([environment["PYTHONPATH"], folder])
    return environment


class Command:
    """``words`` for the module ``program``, with ``--json`` added. After :meth:`start` one of ``on_answer(numbers)``
    and ``on_failed(error, details)`` is called, last, unless :meth:`abandon` comes first; ``on_log(text)`` gets what it
    writes to standard error meanwhile."""

    def __init__(
        self,
        program: str,
        words: Sequence[str],
        process: BackgroundProcess,
        on_answer: Callable[[dict[str, Any]], None],
        on_failed: Callable[[DeepRegError, str], None],
        on_log: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._arguments = [slicer_python(), "-m", program, *words, "--json"]
        self._process = process
        self._on_answer = on_answer
        self._on_failed = on_failed
        self._on_log = on_log
        self._answer: dict[str, Any] | None = None
        self._log: deque[str] = deque(maxlen=LOG_PIECES)
        self._over = False

    def start(self) -> None:
        self._process.on_line = self._hear
        self._process.on_log = self._note
        self._process.on_end = self._ended
        self._process.start(self._arguments, command_environment())

    def abandon(self) -> None:
        """End it with everything that it started, and tell nobody."""
        self._over = True
        if self._process.running:
            self._process.kill_tree()

    def _hear(self, line: str) -> None:
        answer = message_of(line)
        if answer is not None:
            self._answer = answer

    def _note(self, text: str) -> None:
        if not self._over:
            self._log.append(text)
            self._on_log(text)

    def _ended(self, exit_code: int | None, crashed: bool) -> None:
        if self._over:
            return
        self._over = True
        if exit_code == 0 and not crashed and self._answer is not None:
            self._on_answer(self._answer)
        else:
            log = "".join(self._log)
            self._on_failed(error_of_command(exit_code, log), log)


def error_of_command(exit_code: int | None, log: str) -> DeepRegError:
    """What a command that failed has to say: its own complaint in ``log`` (standard error), or what its end means.
    ``exit_code`` is None when it never started.

    >>> error = error_of_command(2, "50 % Reading\\nslicer-deepreg: There is no run.\\nChoose another folder.\\n")
    >>> str(error), error.hint
    ('There is no run.', 'Choose another folder.')
    """
    lines = log.splitlines()
    complaints = [number for number, line in enumerate(lines) if line.startswith(COMPLAINT)]
    if complaints:
        sentence = lines[complaints[-1]].removeprefix(COMPLAINT)
        return DeepRegError(sentence, " ".join(lines[complaints[-1] + 1 :]).strip())
    if exit_code is None:
        return DeepRegError(
            "The work could not be started: Slicer's Python does not run.",
            "Check that the installation is complete and that no virus scanner stops it.",
        )
    if memory_ran_out(log):
        return OutOfMemory("The memory ran out.", "Close other programs and try again.")
    return DeepRegError("The work ended without an answer.", "The details say more; please report them.")
