"""A process that says JSON objects, one a line (:mod:`DeepRegLib.worker_protocol`), and may be asked again."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from DeepRegLib.errors import DeepRegError
from DeepRegLib.worker_protocol import as_line, error_of, message_of

from ..background_process import BackgroundProcess, slicer_python
from .command import LOG_PIECES, command_environment, error_of_command

PREVIEW = "DeepRegTrainLib.preview"


class MessageProcess:
    """``python -m DeepRegTrainLib.preview`` with ``words``. ``on_message`` gets what it says; after :meth:`start`
    ``on_end(error, details)`` is called once, with None when it ended by itself and well. Nobody is called after
    :meth:`abandon`. What is sent before it has said something waits until then."""

    def __init__(
        self,
        words: Sequence[str],
        process: BackgroundProcess,
        on_message: Callable[[dict[str, Any]], None],
        on_end: Callable[[DeepRegError | None, str], None],
    ) -> None:
        self._words = list(words)
        self._process = process
        self._on_message = on_message
        self._on_end = on_end
        self._log: deque[str] = deque(maxlen=LOG_PIECES)
        self._waiting: list[str] = []
        self._last: dict[str, Any] | None = None
        self._over = False

    def start(self) -> None:
        self._process.on_line = self._hear
        self._process.on_log = self._log.append
        self._process.on_end = self._ended
        self._process.start([slicer_python(), "-m", PREVIEW, *self._words], command_environment())

    def send(self, message: Mapping[str, Any]) -> None:
        """Ask something."""
        if self._last is None:
            self._waiting.append(as_line(message))
        else:
            self._process.send(as_line(message))

    def abandon(self) -> None:
        """End it with everything that it started, and tell nobody."""
        self._over = True
        if self._process.running:
            self._process.kill_tree()

    def _hear(self, line: str) -> None:
        message = message_of(line)
        if message is None or self._over:
            return
        self._last = message
        for request in self._waiting:
            self._process.send(request)
        self._waiting.clear()
        self._on_message(message)

    def _ended(self, exit_code: int | None, crashed: bool) -> None:
        if self._over:
            return
        self._over = True
        log = "".join(self._log)
        if exit_code == 0 and not crashed:
            self._on_end(None, log)
        elif self._last is not None and "error" in self._last:
            self._on_end(error_of(self._last), str(self._last.get("details", "")))
        else:
            self._on_end(error_of_command(exit_code, log), log)
