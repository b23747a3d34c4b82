"""The image pairs of the benchmark: where they are, what is known about them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
"""Beside the repository; the images are no part of it."""
GROUPS = {
    "real": "lung_followup",
    "easy": "breathing/*",
    "hard": "breathing_hard/*",
    "extreme": "breathing_extreme/*",
    "brain": "brain_pair",
}
"""Names for --pairs, and the folders they stand for."""
PHANTOMS: dict[str, dict] = {
    "phantom_easy": {"difficulty": "easy", "seed": 0},
    "phantom_hard": {"difficulty": "hard", "seed": 1},
    "phantom_oblique": {"difficulty": "easy", "seed": 2, "oblique_degrees": 15.0},
}
"""Made-up chests with an exactly known motion; they need no data."""


@dataclass(frozen=True)
class ImagePair:
    """Files of one pair. ``mask`` is what a tool is given (None: it has to do without), ``region`` where the Jacobian
    is measured; both lie on the fixed grid. Landmarks are exact or by hand; ``labels`` are those of two brains."""

    name: str
    group: str
    fixed: Path
    moving: Path
    mask: Path | None = None
    region: Path | None = None
    fixed_landmarks: Path | None = None
    moving_landmarks: Path | None = None
    fixed_labels: Path | None = None
    moving_labels: Path | None = None

    @property
    def is_brain(self) -> bool:
        return self.fixed_labels is not None

    def to_json(self) -> str:
        return json.dumps({name: value and str(value) for name, value in vars(self).items()})

    @classmethod
    def from_json(cls, text: str) -> ImagePair:
        texts = json.loads(text)
        words = {name: texts.pop(name) for name in ("name", "group")}
        return cls(**words, **{name: value and Path(value) for name, value in texts.items()})


def discover(data: Path) -> dict[str, ImagePair]:
    """All pairs below the folder ``data``, by name, in the order of ``GROUPS``; those that are missing are left out."""
    pairs = (
        _read_folder(folder, group)
        for group, pattern in GROUPS.items()
        for folder in sorted(data.glob(pattern))
        if folder.is_dir()
    )
    return {pair.name: pair for pair in pairs}


def _read_folder(folder: Path, group: str) -> ImagePair:
    def file(*stems: str) -> Path | None:
        found = (path for stem in stems for path in sorted(folder.glob(f"{stem}.*")))
        return next(found, None)

    fixed, moving, mask = file("fixed"), file("moving"), file("fixed_mask")
    if fixed is None or moving is None:
        raise FileNotFoundError(f"{folder} holds no fixed and moving image.")
    return ImagePair(
        folder.name,
        group,
        fixed,
        moving,
        mask,
        mask,
        file("fixed_landmarks", "landmarks_fixed"),
        file("moving_landmarks", "landmarks_moving"),
        file("fixed_labels"),
        file("moving_labels"),
    )


def choose(words: Iterable[str], data: Path) -> list[str]:
    """The names of the pairs that ``words`` (names, groups, ``phantom``, ``all``) ask for; all but the brain for "all",
    whose peers and measures are others. Raises ValueError for a word that stands for nothing."""
    known = discover(data)
    chosen: list[str] = []
    for word in words:
        if word == "all":
            found = [name for name, pair in known.items() if not pair.is_brain] + list(PHANTOMS)
        elif word == "phantom":
            found = list(PHANTOMS)
        elif word in GROUPS:
            found = [name for name, pair in known.items() if pair.group == word]
        else:
            found = [word] if word in known or word in PHANTOMS else []
        if not found:
            available = ", ".join(["all", *GROUPS, "phantom", *known, *PHANTOMS])
            raise ValueError(f"There is no pair '{word}' in {data}. Available: {available}.")
        chosen += [name for name in found if name not in chosen]
    return chosen


def load(name: str, data: Path, scratch: Path) -> ImagePair:
    """The pair called ``name``; a phantom is made on the spot and written into ``scratch``."""
    if name not in PHANTOMS:
        return discover(data)[name]
    from DeepRegLib.phantom import make_phantom, write_pair

    return _read_folder(write_pair(make_phantom(**PHANTOMS[name]), scratch / name), "phantom")
