"""Which case of a DIR-Lab collection lies in a folder, and which files belong to it.

The downloads differ: packs in packs (``Case1Pack/Case1Pack/Images``), ``Case8Deploy``, endings of their own for some
cases, small and capital letters. Files are therefore told by their names alone, wherever they lie in the folder.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import BadInput, BadLandmarks
from .description import PairDescription, ScanSource
from .dirlab_collection import Collection, LandmarkLists
from .raw_scan import cases_of_size, check_raw_size

DEEPEST_FOLDER = 4
"""Packs in packs need three; a folder of the user around them makes four."""
MOST_FILES = 20_000
"""No case has more than fifty; a folder that was chosen by mistake must not keep the user waiting."""
NOT_OURS = ("__MACOSX",)
"""Copies of names without content that macOS puts into zip files."""


@dataclass(frozen=True)
class _Found:
    path: Path
    case: int | None
    phase: str


def describe_dirlab(
    folder: Path, collection: Collection, case: int | None, phases: tuple[str, str] | None, points: int | None
) -> PairDescription | None:
    """The pair of a case of this collection in ``folder``, or None when the folder holds no scan of it.

    ``case`` is needed when names do not tell it or when there are several; ``phases`` are those of the fixed and the
    moving scan, ``points`` how many landmarks the list shall have. Raises :class:`~DeepRegLib.errors.BadInput`.
    """
    files = list(_files(folder))
    scans = list(_matching(files, folder, collection, collection.scan))
    if not scans:
        return None
    number = _case_of(scans, folder, collection, case)
    title = f"{collection.title} case {number}"
    images = {phase: _the_only_scan(of_phase, phase) for phase, of_phase in _by_phase(_of_case(scans, number)).items()}
    wanted = _known_phases(phases, collection) if phases else collection.usual
    for phase in wanted:
        if phase not in images:
            raise BadInput(
                f"The folder '{folder.name}' holds no scan of {phase} of {title}; it holds {', '.join(sorted(images))}."
            )
        check_raw_size(images[phase], number, collection.cases, collection.title)
    lists = [(kind, list(_matching(files, folder, collection, kind.name))) for kind in collection.lists]
    landmarks, note = _landmark_files(lists, number, wanted, points, title)
    fixed, moving = (
        ScanSource(images[phase], f"case {number} {phase}", collection.cases[number], None, landmarks.get(phase))
        for phase in wanted
    )
    return PairDescription(folder, collection.key, title, fixed, moving, (note,) if note else ())


def _files(folder: Path) -> Iterator[Path]:
    """The files in and below the folder, those nearest to it first in each branch."""
    count = 0
    for place, below, names in os.walk(folder):
        depth = len(Path(place).relative_to(folder).parts)
        below[:] = sorted(
            name for name in below if depth < DEEPEST_FOLDER and name not in NOT_OURS and not name.startswith(".")
        )
        for name in sorted(names):
            count += 1
            if count > MOST_FILES:
                return
            if not name.startswith("."):
                yield Path(place, name)


def _matching(files: list[Path], folder: Path, collection: Collection, name: re.Pattern[str]) -> Iterator[_Found]:
    for path in files:
        match = name.fullmatch(path.name)
        if match:
            case = int(match["case"]) if match["case"] else _case_of_folders(path, folder, collection)
            yield _Found(path, case, collection.phase(match))


def _case_of_folders(path: Path, folder: Path, collection: Collection) -> int | None:
    """What the folders of a file are called, the nearest first, up to the one that was chosen."""
    names = (folder.absolute().name, *path.parent.relative_to(folder).parts)
    matches = (collection.folder.fullmatch(name) for name in reversed(names))
    return next((int(match["case"]) for match in matches if match), None)


def _case_of(scans: list[_Found], folder: Path, collection: Collection, chosen: int | None) -> int:
    if chosen is not None and chosen not in collection.cases:
        raise BadInput(f"{collection.title} has no case {chosen}; its cases are 1 to {max(collection.cases)}.")
    told = sorted({scan.case for scan in scans if scan.case is not None})
    if chosen is not None:
        if told and chosen not in told:
            raise BadInput(
                f"The folder '{folder.name}' holds case {_listed(told)} of {collection.title}, not case {chosen}."
            )
        return chosen
    if len(told) > 1:
        raise BadInput(
            f"The folder '{folder.name}' holds the cases {_listed(told)} of {collection.title}.",
            "Choose the folder of one case, or give the number of the case.",
        )
    if not told:
        fitting = cases_of_size(scans[0].path.stat().st_size, collection.cases)
        guess = f" By its size it could be case {' or '.join(map(str, fitting))}." if fitting else ""
        raise BadInput(
            f"The names in the folder '{folder.name}' do not tell which case of {collection.title} it is.",
            f"Give the number of the case.{guess}",
        )
    if told[0] not in collection.cases:
        raise BadInput(f"{collection.title} has no case {told[0]}; its cases are 1 to {max(collection.cases)}.")
    return told[0]


def _of_case(found: list[_Found], number: int) -> list[_Found]:
    return [entry for entry in found if entry.case in (number, None)]


def _by_phase(found: list[_Found]) -> dict[str, list[Path]]:
    phases: dict[str, list[Path]] = defaultdict(list)
    for entry in found:
        phases[entry.phase].append(entry.path)
    return phases


def _the_only_scan(paths: list[Path], phase: str) -> Path:
    """Copies of one name in packs in packs are the same file; two names for one phase are not."""
    if len({path.name.lower() for path in paths}) > 1:
        names = ", ".join(f"'{path.name}'" for path in paths)
        raise BadInput(f"There is more than one scan of {phase}: {names}.", "Leave one of them in the folder.")
    return paths[0]


def _known_phases(phases: tuple[str, str], collection: Collection) -> tuple[str, str]:
    by_name = {name.lower(): name for name in collection.phases.values()}
    unknown = [phase for phase in phases if phase.lower() not in by_name]
    if unknown:
        raise BadInput(f"{collection.title} has no phase '{unknown[0]}'; its phases are {_listed(by_name.values())}.")
    fixed, moving = (by_name[phase.lower()] for phase in phases)
    if fixed == moving:
        raise BadInput(f"The fixed and the moving scan are both {fixed}; choose two phases.")
    return fixed, moving


def _landmark_files(
    lists: list[tuple[LandmarkLists, list[_Found]]],
    number: int,
    phases: tuple[str, str],
    points: int | None,
    title: str,
) -> tuple[dict[str, Path], str]:
    """The list of each phase, or none with a note that says so."""
    if points is not None and points not in (kind.count for kind, _ in lists):
        raise BadLandmarks(f"{title} has lists of {_listed(kind.count for kind, _ in lists)} landmarks, not {points}.")
    lonely = ""
    for kind, found in lists:
        if points not in (None, kind.count):
            continue
        by_phase = _by_phase(_of_case(found, number))
        there = {phase: by_phase[phase][0] for phase in phases if phase in by_phase}
        if len(there) == len(phases):
            return there, ""
        for phase, path in there.items():
            missing = phases[1] if phase == phases[0] else phases[0]
            lonely = lonely or f"'{path.name}' has no partner: the landmarks of {missing} are missing."
    if lonely:
        raise BadLandmarks(lonely)
    others = sorted({entry.case for _, found in lists for entry in found if entry.case not in (None, number)})
    if others:
        raise BadLandmarks(f"The scans are those of {title}, the landmarks those of case {_listed(others)}.")
    if points is not None:
        raise BadLandmarks(f"The folder holds no list of {points} landmarks of {title} for {_listed(phases)}.")
    return {}, f"The folder holds no landmarks for {_listed(phases)}: errors cannot be measured."


def _listed(items: Iterable[object]) -> str:
    words = [str(item) for item in items]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
