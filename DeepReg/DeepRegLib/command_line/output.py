"""Where results go is looked at before the work starts, not after it."""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import BadInput
from ..files import cannot_write


def check_output_folder(folder: Path) -> Path:
    """``folder`` itself, if it can be written to or be made; it is not made yet.

    Raises :class:`~DeepRegLib.errors.BadInput` when it is a file and :class:`~DeepRegLib.errors.OutputProblem` when it
    is protected.
    """
    folder = folder.expanduser()
    existing = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    if not existing.is_dir():
        raise BadInput(f"'{existing}' is a file; results go into a folder.")
    if not os.access(existing, os.W_OK):
        raise cannot_write(folder, "the folder is protected")
    return folder


def check_output_file(path: Path, endings: tuple[str, ...]) -> Path:
    """``path`` itself, if its name has one of the ``endings`` and its folder is there and can be written to.

    Raises :class:`~DeepRegLib.errors.BadInput` or :class:`~DeepRegLib.errors.OutputProblem`.
    """
    path = path.expanduser()
    if not path.name.lower().endswith(endings):
        raise BadInput(f"The result cannot be written as '{path.name}'; the name must end in {', '.join(endings)}.")
    if path.is_dir():
        raise BadInput(f"'{path}' is a folder; name a file.")
    if not path.parent.is_dir():
        raise BadInput(f"There is no folder '{path.parent}' to write '{path.name}' to.")
    if not os.access(path.parent, os.W_OK):
        raise cannot_write(path, "the folder is protected")
    return path
