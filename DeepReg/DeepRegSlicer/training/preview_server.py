"""The warm process that draws training pairs: it keeps the scan in memory, so that the next pair is there at once."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import slicer
from DeepRegLib.errors import DeepRegError
from DeepRegLib.worker_protocol import error_of
from slicer.i18n import tr as _

from ..background_process import BackgroundProcess
from .message_process import MessageProcess


class PreviewServer:
    """Starts the process when something is asked for first. ``on_presets(catalogue)``, ``on_pair(folder)``,
    ``on_progress(words)`` and ``on_failed(error, details)`` are told what comes; one request for a pair at a time."""

    def __init__(
        self,
        new_process: Callable[[], BackgroundProcess],
        on_presets: Callable[[dict[str, Any]], None],
        on_pair: Callable[[Path], None],
        on_progress: Callable[[str], None],
        on_failed: Callable[[DeepRegError, str], None],
    ) -> None:
        self.new_process = new_process
        self._on_presets = on_presets
        self._on_pair = on_pair
        self._on_progress = on_progress
        self._on_failed = on_failed
        self._process: MessageProcess | None = None
        self._folder: Path | None = None

    @property
    def running(self) -> bool:
        return self._process is not None

    def ask_presets(self) -> None:
        self._send({"presets": True})

    def ask_pair(self, wish: dict[str, Any]) -> None:
        """``wish`` has the words of ``DeepRegTrainLib.preview.Wish``, but for the folder to write to."""
        if self._folder is None or not self._folder.is_dir():
            self._folder = Path(tempfile.mkdtemp(prefix="DeepRegTrain-", dir=slicer.app.temporaryPath or None))
        output = tempfile.mkdtemp(dir=self._folder)
        self._send({"draw": {**wish, "output": output}})

    def stop(self) -> None:
        """End the process; a later request starts another."""
        process, self._process = self._process, None
        if process is not None:
            process.abandon()

    def close(self) -> None:
        """End the process and remove what it has written."""
        self.stop()
        folder, self._folder = self._folder, None
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)

    def _send(self, request: dict[str, Any]) -> None:
        if self._process is None:
            self._process = MessageProcess(["--serve"], self.new_process(), self._hear, self._ended)
            self._process.start()
            self._on_progress(_("Starting..."))
        self._process.send(request)

    def _hear(self, message: dict[str, Any]) -> None:
        if "presets" in message:
            self._on_presets(message["presets"])
        elif "progress" in message:
            self._on_progress(f"{message['stage']}...")
        elif "pair" in message:
            self._on_pair(Path(message["pair"]))
        elif "error" in message:
            self._on_failed(error_of(message), str(message.get("details", "")))

    def _ended(self, error: DeepRegError | None, details: str) -> None:
        self._process = None
        self._on_failed(error or DeepRegError(_("The preview ended; draw again.")), details)
