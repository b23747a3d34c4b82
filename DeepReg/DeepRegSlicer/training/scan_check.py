"""The check of a folder of scans in a process of its own, with small pictures of them; what it found is kept for as
long as nothing in the folder changes."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import slicer
from DeepRegLib.errors import DeepRegError
from slicer.i18n import tr as _

from ..background_process import BackgroundProcess
from .message_process import MessageProcess
from .scan_folder import ScanFolder

PERCENT = 100


@dataclass
class Findings:
    """What was found in a folder in this state (:meth:`DeepRegTrainLib.check.DataCheck.to_dict`), and the files of the
    small pictures by scan, as far as they are drawn."""

    folder: ScanFolder
    check: dict[str, Any]
    pictures: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class CheckListener:
    """Who is told: ``on_progress(words)``; ``on_found(findings)`` before the pictures come;
    ``on_picture(file, picture)`` for each; last ``on_end(findings)`` or ``on_failed(error)``."""

    on_progress: Callable[[str], None]
    on_found: Callable[[Findings], None]
    on_picture: Callable[[str, str], None]
    on_end: Callable[[Findings], None]
    on_failed: Callable[[DeepRegError], None]


class ScanCheck:
    """One check at a time."""

    def __init__(self, listener: CheckListener) -> None:
        self._listener = listener
        self._known: dict[Path, Findings] = {}
        self._found: Findings | None = None
        self._process: MessageProcess | None = None
        self._pictures: Path | None = None

    @property
    def running(self) -> bool:
        return self._process is not None

    def known(self, folder: ScanFolder) -> Findings | None:
        """What was found in the folder, while nothing has changed in it."""
        findings = self._known.get(folder.path)
        return findings if findings is not None and findings.folder == folder else None

    def start(self, folder: ScanFolder, process: BackgroundProcess) -> None:
        self._found = None
        words = ["--check", str(folder.path), "--output", str(self._new_pictures_folder())]
        self._process = MessageProcess(words, process, lambda message: self._hear(folder, message), self._ended)
        self._process.start()

    def stop(self) -> None:
        """End the check and tell nobody."""
        process, self._process = self._process, None
        if process is not None:
            process.abandon()

    def close(self) -> None:
        """End the check, forget what was found and remove the pictures."""
        self.stop()
        self._known.clear()
        pictures, self._pictures = self._pictures, None
        if pictures is not None:
            shutil.rmtree(pictures, ignore_errors=True)

    def _hear(self, folder: ScanFolder, message: dict[str, Any]) -> None:
        if "progress" in message:
            words, percent = message["stage"], f"{PERCENT * message['progress']:.0f}"
            self._listener.on_progress(_("{stage}... ({percent} %)").format(stage=words, percent=percent))
        elif "check" in message:
            self._found = Findings(folder, message["check"])
            self._listener.on_found(self._found)
        elif "thumbnail" in message and self._found is not None:
            self._found.pictures[message["file"]] = message["thumbnail"]
            self._listener.on_picture(message["file"], message["thumbnail"])

    def _ended(self, error: DeepRegError | None, _details: str) -> None:
        self._process = None
        if error is not None or self._found is None:
            self._listener.on_failed(error or DeepRegError(_("The check ended without an answer.")))
            return
        self._known[self._found.folder.path] = self._found
        self._listener.on_end(self._found)

    def _new_pictures_folder(self) -> Path:
        if self._pictures is None or not self._pictures.is_dir():
            self._pictures = Path(tempfile.mkdtemp(prefix="DeepRegTrain-", dir=slicer.app.temporaryPath or None))
        return Path(tempfile.mkdtemp(dir=self._pictures))
