"""What a folder holds, told without reading a voxel."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from ..images.geometry import Geometry

FILES = "files"
"""The kind of a pair whose scans are ordinary image files; the others are the keys of the DIR-Lab collections."""


@dataclass(frozen=True)
class ScanSource:
    """Where one scan lies, with its mask and its landmarks where there are any. ``raw`` is the grid of a raw file (see
    :mod:`~DeepRegLib.datasets.raw_scan`) and None for image files, which say themselves where their voxels lie.
    ``name`` is short and fit for a node of a scene."""

    image: Path
    name: str
    raw: Geometry | None = None
    mask: Path | None = None
    landmarks: Path | None = None


@dataclass(frozen=True)
class PairDescription:
    """What :func:`~DeepRegLib.datasets.load_pair.load_pair` would load from ``folder``. ``kind`` is "files",
    "dirlab-4dct" or "dirlab-copdgene"; ``notes`` are sentences about choices that were made for the user."""

    folder: Path
    kind: str
    name: str
    fixed: ScanSource
    moving: ScanSource
    notes: tuple[str, ...] = ()

    def swapped(self) -> PairDescription:
        """The same pair with the roles of the scans exchanged."""
        return replace(self, fixed=self.moving, moving=self.fixed)
