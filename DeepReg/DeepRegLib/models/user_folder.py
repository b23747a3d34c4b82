"""The folder for the models of the person at the computer: where each system keeps the data of its programs."""

from __future__ import annotations

import os
import sys
from pathlib import Path

USER_FOLDER_VARIABLE = "DEEPREG_USER_MODELS"
"""Environment variable with another folder: one that a group shares, or where the home folder is too small."""
PROGRAM_FOLDER, MODELS_FOLDER = "SlicerDeepReg", "Models"


def user_models_folder() -> Path | None:
    """Where imported and trained models are kept; None for somebody without a home folder. It is not made here: the
    first model that is kept makes it.

    * Windows: ``%LOCALAPPDATA%\\SlicerDeepReg\\Models``
    * macOS: ``~/Library/Application Support/SlicerDeepReg/Models``
    * Linux and others: ``$XDG_DATA_HOME/SlicerDeepReg/Models``, by default below ``~/.local/share``
    """
    given = os.environ.get(USER_FOLDER_VARIABLE)
    if given:
        return Path(given).expanduser().absolute()
    base = _data_folder()
    return None if base is None else base / PROGRAM_FOLDER / MODELS_FOLDER


def _data_folder() -> Path | None:
    variable, below_home = _PLACES.get(sys.platform, _ELSEWHERE)
    given = os.environ.get(variable, "") if variable else ""
    if given and Path(given).is_absolute():  # the XDG rules: a relative path is to be ignored
        return Path(given)
    try:
        return Path.home() / below_home
    except RuntimeError:
        return None


_PLACES = {"win32": ("LOCALAPPDATA", "AppData/Local"), "darwin": ("", "Library/Application Support")}
_ELSEWHERE = ("XDG_DATA_HOME", ".local/share")
"""The environment variable that names the folder, and its place below the home folder."""
