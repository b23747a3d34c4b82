"""The evidence in plain lines for a terminal. ASCII only: not every terminal shows more."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..evidence.verdict import PLACES

WHAT_FILES_ARE = {
    "transform.h5": "the transform; in 3D Slicer put it on the moving image",
    "inverse.h5": "its inverse, from the moving to the fixed image",
    "warped.nii.gz": "the moving image on the grid of the fixed one",
    "landmark_errors.csv": "the error of each landmark, for a spreadsheet",
    "landmark_errors.json": "the same for programs",
    "report.html": "pictures and numbers: open it in a browser",
    "evidence.json": "all numbers, for programs",
    "scene.mrb": "everything together: drag it into the window of 3D Slicer",
}
LABEL_WIDTH = 18


def registration(evidence: Mapping[str, Any]) -> list[str]:
    """What a registration came to, and how sure that is."""
    fixed, moving = (_name(evidence, role) for role in ("fixed", "moving"))
    seconds = (evidence.get("seconds") or {}).get("total")
    took = f" in {seconds:.1f} s" if seconds is not None else ""
    lines = [f"Registered {moving} to {fixed}{took}.", *pair(evidence), *measures(evidence)]
    start = (evidence.get("start") or {}).get("chosen")
    if start:
        lines.append(_line("Best start", f"{start} (method {evidence.get('method', 'auto')})"))
    return [*lines, *warnings(evidence)]


def pair(evidence: Mapping[str, Any]) -> list[str]:
    """Which pair of a folder it was, and what was decided for the user."""
    found = evidence.get("pair")
    return [_line("Pair", found["name"]), *(f"  {note}" for note in found["notes"])] if found else []


def measures(evidence: Mapping[str, Any]) -> list[str]:
    """Landmark error, similarity, overlap, folding and volume change, as far as they were measured."""
    lines = []
    landmarks = evidence.get("landmarks")
    if landmarks:
        before, after = (_mean_and_sd(landmarks[when]) for when in ("before", "after"))
        spread = f"{landmarks['count']} landmarks, the worst off by {landmarks['after']['max_mm']:.1f} mm"
        lines.append(_line("Landmark error", f"{before} -> {after} mm ({spread})"))
        snapped = _mean_and_sd(landmarks["after_snapped"])
        lines.append(_line("Snapped to voxels", f"{snapped} mm (mapped points rounded to voxels, as DIR-Lab does)"))
    dice = evidence.get("dice")
    if dice:
        lines.append(_line("Label overlap", f"Dice {dice['before']['mean']:.3f} -> {dice['after']['mean']:.3f}"))
    similarity = evidence.get("similarity")
    if similarity:
        shares = " -> ".join(f"{100 * similarity[when]:.0f} %" for when in ("before", "after"))
        lines.append(_line("Local similarity", shares))
    if evidence.get("folding_percent") is not None:
        lines.append(_line("Folding", f"{evidence['folding_percent']:.2g} % {_where(evidence)}"))
    jacobian = evidence.get("jacobian")
    if jacobian:
        lines.append(
            _line("Volume change", f"{jacobian['p1']:.2f} to {jacobian['p99']:.2f} times (98 % of the voxels)")
        )
    return lines


def warnings(evidence: Mapping[str, Any]) -> list[str]:
    return [f"Warning: {warning}" for warning in evidence.get("warnings") or ()]


def files(paths: Iterable[Path]) -> list[str]:
    """Each file with what it is for. All lie in one folder."""
    paths = list(paths)
    if not paths:
        return []
    width = max(len(path.name) for path in paths)
    lines = (f"  {path.name:<{width}}  {WHAT_FILES_ARE.get(path.name, '')}".rstrip() for path in paths)
    return [f"Files in {paths[0].parent}{os.sep}:", *lines]


def _line(label: str, words: str) -> str:
    return f"  {label:<{LABEL_WIDTH}}{words}"


def _name(evidence: Mapping[str, Any], role: str) -> str:
    return (evidence.get(role) or {}).get("name") or f"the {role} image"


def _mean_and_sd(statistics: Mapping[str, float]) -> str:
    return f"{statistics['mean_mm']:.2f} +- {statistics['sd_mm']:.2f}"


def _where(evidence: Mapping[str, Any]) -> str:
    kind = (evidence.get("region") or {}).get("kind")
    return PLACES.get(str(kind), "in the region" if kind else "in the image")
