"""Two scans of one patient with all that is known about them: the currency of this room."""

from __future__ import annotations

from dataclasses import dataclass

from ..evidence.landmarks import Landmarks
from ..images.volume import Volume


@dataclass(frozen=True, eq=False)
class ScanPair:
    """``fixed`` and ``moving`` (for CT in HU), masks on their grids or None, landmarks in both scans or none: row i of
    one list is the same place of the anatomy as row i of the other. ``notes`` are sentences about choices that were
    made for the user: which scan is fixed, which slices were cut off."""

    name: str
    fixed: Volume
    moving: Volume
    fixed_mask: Volume | None = None
    moving_mask: Volume | None = None
    fixed_landmarks: Landmarks | None = None
    moving_landmarks: Landmarks | None = None
    notes: tuple[str, ...] = ()
