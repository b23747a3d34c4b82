"""Looks at every scan before a training: what cannot be used, what is suspicious, whose it is."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from DeepRegLib.errors import BadInput
from DeepRegLib.images.read import read_volume
from DeepRegLib.images.region import find_region
from DeepRegLib.images.volume import Volume

from .pairs.sources import scans_in
from .patients import held_out, patient_of, read_sources

COARSEST_MM = 6.0
"""Slices thicker than this show no vessels to match."""
FEWEST_VOXELS = 24
SMALLEST_EXTENT_MM = 80.0
LUNGS_ML = (500.0, 9000.0)
"""Both lungs of a small adult breathed out, and of a large one breathed in."""
HU_RANGE = (-1200.0, 5000.0)
AIR_HU = -500.0
"""A CT of the chest has voxels below it."""
DICOM_FOLDER_HINT = "Each DICOM series goes into a folder of its own."
HASH_PIECE = 1 << 20


@dataclass(frozen=True)
class ScanCheck:
    """A scan ``file`` (relative to the folder), whose it is and how it is used ("train", "validate" or "" where it
    cannot be). ``problems`` make it unusable, ``warnings`` do not."""

    file: str
    patient: str
    use: str
    sha256: str
    bytes: int
    size: tuple[int, ...] = ()
    spacing_mm: tuple[float, ...] = ()
    region: str = ""
    region_ml: float = 0.0
    name: str = ""
    licence: str = ""
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class DataCheck:
    """All scans of ``folder``, with sentences about all of them together."""

    folder: Path
    scans: tuple[ScanCheck, ...]
    warnings: tuple[str, ...]

    def files(self, use: str) -> list[Path]:
        """The scans for "train" or "validate"."""
        return [self.folder / scan.file for scan in self.scans if scan.use == use]

    def require_usable(self) -> None:
        """Raises :class:`~DeepRegLib.errors.BadInput` when nothing is left to train on."""
        if not self.files("train"):
            first = next((scan for scan in self.scans if scan.problems), None)
            raise BadInput(
                f"None of the {len(self.scans)} scans in '{self.folder}' can be used"
                + (f": {first.file}: {first.problems[0]}" if first else "."),
                f"Look at them with: slicer-deepreg check {self.folder}",
            )

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "folder": str(self.folder),
            "scans": [asdict(scan) for scan in self.scans],
            "warnings": list(self.warnings),
        }

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> DataCheck:
        """What :meth:`to_dict` gave. Raises :class:`~DeepRegLib.errors.BadInput` for anything else."""
        try:
            scans = [ScanCheck(**{k: _tupled(v) for k, v in scan.items()}) for scan in content["scans"]]
            return cls(Path(content["folder"]), tuple(scans), tuple(content["warnings"]))
        except (KeyError, TypeError, AttributeError) as problem:
            raise BadInput("The list of scans of the run is damaged or of another version.") from problem

    def require_unchanged(self) -> None:
        """Raises :class:`~DeepRegLib.errors.BadInput` when a scan that is used is missing or has changed: a run that
        goes on with other data would not be what its folder says."""
        for scan in self.scans:
            if scan.use:
                _require_unchanged(self.folder / scan.file, scan.sha256)

    def require_unchanged_file(self, file: Path) -> None:
        """The same for one of :meth:`files`."""
        scan = next(scan for scan in self.scans if self.folder / scan.file == file)
        _require_unchanged(file, scan.sha256)


def check_folder(
    folder: Path,
    hold_out: float = 0.2,
    seed: int = 0,
    progress: Callable[[float, str], None] = lambda fraction, words: None,
) -> DataCheck:
    """Look at all scans in ``folder`` and below, and divide them into people to train on and people to validate with.

    Raises :class:`~DeepRegLib.errors.BadInput` when there is no such folder or it holds no scans.
    """
    folder = Path(folder).expanduser().resolve()
    files = scans_in(folder)
    sources = read_sources(folder)
    scans = []
    for k, file in enumerate(files):
        relative = file.relative_to(folder).as_posix()
        progress(k / len(files), f"Looking at {relative}")
        scans.append(_looked_at(file, relative, folder, sources.get(relative)))
    scans = _without_copies(scans)
    validated = held_out((scan.patient for scan in scans if not scan.problems), hold_out, seed)
    scans = [
        _with(scan, use="" if scan.problems else "validate" if scan.patient in validated else "train") for scan in scans
    ]
    return DataCheck(folder, tuple(scans), tuple(_warnings(scans, sources.keys())))


def checksum(file: Path) -> str:
    """The SHA-256 of a file."""
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while piece := stream.read(HASH_PIECE):
            digest.update(piece)
    return digest.hexdigest()


def _require_unchanged(file: Path, sha256: str) -> None:
    try:
        change = "" if checksum(file) == sha256 else "its content has changed"
    except FileNotFoundError:
        change = "it is missing"
    except OSError as error:
        change = f"it cannot be read ({error.strerror})"
    if change:
        raise BadInput(
            f"The scan '{file}' is not what it was when the run began: {change}.",
            "Bring it back and resume the run, or start a new run with the scans as they are.",
        )


def _looked_at(file: Path, relative: str, folder: Path, source: Any) -> ScanCheck:
    patient = (source.patient if source else "") or patient_of(file, folder)
    about = {"name": source.name, "licence": source.licence} if source else {}
    check = ScanCheck(relative, patient, "", checksum(file), file.stat().st_size, **about)
    try:
        volume = read_volume(file)
    except BadInput as problem:
        return _with(check, problems=(str(problem),))
    geometry = volume.geometry
    check = _with(check, size=geometry.size, spacing_mm=tuple(round(s, 4) for s in geometry.spacing))
    problems = [*_geometry_problems(volume), *_intensity_problems(volume)]
    if problems:
        return _with(check, problems=tuple(problems))
    region = find_region(volume)
    warnings = list(_region_warnings(region.kind, region.volume_ml, region.mask.array))
    return _with(check, region=region.kind, region_ml=round(region.volume_ml, 1), warnings=tuple(warnings))


def _geometry_problems(volume: Volume) -> list[str]:
    geometry = volume.geometry
    extent = np.array(geometry.size) * geometry.spacing
    rules = (
        (min(geometry.size) >= FEWEST_VOXELS, f"It has fewer than {FEWEST_VOXELS} voxels along an axis."),
        (max(geometry.spacing) <= COARSEST_MM, f"Its voxels are larger than {COARSEST_MM:g} mm."),
        (extent.min() >= SMALLEST_EXTENT_MM, f"It shows less than {SMALLEST_EXTENT_MM:g} mm along an axis."),
    )
    return [words for holds, words in rules if not holds]


def _intensity_problems(volume: Volume) -> list[str]:
    values = volume.array[:: max(1, len(volume.array) // 64)].astype(np.float32)
    if not np.isfinite(values).all():
        return ["It has voxels that are no numbers."]
    low, middle, high = np.percentile(values, [1, 50, 99])
    if low == high:
        return ["All its voxels have one value."]
    if low < 2 * HU_RANGE[0] or high > HU_RANGE[1] or low > AIR_HU:
        return [f"Its values (1 % {low:.0f}, 50 % {middle:.0f}, 99 % {high:.0f}) are no HU of a CT with air in it."]
    return []


def _region_warnings(kind: str, volume_ml: float, mask: np.ndarray) -> list[str]:
    if kind != "lungs":
        return [f"No lungs were found; the {kind} is used."]
    warnings = []
    if not LUNGS_ML[0] <= volume_ml <= LUNGS_ML[1]:
        warnings.append(f"The lungs have {volume_ml:.0f} ml, which is unusual: look at the scan.")
    if mask[0].any() or mask[-1].any():
        warnings.append("The lungs are cut at the first or the last slice.")
    return warnings


def _without_copies(scans: list[ScanCheck]) -> list[ScanCheck]:
    """The same file twice would count twice, and might be trained on and validated with."""
    first: dict[str, str] = {}
    kept = []
    for scan in scans:
        known = first.setdefault(scan.sha256, scan.file)
        again = known != scan.file
        kept.append(_with(scan, problems=(*scan.problems, f"It is a copy of '{known}'.")) if again else scan)
    return kept


def _warnings(scans: list[ScanCheck], listed: Any) -> list[str]:
    warnings = []
    people = {scan.patient for scan in scans if scan.use}
    if people and not any(scan.use == "validate" for scan in scans):
        warnings.append(
            f"Nobody is held out: validation uses the scans of training ({len(people)} people) with motion that is not "
            "trained on."
        )
    missing = sorted(set(listed) - {scan.file for scan in scans})
    warnings += [f"The table of sources names '{name}', which is not there." for name in missing]
    return warnings


def _with(scan: ScanCheck, **changes: Any) -> ScanCheck:
    return ScanCheck(**{**asdict(scan), **changes})


def _tupled(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
