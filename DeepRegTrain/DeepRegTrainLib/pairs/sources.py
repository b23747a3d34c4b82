"""Where the patients of training pairs come from.

``Scans`` are CT scans in files, ``Phantoms`` the breathing thorax phantom, ``LabelMaps`` maps of labels in files and
``RandomShapes`` made-up ones, both with random contrasts; ``Mixture`` draws from several of them.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from DeepRegLib.errors import BadInput

from .anatomy import Anatomy, Source
from .scan_preparation import BeforeReading, prepare_scan

SCAN_ENDINGS = (".nii", ".nii.gz", ".mha", ".mhd", ".nrrd")
SOURCE_SPACING_MM = 2.0
"""Spacing of the prepared scans: what networks work on is coarser."""
KEPT = 40
"""Anatomies that stay in memory (about 30 MB each)."""


class Kept:
    """Anatomies by number, made when they are first asked for; the ``limit`` used last stay in memory."""

    def __init__(self, make: Callable[[int, torch.device], Anatomy], limit: int = KEPT) -> None:
        self._make = make
        self._limit = limit
        self._anatomies: OrderedDict[tuple[int, torch.device], Anatomy] = OrderedDict()

    def get(self, number: int, device: torch.device) -> Anatomy:
        key = (number, device)
        if key not in self._anatomies:
            self._anatomies[key] = self._make(number, device)
            if len(self._anatomies) > self._limit:
                self._anatomies.popitem(last=False)
        self._anatomies.move_to_end(key)
        return self._anatomies[key]


class Scans:
    """CT scans in ``files`` (or folders with one DICOM series each), each as often as the others.

    Lungs are found by :func:`DeepRegLib.images.region.find_region`; a scan without lungs counts with its body. The
    first use of a scan takes some seconds; with a folder ``cache`` only once. ``before_reading(file)`` is called before
    a file is read that neither memory nor cache holds, and may refuse it with an error.
    """

    def __init__(
        self,
        files: Sequence[Path],
        spacing_mm: float = SOURCE_SPACING_MM,
        cache: Path | None = None,
        kept: int = KEPT,
        before_reading: BeforeReading = lambda file: None,
    ) -> None:
        if not files:
            raise BadInput("There are no scans to train on.")
        self.files = [Path(f) for f in files]

        def make(number: int, device: torch.device) -> Anatomy:
            return prepare_scan(self.files[number], spacing_mm, cache, before_reading).anatomy(device)

        self._kept = Kept(make, kept)

    @classmethod
    def in_folder(cls, folder: Path, spacing_mm: float = SOURCE_SPACING_MM, cache: Path | None = None) -> Scans:
        """All scans in ``folder`` and below. Raises :class:`~DeepRegLib.errors.BadInput` when there is none."""
        return cls(scans_in(folder), spacing_mm, cache)

    def draw(self, rng: np.random.Generator, device: torch.device) -> Anatomy:
        return self._kept.get(int(rng.integers(len(self.files))), device)

    def record(self) -> list[dict[str, object]]:
        return [{"scan": str(file), "bytes": file.stat().st_size} for file in self.files]


class Mixture:
    """Several sources, each drawn from as often as its share of the sum of ``shares`` says."""

    def __init__(self, sources: Sequence[Source], shares: Sequence[float]) -> None:
        if not sources or len(sources) != len(shares) or min(shares) < 0 or sum(shares) <= 0:
            raise BadInput("Each source of training pairs needs a share, and one of them must be above zero.")
        self.sources = list(sources)
        self._limits = np.cumsum(shares) / sum(shares)

    def draw(self, rng: np.random.Generator, device: torch.device) -> Anatomy:
        number = int(np.searchsorted(self._limits, rng.random(), side="right"))
        return self.sources[min(number, len(self.sources) - 1)].draw(rng, device)

    def record(self) -> list[dict[str, object]]:
        shares = np.diff(self._limits, prepend=0.0)
        return [
            {**row, "share": float(s)}
            for source, s in zip(self.sources, shares, strict=True)
            for row in source.record()
        ]


def scans_in(folder: Path) -> list[Path]:
    """The image files in ``folder`` and below, in the order of their names."""
    folder = Path(folder)
    if not folder.is_dir():
        raise BadInput(f"There is no folder '{folder}'.")
    files = sorted(f for f in folder.rglob("*") if f.name.lower().endswith(SCAN_ENDINGS) and f.is_file())
    if not files:
        raise BadInput(f"The folder '{folder}' holds no scans ({', '.join(SCAN_ENDINGS)}).")
    return files
