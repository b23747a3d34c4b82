"""Writes a phantom pair to a folder, in the formats that 3D Slicer opens."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from ..errors import OutputProblem
from .pair import PhantomPair

IMAGES = ("fixed", "moving", "fixed_mask", "moving_mask")
LANDMARKS = ("fixed_landmarks", "moving_landmarks")


def write_pair(pair: PhantomPair, folder: str | Path) -> Path:
    """Writes the pair into ``folder``, which is made if it is missing, and returns it.

    Files: ``fixed.nii.gz``, ``moving.nii.gz``, ``fixed_mask.nii.gz``, ``moving_mask.nii.gz``; ``fixed_landmarks.csv``
    and ``moving_landmarks.csv`` (header x,y,z; LPS mm); ``true_transform.h5`` (an ITK displacement field transform from
    fixed to moving points); ``info.json``. Each is complete or absent: it is written beside its place, then renamed.

    Raises :class:`OutputProblem` when the folder cannot be written.
    """
    import SimpleITK as sitk

    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in IMAGES:
            with _in_place_of(folder / f"{name}.nii.gz") as path:
                sitk.WriteImage(getattr(pair, name).to_sitk(), str(path), useCompression=True)
        for name in LANDMARKS:
            with _in_place_of(folder / f"{name}.csv") as path:
                np.savetxt(path, getattr(pair, name), fmt="%.3f", delimiter=",", header="x,y,z", comments="")
        with _in_place_of(folder / "true_transform.h5") as path:
            sitk.WriteTransform(pair.field.to_sitk_transform(), str(path))
        with _in_place_of(folder / "info.json") as path:
            path.write_text(json.dumps(pair.info, indent=2) + "\n", encoding="utf-8")
    except (OSError, RuntimeError) as problem:  # SimpleITK raises RuntimeError for a full disk
        raise OutputProblem(
            f"The phantom cannot be written to '{folder}'.", "Choose a folder that is writable and has free space."
        ) from problem
    return folder


@contextmanager
def _in_place_of(target: Path) -> Iterator[Path]:
    """A temporary name beside ``target`` that keeps its ending, renamed to it when all went well."""
    temporary = target.with_name(f".partial-{os.getpid()}-{target.name}")
    try:
        yield temporary
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
