"""The demonstration: a pair is registered and everything that can be looked at is written into one folder."""

from __future__ import annotations

import csv
import importlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .datasets.pair_folder import PairFiles, find_pair
from .errors import Cancelled
from .files import whole_file

if TYPE_CHECKING:
    from .methods.interface import Cancelled as AskedToStop
    from .methods.interface import Progress
    from .refinement.settings import Quality
    from .result import Registration

PAIR_FOLDER = "pair"
SCENE = "scene.mrb"
ERRORS_TABLE = "landmark_errors.csv"
ERRORS_JSON = "landmark_errors.json"
LABEL = "label"
"""The column of the table that holds no number."""
REGISTERED_SHARE = 0.9
"""Of the time; the rest is writing."""
SCENE_WRITER = "DeepRegSlicer.scene_file"
"""Named, not imported: the registrator stands on its own, and the scene is extra where the MRML library is there."""
SCENE_NEEDS = ("slicer", "vtk", "DeepRegSlicer")


@dataclass(frozen=True)
class Demonstration:
    """What was found (``evidence``), the ``files`` that were written, by name, and ``notes`` on what was left out."""

    evidence: dict[str, Any]
    files: dict[str, Path]
    notes: tuple[str, ...] = ()


def make_pair(output: Path, difficulty: str = "easy", seed: int = 0) -> PairFiles:
    """Two scans of a made-up breathing patient with landmarks, written to the folder ``pair`` in ``output``.

    Raises :class:`~DeepRegLib.errors.BadInput` for an unknown difficulty, :class:`~DeepRegLib.errors.OutputProblem`
    when the folder cannot be written.
    """
    from .phantom import make_phantom, write_pair

    return find_pair(write_pair(make_phantom(difficulty=difficulty, seed=seed), output / PAIR_FOLDER))


def demonstrate(
    pair: PairFiles,
    output: Path,
    quality: Quality,
    seed: int,
    threads: int | None,
    progress: Progress,
    cancelled: AskedToStop,
) -> Demonstration:
    """Register ``pair`` and write to the folder ``output``: the transform and its inverse, the warped image, the
    report, the evidence, a scene for 3D Slicer, and with landmarks their errors as table and JSON.

    The scene is left out, with a note, where the MRML library is not installed. Raises what
    :func:`~DeepRegLib.registration.register` raises; files that were written until then are complete.
    """
    from .registration import register

    registration = register(
        pair.fixed,
        pair.moving,
        quality=quality,
        fixed_mask=pair.fixed_mask,
        moving_mask=pair.moving_mask,
        fixed_landmarks=pair.fixed_landmarks,
        moving_landmarks=pair.moving_landmarks,
        threads=threads,
        seed=seed,
        progress=lambda fraction, stage: progress(REGISTERED_SHARE * fraction, stage),
        cancelled=cancelled,
    )
    if cancelled():
        raise Cancelled("The demonstration was cancelled.")
    progress(REGISTERED_SHARE, "Writing the results")
    files = {path.name: path for path in registration.save(output).values()}
    if ERRORS_TABLE in files:
        files[ERRORS_JSON] = _write_errors_json(files[ERRORS_TABLE], output / ERRORS_JSON, registration.evidence)
    progress(0.5 * (1 + REGISTERED_SHARE), "Writing the scene for 3D Slicer")
    note = _write_scene(output / SCENE, registration)
    if not note:
        files[SCENE] = output / SCENE
    progress(1.0, "Done")
    return Demonstration(registration.evidence, files, (note,) if note else ())


def _write_errors_json(table: Path, path: Path, evidence: dict[str, Any]) -> Path:
    """The table of landmark errors once more, for programs: the same columns, and the statistics of the evidence."""
    with table.open(encoding="utf-8", newline="") as file:
        rows = [
            {name: text if name == LABEL else float(text) for name, text in row.items()} for row in csv.DictReader(file)
        ]
    with whole_file(path) as temporary:
        content = {"statistics": evidence["landmarks"], "landmarks": rows}
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return path


def _write_scene(path: Path, registration: Registration) -> str:
    """Write the scene; returns an empty text, or the reason why there is none."""
    try:
        writer = importlib.import_module(SCENE_WRITER)
    except ModuleNotFoundError as missing:
        if (missing.name or "").split(".")[0] not in SCENE_NEEDS:
            raise
        return f"{path.name} was left out: the MRML library is not installed (pip install 'slicer-deepreg[scene]')."
    writer.write_scene(path, registration)
    return ""
