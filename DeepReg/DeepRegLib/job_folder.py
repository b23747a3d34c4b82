"""A registration as a folder: what the panel hands to the process that registers, and what comes back.

Arrays lie there as .npy files, everything else as JSON; ``job.json`` and ``result.json`` are written last, so a job or
a result is there as a whole or not at all. Needs numpy only.

* hand over: :func:`write_job_in_steps`, :func:`read_job`
* give back: :func:`write_result`, :func:`read_result_in_steps`
* clear away: :func:`remove_job_in_steps`
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Container, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .array_files import (
    PARTIAL,
    damaged,
    map_array,
    read_array_in_steps,
    remove_file_in_steps,
    require_room,
    write_array_in_steps,
    write_text,
)
from .evidence.landmarks import Landmarks
from .files import cannot_write
from .images.geometry import Geometry
from .images.volume import Volume
from .steps import Steps, finish
from .transforms.displacement_field import DisplacementField
from .transforms.linear import LinearTransform

if TYPE_CHECKING:
    from .result import Registration

FORMAT = 1
"""Goes up when the files change in a way that an older reader would misread."""
JOB_FILE, RESULT_FILE, LOG_FILE = "job.json", "result.json", "log.txt"
RESULT_FOLDER, REPORT_FOLDER = "result", "report"
VOLUMES = ("fixed", "moving", "fixed_mask", "moving_mask")
LANDMARKS = ("fixed_landmarks", "moving_landmarks")
FIELDS = ("transform", "inverse", "control_displacements")


@dataclass(frozen=True)
class JobOptions:
    """The words of :func:`DeepRegLib.registration.register`, and what shall come back. ``report`` writes the report and
    all files of :meth:`~DeepRegLib.result.Registration.save` beside the result."""

    method: str = "auto"
    quality: str = "balanced"
    device: str = "auto"
    prealignment: str = "auto"
    similarity: str = "auto"
    refine: bool = True
    field_spacing_mm: float | None = None
    seed: int = 0
    threads: int | None = None
    wants_warped: bool = True
    wants_inverse: bool = False
    report: bool = False


@dataclass(frozen=True)
class Job:
    """Two images with all that a user may add to them; masks are on the grids of their images. Arrays may be views on
    memory of the application: they are only read, and not after the job is written.

    With a ``transform`` (the whole map T) nothing is registered: it is evaluated, and what is already known of it is
    its ``evidence``."""

    fixed: Volume
    moving: Volume
    fixed_mask: Volume | None = None
    moving_mask: Volume | None = None
    fixed_landmarks: Landmarks | None = None
    moving_landmarks: Landmarks | None = None
    options: JobOptions = JobOptions()
    transform: DisplacementField | None = None
    evidence: dict[str, Any] | None = None


@dataclass(frozen=True)
class JobResult:
    """``transform`` is the whole map T from fixed to moving LPS points, ``prealignment`` its linear part; ``warped`` is
    the moving image on the fixed grid in its own number type. None is what was not asked for or does not exist:
    ``control_displacements`` are those of the method tps-grid at its nodes. ``landmark_errors_mm`` (n,) are
    |T(x_fixed) - x_moving|; ``report_folder`` holds report.html and the files beside it."""

    transform: DisplacementField
    warped: Volume | None
    inverse: DisplacementField | None
    control_displacements: DisplacementField | None
    prealignment: LinearTransform
    evidence: dict[str, Any]
    landmark_errors_mm: np.ndarray | None = None
    report_folder: Path | None = None


def write_job_in_steps(folder: str | Path, job: Job) -> Steps[None]:
    """Write ``job`` into the existing ``folder``, yielding after each piece of some MB.

    Raises :class:`~DeepRegLib.errors.OutputProblem` when the folder cannot be written to or the disk is full.
    """
    folder = Path(folder)
    volumes = {role: volume for role in VOLUMES if (volume := getattr(job, role)) is not None}
    given: dict[str, Volume | DisplacementField] = dict(volumes)
    if job.transform is not None:
        given["transform"] = job.transform
    require_room(folder, (grid.array for grid in given.values()))
    for role, grid in given.items():
        yield from write_array_in_steps(_array_file(folder, role), grid.array)
    landmarks = {role: points for role in LANDMARKS if (points := getattr(job, role)) is not None}
    record = {
        "format": FORMAT,
        "volumes": {role: _described(volume.geometry, volume.name) for role, volume in volumes.items()},
        "landmarks": {role: _as_record(points) for role, points in landmarks.items()},
        "options": asdict(job.options),
        "transform": None if job.transform is None else _described(job.transform.geometry),
        "evidence": job.evidence,
    }
    write_text(folder / JOB_FILE, json.dumps(record, indent=1))


def read_job(folder: str | Path) -> Job:
    """The job that lies in ``folder``. Voxels are mapped into memory, not read: the folder must stay.

    Raises :class:`~DeepRegLib.errors.BadInput` when there is no job or it is damaged.
    """
    folder = Path(folder)
    with _complete(folder / JOB_FILE) as record:
        inputs: dict[str, Any] = {
            role: Volume(map_array(_array_file(folder, role)), _geometry(about), about["name"])
            for role, about in record["volumes"].items()
        }
        inputs |= {role: Landmarks(**about) for role, about in record["landmarks"].items()}
        if record["transform"] is not None:
            array = map_array(_array_file(folder, "transform"))
            inputs["transform"] = DisplacementField(array, _geometry(record["transform"]))
        return Job(**inputs, options=JobOptions(**record["options"]), evidence=record["evidence"])


def write_result(folder: str | Path, registration: Registration, options: JobOptions) -> None:
    """Write what ``options`` ask for into ``folder``, which is made; with ``options.report`` also a folder with the
    report. Raises :class:`~DeepRegLib.errors.OutputProblem`."""
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(folder, error.strerror or "") from error
    fields = {
        "transform": registration.transform,
        "inverse": registration.inverse() if options.wants_inverse else None,
        "control_displacements": registration.control_displacements,
    }
    arrays = {role: field for role, field in fields.items() if field is not None}
    about = {role: _described(field.geometry) for role, field in arrays.items()}
    written = {role: field.array.astype(np.float32, copy=False) for role, field in arrays.items()}
    if options.wants_warped:
        written["warped"] = registration.warped.array
        about["warped"] = _described(registration.warped.geometry, registration.warped.name)
    require_room(folder, written.values())
    for role, array in written.items():
        finish(write_array_in_steps(_array_file(folder, role), array))
    if options.report:
        registration.save(folder / REPORT_FOLDER)
    errors = registration.landmark_errors()
    record = {
        "format": FORMAT,
        "arrays": about,
        "prealignment": {
            "matrix": registration.prealignment.matrix.tolist(),
            "translation": registration.prealignment.translation.tolist(),
        },
        "evidence": registration.evidence,
        "landmark_errors_mm": None if errors is None else errors.tolist(),
        "report": options.report,
    }
    write_text(folder / RESULT_FILE, json.dumps(record, indent=1))


def read_result_in_steps(folder: str | Path) -> Steps[JobResult]:
    """The result that lies in ``folder``, read into memory piece by piece: the folder may go afterwards.

    Raises :class:`~DeepRegLib.errors.BadInput` when there is none or it is damaged.
    """
    folder = Path(folder)
    with _complete(folder / RESULT_FILE) as record:
        arrays, about = {}, record["arrays"]
        for role in about:
            arrays[role] = yield from read_array_in_steps(_array_file(folder, role))
        fields = {role: DisplacementField(arrays[role], _geometry(about[role])) for role in FIELDS if role in about}
        warped = None
        if "warped" in about:
            warped = Volume(arrays["warped"], _geometry(about["warped"]), about["warped"]["name"])
        errors = record["landmark_errors_mm"]
        return JobResult(
            transform=fields["transform"],
            warped=warped,
            inverse=fields.get("inverse"),
            control_displacements=fields.get("control_displacements"),
            prealignment=LinearTransform(**record["prealignment"]),
            evidence=record["evidence"],
            landmark_errors_mm=None if errors is None else np.array(errors),
            report_folder=folder / REPORT_FOLDER if record["report"] else None,
        )


def remove_job_in_steps(folder: str | Path, keep: Container[str] = ()) -> Steps[None]:
    """Remove the files that this module writes into ``folder``, its log, and the folder if nothing else is
    in it. ``keep`` may hold ``LOG_FILE`` and ``REPORT_FOLDER``. What cannot be removed stays, without a word."""
    folder = Path(folder)
    result = folder / RESULT_FOLDER
    mine = [*folder.glob("*.npy"), *result.glob("*.npy"), *folder.glob(f"{PARTIAL}*"), *result.glob(f"{PARTIAL}*")]
    mine += [folder / JOB_FILE, result / RESULT_FILE]
    if LOG_FILE not in keep:
        mine.append(folder / LOG_FILE)
    for path in mine:
        yield from remove_file_in_steps(path)
    if REPORT_FOLDER not in keep:
        shutil.rmtree(result / REPORT_FOLDER, ignore_errors=True)
    for place in (result, folder):
        with contextlib.suppress(OSError):
            place.rmdir()


def _array_file(folder: Path, role: str) -> Path:
    return folder / f"{role}.npy"


@contextlib.contextmanager
def _complete(path: Path) -> Iterator[dict[str, Any]]:
    """The content of a JSON file of ours; whatever does not fit in it, there or in the block, is a damaged job."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        if record["format"] != FORMAT:
            raise ValueError(record["format"])
        yield record
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise damaged(path) from error


def _described(geometry: Geometry, name: str = "") -> dict[str, Any]:
    return {"geometry": asdict(geometry), "name": name}


def _geometry(about: dict[str, Any]) -> Geometry:
    return Geometry(**about["geometry"])


def _as_record(landmarks: Landmarks) -> dict[str, Any]:
    return {**asdict(landmarks), "points": landmarks.points.tolist()}
