"""A pair of scans in a folder, told apart by the names of the files."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from ..errors import BadInput, BadLandmarks

IMAGE_ENDINGS = (".nii.gz", ".nii", ".mha", ".mhd", ".nrrd", ".nhdr")
LANDMARK_ENDINGS = (".csv", ".fcsv", ".mrk.json", ".txt")
SIDES = ("fixed", "moving")
NOT_A_SCAN = ("mask", "label", "landmark", "seg", "warped", "transform", "displacement")
"""Words in the names of images that belong to a scan but are none."""
LIST_WORDS = ("landmark", "point", "fiducial", "xyz")
SHORTEST_BEGINNING = 3
"""A word belongs to a longer one that begins with it (iBH to iBHCT) from this many letters on."""


@dataclass(frozen=True)
class PairFiles:
    """The files of one pair. Masks are there or not, each for itself; landmarks only in both images or not at all.
    ``notes`` are sentences about choices that were made for the user."""

    fixed: Path
    moving: Path
    fixed_mask: Path | None = None
    moving_mask: Path | None = None
    fixed_landmarks: Path | None = None
    moving_landmarks: Path | None = None
    notes: tuple[str, ...] = ()


def find_pair(folder: str | Path) -> PairFiles:
    """The pair in ``folder``.

    Names hold the word "fixed" or "moving", and "mask" or "landmark" where they are that. A folder with just two scans
    is a pair as well: the first in alphabetical order (2 before 10) is fixed, and masks and landmark files belong to
    the scan whose name they share a word with (``inhale.nii.gz``, ``inhale_mask.nii.gz``, ``inhale.csv``).

    Scans and masks are image files or folders with a DICOM series; landmarks are .csv, .fcsv, .mrk.json or .txt files.
    Whatever else lies in the folder is left alone.

    Raises :class:`~DeepRegLib.errors.BadInput` when a scan is missing, when two files could be the same thing, and when
    landmarks are there for one scan only.
    """
    folder = Path(folder).expanduser()
    if not folder.is_dir():
        raise BadInput(f"There is no folder '{folder}'.")
    entries = _entries(folder)
    images = [entry for entry in entries if entry.is_dir() or entry.name.lower().endswith(IMAGE_ENDINGS)]
    tables = [entry for entry in entries if entry.name.lower().endswith(LANDMARK_ENDINGS)]
    notes: tuple[str, ...] = ()
    fixed, moving = (_only_one(images, side, _says(side, _is_scan), "scan") for side in SIDES)
    if fixed is not None and moving is not None:
        masks = [_only_one(images, side, _says(side, _is_mask), "mask") for side in SIDES]
        landmarks = [_only_one(tables, side, _says(side, _is_called_landmarks), "landmark file") for side in SIDES]
    else:
        fixed, moving = _the_two_scans(folder, images)
        words = [_words(path.name) for path in (fixed, moving)]
        is_list = _is_list_of(words)
        masks = [_only_one(images, side, _shares(side, words, _is_mask), "mask") for side in SIDES]
        landmarks = [_only_one(tables, side, _shares(side, words, is_list), "landmark file") for side in SIDES]
        notes = () if "fixed" in words[0] or "moving" in words[1] else (_order_note(fixed, moving),)
    if landmarks.count(None) == 1:
        there = next(path.name for path in landmarks if path)
        raise BadLandmarks(f"'{there}' has no partner: landmarks are needed in both scans or in none.")
    return PairFiles(fixed, moving, masks[0], masks[1], landmarks[0], landmarks[1], notes)


def _entries(folder: Path) -> list[Path]:
    try:
        found = [entry for entry in folder.iterdir() if not entry.name.startswith(".")]
    except OSError as error:
        raise BadInput(f"The folder '{folder}' cannot be opened: {error.strerror}.") from error
    return sorted(found, key=lambda entry: _alphabetical(entry.name))


def _the_two_scans(folder: Path, images: list[Path]) -> tuple[Path, Path]:
    """Just two image files, or no image file and just two folders; the fixed scan first."""
    scans = [entry for entry in images if _is_scan(entry.name.lower())]
    two = [entry for entry in scans if not entry.is_dir()] or scans
    if len(two) != len(SIDES):
        raise _no_pair(folder, scans)
    first, second = two
    turned = "moving" in _words(first.name) or "fixed" in _words(second.name)
    return (second, first) if turned else (first, second)


def _order_note(fixed: Path, moving: Path) -> str:
    return (
        f"The names do not say which scan stays where it is: '{fixed.name}' was taken as the fixed and '{moving.name}' "
        "as the moving one, in alphabetical order."
    )


def _no_pair(folder: Path, scans: list[Path]) -> BadInput:
    hint = "The names of the two scans must hold the words 'fixed' and 'moving', for example fixed.nii.gz."
    missing = [side for side in SIDES if not any(side in entry.name.lower() for entry in scans)]
    if len(missing) == len(SIDES) and len(scans) > len(SIDES):
        return BadInput(f"The folder '{folder.name}' holds {len(scans)} scans or folders; a pair are two.", hint)
    return BadInput(f"The folder '{folder.name}' holds no {missing[0]} scan.", hint)


def _only_one(entries: Iterable[Path], side: str, wanted: Callable[[str], bool], what: str) -> Path | None:
    found = [entry for entry in entries if wanted(entry.name.lower())]
    if len(found) > 1:
        names = ", ".join(f"'{entry.name}'" for entry in found)
        raise BadInput(f"More than one {what} is called {side}: {names}.", "Leave one of them in the folder.")
    return found[0] if found else None


def _is_scan(name: str) -> bool:
    return not any(word in name for word in NOT_A_SCAN)


def _is_mask(name: str) -> bool:
    return "mask" in name


def _is_called_landmarks(name: str) -> bool:
    return "landmark" in name


def _is_list_of(words: list[set[str]]) -> Callable[[str], bool]:
    """Names that say what they are, or are called as a scan and nothing else."""
    return lambda name: any(word in name for word in LIST_WORDS) or any(_words(name) <= own for own in words)


def _says(side: str, kind: Callable[[str], bool]) -> Callable[[str], bool]:
    """Names of this kind that hold the word of this side, and not that of the other."""
    other = next(s for s in SIDES if s != side)
    return lambda name: kind(name) and side in name and other not in name


def _shares(side: str, words: list[set[str]], kind: Callable[[str], bool]) -> Callable[[str], bool]:
    """Names of this kind that share a word with the scan of this side which the other scan does not have."""
    here = SIDES.index(side)
    own, others = words[here] - words[1 - here], words[1 - here] - words[here]

    def belongs(name: str) -> bool:
        if not kind(name):
            return False
        of_name = _words(name)
        if of_name & (own | others):
            return bool(of_name & own) and not of_name & others
        return _begin_alike(of_name, own) and not _begin_alike(of_name, others)

    return belongs


def _words(name: str) -> set[str]:
    """The words of a file name without its ending."""
    name = name.lower()
    ending = next((e for e in (*IMAGE_ENDINGS, *LANDMARK_ENDINGS) if name.endswith(e)), "")
    return set(re.findall(r"[^\W_]+", name.removesuffix(ending)))


def _begin_alike(some: set[str], others: set[str]) -> bool:
    pairs = (sorted((a, b), key=len) for a in some for b in others)
    return any(len(short) >= SHORTEST_BEGINNING and long.startswith(short) for short, long in pairs)


def _alphabetical(name: str) -> list[tuple[int, str]]:
    """Order of names in which numbers count as numbers: scan2 before scan10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name.lower())]
