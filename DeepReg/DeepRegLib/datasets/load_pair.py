"""Pairs of scans from disk: a case of DIR-Lab, or any folder with two images.

:func:`describe_pair` tells in no time what a folder holds; :func:`load_pair` reads it.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from ..errors import BadInput
from ..evidence.landmarks import Landmarks, check_landmark_pair, read_landmarks
from ..images.read import read_mask, read_volume
from ..images.volume import Volume
from ..steps import Steps, finish
from .description import FILES, PairDescription, ScanSource
from .dirlab_4dct import FOUR_D_CT
from .dirlab_copdgene import COPDGENE
from .dirlab_folder import describe_dirlab
from .dirlab_landmarks import read_dirlab_landmarks
from .pair_folder import IMAGE_ENDINGS, find_pair
from .raw_scan import read_raw_in_steps
from .scan_pair import ScanPair

COLLECTIONS = (FOUR_D_CT, COPDGENE)


def describe_pair(
    folder: str | Path,
    *,
    case: int | None = None,
    phases: tuple[str, str] | None = None,
    points: int | None = None,
    swap: bool = False,
) -> PairDescription:
    """What :func:`load_pair` would load, without reading a voxel.

    A folder with raw scans named as in DIR-Lab is a case of 4DCT or COPDgene, in whatever form it was downloaded:
    ``case`` is needed when names do not tell it, ``phases`` names those of the fixed and the moving scan (4DCT: T00 to
    T90, by default T00 and T50; COPDgene: "inhale" and "exhale", in this order) and ``points`` which list of landmarks
    is wanted (300, or 75 in 4DCT; by default the longest that both phases have). Any other folder is a pair of image
    files: see :func:`~DeepRegLib.datasets.pair_folder.find_pair`. ``swap`` exchanges fixed and moving.

    Raises :class:`~DeepRegLib.errors.BadInput` when there is no clear pair or a raw file has not the size of its case,
    and :class:`~DeepRegLib.errors.BadLandmarks` when landmarks are there for one scan only or belong to another case.
    """
    folder = Path(folder).expanduser()
    if not folder.is_dir():
        raise BadInput(f"There is no folder '{folder}'.")
    described = (describe_dirlab(folder, collection, case, phases, points) for collection in COLLECTIONS)
    description = next((found for found in described if found is not None), None)
    if description is None:
        if case is not None or phases is not None or points is not None:
            raise BadInput(
                f"The folder '{folder.name}' holds no raw scans of DIR-Lab (such as case1_T00.img or copd1_iBHCT.img).",
                "Case, phases and number of landmarks are chosen for those only.",
            )
        return _describe_files(folder, swap)
    return description.swapped() if swap else description


def load_pair(folder: str | Path, **choices: Any) -> ScanPair:
    """The pair in ``folder``: scans in LPS (CT of DIR-Lab in HU, the lung's apex up), masks, landmarks and notes.

    ``choices`` are those of :func:`describe_pair`: ``case``, ``phases``, ``points``, ``swap``. Raises what that raises,
    and the errors of :func:`~DeepRegLib.images.read.read_volume` and of landmark files.
    """
    return finish(load_pair_in_steps(folder, **choices))


def load_pair_in_steps(folder: str | Path, **choices: Any) -> Steps[ScanPair]:
    """:func:`load_pair` in pieces: a few slices of a raw scan, or one image file, in each."""
    description = describe_pair(folder, **choices)
    yield
    return (yield from load_described_in_steps(description))


def load_described_in_steps(description: PairDescription) -> Steps[ScanPair]:
    """The pair that was described; see :func:`load_pair_in_steps`."""
    notes = list(description.notes)
    fixed = yield from _scan_in_steps(description.fixed, notes)
    moving = yield from _scan_in_steps(description.moving, notes)
    fixed_mask = _mask_of(description.fixed, fixed)
    yield
    moving_mask = _mask_of(description.moving, moving)
    yield
    here, there = read_landmarks_of(description.fixed, fixed), read_landmarks_of(description.moving, moving)
    if here is not None and there is not None:
        check_landmark_pair(here, there, fixed.geometry, moving.geometry)
    return ScanPair(description.name, fixed, moving, fixed_mask, moving_mask, here, there, tuple(notes))


def _scan_in_steps(source: ScanSource, notes: list[str]) -> Steps[Volume]:
    """The scan, called by the name of its source; what was cut off is added to the ``notes``."""
    if source.raw is None:
        return replace(read_volume(source.image), name=source.name)
    scan = yield from read_raw_in_steps(source.image, source.raw, source.name)
    empty = source.raw.size[2] - scan.geometry.size[2]
    if empty:
        notes.append(f"{empty} empty slice{'s were' if empty > 1 else ' was'} cut off '{source.image.name}'.")
    return scan


def _mask_of(source: ScanSource, scan: Volume) -> Volume | None:
    return None if source.mask is None else read_mask(source.mask, scan.geometry)


def read_landmarks_of(source: ScanSource, scan: Volume) -> Landmarks | None:
    """The landmarks of a scan in LPS mm, or None where there are none; ``scan`` is what was read from ``source``."""
    if source.landmarks is None:
        return None
    if source.raw is None:
        return read_landmarks(source.landmarks, scan)
    return read_dirlab_landmarks(source.landmarks, source.raw)


def _describe_files(folder: Path, swap: bool) -> PairDescription:
    files = find_pair(folder)
    fixed = ScanSource(files.fixed, _without_ending(files.fixed), None, files.fixed_mask, files.fixed_landmarks)
    moving = ScanSource(files.moving, _without_ending(files.moving), None, files.moving_mask, files.moving_landmarks)
    name = folder.absolute().name
    if swap:  # whoever exchanges the scans need not be told which was taken first
        return PairDescription(folder, FILES, name, moving, fixed)
    return PairDescription(folder, FILES, name, fixed, moving, files.notes)


def _without_ending(path: Path) -> str:
    ending = next((ending for ending in IMAGE_ENDINGS if path.name.lower().endswith(ending)), "")
    return path.name[: len(path.name) - len(ending)]
