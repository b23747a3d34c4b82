"""Raw CT scans without a header: signed 16-bit, little-endian, x fastest, slice 1 the most superior one.

The slices are turned over while they are read, so that the image has the identity as its direction: x to the patient's
left, y to the back, z up, right-handed (3D Slicer turns left-handed images over by itself). The files themselves say
nothing about left and right; x and y are taken as DICOM stores axial slices. Distances do not depend on that.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ..errors import BadInput
from ..images.geometry import Geometry
from ..images.volume import Volume
from ..steps import Steps

STORED_AS = np.dtype("<i2")
HU_OFFSET = 1024
"""The files hold HU + 1024. What lies below 0 (the -2000 outside the scanner's field of view) becomes air."""
VOXELS_PER_STEP = 2_000_000
"""A few milliseconds of arithmetic, and 4 MB from the disk."""


def check_raw_size(path: Path, case: int, cases: Mapping[int, Geometry], title: str) -> None:
    """Raises :class:`~DeepRegLib.errors.BadInput` when the file is not as large as a scan of this case must be."""
    size, expected = path.stat().st_size, _byte_count(cases[case])
    if size == expected:
        return
    fitting = cases_of_size(size, cases)
    if fitting:
        hint = f"That is the size of case {' or '.join(map(str, fitting))}: check the case number."
    elif size < expected:
        hint = "The file is incomplete, or not the raw scan: copy or download it again."
    else:
        hint = "Choose the folder as it was downloaded, with the raw scans."
    voxels = " x ".join(map(str, cases[case].size))
    raise BadInput(
        f"'{path.name}' has {size:,} bytes; a scan of {title} case {case} has {voxels} voxels, {expected:,} bytes.",
        hint,
    )


def cases_of_size(size: int, cases: Mapping[int, Geometry]) -> list[int]:
    """The cases whose scans have this many bytes."""
    return [case for case, geometry in cases.items() if _byte_count(geometry) == size]


def _byte_count(geometry: Geometry) -> int:
    return geometry.voxel_count * STORED_AS.itemsize


def read_raw_in_steps(path: Path, geometry: Geometry, name: str) -> Steps[Volume]:
    """The scan in HU (int16, nothing below -1024) on ``geometry``, whose first slice is the most inferior one.

    Slices at either end that hold one value only (some COPDgene scans have empty ones) are cut off; the others stay
    where they are, so that ``geometry`` still says where voxel lists point to. Reads a few slices a step.

    Raises :class:`~DeepRegLib.errors.BadInput` when the file cannot be read or holds nothing.
    """
    try:
        stored = np.memmap(path, STORED_AS, mode="r", shape=geometry.shape)[::-1]
    except (OSError, ValueError) as error:
        raise BadInput(f"'{path.name}' cannot be read: {error}.") from error
    full = _filled_slices(stored)
    if not full:
        raise BadInput(f"'{path.name}' holds the same value everywhere; there is nothing to register.")
    yield
    stored = stored[full.start : full.stop]
    values = np.empty(stored.shape, np.int16)
    thickness = max(1, VOXELS_PER_STEP // (geometry.size[0] * geometry.size[1]))
    for start in range(0, len(values), thickness):
        part = values[start : start + thickness]
        np.maximum(stored[start : start + thickness], 0, out=part)
        part -= HU_OFFSET
        yield
    return Volume(values, _without_ends(geometry, full), name)


def _filled_slices(stored: np.ndarray) -> range:
    """The slices between the empty ones at both ends."""
    first, last = 0, len(stored)
    while first < last and _is_empty(stored[first]):
        first += 1
    while last > first and _is_empty(stored[last - 1]):
        last -= 1
    return range(first, last)


def _is_empty(plane: np.ndarray) -> bool:
    return bool((plane == plane[0, 0]).all())


def _without_ends(geometry: Geometry, kept: range) -> Geometry:
    x, y, _ = geometry.size
    origin = geometry.to_physical(np.array([0, 0, kept.start]))
    return Geometry((x, y, len(kept)), geometry.spacing, tuple(origin), geometry.direction)
