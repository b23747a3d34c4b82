"""A pair of scans in a folder, told apart by the names of the files."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from ..errors import BadInput

IMAGE_ENDINGS = (".nii.gz", ".nii", ".mha", ".mhd", ".nrrd", ".nhdr")
LANDMARK_ENDINGS = (".csv", ".fcsv", ".mrk.json")
SIDES = ("fixed", "moving")
NOT_A_SCAN = ("mask", "label", "landmark", "seg", "warped")
"""Words in the names of images that belong to a scan but are none."""


@dataclass(frozen=True)
class PairFiles:
    """The files of one pair. Masks are there or not, each for itself; landmarks only in both images or not at all."""

    fixed: Path
    moving: Path
    fixed_mask: Path | None = None
    moving_mask: Path | None = None
    fixed_landmarks: Path | None = None
    moving_landmarks: Path | None = None


def find_pair(folder: str | Path) -> PairFiles:
    """The pair in ``folder``: names hold the word "fixed" or "moving", and "mask" or "landmark" where they are that.

    Scans and masks are image files or folders with a DICOM series; landmarks are .csv, .fcsv or .mrk.json files.
    Whatever else lies in the folder is left alone.

    Raises :class:`~DeepRegLib.errors.BadInput` when a scan is missing, when two files could be the same thing, and when
    landmarks are there for one scan only.
    """
    folder = Path(folder).expanduser()
    if not folder.is_dir():
        raise BadInput(f"There is no folder '{folder}'.")
    entries = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    images = [entry for entry in entries if entry.is_dir() or entry.name.lower().endswith(IMAGE_ENDINGS)]
    tables = [entry for entry in entries if entry.name.lower().endswith(LANDMARK_ENDINGS)]
    fixed, moving = (_only_one(images, side, _is_scan, "scan") for side in SIDES)
    if fixed is None or moving is None:
        missing = "fixed" if fixed is None else "moving"
        raise BadInput(
            f"The folder '{folder.name}' holds no {missing} scan.",
            "The names of the two scans must hold the words 'fixed' and 'moving', for example fixed.nii.gz.",
        )
    masks = [_only_one(images, side, lambda name: "mask" in name, "mask") for side in SIDES]
    landmarks = [_only_one(tables, side, lambda name: "landmark" in name, "landmark file") for side in SIDES]
    if landmarks.count(None) == 1:
        there = next(path.name for path in landmarks if path)
        raise BadInput(f"'{there}' has no partner: landmarks are needed in both scans or in none.")
    return PairFiles(fixed, moving, *masks, *landmarks)


def _is_scan(name: str) -> bool:
    return not any(word in name for word in NOT_A_SCAN)


def _only_one(entries: Iterable[Path], side: str, wanted: Callable[[str], bool], what: str) -> Path | None:
    other = next(s for s in SIDES if s != side)
    named = [(entry, entry.name.lower()) for entry in entries]
    found = [entry for entry, name in named if side in name and other not in name and wanted(name)]
    if len(found) > 1:
        names = ", ".join(f"'{entry.name}'" for entry in found)
        raise BadInput(f"More than one {what} is called {side}: {names}.", "Leave one of them in the folder.")
    return found[0] if found else None
