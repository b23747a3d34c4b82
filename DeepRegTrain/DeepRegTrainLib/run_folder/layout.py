"""What lies where in a run folder, and the small files in it."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from DeepRegLib.errors import BadInput, OutputProblem
from DeepRegLib.files import whole_file

CONFIG = "config.json"
UNFINISHED = ".partial."
"""In the names of files that a killed process was writing."""


class RunFolder:
    """A run in the folder ``path``.

    * ``config.json``: settings, seed, versions, hardware; written at the start, and when the run is made longer
    * ``data.json``: the scans with checksums, patients and who is held out; written once
    * ``checkpoints/``: the last two states; ``best/``: that of the smallest validation error
    * ``metrics.csv``, ``validation.csv``: numbers by step
    * ``status.json``: how far it is, for whoever watches
    * ``log.txt``, ``pictures/``
    * ``samples/``: the last validation pair with its estimate, as arrays
    * ``lock``: held by the process that trains; ``stop``: put there to have it save and end
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path).expanduser()
        self.config = self.path / CONFIG
        self.data = self.path / "data.json"
        self.checkpoints = self.path / "checkpoints"
        self.best = self.path / "best"
        self.metrics = self.path / "metrics.csv"
        self.validation = self.path / "validation.csv"
        self.controls = self.path / "controls.json"
        self.status = self.path / "status.json"
        self.log = self.path / "log.txt"
        self.pictures = self.path / "pictures"
        self.samples = self.path / "samples"
        self.lock = self.path / "lock"
        self.stop = self.path / "stop"
        self.cache = self.path / "cache"
        self.model = self.path / "model"

    def require_new(self) -> None:
        """Raises :class:`~DeepRegLib.errors.BadInput` when there is a run in the folder already."""
        if self.config.exists():
            raise BadInput(
                f"The folder '{self.path}' holds a run already.",
                f"Go on with it (slicer-deepreg resume {self.path}), or choose another folder.",
            )

    def require_run(self) -> None:
        """Raises :class:`~DeepRegLib.errors.BadInput` when there is no run in the folder."""
        if not self.config.is_file():
            raise BadInput(f"The folder '{self.path}' holds no training run: there is no {CONFIG}.")

    def create(self) -> None:
        """Make the folders. Raises :class:`~DeepRegLib.errors.OutputProblem`."""
        try:
            for folder in (self.path, self.checkpoints, self.best, self.pictures):
                folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputProblem(f"The folder '{self.path}' cannot be made: {error.strerror}.") from error

    def remove_unfinished(self) -> None:
        """Remove what a killed process was writing. To be called by the holder of the lock."""
        for folder in (self.path, self.checkpoints, self.best, self.pictures, self.model):
            for file in folder.glob(f".*{UNFINISHED}*"):
                with contextlib.suppress(OSError):
                    file.unlink()

    def note(self, words: str) -> None:
        """Add a line to the log. A full disk must not end a run here: the checkpoint will say it."""
        with contextlib.suppress(OSError), self.log.open("a", encoding="utf-8") as file:
            file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')}  {words}\n")


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file that is there as a whole or not at all. Raises :class:`~DeepRegLib.errors.OutputProblem`."""
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file. Raises :class:`~DeepRegLib.errors.BadInput`."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadInput(f"'{path}' cannot be read: {error}.") from error
    if not isinstance(content, dict):
        raise BadInput(f"'{path}' is damaged.")
    return content
