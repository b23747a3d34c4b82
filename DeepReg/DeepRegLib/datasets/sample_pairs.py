"""The two sample pairs: what they are, where their files come from, and how they are loaded.

Nothing is downloaded here. Whoever downloads (3D Slicer's Sample Data module, on a click) puts the files of a pair into
one folder under the names that are given; they are checked before they are read.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from ..errors import BadInput
from ..evidence.landmarks import Landmarks, read_landmarks
from ..steps import Steps
from .description import FILES, PairDescription, ScanSource
from .load_pair import load_described_in_steps
from .scan_pair import ScanPair

Result = TypeVar("Result")

ELASTIX = (
    "https://raw.githubusercontent.com/SuperElastix/elastix/ef34ca99d84c226d1bb72d534c8a201526a5c034/Testing/{place}"
)
"""The files of release 5.3.1, by its commit: what lies there cannot change."""
ROLES = ("fixed", "moving")
LISTEN_S = 0.02
"""How long a step waits for work in another thread; the window that asks for it draws 50 times a second."""


@dataclass(frozen=True)
class RemoteFile:
    """``name`` in the download folder (3D Slicer has one for all modules, hence the prefix), address, SHA-256 in small
    letters, and bytes."""

    name: str
    url: str
    sha256: str
    size: int


@dataclass(frozen=True)
class SamplePair:
    """``key`` is for programs, ``title`` and ``description`` for people. A pair without ``files`` is made on the
    spot."""

    key: str
    title: str
    description: str
    licence: str
    credit: str
    files: tuple[RemoteFile, ...] = ()

    def file(self, part: str) -> RemoteFile:
        """The file whose name ends in ``part`` and an ending: "fixed", "moving_mask", "fixed_landmarks" and so on."""
        return next(file for file in self.files if file.name.partition(".")[0].endswith(f"-{part}"))


def _elastix(name: str, place: str, sha256: str, size: int) -> RemoteFile:
    return RemoteFile(f"DeepReg-lung-{name}", ELASTIX.format(place=place), sha256, size)


PHANTOM_PAIR = SamplePair(
    "phantom",
    "Breathing phantom",
    "A made-up patient breathed in and breathed out, with lung masks and landmarks; made on this computer.",
    "Apache-2.0, as this program",
    "Made by DeepReg.",
)
LUNG_PAIR = SamplePair(
    "lung",
    "Lung CT, baseline and follow-up",
    "The right lung of one patient at two times, with masks and 51 landmark pairs; 10 MB from the elastix project.",
    "Apache-2.0, the licence of the elastix project, which gives no other for its test data",
    "SuperElastix/elastix, Testing/Data (https://github.com/SuperElastix/elastix)",
    (
        _elastix(
            "fixed.mha",
            "Data/3DCT_lung_baseline.mha",
            "aa9e1d56d676967713dc6fb43b227e079e6e52ed66b94ebd6adc1c97241fbfe7",
            4_658_518,
        ),
        _elastix(
            "moving.mha",
            "Data/3DCT_lung_followup.mha",
            "0f00443a965aeae998285296bf11af3ef5d524d9208eab622778f651757deb1e",
            5_001_908,
        ),
        _elastix(
            "fixed_mask.mha",
            "Data/3DCT_lung_baseline_mask.mha",
            "2ab6b21dbf45904933e26c5f19af73f4e97af2df40fb09497a52f9b9659d692d",
            32_694,
        ),
        _elastix(
            "moving_mask.mha",
            "Data/3DCT_lung_followup_mask.mha",
            "3fd8dd56427add13f603dfa510df0fd00774636449e2967ccc805afcf8f6ba3c",
            34_159,
        ),
        _elastix(
            "fixed_landmarks.txt",
            "Data/3DCT_lung_baseline_landmarks.txt",
            "127064d143dc4e5617676448d96a33f77d1683cf311dd749f82cbce82ad3ee6c",
            3_423,
        ),
        _elastix(
            "moving_landmarks.txt",
            "Baselines/3DCT_lung_groundtruth_point.txt",
            "390e0a983d33c2085fea61dedb27d2d0b0b60e3dbaec000cd6366c2a0ab5e8ae",
            3_444,
        ),
    ),
)
SAMPLE_PAIRS = (PHANTOM_PAIR, LUNG_PAIR)


def missing_or_damaged(sample: SamplePair, folder: str | Path) -> list[RemoteFile]:
    """The files that are not in ``folder`` or differ from the published ones."""
    return [file for file in sample.files if _sha256(Path(folder) / file.name) != file.sha256]


def load_sample_in_steps(sample: SamplePair, folder: str | Path | None = None) -> Steps[ScanPair]:
    """The pair; its files lie in ``folder``, which a pair that is made on the spot does not need.

    Landmarks outside the images are left out: the elastix project lists those of both lungs and shows the right one.
    Raises :class:`~DeepRegLib.errors.BadInput` when a file is missing or damaged.
    """
    if not sample.files:
        return (yield from _phantom_in_steps(sample))
    if folder is None:
        raise BadInput(f"The files of '{sample.title}' must be downloaded first.")
    folder = Path(folder)
    broken = missing_or_damaged(sample, folder)
    if broken:
        raise BadInput(
            f"The download of '{sample.title}' is incomplete: '{broken[0].name}' is missing or damaged.",
            "Check the connection to the internet and load the sample again.",
        )
    yield
    fixed, moving = (_source(sample, folder, role) for role in ROLES)
    pair = yield from load_described_in_steps(PairDescription(folder, FILES, sample.title, fixed, moving))
    here, there = (read_landmarks(folder / sample.file(f"{role}_landmarks").name) for role in ROLES)
    seen = pair.fixed.geometry.contains(here.points) & pair.moving.geometry.contains(there.points)
    return replace(pair, fixed_landmarks=_only(here, seen), moving_landmarks=_only(there, seen))


def _source(sample: SamplePair, folder: Path, role: str) -> ScanSource:
    image, mask = (folder / sample.file(part).name for part in (role, f"{role}_mask"))
    return ScanSource(image, f"{sample.key} {role}", mask=mask)


def _only(landmarks: Landmarks, wanted: np.ndarray) -> Landmarks:
    return Landmarks(landmarks.points[wanted], tuple(np.array(landmarks.labels)[wanted]), landmarks.name)


def _phantom_in_steps(sample: SamplePair) -> Steps[ScanPair]:
    from ..phantom import make_phantom

    made = yield from _in_background(make_phantom)
    here, there = (Landmarks(points, name=sample.key) for points in (made.fixed_landmarks, made.moving_landmarks))
    fixed, moving = (replace(getattr(made, role), name=f"{sample.key} {role}") for role in ROLES)
    return ScanPair(sample.title, fixed, moving, made.fixed_mask, made.moving_mask, here, there)


def _in_background(work: Callable[[], Result]) -> Steps[Result]:
    """``work()`` in a thread; each step lets it run for a moment. An error in it is raised here.

    The waiting is a sleep, because only that gives the thread its turn: 3D Slicer runs no other thread of Python while
    its own event loop has nothing to do."""
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(work)
        while not future.done():
            time.sleep(LISTEN_S)
            yield
        return future.result()


def _sha256(path: Path) -> str:
    """Of a file; empty when there is none."""
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
